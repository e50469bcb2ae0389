//! Blocks from the store where they are, from peers where they are not; and when to give up.
//!
//! A time-out means "no progress": it counts from the last block. A fetch gives up sooner where waiting is no use:
//! when all peers that were asked lack the content and no search or dial is under way, or when there is no peer at all.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use super::jobs::Job;
use crate::{
    config::network::Preset,
    dag::{
        Block, Cid,
        walk::{Found, Size, Walk},
    },
    library::{Library, blocking},
    limits,
    network::{Arrived, Event, Landing, Multiaddr, Network, Session, Sources},
    rpc::{Code, Failure},
    store::Store,
};

/// Where one fetch gets its blocks.
pub(super) struct Source {
    store: Store,
    network: Option<Network>,
    /// Opened when something is first asked of peers: what is here is read without them.
    session: Option<Session>,
    landing: Option<Landing>,
    hints: Vec<Cid>,
    preset: Preset,
    job: Arc<Job>,
    /// What the user asked for, for messages.
    reference: String,
    timeout: Duration,
    last_block: Instant,
    /// Since when there has been nobody left to ask.
    hopeless_since: Option<Instant>,
    not_held: bool,
    /// Blocks of the tree's structure that came from peers: the first of it, card and nodes.
    taken: HashMap<Cid, Block>,
    taken_bytes: usize,
    /// Asked for ahead of need and not taken from the session yet: some peers do not send a block twice.
    ahead: HashSet<Cid>,
    dials: JoinSet<Result<(), (Multiaddr, Failure)>>,
    tick: tokio::time::Interval,
}

impl Source {
    /// Will look for providers of `hints` as soon as a peer must be asked.
    pub(super) fn open(
        library: &Library,
        reference: &str,
        timeout: u64,
        hints: Vec<Cid>,
        job: &Arc<Job>,
    ) -> Self {
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            store: library.store().clone(),
            network: library.inner.network.clone(),
            session: None,
            landing: None,
            hints,
            preset: library.inner.config.network.preset,
            job: Arc::clone(job),
            reference: reference.to_owned(),
            timeout: Duration::from_secs(timeout),
            last_block: Instant::now(),
            hopeless_since: None,
            not_held: false,
            taken: HashMap::new(),
            taken_bytes: 0,
            ahead: HashSet::new(),
            dials: JoinSet::new(),
            tick,
        }
    }

    /// Asks peers for blocks; they come from [`Source::arrived`].
    pub(super) async fn want(&mut self, mut wants: Vec<(Cid, usize)>) -> Result<(), Failure> {
        wants.retain(|(cid, _)| !self.ahead.contains(cid));
        if wants.is_empty() {
            return Ok(());
        }
        let session = match &self.session {
            Some(session) => session,
            None => {
                let network = self
                    .network
                    .as_ref()
                    .ok_or_else(|| Failure::new(Code::Network, "this node is offline"))?;
                let session = network.session(self.hints.clone()).await?;
                self.landing.iter().cloned().for_each(|landing| session.land(landing));
                self.last_block = Instant::now();
                self.session.insert(session)
            }
        };
        Ok(session.want(wants).await?)
    }

    /// Has blocks taken to their places as soon as they are verified.
    pub(super) fn land(&mut self, landing: Landing) {
        if let Some(session) = &self.session {
            session.land(Arc::clone(&landing));
        }
        self.landing = Some(landing);
    }

    /// Of what is asked, these are to come first.
    pub(super) async fn prioritise(&self, cids: Vec<Cid>) -> Result<(), Failure> {
        match &self.session {
            Some(session) => Ok(session.prioritise(cids).await?),
            None => Ok(()),
        }
    }

    /// Tells peers that wait what has just been written.
    pub(super) async fn stored(&self, blocks: Vec<(Cid, usize)>) -> Result<(), Failure> {
        match &self.network {
            Some(network) => Ok(network.stored(blocks).await?),
            None => Ok(()),
        }
    }

    /// The next block from a peer, verified. Cancel-safe.
    ///
    /// # Errors
    /// Not found (3) or network (6) when there is no use in waiting longer.
    pub(super) async fn arrived(&mut self) -> Result<Arrived, Failure> {
        loop {
            tokio::select! {
                event = next(&mut self.session) => match event {
                    None => return Err(Failure::new(Code::Network, "the network was stopped")),
                    Some(Event::Block(arrived)) => {
                        self.last_block = Instant::now();
                        self.not_held = false;
                        if self.ahead.remove(arrived.cid()) {
                            self.keep(arrived.block());
                        }
                        let len = arrived.data().len() as u64;
                        self.job.update(|state| state.fetched += len);
                        return Ok(arrived);
                    }
                    Some(Event::NotHeld(_)) => self.not_held = true,
                    Some(Event::Sources(sources)) => {
                        self.job.update(|state| state.peers = sources.connected);
                    }
                },
                peer = self.job.next_peer() => self.dial(peer),
                Some(dialled) = self.dials.join_next() => {
                    if let Ok(Err((peer, why))) = dialled {
                        self.job.warn(format!("the peer {peer} was not reached: {why}"));
                    }
                }
                _ = self.tick.tick() => self.check()?,
            }
        }
    }

    /// Something was written: that is progress as well.
    pub(super) fn moved(&mut self) {
        self.last_block = Instant::now();
    }

    /// One block, from the store or from peers; others that arrive meanwhile are kept.
    pub(super) async fn block(&mut self, cid: Cid) -> Result<Block, Failure> {
        if let Some(block) = self.local(cid).await? {
            return Ok(block);
        }
        self.want(vec![(cid, limits::CHUNK)]).await?;
        self.last_block = Instant::now();
        loop {
            let arrived = self.arrived().await?;
            let block = arrived.block().clone();
            self.keep(&block);
            if *block.cid() == cid {
                return Ok(block);
            }
        }
    }

    /// Asks for blocks that are not here and will be wanted soon; they are kept as they come.
    pub(super) async fn prefetch(&mut self, cids: &[Cid]) -> Result<(), Failure> {
        let mut wants = Vec::new();
        for cid in cids {
            if self.local(*cid).await?.is_none() {
                wants.push((*cid, limits::CHUNK));
            }
        }
        let asked: Vec<Cid> = wants.iter().map(|(cid, _)| *cid).collect();
        self.want(wants).await?;
        self.ahead.extend(asked);
        Ok(())
    }

    /// Whether this fetch holds the block in memory.
    pub(super) fn has_taken(&self, cid: &Cid) -> bool {
        self.taken.contains_key(cid)
    }

    /// Keeps a block of a tree's structure until the fetch ends.
    fn keep(&mut self, block: &Block) {
        let bytes = self.taken_bytes + block.data().len();
        if bytes <= limits::FETCH_NODE_BYTES && !self.has_taken(block.cid()) {
            self.taken_bytes = bytes;
            self.taken.insert(*block.cid(), block.clone());
        }
    }

    /// A block that this fetch has taken before, or that the store holds. Never asked for twice: some peers do not
    /// send a block again for a while, and do not say so.
    pub(super) async fn local(&self, cid: Cid) -> Result<Option<Block>, Failure> {
        if let Some(block) = self.taken.get(&cid) {
            return Ok(Some(block.clone()));
        }
        let store = self.store.clone();
        let data = blocking(move || Ok(store.read(cid.hash())?)).await?;
        Ok(data.and_then(|data| Block::verify(cid, data).ok()))
    }

    /// Walks to the end of what it wants, many nodes at once; gives what was found and the nodes.
    pub(super) async fn walk(
        &mut self,
        walk: &mut Walk,
    ) -> Result<(Vec<Found>, Vec<Block>), Failure> {
        let (mut found, mut nodes) = (Vec::new(), Vec::new());
        let mut outstanding = HashSet::new();
        self.last_block = Instant::now();
        loop {
            let mut wants = Vec::new();
            while let Some(cid) = walk.next_wanted() {
                match self.local(cid).await? {
                    Some(block) => {
                        found.extend(walk.supply(&block)?);
                        nodes.push(block);
                    }
                    None => wants.push((cid, limits::CHUNK)),
                }
            }
            outstanding.extend(wants.iter().map(|(cid, _)| *cid));
            self.want(wants).await?;
            if outstanding.is_empty() {
                return Ok((found, nodes));
            }
            let arrived = self.arrived().await?;
            let block = arrived.block().clone();
            // Kept before it is supplied: a node that stands in several places is wanted again.
            self.keep(&block);
            // What was asked for ahead of need is not the walk's.
            if outstanding.remove(block.cid()) {
                found.extend(walk.supply(&block)?);
                nodes.push(block);
            }
        }
    }

    /// A whole small file, and the blocks it came in.
    ///
    /// # Errors
    /// Refused (4) if it is larger than `max` or no file.
    pub(super) async fn small_file(
        &mut self,
        cid: Cid,
        max: usize,
    ) -> Result<(Vec<u8>, Vec<Block>), Failure> {
        let refused = |why: &str| Failure::new(Code::Refused, format!("{cid} {why}"));
        let mut walk = Walk::new(cid)?;
        let (found, mut nodes) = self.walk(&mut walk).await?;
        let mut leaves = Vec::new();
        for found in found {
            match found {
                Found::Leaf(leaf) => leaves.push(leaf),
                Found::File { size, .. } if size.expected() > max as u64 => {
                    return Err(refused(&format!("is larger than the {max} bytes it may have")));
                }
                Found::File { .. } => {}
                Found::Directory { .. } => {
                    return Err(refused("is a directory where a file belongs"));
                }
            }
        }
        let mut bytes = Vec::new();
        while let Some(leaf) = leaves.pop() {
            let block = self.block(leaf.cid).await?;
            let filled = walk.fill(&leaf, &block)?;
            let start = leaf.offset as usize;
            let end = start + filled.bytes.len();
            if end > max {
                return Err(refused(&format!("is larger than the {max} bytes it may have")));
            }
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(&block.data()[filled.bytes]);
            leaves.extend(filled.found.into_iter().filter_map(|found| match found {
                Found::Leaf(leaf) => Some(leaf),
                Found::Directory { .. } | Found::File { .. } => None,
            }));
            nodes.push(block);
        }
        Ok((bytes, nodes))
    }

    fn dial(&mut self, peer: Multiaddr) {
        self.hopeless_since = None;
        let Some(network) = self.network.clone() else { return };
        self.dials.spawn(async move {
            let connected = network.connect(peer.clone()).await;
            connected.map(drop).map_err(|why| (peer, why.into()))
        });
    }

    fn check(&mut self) -> Result<(), Failure> {
        let sources = self.session.as_ref().map(Session::sources).unwrap_or_default();
        let waited = self.last_block.elapsed();
        if waited >= self.timeout {
            return Err(self.gave_up(sources, waited));
        }
        let nobody = sources.connected == 0 || self.not_held;
        // A peer that still fetches lacks now what it will have: once blocks have come, only the time-out ends it.
        if !nobody || sources.searching || !self.dials.is_empty() || self.has_moved() {
            self.hopeless_since = None;
            return Ok(());
        }
        let since = *self.hopeless_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= limits::FETCH_LAST_CHANCE {
            return Err(self.gave_up(sources, waited));
        }
        Ok(())
    }

    fn gave_up(&self, sources: Sources, waited: Duration) -> Failure {
        let place = match self.preset {
            Preset::Lan => "on this LAN",
            Preset::Isolated => "among the peers given by hand",
            Preset::Public => "on the public network",
        };
        let what = &self.reference;
        if sources.asked == 0 && sources.connected == 0 {
            let found = match sources.found {
                0 => String::new(),
                1 => " (the DHT named one, which did not answer)".to_owned(),
                found => format!(" (the DHT named {found}, none of them answered)"),
            };
            return Failure::new(
                Code::Network,
                format!("no peer could be reached {place} to ask for {what}{found}"),
            )
            .hint("name one with --peer MULTIADDR or --bootstrap MULTIADDR; `modelswarm id` on the other machine shows its addresses");
        }
        let asked = match sources.asked {
            1 => format!("1 peer {place} was asked"),
            asked => format!("{asked} peers {place} were asked"),
        };
        if self.not_held || sources.connected > 0 && !self.has_moved() {
            let outcome = if self.not_held { "none has it" } else { "none answered" };
            return Failure::new(
                Code::NotFound,
                format!("{what} was not found: {asked}, {outcome}"),
            )
            .hint("is a daemon that seeds it running? of a single file or folder ask for the root instead: get ROOT:path");
        }
        Failure::new(
            Code::Network,
            format!("no progress for {} s on {what}: {asked}", waited.as_secs()),
        )
        .hint("the same command goes on where this one stopped")
    }

    fn has_moved(&self) -> bool {
        self.job.fetched() > 0
    }
}

/// What the session says next; nothing before there is one.
async fn next(session: &mut Option<Session>) -> Option<Event> {
    match session {
        Some(session) => session.recv().await,
        None => std::future::pending().await,
    }
}

/// The bytes to expect of a leaf, for the exchange's windows.
pub(super) fn expected(size: Size) -> usize {
    match size.expected() {
        0 => limits::CHUNK,
        size => usize::try_from(size).unwrap_or(limits::BLOCK_MAX),
    }
}
