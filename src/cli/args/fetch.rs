//! Arguments of the commands that take something from peers: `get` and `cat`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `cat`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CatArgs {
    /// A CID, or a name in the library; `:path` behind it for a file in it
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Leave out so many bytes at the beginning
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub offset: u64,
    /// Print at most so many bytes
    #[arg(long, value_name = "BYTES")]
    pub length: Option<u64>,
    /// Ask this peer too; may be given several times
    #[arg(long, value_name = "MULTIADDR")]
    pub peer: Vec<String>,
    /// Refuse any card that is not this publisher's
    #[arg(long, value_name = "DID")]
    pub publisher: Option<String>,
    /// Give up after so many seconds without progress
    #[arg(long, value_name = "SECS", default_value_t = 30)]
    pub timeout: u64,
}

/// Arguments of `get`.
#[derive(Debug, Args)]
pub(in crate::cli) struct GetArgs {
    /// A CID, or a name in the library; `:path` behind it for a part
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Put the files here [default: the home's library]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Only paths that match; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// No path that matches; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Ask this peer too; may be given several times
    #[arg(long, value_name = "MULTIADDR")]
    pub peer: Vec<String>,
    /// Refuse any card that is not this publisher's
    #[arg(long, value_name = "DID")]
    pub publisher: Option<String>,
    /// Say what would be fetched, and fetch nothing of it
    #[arg(long)]
    pub dry_run: bool,
    /// Replace files that differ
    #[arg(long)]
    pub force: bool,
    /// Let in files that can carry code (pickles, scripts …) of a publisher you do not trust
    #[arg(long)]
    pub allow_code: bool,
    /// Give up after so many seconds without progress
    #[arg(long, value_name = "SECS", default_value_t = 30)]
    pub timeout: u64,
}
