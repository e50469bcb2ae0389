//! Arguments of `endorse` and `claims`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Values of `endorse --kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ClaimKindArg {
    /// Properties that you verified (in-toto Simple Verification Result)
    Svr,
    /// Tests that passed, or with --fail failed (in-toto Test Result)
    TestResult,
    /// A value that you measured
    Eval,
}

/// Arguments of `endorse`.
#[derive(Debug, Args)]
pub(in crate::cli) struct EndorseArgs {
    /// A CID or a name in the library
    #[arg(value_name = "REF", required_unless_present = "import")]
    pub reference: Option<String>,
    /// What holds, e.g. PICKLE_FREE; may be given several times
    #[arg(long, value_name = "X")]
    pub property: Vec<String>,
    /// Say that it does not hold
    #[arg(long)]
    pub fail: bool,
    /// How to say it [default: svr; with --fail test-result; with --value eval]
    #[arg(long)]
    pub kind: Option<ClaimKindArg>,
    /// The dataset of an evaluation
    #[arg(long, value_name = "ID")]
    pub dataset: Option<String>,
    /// The task in it
    #[arg(long, value_name = "ID", requires = "dataset")]
    pub task: Option<String>,
    /// What was measured
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
    /// Its value, a decimal number
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub value: Option<String>,
    /// A remark, one line; it is signed
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Take in what others signed: one claim a line
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["reference", "property", "fail", "kind", "dataset", "metric", "value", "note"])]
    pub import: Option<PathBuf>,
}

/// Arguments of `claims`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ClaimsArgs {
    /// A CID or a name in the library
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Ask no peer
    #[arg(long, conflicts_with = "peer")]
    pub offline: bool,
    /// Ask this peer too; may be given several times
    #[arg(long, value_name = "MULTIADDR")]
    pub peer: Vec<String>,
    /// Write them into a file, one a line
    #[arg(long, value_name = "FILE.jsonl")]
    pub export: Option<PathBuf>,
}
