//! What a name stands for now, out of the DHT: the publisher's record, the index it points to, the release listed there.
//!
//! Asked only for `PUBLISHER/NAME` of somebody else. What the library holds already is enough where it is as new, and all
//! there is where no peer knows the name. The index is a hint: the release's card is verified, must be the one that was
//! listed, and must follow from what was accepted before.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{jobs::Job, origin, parse_peers, source::Source};
use crate::{
    card::{
        PublisherId, RepoName, Verified,
        index::{Index, Listed, Scope},
        ipns::Record,
        policy::Mark,
        reference::{Revision, Target},
    },
    dag::{Block, Cid},
    library::{Library, blocking, refs},
    limits,
    network::Network,
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
    let (held, mark) = {
        let (library, target) = (library.clone(), reference.target.clone());
        let (publisher, name) = (publisher.to_string(), name.to_string());
        let known = move || {
            let held = !refs::matching(&library, &target)?.is_empty();
            Ok((held, library.store().mark(&publisher, &name)?))
        };
        blocking(known).await?
    };
    let head = *revision == Revision::Head;
    if publisher == *library.publisher() || library.inner.network.is_none() || !head && held {
        return Ok(None);
    }
    let wait = if held { limits::NAME_WAIT_HELD } else { limits::NAME_WAIT };
    let found = index_of(library, &publisher, &get.reference, wait, job).await;
    let (index, block) = match found {
        Ok(Some((index, block, _))) => (index, block),
        Ok(None) => return Ok(None),
        // What is here is used where the rest of the world is out of reach.
        Err(_) if held => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let Some(listed) = index.find(name, revision).cloned() else {
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
        |mark: &Mark| listed.seq < mark.seq || listed.card == mark.card && mark.twins.is_empty();
    if held && mark.as_ref().is_some_and(as_new) {
        return Ok(None);
    }
    let versions = index.versions(name).to_vec();
    let name = name.clone();
    Ok(Some(Lookup { publisher, name, listed, versions, head, index, block }))
}

/// A publisher's index, and the record that led to it. For so long as `wait` a node that knows nobody, or whose peers have
/// no record, asks again: it may just have started. None: no peer has a record.
///
/// # Errors
/// Network (6) if there is nobody to ask; as [`Source::block`]; refused (4) for a block that is no index.
async fn index_of(
    library: &Library,
    publisher: &PublisherId,
    asked: &str,
    wait: Duration,
    job: &Arc<Job>,
) -> Result<Option<(Index, Block, Record)>, Failure> {
    let Some(network) = &library.inner.network else { return Ok(None) };
    let timeout = limits::NAME_WAIT.as_secs();
    let record = tokio::select! {
        found = ask(network, publisher, asked, wait) => found?,
        // Nothing is wanted of it but to dial the peers that were given.
        () = dial(Source::open(library, asked, timeout, Vec::new(), job)) => None,
    };
    let Some(record) = record else { return Ok(None) };
    let (index, block) = pointed_to(library, publisher, &record, asked, job).await?;
    Ok(Some((index, block, record)))
}

/// The index to which a record points, and its block.
async fn pointed_to(
    library: &Library,
    publisher: &PublisherId,
    record: &Record,
    asked: &str,
    job: &Arc<Job>,
) -> Result<(Index, Block), Failure> {
    let refused = |why: &dyn std::fmt::Display| {
        Failure::new(Code::Refused, format!("the index of {publisher} is refused: {why}"))
    };
    let cid = record.index().ok_or_else(|| refused(&"its record points to something else"))?;
    let timeout = limits::NAME_WAIT.as_secs();
    let mut source = Source::open(library, asked, timeout, vec![cid], job);
    let block = source.block(cid).await?;
    let index = Index::from_block(publisher, Scope::Lan, &block).map_err(|why| refused(&why))?;
    Ok((index, block))
}

/// The index to which a record points, asked of the peers that there are.
///
/// # Errors
/// As [`index_of`].
pub(in crate::library) async fn index_at(
    library: &Library,
    publisher: &PublisherId,
    record: &Record,
) -> Result<(Index, Block), Failure> {
    let asked = publisher.to_string();
    let job = Arc::new(Job::new(asked.clone()));
    pointed_to(library, publisher, record, &asked, &job).await
}

/// Asks the DHT, again and again for so long.
async fn ask(
    network: &Network,
    publisher: &PublisherId,
    asked: &str,
    wait: Duration,
) -> Result<Option<Record>, Failure> {
    let began = Instant::now();
    loop {
        let found = network.resolve_name(*publisher).await?;
        let (waited, met) = (began.elapsed(), network.status().await?.dht_peers > 0);
        // What this node itself remembers may be old: it counts only once others were asked, or none turn up.
        let enough = if met { found.is_some() } else { waited >= limits::NAME_WAIT_HELD };
        match found {
            Some(record) if enough => return Ok(Some(record)),
            None if waited >= wait && met => return Ok(None),
            None if waited >= wait => break,
            _ => sleep(limits::NAME_RETRY).await,
        }
    }
    Err(Failure::new(Code::Network, format!("no peer could be reached to ask for {asked}"))
        .hint("name one with --peer MULTIADDR or --bootstrap MULTIADDR"))
}

/// Dials the peers that a job was given, until dropped.
async fn dial(mut source: Source) {
    while source.arrived().await.is_ok() {}
    std::future::pending().await
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
    let (asked, wait) = (&resolve.publisher, Duration::from_secs(resolve.timeout));
    let wait = wait.min(limits::NAME_WAIT);
    let found = index_of(library, publisher, asked, wait, &job).await?;
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
