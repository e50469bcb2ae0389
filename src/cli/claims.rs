//! `endorse`, `claims`.

use std::path::{Path, PathBuf};

use super::{
    args::{ClaimKindArg, ClaimsArgs, EndorseArgs},
    card::loud,
    output::{Screen, count, print_text},
};
use crate::{
    config::Visibility,
    dag::name::escape,
    rpc::{
        ClaimKind, ClaimLine, Claims, ClaimsOf, Code, Endorse, Endorsed, Failure, ImportedClaims,
        OfferedCard, Request,
    },
};

/// The request; a path is made absolute here, since a daemon has another working directory.
pub(super) fn endorse(args: EndorseArgs) -> Result<Request, Failure> {
    if let Some(path) = &args.import {
        return Ok(Request::EndorseImport { path: absolute(path)? });
    }
    let kind = args.kind.map(|kind| match kind {
        ClaimKindArg::Svr => ClaimKind::Svr,
        ClaimKindArg::TestResult => ClaimKind::TestResult,
        ClaimKindArg::Eval => ClaimKind::Eval,
    });
    Ok(Request::Endorse(Endorse {
        reference: args.reference.unwrap_or_default(),
        kind,
        properties: args.property,
        fail: args.fail,
        dataset: args.dataset,
        task: args.task,
        metric: args.metric,
        value: args.value,
        note: args.note,
    }))
}

/// The request.
pub(super) fn list(args: ClaimsArgs) -> Result<Request, Failure> {
    let ClaimsArgs { reference, offline, peer, export } = args;
    let export = export.as_deref().map(absolute).transpose()?;
    Ok(Request::Claims(ClaimsOf { reference, offline, peers: peer, export }))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|why| {
        Failure::new(Code::Usage, format!("cannot use {} as a path: {why}", path.display()))
    })
}

pub(super) fn print_endorsed(answer: &Endorsed, screen: &Screen) {
    let word = if answer.holds { "holds" } else { "FAILED" };
    let about = match &answer.card {
        Some(card) => format!("  card     {card}\n"),
        None => String::new(),
    };
    let replaced: String =
        answer.replaces.iter().map(|claim| format!("  in place of {claim}\n")).collect();
    print_text(&format!(
        "  claim    {}\n  {word}  {}\n{about}  root     {}\n{replaced}",
        answer.claim,
        said(&answer.kind, &answer.properties),
        answer.root,
    ));
    screen.hint(match answer.visibility {
        Visibility::Private => {
            "the repo is private, so no peer is told: modelswarm claims REF --export FILE"
        }
        _ => "peers that ask for these files are told of it while `modelswarm daemon` runs",
    });
}

pub(super) fn print_imported(answer: &ImportedClaims, screen: &Screen) {
    print_text(&format!("  {} of {} kept\n", answer.kept, count(answer.claims, "claim")));
    for why in &answer.refused {
        screen.warning(why);
    }
}

pub(super) fn print(answer: &Claims, screen: &Screen) {
    let mut text = format!("  root     {}\n", answer.root);
    if answer.claims.is_empty() {
        text += "  nobody's claims are known\n";
    }
    text.extend(answer.claims.iter().map(claim));
    text.extend(answer.cards.iter().map(card));
    if let Some(path) = &answer.exported {
        text += &format!("  written to {}\n", escape(&path.display().to_string()));
    }
    print_text(&text);
    if let Some(line) = answer.claims.iter().find(|line| line.trust == "unknown") {
        screen.hint(&format!(
            "`modelswarm trust add-endorser NAME {}` counts what this key says, if you know whose it is",
            line.endorser
        ));
    }
}

pub(super) fn claim(line: &ClaimLine) -> String {
    let who = match (line.trust.as_str(), &line.alias) {
        ("own", _) => "you".to_owned(),
        (_, Some(alias)) if line.counts => alias.clone(),
        (_, Some(alias)) => format!("{alias} (does not count)"),
        (_, None) => format!("{} UNKNOWN to you", line.endorser),
    };
    let word = if line.holds { "holds " } else { "FAILED" };
    let made_at = line.made_at.as_deref().unwrap_or("no date");
    let mut text =
        format!("  {word}  {}  by {who}, {made_at}\n", said(&line.kind, &line.properties));
    for result in &line.results {
        let task = result.task.as_ref().map(|task| format!(" {task}")).unwrap_or_default();
        text +=
            &format!("          {}{task}: {} {}\n", result.dataset, result.metric, result.value);
    }
    text.extend(line.note.iter().map(|note| format!("          {note}\n")));
    text + &format!("          {}\n", line.claim)
}

fn said(kind: &str, properties: &[String]) -> String {
    match properties {
        [] => kind.to_owned(),
        some => format!("{} ({kind})", some.join(", ")),
    }
}

fn card(line: &OfferedCard) -> String {
    let who = match (line.trust.as_str(), &line.alias) {
        ("own", _) => "you".to_owned(),
        (_, Some(alias)) => format!("{alias}, trusted"),
        _ => format!("{} NEW to you", line.publisher),
    };
    let held = if line.held { "" } else { "  offered by peers, vouches for nothing here" };
    let status = match loud(line.status) {
        "" => String::new(),
        word => format!("  {word}"),
    };
    format!(
        "  card    {}@{}{status}  by {who}{held}\n          {}\n",
        line.name, line.version, line.card
    )
}
