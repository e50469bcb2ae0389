//! Plain files beside the index, from which `repair` rebuilds it: `store/records/…`, JSON, each written whole and
//! fsynced before the call that changes it returns.
//!
//! ```text
//! records/trees/ID.json            one tree: what `Tree` holds, and which list of files counts
//! records/trees/ID-LIST.jsonl      its files, one a line
//! records/cards/CID.json           a card's bundle, as it came
//! records/cards/CID.model.sig      its companion, as it came
//! records/signatures/CID-KEY.sig   what others signed over a root's files; beside it their key, CID-KEY.pem
//! records/marks/HASH.json          highest seq seen for a (publisher, name)
//! records/claims/ROOT.jsonl        what others say about a root (`claims`)
//! records/documents/NAME           whatever `library` keeps that a rebuild needs (trust)
//! ```
//! Order: the index first, its plain record second; removed in the opposite order. So at each open a tree without a
//! current plain record gets it, and a plain record without a tree means that the index is not the one we had.

use std::fs;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::trees::StoredTree;
use super::{Error, Inner, Store, Tree, TreeFile, TreeId, disk};
use crate::card::policy::Mark;
use crate::dag::Cid;
use crate::dag::block::sha256;
use crate::limits;

/// A tree as its plain record tells it: what `repair` imports again.
#[derive(Debug, Clone)]
pub struct TreeRecord {
    /// Its id in the index that was lost.
    pub id: TreeId,
    /// The tree.
    pub tree: Tree,
    /// How many files it has; [`Store::record_files`] gives them.
    pub files: u32,
    list: u64,
}

#[derive(Serialize, Deserialize)]
struct MarkRecord {
    publisher: String,
    name: String,
    #[serde(flatten)]
    mark: Mark,
}

fn json<T: Serialize>(record: &T) -> Vec<u8> {
    let mut text =
        serde_json::to_vec(record).expect("records are plain structs of text and numbers");
    text.push(b'\n');
    text
}

/// Makes the folders of the records.
pub(super) fn make_folders(dir: &Path) -> Result<(), Error> {
    for name in ["trees", "cards", "signatures", "marks", "documents", "claims"] {
        let path = dir.join("records").join(name);
        fs::create_dir_all(&path).map_err(|e| Error::io(&path, e))?;
    }
    disk::sync_folder(&dir.join("records"))?;
    disk::sync_folder(dir)
}

/// Names in a folder, in order; none if there is no folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(folder, e)),
    };
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// Ids of the trees that have a plain record.
pub(super) fn recorded_trees(folder: &Path) -> Result<Vec<TreeId>, Error> {
    let names = names(folder)?;
    Ok(names.iter().filter_map(|n| n.strip_suffix(".json")?.parse().ok().map(TreeId)).collect())
}

/// One tree's plain record as it is on the disk.
pub(super) fn read_tree(
    dir: &Path,
    folder: &Path,
    id: TreeId,
) -> Result<Option<StoredTree>, Error> {
    let path = folder.join(format!("{id}.json"));
    let Some(bytes) = disk::read_small(&path, limits::STORE_RECORD_BYTES)? else { return Ok(None) };
    let why = |e| Error::Damaged {
        dir: dir.to_path_buf(),
        why: format!("the record {} is not readable ({e})", path.display()),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(why)
}

/// Writes one tree's plain record into a folder of such.
pub(super) fn write_tree(folder: &Path, id: TreeId, tree: &StoredTree) -> Result<(), Error> {
    disk::write_small(&folder.join(format!("{id}.json")), &json(tree))
}

/// Writes the list of a tree's files into a folder of such.
pub(super) fn write_files(
    folder: &Path,
    id: TreeId,
    list: u64,
    files: impl Iterator<Item = Result<TreeFile, Error>>,
) -> Result<(), Error> {
    let path = folder.join(format!("{id}-{list}.jsonl"));
    let mut failed = None;
    disk::write_file(&path, |file| {
        let mut out = BufWriter::new(file);
        for file in files {
            match file {
                Ok(file) => out.write_all(&json(&file))?,
                Err(e) => {
                    failed = Some(e);
                    return Err(std::io::ErrorKind::Interrupted.into());
                }
            }
        }
        out.flush()
    })
    .map_err(|e| failed.unwrap_or(e))
}

impl Inner {
    pub(super) fn records(&self, kind: &str) -> PathBuf {
        self.dir.join("records").join(kind)
    }

    /// While a repair runs the old records stay as they are: see `repair`.
    pub(super) fn save_record(&self, id: TreeId, tree: &StoredTree) -> Result<(), Error> {
        if self.is_repairing() {
            return Ok(());
        }
        write_tree(&self.records("trees"), id, tree)
    }

    pub(super) fn save_record_files(
        &self,
        id: TreeId,
        list: u64,
        files: &[TreeFile],
    ) -> Result<(), Error> {
        if self.is_repairing() {
            return Ok(());
        }
        write_files(&self.records("trees"), id, list, files.iter().cloned().map(Ok))
    }

    pub(super) fn remove_record(&self, id: TreeId) -> Result<(), Error> {
        if self.is_repairing() {
            return Ok(());
        }
        disk::remove_small(&self.records("trees").join(format!("{id}.json"))).map(|_| ())
    }

    pub(super) fn remove_record_files(&self, id: TreeId, list: u64) -> Result<(), Error> {
        if self.is_repairing() {
            return Ok(());
        }
        disk::remove_small(&self.records("trees").join(format!("{id}-{list}.jsonl"))).map(|_| ())
    }
}

impl Store {
    /// The plain records of all trees: during a repair those of the index that was lost.
    ///
    /// # Errors
    /// What the disk says. A record that is not readable is left out with a warning in the log: one broken file must
    /// not keep the others from being repaired.
    pub fn records(&self) -> Result<Vec<TreeRecord>, Error> {
        let folder = self.0.records("trees");
        let mut out = Vec::new();
        for id in recorded_trees(&folder)? {
            match read_tree(&self.0.dir, &folder, id) {
                Ok(Some(StoredTree { tree, list, files })) => {
                    out.push(TreeRecord { id, tree, files, list });
                }
                Ok(None) => {}
                Err(e) => tracing::warn!(error = %e, "a plain record is left out"),
            }
        }
        Ok(out)
    }

    /// The files of a plain record, read as they are asked for.
    ///
    /// # Errors
    /// What the disk says, at once or in the items.
    pub fn record_files(
        &self,
        record: &TreeRecord,
    ) -> Result<impl Iterator<Item = Result<TreeFile, Error>> + use<>, Error> {
        let path = self.0.records("trees").join(format!("{}-{}.jsonl", record.id, record.list));
        let file = fs::File::open(&path).map_err(|e| Error::io(&path, e))?;
        Ok(BufReader::new(file).lines().map(move |line| {
            line.and_then(|line| serde_json::from_str(&line).map_err(Into::into))
                .map_err(|e| Error::io(&path, e))
        }))
    }

    /// Keeps a card's bundle, byte for byte, durably.
    ///
    /// # Errors
    /// [`Error::Full`] above [`limits::STORE_RECORD_BYTES`], and what the disk says.
    pub fn save_card(&self, card: &Cid, bundle: &[u8]) -> Result<(), Error> {
        small(bundle)?;
        // What is there is durable, and the same card comes again with every read from its release.
        if self.card(card)?.is_some_and(|kept| kept == bundle) {
            return Ok(());
        }
        disk::write_small(&self.0.records("cards").join(format!("{card}.json")), bundle)
    }

    /// A card's bundle.
    ///
    /// # Errors
    /// What the disk says.
    pub fn card(&self, card: &Cid) -> Result<Option<Vec<u8>>, Error> {
        let path = self.0.records("cards").join(format!("{card}.json"));
        disk::read_small(&path, limits::STORE_RECORD_BYTES)
    }

    /// Keeps a card's companion as a plain file, durably: without it the card's release can't be built again.
    ///
    /// # Errors
    /// As [`Store::save_card`].
    pub fn save_companion(&self, card: &Cid, bundle: &[u8]) -> Result<(), Error> {
        small(bundle)?;
        disk::write_small(&self.0.records("cards").join(format!("{card}.model.sig")), bundle)
    }

    /// A card's companion.
    ///
    /// # Errors
    /// What the disk says.
    pub fn companion(&self, card: &Cid) -> Result<Option<Vec<u8>>, Error> {
        let path = self.0.records("cards").join(format!("{card}.model.sig"));
        disk::read_small(&path, limits::STORE_RECORD_BYTES)
    }

    /// Ids of all cards kept.
    ///
    /// # Errors
    /// What the disk says.
    pub fn cards(&self) -> Result<Vec<Cid>, Error> {
        let names = names(&self.0.records("cards"))?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
    }

    /// Changes the high-water mark of a repo, durably: `next` gets the one that is there. `false`, and nothing is written,
    /// if it gives the same again, or one that is lower, or as high with another card or less proof against it.
    ///
    /// # Errors
    /// What the disk says, or [`Error::Damaged`] if the mark there is not readable: it is never lowered unread.
    pub fn change_mark(
        &self,
        publisher: &str,
        name: &str,
        next: impl FnOnce(Option<&Mark>) -> Mark,
    ) -> Result<bool, Error> {
        let _one_at_a_time = self.0.tree_changes();
        let known = self.mark(publisher, name)?;
        let mark = next(known.as_ref());
        let falls = known.is_some_and(|known| {
            known == mark
                || known.seq > mark.seq
                || known.seq == mark.seq && (known.card != mark.card || !mark.keeps(&known))
        });
        if falls {
            return Ok(false);
        }
        let record = MarkRecord { publisher: publisher.to_owned(), name: name.to_owned(), mark };
        disk::write_small(&self.mark_path(publisher, name), &json(&record))?;
        Ok(true)
    }

    /// The high-water mark of a repo.
    ///
    /// # Errors
    /// What the disk says, or [`Error::Damaged`] if it is not readable.
    pub fn mark(&self, publisher: &str, name: &str) -> Result<Option<Mark>, Error> {
        Ok(self.read_mark(&self.mark_path(publisher, name))?.map(|(_, _, mark)| mark))
    }

    /// All marks: publisher, name, mark.
    ///
    /// # Errors
    /// As [`Store::mark`].
    pub fn marks(&self) -> Result<Vec<(String, String, Mark)>, Error> {
        let folder = self.0.records("marks");
        let mut out = Vec::new();
        for name in names(&folder)?.iter().filter(|name| name.ends_with(".json")) {
            out.extend(self.read_mark(&folder.join(name))?);
        }
        Ok(out)
    }

    fn mark_path(&self, publisher: &str, name: &str) -> PathBuf {
        let hash = sha256(format!("{publisher}\0{name}").as_bytes());
        let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.records("marks").join(format!("{hex}.json"))
    }

    fn read_mark(&self, path: &Path) -> Result<Option<(String, String, Mark)>, Error> {
        let Some(bytes) = disk::read_small(path, limits::STORE_RECORD_BYTES)? else {
            return Ok(None);
        };
        let why = |e: &dyn std::fmt::Display| Error::Damaged {
            dir: self.0.dir.clone(),
            why: format!("the record {} is not readable ({e})", path.display()),
        };
        let record: MarkRecord = serde_json::from_slice(&bytes).map_err(|e| why(&e))?;
        Ok(Some((record.publisher, record.name, record.mark)))
    }

    /// Keeps a document of `library`'s as a plain file, durably. `name`: lower-case letters, digits and `-`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another name, [`Error::Full`], and what the disk says.
    pub fn save_document(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        small(bytes)?;
        disk::write_small(&self.document_path(name)?, bytes)
    }

    /// A document kept by [`Store::save_document`].
    ///
    /// # Errors
    /// [`Error::Invalid`], and what the disk says.
    pub fn document(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        disk::read_small(&self.document_path(name)?, limits::STORE_RECORD_BYTES)
    }

    fn document_path(&self, name: &str) -> Result<PathBuf, Error> {
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Err(Error::Invalid {
                why: "a document's name has lower-case letters, digits and `-`",
            });
        }
        Ok(self.0.records("documents").join(name))
    }
}

pub(super) fn small(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > limits::STORE_RECORD_BYTES {
        return Err(Error::Full { what: "bytes in a record", max: limits::STORE_RECORD_BYTES });
    }
    Ok(())
}
