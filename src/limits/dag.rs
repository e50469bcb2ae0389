//! Bounds of content: `dag`, and the border `config` checks.

use super::{KIB, MIB};

/// Bytes of a leaf in profile `unixfs-v1-2025` (IPIP-0499).
pub const CHUNK: usize = MIB;

/// Bytes of the largest block accepted or served: what every Bitswap peer must handle (Bitswap spec, "block sizes").
pub const BLOCK_MAX: usize = 2 * MIB;

/// Links of one file node in profile `unixfs-v1-2025` (IPIP-0499).
pub const FILE_LINKS: usize = 1024;

/// Bytes of the largest serialized directory node in profile `unixfs-v1-2025`; a larger one becomes a HAMT (IPIP-0499).
pub const DIRECTORY_BLOCK_MAX: usize = 256 * KIB;

/// Children of one HAMT shard in profile `unixfs-v1-2025` (IPIP-0499).
pub const HAMT_FANOUT: usize = 256;

/// Children of the widest HAMT shard read: boxo's bound since CVE-2023-23625. Below [`HAMT_FANOUT`] nobody makes any.
pub const HAMT_FANOUT_MAX: usize = 1024;

/// Bytes of one name: what Linux, macOS and Windows file systems can store (`NAME_MAX`).
pub const NAME_MAX: usize = 255;

/// Bytes of a path inside a tree, its slashes counted: the smallest `PATH_MAX` among our platforms (macOS).
pub const PATH_MAX: usize = 1024;

/// Parts of a path inside a tree: far beyond any repo seen, and a bound on what a walk keeps per path.
pub const PATH_DEPTH_MAX: usize = 64;

/// Levels of nodes below a file's root. Balanced files of [`FILE_LINKS`] need 3 for [`FILE_MAX`]; trees of two links
/// each, the thinnest that still make sense, 24.
pub const FILE_DEPTH_MAX: usize = 32;

/// Bytes of the largest file: what ext4 holds. A lying root could otherwise declare 2^63 in a hundred bytes.
pub const FILE_MAX: u64 = 16 << 40;

/// Files in one tree: room above the datasets of a million files that the design names.
pub const TREE_FILES_MAX: u64 = 4 << 20;

/// Nodes and leaves met in one walk, repeats counted: 16 TiB of 1 MiB chunks. Stops a small DAG that repeats its own
/// subtrees exponentially.
pub const TREE_NODES_MAX: u64 = 16 << 20;

/// Inner nodes that a walk asks for at once: enough that a fetch is never latency-bound (256 file nodes name 256 GiB).
pub const WALK_OUTSTANDING: usize = 256;

/// Nodes a walk knows and has not seen, before it stops asking for more at once; about 200 bytes each.
pub const WALK_PENDING: usize = 64 * 1024;

/// Nodes a walk may know and not have seen at all: with [`WALK_PENDING`] respected only hostile trees come here.
pub const WALK_PENDING_MAX: usize = 1024 * 1024;
