//! The composition root: opens the store, starts the network where the role needs one, stops both in order.
//!
//! A [`Node`] is the whole program less its faces: the daemon's gateway and a command without a daemon both call
//! [`Node::dispatch`], the one way in. What it does with a request is `dispatch`'s; what users can do is `library`'s.
//!
//! Order of the end: the gateway (above) first, then work under way, then the network, then the store, whose lock goes
//! last.

mod dispatch;
mod listen;

use std::{fmt, path::PathBuf, sync::Arc, time::Instant};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, Home},
    library::{self, Library, Watch, keys},
    limits,
    network::{Keypair, Network},
    rpc::{Code, Event, Failure, Reply, Request},
    store::{self, Store},
};

/// What a node is for, and so what it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The store alone.
    Offline,
    /// The store, and the network for one fetch: it serves while it lasts, listens only where told, announces nothing.
    Fetch,
    /// Everything, until told to stop.
    Daemon,
    /// The store with a new index, to be filled from the plain records.
    Repair,
}

/// A request under way.
#[derive(Debug)]
pub struct Conversation {
    /// What the node says.
    pub events: mpsc::Receiver<Event>,
    /// What it is told, once for each [`Event::Sign`].
    pub replies: mpsc::Sender<Reply>,
}

/// A running node. Cloning shares it.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    home: Home,
    config: Config,
    role: Role,
    library: Library,
    network: Option<Network>,
    made_home: bool,
    started: Instant,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("home", &self.inner.home)
            .field("role", &self.inner.role)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Opens a node on this home, making the home if there is none.
    ///
    /// # Errors
    /// Failure (1) if another process holds the store, the index is damaged, or a port given by hand is taken;
    /// usage (2) for an address that is none; permission (5) and no space (7) as the disk says.
    pub async fn open(home: Home, config: Config, role: Role) -> Result<Self, Failure> {
        let keys = {
            let home = home.clone();
            library::blocking(move || keys::load(&home)).await?
        };
        let store = open_store(&home, &config, role).await?;
        let network = match role {
            Role::Offline | Role::Repair => None,
            Role::Fetch | Role::Daemon => {
                let identity =
                    Keypair::ed25519_from_bytes(keys.node.to_bytes()).map_err(|why| {
                        Failure::new(Code::Failure, format!("the node key is unusable: {why}"))
                    })?;
                let attestations = library::claims::answerer(&home, &store, &keys.publisher);
                Some(listen::start(identity, &config, role, &store, attestations).await?)
            }
        };
        let made_home = keys.made;
        let library = Library::new(
            home.clone(),
            config.clone(),
            keys,
            store,
            network.clone(),
            role == Role::Daemon,
        )?;
        let node = Self {
            inner: Arc::new(Inner {
                home,
                config,
                role,
                library,
                network,
                made_home,
                started: Instant::now(),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        };
        if role == Role::Daemon {
            node.inner.library.announce_all().await?;
            let tended = node.clone();
            node.inner.tasks.spawn(async move {
                tokio::select! {
                    () = library::tend(&tended.inner.library) => {}
                    () = tended.inner.stop.cancelled() => {}
                }
            });
            let compared = node.clone();
            node.inner.tasks.spawn(async move {
                tokio::select! {
                    () = library::check_fetched(&compared.inner.library) => {}
                    () = compared.inner.stop.cancelled() => {}
                }
            });
            let named = node.clone();
            node.inner.tasks.spawn(async move {
                tokio::select! {
                    () = library::names::keep_published(&named.inner.library) => {}
                    () = named.inner.stop.cancelled() => {}
                }
            });
            let signed = node.clone();
            node.inner.tasks.spawn(async move {
                tokio::select! {
                    () = library::drafts::tend(&signed.inner.library) => {}
                    () = signed.inner.stop.cancelled() => {}
                }
            });
            let resumed = node.clone();
            node.inner.tasks.spawn(async move {
                tokio::select! {
                    () = library::resume(&resumed.inner.library) => {}
                    () = resumed.inner.stop.cancelled() => {}
                }
            });
        }
        Ok(node)
    }

    /// Works on a request. Dropping the events' receiver stops the work at its next step.
    pub fn dispatch(&self, request: Request) -> Conversation {
        let (events, receiver) = mpsc::channel(limits::EVENTS_QUEUED);
        // One question is asked at a time.
        let (replies, replied) = mpsc::channel(1);
        let watch = Watch::new(events.clone()).with_replies(replied);
        let node = self.clone();
        self.inner.tasks.spawn(async move {
            let stop = node.inner.stop.clone();
            let outcome = tokio::select! {
                outcome = dispatch::answer(&node, request, watch) => outcome,
                () = stop.cancelled() => Err(Failure::new(Code::Interrupted, "the node was stopped")),
            };
            let last = match outcome {
                Ok(answer) => Event::Done { answer: Box::new(answer) },
                Err(error) => Event::Failed { error },
            };
            if events.send(last).await.is_err() {
                tracing::debug!("nobody waited for the answer");
            }
        });
        Conversation { events: receiver, replies }
    }

    /// Says that this node is about to stop: fetches that end from now on were not given up, and the next daemon goes on
    /// with them. [`Node::shutdown`] says so too.
    pub fn stopping(&self) {
        self.inner.library.stopping();
    }

    /// Stops work under way, the network and the store, in this order.
    pub async fn shutdown(&self) {
        self.stopping();
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.library.settled().await;
        if let Some(network) = &self.inner.network {
            network.shutdown().await;
        }
        let store = self.inner.library.store().clone();
        if store.stopped().is_some() {
            return;
        }
        let closed = library::blocking(move || Ok(store.flush()?)).await;
        if let Err(failure) = closed {
            tracing::error!(%failure, "the index could not be flushed");
        }
    }

    /// Resolves when the node can't go on and must be started anew: the index takes no writes any more, or the network
    /// stopped by itself, which only a fault makes it do.
    pub async fn failed(&self) -> Failure {
        let network = async {
            match &self.inner.network {
                Some(network) => network.stopped().await,
                None => std::future::pending().await,
            }
        };
        let store = self.inner.library.store();
        let index = async {
            loop {
                if let Some(why) = store.stopped() {
                    return Failure::from(why);
                }
                tokio::time::sleep(limits::INDEX_WATCH).await;
            }
        };
        tokio::select! {
            failure = index => failure,
            () = network => Failure::new(
                Code::Failure,
                "the network stopped by itself; this is a fault of modelswarm",
            ),
        }
    }

    /// Whether the network runs and the index takes writes.
    pub fn is_well(&self) -> bool {
        let network = self.inner.network.as_ref();
        network.is_some_and(Network::is_running) && self.inner.library.store().stopped().is_none()
    }

    /// What users do, for those who answer HTTP: streams of bytes are no events.
    pub fn library(&self) -> &Library {
        &self.inner.library
    }

    /// Where the node's files are.
    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    /// The settings it runs with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Whether the home was made by this process.
    pub fn made_home(&self) -> bool {
        self.inner.made_home
    }

    /// Who the node is.
    pub fn peer_id(&self) -> String {
        self.inner.library.peer_id()
    }

    /// Where peers reach the node, with `/p2p/…`; empty without a network.
    pub async fn addresses(&self) -> Vec<String> {
        let Some(network) = &self.inner.network else { return Vec::new() };
        let addresses = network.listen_addrs().await.unwrap_or_default();
        addresses.iter().map(ToString::to_string).collect()
    }

    fn network(&self) -> Result<&Network, Failure> {
        self.inner.network.as_ref().ok_or_else(|| {
            Failure::new(Code::Failure, "no daemon runs on this home")
                .hint("start one: modelswarm daemon")
        })
    }
}

async fn open_store(home: &Home, config: &Config, role: Role) -> Result<Store, Failure> {
    let dir: PathBuf = home.store();
    let mut options = store::Options::new(home.library());
    options.inline_max = usize::try_from(config.store.inline_max).unwrap_or(usize::MAX);
    library::blocking(move || {
        let opened = match role {
            Role::Repair => Store::open_for_repair(&dir, options),
            Role::Offline | Role::Fetch | Role::Daemon => Store::open(&dir, options),
        };
        Ok(opened?)
    })
    .await
}
