//! What a new version states of its origins: from its README, from what the user says, from the version before.
//!
//! Which card a name stands for is looked up once and stays: a base that moves on afterwards changes nothing of a
//! version that is seeded again. Only what the user's own words name is resolved, an alias or a publisher's key; a name
//! of the Hub alone stays one, however much a repo of the library is called so. What cards state is `card::origins`'.

use super::{Library, Watch, refs, sign, trust};
use crate::{
    card::{
        Reference, Verified,
        json::{Map, Value},
        origins::{
            HubId, Origin, Origins, Relation,
            readme::{self, Results, Source},
        },
        reference::{Publisher, Target},
    },
    dag::{Cid, name::escape},
    limits,
    rpc::{Code, Failure},
};

/// What a version's own files and the user say.
#[derive(Debug)]
pub(super) struct Said<'a> {
    /// The README's front matter.
    pub metadata: &'a Map,
    /// Lists of results in files of their own.
    pub results: Vec<Vec<Value>>,
    /// `--base`, as typed.
    pub bases: &'a [String],
    /// `--link`, as typed.
    pub links: &'a [String],
    /// Root of the files.
    pub root: Cid,
}

/// The predicate's fields for the next card of a repo.
///
/// # Errors
/// Usage (2) for what the user gave and no card can state; not found (3) for a publisher's repo that is not here.
pub(super) fn fields(
    library: &Library,
    said: &Said<'_>,
    before: Option<&Verified>,
    watch: &Watch,
) -> Result<Map, Failure> {
    let held = before.map(|card| Origins::of(card.statement()).0).unwrap_or_default();
    let old: Vec<Source> =
        before.map(|card| readme::sources(&card.statement().metadata).0).unwrap_or_default();
    let same_root = before.is_some_and(|card| card.statement().root == said.root);
    let (sources, mut left_out) = readme::sources(said.metadata);
    let mut lineage = if said.bases.is_empty() {
        let by_hand = |origin: &Origin| !old.iter().any(|source| source.made(origin));
        held.lineage.iter().filter(|origin| by_hand(origin)).cloned().collect()
    } else {
        given(library, said.bases, watch)?
    };
    for source in &sources {
        let known = held.lineage.iter().find(|origin| source.made(origin) && old.contains(source));
        let origin = match known.filter(|origin| same_root || origin.card.is_some()) {
            Some(origin) => Some(origin.clone()),
            None => resolve(library, source)?,
        };
        match origin {
            Some(origin) if lineage.len() < limits::LINEAGE_MAX => {
                if !lineage.contains(&origin) {
                    lineage.push(origin);
                }
            }
            Some(_) => left_out.push(format!("{} above {}", source.text, limits::LINEAGE_MAX)),
            None => left_out.push(format!("{}, which is not in this library", source.text)),
        }
    }
    let mut results = Results::default();
    results.add_model_index(said.metadata);
    said.results.iter().for_each(|list| results.add_list(list));
    let (evals, unfit) = results.finish();
    left_out.extend(unfit);
    if !left_out.is_empty() {
        watch.warn(format!("the card does not state: {}", left_out.join("; ")));
    }
    let links = match said.links {
        [] => held.links,
        links => links.iter().filter(|link| !link.is_empty()).cloned().collect(),
    };
    Origins { lineage, evals, links }.to_fields().map_err(|why| {
        Failure::new(Code::Usage, format!("the card cannot be made: {why}"))
            .hint("see modelswarm seed --help: --base, --link")
    })
}

/// What a README names. None for a publisher's repo that is not here: without a card or a name of the Hub there is
/// nothing to state.
fn resolve(library: &Library, source: &Source) -> Result<Option<Origin>, Failure> {
    let origin = Origin { hub: source.text.parse().ok(), ..Origin::new(source.relation) };
    let target = source.text.parse::<Reference>().ok().map(|reference| reference.target);
    let card = match &target {
        Some(Target::Card(id)) => return by_id(library, origin, id).map(Some),
        Some(Target::Repo { publisher, .. }) if is_known(library, publisher)? => {
            newest(library, target.as_ref().expect("matched above"))?
        }
        _ => None,
    };
    let named = card.map_or(origin.clone(), |card| by_card(origin, &card));
    Ok((named.card.is_some() || named.hub.is_some()).then_some(named))
}

/// What the user names, `REF` or `REF=RELATION` each; an empty one drops those of the version before.
fn given(library: &Library, bases: &[String], watch: &Watch) -> Result<Vec<Origin>, Failure> {
    let mut lineage = Vec::new();
    for base in bases.iter().filter(|base| !base.is_empty()) {
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::new(Code::Usage, format!("--base {}: {why}", escape(base)))
        };
        let (text, relation) = match base.rsplit_once('=') {
            Some((text, relation)) => (text, relation.parse().map_err(|why| wrong(&why))?),
            None => (base.as_str(), Relation::Finetune),
        };
        let origin = Origin::new(relation);
        let target = refs::parse(text)?.target;
        let here = match &target {
            Target::Card(id) => {
                lineage.push(by_id(library, origin, id)?);
                continue;
            }
            Target::Repo { publisher, .. } if !is_known(library, publisher)? => None,
            target => newest(library, target)?,
        };
        let hub: Option<HubId> = text.parse().ok();
        lineage.push(match (here, hub) {
            (Some(card), _) => by_card(origin, &card),
            (None, Some(hub)) => {
                watch.warn(format!(
                    "--base {text}: no card of that name is here, so it is stated as what the Hub calls so"
                ));
                Origin { hub: Some(hub), ..origin }
            }
            (None, None) => {
                return Err(Failure::new(
                    Code::NotFound,
                    format!("--base {}: no card of it is here", escape(text)),
                )
                .hint("fetch it first, or name its card by its id"));
            }
        });
    }
    Ok(lineage)
}

fn is_known(library: &Library, publisher: &Publisher) -> Result<bool, Failure> {
    match publisher {
        Publisher::Id(_) => Ok(true),
        Publisher::Alias(alias) => Ok(trust::resolve(library, alias.as_str())?.is_some()),
    }
}

/// The card of what the library holds under a name, verified.
fn newest(library: &Library, target: &Target) -> Result<Option<Verified>, Failure> {
    // Which of two repos or of two contradicting cards is meant, nobody can say here.
    let held = refs::matching(library, target).and_then(|held| refs::pick(library, target, held));
    match held {
        Ok(Some(held)) => sign::card_of(library, &held.tree),
        Ok(None) => Ok(None),
        Err(why) if matches!(why.code, Code::Usage | Code::Refused) => Ok(None),
        Err(why) => Err(why),
    }
}

fn by_card(origin: Origin, card: &Verified) -> Origin {
    let publisher = Some(*card.publisher());
    Origin { card: Some(*card.id()), publisher, ..origin }
}

/// A card named by its id, which need not be here.
fn by_id(library: &Library, origin: Origin, id: &Cid) -> Result<Origin, Failure> {
    let card = sign::card_by_id(library, id)?;
    let publisher = card.map(|card| *card.publisher());
    Ok(Origin { card: Some(*id), publisher, ..origin })
}
