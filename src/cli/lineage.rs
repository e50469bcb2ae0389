//! `lineage`: its answer as text.

use super::{
    card::loud,
    output::{Screen, print_text},
};
use crate::{
    dag::name::escape,
    rpc::{Lineage, LineageCard, RelationLine},
};

pub(super) fn print(answer: &Lineage, screen: &Screen) {
    let version = &answer.version;
    let mut text = format!("  {}\n  card {}\n", named(version), version.card);
    branches(version, "  ", &mut text);
    if version.relations.is_empty() {
        text += "  its card states nothing of what it was made from\n";
    }
    for line in &answer.derived {
        text += &format!(
            "  <- {}@{}, {} of it by {}\n       card {}\n",
            line.name,
            line.version,
            line.relation,
            by(&line.publisher, &line.trust),
            line.card
        );
    }
    print_text(&text);
    if answer.cut {
        screen.hint("there is more than is shown");
    }
}

fn branches(version: &LineageCard, indent: &str, text: &mut String) {
    for (at, relation) in version.relations.iter().enumerate() {
        let last = at + 1 == version.relations.len();
        let (branch, below) = if last { ("└─", "  ") } else { ("├─", "│ ") };
        let below = format!("{indent}{below} ");
        *text += &format!("{indent}{branch} {} {}\n", relation.relation, what(relation));
        for detail in details(relation) {
            *text += &format!("{below}  {detail}\n");
        }
        if let Some(card) = &relation.card {
            branches(card, &below, text);
        }
    }
}

/// What a relation leads to, and how far that is known.
fn what(relation: &RelationLine) -> String {
    match (&relation.card, &relation.id, &relation.hub) {
        (Some(card), ..) if relation.verified => format!("{}, verified", named(card)),
        (Some(card), ..) => format!("{}, NOT the publisher that is stated", named(card)),
        (None, Some(_), _) => "a card that is not here".to_owned(),
        (None, None, hub) => format!(
            "{} on the Hub, which nobody signed",
            escape(hub.as_deref().unwrap_or_default())
        ),
    }
}

fn details(relation: &RelationLine) -> Vec<String> {
    let elsewhere = relation.card.as_ref().is_some_and(|card| card.elsewhere);
    let publisher = relation.publisher.as_ref().filter(|_| !relation.verified);
    let hub = relation.hub.as_ref().filter(|_| relation.id.is_some());
    [
        relation.id.as_ref().map(|id| format!("card {id}")),
        publisher.map(|publisher| format!("of {publisher}, it says")),
        hub.map(|hub| format!("{} on the Hub", escape(hub))),
        relation.tree_sha256.as_ref().map(|digest| format!("tree sha256 {digest}")),
        relation.tool.as_ref().map(|tool| format!("made with {}", escape(tool))),
        elsewhere.then(|| "…".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn named(card: &LineageCard) -> String {
    let stated = card.stated.map(|status| format!("  {}", loud(status))).unwrap_or_default();
    format!("{}@{} by {}{stated}", card.name, card.revision, by(&card.publisher, &card.trust))
}

fn by(publisher: &str, trust: &str) -> String {
    match trust {
        "own" => "you".to_owned(),
        "trusted" => format!("{publisher}, trusted"),
        _ => format!("{publisher}, NEW to you"),
    }
}
