//! What `status` and the metrics say of the library.

use std::collections::{BTreeMap, HashSet};

use super::{
    Library, chain,
    listing::{Problem, place_of, problem},
    statements,
    word::Words,
};
use crate::{
    limits,
    rpc::{ChangedFile, Failure, RefutedLine, WithdrawnLine},
    store::{self, Aside, Counters, Repo, Tree, TreeId},
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
    /// Repos whose newest version here is withdrawn or deprecated.
    pub withdrawn: Vec<WithdrawnLine>,
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
    let trees = held.trees();
    let repos = trees.len() as u64;
    let withdrawn = withdrawn(library, &trees)?;
    let mut changed = Vec::new();
    let mut listed = HashSet::new();
    let mut refuted = Vec::new();
    let mut unchecked = 0;
    for (id, tree) in trees {
        refuted.extend(statements::refuted(&tree));
        unchecked += u64::from(statements::is_due(&tree));
        for file in held.files_if_any(id)?.into_iter().flatten() {
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
            // Versions of one folder share its files.
            if !listed.insert(path.clone()) {
                continue;
            }
            changed.push(ChangedFile { path, state: state.into() });
        }
    }
    let free_bytes = store::free_space(&library.inner.home.library())?;
    let (counters, aside) = (held.counters()?, held.aside()?);
    Ok(Figures { counters, aside, repos, free_bytes, refuted, withdrawn, unchecked, changed })
}

/// Repos whose newest version that is here is not to be used any more, as its publisher says.
fn withdrawn(library: &Library, trees: &[(TreeId, Tree)]) -> Result<Vec<WithdrawnLine>, Failure> {
    let words = Words::of(library, trees.iter().map(|(_, tree)| tree))?;
    let mut heads: BTreeMap<&Repo, &Tree> = BTreeMap::new();
    for (_, tree) in trees {
        let Some(repo) = &tree.repo else { continue };
        if !chain::is_accepted(library, tree)? {
            continue;
        }
        let head = heads.entry(repo).or_insert(tree);
        if tree.seq > head.seq {
            *head = tree;
        }
    }
    let lines = heads.into_iter().filter_map(|(repo, tree)| {
        let stated = words.on(tree)?;
        Some(WithdrawnLine {
            name: repo.name.clone(),
            version: tree.version.clone(),
            root: tree.root.to_string(),
            publisher: repo.publisher.clone(),
            stated,
        })
    });
    Ok(lines.collect())
}
