//! Bounds of the HTTP endpoint: `gateway`, `library::hub`.

use std::time::Duration;

use super::{KIB, MIB};

/// Connections of HTTP clients at a time; more wait to be accepted. Clients of a whole cluster node, eight streams each.
pub const HTTP_CONNECTIONS: usize = 512;

/// How long the head of a request may take to arrive, and a connection to be idle between two.
pub const HTTP_HEAD: Duration = Duration::from_secs(60);

/// How long a client may take nothing of an answer before it is cut off.
pub const HTTP_STALL: Duration = Duration::from_secs(60);

/// Bytes of a request's head.
pub const HTTP_HEAD_BYTES: usize = 64 * KIB;

/// Bytes of a request's body that is read whole: lists of paths.
pub const HTTP_BODY: usize = 4 * MIB;

/// Paths asked for in one `paths-info`: clients send at most 1,000.
pub const HUB_PATHS: usize = 10_000;

/// How long others' versions are looked for while a client waits: its own patience is 10 s.
pub const HUB_FIND: Duration = Duration::from_secs(8);

/// How long a client's file may make no progress before its body is given up.
pub const HUB_BODY: Duration = Duration::from_secs(30);

/// How long the answer's head waits for the first peer that has the file: clients give up 10 s after the last byte.
pub const HUB_OPEN: Duration = Duration::from_secs(8);

/// How long what serves the readers of a tree stays after the last one: the next file is asked for by then.
pub const HUB_LINGER: Duration = Duration::from_secs(10);

/// Files up to which a tree is looked at whole when the first of them is read, so that the others need no look of their own.
pub const HUB_TREE_FILES: u64 = 5_000;

/// For how long what was found counts as new: a client asks for `main` of one repo many times in a row.
pub const HUB_FOUND: Duration = Duration::from_secs(30);

/// The same of what was not found, or not reached.
pub const HUB_NOT_FOUND: Duration = Duration::from_secs(5);

/// Looks that are remembered for so long.
pub const HUB_LOOKS: usize = 4096;

/// Versions whose cards are kept verified in memory, for lists of repos and for clients that ask for one file after another.
pub const HUB_VERSIONS: usize = 1024;

/// Files of all these versions together: about half a KiB each. The newest stays whatever it has.
pub const HUB_VERSIONS_FILES: u64 = 65_536;

/// Bytes of the largest repo that is fetched because a client reads it: above the largest open weights of today.
pub const HUB_REPO_MAX: u64 = 2 << 40;

/// Roots of which it is remembered when they were read last: what is forgotten only makes way sooner.
pub const HUB_READS: usize = 4096;

/// Bytes that stay free on the disk when a client's reading fetches.
pub const HUB_RESERVE: u64 = 1 << 30;

/// Entries on a page of a list or tree when a client does not say how many, and the most that it may ask for.
pub const HUB_PAGE: usize = 1000;
/// See [`HUB_PAGE`]. Some clients do not turn pages, so a tree is given whole up to this.
pub const HUB_PAGE_MAX: usize = 10_000;

/// Trusted publishers whose indexes are asked for a list of repos, how many at a time, and how long a client waits for them.
pub const HUB_INDEXES: usize = 64;
/// See [`HUB_INDEXES`].
pub const HUB_INDEXES_AT_ONCE: usize = 8;
/// See [`HUB_INDEXES`].
pub const HUB_INDEXES_WAIT: Duration = Duration::from_secs(3);

/// How long a repo's uploads rest before the last state is signed: a client's next batch is under way by then.
pub const DRAFT_QUIET: Duration = Duration::from_secs(10);

/// After how long one that could not be signed is tried again.
pub const DRAFT_RETRY: Duration = Duration::from_secs(5 * 60);

/// How often a daemon looks whether one has rested so long.
pub const DRAFT_PAUSE: Duration = Duration::from_secs(1);

/// States of one repo that are not signed yet: a client that commits every minute for days. Each keeps a list of all files.
pub const DRAFTS: usize = 4096;

/// Characters of a commit's title that are kept.
pub const DRAFT_TITLE_MAX: usize = 200;

/// Changes in one commit; clients send at most 1,000.
pub const COMMIT_CHANGES: usize = 100_000;

/// Bytes of one line of a commit, a file in base64 in it: 48 MB. Larger ones come by LFS or Xet.
pub const COMMIT_LINE: usize = 64 * MIB;

/// Commits read at a time, each with such a line in memory.
pub const COMMITS_AT_ONCE: usize = 2;

/// Bytes up to which a client is told to put a file into the commit itself.
pub const INLINE_FILE: u64 = MIB as u64;

/// Bytes of the largest file that is taken in.
pub const UPLOAD_MAX: u64 = 1 << 40;

/// How long what was uploaded and never committed stays after the last write to its repo: large folders are sent for hours, with
/// one commit at the end, and a client that broke off is started again.
pub const UPLOAD_KEPT: Duration = Duration::from_secs(3600);

/// How often what was uploaded and never committed is looked for.
pub const UPLOAD_SWEEP: Duration = Duration::from_secs(600);

/// How long a client may send nothing of a body.
pub const UPLOAD_STALL: Duration = Duration::from_secs(60);

/// Bytes of one xorb as a Xet client sends it: 64 MiB of data, their headers and what follows them.
pub const XORB_MAX: usize = 72 * MIB;

/// Xorbs and shards taken in at a time, each whole in memory and grown by doubling: 1.2 GB at the very most. A client sends
/// some eight at once, and what waits loses nothing.
pub const PIECES_AT_ONCE: usize = 8;

/// Bytes of one shard: clients begin another at 64 MiB.
pub const SHARD_MAX: usize = 80 * MIB;
