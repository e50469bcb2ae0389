//! The answer to `adopt`, and what a version says of the tool that brought it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::config::Visibility;

/// What another tool calls a version that was adopted from its folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OriginLine {
    /// The repo's id on the hub that it came from, as its cache says; nobody has signed that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// That hub's commit id; `commit` in an answer to `adopt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_commit: Option<String>,
    /// The model as Ollama calls it, `registry/namespace/name:tag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ollama: Option<String>,
}

/// Answer to `adopt`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Adopted {
    /// What is in the library now, one entry a version.
    pub adopted: Vec<AdoptedLine>,
    /// What was not taken.
    pub left_out: Vec<LeftOut>,
    /// Bytes of all files of those versions, each file once.
    pub bytes: u64,
    /// Bytes that were read for it now.
    pub read_bytes: u64,
}

/// One version that was adopted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedLine {
    /// Its name in the library.
    pub name: String,
    /// Model or dataset.
    pub kind: Kind,
    /// The repo's id on the hub that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// That hub's commit id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The model as Ollama calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ollama: Option<String>,
    /// CID of the files.
    pub root: String,
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where they lie: the snapshot's folder, Ollama's manifest, or the folder itself.
    pub path: PathBuf,
    /// How far it may go: `private` unless it was shared since.
    pub visibility: Visibility,
    /// Whether the library had it already, as it is.
    pub unchanged: bool,
}

/// What `adopt` did not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The folder or file.
    pub path: String,
    /// Why.
    pub why: String,
}
