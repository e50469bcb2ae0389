//! `lineage`: the tree of signed relations over the cards that the library holds.
//!
//! Every card in the answer is verified as it is read. Cards name each other by hash, so no honest tree has a cycle;
//! one card may stand in many places all the same, and is unfolded in the first. What a card says of another it says
//! alone: only that other card's own signature tells whose it is.

use std::collections::BTreeSet;

use super::{Library, cards, sign, trust, word};
use crate::{
    card::{
        Verified,
        json::hex,
        origins::{Origin, Origins},
    },
    dag::Cid,
    limits,
    rpc::{Code, DerivedLine, Failure, Lineage, LineageCard, RelationLine},
};

/// What was made from what, starting at the card of what a REF means.
///
/// # Errors
/// Not found (3) if nobody signed it; usage (2) for a depth out of range; refused (4) for a damaged card.
pub fn lineage(library: &Library, reference: &str, depth: usize) -> Result<Lineage, Failure> {
    if !(1..=limits::LINEAGE_DEPTH_MAX).contains(&depth) {
        return Err(Failure::new(
            Code::Usage,
            format!("--depth {depth}: it goes from 1 to {}", limits::LINEAGE_DEPTH_MAX),
        ));
    }
    let (card, _) = cards::signed(library, reference)?;
    let mut walk = Walk { library, unfolded: BTreeSet::new(), relations: 0, cut: false };
    let version = walk.card(&card, depth)?;
    let (derived, more) = derived(library, card.id())?;
    Ok(Lineage { version, derived, cut: walk.cut || more })
}

struct Walk<'a> {
    library: &'a Library,
    unfolded: BTreeSet<Cid>,
    /// Relations in the answer so far.
    relations: usize,
    cut: bool,
}

impl Walk<'_> {
    /// A card, and so many levels of what it was made from.
    fn card(&mut self, card: &Verified, levels: usize) -> Result<LineageCard, Failure> {
        let statement = card.statement();
        let (origins, _) = Origins::of(statement);
        let first = levels > 0 && self.unfolded.insert(*card.id());
        let mut line = LineageCard {
            card: card.id().to_string(),
            name: statement.name.to_string(),
            revision: statement.version.to_string(),
            publisher: card.publisher().to_string(),
            trust: trust::of(self.library, Some(card), false)?.as_str().to_owned(),
            stated: word::on(self.library, card)?.stated,
            relations: Vec::new(),
            elsewhere: !first && !origins.lineage.is_empty(),
        };
        for origin in if first { origins.lineage } else { Vec::new() } {
            if self.relations == limits::LINEAGE_RELATIONS_MAX {
                self.cut = true;
                break;
            }
            self.relations += 1;
            line.relations.push(self.relation(origin, levels)?);
        }
        Ok(line)
    }

    fn relation(&mut self, origin: Origin, levels: usize) -> Result<RelationLine, Failure> {
        let here = match &origin.card {
            Some(id) => sign::card_by_id(self.library, id)?,
            None => None,
        };
        let claimed =
            |card: &Verified| origin.publisher.is_none_or(|stated| stated == *card.publisher());
        Ok(RelationLine {
            relation: origin.relation.to_string(),
            id: origin.card.map(|id| id.to_string()),
            publisher: origin.publisher.map(|id| id.to_string()),
            hub: origin.hub.as_ref().map(|hub| hub.as_str().to_owned()),
            tree_sha256: origin.tree_sha256.map(|digest| hex(&digest)),
            tool: origin.tool.clone(),
            verified: here.as_ref().is_some_and(claimed),
            card: here.map(|card| self.card(&card, levels - 1).map(Box::new)).transpose()?,
        })
    }
}

/// Which cards that are here name `card`, and whether there are more than were looked at or are listed.
fn derived(library: &Library, card: &Cid) -> Result<(Vec<DerivedLine>, bool), Failure> {
    let all = library.store().cards()?;
    let mut lines = Vec::new();
    for id in all.iter().take(limits::LINEAGE_SCAN) {
        // One damaged card must not hide the others.
        let Ok(Some(other)) = sign::card_by_id(library, id) else { continue };
        for origin in Origins::of(other.statement()).0.lineage {
            if origin.card.as_ref() != Some(card) {
                continue;
            }
            let statement = other.statement();
            lines.push(DerivedLine {
                publisher: other.publisher().to_string(),
                name: statement.name.to_string(),
                seq: statement.seq,
                version: statement.version.to_string(),
                card: id.to_string(),
                relation: origin.relation.to_string(),
                trust: trust::of(library, Some(&other), false)?.as_str().to_owned(),
            });
        }
    }
    lines.sort_unstable();
    let more = all.len() > limits::LINEAGE_SCAN || lines.len() > limits::LINEAGE_RELATIONS_MAX;
    lines.truncate(limits::LINEAGE_RELATIONS_MAX);
    Ok((lines, more))
}
