//! `card init`, `card show`, `card log`, `card diff`, `card withdraw`, `card deprecate`, `card export`.

use super::{
    args::{CardAction, CardInitArgs, StatusArgs},
    get::whose,
    output::{Screen, print_text, size},
};
use crate::{
    card::statement::Status,
    dag::name::escape,
    library::skeleton,
    rpc::{
        CardDiff, CardInitialised, CardLog, CardShown, Code, ExportedCard, Failure, Kind, Request,
        Restate,
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
    text += &format!("  {}\n", whose(&answer.provenance));
    let statement = serde_json::to_string_pretty(&answer.statement).unwrap_or_default();
    print_text(&format!("{text}{statement}\n"));
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
    if answer.versions.iter().any(|line| !line.accepted) {
        screen.hint("what is not accepted is used only by its CID: a version before it is missing, or another claims its place");
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
    let shown = |value: &Option<serde_json::Value>| {
        value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string)
    };
    for field in &answer.fields {
        text += &format!("    {}: {} -> {}\n", field.field, shown(&field.from), shown(&field.to));
    }
    print_text(&text);
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
