//! Bounds of what users do: `library`, `node`, `client`.

use std::time::Duration;

use super::{KIB, MIB};

/// Bytes of the longest line on the control socket: an answer with a listing of some 100,000 files.
pub const CONTROL_LINE_MAX: usize = 32 * MIB;

/// Bytes of the longest path of a Unix socket (`sun_path`, less its closing zero; `man 7 unix`).
pub const SOCKET_PATH_MAX: usize = 107;

/// Clients of the control socket served at once; more wait to be accepted.
pub const CONTROL_CLIENTS: usize = 32;

/// How long a command may take to sign: a person types a passphrase, or touches what their agent asks for.
pub const SIGN_WAIT: Duration = Duration::from_secs(120);

/// Events of one request that wait for its client; a slow reader slows the work, it does not fill memory.
pub const EVENTS_QUEUED: usize = 64;

/// Folders inside one another in what is seeded: far above any real repo, far below the stack's end.
pub const FOLDER_DEPTH_MAX: usize = 64;

/// Files read at once by an import: enough to keep a disk busy, few enough that their buffers stay small.
pub const HASH_FILES: usize = 8;

/// Bytes read ahead of the hash, twice for each file that is read. Several chunks, so that all cores share one file.
pub const HASH_BATCH: usize = 4 * MIB;

/// How often a file that changes while it is read is started again before the import gives up.
pub const HASH_ATTEMPTS: usize = 3;

/// Pause before connections are accepted again after the system refused one: descriptors come free meanwhile.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Changed or missing files that `status` lists by name; a whole disk gone missing is said in one look.
pub const CHANGED_FILES_LISTED: usize = 1000;

/// CIDs of large files that a repo announces beside its release and root, and how large such a file is, in bytes
/// (design section 6): they are worth finding on their own, and a repo stays a handful of records.
pub const ANNOUNCED_FILES: usize = 30;
/// See [`ANNOUNCED_FILES`].
pub const ANNOUNCED_FILE_MIN: u64 = 64 * MIB as u64;

/// Peers that one fetch may be given by hand and has not yet dialled.
pub const FETCH_PEERS: usize = 64;

/// Warnings that one fetch keeps for its followers.
pub const FETCH_WARNINGS: usize = 16;

/// Leaves of one fetch that are asked for at once: many small files fill a link as one large file does.
pub const FETCH_WANTS: usize = 1024;

/// Blocks written at once by one fetch: writing and hashing of the next overlap, memory stays small.
pub const FETCH_WRITES: usize = 4;

/// Bytes, or seconds, after which a fetch makes durable what it has written: what a power cut can cost.
pub const FETCH_COMMIT_BYTES: u64 = 64 * MIB as u64;
/// See [`FETCH_COMMIT_BYTES`].
pub const FETCH_COMMIT_PAUSE: Duration = Duration::from_secs(1);

/// Small files begun and finished together, with one flush of the index for all.
pub const FETCH_FINISH_FILES: usize = 256;

/// Unfinished fetches that a daemon goes on with when it starts again; what is beyond that waits for the same `get`.
pub const FETCHES_NOTED: usize = 256;

/// Time after which an unfinished fetch that nobody can serve is tried again; it doubles up to the second.
pub const FETCH_RETRY: Duration = Duration::from_secs(15);
/// See [`FETCH_RETRY`].
pub const FETCH_RETRY_MAX: Duration = Duration::from_secs(600);

/// How long a fetch waits for another peer to turn up after all that were asked said they do not have it.
pub const FETCH_LAST_CHANCE: Duration = Duration::from_secs(5);

/// Bytes of the largest file read into memory by a fetch: a card, or a list of files beside it.
pub const FETCH_SMALL_FILE: usize = 256 * MIB;

/// Indexes of trusted publishers that are looked through for a card of which only the id is known.
pub const CARD_INDEXES: usize = 32;

/// Readers of one fetch at a time: connections of a gateway, mostly.
pub const READERS: usize = 256;

/// Bytes that a reader is ahead of itself: 1 Gbit/s at 100 ms, and a quarter more. What is fetched lies on the disk, not in
/// memory.
pub const READ_AHEAD: u64 = 16 * MIB as u64;

/// Leaves asked for ahead of one reader, however small they are.
pub const READ_AHEAD_LEAVES: usize = 256;

/// Bytes of a file that is brought because the one before it is read: one leaf. Whoever reads a repo's small files reads one
/// after another, and each costs a round trip of its own else.
pub const READ_AHEAD_FILE: u64 = 256 * KIB as u64;

/// Bytes of such files together: what is lost on somebody who wanted the one file alone.
pub const READ_AHEAD_FILES: u64 = 4 * MIB as u64;

/// Bytes of blocks that came just now and are kept in memory for who reads them: all that one reader is ahead.
pub const FRESH_BYTES: usize = READ_AHEAD as usize;

/// The same as a number of blocks: small files come by the thousand.
pub const FRESH_BLOCKS: usize = 1024;

/// Such files opened in one go: what readers wait for comes between.
pub const READ_AHEAD_STEP: usize = 16;

/// Bytes of a file in one piece on their way to who reads it over the control socket; [`EVENTS_QUEUED`] of them wait.
pub const READ_PIECE: usize = 64 * KIB;

/// How long what nobody reads any more may take to come to its end in good order: one flush.
pub const READING_END: Duration = Duration::from_secs(10);

/// How long a job waits for another one to let go of a file: as above.
pub const FILE_BUSY: Duration = Duration::from_secs(10);

/// How often it looks.
pub const FILE_BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Entries of a release that are asked for at once; the layout has five.
pub const RELEASE_ENTRIES: usize = 8;

/// Names of a folder's files in a hint.
pub const NAMES_HINTED: usize = 8;

/// Keys that a lab's roots may send a reader to, one after another: a lab that changed it, and again meanwhile.
pub const LAB_ANNOUNCE_HOPS: usize = 4;

/// How long peers are asked for claims while something is fetched by somebody who counts on some endorser's, and how long an
/// answer waits for that at its end: a word in time, which no fetch is held up for.
pub const CLAIMS_WAIT: Duration = Duration::from_secs(1);

/// How long peers are asked for a lab's newest roots before its name is asked for: as long as a name of which a version is
/// here ([`NAME_WAIT_HELD`]), since most answer at once and one that is silent must not hold up the rest.
pub const LAB_ROOTS_WAIT: Duration = Duration::from_secs(3);

/// How long a name is looked for by a node that may just have started and know nobody yet, and the pause between attempts.
pub const NAME_WAIT: Duration = Duration::from_secs(10);
/// The same where a version of it is here, which will do if no peer turns up.
pub const NAME_WAIT_HELD: Duration = Duration::from_secs(3);
/// See [`NAME_WAIT`].
pub const NAME_RETRY: Duration = Duration::from_millis(250);

/// How long the DHT is asked what other machines published with the home's own key, before something is signed.
pub const NAME_WAIT_OWN: Duration = Duration::from_secs(3);

/// Own indexes that are remembered as taken into account: far more than peers could still have old records of.
pub const NAMES_SEEN: usize = 64;

/// How long before its end a name's record is signed anew, and how long before it `status` warns: a daemon that was off
/// for a fortnight renews in time, and one that cannot says so for a week.
pub const NAMES_RENEW: Duration = Duration::from_secs(15 * 24 * 3600);
/// See [`NAMES_RENEW`].
pub const NAMES_WARN: Duration = Duration::from_secs(7 * 24 * 3600);

/// How often a daemon looks whether a record is to be signed anew.
pub const NAMES_RENEW_PAUSE: Duration = Duration::from_secs(3600);

/// Cards of one repo that are walked back along `prev`, or listed: a version a day for ten years.
pub const CHAIN_WALK: usize = 4096;

/// Unknown fields of `trust.toml` that are named: one is enough to look into the file.
pub const TRUST_UNREAD_LISTED: usize = 8;

/// Cards of which is remembered what they say of their files, so that a listing verifies none twice: two for each version
/// that a library may hold, about 10 MB.
pub const CARD_FACTS: usize = 2 * super::STORE_TREES_MAX;

/// Other cards over the same files that are noted with a fetched version, the newest: about 200 bytes each, within
/// [`STORE_NOTE_MAX`](super::STORE_NOTE_MAX).
pub const CARDS_OVER: usize = 16;

/// Files that one fetch has open: with a descriptor each, far below the usual limit of 1,024.
pub const FETCH_OPEN_FILES: usize = 512;

/// Files of one fetch that are examined in one go before their verdicts count: examining one takes microseconds, and
/// whoever waits for the first verdict waits for them all. One at a time, so that no more than
/// [`CONTENT_READ_MAX`](super::CONTENT_READ_MAX) bytes are in memory.
pub const FETCH_EXAMINED: usize = 64;

/// Files with unsafe content that a warning names; the others are counted.
pub const CONTENT_WARNINGS: usize = 5;

/// Bytes of the largest README.md whose front matter is read; the Hub itself refuses larger ones' metadata.
pub const README_MAX: u64 = 8 * MIB as u64;

/// Levels of what was made from what that are shown: the longest lines of models have about ten.
pub const LINEAGE_DEPTH_MAX: usize = 32;

/// Relations in one such answer, and cards in it that name another: more than a person reads.
pub const LINEAGE_RELATIONS_MAX: usize = 1024;

/// Cards of the library that are searched for those that name another: each costs the check of a signature.
pub const LINEAGE_SCAN: usize = 16_384;

/// Files with evaluation results that are read beside a README; the Hub has one for each who reports.
pub const RESULT_FILES: usize = 64;

/// Extents of a file read from the index at once.
pub const EXTENTS_PAGE: usize = 4096;

/// How often a daemon looks whether its index still takes writes. After an error of the disk it never will again, so the
/// sooner it ends and is started anew, the fewer requests fail (design section 4).
pub const INDEX_WATCH: Duration = Duration::from_secs(1);

/// How often a daemon looks after its files: soon enough that a new file is believed within a breath.
pub const TEND_PAUSE: Duration = Duration::from_secs(3);

/// Files re-read in one such look, and how many are remembered so that none is re-read again and again.
pub const TEND_FILES: usize = 256;
/// See [`TEND_FILES`].
pub const TEND_REMEMBERED: usize = 4096;

/// Bytes a second of the slow round over all files: a terabyte in four days, a hundredth of a disk's rate.
pub const TEND_BYTES_PER_SECOND: u64 = 3 * MIB as u64;

/// Bytes a second at which a daemon compares what it fetched with what the cards say: a model of 60 GB in a quarter of an
/// hour, a tenth of one core.
pub const STATEMENTS_BYTES_PER_SECOND: u64 = 64 * MIB as u64;

/// After how long a version whose files could not be compared, since they were changed or are missing, is tried again.
pub const STATEMENTS_RETRY: Duration = Duration::from_secs(600);

/// Of statements that do not hold, lines that are kept and characters of one: what `status` shows, within
/// [`STORE_NOTE_MAX`](super::STORE_NOTE_MAX).
pub const STATEMENTS_LINES: usize = 5;
/// See [`STATEMENTS_LINES`].
pub const STATEMENTS_LINE_MAX: usize = 200;

/// How long a new file may take to come to rest and be read again.
pub const TEND_YOUNG: Duration = Duration::from_secs(60);

/// How long a daemon runs before its slow round over all files begins: short runs are not for that.
pub const TEND_ROUND_DELAY: Duration = Duration::from_secs(600);

/// Bytes of a tree's structure that one fetch keeps in memory so as not to ask for them twice: nodes of some 600 GiB.
pub const FETCH_NODE_BYTES: usize = 32 * MIB;

/// Bytes that a fetch or copy leaves free: a disk filled to the last byte would keep the index from opening, and so
/// every command from helping.
pub const SPACE_RESERVE: u64 = 16 * MIB as u64;

/// Claims kept about one root by the user himself and by those whom the trust list names.
pub const CLAIMS_KNOWN: usize = 64;

/// Claims kept about one root by others, and cards over it that somebody offered: enough to be told of them, too few to fill
/// a disk (issue 5, point 6; provenance section 6, "endorsement spam").
pub const CLAIMS_UNKNOWN: usize = 16;
/// See [`CLAIMS_UNKNOWN`].
pub const CARDS_OFFERED: usize = 16;

/// Bytes of the largest offered card, in its bundle, that is kept: one with some 700 files. With the claims about the
/// root all stays within [`STORE_RECORD_BYTES`](super::STORE_RECORD_BYTES).
pub const CARD_OFFERED_MAX: usize = 256 * KIB;

/// Cards of the library's own in one answer to a peer that asks about a root: they come first, and leave room for claims.
pub const ATTEST_CARDS: usize = 16;

/// Repos of one cache, and models of one Ollama folder, that are adopted at once: as many versions as a store may hold.
pub const ADOPT_REPOS: usize = super::STORE_TREES_MAX;

/// Snapshots of one repo of a cache: each is a folder that is listed, and a version in the library.
pub const ADOPT_SNAPSHOTS: usize = 1024;

/// Refs of one repo of a cache that are read, and how deep their folders go (`refs/pr/1`).
pub const ADOPT_REFS: usize = 1024;
/// See [`ADOPT_REFS`].
pub const ADOPT_REF_DEPTH: usize = 4;

/// Refs that are noted with a snapshot, and bytes of one's name: with them a note stays far below
/// [`STORE_NOTE_MAX`](super::STORE_NOTE_MAX).
pub const ADOPT_REFS_NOTED: usize = 16;
/// See [`ADOPT_REFS_NOTED`].
pub const ADOPT_REF_NAME: usize = 255;

/// Bytes of a ref's file: 40 hex digits, and a line's end.
pub const ADOPT_REF_BYTES: usize = 42;

/// Bytes of one list of a commit's files as a Hugging Face client keeps it: about 300 a file, for as many as a repo may have.
pub const ADOPT_LISTING_BYTES: usize = 64 * MIB;

/// Entries of a cache's folder of blobs that are looked at for unfinished ones: two for each file of a repo.
pub const ADOPT_BLOBS: usize = 2 * super::REPO_FILES_MAX;

/// Bytes of one Ollama manifest, and layers in it: real ones have about ten, each in 200 bytes.
pub const ADOPT_MANIFEST_BYTES: usize = MIB;
/// See [`ADOPT_MANIFEST_BYTES`].
pub const ADOPT_LAYERS: usize = 256;

/// What was left out that the answer names; the rest is counted in its last line.
pub const ADOPT_LEFT_OUT: usize = 1000;
