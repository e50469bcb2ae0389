//! Arguments of `key` and `publisher`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What to do with the key that signs your cards.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeyAction {
    /// Show which key signs, and where it is
    #[command(after_help = "Examples:
  modelswarm key show
  modelswarm key show --json")]
    Show,
    /// Make a key in a file of its own
    #[command(after_help = "Examples:
  modelswarm key new ./release.key
  modelswarm key new /media/stick/release.key")]
    New {
        /// The file; it must not exist
        file: PathBuf,
    },
    /// Bring a key into the home: a daemon signs with it
    ///
    /// Reads OpenSSH and PKCS#8 files and seeds (32 bytes, or 64 hex digits). The key before is kept aside.
    #[command(after_help = "Examples:
  modelswarm key import ~/.ssh/id_ed25519
  MODELSWARM_KEY_PASSPHRASE=… modelswarm key import ./release.key")]
    Import {
        /// The private key's file
        file: PathBuf,
    },
    /// Sign with a key that stays where it is: commands sign, the daemon never sees it
    #[command(after_help = "Examples:
  modelswarm key use ~/.ssh/id_ed25519
  modelswarm key use agent
  modelswarm key use agent --key did:key:z6Mk…
  modelswarm key use home")]
    Use {
        /// A private key's file; `agent`: the ssh-agent's key; `home`: the home's own
        #[arg(value_name = "FILE|agent|home")]
        place: PathBuf,
        /// Which key of the agent, if it holds several
        #[arg(long, value_name = "DID")]
        key: Option<String>,
    },
    /// List the keys of the ssh-agent that can sign
    #[command(after_help = "Examples:
  modelswarm key list")]
    List,
    /// Print the public key as PEM, for openssl and Sigstore's tools
    #[command(after_help = "Examples:
  modelswarm key export-pem > publisher.pem
  modelswarm key export-pem --ssh")]
    ExportPem {
        /// As a line of OpenSSH instead
        #[arg(long)]
        ssh: bool,
    },
}

/// Which keys of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum RoleArg {
    /// Keys that sign roots: who decides on the lab's keys
    Root,
    /// Keys that sign cards
    Card,
}

/// What to do with a lab's publisher.json: its roots, signed by m of n keys, each by those of the one before.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PublisherAction {
    /// Draft a lab's first root
    ///
    /// KEY is did:key:z6Mk…, or the file of a public key (.pub, PEM).
    #[command(after_help = "Examples:
  modelswarm publisher init lab.json --name 'Acme Labs' --root-key alice.pub --root-key bob.pub --threshold 2 --card-key ci.pub
  modelswarm publisher sign lab.json --key ~/.ssh/id_ed25519")]
    Init(PublisherInitArgs),
    /// Show a lab: a file's, or one that is known here
    #[command(after_help = "Examples:
  modelswarm publisher show lab.json
  modelswarm publisher show tuf:bafkrei…")]
    Show {
        /// A publisher.json, complete or a draft; or a lab's id or alias
        #[arg(value_name = "FILE|ID")]
        lab: String,
    },
    /// Draft the next root with one key more
    #[command(after_help = "Examples:
  modelswarm publisher add-key lab.json --role card ci2.pub
  modelswarm publisher add-key lab.json --role root carol.pub --threshold 2")]
    AddKey(EditArgs),
    /// Draft the next root with one key less
    ///
    /// Cards that the key signed hold from then on only if a later card follows them.
    #[command(after_help = "Examples:
  modelswarm publisher remove-key lab.json --role card did:key:z6Mk…")]
    RemoveKey(EditArgs),
    /// Draft the next root with one key in the place of another, wherever that stands
    #[command(after_help = "Examples:
  modelswarm publisher rotate lab.json did:key:z6Mk…old new.pub")]
    Rotate {
        /// The publisher.json
        file: PathBuf,
        /// The key that goes
        old: String,
        /// The key that comes
        new: String,
    },
    /// Draft the next root with a later end, or other words
    #[command(after_help = "Examples:
  modelswarm publisher renew lab.json
  modelswarm publisher renew lab.json --expires-in 90 --announce ci2.pub")]
    Renew {
        /// The publisher.json
        file: PathBuf,
        /// Days until the lab should look at its keys again
        #[arg(long, value_name = "DAYS", default_value_t = 365)]
        expires_in: u32,
        /// The lab's name for itself
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// The https address where the lab names its id; may be given several times
        #[arg(long, value_name = "URL")]
        link: Vec<String>,
        /// The key under which the lab's names are found
        #[arg(long, value_name = "KEY")]
        announce: Option<String>,
    },
    /// Sign a draft; with the last signature it is complete
    #[command(after_help = "Examples:
  modelswarm publisher show lab.json        what you are about to sign
  modelswarm publisher sign lab.json --key ~/.ssh/id_ed25519
  modelswarm publisher sign lab.json --agent did:key:z6Mk…")]
    Sign {
        /// The draft
        file: PathBuf,
        /// The file of a root key
        #[arg(long, value_name = "FILE", required_unless_present = "agent")]
        key: Option<PathBuf>,
        /// A root key in the ssh-agent
        #[arg(long, value_name = "DID", conflicts_with = "key")]
        agent: Option<String>,
    },
    /// Take over the signatures of a copy of a draft
    #[command(after_help = "Examples:
  modelswarm publisher merge lab.json lab-signed-by-bob.json")]
    Merge {
        /// The draft
        file: PathBuf,
        /// The copy
        copy: PathBuf,
    },
    /// Publish for this lab from now on: the home's key must be one for its cards
    #[command(after_help = "Examples:
  modelswarm publisher use lab.json")]
    Use {
        /// The complete publisher.json
        file: PathBuf,
    },
    /// Publish as your own key again
    #[command(after_help = "Examples:
  modelswarm publisher leave")]
    Leave,
}

/// Arguments of `publisher init`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PublisherInitArgs {
    /// The file to write; it must not exist
    pub file: PathBuf,
    /// The lab's name for itself
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The https address where the lab names its id; may be given several times
    #[arg(long, value_name = "URL")]
    pub link: Vec<String>,
    /// A key that signs roots, best kept offline; may be given several times
    #[arg(long, value_name = "KEY", required = true)]
    pub root_key: Vec<String>,
    /// How many root keys must sign; more than half of them if not given
    #[arg(long, value_name = "N")]
    pub threshold: Option<usize>,
    /// A key that signs cards; may be given several times
    #[arg(long, value_name = "KEY", required = true)]
    pub card_key: Vec<String>,
    /// The key under which the lab's names are found; the first card key if not given
    #[arg(long, value_name = "KEY")]
    pub announce: Option<String>,
    /// Days until the lab should look at its keys again
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    pub expires_in: u32,
}

/// Arguments of `publisher add-key` and `publisher remove-key`.
#[derive(Debug, Args)]
pub(in crate::cli) struct EditArgs {
    /// The publisher.json
    pub file: PathBuf,
    /// The key: did:key:z6Mk…, or the file of a public key
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Which keys
    #[arg(long)]
    pub role: RoleArg,
    /// How many root keys must sign from then on
    #[arg(long, value_name = "N")]
    pub threshold: Option<usize>,
}
