//! Opening a store, and rebuilding its index: whether what lies in the folder is new, whole, lost or damaged.
//!
//! | `store.json` | sled's file | stamp in it | plain records | then |
//! |---|---|---|---|---|
//! | no | no | | no | new |
//! | no | no | | some | lost: `Damaged` |
//! | no | yes | no | no | a kill while it was made: new |
//! | no | yes | yes | any | `store.json` is written again from the stamp |
//! | no | yes | no | some | `Damaged` |
//! | yes | no | | any | lost: `Damaged` |
//! | yes | yes | another store or generation, or none | any | `Damaged` |
//! | yes | yes | the same | one that no tree in the index has | `Damaged` |
//!
//! A repair writes the plain records anew into `records/trees.new` and swaps the folders at its end, so that one that
//! is cut off can begin again from the old ones.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use super::index::{Index, Opened};
use super::lock::Lock;
use super::stamp::{Condition, Identity, SCHEMA};
use super::tally::Stamp;
use super::{Error, Inner, Options, Store, TreeId, aside, disk, records, stamp};
use crate::limits;

fn damaged(dir: &Path, why: &str) -> Error {
    Error::Damaged { dir: dir.to_path_buf(), why: why.to_owned() }
}

/// Makes the folder, refuses network file systems, takes the lock.
fn enter(dir: &Path) -> Result<Lock, Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| Error::io(dir, e))?;
    if let Some(kind) = disk::network_file_system(dir)? {
        return Err(Error::NetworkFileSystem { dir: dir.to_path_buf(), kind });
    }
    Lock::take(dir)
}

fn first_stamp(identity: &Identity) -> Stamp {
    Stamp {
        store: u128::from_str_radix(&identity.store, 16).unwrap_or_default(),
        generation: identity.generation,
        // Ids of a rebuilt index do not meet those of the lost one.
        next_id: (identity.generation - 1) << 32,
        ..Stamp::default()
    }
}

pub(super) fn open(dir: &Path, options: Options) -> Result<Store, Error> {
    let lock = enter(dir)?;
    let trees = dir.join("records/trees");
    let recorded = records::recorded_trees(&trees)?;
    let has_records = !recorded.is_empty();
    let has_index = dir.join("index/db").exists();
    let index = match Identity::read(dir)? {
        Some(Identity { condition: Condition::Repairing, .. }) => {
            return Err(damaged(dir, "a repair began and did not end"));
        }
        Some(_) if !has_index => return Err(damaged(dir, "the index is gone")),
        Some(identity) => {
            let Opened::Index(index) = Index::open(dir, options.cache, None)? else {
                return Err(damaged(dir, "it is empty"));
            };
            let (found, expected) = (index.stamp(), first_stamp(&identity));
            if (found.store, found.generation) != (expected.store, expected.generation) {
                return Err(damaged(dir, "it is another store's, or an older one of this store"));
            }
            index
        }
        None if !has_index && has_records => {
            return Err(damaged(dir, "the index and store.json are gone"));
        }
        None => {
            let mut identity = Identity::new();
            let new = (!has_records).then(|| first_stamp(&identity));
            let Opened::Index(index) = Index::open(dir, options.cache, new)? else {
                return Err(damaged(dir, "it is empty, and store.json is gone"));
            };
            let stamp = index.stamp();
            (identity.store, identity.generation) =
                (format!("{:032x}", stamp.store), stamp.generation);
            records::make_folders(dir)?;
            identity.write(dir)?;
            index
        }
    };
    let store = assemble(dir, options, *index, lock, false)?;
    reconcile(&store, &recorded)?;
    Ok(store)
}

fn assemble(
    dir: &Path,
    options: Options,
    index: Index,
    lock: Lock,
    repairing: bool,
) -> Result<Store, Error> {
    records::make_folders(dir)?;
    let mut options = options;
    options.inline_max = options.inline_max.min(limits::BLOCK_MAX);
    let store = Store(Arc::new(Inner {
        dir: dir.to_path_buf(),
        options,
        index,
        trees: RwLock::default(),
        reserved: Mutex::default(),
        spared: Mutex::default(),
        pending: Mutex::default(),
        partials: Mutex::default(),
        suspects: Mutex::default(),
        tree_changes: Mutex::default(),
        repairing: AtomicBool::new(repairing),
        _lock: lock,
    }));
    let trees = store.stored_trees()?.into_iter().map(|(id, stored)| (id, stored.tree)).collect();
    *store.0.trees_mut() = trees;
    Ok(store)
}

/// Writes the plain records that a kill kept from being written.
fn reconcile(store: &Store, recorded: &[TreeId]) -> Result<(), Error> {
    let folder = store.0.records("trees");
    let trees = store.stored_trees()?;
    let known: HashSet<TreeId> = trees.iter().map(|(id, _)| *id).collect();
    if let Some(lost) = recorded.iter().find(|id| !known.contains(id)) {
        let why = format!("tree {lost} has a plain record and is not in it");
        return Err(damaged(&store.0.dir, &why));
    }
    for (id, stored) in trees {
        let record = records::read_tree(&store.0.dir, &folder, id).unwrap_or_else(|e| {
            tracing::warn!(error = %e, "a plain record is written again from the index");
            None
        });
        let list = folder.join(format!("{id}-{}.jsonl", stored.list));
        if !list.exists() {
            records::write_files(&folder, id, stored.list, store.tree_files(id)?)?;
        }
        if record.as_ref() != Some(&stored) {
            records::write_tree(&folder, id, &stored)?;
        }
    }
    Ok(())
}

pub(super) fn open_for_repair(dir: &Path, options: Options) -> Result<Store, Error> {
    let lock = enter(dir)?;
    let (trees, new) = (dir.join("records/trees"), dir.join("records/trees.new"));
    if new.exists() {
        if trees.exists() {
            fs::remove_dir_all(&new).map_err(|e| Error::io(&new, e))?;
        } else {
            fs::rename(&new, &trees).map_err(|e| Error::io(&new, e))?;
        }
    }
    // A store.json that is unreadable or of another schema is what a repair is for.
    let known = Identity::read(dir).unwrap_or_default();
    let generation = known.as_ref().map_or(1, |identity| identity.generation);
    // A broken store.json must not lead back to a generation that was there before.
    let generation = generation.max(aside::highest(dir)?).max(stamp::flushed_generation(dir)?) + 1;
    let identity = Identity {
        schema: SCHEMA,
        store: known.as_ref().map_or_else(|| Identity::new().store, |i| i.store.clone()),
        generation,
        condition: Condition::Repairing,
    };
    identity.write(dir)?;
    let index = dir.join("index");
    if index.exists() {
        if known.is_some_and(|i| i.condition == Condition::Repairing) {
            // Half of an earlier repair: nothing in it is not in the records.
            fs::remove_dir_all(&index).map_err(|e| Error::io(&index, e))?;
        } else {
            let aside = aside::path(dir, generation - 1);
            fs::rename(&index, &aside).map_err(|e| Error::io(&index, e))?;
        }
    }
    disk::remove_small(&dir.join("flushed"))?;
    disk::sync_folder(dir)?;
    let Opened::Index(index) = Index::open(dir, options.cache, Some(first_stamp(&identity)))?
    else {
        return Err(damaged(dir, "a new index could not be begun"));
    };
    assemble(dir, options, *index, lock, true)
}

pub(super) fn finish_repair(store: &Store) -> Result<(), Error> {
    let dir = &store.0.dir;
    let _one_at_a_time = store.0.tree_changes();
    store.flush()?;
    let (trees, new, old) =
        (store.0.records("trees"), store.0.records("trees.new"), store.0.records("trees.old"));
    for folder in [&new, &old] {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
    }
    fs::create_dir(&new).map_err(|e| Error::io(&new, e))?;
    for (id, stored) in store.stored_trees()? {
        records::write_files(&new, id, stored.list, store.tree_files(id)?)?;
        records::write_tree(&new, id, &stored)?;
    }
    let records = dir.join("records");
    disk::sync_folder(&records)?;
    fs::rename(&trees, &old).map_err(|e| Error::io(&trees, e))?;
    fs::rename(&new, &trees).map_err(|e| Error::io(&new, e))?;
    disk::sync_folder(&records)?;
    let mut identity = Identity::read(dir)?.ok_or_else(|| damaged(dir, "store.json is gone"))?;
    identity.condition = Condition::Ready;
    identity.write(dir)?;
    store.0.repairing.store(false, Ordering::Release);
    fs::remove_dir_all(&old).map_err(|e| Error::io(&old, e))
}
