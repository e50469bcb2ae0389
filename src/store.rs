//! The disk: which blocks this node has, where their bytes lie, and which repos hold them.
//!
//! sled holds the index; the bytes of chunks lie once on the disk, in the model's own plain files, and small blocks in
//! the index itself. This module knows nothing of networks, protocols or the meaning of blocks; it checks that what it
//! gives out is what was asked for, and that what was reported done is still there after a kill. Every call blocks:
//! from asynchronous code use a pool for blocking work. Design section 4.
//!
//! # What is durable when
//!
//! | call | when it returns |
//! |---|---|
//! | [`Store::add_files`], [`Store::add_blocks`], [`Store::renamed`] | visible, not durable |
//! | [`Arriving::write`], [`Arriving::found`] | served, not durable |
//! | [`Arriving::commit`] | bytes (`fdatasync`), then one batch of extents, then flush |
//! | [`Arriving::finish`] | as commit; rename; folder synced; record of the file; flush |
//! | [`Store::save_tree`] | all that was added before: flush; list of files: flush; record: flush; plain record synced |
//! | [`Store::set_visibility`], [`Store::set_pinned`] | flush; plain record synced |
//! | [`Store::remove_tree`] | plain record gone: synced; index: flush; files deleted |
//! | [`Store::save_job`] | flush |
//! | [`Store::save_card`], [`Store::save_companion`], [`Store::change_mark`], [`Store::save_document`], [`Store::save_claims`] | synced |
//! | [`Store::save_provider_records`], [`Store::save_peers`], [`Store::save_names`] | with the next flush of anything |
//!
//! A flush covers every batch applied before it, whoever applied it. It is sled's flush and an fsync of sled's file,
//! since sled 0.34 itself only calls `sync_file_range`. sled flushes nothing by itself (`flush_every_ms` is off).
//!
//! # Files
//!
//! ```text
//! store/lock         who holds the store (`lock`)
//! store/store.json   schema, store id, generation (`stamp`)
//! store/flushed      number of the last flushed batch (`stamp`)
//! store/index/       sled (`index`, `keys`, `codec`)
//! store/index.damaged-N/  moved aside by a repair (`aside`)
//! store/records/     plain records (`records`)
//! ```

mod arriving;
mod aside;
mod blocks;
mod claims;
mod codec;
mod disk;
mod error;
mod files;
mod gc;
mod index;
mod keys;
mod lend;
mod lock;
mod open;
mod records;
mod renamed;
mod signatures;
mod soft;
mod stamp;
mod tally;
#[cfg(test)]
mod tests;
mod trees;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};

use crate::config::Visibility;
use crate::dag::Multihash;
use crate::limits;

pub use arriving::{Arriving, Leaf, Target};
pub use aside::Aside;
pub use blocks::NewBlock;
pub use codec::Place;
pub(crate) use disk::write_small;
pub use disk::{WriteMode, free_space};
pub use error::Error;
pub use files::{FileRecord, FileStat, FileState, Look, NewFile, Recheck, Suspect};
pub use gc::Swept;
pub use lend::Lent;
pub use records::TreeRecord;
pub use signatures::Foreign;
pub use soft::SoftEntry;
pub use trees::{Owner, Repo, Reservation, Tree, TreeFile, TreeFiles, TreeState};

/// Number of a file record; never given twice in one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId(u64);

/// Number of a tree; never given twice in one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TreeId(u64);

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TreeId {
    /// The number, to keep it in a job's JSON.
    pub fn get(self) -> u64 {
        self.0
    }

    /// An id from [`TreeId::get`]. One that the store does not know is answered as such.
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of the largest leaf that is copied into the index, at most [`limits::BLOCK_MAX`]: there, every block is.
    pub inline_max: usize,
    /// The home's library folder, absolute: only files below it are ever deleted.
    pub library: PathBuf,
    /// Bytes of sled's page cache.
    pub cache: u64,
    /// How fetched chunks are written.
    pub write_mode: WriteMode,
}

impl Options {
    /// The defaults, for a library folder.
    pub fn new(library: impl Into<PathBuf>) -> Self {
        Self {
            inline_max: limits::STORE_INLINE_MAX,
            library: library.into(),
            cache: limits::STORE_CACHE,
            write_mode: WriteMode::default(),
        }
    }
}

/// What is known of a listed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Bytes of the block.
    pub len: u64,
    /// The widest of the trees that hold it.
    pub visibility: Visibility,
}

/// Sizes, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Blocks listed.
    pub blocks: u64,
    /// Bytes of those blocks.
    pub bytes: u64,
    /// Files with a record.
    pub files: u64,
    /// Trees.
    pub trees: u64,
    /// Bytes of the index on the disk.
    pub index_bytes: u64,
}

/// The open store. Cloning shares it; it closes, flushed, with the last clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    options: Options,
    index: index::Index,
    /// Each tree in the index: every request of every client asks for some of them.
    trees: RwLock<BTreeMap<TreeId, Tree>>,
    /// Trees in the making.
    reserved: Mutex<HashSet<TreeId>>,
    /// Files that trees in the making use and no list names yet.
    spared: Mutex<HashMap<TreeId, HashSet<FileId>>>,
    /// The have-map of arriving files; each bounds its own part at [`limits::STORE_PENDING_MAX`].
    pending: Mutex<HashMap<Multihash, arriving::Pending>>,
    /// Arriving files that are open.
    partials: Mutex<HashMap<FileId, Arc<File>>>,
    suspects: Mutex<HashMap<FileId, Suspect>>,
    /// Held while a tree's record and its plain record change together.
    tree_changes: Mutex<()>,
    /// Plain records are left as they are until the repair ends.
    repairing: AtomicBool,
    /// Last: the lock outlives the index.
    _lock: lock::Lock,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.0.dir).finish_non_exhaustive()
    }
}

/// The beginning of `text`, at most `max` bytes of it.
fn shortened(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// No invariant spans two changes of these maps, so a panic of one holder leaves them usable.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn trees(&self) -> RwLockReadGuard<'_, BTreeMap<TreeId, Tree>> {
        self.trees.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn trees_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<TreeId, Tree>> {
        self.trees.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserved(&self) -> MutexGuard<'_, HashSet<TreeId>> {
        locked(&self.reserved)
    }

    fn spared(&self) -> MutexGuard<'_, HashMap<TreeId, HashSet<FileId>>> {
        locked(&self.spared)
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Multihash, arriving::Pending>> {
        locked(&self.pending)
    }

    fn partials(&self) -> MutexGuard<'_, HashMap<FileId, Arc<File>>> {
        locked(&self.partials)
    }

    fn suspects(&self) -> MutexGuard<'_, HashMap<FileId, Suspect>> {
        locked(&self.suspects)
    }

    fn tree_changes(&self) -> MutexGuard<'_, ()> {
        locked(&self.tree_changes)
    }

    fn is_alive(&self, tree: TreeId) -> bool {
        self.trees().contains_key(&tree) || self.reserved().contains(&tree)
    }

    fn spare_files(&self, tree: TreeId, files: &[FileId]) {
        self.spared().entry(tree).or_default().extend(files);
    }

    fn is_spared(&self, file: FileId) -> bool {
        self.spared().values().any(|files| files.contains(&file))
    }

    fn open_partial(&self, file: FileId) -> Option<Arc<File>> {
        self.partials().get(&file).cloned()
    }

    fn suspect(&self, file: FileId, what: Suspect) {
        let mut suspects = self.suspects();
        if suspects.len() < limits::STORE_SUSPECTS_MAX || suspects.contains_key(&file) {
            suspects.insert(file, what);
        }
    }

    fn clear_suspect(&self, file: FileId) {
        self.suspects().remove(&file);
    }

    /// Drops all entries below a prefix, in bounded batches.
    fn drop_prefix(&self, prefix: &[u8]) -> Result<(), Error> {
        loop {
            let page = self.index.scan(prefix, None, limits::STORE_GC_STEP)?;
            if page.is_empty() {
                return Ok(());
            }
            self.index.write(|batch| page.iter().try_for_each(|(key, _)| batch.remove(key)))?;
        }
    }

    fn decode<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Error> {
        codec::decode(bytes).ok_or_else(|| self.undecodable())
    }

    fn undecodable(&self) -> Error {
        let why = "one of its records is not readable".to_owned();
        Error::Damaged { dir: self.dir.clone(), why }
    }

    fn is_repairing(&self) -> bool {
        self.repairing.load(Ordering::Acquire)
    }
}

impl Store {
    /// Opens the store in `dir` (`<home>/store`), or makes one there. Reads the whole index once: 1.2 s
    /// to 1.8 s measured for 500,000 chunks (500 GiB).
    ///
    /// # Errors
    /// [`Error::Held`], [`Error::NetworkFileSystem`], [`Error::Schema`], [`Error::Damaged`] (then `repair` helps: a
    /// store that has lost its index is never begun anew over it), and what the disk says.
    pub fn open(dir: &Path, options: Options) -> Result<Self, Error> {
        open::open(dir, options)
    }

    /// Opens the store in `dir` with a new, empty index; the one that was there is moved aside, as
    /// `index.damaged-GENERATION`. [`Store::records`] tells what is to be imported again; [`Store::open`] refuses the
    /// store until [`Store::finish_repair`].
    ///
    /// # Errors
    /// [`Error::Held`], [`Error::NetworkFileSystem`], and what the disk says.
    pub fn open_for_repair(dir: &Path, options: Options) -> Result<Self, Error> {
        open::open_for_repair(dir, options)
    }

    /// Ends a repair: the plain records become those of the trees in the index now.
    ///
    /// # Errors
    /// What index and disk say; then the repair has not ended and can be run again.
    pub fn finish_repair(&self) -> Result<(), Error> {
        open::finish_repair(self)
    }

    /// Flushes and gives this handle up. The store closes with its last clone.
    ///
    /// # Errors
    /// What index and disk say.
    pub fn close(self) -> Result<(), Error> {
        self.flush()
    }

    /// Makes everything before it durable.
    ///
    /// # Errors
    /// [`Error::NoSpace`], and what index and disk say.
    pub fn flush(&self) -> Result<(), Error> {
        self.0.index.flush()
    }

    /// Why the index takes no writes any more, as [`Error::IndexStopped`]; `None` while all is well. Only opening the
    /// store anew helps: what runs long should end, and be started again.
    pub fn stopped(&self) -> Option<Error> {
        self.0.index.stopped()
    }

    /// Bytes of the largest leaf that is kept in the index.
    pub fn inline_max(&self) -> usize {
        self.0.options.inline_max
    }

    /// Sizes, for `status`.
    ///
    /// # Errors
    /// What the index says.
    pub fn counters(&self) -> Result<Counters, Error> {
        let stamp = self.0.index.stamp();
        Ok(Counters {
            blocks: stamp.blocks,
            bytes: stamp.bytes,
            files: stamp.files,
            trees: stamp.trees,
            index_bytes: self.0.index.size_on_disk()?,
        })
    }
}
