//! A publisher's index, out of the DHT: by the record under its key. A lab has no key of its own; its roots say which one
//! announces for it. A node that knows nothing but the lab's id (the CID of its first root, a block that its peers hold)
//! finds its way to the key of today: it asks those peers for the newest roots that they know ([`roots`]), and the index
//! says once more which those are. So a key that a lab has dropped, and a thief who has it, speaks for the lab's name only
//! to those who meet nobody that knows better.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{jobs::Job, parse_peers, roots, source::Source};
use crate::{
    card::{
        Identity, PublisherId, TufId,
        index::{Index, Scope},
        ipns::Record,
        tuf::Publisher,
    },
    dag::Block,
    library::{Library, blocking, labs},
    limits,
    network::Network,
    rpc::{Code, Failure, Resolve},
};

/// What was found under a publisher's name.
#[derive(Debug, Clone)]
pub(in crate::library) struct Found {
    pub index: Index,
    pub record: Record,
    /// The index's own block first, then what of a lab leads to it: served on with what it leads to.
    pub blocks: Vec<Block>,
}

/// A publisher's index, and the record that led to it. For so long as `wait` a node that knows nobody, or whose peers have
/// no record, asks again: it may just have started. None: no peer has a record.
///
/// # Errors
/// Network (6) if there is nobody to ask; as [`Source::block`]; refused (4) for a block that is no index, and for roots
/// that contradict those which are known.
pub(super) async fn index_of(
    library: &Library,
    publisher: &Identity,
    asked: &str,
    wait: Duration,
    job: &Arc<Job>,
) -> Result<Option<Found>, Failure> {
    match publisher {
        Identity::Key(key) => under(library, publisher, key, asked, wait, job).await,
        Identity::Tuf(id) => of_lab(library, id, asked, wait, job).await,
    }
}

/// The index to which the newest record under a key points.
async fn under(
    library: &Library,
    publisher: &Identity,
    key: &PublisherId,
    asked: &str,
    wait: Duration,
    job: &Arc<Job>,
) -> Result<Option<Found>, Failure> {
    let Some(network) = &library.inner.network else { return Ok(None) };
    let timeout = limits::NAME_WAIT.as_secs();
    let record = tokio::select! {
        found = ask(network, key, asked, wait) => found?,
        // Nothing is wanted of it but to dial the peers that were given.
        () = dial(Source::open(library, asked, timeout, Vec::new(), job)) => None,
    };
    let Some(record) = record else { return Ok(None) };
    pointed_to(library, publisher, record, asked, job).await.map(Some)
}

/// The index to which a record points.
async fn pointed_to(
    library: &Library,
    publisher: &Identity,
    record: Record,
    asked: &str,
    job: &Arc<Job>,
) -> Result<Found, Failure> {
    let refused = |why: &dyn std::fmt::Display| refused(publisher, why);
    let cid = record.index().ok_or_else(|| refused(&"its record points to something else"))?;
    let timeout = limits::NAME_WAIT.as_secs();
    let mut source = Source::open(library, asked, timeout, vec![cid], job);
    let block = source.block(cid).await?;
    let index = Index::from_block(publisher, Scope::Lan, &block).map_err(|why| refused(&why))?;
    Ok(Found { index, record, blocks: vec![block] })
}

/// The index to which a record points, asked of the peers that there are. A lab's roots that it names are known from then on.
///
/// # Errors
/// As [`index_of`].
pub(in crate::library) async fn index_at(
    library: &Library,
    publisher: &Identity,
    record: Record,
) -> Result<Index, Failure> {
    let asked = publisher.to_string();
    let job = Arc::new(Job::new(asked.clone()));
    let found = pointed_to(library, publisher, record, &asked, &job).await?;
    if let Some(id) = publisher.as_lab() {
        newest_roots(library, id, &found.index, &asked, &job).await?;
    }
    Ok(found.index)
}

/// What is known of a lab once the roots that its index names are, and the block in which they came.
async fn newest_roots(
    library: &Library,
    id: &TufId,
    index: &Index,
    asked: &str,
    job: &Arc<Job>,
) -> Result<Option<(Publisher, Block)>, Failure> {
    let Some(cid) = index.document() else { return Ok(None) };
    let timeout = limits::NAME_WAIT.as_secs();
    let mut source = Source::open(library, asked, timeout, vec![*cid], job);
    let block = source.block(*cid).await?;
    let came = Publisher::expect(id, block.data());
    let came = came.map_err(|why| refused(&Identity::Tuf(*id), &why))?;
    Ok(Some((learn(library, came).await?, block)))
}

/// A lab's index: from the roots that are known to the newest ones, which may name another key to ask.
async fn of_lab(
    library: &Library,
    id: &TufId,
    asked: &str,
    wait: Duration,
    job: &Arc<Job>,
) -> Result<Option<Found>, Failure> {
    let publisher = Identity::Tuf(*id);
    let mut lab = known_or_first(library, id, asked, job).await?;
    lab = roots::ask(library, id, asked, job).await?.unwrap_or(lab);
    let mut asked_again = false;
    for _ in 0..limits::LAB_ANNOUNCE_HOPS {
        let key = lab.head().content().announce;
        let found = under(library, &publisher, &key, asked, wait, job).await?;
        // Peers that know better may have been met only meanwhile.
        if !asked_again {
            asked_again = true;
            lab = roots::ask_once(library, id).await?.unwrap_or(lab);
            if lab.head().content().announce != key {
                continue;
            }
        }
        let Some(mut found) = found else { return Ok(None) };
        if let Some((newest, block)) = newest_roots(library, id, &found.index, asked, job).await? {
            lab = newest;
            found.blocks.extend([block, lab.first_block()]);
        }
        if lab.head().content().announce == key {
            return Ok(Some(found));
        }
    }
    Err(refused(&publisher, &"its roots name one key after another to ask"))
}

/// A lab as it is known here, else by its first root alone, which whoever serves its cards holds.
async fn known_or_first(
    library: &Library,
    id: &TufId,
    asked: &str,
    job: &Arc<Job>,
) -> Result<Publisher, Failure> {
    let known = {
        let (library, id) = (library.clone(), *id);
        blocking(move || labs::known(&library, &id)).await?
    };
    if let Some(known) = known {
        return Ok(known);
    }
    let timeout = limits::NAME_WAIT.as_secs();
    let mut source = Source::open(library, asked, timeout, vec![id.cid()], job);
    let first = source.block(id.cid()).await?;
    let refused = |why: &dyn std::fmt::Display| refused(&Identity::Tuf(*id), why);
    let text = std::str::from_utf8(first.data()).map_err(|why| refused(&why))?;
    Publisher::from_roots(&[text]).map_err(|why| refused(&why))
}

pub(super) async fn learn(library: &Library, came: Publisher) -> Result<Publisher, Failure> {
    let library = library.clone();
    blocking(move || labs::learn(&library, came)).await
}

fn refused(publisher: &Identity, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::Refused, format!("the index of {publisher} is refused: {why}"))
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
pub(super) async fn dial(mut source: Source) {
    while source.arrived().await.is_ok() {}
    std::future::pending().await
}

/// What peers know of a publisher's names; the request may name peers to ask.
///
/// # Errors
/// As [`index_of`].
pub(in crate::library) async fn index_of_publisher(
    library: &Library,
    publisher: &Identity,
    resolve: &Resolve,
) -> Result<Option<Found>, Failure> {
    let job = Arc::new(Job::new(resolve.publisher.clone()));
    for peer in parse_peers(&resolve.peers)? {
        job.add_peer(peer)?;
    }
    let (asked, wait) = (&resolve.publisher, Duration::from_secs(resolve.timeout));
    index_of(library, publisher, asked, wait.min(limits::NAME_WAIT), &job).await
}
