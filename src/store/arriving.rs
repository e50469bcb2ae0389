//! Files that arrive: written under a hidden name beside the final one, served while they do, renamed when whole.
//!
//! The partial is sparse and of full length from the start; its name follows from tree and path, so that a later run
//! finds it whatever the index remembers. Order of a commit: bytes, `fdatasync`, one batch, flush; only then do the
//! blocks leave the have-map. What a kill left on the disk and not in the index, [`Store::begin_file`] reports as
//! ranges to be hashed. Design section 4.

mod copy;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;

use super::disk::{self, Beneath, Writer};
use super::files::{self, FileRecord, FileStat, FileState};
use super::{Error, FileId, NewBlock, Owner, Place, Store, TreeId, codec, keys};
use crate::dag::Multihash;
use crate::dag::block::sha256;
use crate::limits;

/// Where a file is to be.
#[derive(Debug, Clone)]
pub struct Target {
    /// Absolute folder named by the user or by us; made if it is not there. Symlinks in it are the user's own.
    pub base: PathBuf,
    /// Path below it, with `/`. No symlink is followed here, and no part may be `..`.
    pub path: String,
    /// Bytes of the whole file.
    pub size: u64,
    /// Whose it will be.
    pub owner: Owner,
}

/// The block that a piece of a file makes up, with the bytes around it (empty for raw leaves).
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The block's multihash; the caller has verified it.
    pub key: Multihash,
    /// Bytes of the block before the file's.
    pub head: Bytes,
    /// Bytes of the block after them.
    pub tail: Bytes,
}

impl Leaf {
    /// A raw leaf: the file's bytes alone.
    pub fn raw(key: Multihash) -> Self {
        Self { key, head: Bytes::new(), tail: Bytes::new() }
    }
}

/// A block that is on the disk (or in the page cache) and not yet in the index.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) file: Arc<File>,
    pub(super) place: Place,
    pub(super) tree: TreeId,
}

/// A file being written. Shared by reference between threads; dropped before `finish` it stays resumable.
#[derive(Debug)]
pub struct Arriving {
    store: Store,
    id: FileId,
    tree: TreeId,
    target: Target,
    folder: Beneath,
    partial: String,
    file: Arc<File>,
    writer: Writer,
    /// One write at a time: the kernel takes no two of one file at once, and who waits for it there keeps a core busy.
    writing: Mutex<()>,
    uncommitted: Mutex<Vec<NewBlock>>,
    committing: Mutex<()>,
}

/// The hidden name under which `name` arrives for this tree and path.
pub(super) fn partial_name(tree: TreeId, path: &str, name: &str) -> String {
    let hash = sha256(format!("{tree}/{path}").as_bytes());
    let hex: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let rest = format!("{PARTIAL}{hex}");
    format!(".{}{rest}", super::shortened(name, 255 - 1 - rest.len()))
}

const PARTIAL: &str = ".modelswarm-partial-";

/// Whether a name is one of [`partial_name`]'s.
pub(super) fn is_partial_name(name: &str) -> bool {
    name.strip_prefix('.')
        .and_then(|rest| rest.rsplit_once(PARTIAL))
        .is_some_and(|(_, hex)| hex.len() == 8 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl Store {
    /// Begins a file, or goes on with it where an earlier run was cut off. The ranges hold data that the index does
    /// not list: hash them against the blocks expected there ([`Arriving::read_at`]) and report those that match
    /// ([`Arriving::found`]) before anything is asked from peers. What the index does list: [`Store::file_blocks`].
    ///
    /// # Errors
    /// [`Error::Unsafe`] for a path that leaves its folder or meets a symlink, [`Error::NoSpace`], [`Error::Denied`],
    /// [`Error::Busy`] if this file is being written already, and what index and disk say.
    pub fn begin_file(
        &self,
        tree: TreeId,
        target: Target,
    ) -> Result<(Arriving, Vec<Range<u64>>), Error> {
        let folder = Beneath::open(&target.base, &target.path, true)?
            .expect("with `make` the folder is made or it is an error");
        let partial = partial_name(tree, &target.path, &folder.name);
        let path = folder.join(&partial);
        files::text(&path)?;
        let arriving_key = keys::arriving(tree, &target.path);
        let mut known = self.0.index.get(&arriving_key)?.map(|id| FileId(keys::number_at(&id, 0)));
        if known.is_some_and(|id| self.0.open_partial(id).is_some()) {
            return Err(Error::Busy { path: target.base.join(&target.path) });
        }
        let found = folder.open_own(&partial)?;
        if let Some(id) = known {
            let same = self.file(id)?.is_some_and(|r| r.path == path && r.stat.size == target.size);
            if found.is_none() || !same {
                // The user deleted the partial, or it is another file now: what was listed in it is gone.
                self.forget_file(id)?;
                known = None;
            }
        }
        let mut unlisted = Vec::new();
        let file = match found {
            Some(file) => {
                unlisted =
                    disk::data_ranges(&file, target.size).map_err(|e| Error::io(&path, e))?;
                file
            }
            None => folder.create(&partial)?,
        };
        file.set_len(target.size).map_err(|e| Error::io(&path, e))?;
        let id = match known {
            Some(id) => {
                unlisted = self.without_listed(id, unlisted)?;
                id
            }
            None => self.0.index.write(|batch| {
                let id = FileId(batch.next_id());
                let record = FileRecord {
                    path: path.clone(),
                    state: FileState::Arriving,
                    owner: target.owner,
                    stat: FileStat { size: target.size, dev: 0, ino: 0, mtime: 0, ctime: 0 },
                    hashed_at: 0,
                    tree,
                };
                batch.put(&keys::numbered(keys::FILE, id.0), codec::encode(&record))?;
                batch.put(&arriving_key, id.0.to_be_bytes().to_vec())?;
                self.0.spare_files(tree, &[id]);
                Ok(id)
            })?,
        };
        let file = Arc::new(file);
        self.0.partials().insert(id, Arc::clone(&file));
        let arriving = Arriving {
            store: self.clone(),
            id,
            tree,
            target,
            folder,
            partial,
            file,
            writer: Writer::new(self.0.options.write_mode),
            writing: Mutex::default(),
            uncommitted: Mutex::default(),
            committing: Mutex::default(),
        };
        Ok((arriving, unlisted))
    }

    fn without_listed(
        &self,
        id: FileId,
        ranges: Vec<Range<u64>>,
    ) -> Result<Vec<Range<u64>>, Error> {
        let mut out = Vec::new();
        for range in ranges {
            let mut at = range.start;
            // A block that begins before the range may reach into it.
            let mut from = at.saturating_sub(limits::BLOCK_MAX as u64);
            'range: loop {
                let page = self.file_blocks(id, from, 256)?;
                for (_, place) in &page {
                    if place.offset >= range.end {
                        break 'range;
                    }
                    if place.offset > at {
                        out.push(at..place.offset);
                    }
                    at = at.max(place.offset + u64::from(place.len));
                }
                match page.last() {
                    Some((_, place)) => from = place.offset + 1,
                    None => break,
                }
            }
            if at < range.end {
                out.push(at..range.end);
            }
        }
        Ok(out)
    }

    /// Makes a folder below `base`, and those above it, following no symlink.
    ///
    /// # Errors
    /// As [`Store::begin_file`].
    pub fn make_folder(&self, base: &Path, path: &str) -> Result<(), Error> {
        // `Beneath` is a place in a folder: that of a file that is never made.
        Beneath::open(base, &format!("{path}/file"), true).map(drop)
    }

    /// Finishes many files with two flushes for all of them: see [`Arriving::finish`]. Stops at the first that fails;
    /// those before it are finished, those after it stay resumable.
    ///
    /// # Errors
    /// As [`Arriving::finish`].
    pub fn finish_all(&self, files: Vec<Arriving>, replace: bool) -> Result<Vec<PathBuf>, Error> {
        for file in &files {
            file.commit_unflushed()?;
        }
        self.0.index.flush()?;
        let mut finished: Vec<(&Arriving, FileRecord)> = Vec::new();
        let mut folders = BTreeMap::new();
        let mut result = Ok(());
        for file in &files {
            file.served_from_index();
            match file.rename(replace) {
                Ok(path) => {
                    folders.insert(file.folder.path.clone(), &file.folder);
                    finished.push((file, file.whole(path)));
                }
                Err(e) => {
                    result = Err(e);
                    break;
                }
            }
        }
        for folder in folders.values() {
            folder.sync()?;
        }
        for step in finished.chunks_mut(limits::STORE_BATCH_BLOCKS) {
            for (file, record) in step.iter_mut() {
                // Taken after our own rename, which changes ctime.
                record.stat = FileStat::of(&file.file).map_err(|e| Error::io(&record.path, e))?;
                record.hashed_at = files::nanos(SystemTime::now());
            }
            self.0.index.write(|batch| {
                for (file, record) in step.iter() {
                    let path = files::text(&record.path)?.as_bytes();
                    batch.put(&keys::numbered(keys::FILE, file.id.0), codec::encode(record))?;
                    batch.put(&keys::named(keys::PATH, path), file.id.0.to_be_bytes().to_vec())?;
                    batch.remove(&keys::arriving(file.tree, &file.target.path))?;
                }
                Ok(())
            })?;
        }
        self.0.index.flush()?;
        result?;
        Ok(finished.into_iter().map(|(_, record)| record.path).collect())
    }
}

impl Arriving {
    /// The file's id: also that of the finished file.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Writes the file's bytes of one verified block; from now on the block is served.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Invalid`] for a place outside of the file, and what index and disk say.
    pub fn write(&self, offset: u64, bytes: &[u8], leaf: Leaf) -> Result<(), Error> {
        let place = self.place(offset, bytes.len(), &leaf)?;
        {
            let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            self.writer
                .write_at(&self.file, bytes, offset)
                .map_err(|e| Error::io(&self.folder.join(&self.target.path), e))?;
        }
        let data = self.inline(&place, bytes);
        self.have(leaf.key, place, data)
    }

    /// Lists a block whose `bytes` are in the file already, verified by the caller: after a resume.
    ///
    /// # Errors
    /// As [`Arriving::write`].
    pub fn found(&self, offset: u64, bytes: &[u8], leaf: Leaf) -> Result<(), Error> {
        let place = self.place(offset, bytes.len(), &leaf)?;
        let data = self.inline(&place, bytes);
        self.have(leaf.key, place, data)
    }

    /// Bytes of the partial as they are; shorter at its end.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let left = self.target.size.saturating_sub(offset);
        let len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut bytes = Vec::with_capacity(len);
        disk::read_at(&self.file, &mut bytes, offset, len)
            .map_err(|e| Error::io(&self.folder.join(&self.partial), e))?;
        Ok(bytes.into())
    }

    /// Makes everything written so far durable and lists it: after a kill it is neither fetched nor hashed again.
    /// Worth it every 64 MiB or every second.
    ///
    /// # Errors
    /// [`Error::NoSpace`], and what index and disk say.
    pub fn commit(&self) -> Result<(), Error> {
        self.commit_unflushed()?;
        self.store.0.index.flush()?;
        self.served_from_index();
        Ok(())
    }

    /// Puts the file in its place: commit, rename to the final name, folder synced, record taken. `replace`: over a
    /// file of that name; otherwise [`Error::Exists`] if there is one.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Invalid`] if bytes are missing, [`Error::NoSpace`], and what index and disk say.
    pub fn finish(self, replace: bool) -> Result<PathBuf, Error> {
        let store = self.store.clone();
        let mut paths = store.finish_all(vec![self], replace)?;
        Ok(paths.pop().expect("one file gives one path"))
    }

    /// Gives the file up: its partial is deleted, its record goes with the next `gc`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn discard(self) -> Result<(), Error> {
        self.folder.unlink(&self.partial).map(drop)
    }

    fn place(&self, offset: u64, len: usize, leaf: &Leaf) -> Result<Place, Error> {
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > self.target.size) || len > limits::BLOCK_MAX {
            return Err(Error::Invalid { why: "it lies outside of its file" });
        }
        let len = u32::try_from(len).expect("at most BLOCK_MAX");
        Ok(Place { file: self.id, offset, len, head: leaf.head.clone(), tail: leaf.tail.clone() })
    }

    /// The whole block, if the index is to keep it; `bytes` are the file's of it.
    fn inline(&self, place: &Place, bytes: &[u8]) -> Option<Bytes> {
        let inline = place.block_len() <= self.store.inline_max() as u64;
        inline.then(|| Bytes::from([place.head.as_ref(), bytes, &place.tail].concat()))
    }

    /// Serves the block from now on.
    fn have(&self, key: Multihash, place: Place, data: Option<Bytes>) -> Result<(), Error> {
        let len = u32::try_from(place.block_len()).unwrap_or(u32::MAX);
        let block = NewBlock { key, len, place: Some(place.clone()), data };
        block.check()?;
        let full = {
            let mut uncommitted = self.uncommitted();
            uncommitted.push(block);
            let inline: usize =
                uncommitted.iter().filter_map(|b| b.data.as_ref().map(Bytes::len)).sum();
            uncommitted.len() >= limits::STORE_PENDING_MAX || inline >= limits::STORE_BATCH_BYTES
        };
        let file = Arc::clone(&self.file);
        self.store.0.pending().entry(key).or_insert(Pending { file, place, tree: self.tree });
        if full { self.commit() } else { Ok(()) }
    }

    fn uncommitted(&self) -> MutexGuard<'_, Vec<NewBlock>> {
        self.uncommitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit_unflushed(&self) -> Result<(), Error> {
        let _one_at_a_time = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let blocks = std::mem::take(&mut *self.uncommitted());
        if blocks.is_empty() {
            return Ok(());
        }
        let result = self
            .file
            .sync_data()
            .map_err(|e| Error::io(&self.folder.join(&self.partial), e))
            .and_then(|()| self.store.add_blocks(self.tree, &blocks));
        if result.is_err() {
            // After a failed sync nobody knows what is on the disk: a resume will hash it.
            self.forget_pending(|_| true);
        }
        result
    }

    /// Takes what the index has now out of the have-map.
    fn served_from_index(&self) {
        let waiting: HashMap<u64, ()> = self
            .uncommitted()
            .iter()
            .filter_map(|b| Some((b.place.as_ref()?.offset, ())))
            .collect();
        self.forget_pending(|place| !waiting.contains_key(&place.offset));
    }

    fn forget_pending(&self, gone: impl Fn(&Place) -> bool) {
        self.store.0.pending().retain(|_, p| p.place.file != self.id || !gone(&p.place));
    }

    /// Gives the file its final name, if nothing of it is missing.
    fn rename(&self, replace: bool) -> Result<PathBuf, Error> {
        let missing =
            self.store.without_listed(self.id, vec![Range { start: 0, end: self.target.size }])?;
        if !missing.is_empty() {
            return Err(Error::Invalid { why: "its file is not complete" });
        }
        self.folder.rename(&self.partial, &self.folder.name, replace)?;
        Ok(self.folder.join(&self.folder.name))
    }

    fn whole(&self, path: PathBuf) -> FileRecord {
        FileRecord {
            path,
            state: FileState::Whole,
            owner: self.target.owner,
            stat: FileStat { size: self.target.size, dev: 0, ino: 0, mtime: 0, ctime: 0 },
            hashed_at: 0,
            tree: self.tree,
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.forget_pending(|_| true);
        self.store.0.partials().remove(&self.id);
    }
}
