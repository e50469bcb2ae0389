//! The index: one sled tree, its batches and its checks. sled is used in this file alone.
//!
//! **What the index guarantees.** Every write goes through [`Index::write`], one at a time. Each batch carries, under
//! the key [`keys::STAMP`], the number of the batch, how many entries the tree has after it and the sum of a hash over
//! all of them. Opening reads the whole tree once and compares: an entry lost, changed or brought back is found, which
//! sled's own checks do not promise (on a damaged file it panics or succeeds with fewer entries, `experiments.md`).
//! `store/flushed` (see `stamp`) finds an index that is whole but too old.
//!
//! sled 0.34 flushes with `sync_file_range` (its `pagecache/iobuf.rs`), which leaves the disk's own cache and the
//! file's length out: [`Index::flush`] therefore fsyncs sled's file itself.
//!
//! After an error of the disk sled refuses all writes, also when there is space again, and after a failed fsync nobody
//! knows what is on the disk: the index is *stopped* then ([`Error::IndexStopped`]) until it is opened anew, which
//! checks all of it. Reads go on.
//!
//! A panic inside sled becomes [`Error::Damaged`]: all calls run under [`guarded`], which also keeps the panic's
//! message off the terminal.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sled::{Db, IVec};

use super::stamp::Watermark;
use super::tally::{Stamp, entry_hash};
use super::{Error, keys};
use crate::limits;

thread_local! {
    static IN_SLED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call into sled; its panic is returned as text instead of being printed.
fn guarded<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let sleds_own = std::thread::current().name().is_some_and(|n| n.starts_with("sled-"));
            if !sleds_own && !IN_SLED.get() {
                previous(info);
            }
        }));
    });
    IN_SLED.set(true);
    // sled's state after a panic is not used again: every caller turns this into `Damaged`.
    let result = catch_unwind(AssertUnwindSafe(call));
    IN_SLED.set(false);
    result.map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        let line = text.lines().next().unwrap_or_default();
        format!("sled panicked: {}", super::shortened(line, 200))
    })
}

/// A value as sled gives it: shared, not copied.
pub(super) type Value = IVec;

/// sled itself. Dropping it flushes, and may panic as any other call.
struct Engine(Option<Db>);

impl Engine {
    fn db(&self) -> &Db {
        self.0.as_ref().expect("taken only by drop")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let db = self.0.take();
        // What was not flushed before was never reported done.
        let _ = guarded(move || drop(db));
    }
}

/// The open index.
pub(super) struct Index {
    engine: Engine,
    /// sled's file, to fsync it.
    file: File,
    dir: PathBuf,
    writer: Mutex<Stamp>,
    watermark: Watermark,
    stopped: OnceLock<Stopped>,
}

/// The first error of the disk.
struct Stopped {
    no_space: bool,
    cause: String,
}

/// What opening found in place of an index.
pub(super) enum Opened {
    /// The index.
    Index(Box<Index>),
    /// A sled folder without a stamp: nothing was ever reported done in it, or it is damaged. The caller knows.
    Blank,
}

impl Index {
    /// Opens `dir/index` on a thread of its own and reads it through.
    ///
    /// `new`: the stamp to begin with if the tree has none; without it such a tree is [`Opened::Blank`].
    pub(super) fn open(dir: &Path, cache: u64, new: Option<Stamp>) -> Result<Opened, Error> {
        let path = dir.join("index");
        remove_generating(&path)?;
        let damaged = |why: String| Error::Damaged { dir: dir.to_path_buf(), why };
        let db_dir = path.clone();
        let opened = std::thread::Builder::new()
            .name("store-open".into())
            .spawn(move || {
                guarded(move || -> sled::Result<_> {
                    let config =
                        sled::Config::new().path(db_dir).cache_capacity(cache).flush_every_ms(None);
                    let begun = Instant::now();
                    let db = loop {
                        match config.open() {
                            // We hold the store's lock: only a thread of sled that has not yet noticed that the
                            // store was closed in this process can hold sled's own.
                            Err(sled::Error::Io(why))
                                if why.to_string().contains("could not acquire lock")
                                    && begun.elapsed() < limits::INDEX_CLOSING =>
                            {
                                std::thread::sleep(Duration::from_millis(10));
                            }
                            opened => break opened?,
                        }
                    };
                    let read = read_through(&db)?;
                    Ok((db, read))
                })
            })
            .map_err(|e| Error::io(dir, e))?
            .join()
            // `guarded` catches; what still ends the thread is sled's panic all the same.
            .unwrap_or_else(|_| Err("sled panicked".to_owned()));
        let (engine, read) = match opened {
            Ok(Ok((db, read))) => (Engine(Some(db)), read),
            Ok(Err(e)) => return Err(at_open(dir, &path, e)),
            Err(panic) => return Err(damaged(panic)),
        };
        let file_path = path.join("db");
        let file = File::open(&file_path).map_err(|e| Error::io(&file_path, e))?;
        let stamp = match (read.stamp, new) {
            (Some(bytes), _) => Stamp::decode(&bytes)
                .ok_or_else(|| damaged("its own count of entries is not readable".into()))?,
            (None, Some(new)) if read.entries == 0 => new,
            (None, None) if read.entries == 0 => return Ok(Opened::Blank),
            (None, _) => return Err(damaged("its own count of entries is gone".into())),
        };
        if (stamp.entries, stamp.sum) != (read.entries, read.sum) {
            return Err(damaged(format!(
                "{} entries are in it where {} were written, or some of them are not as they were",
                read.entries, stamp.entries
            )));
        }
        let (watermark, flushed) = Watermark::open(dir, stamp.generation)?;
        if stamp.sequence < flushed {
            return Err(damaged(format!(
                "it ends at batch {} though batch {flushed} was written",
                stamp.sequence
            )));
        }
        let index = Self {
            engine,
            file,
            dir: dir.to_path_buf(),
            writer: Mutex::new(stamp),
            watermark,
            stopped: OnceLock::new(),
        };
        if stamp.sequence == 0 {
            index.write(|_| Ok(()))?;
            index.flush()?;
            super::disk::sync_folder(&path)?;
        }
        Ok(Opened::Index(Box::new(index)))
    }

    fn guard<R>(&self, call: impl FnOnce(&Db) -> sled::Result<R>) -> Result<R, Error> {
        let why = match guarded(|| call(self.engine.db())) {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(sled::Error::Io(e))) => return Err(self.stop(&e)),
            Ok(Err(e)) => e.to_string(),
            Err(why) => why,
        };
        // What goes wrong after a stop is the stop's doing.
        Err(self.stopped().unwrap_or_else(|| Error::Damaged { dir: self.dir.clone(), why }))
    }

    /// Notes an error of the disk; the first is the cause of all later ones.
    fn stop(&self, error: &io::Error) -> Error {
        self.stopped.get_or_init(|| {
            let no_space =
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            Stopped { no_space, cause: in_words(error) }
        });
        self.stopped().expect("noted just above")
    }

    /// Why the index takes no writes until it is opened anew; `None` while it does.
    pub(super) fn stopped(&self) -> Option<Error> {
        self.stopped.get().map(|Stopped { no_space, cause }| Error::IndexStopped {
            dir: self.dir.clone(),
            no_space: *no_space,
            cause: cause.clone(),
        })
    }

    fn writer(&self) -> MutexGuard<'_, Stamp> {
        // The stamp is only replaced whole, after its batch was applied: a panic between leaves a true one.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One entry.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<IVec>, Error> {
        self.guard(|db| db.get(key))
    }

    /// Up to `max` entries whose keys begin with `prefix` and come after `after`, in order.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<Vec<(IVec, IVec)>, Error> {
        self.guard(|db| {
            let start = match after {
                Some(key) => std::ops::Bound::Excluded(key),
                None => std::ops::Bound::Included(prefix),
            };
            let mut out = Vec::new();
            for entry in db.range::<&[u8], _>((start, std::ops::Bound::Unbounded)).take(max) {
                let (key, value) = entry?;
                if !key.starts_with(prefix) {
                    break;
                }
                out.push((key, value));
            }
            Ok(out)
        })
    }

    /// Applies what `change` puts and removes as one atomic batch, or nothing if it fails. Not durable before
    /// [`Index::flush`].
    pub(super) fn write<R>(
        &self,
        change: impl FnOnce(&mut Batch<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let mut stamp = self.writer();
        let mut batch = Batch { index: self, next_id: stamp.next_id, entries: HashMap::new() };
        let result = change(&mut batch)?;
        let mut next = *stamp;
        next.next_id = batch.next_id;
        next.sequence += 1;
        let mut sled_batch = sled::Batch::default();
        let mut changed = next.sequence == 1 || next.next_id != stamp.next_id;
        for (key, entry) in batch.entries {
            let Some(new) = entry.new else { continue };
            if new == entry.old {
                continue;
            }
            changed = true;
            if let Some(old) = &entry.old {
                next.count(&key, old, false);
            }
            match new {
                Some(new) => {
                    next.count(&key, &new, true);
                    sled_batch.insert(key, new);
                }
                None => sled_batch.remove(key),
            }
        }
        if changed {
            sled_batch.insert(keys::STAMP, next.encode());
            self.guard(|db| db.apply_batch(sled_batch))?;
            *stamp = next;
        }
        Ok(result)
    }

    /// Makes everything written before durable.
    pub(super) fn flush(&self) -> Result<(), Error> {
        let sequence = self.stamp().sequence;
        self.guard(|db| db.flush())?;
        self.file.sync_data().map_err(|e| self.stop(&e))?;
        self.watermark.note(sequence)
    }

    /// Counts as of the last batch.
    pub(super) fn stamp(&self) -> Stamp {
        *self.writer()
    }

    /// Bytes of sled's files.
    pub(super) fn size_on_disk(&self) -> Result<u64, Error> {
        self.guard(Db::size_on_disk)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        if self.stopped.get().is_some() {
            return;
        }
        if let Err(e) = self.flush().and_then(|()| self.watermark.sync()) {
            tracing::warn!(error = %e, "the index was not flushed at the end");
        }
    }
}

/// A change in the making: reads see what it has put.
pub(super) struct Batch<'a> {
    index: &'a Index,
    next_id: u64,
    entries: HashMap<Vec<u8>, Entry>,
}

struct Entry {
    old: Option<IVec>,
    /// `None`: only read so far.
    new: Option<Option<IVec>>,
}

impl Batch<'_> {
    fn entry(&mut self, key: &[u8]) -> Result<&mut Entry, Error> {
        if !self.entries.contains_key(key) {
            let old = self.index.get(key)?;
            self.entries.insert(key.to_vec(), Entry { old, new: None });
        }
        Ok(self.entries.get_mut(key).expect("inserted above"))
    }

    /// One entry as it will be.
    pub(super) fn get(&mut self, key: &[u8]) -> Result<Option<IVec>, Error> {
        let entry = self.entry(key)?;
        Ok(entry.new.as_ref().unwrap_or(&entry.old).clone())
    }

    /// Puts an entry.
    pub(super) fn put(&mut self, key: &[u8], value: impl Into<IVec>) -> Result<(), Error> {
        self.entry(key)?.new = Some(Some(value.into()));
        Ok(())
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<(), Error> {
        self.entry(key)?.new = Some(None);
        Ok(())
    }

    /// A number never given before in this store.
    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

struct Read {
    stamp: Option<IVec>,
    entries: u64,
    sum: u128,
}

fn read_through(db: &Db) -> sled::Result<Read> {
    let mut read = Read { stamp: None, entries: 0, sum: 0 };
    for entry in db.iter() {
        let (key, value) = entry?;
        if key == keys::STAMP {
            read.stamp = Some(value);
        } else {
            read.entries += 1;
            read.sum = read.sum.wrapping_add(entry_hash(&key, &value));
        }
    }
    Ok(read)
}

/// A kill or a full disk leaves a half-written snapshot that makes sled refuse to open.
fn remove_generating(index: &Path) -> Result<(), Error> {
    let listing = match std::fs::read_dir(index) {
        Ok(listing) => listing,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(index, e)),
    };
    for entry in listing {
        let entry = entry.map_err(|e| Error::io(index, e))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            super::disk::remove_small(&entry.path())?;
        }
    }
    Ok(())
}

/// What the system said. sled passes an error on as the text of its structure, without the system's number.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let said = text.split_once("message: \"").and_then(|(_, rest)| rest.split_once('"'));
    said.map_or_else(|| text.clone(), |(message, _)| message.to_owned())
}

/// An error of sled while the index opens: what the system refuses is said as such, all else is damage.
fn at_open(dir: &Path, index: &Path, error: sled::Error) -> Error {
    match error {
        sled::Error::Io(e) => match Error::io(index, e) {
            Error::Io { source, .. } => {
                Error::Damaged { dir: dir.to_path_buf(), why: source.to_string() }
            }
            refused => refused,
        },
        other => Error::Damaged { dir: dir.to_path_buf(), why: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_sled_has_passed_on_still_says_what_the_system_said() {
        let system = io::Error::from_raw_os_error(28);
        let passed_on = sled::Error::Io(system).clone();
        let sled::Error::Io(passed_on) = passed_on else { panic!("{passed_on}") };
        assert_eq!(passed_on.raw_os_error(), None, "else none of this is needed");
        assert_eq!(in_words(&passed_on), "No space left on device");
        assert_eq!(passed_on.kind(), io::ErrorKind::StorageFull);
        assert_eq!(in_words(&io::ErrorKind::WriteZero.into()), "write zero");
    }
}
