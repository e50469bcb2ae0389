//! Fetches under way. Two calls for the same thing and place follow one job; a job ends with its last follower.
//!
//! A job of readers alone (`reading`) is one of its own for each REF; it ends in good order, so that nothing of what was
//! read is lost, and makes way for a `get` of the same root, which its readers go on with.

use std::{
    collections::HashMap,
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{readers::Readers, reading::Opened};
use crate::{
    card::Verified,
    dag::Cid,
    library::watch::stopped,
    limits,
    network::Multiaddr,
    rpc::{Code, Failure, Get, TransferLine},
};

/// What makes two calls the same fetch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    reference: String,
    output: Option<PathBuf>,
    include: Vec<String>,
    exclude: Vec<String>,
    publisher: Option<String>,
    dry_run: bool,
    force: bool,
    allow_code: bool,
    reading: bool,
    /// Readers of any file of it, not of one.
    listed: bool,
}

impl Key {
    /// The key of readers of a REF.
    pub(super) fn reading(get: &Get) -> Self {
        Self { reading: true, ..Self::of(get) }
    }

    /// The key of readers of any file of a tree.
    pub(super) fn listed(get: &Get) -> Self {
        Self { listed: true, ..Self::reading(get) }
    }

    pub(super) fn of(get: &Get) -> Self {
        Self {
            reference: get.reference.clone(),
            output: get.output.clone(),
            include: get.include.clone(),
            exclude: get.exclude.clone(),
            publisher: get.publisher.clone(),
            dry_run: get.dry_run,
            force: get.force,
            allow_code: get.allow_code,
            reading: false,
            listed: false,
        }
    }
}

/// What a fetch ends with.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub release: Option<Cid>,
    pub root: Cid,
    pub path: PathBuf,
    pub files: u64,
    pub bytes: u64,
    /// Bytes that were not here when the fetch began.
    pub to_fetch: u64,
    pub card: Option<Verified>,
    /// Files with chat templates.
    pub templates: Vec<String>,
    /// Whether the publisher's key stood in the REF.
    pub named: bool,
}

/// How far a fetch is.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub name: String,
    pub root: Option<Cid>,
    pub path: Option<PathBuf>,
    pub bytes: u64,
    pub total: Option<u64>,
    /// Payload taken from peers.
    pub fetched: u64,
    pub peers: usize,
    pub warnings: Vec<String>,
    /// A daemon goes on with it by itself.
    pub resumed: bool,
    /// The file that readers read.
    pub opened: Option<Opened>,
    /// It ends to make way for a fetch of more.
    pub superseded: bool,
    pub outcome: Option<Result<Outcome, Failure>>,
}

/// A fetch under way, as its worker sees it.
#[derive(Debug)]
pub(super) struct Job {
    state: watch::Sender<State>,
    peers: mpsc::Sender<Multiaddr>,
    new_peers: tokio::sync::Mutex<mpsc::Receiver<Multiaddr>>,
    readers: Readers,
    stop: CancellationToken,
}

impl Job {
    pub(super) fn new(name: String) -> Self {
        let (peers, new_peers) = mpsc::channel(limits::FETCH_PEERS);
        Self {
            state: watch::Sender::new(State { name, ..State::default() }),
            peers,
            new_peers: tokio::sync::Mutex::new(new_peers),
            readers: Readers::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Who reads from it.
    pub(super) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Notes how far the work is.
    pub(super) fn update(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// Payload taken from peers so far.
    pub(super) fn fetched(&self) -> u64 {
        self.state.borrow().fetched
    }

    /// Says something the user should know.
    pub(super) fn warn(&self, message: impl Into<String>) {
        self.update(|state| {
            if state.warnings.len() < limits::FETCH_WARNINGS {
                state.warnings.push(message.into());
            }
        });
    }

    /// Names one more peer to ask.
    pub(super) fn add_peer(&self, peer: Multiaddr) -> Result<(), Failure> {
        self.peers.try_send(peer).map_err(|_| {
            Failure::new(Code::Usage, format!("more than {} peers were named", limits::FETCH_PEERS))
        })
    }

    /// The next peer that a follower named. Cancel-safe.
    pub(super) async fn next_peer(&self) -> Multiaddr {
        match self.new_peers.lock().await.recv().await {
            Some(peer) => peer,
            None => std::future::pending().await,
        }
    }
}

/// A call's hold on a job: while one is held, the job goes on.
#[derive(Debug)]
pub(super) struct Follower {
    job: Arc<Job>,
    state: watch::Receiver<State>,
    /// Wants all of it, not only what a reader needs.
    whole: bool,
}

impl Drop for Follower {
    fn drop(&mut self) {
        if self.whole {
            self.job.readers.drop_whole();
        }
    }
}

impl Follower {
    fn new(job: &Arc<Job>, whole: bool) -> Self {
        if whole {
            job.readers.add_whole();
        }
        Self { job: Arc::clone(job), state: job.state.subscribe(), whole }
    }

    pub(super) fn readers(&self) -> &Readers {
        &self.job.readers
    }

    /// The state; a later change is seen by [`Follower::changed`].
    pub(super) fn look(&mut self) -> watch::Ref<'_, State> {
        self.state.borrow_and_update()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.borrow().outcome.is_some()
    }

    /// Resolves when the state has changed since it was looked at.
    pub(super) async fn changed(&mut self) {
        // The job, which holds the other end, is held by us.
        let _ = self.state.changed().await;
    }

    pub(super) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.job, &other.job)
    }

    /// A reader's hold on the same job.
    pub(super) fn again(&self) -> Self {
        Self::new(&self.job, false)
    }

    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Says that a daemon goes on with this by itself.
    pub(super) fn resumed(&self) {
        self.job.update(|state| state.resumed = true);
    }

    pub(super) fn add_peer(&self, peer: Multiaddr) -> Result<(), Failure> {
        self.job.add_peer(peer)
    }
}

/// All fetches of a library.
#[derive(Debug, Default)]
pub(in crate::library) struct Fetches {
    jobs: Arc<Mutex<HashMap<Key, Arc<Job>>>>,
    tasks: TaskTracker,
}

impl Fetches {
    /// Follows the job of this key; if there is none, starts it with the work that `make` gives.
    pub(super) fn join_or_start<W, F>(&self, key: Key, make: impl FnOnce() -> W) -> Follower
    where
        W: FnOnce(Arc<Job>) -> F,
        F: Future<Output = Result<Outcome, Failure>> + Send + 'static,
    {
        let mut jobs = lock(&self.jobs);
        if let Some(job) = jobs.get(&key) {
            return Follower::new(job, !key.reading);
        }
        let job = Arc::new(Job::new(key.reference.clone()));
        jobs.insert(key.clone(), Arc::clone(&job));
        let follower = Follower::new(&job, !key.reading);
        let work = make()(Arc::clone(&job));
        let registry = Arc::clone(&self.jobs);
        self.tasks.spawn(async move {
            tokio::pin!(work);
            let ended = tokio::select! {
                outcome = &mut work => Some(outcome),
                () = abandoned(&registry, &key, &job) => None,
                () = job.stop.cancelled() => None,
            };
            let outcome = match ended {
                Some(outcome) => outcome,
                None if key.reading => {
                    job.readers.close();
                    let ended = tokio::time::timeout(limits::READING_END, work).await;
                    ended.unwrap_or_else(|_| Err(stopped()))
                }
                None => Err(stopped()),
            };
            remove(&registry, &key, &job);
            job.update(|state| state.outcome = Some(outcome));
        });
        follower
    }

    /// Stops the fetches of this root, and waits until they have.
    pub(in crate::library) async fn stop(&self, root: &Cid) {
        let jobs: Vec<Arc<Job>> = lock(&self.jobs)
            .values()
            .filter(|job| job.state.borrow().root.as_ref() == Some(root))
            .cloned()
            .collect();
        for job in jobs {
            let mut state = job.state.subscribe();
            job.stop.cancel();
            if state.wait_for(|state| state.outcome.is_some()).await.is_err() {
                tracing::debug!(%root, "the fetch had ended already");
            }
        }
    }

    /// Makes way for a fetch of this root: ends the jobs of its readers, who go on with that fetch.
    pub(super) async fn supersede(&self, root: &Cid) {
        let jobs: Vec<Arc<Job>> = lock(&self.jobs)
            .iter()
            .filter(|(key, job)| key.reading && job.state.borrow().root.as_ref() == Some(root))
            .map(|(_, job)| Arc::clone(job))
            .collect();
        for job in jobs {
            job.update(|state| state.superseded = true);
            let mut state = job.state.subscribe();
            job.stop.cancel();
            if state.wait_for(|state| state.outcome.is_some()).await.is_err() {
                tracing::debug!(%root, "the readers had ended already");
            }
        }
    }

    /// The fetches of this root, for a reader.
    pub(super) fn of_root(&self, root: &Cid) -> Vec<Follower> {
        let jobs = lock(&self.jobs);
        let of_root = jobs.iter().filter(|(key, job)| {
            !key.reading && !key.dry_run && job.state.borrow().root.as_ref() == Some(root)
        });
        of_root.map(|(_, job)| Follower::new(job, false)).collect()
    }

    /// Waits until no fetch is under way; their followers must be gone.
    pub(in crate::library) async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// All fetches, for `status`.
    pub(in crate::library) fn lines(&self) -> Vec<TransferLine> {
        let jobs = lock(&self.jobs);
        let lines = jobs.values().filter_map(|job| {
            let state = job.state.borrow();
            Some(TransferLine {
                root: state.root?.to_string(),
                path: state.path.clone()?,
                bytes: state.bytes,
                total: state.total,
                resumed: state.resumed,
            })
        });
        lines.collect()
    }
}

/// Resolves when a job has no follower, and takes it from the registry in the same breath, so that nobody can join a
/// job that is about to end.
async fn abandoned(registry: &Mutex<HashMap<Key, Arc<Job>>>, key: &Key, job: &Job) {
    loop {
        job.state.closed().await;
        let mut jobs = lock(registry);
        if job.state.receiver_count() == 0 {
            jobs.remove(key);
            return;
        }
    }
}

/// Takes an ended job from the registry; another of its key may have taken its place.
fn remove(registry: &Mutex<HashMap<Key, Arc<Job>>>, key: &Key, job: &Arc<Job>) {
    let mut jobs = lock(registry);
    if jobs.get(key).is_some_and(|there| Arc::ptr_eq(there, job)) {
        jobs.remove(key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
