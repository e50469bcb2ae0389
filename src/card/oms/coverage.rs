//! Which files of a repo a signature speaks for.

use std::collections::BTreeMap;

use super::Signed;
use crate::card::manifest::{Manifest, OMS_IGNORED};

/// Paths that a message names; more are counted.
const PATHS_NAMED: usize = 5;

/// The files of a repo, each in exactly one of the lists, in the manifest's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Signed: the key's owner vouches for these bytes under these names.
    pub vouched: Vec<String>,
    /// Left out by the signer's own word, or by the rules of OMS 6.2; nobody vouches for them.
    pub left_out: Vec<String>,
    /// Not known to the signer at all: `model_signing` refuses a folder with such files.
    pub unknown: Vec<String>,
}

/// A signature that speaks of other bytes than those that are here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the signature is about other files:{}{}",
    named("changed", changed),
    named("missing", missing)
)]
pub struct Mismatch {
    /// Signed under this name with another digest.
    pub changed: Vec<String>,
    /// Signed, and not in the repo.
    pub missing: Vec<String>,
}

fn named(what: &str, paths: &[String]) -> String {
    if paths.is_empty() {
        return String::new();
    }
    let mut text = format!(" {} {what} (", paths.len());
    for (at, path) in paths.iter().take(PATHS_NAMED).enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        text.push_str(&format!("{comma}{path:?}"));
    }
    text.push_str(if paths.len() > PATHS_NAMED { ", …)" } else { ")" });
    text
}

impl Signed {
    /// For which files of `manifest` the signature speaks.
    ///
    /// # Errors
    /// [`Mismatch`] if it speaks of a file that is not there, or is there with other bytes.
    pub fn against(&self, manifest: &Manifest) -> Result<Coverage, Mismatch> {
        let mut signed: BTreeMap<&str, &[u8; 32]> =
            self.entries.iter().map(|entry| (entry.path.as_str(), &entry.sha256)).collect();
        let mut coverage = Coverage::default();
        let mut changed = Vec::new();
        for file in manifest.files() {
            let list = match signed.remove(file.path.as_str()) {
                Some(sha256) if *sha256 == file.sha256 => &mut coverage.vouched,
                Some(_) => &mut changed,
                None if self.leaves_out(&file.path) => &mut coverage.left_out,
                None => &mut coverage.unknown,
            };
            list.push(file.path.clone());
        }
        if changed.is_empty() && signed.is_empty() {
            return Ok(coverage);
        }
        let missing = signed.into_keys().map(str::to_owned).collect();
        Err(Mismatch { changed, missing })
    }

    fn leaves_out(&self, path: &str) -> bool {
        let below = |ignored: &str| {
            path.strip_prefix(ignored).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        OMS_IGNORED.into_iter().any(below) || self.ignore_paths.iter().any(|ignored| below(ignored))
    }
}
