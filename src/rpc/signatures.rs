//! Signatures of others over content that is here.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Target;

/// Arguments of `import-sig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSig {
    /// The signature. Absolute.
    pub file: PathBuf,
    /// What it is over.
    pub target: Target,
    /// The key's PEM file, absolute; keys that are known for the content if absent.
    pub public_key: Option<PathBuf>,
}

/// Answer to `import-sig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedSignature {
    /// CID of the files.
    pub root: String,
    /// The key: `sha256:` and what `sha256sum` says of its PEM.
    pub key: String,
    /// Files that it signed.
    pub files: u64,
    /// Files that its owner left out, for which nobody vouches.
    pub left_out: Vec<String>,
}

/// A signature over files, besides the card's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureLine {
    /// What sort: `oms`.
    pub kind: String,
    /// The key: `sha256:` and what `sha256sum` says of its PEM.
    pub key: String,
    /// Files that it signed.
    pub files: u64,
    /// Whether it holds for the files as they were read just now; absent where they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
}
