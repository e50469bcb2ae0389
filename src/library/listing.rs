//! `ls` and `show`: what the library holds.

use std::path::PathBuf;

use super::{
    Library, adopt, claims,
    keep::name_of,
    note::Note,
    refs::{self, Held},
    sign, signatures, statements,
    word::Words,
};
use crate::{
    card::{CommitId, statement::Status},
    rpc::{Failure, FileLine, RepoLine, Repos, Shown},
    store::{Look, Tree, TreeFile, TreeFiles, TreeState},
};

/// All versions in the library.
///
/// # Errors
/// As the store fails.
pub fn list(library: &Library) -> Result<Repos, Failure> {
    let mut repos = Vec::new();
    let trees = library.store().trees();
    let words = Words::of(library, trees.iter().map(|(_, tree)| tree))?;
    for (id, tree) in &trees {
        let Some(files) = library.store().files_if_any(*id)? else { continue };
        repos.push(line(library, files, tree, words.on(tree))?);
    }
    repos.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(Repos { repos })
}

/// One version and its files.
///
/// # Errors
/// Not found (3); as the store fails.
pub fn show(library: &Library, reference: &str) -> Result<Shown, Failure> {
    let Held { id, tree } = refs::newest(library, reference)?;
    let mut entries = Vec::new();
    for file in library.store().tree_files(id)? {
        let file = file?;
        entries.push(FileLine { path: file.path, size: file.size, cid: file.cid.to_string() });
    }
    let card = sign::card_of(library, &tree)?;
    let provenance = sign::provenance(library, card.as_ref(), false)?;
    Ok(Shown {
        repo: line(library, library.store().tree_files(id)?, &tree, provenance.stated)?,
        card: tree.card.map(|card| card.to_string()),
        commit: CommitId::of(&tree.root).to_string(),
        provenance,
        predicate: card.as_ref().map(sign::predicate).transpose()?,
        signatures: signatures::of_root(library, &tree.root)?,
        claims: claims::of_listed(library, &tree.root, card.as_ref())?,
        entries,
    })
}

fn line(
    library: &Library,
    listed: TreeFiles,
    tree: &Tree,
    stated: Option<Status>,
) -> Result<RepoLine, Failure> {
    let (mut files, mut bytes) = (0, 0);
    let mut worst = None;
    for file in listed {
        let file = file?;
        files += 1;
        bytes += file.size;
        worst = worst.max(problem(library, &file)?);
    }
    let note = Note::of(tree);
    let state = match (tree.state, worst) {
        _ if note.draft.is_some() => "draft",
        (TreeState::Arriving, _) => "arriving",
        (TreeState::Whole, Some(Problem::Missing)) => "missing",
        (TreeState::Whole, Some(Problem::Changed)) => "changed",
        (TreeState::Whole, None) if note.partial => "partial",
        (TreeState::Whole, None) => "whole",
    };
    Ok(RepoLine {
        name: name_of(tree),
        kind: tree.kind,
        version: tree.version.clone(),
        release: tree.release.map(|release| release.to_string()),
        root: tree.root.to_string(),
        visibility: tree.visibility,
        state: state.into(),
        pinned: tree.pinned,
        files,
        bytes,
        publisher: tree.repo.as_ref().map(|repo| repo.publisher.clone()),
        statements: statements::of(tree),
        stated,
        origin: Box::new(note.adopted.as_ref().map(adopt::origin).unwrap_or_default()),
        path: tree.location.clone(),
    })
}

/// What is wrong with a file on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Problem {
    /// Its record no longer fits it.
    Changed,
    /// It is not where it was.
    Missing,
}

/// Where a version's file lies.
pub(super) fn place_of(
    library: &Library,
    tree: &Tree,
    file: &TreeFile,
) -> Result<PathBuf, Failure> {
    let record = file.file.map(|id| library.store().file(id)).transpose()?.flatten();
    Ok(record.map_or_else(|| tree.location.join(&file.path), |record| record.path))
}

/// What is wrong with a version's file, as far as its record tells.
pub(super) fn problem(library: &Library, file: &TreeFile) -> Result<Option<Problem>, Failure> {
    let Some(id) = file.file else { return Ok(None) };
    Ok(match library.store().look(id)? {
        Look::Missing => Some(Problem::Missing),
        Look::Differs => Some(Problem::Changed),
        Look::Same | Look::Unsettled | Look::Arriving => None,
    })
}
