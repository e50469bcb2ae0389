//! Forgetting: `remove_tree` at once, `gc` for all that no pin holds.
//!
//! Mark and sweep in bounded steps, each one batch, while reads and writes go on. Alive are the trees in the index
//! that are pinned or of which a file is being written, and those reserved; what is alive is asked anew in each step, so that a tree begun
//! during a sweep is spared. On the disk only two kinds of files are ever deleted: the library's own below
//! [`super::Options::library`] that no other tree lists, and hidden partials of our naming. Design section 4.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use super::arriving::{is_partial_name, partial_name};
use super::disk::Beneath;
use super::files::{FileRecord, FileState};
use super::trees::{StoredTree, TreeState};
use super::{Aside, Error, FileId, Owner, Store, TreeFile, TreeId, keys};
use crate::limits;

/// What was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Blocks no longer listed.
    pub blocks: u64,
    /// Bytes of those blocks.
    pub bytes: u64,
    /// Files deleted from the disk.
    pub files: u64,
    /// Bytes of those files.
    pub file_bytes: u64,
    /// Trees forgotten.
    pub trees: u64,
    /// Damaged indexes deleted that repairs had moved aside.
    pub aside: Aside,
}

impl Store {
    /// Forgets a tree: see [`Self::remove_trees`].
    ///
    /// # Errors
    /// [`Error::UnknownTree`], and what index and disk say.
    pub fn remove_tree(&self, id: TreeId) -> Result<Swept, Error> {
        match self.remove_trees(&[id])? {
            Swept { trees: 0, .. } => Err(Error::UnknownTree(id)),
            swept => Ok(swept),
        }
    }

    /// Forgets trees, durably, and deletes those of their files that are the library's own and that no other tree lists, and
    /// their hidden partials. Their blocks are no longer served from now on; `gc` drops their records. One that is unknown is
    /// passed over.
    ///
    /// # Errors
    /// What index and disk say.
    pub fn remove_trees(&self, ids: &[TreeId]) -> Result<Swept, Error> {
        let _one_at_a_time = self.0.tree_changes();
        let mut known = Vec::with_capacity(ids.len());
        for id in ids {
            known.extend(self.stored_tree(*id)?.map(|stored| (*id, stored)));
        }
        let mut swept = Swept::default();
        self.forget_trees(&known, &mut swept)?;
        self.0.index.flush()?;
        Ok(swept)
    }

    fn forget_trees(&self, trees: &[(TreeId, StoredTree)], swept: &mut Swept) -> Result<(), Error> {
        let mut candidates = HashSet::new();
        for (id, stored) in trees {
            self.forget_record(*id, stored, &mut candidates)?;
            swept.trees += 1;
        }
        // Once for all of them: the files of all other trees are looked at.
        for (other, _) in self.stored_trees()? {
            if candidates.is_empty() {
                break;
            }
            for file in self.tree_files(other)? {
                if let Some(file) = file?.file {
                    candidates.remove(&file);
                }
            }
        }
        for file in candidates {
            self.drop_file(file, swept)?;
        }
        for (id, stored) in trees {
            self.drop_list(*id, stored.list)?;
            self.0.remove_record_files(*id, stored.list)?;
        }
        Ok(())
    }

    /// Drops the record of a tree; its files may go.
    fn forget_record(
        &self,
        id: TreeId,
        stored: &StoredTree,
        may_go: &mut HashSet<FileId>,
    ) -> Result<(), Error> {
        // The plain record goes first: were it left over, a repair would bring the tree back.
        self.0.remove_record(id)?;
        may_go.extend(self.arriving_of(id)?);
        for file in self.tree_files(id)? {
            let TreeFile { path, file, .. } = file?;
            may_go.extend(file);
            if stored.tree.state == TreeState::Arriving {
                self.unlink_partial(&stored.tree.location, id, &path)?;
                // What readers brought whole stands in no list before all of it is here.
                let brought = self.file_at(&stored.tree.location.join(&path))?;
                may_go.extend(brought.filter(|(_, it)| it.tree == id).map(|(file, _)| file));
            }
        }
        self.0.index.write(|batch| batch.remove(&keys::numbered(keys::TREE, id.0)))?;
        self.0.index.flush()?;
        self.0.trees_mut().remove(&id);
        self.0.spared().remove(&id);
        Ok(())
    }

    /// Drops all that neither a pinned tree holds nor one that is being fetched, and the indexes that repairs moved aside. `on_step` sees the sums so far after each step and
    /// may end the sweep; what is left then, the next one takes.
    ///
    /// # Errors
    /// What index and disk say.
    pub fn gc(&self, on_step: &mut dyn FnMut(&Swept) -> ControlFlow<()>) -> Result<Swept, Error> {
        // First: it needs no write of the index, which a full disk would refuse.
        let mut swept = Swept { aside: self.delete_aside()?, ..Swept::default() };
        let finished = self.sweep(on_step, &mut swept)?;
        self.0.index.flush()?;
        tracing::debug!(?swept, finished = finished.is_continue(), "gc");
        Ok(swept)
    }

    fn sweep(
        &self,
        on_step: &mut dyn FnMut(&Swept) -> ControlFlow<()>,
        swept: &mut Swept,
    ) -> Result<ControlFlow<()>, Error> {
        {
            let _one_at_a_time = self.0.tree_changes();
            let mut unkept = Vec::new();
            for (id, stored) in self.stored_trees()? {
                if !stored.tree.pinned && !self.is_being_written(id, &stored)? {
                    unkept.push((id, stored));
                }
            }
            for step in unkept.chunks(limits::STORE_GC_STEP) {
                self.forget_trees(step, swept)?;
                if on_step(swept).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if self.sweep_files(on_step, swept)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.sweep_lists()?;
            self.sweep_partials(&self.0.options.library.clone(), swept)?;
        }
        self.sweep_blocks(on_step, swept)
    }

    fn is_being_written(&self, id: TreeId, stored: &StoredTree) -> Result<bool, Error> {
        if stored.tree.state == TreeState::Whole {
            return Ok(false);
        }
        let begun = self.arriving_of(id)?;
        Ok(self.0.reserved().contains(&id)
            || begun.into_iter().any(|file| self.0.open_partial(file).is_some()))
    }

    fn sweep_files(
        &self,
        on_step: &mut dyn FnMut(&Swept) -> ControlFlow<()>,
        swept: &mut Swept,
    ) -> Result<ControlFlow<()>, Error> {
        let trees = self.stored_trees()?;
        let mut live = HashSet::new();
        for (id, _) in &trees {
            for file in self.tree_files(*id)? {
                live.extend(file?.file);
            }
        }
        let arriving: HashSet<TreeId> = trees
            .iter()
            .filter(|(_, stored)| stored.tree.state == TreeState::Arriving)
            .map(|(id, _)| *id)
            .collect();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.0.index.scan(&[keys::FILE], after.as_deref(), limits::STORE_GC_STEP)?;
            let Some((last, _)) = page.last() else { return Ok(ControlFlow::Continue(())) };
            after = Some(last.to_vec());
            for (key, value) in &page {
                let id = FileId(keys::number_at(key, 1));
                let record: FileRecord = self.0.decode(value)?;
                let in_the_making = arriving.contains(&record.tree)
                    || self.0.reserved().contains(&record.tree)
                    || self.0.open_partial(id).is_some();
                if !live.contains(&id) && !in_the_making {
                    self.drop_file(id, swept)?;
                }
            }
            if on_step(swept).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// Lists of files that no tree's record names: left by a kill between list and record.
    fn sweep_lists(&self) -> Result<(), Error> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let entry = self.0.index.scan(&[keys::LISTED], after.as_deref(), 1)?;
            let Some((key, _)) = entry.first() else { return Ok(()) };
            let (tree, list) = (TreeId(keys::number_at(key, 1)), keys::number_at(key, 9));
            if self.stored_tree(tree)?.is_none_or(|stored| stored.list != list) {
                self.drop_list(tree, list)?;
            }
            after = Some(keys::listed(tree, list, u32::MAX));
        }
    }

    /// Hidden partials below the library folder that no arriving file owns.
    fn sweep_partials(&self, folder: &Path, swept: &mut Swept) -> Result<(), Error> {
        let mut folders = vec![folder.to_path_buf()];
        let mut owned: HashSet<std::path::PathBuf> = HashSet::new();
        for (_, id) in self.all_arriving()? {
            owned.extend(self.file(id)?.map(|record| record.path));
        }
        while let Some(folder) = folders.pop() {
            let Ok(listing) = std::fs::read_dir(&folder) else { continue };
            for entry in listing.flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                let name = entry.file_name();
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file()
                    && name.to_str().is_some_and(is_partial_name)
                    && !owned.contains(&entry.path())
                {
                    let bytes = entry.metadata().map_or(0, |meta| meta.len());
                    std::fs::remove_file(entry.path()).map_err(|e| Error::io(&entry.path(), e))?;
                    swept.files += 1;
                    swept.file_bytes += bytes;
                }
            }
        }
        Ok(())
    }

    fn sweep_blocks(
        &self,
        on_step: &mut dyn FnMut(&Swept) -> ControlFlow<()>,
        swept: &mut Swept,
    ) -> Result<ControlFlow<()>, Error> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page =
                self.0.index.scan(&[keys::BLOCK], after.as_deref(), limits::STORE_GC_STEP)?;
            let Some((last, _)) = page.last() else { return Ok(ControlFlow::Continue(())) };
            after = Some(last.to_vec());
            let (blocks, bytes) = self.0.index.write(|batch| {
                let (mut blocks, mut bytes) = (0, 0);
                for (key, _) in &page {
                    let Some(value) = batch.get(key)? else { continue };
                    let mut record = self.decode_block(&value)?;
                    let before = record.holders.len();
                    record.holders.retain(|tree| self.0.is_alive(*tree));
                    if !record.holders.is_empty() {
                        if record.holders.len() < before {
                            batch.put(key, record.encode())?;
                        }
                        continue;
                    }
                    batch.remove(key)?;
                    blocks += 1;
                    bytes += u64::from(record.len);
                    let mut other = key.to_vec();
                    other[0] = keys::DATA;
                    batch.remove(&other)?;
                    other[0] = keys::EXTENT;
                    for (extent, _) in self.0.index.scan(&other, None, usize::MAX)? {
                        batch.remove(&extent)?;
                    }
                }
                Ok((blocks, bytes))
            })?;
            swept.blocks += blocks;
            swept.bytes += bytes;
            if on_step(swept).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// Drops a file's record and places; from the disk it goes if it is ours to delete. The record goes last, so that
    /// a kill in between leaves something for the next gc to find.
    fn drop_file(&self, id: FileId, swept: &mut Swept) -> Result<(), Error> {
        let Some(record) = self.file(id)? else { return Ok(()) };
        let path_key = keys::named(keys::PATH, super::files::text(&record.path)?.as_bytes());
        let newest = self.0.index.write(|batch| {
            if self.0.is_spared(id) {
                return Ok(None);
            }
            // Nobody may find and use the record again from here on.
            let newest = batch.get(&path_key)?.is_none_or(|n| keys::number_at(&n, 0) == id.0);
            if newest {
                batch.remove(&path_key)?;
            }
            Ok(Some(newest))
        })?;
        let Some(newest) = newest else { return Ok(()) };
        let gone = match record.state {
            FileState::Arriving => self.unlink_partial_at(&record.path)?,
            FileState::Whole if record.owner == Owner::Library && newest => {
                self.unlink_own(&record.path)?
            }
            FileState::Whole => false,
        };
        if gone {
            swept.files += 1;
            swept.file_bytes += record.stat.size;
        }
        self.forget_file(id)
    }

    /// Drops what the index has of a file; the disk is left alone.
    pub(super) fn forget_file(&self, id: FileId) -> Result<(), Error> {
        let record = self.file(id)?;
        loop {
            let page = self.file_blocks(id, 0, limits::STORE_GC_STEP)?;
            if page.is_empty() {
                break;
            }
            self.0.index.write(|batch| {
                page.iter().try_for_each(|(key, place)| self.drop_place(batch, key, place))
            })?;
        }
        let arriving = match record {
            Some(FileRecord { state: FileState::Arriving, tree, .. }) => {
                self.all_arriving_of(tree)?
            }
            _ => Vec::new(),
        };
        self.0.clear_suspect(id);
        self.0.index.write(|batch| {
            for (key, file) in arriving {
                if file == id {
                    batch.remove(&key)?;
                }
            }
            batch.remove(&keys::numbered(keys::FILE, id.0))
        })
    }

    fn all_arriving(&self) -> Result<Vec<(Vec<u8>, FileId)>, Error> {
        self.arriving_under(&[keys::ARRIVING])
    }

    fn all_arriving_of(&self, tree: TreeId) -> Result<Vec<(Vec<u8>, FileId)>, Error> {
        self.arriving_under(&keys::numbered(keys::ARRIVING, tree.0))
    }

    fn arriving_under(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, FileId)>, Error> {
        let entries = self.0.index.scan(prefix, None, usize::MAX)?;
        Ok(entries.iter().map(|(k, v)| (k.to_vec(), FileId(keys::number_at(v, 0)))).collect())
    }

    /// Ids of the files of a tree that have begun and not finished.
    ///
    /// # Errors
    /// What the index says.
    pub fn arriving_of(&self, tree: TreeId) -> Result<Vec<FileId>, Error> {
        Ok(self.all_arriving_of(tree)?.into_iter().map(|(_, id)| id).collect())
    }

    /// A partial that a kill left before the index knew of it.
    fn unlink_partial(&self, base: &Path, tree: TreeId, path: &str) -> Result<(), Error> {
        match Beneath::open(base, path, false) {
            Ok(Some(folder)) => folder.unlink(&partial_name(tree, path, &folder.name)).map(|_| ()),
            // Nothing of ours can be where we could not have written.
            Ok(None) | Err(Error::Unsafe { .. }) => Ok(()),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotADirectory => {
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn unlink_partial_at(&self, path: &Path) -> Result<bool, Error> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
        else {
            return Ok(false);
        };
        if !is_partial_name(name) {
            return Ok(false);
        }
        match Beneath::open(folder, name, false)? {
            Some(folder) => folder.unlink(name),
            None => Ok(false),
        }
    }

    /// Deletes a file below the library folder, and the folders there that this empties.
    fn unlink_own(&self, path: &Path) -> Result<bool, Error> {
        let library = &self.0.options.library;
        let Some(mut below) = path.strip_prefix(library).ok().and_then(Path::to_str) else {
            return Ok(false);
        };
        let folder = match Beneath::open(library, below, false) {
            Ok(Some(folder)) => folder,
            // A folder was replaced by a symlink: what lies behind it is not ours.
            Ok(None) | Err(Error::Unsafe { .. }) => return Ok(false),
            Err(e) => return Err(e),
        };
        let gone = folder.unlink(&folder.name)?;
        while let Some((parent, _)) = below.rsplit_once('/') {
            below = parent;
            match Beneath::open(library, below, false) {
                Ok(Some(folder)) if folder.remove_empty(&folder.name) => {}
                _ => break,
            }
        }
        Ok(gone)
    }
}
