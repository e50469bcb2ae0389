//! Trees: the repos of this library, each with its files, its visibility and its pin.
//!
//! A tree's record is written after everything it claims is durable, and its list of files changes as a whole: the
//! list is written under a new number, then the record that names it, in one flush after the other. Each tree is also
//! a plain record beside the index (`records`), from which `repair` begins.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Error, FileId, Store, TreeId, codec, files, keys};
use crate::card::statement::Kind;
use crate::config::Visibility;
use crate::dag::Cid;
use crate::limits;

/// Whose a file or a tree's folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// Seeded in place or named with `-o`: never changed, moved or deleted by us.
    User,
    /// Below the home's library folder.
    Library,
}

/// Whether all of a tree that was asked for is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TreeState {
    /// Being fetched.
    Arriving,
    /// All here.
    Whole,
}

/// A publisher's name for a repo.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Repo {
    /// `did:key:…` of the publisher.
    pub publisher: String,
    /// Name of the repo.
    pub name: String,
}

/// One tree of the library, without its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Root of the files.
    #[serde(with = "as_text")]
    pub root: Cid,
    /// The release around it.
    #[serde(with = "as_optional_text")]
    pub release: Option<Cid>,
    /// Id of its card.
    #[serde(with = "as_optional_text")]
    pub card: Option<Cid>,
    /// Publisher and name.
    pub repo: Option<Repo>,
    /// Model or dataset.
    pub kind: Kind,
    /// The version's name.
    pub version: Option<String>,
    /// The version's number.
    pub seq: Option<u64>,
    /// How far it may go.
    pub visibility: Visibility,
    /// Kept by `gc`.
    pub pinned: bool,
    /// The folder (or the one file) where its files lie; absolute.
    pub location: PathBuf,
    /// Whose that folder is.
    pub owner: Owner,
    /// Complete or not.
    pub state: TreeState,
    /// When it came; whole seconds.
    #[serde(with = "as_seconds")]
    pub created_at: SystemTime,
    /// Whatever `library` keeps with it, opaque here; at most [`limits::STORE_NOTE_MAX`] bytes.
    pub note: Option<String>,
}

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeFile {
    /// Path in the tree, with `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// CID of the file.
    #[serde(with = "as_text")]
    pub cid: Cid,
    /// Where it lies, if it is here.
    pub file: Option<FileId>,
}

/// A tree as the index keeps it: with the number of the list that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredTree {
    pub(super) tree: Tree,
    pub(super) list: u64,
    pub(super) files: u32,
}

/// A tree in the making. While it lives, `gc` spares the blocks and files added for its id; dropped before
/// [`Store::save_tree`] they become garbage.
#[derive(Debug)]
pub struct Reservation {
    store: Store,
    id: TreeId,
}

impl Reservation {
    /// The id to add blocks and files for.
    pub fn id(&self) -> TreeId {
        self.id
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.store.0.reserved().remove(&self.id);
        if !self.store.0.trees().contains_key(&self.id) {
            self.store.0.spared().remove(&self.id);
        }
    }
}

impl Store {
    /// Gives out an id for a tree in the making.
    ///
    /// # Errors
    /// [`Error::Full`] at [`limits::STORE_TREES_MAX`], and what the index says.
    pub fn reserve(&self) -> Result<Reservation, Error> {
        if self.0.trees().len() + self.0.reserved().len() >= limits::STORE_TREES_MAX {
            return Err(Error::Full { what: "trees", max: limits::STORE_TREES_MAX });
        }
        let id = self.0.index.write(|batch| {
            let id = TreeId(batch.next_id());
            self.0.reserved().insert(id);
            Ok(id)
        })?;
        Ok(Reservation { store: self.clone(), id })
    }

    /// Writes a tree and the whole list of its files, durably: flushes what was added for it, then its list, then its
    /// record, then its plain record. For an import, to begin a fetch, and to complete one; replaces what this id had.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::NotUnicode`], and what index and disk say.
    pub fn save_tree(&self, id: TreeId, tree: &Tree, list: &[TreeFile]) -> Result<(), Error> {
        files::text(&tree.location)?;
        if tree.note.as_ref().is_some_and(|note| note.len() > limits::STORE_NOTE_MAX) {
            return Err(Error::Full {
                what: "bytes in a tree's note",
                max: limits::STORE_NOTE_MAX,
            });
        }
        let count = u32::try_from(list.len())
            .map_err(|_| Error::Full { what: "files in a tree", max: u32::MAX as usize })?;
        let known = self.0.trees().contains_key(&id);
        if !known && self.0.trees().len() >= limits::STORE_TREES_MAX {
            return Err(Error::Full { what: "trees", max: limits::STORE_TREES_MAX });
        }
        let _one_at_a_time = self.0.tree_changes();
        let number = self.0.index.write(|batch| Ok(batch.next_id()))?;
        let mut at = 0_u32;
        for step in list.chunks(limits::STORE_BATCH_BLOCKS) {
            self.0.index.write(|batch| {
                for file in step {
                    batch.put(&keys::listed(id, number, at), codec::encode(file))?;
                    at += 1;
                }
                Ok(())
            })?;
        }
        self.0.index.flush()?;
        let stored = StoredTree { tree: tree.clone(), list: number, files: count };
        let before = self.stored_tree(id)?;
        self.put_tree(id, &stored)?;
        if tree.state == TreeState::Whole {
            // From here on its list says which files it needs.
            self.0.spared().remove(&id);
        }
        self.0.save_record_files(id, number, list)?;
        self.0.save_record(id, &stored)?;
        if let Some(before) = before {
            self.drop_list(id, before.list)?;
            self.0.remove_record_files(id, before.list)?;
        }
        Ok(())
    }

    fn put_tree(&self, id: TreeId, stored: &StoredTree) -> Result<(), Error> {
        let key = keys::numbered(keys::TREE, id.0);
        self.0.index.write(|batch| batch.put(&key, codec::encode(stored)))?;
        self.0.index.flush()?;
        self.0.trees_mut().insert(id, stored.tree.clone());
        Ok(())
    }

    pub(super) fn drop_list(&self, id: TreeId, list: u64) -> Result<(), Error> {
        self.0.drop_prefix(&keys::list(id, list))
    }

    pub(super) fn stored_tree(&self, id: TreeId) -> Result<Option<StoredTree>, Error> {
        let record = self.0.index.get(&keys::numbered(keys::TREE, id.0))?;
        record.map(|bytes| self.0.decode(&bytes)).transpose()
    }

    /// A tree, without its files.
    pub fn tree(&self, id: TreeId) -> Option<Tree> {
        self.0.trees().get(&id).cloned()
    }

    /// All trees, oldest id first, without their files.
    pub fn trees(&self) -> Vec<(TreeId, Tree)> {
        self.trees_where(|_| true)
    }

    /// Those of all trees that are so: the others are looked at in passing and not copied. `is` asks nothing of the store,
    /// whose trees stay as they are meanwhile.
    pub fn trees_where(&self, is: impl Fn(&Tree) -> bool) -> Vec<(TreeId, Tree)> {
        let trees = self.0.trees();
        trees.iter().filter(|(_, tree)| is(tree)).map(|(id, tree)| (*id, tree.clone())).collect()
    }

    pub(super) fn stored_trees(&self) -> Result<Vec<(TreeId, StoredTree)>, Error> {
        let entries = self.0.index.scan(&[keys::TREE], None, limits::STORE_TREES_MAX)?;
        entries
            .iter()
            .map(|(key, value)| Ok((TreeId(keys::number_at(key, 1)), self.0.decode(value)?)))
            .collect()
    }

    /// The files of a tree as they were when this is called, page by page.
    ///
    /// # Errors
    /// [`Error::UnknownTree`], and what the index says.
    pub fn tree_files(&self, id: TreeId) -> Result<TreeFiles, Error> {
        self.files_if_any(id)?.ok_or(Error::UnknownTree(id))
    }

    /// As [`Self::tree_files`], of a tree that may have been removed since its id was listed.
    ///
    /// # Errors
    /// What the index says.
    pub fn files_if_any(&self, id: TreeId) -> Result<Option<TreeFiles>, Error> {
        let files = |list| TreeFiles { store: self.clone(), id, list, next: 0, page: Vec::new() };
        Ok(self.stored_tree(id)?.map(|stored| files(stored.list)))
    }

    /// Sets how far a tree may go, durably.
    ///
    /// # Errors
    /// [`Error::UnknownTree`], and what index and disk say.
    pub fn set_visibility(&self, id: TreeId, visibility: Visibility) -> Result<(), Error> {
        self.change_tree(id, |tree| tree.visibility = visibility)
    }

    /// Sets whether `gc` keeps a tree, durably.
    ///
    /// # Errors
    /// [`Error::UnknownTree`], and what index and disk say.
    pub fn set_pinned(&self, id: TreeId, pinned: bool) -> Result<(), Error> {
        self.change_tree(id, |tree| tree.pinned = pinned)
    }

    /// Changes a tree's record and leaves its files as they are, durably.
    ///
    /// # Errors
    /// [`Error::UnknownTree`], [`Error::NotUnicode`], and what index and disk say.
    pub fn change_tree(&self, id: TreeId, change: impl FnOnce(&mut Tree)) -> Result<(), Error> {
        let _one_at_a_time = self.0.tree_changes();
        let mut stored = self.stored_tree(id)?.ok_or(Error::UnknownTree(id))?;
        change(&mut stored.tree);
        files::text(&stored.tree.location)?;
        self.put_tree(id, &stored)?;
        self.0.save_record(id, &stored)
    }
}

/// Iterator over a tree's files. If the tree is saved anew or removed meanwhile, it may end early.
#[derive(Debug)]
pub struct TreeFiles {
    store: Store,
    id: TreeId,
    list: u64,
    next: u32,
    /// Reversed: the next one is the last.
    page: Vec<TreeFile>,
}

impl TreeFiles {
    fn fill(&mut self) -> Result<(), Error> {
        let prefix = keys::list(self.id, self.list);
        let after = self.next.checked_sub(1).map(|last| keys::listed(self.id, self.list, last));
        let page = self.store.0.index.scan(&prefix, after.as_deref(), 256)?;
        self.next += u32::try_from(page.len()).expect("a page");
        for (_, value) in page.iter().rev() {
            self.page.push(self.store.0.decode(value)?);
        }
        Ok(())
    }
}

impl Iterator for TreeFiles {
    type Item = Result<TreeFile, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty()
            && let Err(e) = self.fill()
        {
            return Some(Err(e));
        }
        self.page.pop().map(Ok)
    }
}

mod as_text {
    use super::{Cid, Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(cid: &Cid, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(cid)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Cid, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

mod as_optional_text {
    use super::{Cid, Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(cid: &Option<Cid>, to: S) -> Result<S::Ok, S::Error> {
        match cid {
            Some(cid) => to.serialize_some(&cid.to_string()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Cid>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

mod as_seconds {
    use super::{Deserialize, Deserializer, Duration, Serializer, SystemTime, UNIX_EPOCH};

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let seconds = u64::deserialize(from)?;
        UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or_else(|| serde::de::Error::custom("a time beyond all clocks"))
    }
}
