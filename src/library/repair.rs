//! `repair`: a new index from the plain records and the model files.
//!
//! Every version that the records name is read again where its files lie; if the same root comes out, it is back, with
//! its release, card, visibility and pin. What can't be brought back is named, with the command that fetches it again.
//! No file is changed or deleted.

use std::fs;

use super::{
    Library, Watch, adopt, blocking, blocks,
    import::{self, Index},
    note::Note,
    scan::{self, Found, Scan, Selection},
    sign,
    watch::Meter,
};
use crate::{
    rpc::{Failure, Rebuilt, Stage},
    store::{TreeFile, TreeRecord, TreeState},
};

/// Rebuilds the index; the store must have been opened for repair.
///
/// # Errors
/// As the disk and the store fail; then nothing is lost, and `repair` can be run again.
pub async fn repair(library: &Library, watch: Watch) -> Result<Rebuilt, Failure> {
    let library = library.clone();
    blocking(move || {
        let mut rebuilt = Rebuilt {
            repos: 0,
            files: 0,
            blocks: 0,
            lost: Vec::new(),
            damaged_indexes: 0,
            damaged_index_bytes: 0,
        };
        for record in library.store().records()? {
            watch.check()?;
            match bring_back(&library, &record, &watch)? {
                Ok(files) => {
                    rebuilt.repos += 1;
                    rebuilt.files += files;
                }
                Err(why) => rebuilt.lost.push(lost(&record, &why)),
            }
        }
        library.store().finish_repair()?;
        rebuilt.blocks = library.store().counters()?.blocks;
        let aside = library.store().aside()?;
        (rebuilt.damaged_indexes, rebuilt.damaged_index_bytes) = (aside.indexes, aside.bytes);
        Ok(rebuilt)
    })
    .await
}

fn lost(record: &TreeRecord, why: &str) -> String {
    let tree = &record.tree;
    let cid = tree.release.unwrap_or(tree.root);
    format!(
        "{} is not back: {why}; its files in {} are untouched; `modelswarm get {cid} -o {}` fetches what is missing",
        super::keep::name_of(tree),
        tree.location.display(),
        tree.location.display(),
    )
}

/// Reads one version again; the number of its files, or why it can't be brought back.
fn bring_back(
    library: &Library,
    record: &TreeRecord,
    watch: &Watch,
) -> Result<Result<u64, String>, Failure> {
    let store = library.store();
    let tree = &record.tree;
    if tree.state == TreeState::Arriving {
        return Ok(Err("it was still arriving".into()));
    }
    if Note::of(tree).partial {
        return Ok(Err("only a part of it was here".into()));
    }
    let mut scan = Scan::default();
    let elsewhere = match adopt::elsewhere(tree) {
        Ok(elsewhere) => elsewhere,
        Err(why) => return Ok(Err(why)),
    };
    for file in store.record_files(record)? {
        let TreeFile { path, .. } = file?;
        // A link of a Hugging Face cache is read where it leads, as it was imported.
        let place = match &elsewhere {
            Some(places) => places.get(&path).cloned().unwrap_or_default(),
            None => tree.location.join(&path),
        };
        let source = match fs::canonicalize(place) {
            Ok(source) => source,
            Err(why) => return Ok(Err(format!("{path}: {why}"))),
        };
        let size = match fs::metadata(&source) {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => return Ok(Err(format!("{path} is no longer a file"))),
            Err(why) => return Ok(Err(format!("{path}: {why}"))),
        };
        scan.files.push(Found { path, source, size });
    }
    let reservation = store.reserve()?;
    let index = Index { store, tree: reservation.id(), owner: tree.owner, in_place: true };
    let meter = Meter::new(watch, Stage::Hashing, super::keep::name_of(tree), scan.bytes());
    let mut read = import::import(&scan, Some(index), true, &meter)?;
    if read.built.cid != tree.root {
        // Folders that hold nothing are part of a tree, and no record names them: they are where they were.
        scan.empty = scan::scan(&tree.location, &Selection::new(&[], &[])?, false)?.empty;
        read = import::import(&scan, Some(index), true, &meter)?;
    }
    if read.built.cid != tree.root {
        return Ok(Err("its files have changed, or it was built by other rules".into()));
    }
    if let Some(card) = sign::card_of(library, tree)? {
        let (release, nodes) = sign::rebuild(library, &card, &read)?;
        if Some(release) == tree.release {
            blocks::add_nodes(store, reservation.id(), &nodes)?;
        }
    }
    let files: Vec<TreeFile> = read
        .files
        .iter()
        .map(|file| TreeFile {
            path: file.path.clone(),
            size: file.size,
            cid: file.cid,
            file: file.file,
        })
        .collect();
    store.save_tree(reservation.id(), tree, &files)?;
    Ok(Ok(files.len() as u64))
}
