//! What users do: seed, fetch, verify, keep, share, trust — over the store and, where there is one, the network.
//!
//! A [`Library`] is a handle to both and to the publisher's key; each verb is a function in a file of its own. Verbs
//! that wait for peers are `async`; all others block and run on a blocking thread ([`blocking`]). Whatever fails here is
//! said in the user's words, as an [`rpc::Failure`](crate::rpc::Failure): it names the thing, why, and what to do.
//!
//! Order of durability: bytes, then the index, then the card, then the announcement; see `store`.

mod adopt;
mod blocks;
pub mod cards;
mod chain;
pub mod claims;
mod clock;
mod content;
pub mod drafts;
mod export;
mod failure;
mod fetch;
mod figures;
pub mod files;
mod hash;
mod hf_cache;
pub mod hub;
mod import;
mod keep;
pub mod keys;
mod labs;
mod lineage;
mod listing;
pub mod names;
mod note;
mod origins;
mod place;
pub mod policy;
pub mod publisher;
pub mod read;
mod refs;
mod repair;
mod scan;
mod seed;
mod sign;
mod signatures;
mod signer;
pub mod skeleton;
mod statements;
mod tend;
pub mod token;
pub mod trust;
mod verify;
mod watch;
mod word;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use libp2p::{PeerId, identity};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_util::sync::CancellationToken;

use self::{
    fetch::{Fetches, Fresh},
    keys::{Keys, Publishing},
};
use crate::{
    card::{Identity, index::Index},
    config::{Config, Home},
    network::Network,
    rpc::{Code, Failure, TransferLine, UnpublishedLine},
    store::Store,
};

pub use self::{
    adopt::adopt,
    chain::contradictions,
    export::export_card,
    fetch::{get, resume},
    figures::{Figures, figures},
    keep::{gc, pin, remove, share},
    lineage::lineage,
    listing::{list, show},
    repair::repair,
    seed::{name as repo_name, root_of, seed},
    signatures::import as import_signature,
    statements::check_fetched,
    tend::tend,
    verify::verify,
    watch::Watch,
};

/// The library of one home.
#[derive(Clone)]
pub struct Library {
    inner: Arc<Inner>,
}

struct Inner {
    home: Home,
    config: Config,
    store: Store,
    network: Option<Network>,
    /// Whether this is a daemon: it serves on, so it tells the DHT.
    serving: bool,
    publishing: Publishing,
    peer_id: PeerId,
    /// One import at a time: two would race for the next `seq`.
    importing: tokio::sync::Mutex<()>,
    /// One record of names is signed at a time: two would take the same place.
    naming: tokio::sync::Mutex<()>,
    /// One change at a time of what is kept about a root.
    claiming: Mutex<()>,
    fetches: Fetches,
    /// Who uploads to the user's own repos.
    activity: drafts::Activity,
    /// What came just now for readers.
    fresh: Fresh,
    /// What the gateway's clients had looked for.
    seen: hub::Seen<()>,
    reads: hub::Reads,
    /// Publishers' indexes that were read for their lists.
    indexes: hub::Seen<Option<Arc<Index>>>,
    /// What they read.
    versions: hub::Versions,
    /// One change at a time of what is noted as unfinished.
    noting: Mutex<()>,
    /// One change at a time of a tree's list of files that several fetches fill.
    listing: Mutex<()>,
    /// What is remembered of cards.
    facts: word::Facts,
    /// Cancelled when the node is about to stop.
    ended: CancellationToken,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("home", &self.inner.home).finish_non_exhaustive()
    }
}

impl Library {
    /// The library over an open store and, if it is online, a running network.
    ///
    /// `serving`: whether it is a daemon's, which tells the DHT what it holds.
    ///
    /// # Errors
    /// Failure (1) if a key is not usable.
    pub fn new(
        home: Home,
        config: Config,
        keys: Keys,
        store: Store,
        network: Option<Network>,
        serving: bool,
    ) -> Result<Self, Failure> {
        let unusable = |why: &dyn fmt::Display| {
            Failure::new(Code::Failure, format!("a key of this home is unusable: {why}"))
        };
        let node = identity::Keypair::ed25519_from_bytes(keys.node.to_bytes())
            .map_err(|why| unusable(&why))?;
        Ok(Self {
            inner: Arc::new(Inner {
                home,
                config,
                store,
                network,
                serving,
                publishing: keys.publisher,
                peer_id: node.public().to_peer_id(),
                importing: tokio::sync::Mutex::default(),
                naming: tokio::sync::Mutex::default(),
                claiming: Mutex::default(),
                fetches: Fetches::default(),
                activity: drafts::Activity::default(),
                fresh: Fresh::default(),
                seen: hub::Seen::default(),
                reads: hub::Reads::default(),
                indexes: hub::Seen::default(),
                versions: hub::Versions::default(),
                noting: Mutex::default(),
                listing: Mutex::default(),
                facts: word::Facts::default(),
                ended: CancellationToken::new(),
            }),
        })
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Whose cards are made here: a key's, or a lab's.
    pub fn publisher(&self) -> &Identity {
        &self.inner.publishing.identity
    }

    /// Whether this is the owner's: what is published as here, or the key itself.
    pub fn is_own(&self, publisher: &Identity) -> bool {
        let Publishing { identity, signer, .. } = &self.inner.publishing;
        publisher == identity || publisher.as_key() == Some(signer)
    }

    /// The node, as peers know it.
    pub fn peer_id(&self) -> String {
        self.inner.peer_id.to_string()
    }

    /// The user's own alias.
    pub fn alias(&self) -> Option<String> {
        let alias = &self.inner.config.alias;
        (!alias.is_empty()).then(|| alias.clone())
    }

    /// Fetches under way.
    pub fn transfers(&self) -> Vec<TransferLine> {
        self.inner.fetches.lines()
    }

    /// Uploads that could not be signed.
    pub fn unpublished(&self) -> Vec<UnpublishedLine> {
        let failures = self.inner.activity.failures().into_iter();
        failures.map(|(own, why)| UnpublishedLine { name: own.name.to_string(), why }).collect()
    }

    /// Says that the node is about to stop: what is under way is to go on when it starts again.
    pub fn stopping(&self) {
        self.inner.ended.cancel();
    }

    fn is_stopping(&self) -> bool {
        self.inner.ended.is_cancelled()
    }

    /// Waits until no fetch is under way; whoever asked for one must be gone.
    pub async fn settled(&self) {
        self.inner.fetches.wait().await;
    }
}

/// Runs blocking work on a thread for it.
///
/// # Errors
/// What the work fails with; failure (1) if it panicked.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|why| {
        Err(Failure::new(Code::Failure, format!("a fault of modelswarm stopped the work: {why}")))
    })
}

/// A time as RFC 3339 in UTC, to the second.
pub fn rfc3339(at: SystemTime) -> Option<String> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
    OffsetDateTime::from(whole).format(&Rfc3339).ok()
}

/// Makes the home's settings remember the user's alias; gives the alias that holds now.
///
/// # Errors
/// Usage (2) for a name that can't be an alias; failure (1) if the config can't be written.
pub fn init(library: &Library, alias: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(alias) = alias else { return Ok(library.alias()) };
    let alias: crate::card::Alias = alias
        .parse()
        .map_err(|why: crate::card::name::Error| Failure::new(Code::Usage, why.to_string()))?;
    trust::set_own_alias(&library.inner.home, alias.as_str())?;
    Ok(Some(alias.as_str().to_owned()))
}
