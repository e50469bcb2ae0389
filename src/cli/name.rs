//! `name publish`, `name resolve`.

use super::{
    args::{NameAction, ResolveArgs},
    card::loud,
    output::{Screen, count, print_text},
};
use crate::rpc::{Name, NameLine, Names, Request, Resolve};

pub(super) fn request(action: NameAction) -> Request {
    match action {
        // Whoever signs reads the key's file; a daemon never learns of it.
        NameAction::Publish { .. } => Request::NamePublish,
        NameAction::Resolve(args) => {
            let ResolveArgs { publisher, peer, timeout } = args;
            Request::NameResolve(Resolve { publisher, peers: peer, timeout })
        }
    }
}

pub(super) fn print_published(answer: &Names, screen: &Screen) {
    let mut text = format!("  {}\n  {}\n", answer.publisher, answer.name);
    for line in &answer.names {
        text += &format!(
            "  {}  {}, number {}, until {}{}\n",
            line.scope,
            count(line.repos, "repo"),
            line.sequence,
            line.valid_until,
            line.peers.map(|peers| format!(", told {}", count(peers, "peer"))).unwrap_or_default()
        );
    }
    print_text(&text);
    print_elsewhere(&answer.names, screen);
    if answer.names.is_empty() {
        screen.hint("nothing is shared yet: modelswarm seed ./my-model");
    } else if answer.names.iter().all(|line| line.peers.unwrap_or(0) == 0) {
        screen.hint("keep `modelswarm daemon` running: it tells peers as soon as there are some");
    }
}

/// What other machines with the same key list against this one.
pub(super) fn print_elsewhere(names: &[NameLine], screen: &Screen) {
    let mut text = String::new();
    for one in names.iter().flat_map(|line| &line.contradicted) {
        text += &format!(
            "  CONTRADICTED  {}: the index lists another card for version {} than this machine signed\n           {}\n",
            one.name,
            one.seq,
            one.cards.join("\n           ")
        );
    }
    if !text.is_empty() {
        print_text(&text);
        screen.hint("another machine with this key signed it; settle between them: modelswarm seed PATH --onto CARD");
    }
}

pub(super) fn print_resolved(answer: &Name) {
    let mut text = format!(
        "  {}\n  {}, number {}, until {}; its publisher says:\n",
        answer.publisher, answer.name, answer.sequence, answer.valid_until
    );
    for repo in &answer.repos {
        let status = match loud(repo.status) {
            "" => String::new(),
            word => format!("  {word}"),
        };
        text += &format!(
            "  {}@{}{status}  {}\n    {}\n",
            repo.name,
            repo.version,
            count(repo.versions, "version"),
            repo.release
        );
    }
    print_text(&text);
}
