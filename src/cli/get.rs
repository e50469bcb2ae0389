//! `get`: its request and its answer as text.

use super::{
    args::GetArgs,
    output::{Screen, count, print_text, size},
};
use crate::{
    dag::name::escape,
    rpc::{Code, Failure, Fetched, Get, Provenance, ProvenanceStatus, Request},
};

/// The request; the destination is made absolute here, since a daemon has another working directory.
pub(super) fn request(args: GetArgs) -> Result<Request, Failure> {
    let output = match &args.output {
        None => None,
        Some(dir) => Some(std::path::absolute(dir).map_err(|why| {
            Failure::new(Code::Usage, format!("cannot use {} as a path: {why}", dir.display()))
        })?),
    };
    Ok(Request::Get(Get {
        reference: args.reference,
        output,
        include: args.include,
        exclude: args.exclude,
        peers: args.peer,
        publisher: args.publisher,
        dry_run: args.dry_run,
        force: args.force,
        allow_code: args.allow_code,
        timeout: args.timeout,
    }))
}

/// Whose it is, in one sentence. A valid signature proves a key, not a name, so the two are said apart.
pub(super) fn whose(provenance: &Provenance) -> String {
    let publisher = provenance.publisher.as_deref().unwrap_or("nobody");
    match (provenance.status, provenance.trust.as_deref(), &provenance.alias) {
        (ProvenanceStatus::Unsigned, ..) => "unsigned: nobody vouches for its origin".into(),
        (_, Some("own"), _) => format!("signature valid; publisher is you: {publisher}"),
        (_, Some("trusted"), Some(alias)) => {
            format!("signature valid; publisher {alias}, trusted: {publisher}")
        }
        (_, Some("named"), _) => format!("signature valid; publisher as you named it: {publisher}"),
        _ => format!("signature valid; publisher NEW to you: {publisher}"),
    }
}

/// What is to be heeded of what the publisher says by now.
pub(super) fn remarks(provenance: &Provenance) -> String {
    provenance.remarks.iter().map(|line| format!("  WARNING  {line}\n")).collect()
}

/// The files that hold chat templates, in one line.
fn templates(paths: &[String]) -> Option<String> {
    let first = paths.first()?;
    let more = match paths.len() {
        1 => String::new(),
        len => format!(" and {} more", len - 1),
    };
    let first = escape(first);
    Some(format!("  chat template in {first}{more}: loaders run it, in a sandbox\n"))
}

pub(super) fn print(answer: &Fetched, screen: &Screen) {
    if answer.dry_run == Some(true) {
        print_text(&format!(
            "  {}, {}, of which {} would be fetched; {}\n  to {}\n",
            count(answer.files, "file"),
            size(answer.bytes),
            size(answer.fetched_bytes),
            whose(&answer.provenance),
            answer.path.display()
        ));
        return;
    }
    print_text(&format!(
        "  ok {}, {}, every byte verified, {}\n  {}\n",
        count(answer.files, "file"),
        size(answer.bytes),
        whose(&answer.provenance),
        answer.path.display()
    ));
    if let Some(line) = templates(&answer.templates) {
        print_text(&line);
    }
    if let (Some("new"), Some(publisher)) =
        (answer.provenance.trust.as_deref(), &answer.provenance.publisher)
    {
        screen.hint(&format!(
            "`modelswarm trust add NAME {publisher}` if you know this key to be theirs"
        ));
    }
}
