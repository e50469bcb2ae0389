//! What a walk reports.

use std::ops::Range;
use std::sync::Arc;

use crate::dag::block::Cid;

/// How many bytes a file or leaf has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A node says so, and other offsets depend on it: it must be true.
    Declared(u64),
    /// Only the block itself can tell (a raw block named by a directory); at most [`BLOCK_MAX`](crate::limits::BLOCK_MAX). This is what
    /// the directory's maker gave, if it is possible at all.
    Hint(Option<u64>),
}

impl Size {
    /// The bytes to expect; 0 where nothing is known.
    pub fn expected(self) -> u64 {
        match self {
            Size::Declared(size) => size,
            Size::Hint(size) => size.unwrap_or(0),
        }
    }
}

/// A stretch of a file that one block holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The file, as counted by [`Found::File`].
    pub file: u64,
    /// The file's path in the tree.
    pub path: Arc<str>,
    /// Where the bytes begin in the file.
    pub offset: u64,
    /// How many they are.
    pub size: Size,
    /// The block.
    pub cid: Cid,
    /// Levels below the file's root. `None`: the block was supplied to the walk, its parts are known, only the bytes it
    /// carries itself are meant.
    pub(super) depth: Option<usize>,
}

/// Something met on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A directory; what is in it follows, not always at once.
    Directory {
        /// Its path, "" for the root.
        path: Arc<str>,
        /// Its (first) node.
        cid: Cid,
    },
    /// A file. If selected, its leaves follow, not always at once, and not always in order.
    File {
        /// Counts the files of this walk from 0.
        index: u64,
        /// Its path, "" for the root.
        path: Arc<str>,
        /// Its root.
        cid: Cid,
        /// Its bytes.
        size: Size,
        /// Whether the walk's filter took it. If not, nothing more is said of it.
        selected: bool,
    },
    /// A block with bytes of a file.
    Leaf(Leaf),
}

/// What [`Walk::fill`](super::Walk::fill) says of a leaf's block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The block's bytes that belong at the leaf's offset. For a raw block all, for a dag-pb leaf what is between head
    /// and tail, for a node taken for a leaf mostly none.
    pub bytes: Range<usize>,
    /// What else came to light: parts, if the leaf was none.
    pub found: Vec<Found>,
}
