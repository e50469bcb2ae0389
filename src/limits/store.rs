//! Bounds of the disk: `store`.

use std::time::Duration;

use super::{KIB, MIB};

/// Bytes up to which a block lies in sled itself, unless the user says otherwise. Nodes and small files stay a few
/// sled pages; anything larger makes sled rewrite whole leaves and triples the disk it takes.
pub const STORE_INLINE_MAX: usize = 16 * KIB;

/// Bytes of sled's page cache, which it exceeds: after opening an index of 500,000 chunks (500 GiB) a process has 96 MB
/// of anonymous memory with 8 MiB, 154 MB with 32 MiB. The daemon is to stay under 150 MB.
pub const STORE_CACHE: u64 = 8 * MIB as u64;

/// Time that sled's own threads may take to let go of an index that was closed in this process before it is opened again.
pub const INDEX_CLOSING: Duration = Duration::from_secs(5);

/// Blocks in one sled batch. A batch lies in memory whole.
pub const STORE_BATCH_BLOCKS: usize = 1024;

/// Bytes of values in one sled batch, of which one block may be the last.
pub const STORE_BATCH_BYTES: usize = 4 * MIB;

/// Records that one step of `gc` looks at before it lets other writers in.
pub const STORE_GC_STEP: usize = 512;

/// Copies of one block that a read tries before it says "not held".
pub const STORE_COPIES_TRIED: usize = 16;

/// Blocks of arriving files that wait, written but not yet in the index; at this number a write commits by itself.
pub const STORE_PENDING_MAX: usize = 1024;

/// Bytes before, and bytes after, the file's bytes in a leaf (a UnixFS v0 leaf has about 20).
pub const STORE_ENVELOPE_MAX: usize = 255;

/// Trees in one store. A block names the trees that hold it, so this bounds its record too.
pub const STORE_TREES_MAX: usize = 16_384;

/// Bytes of the library's own note on a tree.
pub const STORE_NOTE_MAX: usize = 16 * KIB;

/// Signatures of others that are kept beside one root, and in all.
pub const STORE_SIGNATURES_OF_ROOT: usize = 16;
/// See [`STORE_SIGNATURES_OF_ROOT`].
pub const STORE_SIGNATURES_MAX: usize = 4096;

/// Files that reads found changed or missing and that `suspects` remembers.
pub const STORE_SUSPECTS_MAX: usize = 4096;

/// Seconds by which the last change of a file must precede its hashing, so that any later change shows in its ctime:
/// the coarsest time stamp of a file system in use (FAT: 2 s). Design section 4.
pub const STORE_SETTLED_SECS: u64 = 2;

/// Resumable jobs.
pub const STORE_JOBS_MAX: usize = 1024;
/// Bytes of one job's JSON.
pub const STORE_JOB_BYTES: usize = 64 * KIB;

/// Provider records kept over a restart: what the DHT's bounded map holds.
pub const STORE_PROVIDER_RECORDS_MAX: usize = 65_536;
/// Peers kept over a restart.
pub const STORE_PEERS_MAX: usize = 4096;
/// Bytes of the key and of the value of a provider record or a peer.
pub const STORE_SOFT_BYTES: usize = 4 * KIB;

/// Names' records kept over a restart: more than [`NAMES_BYTES`](super::NAMES_BYTES) has room for.
pub const STORE_NAMES_MAX: usize = 16_384;
/// Bytes of one of them: the record, and who brought it.
pub const STORE_NAME_BYTES: usize = super::IPNS_RECORD_MAX + 128;

/// Bytes of a card's bundle, and of a document kept as a plain file.
pub const STORE_RECORD_BYTES: usize = 16 * MIB;

/// Roots that something is kept about by others: a file each.
pub const CLAIMS_ROOTS_MAX: usize = 100_000;

/// Bytes of the command line that the lock file shows.
pub const STORE_LOCK_COMMAND_BYTES: usize = 512;
