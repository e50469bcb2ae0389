//! The one dispatcher: a request to the library or the network, and its answer.

use std::sync::Arc;

use super::{Node, Role, listen::address_of};
use crate::{
    config::rates::Rates,
    library::{self, Library, Watch},
    network,
    rpc::{
        Answer, Code, Failure, Health, Identity, Initialised, PeerLine, Peers, Request, Status,
        StoreFigures,
    },
};

/// Works on a request to its end.
pub(super) async fn answer(node: &Node, request: Request, watch: Watch) -> Result<Answer, Failure> {
    let library = &node.inner.library;
    Ok(match request {
        Request::Seed(seed) => Answer::Seeded(library::seed(library, seed, watch).await?),
        Request::Adopt { paths } => Answer::Adopted(library::adopt(library, paths, watch).await?),
        Request::Get(get) => Answer::Fetched(library::get(library, get, watch).await?),
        Request::Cat(cat) => Answer::Printed(library::read::cat(library, cat, watch).await?),
        Request::Verify { target } => {
            Answer::Verified(library::verify(library, target, watch).await?)
        }
        Request::ImportSig(wanted) => {
            Answer::ImportedSignature(library::import_signature(library, wanted, watch).await?)
        }
        Request::Repair if node.inner.role == Role::Repair => {
            Answer::Rebuilt(library::repair(library, watch).await?)
        }
        Request::Repair => {
            return Err(Failure::new(Code::Failure, "the index of a running node is not rebuilt")
                .hint("stop the daemon first, then run modelswarm repair"));
        }
        Request::Gc => {
            Answer::Collected(blocking(library, move |library| library::gc(library, &watch)).await?)
        }
        Request::Ls => Answer::Repos(blocking(library, library::list).await?),
        Request::Show { reference } => Answer::Shown(
            blocking(library, move |library| library::show(library, &reference)).await?,
        ),
        Request::CardShow { reference } => Answer::CardShown(
            blocking(library, move |library| library::cards::show(library, &reference)).await?,
        ),
        Request::CardLog { reference } => Answer::CardLog(
            blocking(library, move |library| library::cards::log(library, &reference)).await?,
        ),
        Request::CardDiff { from, to } => Answer::CardDiff(
            blocking(library, move |library| library::cards::diff(library, &from, &to)).await?,
        ),
        Request::Lineage { reference, depth } => Answer::Lineage(
            blocking(library, move |library| library::lineage(library, &reference, depth)).await?,
        ),
        Request::Restate(restate) => {
            Answer::CardLog(library::cards::restate(library, restate, watch).await?)
        }
        Request::CardExport { reference, output } => Answer::ExportedCard(
            blocking(library, move |library| library::export_card(library, &reference, &output))
                .await?,
        ),
        Request::Endorse(endorse) => Answer::Endorsed(
            blocking(library, move |library| library::claims::endorse(library, &endorse, &watch))
                .await?,
        ),
        Request::EndorseImport { path } => Answer::ImportedClaims(
            blocking(library, move |library| library::claims::import(library, &path)).await?,
        ),
        Request::Claims(of) => Answer::Claims(library::claims::list(library, of, &watch).await?),
        Request::Publish { reference } => {
            Answer::Seeded(library::drafts::publish_named(library, &reference, watch).await?)
        }
        Request::NamePublish => Answer::Names(library::names::publish(library, watch).await?),
        Request::NameResolve(resolve) => {
            Answer::Name(library::names::resolve(library, resolve).await?)
        }
        Request::Rm { reference } => {
            Answer::Removed(library::remove(library, &reference, &watch).await?)
        }
        Request::Pin { reference } => {
            Answer::Shared(library::pin(library, &reference, true).await?)
        }
        Request::Unpin { reference } => {
            Answer::Shared(library::pin(library, &reference, false).await?)
        }
        Request::Share { reference, to } => {
            Answer::Shared(library::share(library, &reference, to, &watch).await?)
        }
        Request::TrustAdd { alias, publisher, models, evidence } => Answer::Trust(
            blocking(library, move |library| {
                library::trust::add(library, &alias, &publisher, &models, evidence)
            })
            .await?,
        ),
        Request::PublisherShow { publisher } => Answer::PublisherShown(
            blocking(library, move |library| {
                let id = library::names::publisher_of(library, &publisher)?;
                library::publisher::known(library, &id)
            })
            .await?,
        ),
        Request::TrustList => Answer::Trust(blocking(library, library::trust::list).await?),
        Request::TrustAddEndorser { alias, endorser, kinds } => Answer::Trust(
            blocking(library, move |library| {
                library::trust::add_endorser(library, &alias, &endorser, kinds)
            })
            .await?,
        ),
        Request::TrustRmEndorser { alias } => Answer::Trust(
            blocking(library, move |library| library::trust::remove_endorser(library, &alias))
                .await?,
        ),
        Request::TrustBlock { id, reason, lift } => Answer::Trust(
            blocking(library, move |library| library::policy::block(library, &id, reason, lift))
                .await?,
        ),
        Request::TrustWhy { reference } => Answer::Why(
            blocking(library, move |library| library::policy::why(library, &reference)).await?,
        ),
        Request::TrustRm { alias } => Answer::Trust(
            blocking(library, move |library| library::trust::remove(library, &alias)).await?,
        ),
        Request::Init { alias } => {
            let alias =
                blocking(library, move |library| library::init(library, alias.as_deref())).await?;
            Answer::Initialised(initialised(node, alias))
        }
        Request::Id => Answer::Identity(identity(node).await),
        Request::Status => Answer::Status(Box::new(node.status().await?)),
        Request::Peers => Answer::Peers(peers(node).await?),
        Request::Limit { max_up, max_down, peer_max_up, peer_max_down } => {
            let network = node.network()?;
            let held = network.rates().await?;
            let rates = Rates {
                max_up: max_up.unwrap_or(held.max_up),
                max_down: max_down.unwrap_or(held.max_down),
                peer_max_up: peer_max_up.unwrap_or(held.peer_max_up),
                peer_max_down: peer_max_down.unwrap_or(held.peer_max_down),
            };
            network.set_rates(rates).await?;
            Answer::Limits(rates)
        }
        Request::Connect { address } => {
            let address = address_of("the address", &address)?;
            node.network()?.connect(address).await?;
            Answer::Peers(peers(node).await?)
        }
    })
}

async fn blocking<T: Send + 'static>(
    library: &Library,
    work: impl FnOnce(&Library) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let library = library.clone();
    library::blocking(move || work(&library)).await
}

async fn identity(node: &Node) -> Identity {
    Identity {
        peer_id: node.peer_id(),
        publisher: node.inner.library.publisher().to_string(),
        alias: node.inner.library.alias(),
        addrs: node.addresses().await,
    }
}

fn initialised(node: &Node, alias: Option<String>) -> Initialised {
    Initialised {
        home: node.home().dir().to_owned(),
        peer_id: node.peer_id(),
        publisher: node.inner.library.publisher().to_string(),
        alias,
        publisher_key: node.home().publisher_key(),
        created: node.made_home(),
    }
}

async fn peers(node: &Node) -> Result<Peers, Failure> {
    let peers = node.network()?.peers().await?;
    Ok(Peers { peers: peers.into_iter().map(line).collect() })
}

fn line(peer: network::Peer) -> PeerLine {
    PeerLine {
        peer_id: peer.id.to_string(),
        address: peer.addrs.first().map(ToString::to_string).unwrap_or_default(),
        agent: (!peer.agent.is_empty()).then_some(peer.agent),
        rtt_ms: peer.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
        bytes_in: peer.bytes_in,
        bytes_out: peer.bytes_out,
    }
}

impl Node {
    /// Store and transfer figures.
    ///
    /// # Errors
    /// As the store and the network fail.
    pub async fn status(&self) -> Result<Status, Failure> {
        let inner = Arc::clone(&self.inner);
        let held = blocking(&inner.library, library::figures).await?;
        let mut status = Status {
            health: Health {
                daemon: inner.role == Role::Daemon,
                pid: (inner.role == Role::Daemon).then(std::process::id),
                uptime_seconds: inner.started.elapsed().as_secs(),
            },
            network: inner.config.network.preset.to_string(),
            addrs: self.addresses().await,
            store: StoreFigures {
                blocks: held.counters.blocks,
                index_bytes: held.counters.index_bytes,
                free_bytes: held.free_bytes,
                damaged_indexes: held.aside.indexes,
                damaged_index_bytes: held.aside.bytes,
            },
            repos: held.repos,
            peers: 0,
            bytes_in: 0,
            bytes_out: 0,
            transfers: inner.library.transfers(),
            refuted: held.refuted,
            trust: blocking(&inner.library, |library| Ok(library::trust::wrong(library))).await?,
            unpublished: inner.library.unpublished(),
            withdrawn: held.withdrawn,
            unchecked: held.unchecked,
            changed: held.changed,
            contradictions: blocking(&inner.library, library::contradictions).await?,
            announced: 0,
            names: blocking(&inner.library, library::names::own).await?,
            records_held: 0,
            last_announced: None,
        };
        if let Some(network) = &inner.network {
            let live = network.status().await?;
            status.peers = live.connections as u64;
            status.records_held = live.records as u64;
            status.bytes_in = live.bytes_in;
            status.bytes_out = live.bytes_out;
            let announced = network.announced().await?;
            status.announced = announced.len() as u64;
            status.last_announced =
                announced.iter().filter_map(|one| one.at).max().and_then(library::rfc3339);
        }
        Ok(status)
    }
}
