//! Commands that are groups of commands: `card`, `name`, `trust`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::KindArg;

/// What to do with cards.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CardAction {
    /// Write a README.md to start from: what the files themselves say, and places for the rest
    #[command(after_help = "Examples:
  modelswarm card init ./my-model
  modelswarm card init ./my-data --kind dataset --force")]
    Init(CardInitArgs),
    /// Print the signed statement
    #[command(after_help = "Examples:
  modelswarm card show all-MiniLM-L6-v2
  modelswarm card show bafybei… --json | jq .statement.predicate")]
    Show {
        /// A CID or a name in the library
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// List the versions of a repo that are known here, the newest first
    #[command(after_help = "Examples:
  modelswarm card log all-MiniLM-L6-v2")]
    Log {
        /// A CID or a name in the library
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// Show what differs between two versions: files and statements
    #[command(after_help = "Examples:
  modelswarm card diff tiny-7b@1.0 tiny-7b@1.1")]
    Diff {
        /// The first one
        #[arg(value_name = "REF")]
        from: String,
        /// The second one
        #[arg(value_name = "REF")]
        to: String,
    },
    /// Say that a version of yours is not to be used: signs the next card of its repo
    #[command(after_help = "Examples:
  modelswarm card withdraw tiny-7b@1.0 --reason 'wrong tokenizer'
  modelswarm card withdraw tiny-7b@1.0 --replaced-by baguqee…")]
    Withdraw(StatusArgs),
    /// Say that a version of yours is better not used for anything new
    #[command(after_help = "Examples:
  modelswarm card deprecate tiny-7b@1.0 --reason 'tiny-7b@1.1 is better in every way'")]
    Deprecate(StatusArgs),
    /// Write a card and how to check it with OpenSSL alone (VERIFY.md) into a folder
    #[command(after_help = "Examples:
  modelswarm card export all-MiniLM-L6-v2 -o ./proof
  modelswarm card export bafybei… -o ./proof")]
    Export {
        /// A CID or a name in the library
        #[arg(value_name = "REF")]
        reference: String,
        /// Write here
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
}

/// Arguments of `card init`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CardInitArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Its name in the README [default: the folder's]
    #[arg(long)]
    pub name: Option<String>,
    /// What it is [default: model]
    #[arg(long)]
    pub kind: Option<KindArg>,
    /// Replace a README.md that is there
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `card withdraw` and `card deprecate`.
#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArgs {
    /// A CID or a name in the library
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Why, in one line; it is signed
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// What to use instead: a card, a release, or a version of the same repo
    #[arg(long, value_name = "CID|VERSION")]
    pub replaced_by: Option<String>,
}

/// What to do with names.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum NameAction {
    /// Publish what you share under your key (seed, share and the daemon do it by themselves)
    ///
    /// A lab's names may stand under a key of their own (`publisher init --announce`): it signs from its file, or from the
    /// ssh-agent if that holds it. A daemon does not have it, so publish again by hand within the 30 days of a record.
    #[command(after_help = "Examples:
  modelswarm name publish
  modelswarm name publish --key /media/stick/announce.key")]
    Publish {
        /// The private key's file, of a key that neither the home nor an ssh-agent holds
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Show which repos a publisher lists
    #[command(after_help = "Examples:
  modelswarm name resolve sbert
  modelswarm name resolve did:key:z6Mk… --peer /ip4/192.168.1.7/tcp/8643/p2p/12D3…")]
    Resolve(ResolveArgs),
}

/// Arguments of `name resolve`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResolveArgs {
    /// Your alias for the publisher, or its key
    #[arg(value_name = "PUBLISHER")]
    pub publisher: String,
    /// Ask this peer too; may be given several times
    #[arg(long, value_name = "MULTIADDR")]
    pub peer: Vec<String>,
    /// Give up after so many seconds without progress
    #[arg(long, value_name = "SECS", default_value_t = 30)]
    pub timeout: u64,
}

/// What to do with the list of trusted publishers.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TrustAction {
    /// Trust a key under a name of your own
    #[command(after_help = "Examples:
  modelswarm trust add sbert did:key:z6Mk…
  modelswarm trust add acme tuf:bafkrei… --evidence https://acme.example/keys --models 'chat-*'")]
    Add {
        /// Your name for the publisher
        alias: String,
        /// The publisher's key, or a lab's id
        #[arg(value_name = "DID")]
        publisher: String,
        /// Trust it for repos of such names alone; may be given several times
        #[arg(long, value_name = "PATTERN")]
        models: Vec<String>,
        /// Where you found its id, for yourself
        #[arg(long, value_name = "TEXT")]
        evidence: Option<String>,
    },
    /// Count somebody's claims about the content of others, under a name of your own
    ///
    /// By itself that requires nothing. What you require stands in trust.toml: [[require]] with publisher, any_of, properties.
    #[command(after_help = "Examples:
  modelswarm trust add-endorser evalco did:key:z6Mk…
  modelswarm trust add-endorser scanner did:key:z6Mk… --kind test-result")]
    AddEndorser {
        /// Your name for the endorser
        alias: String,
        /// The endorser's key
        #[arg(value_name = "DID")]
        endorser: String,
        /// Count only claims of this kind (svr, test-result, eval, …); may be given several times
        #[arg(long, value_name = "KIND")]
        kind: Vec<String>,
    },
    /// Count an endorser's claims no longer
    #[command(after_help = "Examples:
  modelswarm trust rm-endorser evalco")]
    RmEndorser {
        /// Your name for the endorser
        alias: String,
    },
    /// List them
    #[command(after_help = "Examples:
  modelswarm trust list --json")]
    List,
    /// Refuse a publisher, a card, a release or a root, whoever vouches for it
    #[command(after_help = "Examples:
  modelswarm trust block did:key:z6Mk… --reason 'key was stolen'
  modelswarm trust block bafybei…
  modelswarm trust block bafybei… --lift")]
    Block {
        /// A publisher's key, or a CID
        #[arg(value_name = "DID|CID")]
        id: String,
        /// Why, for yourself
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Refuse it no longer
        #[arg(long, conflicts_with = "reason")]
        lift: bool,
    },
    /// Show which of your rules say what on something in the library
    #[command(after_help = "Examples:
  modelswarm trust why all-MiniLM-L6-v2")]
    Why {
        /// A CID or a name in the library, or a publisher
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// Trust a key no longer
    #[command(after_help = "Examples:
  modelswarm trust rm sbert")]
    Rm {
        /// Your name for the publisher
        alias: String,
    },
}
