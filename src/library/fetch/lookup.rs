//! What a name stands for now, out of the DHT: the publisher's record, the index it points to, the release listed there.
//!
//! Asked only for `PUBLISHER/NAME` of somebody else. What the library holds already is enough where it is as new, and all
//! there is where no peer knows the name. The index is a hint: the release's card is verified, must be the one that was
//! listed, and must follow from what was accepted before.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::{jobs::Job, origin, parse_peers, source::Source};
use crate::{
    card::{
        PublisherId, RepoName, Verified,
        index::{Index, Listed, Scope},
        ipns::Record,
        reference::{Revision, Target},
    },
    dag::{Block, Cid},
    library::{Library, blocking, refs},
    limits,
    rpc::{Code, Failure, Get, Resolve},
};

/// What an index says of a name.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    pub publisher: PublisherId,
    pub name: RepoName,
    /// The version that is meant.
    pub listed: Listed,
    /// All that are listed, the newest first.
    pub versions: Vec<Listed>,
    /// Whether it is meant as the newest, not by a version or an id.
    pub head: bool,
    index: Index,
    /// The index's own block: kept and served on with what it led to.
    pub block: Block,
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
    let Target::Repo { publisher, name, revision } = &reference.target else { return Ok(None) };
    let publisher = refs::publisher_id(library, publisher)?;
    let held = {
        let (library, target) = (library.clone(), reference.target.clone());
        blocking(move || {
            Ok(refs::matching(&library, &target)?.pop().and_then(|held| held.tree.seq))
        })
    };
    let held = held.await?;
    let head = *revision == Revision::Head;
    if publisher == *library.publisher()
        || library.inner.network.is_none()
        || !head && held.is_some()
    {
        return Ok(None);
    }
    let wait = if held.is_some() { None } else { Some(get.timeout) };
    let found = index_of(library, &publisher, &get.reference, wait, job).await;
    let (index, block) = match found {
        Ok(Some((index, block, _))) => (index, block),
        Ok(None) => return Ok(None),
        // What is here is used where the rest of the world is out of reach.
        Err(_) if held.is_some() => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let Some(listed) = index.find(name, revision).cloned() else {
        if held.is_some() {
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
    if held.is_some_and(|seq| seq >= listed.seq) {
        return Ok(None);
    }
    let versions = index.versions(name).to_vec();
    let name = name.clone();
    Ok(Some(Lookup { publisher, name, listed, versions, head, index, block }))
}

/// A publisher's index, and the record that led to it. `wait`: keep trying so many seconds, since a node that has just
/// started knows nobody yet; otherwise once. None: no peer has a record.
///
/// # Errors
/// As [`Source::block`]; refused (4) for a block that is no index.
async fn index_of(
    library: &Library,
    publisher: &PublisherId,
    asked: &str,
    wait: Option<u64>,
    job: &Arc<Job>,
) -> Result<Option<(Index, Block, Record)>, Failure> {
    let Some(network) = &library.inner.network else { return Ok(None) };
    let timeout = wait.unwrap_or(limits::NAME_WAIT.as_secs());
    let mut dialling = Source::open(library, asked, timeout, Vec::new(), job);
    let began = Instant::now();
    let attempts = async {
        loop {
            match network.resolve_name(*publisher).await? {
                None if wait.is_some() && began.elapsed() < limits::NAME_WAIT => {
                    sleep(limits::NAME_RETRY).await;
                }
                found => return Ok::<_, Failure>(found),
            }
        }
    };
    let record = tokio::select! {
        found = attempts => found?,
        // Nothing is wanted of it yet but to dial the peers that were given.
        nobody = dialling.arrived() => nobody.map(|_| None)?,
    };
    let Some(record) = record else { return Ok(None) };
    let refused = |why: &dyn std::fmt::Display| {
        Failure::new(Code::Refused, format!("the index of {publisher} is refused: {why}"))
    };
    let cid = record.index().ok_or_else(|| refused(&"its record points to something else"))?;
    let mut source = Source::open(library, asked, timeout, vec![cid], job);
    let block = source.block(cid).await?;
    let index = Index::from_block(publisher, Scope::Lan, &block).map_err(|why| refused(&why))?;
    Ok(Some((index, block, record)))
}

/// What peers know of a publisher's names; the request may name peers to ask.
///
/// # Errors
/// As [`index_of`].
pub(in crate::library) async fn index_of_publisher(
    library: &Library,
    publisher: &PublisherId,
    resolve: &Resolve,
) -> Result<Option<(Index, Record)>, Failure> {
    let job = Arc::new(Job::new(resolve.publisher.clone()));
    for peer in parse_peers(&resolve.peers)? {
        job.add_peer(peer)?;
    }
    let asked = &resolve.publisher;
    let found = index_of(library, publisher, asked, Some(resolve.timeout), &job).await?;
    Ok(found.map(|(index, _, record)| (index, record)))
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

    /// Fetches the cards between what was accepted and the listed one, so that the chain can be followed. What is listed
    /// and does not arrive, or is another card, is left out: the chain then has a gap, which is said.
    pub(super) async fn fill(&self, library: &Library, source: &mut Source) -> Result<(), Failure> {
        let (publisher, name) = (self.publisher.to_string(), self.name.to_string());
        let mark = {
            let store = library.store().clone();
            blocking(move || Ok(store.mark(&publisher, &name)?)).await?
        };
        let Some(mark) = mark else { return Ok(()) };
        let between =
            self.versions.iter().filter(|one| one.seq > mark.seq && one.seq < self.listed.seq);
        for listed in between {
            let known: Cid = listed.card;
            let store = library.store().clone();
            if blocking(move || Ok(store.card(&known)?)).await?.is_some() {
                continue;
            }
            let card = origin::card_of_release(source, listed.release).await?;
            if self.index.check(&self.name, listed, &card).is_ok() {
                let store = library.store().clone();
                blocking(move || Ok(store.save_card(card.id(), card.bundle())?)).await?;
            }
        }
        Ok(())
    }
}
