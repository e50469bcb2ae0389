//! Content: bytes to verified blocks and trees, and back.
//!
//! Goals: the CIDs of profile `unixfs-v1-2025`, bit for bit (`build`); reading what others make, v0-2015 included
//! (`unixfs`, `walk`); trees from strangers as data, never as trust: sizes, depths, counts and names are all checked
//! before anything leaves here. Non-goals: files, threads, the network; which blocks to ask whom for (`exchange`); where
//! bytes lie (`store`). Rules: `reference/ipfs.md` section 2, design section 4.
//!
//! Invariants: a [`Block`] is true by construction; decoding never panics and never takes more memory than a constant
//! times its input; everything is a function of its arguments.

pub mod block;
pub mod build;
pub mod cursor;
pub mod hamt;
pub mod leaf;
pub mod name;
pub mod pb;
pub mod resolve;
pub mod unixfs;
pub mod walk;

pub use block::{Block, Cid, Multihash};
pub use build::{Built, FileBuilder};
pub use cursor::Cursor;
pub use resolve::Resolve;
pub use unixfs::{Entry, links};
pub use walk::Walk;

#[cfg(test)]
mod tests;
