//! `ls` and `show`.

use super::{
    card::loud,
    claims,
    get::{remarks, whose},
    output::{Screen, count, print_text, size},
    seed::reach,
    signatures,
};
use crate::{
    dag::name::escape,
    rpc::{OriginLine, Repos, Shown},
};

pub(super) fn print_repos(answer: &Repos, screen: &Screen) {
    if answer.repos.is_empty() {
        print_text("  the library is empty\n");
        screen.hint("modelswarm seed ./my-model    or    modelswarm get CID");
        return;
    }
    let mut text = String::new();
    for repo in &answer.repos {
        let version =
            repo.version.as_deref().map(|version| format!("@{version}")).unwrap_or_default();
        let refuted = match repo.statements.as_deref() {
            None | Some("hold" | "unchecked") => "",
            Some(_) => "  STATEMENTS DO NOT HOLD",
        };
        let stated = repo.stated.map(|status| format!("  {}", loud(status))).unwrap_or_default();
        text += &format!(
            "  {}{version}  {}, {}  {}  {}{stated}{refuted}\n    {}\n",
            repo.name,
            count(repo.files, "file"),
            size(repo.bytes),
            reach(repo.visibility),
            repo.state,
            repo.release.as_ref().unwrap_or(&repo.root)
        );
        text += &adopted(&repo.origin);
    }
    print_text(&text);
}

/// What the tool that brought it calls it; nobody has signed that.
fn adopted(origin: &OriginLine) -> String {
    match origin {
        OriginLine { hub: Some(hub), hub_commit: Some(commit), .. } => {
            let commit = commit.get(..12).unwrap_or(commit);
            format!("    adopted from a Hugging Face cache: {}@{}\n", escape(hub), escape(commit))
        }
        OriginLine { ollama: Some(model), .. } => {
            format!("    adopted from Ollama: {}\n", escape(model))
        }
        _ => String::new(),
    }
}

pub(super) fn print_shown(answer: &Shown) {
    let repo = &answer.repo;
    let mut text = match &repo.version {
        Some(version) => format!("  {}@{version}\n", repo.name),
        None => format!("  {}\n", repo.name),
    };
    if let Some(release) = &repo.release {
        text += &format!("  release  {release}\n");
    }
    text += &format!("  root     {}\n", repo.root);
    if let Some(card) = &answer.card {
        text += &format!("  card     {card}\n");
    }
    text += &format!(
        "  commit   {}\n  {}\n  {}, {}, visible on: {}, {}\n  {}\n",
        answer.commit,
        whose(&answer.provenance),
        count(repo.files, "file"),
        size(repo.bytes),
        reach(repo.visibility),
        repo.state,
        repo.path.display()
    );
    text += &adopted(&repo.origin);
    text += &match repo.statements.as_deref() {
        Some("hold") => "  its publisher's digests of the files hold\n".to_owned(),
        Some("unchecked") => {
            "  its publisher's digests of the files were not compared yet\n".to_owned()
        }
        Some(refuted) => format!("  its publisher's statements of the files {refuted}\n"),
        None => String::new(),
    };
    text += &remarks(&answer.provenance);
    text += &signatures::lines(&answer.signatures);
    text.extend(answer.claims.iter().map(claims::claim));
    for file in &answer.entries {
        text += &format!("    {:>10}  {}\n", size(file.size), file.path);
    }
    print_text(&text);
}
