//! One thing asked for: whom to ask, and what they say.
//!
//! Asked are connected peers that speak the protocol, and the providers of the root that the DHT names. It lasts until
//! all have answered, fallen silent or gone and no more can come, and no longer than [`limits::ATTEST_TIME`].

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use libp2p::PeerId;
use tokio::sync::oneshot;
use tokio::time::{interval, sleep_until};

use super::super::command::Command;
use super::super::{Error, Network, Providers};
use crate::dag::Cid;
use crate::limits;

/// Whom there is to ask.
#[derive(Debug)]
pub(in super::super) struct Standing {
    /// Connected peers that say that they speak the protocol.
    pub(in super::super) speakers: Vec<PeerId>,
    /// Whether more may be there in a moment.
    pub(in super::super) reaching: bool,
    /// Peers in the DHT's routing table.
    pub(in super::super) table: usize,
}

/// See [`Network::attestations`].
pub(in super::super) async fn run(
    network: &Network,
    root: Cid,
    about: Cid,
    within: Duration,
) -> Result<Vec<(PeerId, Vec<Bytes>)>, Error> {
    let begun = Instant::now();
    let end = sleep_until((begun + within.min(limits::ATTEST_TIME)).into());
    tokio::pin!(end);
    let mut look = interval(limits::ATTEST_LOOK);
    let mut asked = HashSet::new();
    let mut open = FuturesUnordered::new();
    let mut answers = Vec::new();
    let mut searched = standing(network, true).await?.table;
    let mut search = find(network, root).await?;
    loop {
        tokio::select! {
            Some(answer) = open.next(), if !open.is_empty() => answers.extend(answer),
            provider = next(&mut search), if search.is_some() => match provider {
                Some(peer) if asked.len() < limits::ATTEST_PEERS && asked.insert(peer) => {
                    open.push(ask(network, peer, about));
                }
                Some(_) => {}
                None => search = None,
            },
            _ = look.tick() => {
                let standing = standing(network, false).await?;
                let searching = begun.elapsed() < limits::ATTEST_SEARCH;
                if !searching {
                    search = None;
                } else if search.is_none() && standing.table > searched && standing.table >= 2 * searched {
                    search = find(network, root).await?;
                    searched = standing.table;
                }
                let more = searching && (search.is_some() || standing.reaching);
                let most = if more { limits::ATTEST_CONNECTED } else { limits::ATTEST_PEERS };
                for peer in standing.speakers {
                    if asked.len() < most && asked.insert(peer) {
                        open.push(ask(network, peer, about));
                    }
                }
                if open.is_empty() && (!more || asked.len() >= limits::ATTEST_PEERS) {
                    return Ok(answers);
                }
            }
            () = &mut end => return Ok(answers),
        }
    }
}

async fn standing(network: &Network, first: bool) -> Result<Standing, Error> {
    network.call(|reply| Command::Attestors { first, reply }).await
}

/// Too many searches: then this one finds nobody.
async fn find(network: &Network, root: Cid) -> Result<Option<Providers>, Error> {
    match network.find_providers(root).await {
        Err(Error::Stopped) => Err(Error::Stopped),
        found => Ok(found.ok()),
    }
}

async fn next(search: &mut Option<Providers>) -> Option<PeerId> {
    search.as_mut()?.next().await
}

/// What one peer answers, if it does.
async fn ask(network: &Network, peer: PeerId, cid: Cid) -> Option<(PeerId, Vec<Bytes>)> {
    let (reply, answer) = oneshot::channel();
    network.send(Command::Ask { peer, cid, reply }).await.ok()?;
    Some((peer, answer.await.ok()?))
}
