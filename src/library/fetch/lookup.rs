//! What a name stands for now, out of the DHT: the publisher's record, the index it points to, the release listed there.
//!
//! Asked only for `PUBLISHER/NAME` of somebody else, and for a card's id, which one of the publishers that the user trusts may
//! list. What the library holds already is enough where it is as new, and all
//! there is where no peer knows the name. The index is a hint: the release's card is verified, must be the one that was
//! listed, and must follow from what was accepted before.

use std::sync::Arc;

use futures::{StreamExt as _, stream::FuturesUnordered};

use super::{
    jobs::Job,
    origin,
    resolve::{Found, index_of},
    source::Source,
};
use crate::{
    card::{
        Identity, RepoName, Verified,
        index::{Index, Listed},
        policy::{Asked, Mark},
        reference::{Revision, Target},
        statement::Status,
    },
    dag::{Block, Cid},
    library::{Library, blocking, refs, trust},
    limits,
    rpc::{Code, Failure, Get},
};

/// What an index says of a name.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    pub publisher: Identity,
    pub name: RepoName,
    /// The version that is meant.
    pub listed: Listed,
    /// All that are listed, the newest first.
    pub versions: Vec<Listed>,
    /// Whether it is meant as the newest, by a version or by an id.
    pub asked: Asked,
    /// A later card over the same files by which they are not to be used any more.
    pub later: Option<Verified>,
    index: Index,
    /// The index's own block, and what led there: kept and served on with what it led to.
    pub blocks: Vec<Block>,
}

/// Looks a REF up, if it is the name of somebody else's repo and the library holds nothing as new.
///
/// # Errors
/// Not found (3) for a name that its publisher does not list; as [`index_of`].
pub(super) async fn look_up(
    library: &Library,
    get: &Get,
    job: &Arc<Job>,
) -> Result<Option<Lookup>, Failure> {
    let reference = refs::parse(&get.reference)?;
    let (publisher, name, revision, found) = match &reference.target {
        Target::Repo { publisher, name, revision } => {
            (refs::publisher_id(library, publisher)?, name, revision.clone(), None)
        }
        Target::Card(card) => match lists(library, card, get, job).await? {
            Some((publisher, name, found)) => {
                (publisher, &name.clone(), Revision::Cid(*card), Some(found))
            }
            None => return Ok(None),
        },
        Target::Cid(_) | Target::Local { .. } => return Ok(None),
    };
    let (held, mark) = {
        let (library, target) = (library.clone(), reference.target.clone());
        let (publisher, name) = (publisher.to_string(), name.to_string());
        let known = move || {
            let held = !refs::known(&library, &target)?.is_empty();
            Ok((held, library.store().mark(&publisher, &name)?))
        };
        blocking(known).await?
    };
    let head = revision == Revision::Head;
    if library.is_own(&publisher) || library.inner.network.is_none() || !head && held {
        return Ok(None);
    }
    let wait = if held { limits::NAME_WAIT_HELD } else { limits::NAME_WAIT };
    let found = match found {
        Some(found) => Ok(Some(found)),
        None => index_of(library, &publisher, &get.reference, wait, job).await,
    };
    let (index, blocks) = match found {
        Ok(Some(Found { index, blocks, .. })) => (index, blocks),
        Ok(None) => return Ok(None),
        // What is here is used where the rest of the world is out of reach.
        Err(_) if held => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let Some(listed) = index.find(name, &revision).cloned() else {
        if held {
            return Ok(None);
        }
        let listed: Vec<&str> =
            index.repos().map(|(name, _)| name.as_str()).take(limits::NAMES_HINTED).collect();
        return Err(Failure::new(
            Code::NotFound,
            format!("{} is not in its publisher's index", get.reference),
        )
        .hint(format!("listed are: {}", listed.join(", "))));
    };
    // What was accepted is as new, or the record is an old one.
    let as_new =
        |mark: &Mark| listed.seq < mark.seq || listed.card == mark.card && mark.is_agreed();
    if held && mark.as_ref().is_some_and(as_new) {
        return Ok(None);
    }
    let versions = index.versions(name).to_vec();
    let name = name.clone();
    let asked = match revision {
        Revision::Head => Asked::Newest,
        Revision::Version(_) => Asked::Version,
        Revision::Commit(_) | Revision::Cid(_) => Asked::Id,
    };
    let mut lookup =
        Lookup { publisher, name, listed, versions, asked, later: None, index, blocks };
    lookup.hear_later(library, get, job).await;
    Ok(Some(lookup))
}

/// Who lists a card that is not here, of those whom the user trusts, and as which repo: a card's id alone does not say whose it
/// is. Their indexes are asked at the same time.
async fn lists(
    library: &Library,
    card: &Cid,
    get: &Get,
    job: &Arc<Job>,
) -> Result<Option<(Identity, RepoName, Found)>, Failure> {
    let (of, target) = (library.clone(), Target::Card(*card));
    let here = blocking(move || Ok(!refs::known(&of, &target)?.is_empty())).await?;
    if here || library.inner.network.is_none() {
        return Ok(None);
    }
    let list = trust::load(&library.inner.home)?;
    let publishers = list.publishers().iter().map(|trusted| trusted.id);
    let others = publishers.filter(|publisher| !library.is_own(publisher));
    let asked = others.take(limits::CARD_INDEXES).map(|publisher| async move {
        let found = index_of(library, &publisher, &get.reference, limits::NAME_WAIT, job).await;
        found.ok().flatten().map(|found| (publisher, found))
    });
    let mut asked: FuturesUnordered<_> = asked.collect();
    while let Some(answer) = asked.next().await {
        let Some((publisher, found)) = answer else { continue };
        let mut repos = found.index.repos();
        let repo = repos.find(|(_, versions)| versions.iter().any(|listed| listed.card == *card));
        let Some(name) = repo.map(|(name, _)| name.clone()) else { continue };
        drop(repos);
        return Ok(Some((publisher, name, found)));
    }
    Ok(None)
}

impl Lookup {
    /// Refuses a card that is not the one which was listed.
    pub(super) fn check(&self, card: &Verified) -> Result<(), Failure> {
        self.index.check(&self.name, &self.listed, card).map_err(|why| {
            Failure::new(
                Code::Refused,
                format!(
                    "{}/{} is not what its publisher's index says: {why}",
                    self.publisher, self.name
                ),
            )
            .hint(format!("to use it all the same name its CID: {}", self.listed.release))
        })
    }

    /// Fetches the newest card that is listed over the same files, if it says that they are not to be used any more. Where
    /// it can't be had, the index is believed: whoever publishes the one signs the other.
    async fn hear_later(&mut self, library: &Library, get: &Get, job: &Arc<Job>) {
        let mut over = self.versions.iter().filter(|one| one.root == self.listed.root);
        let later = over.next().filter(|newest| newest.seq > self.listed.seq);
        let Some(later) = later.filter(|later| later.status != Status::Active) else { return };
        let timeout = limits::NAME_WAIT.as_secs();
        let mut source = Source::open(library, &get.reference, timeout, vec![later.release], job);
        let card = origin::card_of_release(library, &mut source, later.release).await;
        let card = card.and_then(|card| match self.index.check(&self.name, later, &card) {
            Ok(()) => Ok(card),
            Err(why) => Err(Failure::new(Code::Refused, why.to_string())),
        });
        match card {
            Ok(card) => self.later = Some(card),
            Err(failure) => {
                tracing::info!(%failure, "a later card that is listed could not be read");
                let word =
                    if later.status == Status::Withdrawn { "WITHDRAWN" } else { "DEPRECATED" };
                job.warn(format!(
                    "version {} is {word} by its publisher, as version {} in its index says",
                    self.listed.version, later.version
                ));
            }
        }
    }

    /// Fetches the cards between what was accepted and the listed one, so that the chain can be followed. What is listed
    /// and does not arrive, or is another card, is left out: the chain then has a gap, which is said.
    pub(super) async fn fill(&self, library: &Library, source: &mut Source) -> Result<(), Failure> {
        let (publisher, name) = (self.publisher.to_string(), self.name.to_string());
        let mark = {
            let store = library.store().clone();
            blocking(move || Ok(store.mark(&publisher, &name)?)).await?
        };
        let Some(mark) = mark else { return Ok(()) };
        // What lies between, and where that follows another card than the accepted one, what leads to where they part.
        let before = self.versions.iter().filter(|one| one.seq < self.listed.seq);
        for listed in before {
            if listed.seq <= mark.seq && listed.card == mark.card {
                break;
            }
            let known: Cid = listed.card;
            let store = library.store().clone();
            let is_here = blocking(move || Ok(store.card(&known)?)).await?.is_some();
            match (is_here, listed.seq > mark.seq) {
                (true, true) => continue,
                (true, false) => break,
                (false, _) => {}
            }
            let card = match origin::card_of_release(library, source, listed.release).await {
                Ok(card) => card,
                Err(failure) if listed.seq > mark.seq => return Err(failure),
                Err(failure) => {
                    tracing::debug!(%failure, "a card below what was accepted was not to be had");
                    break;
                }
            };
            if self.index.check(&self.name, listed, &card).is_ok() {
                let store = library.store().clone();
                blocking(move || Ok(store.save_card(card.id(), card.bundle())?)).await?;
            }
        }
        Ok(())
    }
}
