//! File records and whether they still tell the truth.
//!
//! A record of state [`FileState::Whole`] says what `fstat` gave when the file was hashed. Bytes are believed without
//! hashing only if `fstat` before and after the read equals the record AND the record is *settled*: the file's ctime
//! lies at least [`limits::STORE_SETTLED_SECS`] before hashing began. Otherwise a change right after the hashing could
//! carry the very ctime the record has ("racy git"). ctime alone is compared with the clock, since a program can set
//! mtime to anything and ctime to nothing; an edit of the same size with its mtime restored shows in ctime.
//! Not seen: stores through a shared mapping, until the kernel writes them back; a slow re-hash in the background
//! finds those. Design section 4.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::codec::{self, Place};
use super::{Error, FileId, Owner, Store, TreeId, disk, keys};
use crate::dag::Multihash;
use crate::dag::block::{SHA2_256, sha256};
use crate::limits;

/// What `fstat` says of a file's identity and last changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Bytes.
    pub size: u64,
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Last change of the contents, nanoseconds since 1970.
    pub mtime: i64,
    /// Last change of contents, names or rights, nanoseconds since 1970; no program can set it.
    pub ctime: i64,
}

impl FileStat {
    /// Of an open file.
    ///
    /// # Errors
    /// What `fstat` says.
    pub fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|meta| Self::of_metadata(&meta))
    }

    pub(super) fn of_metadata(meta: &std::fs::Metadata) -> Self {
        let nanos =
            |secs: i64, nanos: i64| secs.saturating_mul(1_000_000_000).saturating_add(nanos);
        Self {
            size: meta.len(),
            dev: meta.dev(),
            ino: meta.ino(),
            mtime: nanos(meta.mtime(), meta.mtime_nsec()),
            ctime: nanos(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// Whether a file's bytes are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// Hashed or fetched to the end; `stat` holds.
    Whole,
    /// A hidden partial that only we write; `stat` tells its size alone.
    Arriving,
}

/// What the index knows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Absolute path; of the hidden partial while it arrives.
    pub path: PathBuf,
    /// Whole or arriving.
    pub state: FileState,
    /// Whose it is: only the library's own are ever deleted.
    pub owner: Owner,
    /// What `fstat` said when it was hashed.
    pub stat: FileStat,
    /// When hashing began, nanoseconds since 1970.
    pub hashed_at: i64,
    /// The tree it was recorded for first.
    pub tree: TreeId,
}

impl FileRecord {
    /// Whether equal `fstat`s prove equal contents. See the module's doc.
    pub fn is_settled(&self) -> bool {
        let margin = i64::try_from(limits::STORE_SETTLED_SECS * 1_000_000_000).expect("2 s fit");
        self.stat.ctime.saturating_add(margin) <= self.hashed_at
    }
}

/// A file to record: whole, hashed, and left where it is.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Absolute path.
    pub path: PathBuf,
    /// Whose it is.
    pub owner: Owner,
    /// Taken before the first read and unchanged after the last.
    pub stat: FileStat,
    /// The clock when reading began.
    pub hashed_at: SystemTime,
}

/// What a look at a file, without reading it, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// As it was hashed.
    Same,
    /// As it was hashed, but it was too young then: reads hash it until `recheck` has seen it once more.
    Unsettled,
    /// Its record differs: touched, edited or replaced.
    Differs,
    /// Not there, or not a plain file.
    Missing,
    /// Still being fetched.
    Arriving,
}

/// What [`Store::recheck`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recheck {
    /// Every block is right; the record is renewed.
    Same,
    /// This many blocks are not, the first of them at this offset.
    Changed {
        /// Blocks that fail.
        blocks: u64,
        /// Where the first of them begins.
        first: u64,
    },
    /// Not there, or not a plain file.
    Missing,
    /// It changed while it was read: look again later.
    Moving,
    /// Still being fetched.
    Arriving,
}

/// What a read noticed of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspect {
    /// Its record differs, the bytes read were right so far.
    Differs,
    /// Bytes read from it were not the block's.
    Bad,
    /// Not there, not readable or not a plain file.
    Missing,
}

/// Nanoseconds since 1970, as records keep times.
pub(super) fn nanos(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Opens a plain file to read it; whatever else lies there (a FIFO would block) is an error.
pub(super) fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).expect("open flags are small"))
        .open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Whether `bytes` are the block `key`. Only SHA2-256 keys are in the store.
pub(super) fn hashes_to(bytes: &[u8], key: &Multihash) -> bool {
    key.code() == SHA2_256 && key.digest() == sha256(bytes)
}

/// A path as the index and the plain records keep it.
pub(super) fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| Error::NotUnicode { path: path.to_path_buf() })
}

impl Store {
    /// Records files for `tree`, in this order of ids. A record that is settled and equal is used again, so that two
    /// trees over one file share it. Not durable before [`Store::save_tree`].
    ///
    /// # Errors
    /// [`Error::NotUnicode`], and what the index says.
    pub fn add_files(&self, tree: TreeId, files: &[NewFile]) -> Result<Vec<FileId>, Error> {
        let mut ids = Vec::with_capacity(files.len());
        for step in files.chunks(limits::STORE_BATCH_BLOCKS) {
            let step_ids = self.0.index.write(|batch| {
                let mut ids = Vec::with_capacity(step.len());
                for file in step {
                    let path_key = keys::named(keys::PATH, text(&file.path)?.as_bytes());
                    let known = batch.get(&path_key)?.map(|id| FileId(keys::number_at(&id, 0)));
                    if let Some(id) = known {
                        let key = keys::numbered(keys::FILE, id.0);
                        let record = batch.get(&key)?.and_then(|r| codec::decode::<FileRecord>(&r));
                        if let Some(mut record) = record
                            && record.state == FileState::Whole
                            && record.stat == file.stat
                            && record.is_settled()
                        {
                            // What the user has seeded is the user's, whoever brought it.
                            if file.owner == Owner::User && record.owner == Owner::Library {
                                record.owner = Owner::User;
                                batch.put(&key, codec::encode(&record))?;
                            }
                            ids.push(id);
                            continue;
                        }
                    }
                    let id = FileId(batch.next_id());
                    let record = FileRecord {
                        path: file.path.clone(),
                        state: FileState::Whole,
                        owner: file.owner,
                        stat: file.stat,
                        hashed_at: nanos(file.hashed_at),
                        tree,
                    };
                    batch.put(&keys::numbered(keys::FILE, id.0), codec::encode(&record))?;
                    batch.put(&path_key, id.0.to_be_bytes().to_vec())?;
                    ids.push(id);
                }
                // While gc is kept out by the batch: no moment in which a reused record looks unused.
                self.0.spare_files(tree, &ids);
                Ok(ids)
            })?;
            ids.extend(step_ids);
        }
        Ok(ids)
    }

    /// A file's record.
    ///
    /// # Errors
    /// What the index says.
    pub fn file(&self, id: FileId) -> Result<Option<FileRecord>, Error> {
        let record = self.0.index.get(&keys::numbered(keys::FILE, id.0))?;
        record.map(|bytes| self.0.decode(&bytes)).transpose()
    }

    /// The newest record of a path.
    ///
    /// # Errors
    /// [`Error::NotUnicode`], and what the index says.
    pub fn file_at(&self, path: &Path) -> Result<Option<(FileId, FileRecord)>, Error> {
        let Some(id) = self.0.index.get(&keys::named(keys::PATH, text(path)?.as_bytes()))? else {
            return Ok(None);
        };
        let id = FileId(keys::number_at(&id, 0));
        Ok(self.file(id)?.map(|record| (id, record)))
    }

    /// Up to `max` of the blocks recorded in a file at `from` or later, in order of their offsets.
    ///
    /// # Errors
    /// What the index says.
    pub fn file_blocks(
        &self,
        id: FileId,
        from: u64,
        max: usize,
    ) -> Result<Vec<(Multihash, Place)>, Error> {
        let prefix = keys::numbered(keys::PLACE, id.0);
        let before = from.checked_sub(1).map(|before| keys::place(id, before));
        self.0
            .index
            .scan(&prefix, before.as_deref(), max)?
            .iter()
            .map(|(_, value)| {
                let (place, key) =
                    codec::decode_placed(id, value).ok_or_else(|| self.0.undecodable())?;
                Ok((key, place))
            })
            .collect()
    }

    /// Compares a file with its record, without reading it.
    ///
    /// # Errors
    /// [`Error::UnknownFile`], and what the index says.
    pub fn look(&self, id: FileId) -> Result<Look, Error> {
        let record = self.file(id)?.ok_or(Error::UnknownFile(id))?;
        if record.state == FileState::Arriving {
            return Ok(Look::Arriving);
        }
        Ok(match std::fs::metadata(&record.path) {
            Ok(meta) if meta.is_file() => match FileStat::of_metadata(&meta) == record.stat {
                true if record.is_settled() => Look::Same,
                true => Look::Unsettled,
                false => Look::Differs,
            },
            _ => Look::Missing,
        })
    }

    /// Reads and hashes a whole file against the blocks recorded in it. If all are right, its record is renewed and
    /// reads believe it again (if it is settled by now).
    ///
    /// # Errors
    /// [`Error::UnknownFile`], and what index and disk say.
    pub fn recheck(&self, id: FileId) -> Result<Recheck, Error> {
        let record = self.file(id)?.ok_or(Error::UnknownFile(id))?;
        if record.state == FileState::Arriving {
            return Ok(Recheck::Arriving);
        }
        let missing = |store: &Self| {
            store.0.suspect(id, Suspect::Missing);
            Ok(Recheck::Missing)
        };
        let began = nanos(SystemTime::now());
        let Ok(file) = open_plain(&record.path) else { return missing(self) };
        let stat = || FileStat::of(&file).map_err(|e| Error::io(&record.path, e));
        let before = stat()?;
        let (mut blocks, mut first, mut from) = (0, 0, 0);
        let mut buffer = Vec::new();
        loop {
            let page = self.file_blocks(id, from, 256)?;
            for (key, place) in &page {
                buffer.clear();
                buffer.extend_from_slice(&place.head);
                let whole = disk::read_at(&file, &mut buffer, place.offset, place.len as usize)
                    .map_err(|e| Error::io(&record.path, e))?;
                buffer.extend_from_slice(&place.tail);
                if !whole || !hashes_to(&buffer, key) {
                    if blocks == 0 {
                        first = place.offset;
                    }
                    blocks += 1;
                }
            }
            match page.last() {
                Some((_, place)) => from = place.offset + 1,
                None => break,
            }
        }
        if stat()? != before {
            return Ok(Recheck::Moving);
        }
        if blocks > 0 || before.size != record.stat.size {
            self.0.suspect(id, Suspect::Bad);
            return Ok(Recheck::Changed { blocks, first });
        }
        self.0.index.write(|batch| {
            let key = keys::numbered(keys::FILE, id.0);
            if let Some(mut now) = batch.get(&key)?.and_then(|r| codec::decode::<FileRecord>(&r)) {
                (now.stat, now.hashed_at) = (before, began);
                batch.put(&key, codec::encode(&now))?;
            }
            Ok(())
        })?;
        self.0.clear_suspect(id);
        Ok(Recheck::Same)
    }

    /// The files that reads and rechecks since the start found to differ, bounded: those to `recheck`, and to show to
    /// the owner.
    pub fn suspects(&self) -> Vec<(FileId, Suspect)> {
        self.0.suspects().iter().map(|(id, what)| (*id, *what)).collect()
    }
}
