//! What can go wrong below the library, one variant per thing a caller can act on.
//!
//! A block, file or tree that is not there is `None`, never an error. Exit codes are the command line's matter: it
//! maps [`Error::NoSpace`] to 7 (and [`Error::IndexStopped`] for want of space), [`Error::Denied`] to 5, the rest to 1.

use std::io;
use std::path::{Path, PathBuf};

use super::{FileId, TreeId};

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has this store open.
    #[error(
        "the store {} is held by process {pid} ({command}); stop it, or give this command another --home",
        dir.display()
    )]
    Held {
        /// The store's folder.
        dir: PathBuf,
        /// Process id of the holder, 0 if it has not written it yet.
        pid: u32,
        /// Its command line, shortened.
        command: String,
    },
    /// The store's folder lies on a file system where its lock and its index are not safe.
    #[error(
        "{} is on {kind}, where the index is not safe; put the home on a local disk with --home (the folders you seed \
         may stay where they are)",
        dir.display()
    )]
    NetworkFileSystem {
        /// The store's folder.
        dir: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
    /// The index is lost, damaged, or holds less than it held.
    #[error("the index in {} cannot be used: {why}; run `modelswarm repair` to rebuild it, your files are untouched", dir.display())]
    Damaged {
        /// The store's folder.
        dir: PathBuf,
        /// What was found.
        why: String,
    },
    /// The disk failed a write of the index, or refused it, and the index takes none since.
    #[error(
        "the index in {} has stopped: {cause}; what was reported done is kept, and the next start goes on from there",
        dir.display()
    )]
    IndexStopped {
        /// The store's folder.
        dir: PathBuf,
        /// Whether disk or quota were full.
        no_space: bool,
        /// The system's word.
        cause: String,
    },
    /// The store was written by another version.
    #[error(
        "the store in {} has schema {found}, this modelswarm reads {supported}; use the version that wrote it, or run \
         `modelswarm repair` to rebuild the index",
        dir.display()
    )]
    Schema {
        /// The store's folder.
        dir: PathBuf,
        /// Schema on the disk.
        found: u32,
        /// The one schema this version reads.
        supported: u32,
    },
    /// The disk or the quota is full.
    #[error("no space left for {}; free some, or choose another place with -o or --home", path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// The operating system refuses it to this user.
    #[error("no permission for {}: {source}", path.display())]
    Denied {
        /// What was opened, written or removed.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A file is there that was not to be replaced.
    #[error("{} exists; use --force to replace it", path.display())]
    Exists {
        /// The file's final name.
        path: PathBuf,
    },
    /// A name that would lead outside of the folder, or over something that is not a plain file or folder.
    #[error("refused to write {}: {why}", path.display())]
    Unsafe {
        /// The whole path.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Paths are kept as text, in the index and in the plain records.
    #[error("the path {} is not valid UTF-8; rename it or reach it under another name", path.display())]
    NotUnicode {
        /// The path, as well as it can be shown.
        path: PathBuf,
    },
    /// A bound of `limits` is reached.
    #[error("too much for the store: {what}, at most {max}")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// A block was offered that contradicts itself.
    #[error("a block was offered to the store that cannot be right: {why}")]
    Invalid {
        /// In which way.
        why: &'static str,
    },
    /// The file is being written by another job of this process: wait until it ends, or read what it writes.
    #[error("{path} is being written by another job")]
    Busy {
        /// Where it is to be.
        path: PathBuf,
    },
    /// No tree has this id.
    #[error("the store has no tree {0}")]
    UnknownTree(TreeId),
    /// No file has this id.
    #[error("the store has no file {0}")]
    UnknownFile(FileId),
    /// Anything else the operating system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was opened, read or written.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

impl Error {
    /// An error of the operating system about `path`, sorted by what the caller can do about it.
    pub(super) fn io(path: &Path, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.to_path_buf(), source.into());
        use io::ErrorKind as Kind;
        match source.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Self::NoSpace { path },
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Self::Denied { path, source },
            _ => Self::Io { path, source },
        }
    }

    /// Whether `modelswarm repair` is what helps.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}
