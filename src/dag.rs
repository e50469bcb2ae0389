//! Content: bytes to verified blocks and back.

pub mod block;

pub use block::{Block, Cid, Multihash};
