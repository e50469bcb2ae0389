//! Bounds of signed statements: `card`.

use std::time::Duration;

use super::{KIB, MIB};

/// Bytes of the largest card payload that is read; provenance section 6 ("non-canonical JSON").
pub const CARD_PAYLOAD_MAX: usize = 4 * MIB;

/// Bytes of the largest payload that is signed. Beyond it the files go to `files.jsonl` (design section 5), so that a
/// card stays one block for Bitswap.
pub const CARD_PAYLOAD_INLINE_MAX: usize = MIB;

/// Files that a card lists itself; more go to `files.jsonl` (design section 5).
pub const CARD_FILES_INLINE_MAX: usize = 4096;

/// Bytes of the largest `card.sigstore.json`: the payload in base64, 4 for 3, and the envelope around it.
pub const CARD_BUNDLE_MAX: usize = CARD_PAYLOAD_MAX / 3 * 4 + 4 * KIB;

/// Levels of nesting in a card's JSON; provenance section 6. Well below what recursion can take.
pub const CARD_DEPTH_MAX: usize = 64;

/// The largest integer that every JSON reader holds exactly (2^53 - 1): sizes, counts and `seq` stay below.
pub const JSON_INT_MAX: u64 = (1 << 53) - 1;

/// Files of one repo: a million-file dataset fits, and its manifest stays under half a gibibyte in memory.
pub const REPO_FILES_MAX: usize = 2 * 1024 * 1024;

/// Bytes of the largest `files.jsonl`: [`REPO_FILES_MAX`] lines of about 256 bytes.
pub const FILES_LIST_MAX: usize = 512 * MIB;

/// Bytes of one file's path inside a repo: what Linux takes for a whole path (PATH_MAX).
pub const REPO_PATH_MAX: usize = 4096;

/// Bytes of one part of such a path: what file systems take for a name (NAME_MAX); provenance section 6.
pub const REPO_PATH_PART_MAX: usize = 255;

/// Bytes of a README's YAML front matter. The longest of the Hub list hundreds of dataset configurations; half a
/// payload leaves room for the rest of the card.
pub const FRONT_MATTER_MAX: usize = 512 * KIB;

/// Levels of nesting in front matter; real cards use about six (`model-index`, `dataset_info`).
pub const FRONT_MATTER_DEPTH_MAX: usize = 32;

/// Scalars, lists and maps in front matter together: bounds memory at about a hundred bytes each.
pub const FRONT_MATTER_NODES_MAX: usize = 65_536;

/// Characters of a repo's name (the Hub's rule is 96 with its owner; cli.md: 80).
pub const REPO_NAME_MAX: usize = 80;

/// Characters of a local alias of a publisher (cli.md).
pub const ALIAS_MAX: usize = 40;

/// Characters of a version (cli.md).
pub const VERSION_MAX: usize = 64;

/// Characters of a REF as typed: a did:key, a name, a version and a path.
pub const REFERENCE_MAX: usize = REPO_PATH_MAX + 512;

/// Bytes of a licence id: the longest SPDX expressions in use have about 100.
pub const LICENSE_MAX: usize = 256;

/// Companion keys of a card: one is used, a rotation needs two.
pub const COMPANION_KEYS_MAX: usize = 16;

/// Cards that one card may say it resolves: forks of one `seq` (issue on provenance).
pub const RESOLVES_MAX: usize = 16;

/// What a card says that its version was made from: merges of two dozen models and lists of datasets as the Hub's cards
/// have them.
pub const LINEAGE_MAX: usize = 64;

/// Results of evaluations in a card, and bytes of them together as JSON. Front matter of the largest embedding models has
/// more; that stays in the metadata, and the card stays one block.
pub const EVALS_MAX: usize = 512;
/// See [`EVALS_MAX`].
pub const EVALS_BYTES_MAX: usize = 128 * KIB;

/// Bytes of a text in such an entry: a dataset, a metric, a tool.
pub const ORIGIN_TEXT_MAX: usize = 256;

/// Bytes of the notes on one result: a few sentences.
pub const EVAL_NOTES_MAX: usize = KIB;

/// Characters of an owner's, a repo's or a revision's name on the Hub (its rule is 96 for both names together).
pub const HUB_PART_MAX: usize = 96;

/// Publishers in the trust list, and ten times what the policy is measured with.
pub const TRUSTED_PUBLISHERS_MAX: usize = 100_000;

// Unsafe content: what is read of a file before the bulk of its repo (`card::content`).

/// Bytes of a file's first range: one leaf of profile `unixfs-v1-2025`, so that it costs one block.
pub const CONTENT_HEAD: u64 = MIB as u64;

/// Bytes that are read of one file to judge it. GGUF headers hold whole tokenizers, of about ten MiB.
pub const CONTENT_READ_MAX: u64 = 64 * MIB as u64;

/// Ranges that are read of one file to judge it. Each may cost a round trip and a block.
pub const CONTENT_READS_MAX: usize = 64;

/// Bytes of the largest safetensors header that is read: about 250,000 tensors. Its own readers stop at 100 MB, which
/// no file in use comes near, and a stranger should not make us hold as much.
pub const SAFETENSORS_HEADER_MAX: u64 = 32 * MIB as u64;

/// Bytes of one tensor's name, in safetensors and GGUF (whose own reader allows 64); both use about a hundred.
pub const TENSOR_NAME_MAX: usize = 4096;

/// Dimensions of a safetensors tensor: what numpy takes.
pub const TENSOR_DIMS_MAX: usize = 64;

/// Tensors of one GGUF file: four times the largest mixtures of experts, unmerged.
pub const GGUF_TENSORS_MAX: u64 = 1 << 20;

/// Keys of one GGUF file; real ones have about fifty.
pub const GGUF_KEYS_MAX: u64 = 1 << 16;

/// Bytes of one GGUF key (GGUF specification: 65,535).
pub const GGUF_KEY_MAX: u64 = 65_535;

/// Dimensions of a GGUF tensor (`GGML_MAX_DIMS`).
pub const GGUF_DIMS_MAX: u64 = 4;

/// Alignment of GGUF tensors: four times the largest page. The specification sets no bound.
pub const GGUF_ALIGNMENT_MAX: u64 = 256 * KIB as u64;

/// Levels of arrays in GGUF arrays. The specification allows any, nothing uses two.
pub const GGUF_DEPTH_MAX: usize = 4;

/// Bytes of a text from a header that is kept as a fact: names, not whole templates.
pub const FACT_TEXT_MAX: usize = 200;

/// Different things of one sort (dtypes, named templates) that are kept as facts of one file.
pub const FACT_LIST_MAX: usize = 64;

/// Opcodes of a stream that are followed to tell a pickle from a text or raw numbers; those fail within a few.
pub const PICKLE_OPS_MAX: usize = 65_536;

/// Bytes of the largest zip directory that is listed, about 200,000 names.
pub const ZIP_DIRECTORY_MAX: u64 = 16 * MIB as u64;

/// Entries of the largest zip that is listed; as many fit in [`ZIP_DIRECTORY_MAX`].
pub const ZIP_ENTRIES_MAX: u64 = 1 << 18;

/// Bytes that are inflated to see what compressed data begin with.
pub const INFLATED_HEAD_MAX: usize = 64 * KIB;

/// Bytes of a `.npy` header; numpy itself warns above 10,000.
pub const NPY_HEADER_MAX: u64 = 64 * KIB as u64;

/// Bytes of `tokenizer_config.json`, `config.json` and YAML files that are searched whole; beyond, their beginning.
pub const CONFIG_FILE_MAX: u64 = 8 * MIB as u64;

/// Files and globs that a refusal spells out; it counts the rest.
pub const REFUSAL_LISTED_MAX: usize = 10;

/// Files that a README skeleton lists; it counts the rest.
pub const SKELETON_FILES_MAX: usize = 50;

// OpenSSF Model Signing: `card::oms`.

/// Bytes of the largest `model.sig` that is read or written: about 80,000 files, and what a plain record may have. Its
/// tools hold it in memory several times over, and it is of use for models, which have thousands of files at most.
pub const OMS_BUNDLE_MAX: usize = 16 * MIB;

/// Paths that an OMS signature may name as left out: its tool writes four and those that its user gave by hand.
pub const OMS_IGNORED_MAX: usize = 1024;

/// Bytes of a public key in PEM: one of P-384 has 215, and text may stand before it.
pub const PUBLIC_KEY_PEM_MAX: usize = 16 * KIB;

// Payloads as values in memory: `card::json`.

/// Objects in a payload: a card that lists as many files as fit in [`CARD_PAYLOAD_MAX`] has 50,000. An object takes some
/// 700 bytes in memory, however few it has in the payload: 46 MB at most.
pub const JSON_OBJECTS_MAX: usize = 1 << 16;

/// Values in a payload, of any kind: eight for each listed file, and as many again for metadata. 16 MB at most, less texts.
pub const JSON_VALUES_MAX: usize = 1 << 18;

// Names: `card::ipns` and `card::index`.

/// Bytes of the largest IPNS record (IPNS specification, "Record Size Limit"). Ours have about 430.
pub const IPNS_RECORD_MAX: usize = 10 * KIB;

/// How long a record of ours is valid: a publisher may be off for a month while others re-broadcast it (issue on
/// provenance). Not longer, since that is how long a withheld newer record can go unnoticed.
pub const IPNS_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a record of ours may be used before it is asked for again: the IPNS specification's default.
pub const IPNS_TTL: Duration = Duration::from_secs(5 * 60);

/// Bytes of the largest index of a publisher: half of [`BLOCK_MAX`](super::BLOCK_MAX), so that every Bitswap peer
/// carries it as one block, and Kubo's tools, which stop at 1 MiB, too.
pub const INDEX_MAX: usize = MIB;

/// Repos in one index: with names and versions of full length each takes 451 bytes for its newest version, so that
/// all the newest fit in [`INDEX_MAX`].
pub const INDEX_REPOS_MAX: usize = 2048;

/// Versions of one repo in an index. Older ones are reached through their cards' `prev`; so many cover years of
/// weekly releases, in at most 90 KB.
pub const INDEX_VERSIONS_MAX: usize = 256;

// Publishers, keys and trust (`card::tuf`, `card::keyfile`, `card::trust`).

/// Bytes of one TUF root: 64 keys in four roles, with their signatures, take about 45 KB.
pub const PUBLISHER_ROOT_MAX: usize = 64 * KIB;

/// Versions of a publisher's root: one a week for twenty years.
pub const PUBLISHER_ROOTS_MAX: usize = 1024;

/// Bytes of the largest `publisher.json`: it lies in every release, so it stays one block. Also bounds the signatures
/// that are checked: about 5,000.
pub const PUBLISHER_DOC_MAX: usize = MIB;

/// Keys of one TUF root, and keys of one of its roles.
pub const PUBLISHER_KEYS_MAX: usize = 64;

/// Bytes of a publisher's name in its root.
pub const PUBLISHER_NAME_MAX: usize = 128;

/// Links of a publisher, and bytes of one.
pub const PUBLISHER_LINKS_MAX: usize = 16;
/// See [`PUBLISHER_LINKS_MAX`].
pub const PUBLISHER_LINK_MAX: usize = 512;

/// Bytes of a key file: the largest keys in use (RSA of 16,384 bits, which are refused by name) have 13 KB.
pub const KEY_FILE_MAX: usize = 64 * KIB;

/// Rounds of bcrypt-pbkdf in an encrypted key file: `ssh-keygen -a` makes 16 to 24 unless told, and each takes some
/// milliseconds. A file that asks for more would hold the program for minutes.
pub const KEY_FILE_ROUNDS_MAX: u32 = 4096;

/// Bytes of one message of the ssh-agent protocol, its length not counted (OpenSSH: AGENT_MAX_LEN).
pub const AGENT_MESSAGE_MAX: usize = 256 * KIB;

/// Bytes that an agent is asked to sign: [`AGENT_MESSAGE_MAX`] less key, flags and lengths beside them.
pub const AGENT_DATA_MAX: usize = AGENT_MESSAGE_MAX - 68;

/// Bytes of a card's payload that an agent is asked to sign: DSSE puts 45 bytes before it.
pub const AGENT_PAYLOAD_MAX: usize = AGENT_DATA_MAX - 64;

/// Keys that an agent may list (OpenSSH: AGENT_MAX_KEYS is 2,048).
pub const AGENT_KEYS_MAX: usize = 2048;

/// Bytes of a `trust.toml`: [`TRUSTED_PUBLISHERS_MAX`] entries of some 300 bytes.
pub const TRUST_FILE_MAX: usize = 32 * MIB;

/// Endorsers, requirements and blocks of a trust list, each: what a person or a company's list would hold.
pub const TRUST_RULES_MAX: usize = 100_000;

/// Patterns of one entry of the trust list, and bytes of one.
pub const TRUST_PATTERNS_MAX: usize = 256;
/// See [`TRUST_PATTERNS_MAX`]. Matching takes at most this times a name's length.
pub const TRUST_PATTERN_MAX: usize = 256;

/// Bytes of the payload of a claim. Ours have under two KiB, and what others attest (an SBOM of a model, a scanner's
/// report) fits; so bounded, all claims about a root are one file of the store.
pub const CLAIM_PAYLOAD_MAX: usize = 96 * KIB;

/// Bytes of a claim's bundle: the payload in base64 and the envelope around it, as of a card.
pub const CLAIM_BUNDLE_MAX: usize = CLAIM_PAYLOAD_MAX / 3 * 4 + 4 * KIB;

/// Properties, tests or results of one claim, each.
pub const CLAIM_ENTRIES_MAX: usize = 256;

/// Bytes of one of them, of a predicate's type, and of a note.
pub const CLAIM_TEXT_MAX: usize = 512;

/// Claims that one claim may take back.
pub const CLAIM_SUPERSEDES_MAX: usize = 64;

/// Digits and signs of a measured value.
pub const CLAIM_VALUE_MAX: usize = 64;

/// Bytes and lines of a `claims.jsonl` that is read: more lines than are kept of one root.
pub const CLAIMS_FILE_MAX: usize = 16 * MIB;
/// See [`CLAIMS_FILE_MAX`].
pub const CLAIMS_LINES_MAX: usize = 1024;
