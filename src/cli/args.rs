//! The command line as typed: what clap parses, validated for form only. What it means together with environment,
//! file and defaults is `resolve`'s to say. The contract is the command table in the README's reference.

mod claims;
mod fetch;
mod groups;
mod keys;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(super) use self::claims::{ClaimKindArg, ClaimsArgs, EndorseArgs};
pub(super) use self::fetch::{CatArgs, GetArgs};
pub(super) use self::groups::{
    CardAction, CardInitArgs, NameAction, ResolveArgs, StatusArgs, TrustAction,
};

pub(super) use self::keys::{EditArgs, KeyAction, PublisherAction, PublisherInitArgs, RoleArg};

use crate::config::rates::Rate;

/// Share machine-learning models and datasets peer to peer: signed, verified, no server.
#[derive(Debug, Parser)]
#[command(
    name = "modelswarm",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  modelswarm daemon             run a node, so that peers can fetch from you
  modelswarm seed ./my-model    share a folder, signed with your key
  modelswarm get bafybei…       fetch by CID, every byte verified
  modelswarm get bafybei… -o ./model --json"
)]
pub(super) struct Cli {
    /// Settings that hold for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that may stand before or after the command.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Global {
    /// Keep all of the node's files under DIR [env: MODELSWARM_HOME]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Node")]
    pub home: Option<PathBuf>,
    /// How the node meets others [env: MODELSWARM_NETWORK_PRESET or MODELSWARM_NETWORK]
    #[arg(long, global = true, value_name = "PRESET", help_heading = "Node")]
    pub network: Option<NetworkPreset>,
    /// A peer to know from the start; may be given several times
    #[arg(long, global = true, value_name = "MULTIADDR", help_heading = "Node")]
    pub bootstrap: Vec<String>,
    /// Where to listen for peers; may be given several times
    #[arg(long, global = true, value_name = "MULTIADDR", help_heading = "Node")]
    pub listen: Vec<String>,
    /// Any setting, by its name in config.toml; may be given several times
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", help_heading = "Node")]
    pub set: Vec<String>,
    /// Bytes a second to all peers together, such as 25MiB; off: no limit
    #[arg(long, global = true, value_name = "RATE", help_heading = "Rates")]
    pub max_up: Option<Rate>,
    /// Bytes a second from all peers together
    #[arg(long, global = true, value_name = "RATE", help_heading = "Rates")]
    pub max_down: Option<Rate>,
    /// Bytes a second to each peer
    #[arg(long, global = true, value_name = "RATE", help_heading = "Rates")]
    pub peer_max_up: Option<Rate>,
    /// Bytes a second from each peer
    #[arg(long, global = true, value_name = "RATE", help_heading = "Rates")]
    pub peer_max_down: Option<Rate>,
    /// Print the answer as one JSON object
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// With --json: print progress as JSON lines before the answer
    #[arg(long, global = true, requires = "json", help_heading = "Output")]
    pub progress: bool,
    /// Say nothing but the answer and errors
    #[arg(short, long, global = true, help_heading = "Output")]
    pub quiet: bool,
    /// Log what happens on stderr; -vv for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
    /// No colours
    #[arg(long = "no-color", global = true, help_heading = "Output")]
    pub no_color: bool,
}

/// Values of `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum NetworkPreset {
    /// This LAN and nothing beyond it
    Lan,
    /// Only peers given by hand, on loopback unless told otherwise
    Isolated,
    /// The public IPFS network
    Public,
}

/// Values of `--visibility` and `--to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum VisibilityArg {
    /// Not shown to any peer
    Private,
    /// Shown to peers on this LAN
    Lan,
    /// Shown to everybody
    Public,
}

/// Values of `--kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum KindArg {
    /// Weights and what belongs to them
    Model,
    /// Data
    Dataset,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make config and keys (other commands do it when they need to)
    #[command(after_help = "Examples:
  modelswarm init
  modelswarm init --alias acme-lab")]
    Init {
        /// Your own short name, shown in your lists
        #[arg(long)]
        alias: Option<String>,
    },
    /// Run the node until Ctrl-C or SIGTERM
    #[command(after_help = "Examples:
  modelswarm daemon
  modelswarm daemon --http off
  modelswarm --network isolated daemon --listen /ip4/127.0.0.1/tcp/0 --bootstrap /ip4/127.0.0.1/tcp/8643/p2p/12D3…")]
    Daemon {
        /// Address of the local HTTP endpoint, or off [default: 127.0.0.1:8642]
        #[arg(long, value_name = "ADDR|off")]
        http: Option<String>,
    },
    /// Share a file or folder: index it in place, sign it, announce it
    ///
    /// README.md's front matter is signed as metadata. What it says of base_model and datasets becomes the card's lineage:
    /// by base_model_relation, else merge for several, adapter for library_name peft, finetune for one. What it says of
    /// results (model-index, and files in .eval_results) becomes the card's results.
    #[command(after_help = "Examples:
  modelswarm seed ./all-MiniLM-L6-v2
  modelswarm seed ./weights --name tiny-7b --version 1.0 --license apache-2.0
  modelswarm seed ./corpus --kind dataset --visibility private --exclude '*.tmp'
  modelswarm seed ./tiny-7b-q4 --base tiny-7b@1.0=quantized --link https://acme.example/models")]
    Seed(SeedArgs),
    /// Index in place what other tools have on this disk: Hugging Face caches, Ollama's models, folders
    ///
    /// Nothing is copied, and nothing is written there. Each snapshot of a cache becomes an unsigned version, checked against
    /// the digests that its files are named by, and stays private until you share it. Run again, it reads only what is new.
    #[command(after_help = "Examples:
  modelswarm adopt ~/.cache/huggingface
  modelswarm adopt ~/.cache/huggingface/hub/models--sentence-transformers--all-MiniLM-L6-v2
  modelswarm adopt ~/.ollama /data/models/tiny-7b
  modelswarm share sentence-transformers/all-MiniLM-L6-v2 --to lan")]
    Adopt {
        /// Caches, repos in them, or other folders
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
    },
    /// Fetch by CID or name, verify every byte, put in place
    ///
    /// Files that can carry code (pickles, scripts, programs …) are told by their content before the bulk is fetched. From a
    /// publisher that you do not trust (`modelswarm trust add`) they are refused, unless you leave them out with --exclude
    /// or say --allow-code.
    #[command(after_help = "Examples:
  modelswarm get bafybei…
  modelswarm get bafybei… -o ./model --include '*.safetensors' --include config.json
  modelswarm get bafybei…:config.json -o .
  modelswarm get bafybei… --exclude '*.bin'
  modelswarm get bafybei… --peer /ip4/192.168.1.7/tcp/8643/p2p/12D3… --dry-run")]
    Get(GetArgs),
    /// Print the bytes of one file as they arrive, verified
    ///
    /// Whoever published it: to look at bytes runs none of them. Of a file that is not here only what is printed is
    /// fetched, and a little ahead. It is kept in the library as an
    /// unfinished fetch: a later `get` goes on from there, `gc` drops it. With --json a summary goes to stderr: stdout is
    /// the file's bytes alone.
    #[command(after_help = "Examples:
  modelswarm cat bafybei…:config.json
  modelswarm cat bafybei…:model.safetensors --length 8 | od -t u8
  modelswarm cat all-MiniLM-L6-v2:README.md | less
  modelswarm cat bafybei…:data.parquet --offset 1048576 --length 4096 --peer /ip4/192.168.1.7/tcp/8643/p2p/12D3… > part")]
    Cat(CatArgs),
    /// Rebuild a lost or damaged index from the plain records and the model files
    ///
    /// The damaged one is moved aside, to `store/index.damaged-N` in the home; `modelswarm gc` deletes it.
    #[command(after_help = "Examples:
  modelswarm repair")]
    Repair,
    /// List what the library holds
    #[command(after_help = "Examples:
  modelswarm ls
  modelswarm ls --json")]
    Ls,
    /// Show one repo: who signed what, and its files
    #[command(after_help = "Examples:
  modelswarm show all-MiniLM-L6-v2
  modelswarm show bafybei…")]
    Show {
        /// A CID or a name in the library
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// Signed cards: what they say, how they follow one another, a publisher's later word
    #[command(after_help = "Examples:
  modelswarm card show all-MiniLM-L6-v2
  modelswarm card log all-MiniLM-L6-v2
  modelswarm card diff all-MiniLM-L6-v2@1 all-MiniLM-L6-v2@2
  modelswarm card withdraw all-MiniLM-L6-v2@1 --reason 'trained on the test set'
  modelswarm card export all-MiniLM-L6-v2 -o ./proof")]
    Card {
        /// What to do
        #[command(subcommand)]
        action: CardAction,
    },
    /// Show what a version was made from, and what was made from it, as far as signed cards that are here say
    ///
    /// A card is said to be verified only if it is here: fetch its release with `modelswarm get`, and ask again.
    #[command(after_help = "Examples:
  modelswarm lineage tiny-7b-q4
  modelswarm lineage bafybei… --depth 2 --json")]
    Lineage {
        /// A CID or a name in the library
        #[arg(value_name = "REF")]
        reference: String,
        /// Levels of relations, at most 32
        #[arg(long, value_name = "N", default_value_t = 8)]
        depth: usize,
    },
    /// Sign a claim about a model or dataset: what you verified of it, or found to fail
    ///
    /// Your key is the endorser. Peers who fetch the same files find the claim with you; it counts with those who listed
    /// your key (`modelswarm trust add-endorser`). What you say of a property, or by one measure, replaces what you
    /// said of it before, and nothing else.
    #[command(after_help = "Examples:
  modelswarm endorse bafybei… --property PICKLE_FREE --property LICENSE_REVIEWED
  modelswarm endorse sbert/all-MiniLM-L6-v2 --fail --property EVAL_REPRODUCED --note 'accuracy is 3 points lower'
  modelswarm endorse bafybei… --dataset Idavidrein/gpqa --metric accuracy --value 0.412
  modelswarm endorse --import claims.jsonl")]
    Endorse(EndorseArgs),
    /// List what is said of a model or dataset, by whom, and the cards over its files
    ///
    /// Peers that have the files are asked too. What endorsers whom you do not know say is listed, and counts for nothing;
    /// a card that somebody offers for files that you hold is listed, and vouches for nothing.
    #[command(after_help = "Examples:
  modelswarm claims all-MiniLM-L6-v2
  modelswarm claims bafybei… --json
  modelswarm claims bafybei… --offline --export claims.jsonl")]
    Claims(ClaimsArgs),
    /// What your key, and other publishers' keys, stand for on the network
    #[command(after_help = "Examples:
  modelswarm name publish
  modelswarm name resolve sbert
  modelswarm name resolve did:key:z6Mk…")]
    Name {
        /// What to do
        #[command(subcommand)]
        action: NameAction,
    },
    /// Take in somebody else's signature (OpenSSF Model Signing) over content that is here
    ///
    /// It must hold for every file, as `model_signing verify` wants it. It is kept, shown by `show`, compared by `verify`,
    /// and changes nothing of whose the content is.
    #[command(after_help = "Examples:
  modelswarm import-sig ./model.sig tiny-7b --public-key ./nvidia.pem
  modelswarm import-sig ./model.sig ./tiny-7b --public-key ./nvidia.pem --json")]
    ImportSig(ImportSigArgs),
    /// The key that signs your cards: where it is, and who holds it
    #[command(after_help = "Examples:
  modelswarm key show
  modelswarm key import ~/.ssh/id_ed25519
  modelswarm key use agent")]
    Key {
        /// What to do
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Sign and publish at once what was uploaded through the local HTTP endpoint
    ///
    /// What clients of the Hugging Face Hub upload there is a draft until nobody has written for 10 seconds; then the daemon
    /// signs its last state as one version. This does it now.
    #[command(after_help = "Examples:
  modelswarm publish my-model
  modelswarm publish me/my-model --json")]
    Publish {
        /// The repo's name
        #[arg(value_name = "NAME")]
        reference: String,
    },
    /// The token of the local HTTP endpoint: clients show it to see private repos, and to publish
    #[command(after_help = "Examples:
  modelswarm token
  HF_ENDPOINT=http://127.0.0.1:8642 HF_TOKEN=$(modelswarm token) hf download me/my-private-model")]
    Token,
    /// Publish as a lab: keys that m of n people decide on, and can change
    #[command(after_help = "Examples:
  modelswarm publisher init lab.json --name 'Acme Labs' --root-key alice.pub --root-key bob.pub --card-key ci.pub
  modelswarm publisher sign lab.json --key ~/.ssh/id_ed25519
  modelswarm publisher use lab.json")]
    Publisher {
        /// What to do
        #[command(subcommand)]
        action: PublisherAction,
    },
    /// Read every file where it lies and recompute all digests
    #[command(after_help = "Examples:
  modelswarm verify all-MiniLM-L6-v2
  modelswarm verify ./all-MiniLM-L6-v2")]
    Verify {
        /// A CID, a name in the library, or a path (starting with /, ./, ../ or ~)
        #[arg(value_name = "REF|PATH")]
        target: String,
    },
    /// Forget a repo; your own files stay where they are
    #[command(after_help = "Examples:
  modelswarm rm all-MiniLM-L6-v2
  modelswarm rm bafybei…")]
    Rm {
        /// A CID or a name in the library
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// Drop what no pin needs, and damaged indexes that `repair` moved aside
    #[command(after_help = "Examples:
  modelswarm gc")]
    Gc,
    /// Keep a repo from gc
    #[command(after_help = "Examples:
  modelswarm pin bafybei…")]
    Pin {
        /// A CID or a name in the library
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// Let gc drop a repo
    #[command(after_help = "Examples:
  modelswarm unpin bafybei…")]
    Unpin {
        /// A CID or a name in the library
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// Set how far a repo may be announced and served
    #[command(after_help = "Examples:
  modelswarm share all-MiniLM-L6-v2 --to private
  modelswarm share bafybei… --to lan")]
    Share {
        /// A CID or a name in the library
        #[arg(value_name = "REF")]
        reference: String,
        /// How far
        #[arg(long)]
        to: VisibilityArg,
    },
    /// The publishers you trust, the endorsers whose claims count
    #[command(after_help = "Examples:
  modelswarm trust add sbert did:key:z6Mk…
  modelswarm trust add-endorser evalco did:key:z6Mk… --kind svr
  modelswarm trust list
  modelswarm trust rm sbert")]
    Trust {
        /// What to do with the list
        #[command(subcommand)]
        action: TrustAction,
    },
    /// Show this node's and this publisher's identity
    #[command(after_help = "Examples:
  modelswarm id
  modelswarm id --json")]
    Id,
    /// Show what the node holds and does
    #[command(after_help = "Examples:
  modelswarm status
  modelswarm status --json")]
    Status,
    /// List connected peers
    #[command(after_help = "Examples:
  modelswarm peers")]
    Peers,
    /// Connect the running daemon to a peer
    #[command(after_help = "Examples:
  modelswarm connect /ip4/192.168.1.7/tcp/8643/p2p/12D3…")]
    Connect {
        /// Where the peer listens
        #[arg(value_name = "MULTIADDR")]
        address: String,
    },
    /// Show or set the rate limits of the running daemon, until it ends
    #[command(after_help = "Examples:
  modelswarm limit
  modelswarm limit --max-up 25MiB --peer-max-up 5MiB
  modelswarm limit --max-up off

For good: write max_up = \"25MiB\" under [rates] into config.toml.")]
    Limit,
    /// Print a completion script for your shell
    #[command(after_help = "Examples:
  modelswarm completions bash > ~/.local/share/bash-completion/completions/modelswarm")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// Arguments of `import-sig`.
#[derive(Debug, Args)]
pub(super) struct ImportSigArgs {
    /// The signature, mostly called model.sig
    pub file: PathBuf,
    /// A CID, a name in the library, or a path (starting with /, ./, ../ or ~)
    #[arg(value_name = "REF|PATH")]
    pub target: String,
    /// The signer's public key in PEM, P-256 or P-384 [default: keys that the card names, or that were given before]
    #[arg(long, value_name = "PEM", alias = "public_key")]
    pub public_key: Option<PathBuf>,
}

/// Arguments of `seed`.
#[derive(Debug, Args)]
pub(super) struct SeedArgs {
    /// The file or folder
    pub path: PathBuf,
    /// Repo name [default: the folder's]
    #[arg(long)]
    pub name: Option<String>,
    /// Version, used once per repo [default: 1, 2, 3 …]
    #[arg(long = "version", value_name = "V")]
    pub revision: Option<String>,
    /// What it is [default: model]
    #[arg(long)]
    pub kind: Option<KindArg>,
    /// Licence: an SPDX id, or a name
    #[arg(long, value_name = "ID")]
    pub license: Option<String>,
    /// How far it may be announced and served [default: lan]
    #[arg(long)]
    pub visibility: Option<VisibilityArg>,
    /// Only paths that match; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// No path that matches; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Import what symbolic links point to as plain files
    #[arg(long)]
    pub follow_symlinks: bool,
    /// Copy into the home's library instead of indexing in place
    #[arg(long)]
    pub copy: bool,
    /// No card: share the bare files
    #[arg(long)]
    pub unsigned: bool,
    /// Sign after this card, and settle between it and those that contradict it
    #[arg(long, value_name = "CARD")]
    pub onto: Option<String>,
    /// Add an OpenSSF Model Signing signature (model.sig), now and to later versions
    #[arg(long, conflicts_with = "unsigned")]
    pub oms: bool,
    /// What it was made from, besides what README.md says: REF=finetune|adapter|quantized|merge|distilled|trainedOn
    /// [default: as in the version before]; may be given several times, an empty one drops them
    #[arg(long, value_name = "REF[=RELATION]", conflicts_with = "unsigned")]
    pub base: Vec<String>,
    /// An https address where you say the same [default: as in the version before]; may be given several times, an
    /// empty one drops them
    #[arg(long, value_name = "URL", conflicts_with = "unsigned")]
    pub link: Vec<String>,
}
