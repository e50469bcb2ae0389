//! What is said about roots by others: one plain file a root, `records/claims/ROOT.jsonl`, opaque here.
//!
//! Not in the index, since none of it can be made again, and since it outlives the trees that it is about.

use std::fs;
use std::path::PathBuf;

use super::{Error, Store, disk};
use crate::dag::Cid;
use crate::limits;

impl Store {
    /// Keeps what is said about a root, durably, in the place of what was kept before; nothing is kept of nothing.
    ///
    /// # Errors
    /// [`Error::Full`] above [`limits::STORE_RECORD_BYTES`], or with more than [`limits::CLAIMS_ROOTS_MAX`] roots; what
    /// the disk says.
    pub fn save_claims(&self, root: &Cid, lines: &[u8]) -> Result<(), Error> {
        let path = self.claims_path(root);
        if lines.is_empty() {
            return disk::remove_small(&path).map(|_| ());
        }
        if lines.len() > limits::STORE_RECORD_BYTES {
            return Err(Error::Full { what: "bytes in a record", max: limits::STORE_RECORD_BYTES });
        }
        if !path.exists() && self.claimed_roots()? >= limits::CLAIMS_ROOTS_MAX {
            return Err(Error::Full { what: "roots with claims", max: limits::CLAIMS_ROOTS_MAX });
        }
        disk::write_small(&path, lines)
    }

    /// What is kept about a root.
    ///
    /// # Errors
    /// What the disk says.
    pub fn claims(&self, root: &Cid) -> Result<Option<Vec<u8>>, Error> {
        disk::read_small(&self.claims_path(root), limits::STORE_RECORD_BYTES)
    }

    fn claimed_roots(&self) -> Result<usize, Error> {
        let folder = self.0.records("claims");
        Ok(fs::read_dir(&folder).map_err(|why| Error::io(&folder, why))?.count())
    }

    /// `Qm…` and its `bafy…` are one root.
    fn claims_path(&self, root: &Cid) -> PathBuf {
        let root = Cid::new_v1(root.codec(), *root.hash());
        self.0.records("claims").join(format!("{root}.jsonl"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;
    use crate::dag::block::{DAG_PB, cid_v1};

    #[test]
    fn what_is_said_about_a_root_outlives_the_store_s_closing_until_nothing_is() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let options = || Options::new(dir.path().join("library"));
        let root = cid_v1(DAG_PB, [7; 32]);
        let v0 = Cid::new_v0(*root.hash()).expect("sha2-256");
        let store = Store::open(&dir.path().join("store"), options()).expect("opened");
        assert_eq!(store.claims(&root).expect("read"), None);
        store.save_claims(&v0, b"{}\n").expect("saved");
        store.close().expect("closed");
        let store = Store::open(&dir.path().join("store"), options()).expect("opened again");
        assert_eq!(store.claims(&root).expect("read").as_deref(), Some(&b"{}\n"[..]));
        store.save_claims(&root, b"").expect("removed");
        assert_eq!(store.claims(&v0).expect("read"), None);
        let huge = vec![b'x'; limits::STORE_RECORD_BYTES + 1];
        assert!(matches!(store.save_claims(&root, &huge), Err(Error::Full { .. })));
    }
}
