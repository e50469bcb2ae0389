//! The answers: one struct a command, its fields the contract of `--json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Adopted, AgentKeys, CardDiff, CardLog, CardShown, ClaimLine, Claims, Endorsed, EndorserLine,
    Identity, ImportedClaims, ImportedSignature, Initialised, KeyExported, KeyMade, KeyShown, Kind,
    Lineage, Name, Names, OriginLine, Peers, ProvenanceStatus, PublisherShown, SignatureLine,
    Status, TokenShown,
};
use crate::card::statement::Status as Stated;
use crate::config::Visibility;
use crate::config::rates::Rates;

/// What a request asked for. On the socket a field `answer` says which it is; `--json` prints the fields without it
/// ([`Answer::fields`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// To `seed`.
    Seeded(Seeded),
    /// To `adopt`.
    Adopted(Adopted),
    /// To `get`.
    Fetched(Fetched),
    /// To `cat`, after the bytes.
    Printed(Printed),
    /// To `ls`.
    Repos(Repos),
    /// To `show`.
    Shown(Shown),
    /// To `card show`.
    CardShown(CardShown),
    /// To `card log`, `card withdraw` and `card deprecate`.
    CardLog(CardLog),
    /// To `card diff`.
    CardDiff(CardDiff),
    /// To `lineage`.
    Lineage(Lineage),
    /// To `endorse`.
    Endorsed(Endorsed),
    /// To `endorse --import`.
    ImportedClaims(ImportedClaims),
    /// To `claims`.
    Claims(Claims),
    /// To `name publish`.
    Names(Names),
    /// To `name resolve`.
    Name(Name),
    /// To `card export`.
    ExportedCard(ExportedCard),
    /// To `import-sig`.
    ImportedSignature(ImportedSignature),
    /// To `verify`.
    Verified(Verified),
    /// To `rm`.
    Removed(Removed),
    /// To `gc`.
    Collected(Collected),
    /// To `pin`, `unpin` and `share`.
    Shared(Shared),
    /// To `trust`.
    Trust(TrustedPublishers),
    /// To `trust why`.
    Why(Why),
    /// To `id`.
    Identity(Identity),
    /// To `init`.
    Initialised(Initialised),
    /// To `status`.
    Status(Box<Status>),
    /// To `peers` and `connect`.
    Peers(Peers),
    /// To `limit`.
    Limits(Rates),
    /// To `card init`.
    CardInitialised(CardInitialised),
    /// To `key show`, `key import` and `key use`, `publisher use` and `publisher leave`.
    KeyShown(KeyShown),
    /// To `token`.
    Token(TokenShown),
    /// To `key new`.
    KeyMade(KeyMade),
    /// To `key list`.
    AgentKeys(AgentKeys),
    /// To `key export-pem`.
    KeyExported(KeyExported),
    /// To the other commands of `publisher`.
    PublisherShown(PublisherShown),
    /// To `repair`.
    Rebuilt(Rebuilt),
}

impl Answer {
    /// The answer's own fields, as `--json` prints them.
    pub fn fields(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).expect("answers are plain data with text keys");
        if let Some(fields) = value.as_object_mut() {
            fields.remove("answer");
        }
        value
    }
}

/// Whose content it is, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Cryptography: is there a valid signature over every byte.
    pub status: ProvenanceStatus,
    /// The user's view of the key: `own`, `trusted`, `named` or `new`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// `did:key:z6Mk…`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// The user's alias for the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// What the publisher says of the version now, by the newest card over the same files, if it is not in use any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<Stated>,
    /// The same in words, with its reason; also that the card has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// Answer to `seed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeded {
    /// Repo name.
    pub name: String,
    /// Version; absent for unsigned content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// CID of files and card together: the thing to share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// CID of the files.
    pub root: String,
    /// Card id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The key that signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Whether a running daemon serves it now.
    pub serving: bool,
    /// How far it may go.
    pub visibility: Visibility,
    /// Whether nothing had changed since the last version.
    pub unchanged: bool,
    /// Whether it is served from where it lies, nothing copied.
    pub in_place: bool,
    /// What was left out, as paths relative to the folder.
    pub left_out: Vec<String>,
}

/// Answer to `cat`, once its bytes are out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Printed {
    /// CID of the tree that the file is in.
    pub root: String,
    /// CID of the file.
    pub cid: String,
    /// What HTTP calls it.
    pub media_type: String,
    /// Bytes of the whole file.
    pub size: u64,
    /// Where the bytes began.
    pub offset: u64,
    /// How many they were.
    pub bytes: u64,
    /// Payload taken from peers meanwhile, for this reader and others of the same fetch.
    pub fetched_bytes: u64,
    /// Whose content it is.
    pub provenance: Provenance,
}

/// Answer to `get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fetched {
    /// CID of files and card, where the REF led to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// CID of the files.
    pub root: String,
    /// Where they lie.
    pub path: PathBuf,
    /// Files asked for: fetched, adopted or already there.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Payload taken from peers in this call.
    pub fetched_bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Whose it is.
    pub provenance: Provenance,
    /// Files with chat templates, which loaders run in a sandbox.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<String>,
    /// With `--dry-run`: what would be fetched, and what is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Answer to `card init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardInitialised {
    /// The README.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
}

/// Answer to `ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repos {
    /// One entry a version.
    pub repos: Vec<RepoLine>,
}

/// One version in the library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoLine {
    /// Repo name; the root for unnamed content.
    pub name: String,
    /// Model or dataset.
    pub kind: Kind,
    /// Version; absent for unsigned content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// CID of files and card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// CID of the files.
    pub root: String,
    /// How far it may go.
    pub visibility: Visibility,
    /// `whole`, `draft` (uploaded and not signed yet), `arriving`, `partial`, `changed` or `missing`.
    pub state: String,
    /// Whether gc keeps it.
    pub pinned: bool,
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The key that signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Whether what the card says of the files holds: `unchecked`, `hold` or `DO NOT HOLD: …`; absent without a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<String>,
    /// What its publisher says of it by now, if it is not in use any more: `deprecated` or `withdrawn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<Stated>,
    /// What the tool calls it from whose folder it was adopted.
    #[serde(flatten)]
    pub origin: Box<OriginLine>,
    /// Where the files lie.
    pub path: PathBuf,
}

/// One file of a repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLine {
    /// Path inside the repo.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// CID of the file.
    pub cid: String,
}

/// Answer to `show`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The version itself.
    #[serde(flatten)]
    pub repo: RepoLine,
    /// Card id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Commit id that Hugging Face clients know the files by.
    pub commit: String,
    /// Whose it is.
    pub provenance: Provenance,
    /// The signed statement's predicate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate: Option<serde_json::Value>,
    /// What others signed over the same files. It changes nothing of `provenance`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<SignatureLine>,
    /// What endorsers whom the user listed say of it, as far as that is known here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimLine>,
    /// The files.
    pub entries: Vec<FileLine>,
}

/// Answer to `card export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedCard {
    /// Card id.
    pub card: String,
    /// Who signed it.
    pub publisher: String,
    /// Repo name.
    pub name: String,
    /// Version.
    pub version: String,
    /// The folder.
    pub path: PathBuf,
    /// Names of the files in it that are the card's.
    pub files: Vec<String>,
}

/// Answer to `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Whether all digests hold.
    pub ok: bool,
    /// Files read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// CID of the files as they lie.
    pub root: String,
    /// Whose it is.
    pub provenance: Provenance,
    /// What others signed over the same files, compared with them just now. It changes nothing of the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<SignatureLine>,
    /// Files that are not what they should be, each with why.
    pub bad: Vec<String>,
}

/// Answer to `rm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Roots that were forgotten.
    pub forgotten: Vec<String>,
    /// Files deleted under the home's library.
    pub deleted_files: u64,
    /// Their bytes.
    pub deleted_bytes: u64,
    /// Whether files of the user's own were left where they lie.
    pub kept_user_files: u64,
}

/// Answer to `gc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Blocks dropped from the index.
    pub blocks: u64,
    /// Files deleted under the home's library.
    pub files: u64,
    /// Bytes given back to the disk, as far as files and damaged indexes go.
    pub bytes: u64,
    /// Damaged indexes deleted that `repair` had moved aside.
    pub damaged_indexes: u64,
}

/// Answer to `share`, `pin` and `unpin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// Repo name, or root.
    pub name: String,
    /// How far it may go.
    pub visibility: Visibility,
    /// Whether gc keeps it.
    pub pinned: bool,
    /// Versions concerned.
    pub versions: u64,
}

/// A publisher the user trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustLine {
    /// The user's name for the key.
    pub alias: String,
    /// `did:key:z6Mk…`
    pub publisher: String,
}

/// Answer to `trust add`, `trust list` and `trust rm`: the list as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedPublishers {
    /// All of them.
    pub publishers: Vec<TrustLine>,
    /// Whose claims about the content of others count.
    #[serde(default)]
    pub endorsers: Vec<EndorserLine>,
    /// What is refused whoever vouches for it.
    pub blocked: Vec<BlockLine>,
    /// Fields of `trust.toml` that this version does not know: they have no effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// A publisher or content that the user blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockLine {
    /// A key, or a CID of a card, a release or a root.
    pub id: String,
    /// Why, in the user's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why content is taken or refused: one of the user's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonLine {
    /// `block`, `publisher`, `unsigned`, `rollback`, `size`, `code` or `claims`; `status`: the publisher's own later word.
    pub rule: String,
    /// `note`, `warning` or `refusal`.
    pub weight: String,
    /// In plain words.
    pub text: String,
}

/// Answer to `trust why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Whether it would be fetched.
    pub allowed: bool,
    /// What the user knows of the publisher; absent if nobody signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// Every rule that has a word on it, in the order in which they are tried.
    pub reasons: Vec<ReasonLine>,
    /// Fields of `trust.toml` that this version does not know: they have no effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// Answer to `repair`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuilt {
    /// Versions back in the index.
    pub repos: u64,
    /// Files hashed.
    pub files: u64,
    /// Blocks in the index.
    pub blocks: u64,
    /// What could not be brought back, and why.
    pub lost: Vec<String>,
    /// Damaged indexes that lie aside until `gc` deletes them.
    pub damaged_indexes: u64,
    /// Their bytes.
    pub damaged_index_bytes: u64,
}
