//! `adopt`: its request and its answer as text.

use std::path::{Path, PathBuf};

use super::{
    output::{Screen, count, print_text, size},
    seed::reach,
};
use crate::{
    config::Visibility,
    dag::name::{escape, escape_sentence},
    rpc::{Adopted, AdoptedLine, Code, Failure, Request},
};

/// The request; paths are made absolute here, since a daemon has another working directory.
pub(super) fn request(paths: &[PathBuf]) -> Result<Request, Failure> {
    let absolute = |path: &PathBuf| {
        std::path::absolute(path).map_err(|why| {
            Failure::new(Code::Usage, format!("cannot use {} as a path: {why}", path.display()))
        })
    };
    Ok(Request::Adopt { paths: paths.iter().map(absolute).collect::<Result<_, _>>()? })
}

/// Why the first thing was left out.
pub(super) fn first_reason(answer: &Adopted) -> String {
    let first = answer.left_out.first();
    first.map_or_else(String::new, |it| {
        format!("{}: {}", escape(&it.path), escape_sentence(&it.why))
    })
}

pub(super) fn print(answer: &Adopted, screen: &Screen) {
    let mut text = String::new();
    for line in &answer.adopted {
        text += &described(line);
    }
    for left in &answer.left_out {
        text +=
            &format!("  LEFT OUT  {}\n    {}\n", escape(&left.path), escape_sentence(&left.why));
    }
    let new = answer.adopted.iter().filter(|line| !line.unchanged).count() as u64;
    if !answer.adopted.is_empty() {
        let unchanged = answer.adopted.len() as u64 - new;
        text += &format!(
            "  adopted {}, {unchanged} unchanged; {} in place, {} read, nothing copied\n",
            count(new, "version"),
            size(answer.bytes),
            size(answer.read_bytes),
        );
    }
    print_text(&text);
    let Some(line) = answer.adopted.iter().find(|line| line.visibility == Visibility::Private)
    else {
        return;
    };
    let reference = match &line.hub {
        Some(hub) if hub.contains('/') => hub,
        _ => &line.name,
    };
    screen.hint(&format!("`modelswarm share {reference} --to lan` lets peers fetch one from here"));
}

fn described(line: &AdoptedLine) -> String {
    let from = match (&line.hub, &line.commit, &line.ollama) {
        (Some(hub), Some(commit), _) => format!("{hub}@{}", commit.get(..12).unwrap_or(commit)),
        (_, _, Some(model)) => model.clone(),
        _ => place(&line.path),
    };
    let unchanged = if line.unchanged { "  unchanged" } else { "" };
    format!(
        "  {}  {}, {}  visible on: {}{unchanged}\n    from {}\n    root {}\n",
        line.name,
        count(line.files, "file"),
        size(line.bytes),
        reach(line.visibility),
        escape(&from),
        line.root
    )
}

fn place(path: &Path) -> String {
    path.display().to_string()
}
