//! Leaves into files: asks for many at once, writes each where it belongs, makes them durable in steps.
//!
//! What is here already — from an earlier run, or in another file of the store — is never asked for. A chunk that
//! occurs several times is asked for once. Most are written by the thread that hashed them ([`landing`]), the others on
//! blocking threads, a few at a time; a block's memory is given back when it is written, which is what lets the exchange
//! ask for the next. Files are opened when their turn comes and finished when their last leaf is written, so neither a
//! large repo nor a million small files opens more than a window of them. Of strangers' content nothing but what tells
//! whether it carries code is asked for until that is decided ([`gate`]).

mod gate;
mod landing;
mod open;
mod settle;
mod urgent;
mod write;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use tokio::{task::JoinSet, time::Instant};

pub(super) use self::gate::Gate;
use self::landing::Landing;
use self::open::{OpenError, OpenFile, Opened};
use self::write::{Piece, write_all};
use super::{
    jobs::Job,
    plan::Plan,
    source::{Source, expected},
};
use crate::{
    card::content::Admitted,
    dag::{
        Block, Cid,
        block::RAW,
        walk::{Filled, Found, Leaf, Size},
    },
    library::{Library, blocking, watch::stopped},
    limits,
    network::Arrived,
    rpc::{Code, Failure},
    store::{Error, FileId, Store},
};

/// Fetches all of the plan's files that are not in their place, if the gate opens; what a gate that was closed let in.
///
/// # Errors
/// As [`Source::arrived`] and the store; refused (4) for a tree that lies about its sizes, and by the gate.
pub(super) async fn run(
    library: &Library,
    plan: &mut Plan,
    source: &mut Source,
    job: &Arc<Job>,
    gate: Gate,
) -> Result<Option<Admitted>, Failure> {
    let queue = (0..plan.files.len()).filter(|index| plan.files[*index].file.is_none()).collect();
    let here: u64 =
        plan.files.iter().filter(|file| file.file.is_some()).map(|file| file.size.expected()).sum();
    let total = plan.files.iter().map(|file| file.size.expected()).sum();
    job.update(|state| {
        state.path = Some(plan.place.answer());
        state.bytes = here;
        state.total = Some(total);
    });
    let landing = Arc::new(Landing::new(library.store().clone(), plan.id()));
    source.land(Arc::new({
        let (landing, library, job) = (Arc::clone(&landing), library.clone(), Arc::clone(job));
        move |block: &Block| {
            if job.readers().are_any() {
                library.inner.fresh.put(block);
            }
            landing.land(block);
        }
    }));
    let repeated = repeated(plan.files.iter().flat_map(|file| &file.leaves));
    let mut transfer = Transfer {
        library,
        gate,
        store: library.store().clone(),
        landing: Arc::clone(&landing),
        plan,
        source,
        job,
        queue,
        indices: None,
        leaves: VecDeque::new(),
        parts: Vec::new(),
        open: HashMap::new(),
        asked: HashMap::new(),
        done: Vec::new(),
        tasks: JoinSet::new(),
        writing: Vec::new(),
        repeated,
        committing: false,
        uncommitted: 0,
        committed_at: Instant::now(),
        seen: u64::MAX,
        prioritised: false,
    };
    let outcome = transfer.run().await;
    // Writes under way end before the job does: what they wrote is found again.
    while transfer.tasks.join_next().await.is_some() {}
    let gate = std::mem::replace(&mut transfer.gate, Gate::open());
    drop(transfer);
    blocking(move || {
        landing.close();
        Ok(())
    })
    .await?;
    outcome.map(|()| gate.into_admitted())
}

/// The marks of leaves that occur more than once.
fn repeated<'a>(leaves: impl Iterator<Item = &'a Leaf>) -> HashSet<u64> {
    let (mut seen, mut repeated) = (HashSet::new(), HashSet::new());
    for leaf in leaves {
        let mark = mark(&leaf.cid);
        if !seen.insert(mark) {
            repeated.insert(mark);
        }
    }
    repeated
}

/// A part of the digest: of millions of leaves the whole would take too much memory.
fn mark(cid: &Cid) -> u64 {
    cid.hash().digest().iter().rev().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
}

struct Transfer<'a> {
    library: &'a Library,
    /// What must be known before the bulk moves.
    gate: Gate,
    store: Store,
    landing: Arc<Landing>,
    plan: &'a mut Plan,
    source: &'a mut Source,
    job: &'a Arc<Job>,
    /// Files whose turn has not come, as indices into the plan; ascending.
    queue: VecDeque<usize>,
    /// Where in the plan each file's root is first, once a reader asks for one.
    indices: Option<HashMap<Cid, usize>>,
    /// Leaves of open files that are not asked for yet.
    leaves: VecDeque<(usize, Leaf)>,
    /// Leaves that came to light in what was taken for one, and are not looked for in their file yet.
    parts: Vec<(usize, Leaf)>,
    /// Files being written.
    open: HashMap<usize, OpenFile>,
    /// Blocks asked for, and every place where each belongs.
    asked: HashMap<Cid, Vec<(usize, Leaf)>>,
    /// Files whose every leaf is written.
    done: Vec<usize>,
    tasks: JoinSet<Result<Step, Failure>>,
    /// Blocks that are being written.
    writing: Vec<Cid>,
    /// Leaves that have several places, or whose [`mark`] is the same as another's.
    repeated: HashSet<u64>,
    committing: bool,
    uncommitted: u64,
    committed_at: Instant,
    /// The state of the readers that was last seen to; another one if it must be seen to again.
    seen: u64,
    /// Something was prioritised for readers.
    prioritised: bool,
}

/// A piece of blocking work that ended.
enum Step {
    Wrote { files: Vec<usize>, block: Cid, block_len: usize, bytes: u64 },
    Committed,
    Finished(Vec<(usize, FileId)>),
    Judged(Vec<gate::Judged>),
    SetAside,
}

impl Transfer<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        let job = Arc::clone(self.job);
        self.survey().await?;
        loop {
            let all = self.ask().await?;
            self.finish();
            self.commit();
            if self.asked.is_empty() && self.tasks.is_empty() {
                if self.open.is_empty() && self.queue.is_empty() && self.gate.is_open() {
                    return Ok(());
                }
                if all {
                    continue;
                }
            }
            if job.readers().is_closed() && self.tasks.is_empty() {
                return Err(stopped());
            }
            let may_write = self.writing.len() < limits::FETCH_WRITES && !self.asked.is_empty();
            tokio::select! {
                arrived = self.source.arrived(), if may_write => self.take(arrived?).await?,
                Some(step) = self.tasks.join_next() => self.on_step(step).await?,
                () = job.readers().changed(self.seen) => {}
            }
        }
    }

    /// Asks for what readers need and, if somebody wants all, fills the window of blocks asked for, opening files as their
    /// turn comes; whether somebody does.
    async fn ask(&mut self) -> Result<bool, Failure> {
        while let Some((index, part)) = self.parts.pop() {
            self.look(index, part).await?;
            self.seen = u64::MAX;
        }
        let all = self.job.readers().want_all();
        self.hurry().await?;
        if !all {
            return Ok(false);
        }
        self.pursue().await?;
        if !self.gate.is_open() {
            return Ok(true);
        }
        let mut wants = Vec::new();
        while self.asked.len() < limits::FETCH_WANTS {
            let Some((index, leaf)) = self.leaves.pop_front() else {
                if !self.open_next().await? {
                    break;
                }
                continue;
            };
            if !self.ask_leaf(index, leaf, &mut wants).await? {
                break;
            }
        }
        self.source.want(wants).await?;
        Ok(true)
    }

    /// Adds a leaf to the wants, or begins to write it if it is here. False: it waits until something was written.
    async fn ask_leaf(
        &mut self,
        index: usize,
        leaf: Leaf,
        wants: &mut Vec<(Cid, usize)>,
    ) -> Result<bool, Failure> {
        // What came as the first block of all, a wrapped leaf that is here, or one that was written in another place since
        // this file was opened: no range of the file could tell.
        let elsewhere =
            self.repeated.contains(&mark(&leaf.cid)) && !self.asked.contains_key(&leaf.cid);
        if elsewhere || leaf.cid.codec() != RAW || self.source.has_taken(&leaf.cid) {
            if self.writing.len() >= limits::FETCH_WRITES || self.writing.contains(&leaf.cid) {
                self.leaves.push_front((index, leaf));
                return Ok(false);
            }
            if let Some(block) = self.source.local(leaf.cid).await? {
                self.write(block, vec![(index, leaf)], None)?;
                return Ok(true);
            }
        }
        self.landing.expect(leaf.cid, self.place(index, &leaf));
        let places = self.asked.entry(leaf.cid).or_default();
        if places.is_empty() {
            wants.push((leaf.cid, expected(leaf.size)));
        }
        places.push((index, leaf));
        Ok(true)
    }

    /// Where a leaf belongs, if that can be told before it is here.
    fn place(&self, index: usize, leaf: &Leaf) -> Option<Piece> {
        let (RAW, Size::Declared(size)) = (leaf.cid.codec(), leaf.size) else { return None };
        let arriving = Arc::clone(self.open.get(&index)?.begun()?);
        let bytes = 0..usize::try_from(size).ok()?;
        Some(Piece { index, arriving, offset: leaf.offset, bytes })
    }

    /// Queues a part, unless an earlier run left it in its file.
    async fn look(&mut self, index: usize, part: Leaf) -> Result<(), Failure> {
        let Some(file) = self.open.get_mut(&index) else { return Ok(()) };
        let len = part.size.expected();
        if let Some((arriving, earlier)) = file.resumed() {
            let leaf = part.clone();
            if blocking(move || earlier.holds(&arriving, &leaf, len)).await? {
                file.left -= 1;
                if file.left == 0 && file.writes == 0 {
                    self.done.push(index);
                }
                self.job.update(|state| state.bytes += len);
                return Ok(());
            }
        }
        self.leaves.push_front((index, part));
        Ok(())
    }

    /// Opens the next file: finds what of it is here, queues the rest. False if there is none, or enough are open.
    async fn open_next(&mut self) -> Result<bool, Failure> {
        if self.open.len() >= limits::FETCH_OPEN_FILES {
            return Ok(false);
        }
        let Some(index) = self.queue.pop_front() else { return Ok(false) };
        self.open_file(index).await?;
        Ok(true)
    }

    /// Opens a file, when whoever writes to it has let go of it.
    async fn open_file(&mut self, index: usize) -> Result<(), Failure> {
        let began = Instant::now();
        let opened = loop {
            let (store, tree) = (self.store.clone(), self.plan.id());
            let (base, owner) = (self.plan.place.base.clone(), self.plan.place.owner);
            let file = self.plan.files[index].clone();
            let opened =
                blocking(move || Ok(open::open(&store, tree, &base, owner, &file))).await?;
            match opened {
                Err(OpenError::Store(Error::Busy { .. }))
                    if began.elapsed() < limits::FILE_BUSY =>
                {
                    tokio::time::sleep(limits::FILE_BUSY_PAUSE).await;
                }
                opened => break opened?,
            }
        };
        let Opened { file, missing, here } = opened;
        self.job.update(|state| state.bytes += here);
        if missing.is_empty() {
            self.done.push(index);
        }
        self.leaves.extend(missing.into_iter().map(|leaf| (index, leaf)));
        self.open.insert(index, file);
        self.gate.opened(index, self.plan.files[index].size);
        Ok(())
    }

    /// Takes a block from a peer.
    async fn take(&mut self, arrived: Arrived) -> Result<(), Failure> {
        let Some(mut places) = self.asked.remove(arrived.cid()) else { return Ok(()) };
        if let Some((written, step)) = self.landing.take(arrived.cid()) {
            for (index, _) in places.drain(..written) {
                if let Some(file) = self.open.get_mut(&index) {
                    file.left -= 1;
                    file.writes += 1;
                }
            }
            self.writing.push(*arrived.cid());
            self.on_step(Ok(step)).await?;
        }
        if places.is_empty() {
            return Ok(());
        }
        self.write(arrived.block().clone(), places, Some(arrived))
    }

    /// Starts writing a block to every place where it belongs.
    fn write(
        &mut self,
        block: Block,
        places: Vec<(usize, Leaf)>,
        arrived: Option<Arrived>,
    ) -> Result<(), Failure> {
        let mut writes = Vec::new();
        for (index, leaf) in places {
            let Filled { bytes, found } = self.plan.walk.fill(&leaf, &block)?;
            let Some(file) = self.open.get_mut(&index) else { continue };
            file.left -= 1;
            // A node that was taken for a leaf: its parts are the leaves.
            for found in found {
                if let Found::Leaf(part) = found {
                    file.left += 1;
                    self.parts.push((index, part));
                }
            }
            let arriving = file.arriving(block.data().len())?;
            file.writes += 1;
            writes.push(Piece { index, arriving, offset: leaf.offset, bytes });
        }
        self.writing.push(*block.cid());
        let (store, tree) = (self.store.clone(), self.plan.id());
        self.tasks.spawn_blocking(move || {
            let step = write_all(&store, tree, &block, writes);
            drop(block);
            // Only now may the exchange ask for more: the bytes have left memory.
            drop(arrived);
            step
        });
        Ok(())
    }

    async fn on_step(
        &mut self,
        step: Result<Result<Step, Failure>, tokio::task::JoinError>,
    ) -> Result<(), Failure> {
        let step = step.map_err(|why| {
            Failure::new(Code::Failure, format!("a fault of modelswarm stopped a write: {why}"))
        })??;
        match step {
            Step::Wrote { files, block, block_len, bytes } => {
                if let Some(at) = self.writing.iter().position(|written| *written == block) {
                    self.writing.swap_remove(at);
                }
                self.uncommitted += bytes;
                self.source.moved();
                self.job.update(|state| state.bytes += bytes);
                for index in files {
                    let Some(file) = self.open.get_mut(&index) else { continue };
                    file.writes -= 1;
                    if file.left == 0 && file.writes == 0 {
                        self.done.push(index);
                    }
                    self.gate.stir(index);
                }
                self.source.stored(vec![(block, block_len)]).await?;
            }
            Step::Committed => self.committing = false,
            Step::Judged(judged) => self.on_judged(judged),
            Step::SetAside => {}
            Step::Finished(records) => {
                self.committing = false;
                for (index, record) in records {
                    self.plan.files[index].file = Some(record);
                }
            }
        }
        Ok(())
    }
}
