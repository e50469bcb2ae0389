//! What a user asks of a node, one variant a command, and the arguments of those that have many.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ClaimsOf, Endorse, ImportSig, Kind, Resolve, Restate};
use crate::config::Visibility;
use crate::config::rates::Rate;

/// What a user asks of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// Import a file or folder, sign it, announce it.
    Seed(Seed),
    /// Import in place what other tools have fetched: caches of Hugging Face clients, of Ollama, other folders.
    Adopt {
        /// Folders. Absolute.
        paths: Vec<PathBuf>,
    },
    /// Find, fetch, verify, put in place.
    Get(Get),
    /// The bytes of one file.
    Cat(Cat),
    /// List the library.
    Ls,
    /// Who signed what, and the files.
    Show {
        /// The REF as typed.
        reference: String,
    },
    /// The signed statement.
    CardShow {
        /// The REF as typed.
        reference: String,
    },
    /// The versions of a repo that are known.
    CardLog {
        /// The REF as typed.
        reference: String,
    },
    /// What differs between two cards.
    CardDiff {
        /// The REF as typed.
        from: String,
        /// The other one.
        to: String,
    },
    /// What was made from what.
    Lineage {
        /// The REF as typed.
        reference: String,
        /// Levels of relations.
        depth: usize,
    },
    /// Sign a later word on a version.
    Restate(Restate),
    /// Write what others' tools check a card with.
    CardExport {
        /// The REF as typed.
        reference: String,
        /// The folder to write into. Absolute.
        output: PathBuf,
    },
    /// Sign a claim about somebody's content.
    Endorse(Endorse),
    /// Take in claims out of a file.
    EndorseImport {
        /// A `claims.jsonl`. Absolute.
        path: PathBuf,
    },
    /// What is said of content, here and by peers.
    Claims(ClaimsOf),
    /// Sign and publish at once what was uploaded for a repo.
    Publish {
        /// Its name, with or without the publisher.
        reference: String,
    },
    /// Publish what this home shares under its publisher's key.
    NamePublish,
    /// What a publisher's record and index say.
    NameResolve(Resolve),
    /// Take in somebody else's signature over content that is here.
    ImportSig(ImportSig),
    /// Read every file where it lies and recompute all digests.
    Verify {
        /// The REF or path as typed.
        target: Target,
    },
    /// Forget a repo; delete only files under the home's library.
    Rm {
        /// The REF as typed.
        reference: String,
    },
    /// Drop what no pin needs.
    Gc,
    /// Keep a repo.
    Pin {
        /// The REF as typed.
        reference: String,
    },
    /// Stop keeping a repo.
    Unpin {
        /// The REF as typed.
        reference: String,
    },
    /// Set how far a repo may go.
    Share {
        /// The REF as typed.
        reference: String,
        /// How far from now on.
        to: Visibility,
    },
    /// Trust a publisher under a local alias.
    TrustAdd {
        /// Of its repos only those of these names, as patterns; all if empty.
        models: Vec<String>,
        /// Where the user found the publisher's id.
        evidence: Option<String>,
        /// The user's own name for the key.
        alias: String,
        /// `did:key:z6Mk…`
        publisher: String,
    },
    /// A lab that is known here.
    PublisherShow {
        /// Its id or alias.
        publisher: String,
    },
    /// The publishers the user trusts.
    TrustList,
    /// Refuse a publisher, a card, a release or a root, whoever vouches for it; or do so no longer.
    TrustBlock {
        /// Its key or CID.
        id: String,
        /// Why, in the user's words.
        reason: Option<String>,
        /// Lift the block.
        lift: bool,
    },
    /// The user's rules on what the library holds.
    TrustWhy {
        /// The REF as typed.
        reference: String,
    },
    /// Trust a publisher no longer.
    TrustRm {
        /// The alias it was added under.
        alias: String,
    },
    /// Count somebody's claims.
    TrustAddEndorser {
        /// The user's own name for the key.
        alias: String,
        /// `did:key:z6Mk…` or a lab's id.
        endorser: String,
        /// Only claims of these kinds; all if empty.
        kinds: Vec<String>,
    },
    /// Count somebody's claims no longer.
    TrustRmEndorser {
        /// The alias it was added under.
        alias: String,
    },
    /// Who this node and this publisher are.
    Id,
    /// Store and transfer figures, files changed or missing, what was announced.
    Status,
    /// Connected peers.
    Peers,
    /// Dial a peer.
    Connect {
        /// Where, as a multiaddr.
        address: String,
    },
    /// The rate limits; those that are given are set, until the daemon ends.
    Limit {
        /// To all peers together.
        max_up: Option<Rate>,
        /// From all peers together.
        max_down: Option<Rate>,
        /// To one peer.
        peer_max_up: Option<Rate>,
        /// From one peer.
        peer_max_down: Option<Rate>,
    },
    /// Make keys and config if they are not there.
    Init {
        /// The user's own alias.
        alias: Option<String>,
    },
    /// Rebuild the index from the plain records and the model files.
    Repair,
}

/// A REF of the library or network, or a path on this machine. The client decides which, since only it knows its
/// working directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A REF as typed.
    Reference(String),
    /// An absolute path.
    Path(PathBuf),
}

/// Arguments of [`Request::Seed`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seed {
    /// Absolute path of the file or folder.
    pub path: PathBuf,
    /// Repo name; the folder's if absent.
    pub name: Option<String>,
    /// Version; the seq if absent.
    pub version: Option<String>,
    /// Model unless said otherwise, or what the repo was before.
    pub kind: Option<Kind>,
    /// SPDX id or name of the licence.
    pub license: Option<String>,
    /// How far the repo may go; what it was before, or `lan`.
    pub visibility: Option<Visibility>,
    /// Only paths that match one of these; all if empty.
    pub include: Vec<String>,
    /// No path that matches one of these.
    pub exclude: Vec<String>,
    /// Import what symbolic links outside the rules point to.
    pub follow_symlinks: bool,
    /// Copy into the home's library instead of indexing in place.
    pub copy: bool,
    /// No card, no release.
    pub unsigned: bool,
    /// The card to sign after, as typed; the newest that is known if absent.
    pub onto: Option<String>,
    /// Add `model.sig`, the OpenSSF Model Signing companion of the card; once asked for, later versions have one too.
    pub oms: bool,
    /// What it was made from, `REF` or `REF=RELATION`, besides what its README says; as in the version before if none.
    pub bases: Vec<String>,
    /// Where the publisher says the same, `https` addresses; as in the version before if none.
    pub links: Vec<String>,
}

/// Arguments of [`Request::Get`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// The REF as typed.
    pub reference: String,
    /// Where the files go; the home's library if absent. Absolute.
    pub output: Option<PathBuf>,
    /// Only paths that match one of these; all if empty.
    pub include: Vec<String>,
    /// No path that matches one of these.
    pub exclude: Vec<String>,
    /// Multiaddrs of peers to ask, besides those that are found.
    pub peers: Vec<String>,
    /// The card must be this publisher's.
    pub publisher: Option<String>,
    /// Say what would be fetched, fetch only the tree's nodes.
    pub dry_run: bool,
    /// Replace files that differ.
    pub force: bool,
    /// Let in what can carry code, whoever published it.
    #[serde(default)]
    pub allow_code: bool,
    /// Seconds without progress after which to give up.
    pub timeout: u64,
}

impl Get {
    /// All of what a REF means, into the home's library, giving up after 30 s without progress.
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            output: None,
            include: Vec::new(),
            exclude: Vec::new(),
            peers: Vec::new(),
            publisher: None,
            dry_run: false,
            force: false,
            allow_code: false,
            timeout: 30,
        }
    }
}

/// Arguments of [`Request::Cat`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cat {
    /// The REF as typed: of one file.
    pub reference: String,
    /// Bytes to leave out at the beginning.
    pub offset: u64,
    /// Bytes to give at most; all if absent.
    pub length: Option<u64>,
    /// Multiaddrs of peers to ask, besides those that are found.
    pub peers: Vec<String>,
    /// The card must be this publisher's.
    pub publisher: Option<String>,
    /// Seconds without progress after which to give up.
    pub timeout: u64,
}
