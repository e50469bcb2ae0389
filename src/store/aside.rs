//! Indexes that a repair moved aside: `index.damaged-GENERATION`, kept beside the new one until `gc`.
//!
//! They are of no use to anything here; they stay as long as somebody may want to look at them, and go when the index
//! in use is in order and space is asked for.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, Store};

const PREFIX: &str = "index.damaged-";

/// How much lies aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aside {
    /// Indexes.
    pub indexes: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// Where the index of this generation is moved.
pub(super) fn path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{generation}"))
}

/// The highest generation among the indexes moved aside, 0 if there is none.
pub(super) fn highest(dir: &Path) -> Result<u64, Error> {
    Ok(list(dir)?.into_iter().map(|(generation, _)| generation).max().unwrap_or(0))
}

/// Only folders that a repair named: what else begins like that is not ours.
fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let listing = fs::read_dir(dir).map_err(|e| Error::io(dir, e))?;
    let one = |entry: fs::DirEntry| {
        let generation = entry.file_name().to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_folder.then(|| (generation, entry.path()))
    };
    Ok(listing.flatten().filter_map(one).collect())
}

/// Bytes of all files below a folder; what can't be looked at counts nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(listing) = fs::read_dir(folder) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    listing.flatten().map(bytes).sum()
}

impl Store {
    /// Damaged indexes that repairs moved aside and no `gc` has deleted.
    ///
    /// # Errors
    /// What the disk says.
    pub fn aside(&self) -> Result<Aside, Error> {
        let mut aside = Aside::default();
        for (_, folder) in list(&self.0.dir)? {
            aside.indexes += 1;
            aside.bytes += bytes_below(&folder);
        }
        Ok(aside)
    }

    /// Deletes them, unless a repair is under way.
    pub(super) fn delete_aside(&self) -> Result<Aside, Error> {
        let mut deleted = Aside::default();
        if self.0.is_repairing() {
            return Ok(deleted);
        }
        for (_, folder) in list(&self.0.dir)? {
            let bytes = bytes_below(&folder);
            fs::remove_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
            deleted.indexes += 1;
            deleted.bytes += bytes;
        }
        Ok(deleted)
    }
}
