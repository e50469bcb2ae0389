//! Reading without fetching all: one file of a REF, from wherever its blocks are.
//!
//! A reader takes blocks from the store, which proves them as it does for peers. The first that is not there makes it take
//! a [`Seat`](super::readers::Seat) at a job: a `get` of the same root that brings this file, or else a job of readers
//! alone, which fetches just what is needed, and what is read ahead.
//!
//! What comes for readers alone is kept, in the place where a `get` of the same REF into the library puts it, as one that
//! was interrupted. It could be thrown away instead; but then each of a gateway's clients costs the peers the same bytes
//! again, one that breaks off and resumes as well, and a `get` later on begins anew. Kept, it is one download however many
//! read, a later `get` goes on from there, and it is served meanwhile. It is not pinned, so `gc` drops it; it is not
//! announced, since a record says "ask me for this root" and there is little to be had; and a version that is in the library
//! already stays listed as it was.
//!
//! Nothing of what is read is judged (`transfer::gate`), whoever published it: somebody looks at bytes, and loads nothing.
//!
//! Nodes of the whole file are fetched before its first leaf (60 for 60 GB); leaves only as they are needed. Of a tree whose
//! files a card lists ([`open_listed`]) one job serves the readers of all files, so a client that takes them one after another
//! does not have the tree looked at and its list written for each.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::{
    jobs::{Follower, Job, Key, Outcome},
    origin::{Origin, Wanted},
    parse_peers,
    plan::{Plan, Purpose},
    readers::Seat,
    source::Source,
    subject::find_subject,
    transfer::{self, Gate},
};
use crate::{
    card::Verified,
    dag::{
        Block, Cid,
        name::escape,
        unixfs::{self, Child, Node},
    },
    library::{Library, Watch, blocking, watch::stopped},
    limits,
    rpc::{Code, Failure, Get, Progress, Stage},
};

/// Jobs of its own that one reader begins again after they ended without its block.
const RESTARTS: usize = 3;

/// A file that can be read.
#[derive(Debug, Clone)]
pub(in crate::library) struct Opened {
    /// The tree it is in.
    pub root: Cid,
    /// The file's root.
    pub file: Cid,
    /// Bytes.
    pub size: u64,
    /// Path in the tree; empty for a single file.
    pub path: String,
    /// Who vouches for the tree.
    pub card: Option<Verified>,
    /// Whether the publisher's key was written by the user.
    pub named: bool,
}

/// What holds a file open: while it lives, what was learned for reading it is kept.
#[derive(Debug)]
pub(in crate::library) struct Hold(Follower);

/// Finds the file that a REF means, here or at peers. Joins others who read the same REF.
///
/// # Errors
/// Usage (2) for a directory, with what it holds as a hint; else as `get`.
pub(in crate::library) async fn open(
    library: &Library,
    get: &Get,
    watch: &Watch,
) -> Result<(Hold, Opened), Failure> {
    let mut follower = begin(library, get, Subject::File)?;
    let mut warned = 0;
    let mut state = follower.state();
    loop {
        {
            let now = state.borrow_and_update();
            for warning in now.warnings.iter().skip(warned) {
                watch.warn(warning.clone());
            }
            warned = now.warnings.len();
            if let Some(opened) = &now.opened {
                let opened = opened.clone();
                drop(now);
                return Ok((Hold(follower), opened));
            }
            watch.progress(|| Progress {
                stage: Stage::Finding,
                name: now.name.clone(),
                bytes: 0,
                total: None,
                peers: now.peers,
            });
            match &now.outcome {
                Some(Err(_)) if now.superseded => {}
                Some(Err(failure)) => return Err(failure.clone()),
                Some(Ok(_)) | None => {}
            }
        }
        if follower.look().outcome.is_some() {
            // It made way before it had come to the file.
            follower = begin(library, get, Subject::File)?;
            (state, warned) = (follower.state(), 0);
            continue;
        }
        tokio::select! {
            changed = state.changed() => if changed.is_err() {
                return Err(stopped());
            },
            () = watch.abandoned() => return Err(stopped()),
        }
    }
}

/// Opens a file of a tree that is in the library, as the tree's card lists it; nothing is looked for until it is read.
///
/// # Errors
/// Usage (2) for peers that are none.
pub(in crate::library) fn open_listed(library: &Library, get: &Get) -> Result<Hold, Failure> {
    begin(library, get, Subject::Listed).map(Hold)
}

impl Hold {
    /// Another one of the same.
    pub(in crate::library) fn again(&self) -> Self {
        Self(self.0.again())
    }
}

/// What the readers of one job read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::library) enum Subject {
    /// The file that the REF means.
    File,
    /// Files of the tree that the REF means, which a card lists.
    Listed,
}

fn begin(library: &Library, get: &Get, subject: Subject) -> Result<Follower, Failure> {
    let peers = parse_peers(&get.peers)?;
    let key = match subject {
        Subject::File => Key::reading(get),
        Subject::Listed => Key::listed(get),
    };
    let job = library.inner.fetches.join_or_start(key, || {
        let library = library.clone();
        let get = get.clone();
        move |job| async move { run(library, get, subject, job).await }
    });
    for peer in peers {
        job.add_peer(peer)?;
    }
    Ok(job)
}

/// The job of readers alone.
async fn run(
    library: Library,
    get: Get,
    subject: Subject,
    job: Arc<Job>,
) -> Result<Outcome, Failure> {
    let prepared = tokio::select! {
        prepared = prepare(&library, &get, subject, &job) => prepared?,
        () = job.readers().closed() => return Err(stopped()),
    };
    let Prepared { mut source, origin, mut plan } = prepared;
    let outcome = plan.outcome(&origin);
    plan.begin(&library, &origin).await?;
    transfer::run(&library, &mut plan, &mut source, &job, Gate::open()).await?;
    plan.complete(&library, &origin).await?;
    Ok(outcome)
}

struct Prepared {
    source: Source,
    origin: Origin,
    plan: Plan,
}

/// Opens the file, and when the first reader needs what is not here, plans its fetch.
async fn prepare(
    library: &Library,
    get: &Get,
    subject: Subject,
    job: &Arc<Job>,
) -> Result<Prepared, Failure> {
    let wanted = Wanted::find(library, get, job).await?;
    let hints = wanted.hints.clone();
    let mut source = Source::open(library, &get.reference, get.timeout, hints, job);
    let origin = Origin::find(library, wanted, &mut source).await?;
    job.update(|state| state.root = Some(origin.root));
    if subject == Subject::File {
        let (file, _) = find_subject(&origin, &mut source).await?;
        let size = size_of(&source.block(file).await?, get)?;
        let opened = Opened {
            root: origin.root,
            file,
            size,
            path: origin.path.clone().unwrap_or_default(),
            card: origin.card.clone(),
            named: origin.named,
        };
        job.update(|state| state.opened = Some(opened));
    }
    job.readers().needed().await;
    let plan = Plan::make(library, get, Purpose::Read, &origin, &mut source).await?;
    Ok(Prepared { source, origin, plan })
}

/// The bytes of the file with this root.
fn size_of(root: &Block, get: &Get) -> Result<u64, Failure> {
    let refused = |why: String| Failure::new(Code::Refused, format!("{}: {why}", get.reference));
    let names: Vec<String> = match unixfs::decode(root) {
        Ok(Node::File(file)) if file.size <= limits::FILE_MAX => return Ok(file.size),
        Ok(Node::File(_)) => return Err(refused("it is larger than a file may be".into())),
        Ok(Node::Symlink(_)) => return Err(refused("it is a symbolic link".into())),
        Ok(Node::Directory(entries)) => entries.into_iter().map(|entry| entry.name).collect(),
        Ok(Node::Shard(shard)) => {
            let entries = shard.children.into_iter().filter_map(|(_, child)| match child {
                Child::Entry(entry) => Some(entry.name),
                Child::Shard { .. } => None,
            });
            entries.collect()
        }
        Err(why) => return Err(refused(why.to_string())),
    };
    let between =
        if get.reference.contains(':') && !get.reference.starts_with("did:") { "/" } else { ":" };
    let shown = names.iter().take(limits::NAMES_HINTED).map(|name| escape(name).to_string());
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = if names.len() > limits::NAMES_HINTED { ", …" } else { "" };
    Err(Failure::new(Code::Usage, format!("{} is a directory, not a file", get.reference))
        .hint(format!("name a file in it: {}{between}FILE; it holds {shown}{more}", get.reference)))
}

/// Gives the blocks of one file, as a reader asks for them. Dropped, nothing more is fetched for it.
#[derive(Debug)]
pub(in crate::library) struct Reader {
    library: Library,
    get: Get,
    subject: Subject,
    file: Cid,
    root: Cid,
    /// Files that are likely read next.
    then: Arc<[Cid]>,
    /// The job of readers alone; none while there was no need of it.
    hold: Option<Follower>,
    seat: Option<Seat>,
    /// What was said to be needed.
    needed: Range<u64>,
    restarts: usize,
    fetched_before: u64,
    fetched: u64,
}

impl Reader {
    pub(in crate::library) fn new(
        library: &Library,
        get: &Get,
        subject: Subject,
        hold: Option<&Hold>,
        opened: &Opened,
        then: Arc<[Cid]>,
    ) -> Self {
        Self {
            library: library.clone(),
            get: get.clone(),
            subject,
            file: opened.file,
            root: opened.root,
            then,
            hold: hold.map(|hold| hold.0.again()),
            seat: None,
            needed: 0..0,
            restarts: 0,
            fetched_before: 0,
            fetched: 0,
        }
    }

    /// Payload that was taken from peers by the job this reads from, since it does.
    pub(in crate::library) fn fetched(&mut self) -> u64 {
        let now = self.seat.as_mut().map_or(0, |seat| seat.fetched() - self.fetched_before);
        self.fetched + now
    }

    /// The bytes of a block of the file, proven; `rest` is what remains to be read of it. Cancel-safe.
    ///
    /// # Errors
    /// As `get`.
    pub(in crate::library) async fn block(
        &mut self,
        cid: Cid,
        rest: Range<u64>,
    ) -> Result<Bytes, Failure> {
        loop {
            // Before the look, so that nothing that is written after it goes unseen.
            let ended = self.seat.as_mut().and_then(Seat::ended);
            if let Some(bytes) = self.look(cid).await? {
                self.need(&rest, false);
                return Ok(bytes);
            }
            let Some(seat) = &mut self.seat else {
                self.attach(&rest).await?;
                continue;
            };
            match ended {
                None if self.hold.as_ref().is_some_and(|own| seat.is_of(own))
                    && seat.is_carried() == Some(false) =>
                {
                    let (file, root) = (&self.file, &self.root);
                    return Err(Failure::new(
                        Code::Refused,
                        format!("the card lists a file {file} that is not in its tree {root}"),
                    ));
                }
                None => {
                    self.need(&rest, true);
                    if let Some(seat) = &mut self.seat {
                        seat.changed().await;
                    }
                }
                Some(outcome) => {
                    let superseded = seat.was_superseded();
                    let own = self.hold.as_ref().is_some_and(|own| seat.is_of(own));
                    self.fetched = self.fetched();
                    (self.seat, self.fetched_before) = (None, 0);
                    if !own || superseded {
                        continue;
                    }
                    outcome?;
                    // All of it came, and this block was lost since.
                    self.restarts += 1;
                    if self.restarts > RESTARTS {
                        return Err(Failure::new(
                            Code::Failure,
                            format!("{} changes on the disk while it is read", self.get.reference),
                        ));
                    }
                }
            }
        }
    }

    /// Whether a block came just now, and is had without waiting for the disk.
    pub(in crate::library) fn is_fresh(&self, cid: &Cid) -> bool {
        self.library.inner.fresh.get(cid).is_some()
    }

    /// Says how far the reading is, of what was there without waiting.
    pub(in crate::library) fn moved(&mut self, rest: Range<u64>) {
        self.need(&rest, false);
    }

    /// Says what is needed: at once if it is waited for, else when a quarter of what is read ahead has been read.
    fn need(&mut self, rest: &Range<u64>, waits: bool) {
        let Some(seat) = &self.seat else { return };
        let moved = rest.start.abs_diff(self.needed.start);
        if (waits && moved > 0) || moved >= limits::READ_AHEAD / 4 {
            self.needed = ahead(rest);
            seat.need(self.needed.clone());
        }
    }

    async fn look(&self, cid: Cid) -> Result<Option<Bytes>, Failure> {
        if let Some(bytes) = self.library.inner.fresh.get(&cid) {
            return Ok(Some(bytes));
        }
        let store = self.library.store().clone();
        blocking(move || Ok(store.read(cid.hash())?)).await
    }

    /// Takes a seat at a fetch that brings this file, or at the readers' own job.
    async fn attach(&mut self, rest: &Range<u64>) -> Result<(), Failure> {
        self.needed = ahead(rest);
        for fetch in self.library.inner.fetches.of_root(&self.root) {
            let mut seat = Seat::take(fetch, self.file, self.needed.clone(), self.then.clone())?;
            while seat.ended().is_none() {
                match seat.is_carried() {
                    Some(true) => return self.sit(seat),
                    Some(false) => break,
                    None => seat.changed().await,
                }
            }
        }
        let hold = match self.hold.take().filter(|hold| !hold.has_ended()) {
            Some(hold) => hold,
            None => begin(&self.library, &self.get, self.subject)?,
        };
        let own = self.hold.insert(hold).again();
        let seat = Seat::take(own, self.file, self.needed.clone(), self.then.clone())?;
        self.sit(seat)
    }

    fn sit(&mut self, mut seat: Seat) -> Result<(), Failure> {
        self.fetched_before = seat.fetched();
        self.seat = Some(seat);
        Ok(())
    }
}

/// What remains to be read, as far as it is read ahead.
fn ahead(rest: &Range<u64>) -> Range<u64> {
    rest.start..rest.end.min(rest.start.saturating_add(limits::READ_AHEAD))
}
