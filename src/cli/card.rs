//! `card init`, `card show`, `card log`, `card diff`, `card withdraw`, `card deprecate`, `card export`.

use serde_json::Value as Json;

use super::{
    args::{CardAction, CardInitArgs, StatusArgs},
    get::{remarks, whose},
    output::{Screen, print_text, size},
};
use crate::{
    card::statement::Status,
    dag::name::escape,
    library::skeleton,
    rpc::{
        CardDiff, CardInitialised, CardLog, CardShown, Code, Contradiction, ExportedCard, Failure,
        FieldChange, Kind, Request, Restate,
    },
};

/// The request; a path is made absolute here, since a daemon has another working directory.
pub(super) fn request(action: CardAction) -> Result<Request, Failure> {
    let restate = |args: StatusArgs, status| {
        let StatusArgs { reference, reason, replaced_by } = args;
        Request::Restate(Restate { reference, status, reason, replaced_by })
    };
    Ok(match action {
        CardAction::Init(_) => unreachable!("it needs no node and is handled before"),
        CardAction::Show { reference } => Request::CardShow { reference },
        CardAction::Log { reference } => Request::CardLog { reference },
        CardAction::Diff { from, to } => Request::CardDiff { from, to },
        CardAction::Withdraw(args) => restate(args, Status::Withdrawn),
        CardAction::Deprecate(args) => restate(args, Status::Deprecated),
        CardAction::Export { reference, output } => {
            let output = std::path::absolute(&output).map_err(|why| {
                let path = output.display();
                Failure::new(Code::Usage, format!("cannot use {path} as a path: {why}"))
            })?;
            Request::CardExport { reference, output }
        }
    })
}

/// Writes the README here and now: it takes neither a home nor a node.
pub(super) fn init(args: CardInitArgs) -> Result<CardInitialised, Failure> {
    let CardInitArgs { dir, name, kind, force } = args;
    let kind = kind.map(Kind::from).unwrap_or_default();
    skeleton::write(&dir, name.as_deref(), kind, force)
}

pub(super) fn print_init(answer: &CardInitialised, screen: &Screen) {
    let path = escape(&answer.path.display().to_string()).to_string();
    print_text(&format!("  wrote {path}, {}\n", size(answer.bytes)));
    screen.hint("fill in what stands in [brackets], and the licence, before `modelswarm seed`");
}

pub(super) fn print_shown(answer: &CardShown) {
    let mut text = format!("  card     {}\n", answer.card);
    if let Some(release) = &answer.release {
        text += &format!("  release  {release}\n");
    }
    text += &format!("  {}\n{}", whose(&answer.provenance), remarks(&answer.provenance));
    text.extend(stated(answer));
    let statement = serde_json::to_string_pretty(&answer.statement).unwrap_or_default();
    print_text(&format!("{text}{}\n", plain(&statement)));
}

/// What was made from what, results and links, a line each. A signature makes none of it true.
fn stated(answer: &CardShown) -> Option<String> {
    let lineage = answer.lineage.iter().map(|origin| {
        let mut parts = vec![origin.relation.to_string()];
        parts.extend(origin.hub.as_ref().map(|hub| hub.as_str().to_owned()));
        parts.extend(origin.card.map(|card| format!("card {card}")));
        parts.extend(origin.publisher.map(|publisher| format!("of {publisher}")));
        parts.extend(origin.tool.as_ref().map(|tool| format!("made with {}", escape(tool))));
        ("lineage", parts)
    });
    let evals = answer.evals.iter().map(|eval| {
        let dataset = &eval.dataset;
        let said = [
            Some(&dataset.id),
            dataset.task_id.as_ref(),
            eval.metric.as_ref(),
            Some(&eval.value),
            eval.date.as_ref(),
            eval.notes.as_ref(),
            eval.source.as_ref(),
        ];
        ("result", said.into_iter().flatten().map(|text| escape(text)).collect())
    });
    let links = answer.links.iter().map(|link| ("link", vec![escape(link)]));
    let passed = answer.passed_over.iter().map(|why| ("unread", vec![why.clone()]));
    let lines: String = lineage
        .chain(evals)
        .chain(links)
        .chain(passed)
        .map(|(what, parts)| format!("    {what:8} {}\n", parts.join("  ")))
        .collect();
    (!lines.is_empty()).then(|| format!("  as its publisher states, and nobody checked:\n{lines}"))
}

/// JSON as a terminal may show it: what would control or reverse the text is written as an escape, which stays JSON.
fn plain(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        let shown = c == '\n' || c == '"' || c == '\\' || c.is_ascii_graphic() || c == ' ';
        if shown || escape(c.encode_utf8(&mut [0; 4])).starts_with(c) {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

pub(super) fn print_log(answer: &CardLog, screen: &Screen) {
    let mut text = format!("  {}  {}\n", answer.name, answer.publisher);
    for line in &answer.versions {
        let mark = match (line.head, line.accepted) {
            (true, _) => "head",
            (false, true) => "",
            (false, false) => "NOT ACCEPTED",
        };
        let words = [line.created_at.as_str(), loud(line.status), mark];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let release = line.release.as_deref().unwrap_or("its release is not here");
        text += &format!(
            "  {:>4}  {}  {}\n        {release}\n",
            line.seq,
            line.version,
            words.join("  ")
        );
        text += &format!("        {}\n", line.card);
    }
    print_text(&text);
    print_contradictions(&answer.contradictions);
    if answer.versions.iter().any(|line| !line.accepted) {
        screen.hint("what is not accepted is used only by its CID: a version before it is missing, or another claims its place");
    }
}

/// Publishers that said two things: both are kept, anybody can check them.
pub(super) fn print_contradictions(contradictions: &[Contradiction]) {
    for one in contradictions {
        print_text(&format!(
            "  CONTRADICTED  {}: {} signed more than one card for version {}\n           {}\n",
            one.name,
            one.publisher,
            one.seq,
            one.cards.join("\n           ")
        ));
    }
}

/// What its publisher says of a version, where that is to be heeded.
pub(super) fn loud(status: Status) -> &'static str {
    match status {
        Status::Active => "",
        Status::Deprecated => "DEPRECATED",
        Status::Withdrawn => "WITHDRAWN",
    }
}

pub(super) fn print_diff(answer: &CardDiff) {
    let mut text = String::new();
    for (sign, files) in [("+", &answer.added), ("-", &answer.removed), ("~", &answer.changed)] {
        text.extend(files.iter().map(|file| format!("  {sign} {file}\n")));
    }
    let shown = |value: &Option<Json>| {
        value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string)
    };
    for field in &answer.fields {
        let name = plain(&field.field);
        match entries(field) {
            // Of a list what went and what came.
            Some((gone, come)) => {
                for (sign, list) in [("-", gone), ("+", come)] {
                    text.extend(list.iter().map(|entry| {
                        format!("    {name}: {sign} {}\n", plain(&entry.to_string()))
                    }));
                }
            }
            None => {
                let (from, to) = (shown(&field.from), shown(&field.to));
                text += &format!("    {name}: {} -> {}\n", plain(&from), plain(&to));
            }
        }
    }
    print_text(&text);
}

/// The entries that only one of two lists has; none if either is something else.
fn entries(field: &FieldChange) -> Option<(Vec<&Json>, Vec<&Json>)> {
    fn list(side: &Option<Json>) -> Option<&[Json]> {
        side.as_ref().map_or(Some(&[]), |value| value.as_array().map(Vec::as_slice))
    }
    let (from, to) = (list(&field.from)?, list(&field.to)?);
    let gone = from.iter().filter(|entry| !to.contains(entry)).collect();
    let come = to.iter().filter(|entry| !from.contains(entry)).collect();
    Some((gone, come))
}

pub(super) fn print_exported(answer: &ExportedCard, screen: &Screen) {
    print_text(&format!(
        "  {}@{}  {}\n  card     {}\n  {}: {}\n",
        answer.name,
        answer.version,
        answer.publisher,
        answer.card,
        escape(&answer.path.display().to_string()),
        answer.files.join(", "),
    ));
    screen.hint("VERIFY.md there says how to check the files without modelswarm");
}
