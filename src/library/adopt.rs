//! `adopt`: what other tools have on this disk becomes part of the library, indexed where it lies.
//!
//! [`find`] tells what lies at a path and lists it: snapshots of a Hugging Face cache ([`hub`]), models of Ollama
//! ([`ollama`]), or the folder itself. [`read`] reads what is not known yet, each file once however many snapshots it is in,
//! compares it with the digest that its tool named it by, and saves each version: unsigned, and private until the user
//! shares it, since a cache does not say what was gated. Whatever can't be taken is left out with its reason, and nothing
//! else fails for it. Nothing is written outside the home. Design section 4; issue 6, "One copy".

mod find;
mod hub;
mod ollama;
mod read;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use self::{find::Findings, read::Reader};
use super::{
    Library, Watch, blocking,
    note::{self, Note},
    scan::Found,
};
use crate::{
    card::name::suggest,
    dag::name::escape,
    rpc::{Adopted, Code, Failure, Kind, OriginLine},
    store::Tree,
};

/// A version to be: one snapshot, one model, one folder.
#[derive(Debug)]
struct Candidate {
    /// What it is to be called in the library.
    name: String,
    /// Model or dataset.
    kind: Kind,
    /// What its tool calls it; none for a folder.
    adopted: Option<note::Adopted>,
    /// Where it lies, as the library notes it: a folder, or Ollama's manifest.
    location: PathBuf,
    /// Its files, by path.
    files: Vec<Found>,
    /// Folders in it that hold nothing.
    empty: Vec<String>,
    /// What the names of files on the disk say of their bytes, by where those are.
    stated: HashMap<PathBuf, Stated>,
}

/// A digest that a file is named by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stated {
    /// SHA2-256 of its bytes.
    Sha256([u8; 32]),
    /// The id of git's blob with these bytes (SHA-1).
    Git([u8; 20]),
}

/// Takes in what lies at these paths.
///
/// # Errors
/// Not found (3) if there is nothing to adopt; interrupted (130), no space (7) and the index's failures: what was taken by
/// then stays. What is left out for a reason of its own is no error here: the answer says so.
pub async fn adopt(
    library: &Library,
    paths: Vec<PathBuf>,
    watch: Watch,
) -> Result<Adopted, Failure> {
    let _one_at_a_time = library.inner.importing.lock().await;
    let library = library.clone();
    blocking(move || run(&library, &paths, &watch)).await
}

fn run(library: &Library, paths: &[PathBuf], watch: &Watch) -> Result<Adopted, Failure> {
    let mut found = Findings::default();
    for path in paths {
        find::at(path, &mut found, watch)?;
    }
    if !found.anything() {
        return Err(Failure::new(
            Code::NotFound,
            format!("there is nothing to adopt: {}", found.reasons()),
        )
        .hint("a Hugging Face cache is mostly ~/.cache/huggingface, Ollama's folder ~/.ollama"));
    }
    let (candidates, mut left_out) = found.into_parts();
    let mut reader = Reader::new(library, &candidates, watch)?;
    let mut adopted = Vec::new();
    for candidate in &candidates {
        watch.check()?;
        match reader.take(candidate)? {
            Ok(line) => adopted.push(line),
            Err(why) => left_out.leave(&candidate.location, why),
        }
    }
    let (bytes, read_bytes) = reader.bytes();
    Ok(Adopted { adopted, left_out: left_out.into_lines(), bytes, read_bytes })
}

/// What `ls`, `show` and `adopt` say of a version's origin.
pub(super) fn origin(adopted: &note::Adopted) -> OriginLine {
    match adopted {
        note::Adopted::Hub { id, commit, .. } => OriginLine {
            hub: Some(id.clone()),
            hub_commit: Some(commit.clone()),
            ..OriginLine::default()
        },
        note::Adopted::Ollama { model } => {
            OriginLine { ollama: Some(model.clone()), ..OriginLine::default() }
        }
    }
}

/// Where the files of a version lie that are not in its folder under their own paths; none for all others.
///
/// # Errors
/// Why they can't be told any more.
pub(super) fn elsewhere(tree: &Tree) -> Result<Option<HashMap<String, PathBuf>>, String> {
    match Note::of(tree).adopted {
        Some(note::Adopted::Ollama { .. }) => {
            let files = ollama::files_of(&tree.location)?;
            Ok(Some(files.into_iter().map(|file| (file.path, file.source)).collect()))
        }
        Some(note::Adopted::Hub { .. }) | None => Ok(None),
    }
}

/// A name in the library for what another tool, or a folder, calls so.
fn named(text: &str) -> Result<String, String> {
    let name = suggest(text).map(|name| name.to_string());
    name.ok_or_else(|| {
        format!("nothing in the name \"{}\" could be a repo's: rename it", escape(text))
    })
}

/// A path as text, which is how the library keeps it.
fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| "its path is not UTF-8, and the library can't keep it".to_owned())
}
