//! Why a walk refuses a tree. Each names where in the tree and which block, safe for a terminal.

use crate::dag::block::Cid;
use crate::dag::{name, unixfs};

/// Why a tree is refused. Paths are those of the tree, "" its root; their names have passed `name`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A block is no UnixFS node, or contradicts itself.
    #[error("{}: block {cid} is malformed: {why}", at(path))]
    Node {
        /// Where it stands.
        path: String,
        /// The block.
        cid: Box<Cid>,
        /// What is wrong with it.
        why: unixfs::Error,
    },
    /// A name no tree may have.
    #[error("in {}: {why}", at(path))]
    Name {
        /// The directory.
        path: String,
        /// The name and its fault.
        why: name::Error,
    },
    /// A symbolic link.
    #[error("{} is a symbolic link (to \"{target}\"); links from peers are refused", at(path))]
    Symlink {
        /// Where it stands.
        path: String,
        /// Its target, escaped for a terminal.
        target: String,
    },
    /// A CID whose codec is neither raw nor dag-pb, or whose hash is not SHA2-256.
    #[error(
        "{}: {cid} is not supported; blocks must be raw or dag-pb, hashed by sha2-256",
        at(path)
    )]
    Unsupported {
        /// Where it stands.
        path: String,
        /// The CID.
        cid: Box<Cid>,
    },
    /// A block does not hold as many bytes of the file as the node above it says.
    #[error(
        "{}: block {cid} holds {actual} bytes of the file, but {declared} are declared",
        at(path)
    )]
    Size {
        /// The file.
        path: String,
        /// The block.
        cid: Box<Cid>,
        /// Bytes that the node above declares.
        declared: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// A node of one kind where only another can stand.
    #[error("{}: block {cid} stands where only {expected} can", at(path))]
    Kind {
        /// Where it stands.
        path: String,
        /// The block.
        cid: Box<Cid>,
        /// What can stand there.
        expected: &'static str,
    },
    /// A leaf larger than a block, or a file larger than [`FILE_MAX`](crate::limits::FILE_MAX).
    #[error(
        "{}: block {cid} is declared to hold {size} bytes, more than the {max} allowed",
        at(path)
    )]
    TooLarge {
        /// The file.
        path: String,
        /// The block.
        cid: Box<Cid>,
        /// Bytes declared.
        size: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// A file or a HAMT of more levels than any honest one.
    #[error("{}: its nodes stand more than {max} deep", at(path))]
    TooDeep {
        /// The file or directory.
        path: String,
        /// Levels allowed.
        max: usize,
    },
    /// More files or nodes than a tree may have.
    #[error("{}: the tree has more than {max} {what}", at(path))]
    TooMany {
        /// Where the count was exceeded.
        path: String,
        /// What is counted.
        what: &'static str,
        /// The bound.
        max: u64,
    },
}

/// A path of a tree as an error names it.
pub(in crate::dag) fn at(path: &str) -> String {
    if path.is_empty() { "the root".to_owned() } else { format!("\"{}\"", name::escape(path)) }
}
