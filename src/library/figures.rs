//! What `status` and the metrics say of the library.

use super::{
    Library,
    listing::{Problem, place_of, problem},
    statements,
};
use crate::{
    limits,
    rpc::{ChangedFile, Failure, RefutedLine},
    store::{self, Aside, Counters},
};

/// The library in figures.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The store's own.
    pub counters: Counters,
    /// Damaged indexes that lie aside.
    pub aside: Aside,
    /// Versions in the library.
    pub repos: u64,
    /// Free bytes where the library lies.
    pub free_bytes: u64,
    /// Versions whose publisher's statements of the files do not hold.
    pub refuted: Vec<RefutedLine>,
    /// Versions whose files were not compared with what their cards say of them.
    pub unchecked: u64,
    /// Files changed or missing, as many as `limits::CHANGED_FILES_LISTED`.
    pub changed: Vec<ChangedFile>,
}

/// Counts and looks; reads no file.
///
/// # Errors
/// As the store fails.
pub fn figures(library: &Library) -> Result<Figures, Failure> {
    let held = library.store();
    let trees = held.trees()?;
    let repos = trees.len() as u64;
    let mut changed = Vec::new();
    let mut refuted = Vec::new();
    let mut unchecked = 0;
    for (id, tree) in trees {
        refuted.extend(statements::refuted(&tree));
        unchecked += u64::from(statements::is_due(&tree));
        for file in held.tree_files(id)? {
            let file = file?;
            if changed.len() >= limits::CHANGED_FILES_LISTED {
                break;
            }
            let state = match problem(library, &file)? {
                Some(Problem::Changed) => "changed",
                Some(Problem::Missing) => "missing",
                None => continue,
            };
            let path = place_of(library, &tree, &file)?;
            changed.push(ChangedFile { path, state: state.into() });
        }
    }
    let free_bytes = store::free_space(&library.inner.home.library())?;
    let (counters, aside) = (held.counters()?, held.aside()?);
    Ok(Figures { counters, aside, repos, free_bytes, refuted, unchecked, changed })
}
