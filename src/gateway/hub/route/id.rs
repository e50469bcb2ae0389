//! Ids of repos in paths: the Hub's rules for them.
//!
//! Not: whether there is such a repo, nor the stricter rules for names that are given here (`card::name`).

use super::{Missed, decode};
use crate::{library::hub::RepoId, rpc::Kind};

/// Longest part of a repo id, in characters.
const ID_PART_MAX: usize = 96;

/// Decodes and checks both parts of a repo id.
pub(super) fn repo(kind: Kind, namespace: Option<&str>, name: &str) -> Result<RepoId, Missed> {
    Ok(RepoId { kind, namespace: namespace.map(id_part).transpose()?, name: id_part(name)? })
}

fn id_part(raw: &str) -> Result<String, Missed> {
    let text = decode(raw)?;
    let rule = if text.is_empty() {
        "it is empty"
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        "only letters A-Z a-z, digits, '.', '_' and '-' are allowed in it"
    } else if text.len() > ID_PART_MAX {
        "it is longer than 96 characters"
    } else if text.contains("--") || text.contains("..") {
        "\"--\" and \"..\" are not allowed in it"
    } else if text.starts_with(['-', '.']) || text.ends_with(['-', '.']) {
        "it may not start or end with '-' or '.'"
    } else if text.ends_with(".git") {
        "it may not end in .git"
    } else {
        return Ok(text);
    };
    let shown: String = text.chars().take(100).collect();
    Err(Missed::BadRepo(format!("{shown:?} cannot be part of a repo's id: {rule}")))
}
