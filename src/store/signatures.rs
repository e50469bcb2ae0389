//! What others signed over the files of a root: kept as plain files beside the cards, each with the key that it is to be
//! checked with. What they say, and whether it holds, is `card::oms`'s.

use super::records::{names, small};
use super::{Error, Store, disk};
use crate::dag::Cid;
use crate::limits;

/// A signature and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The signature, byte for byte as it came.
    pub bundle: Vec<u8>,
    /// The public key in PEM.
    pub key: Vec<u8>,
}

impl Store {
    /// Keeps a signature over a root's files, durably; one by the same key is replaced. `fingerprint`: of the key, hex.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another fingerprint, [`Error::Full`] beyond [`limits::STORE_SIGNATURES_OF_ROOT`] of one
    /// root or [`limits::STORE_SIGNATURES_MAX`] in all, and what the disk says.
    pub fn save_signature(
        &self,
        root: &Cid,
        fingerprint: &str,
        signature: &Foreign,
    ) -> Result<(), Error> {
        if fingerprint.len() != 64 || !fingerprint.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::Invalid { why: "a key's fingerprint is 64 hex digits" });
        }
        small(&signature.bundle)?;
        small(&signature.key)?;
        let _one_at_a_time = self.0.tree_changes();
        let folder = self.0.records("signatures");
        let name = format!("{root}-{fingerprint}");
        let kept: Vec<String> =
            names(&folder)?.into_iter().filter(|name| name.ends_with(".sig")).collect();
        if !kept.contains(&format!("{name}.sig")) {
            let of_root = kept.iter().filter(|name| is_of(name, root)).count();
            for (count, max) in [
                (of_root, limits::STORE_SIGNATURES_OF_ROOT),
                (kept.len(), limits::STORE_SIGNATURES_MAX),
            ] {
                if count >= max {
                    return Err(Error::Full { what: "signatures of others", max });
                }
            }
        }
        // The key first: a signature without one can't be checked.
        disk::write_small(&folder.join(format!("{name}.pem")), &signature.key)?;
        disk::write_small(&folder.join(format!("{name}.sig")), &signature.bundle)
    }

    /// The signatures that are kept over a root's files; over those of all roots without one.
    ///
    /// # Errors
    /// What the disk says.
    pub fn signatures(&self, root: Option<&Cid>) -> Result<Vec<Foreign>, Error> {
        let folder = self.0.records("signatures");
        let mut found = Vec::new();
        for name in names(&folder)? {
            let Some(stem) = name.strip_suffix(".sig") else { continue };
            if root.is_some_and(|root| !is_of(&name, root)) {
                continue;
            }
            let bundle = disk::read_small(&folder.join(&name), limits::STORE_RECORD_BYTES)?;
            let key = folder.join(format!("{stem}.pem"));
            let key = disk::read_small(&key, limits::PUBLIC_KEY_PEM_MAX)?;
            found.extend(bundle.zip(key).map(|(bundle, key)| Foreign { bundle, key }));
        }
        Ok(found)
    }

    /// Forgets the signatures over a root's files.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_signatures(&self, root: &Cid) -> Result<(), Error> {
        let _one_at_a_time = self.0.tree_changes();
        let folder = self.0.records("signatures");
        for name in names(&folder)?.iter().filter(|name| is_of(name, root)) {
            disk::remove_small(&folder.join(name))?;
        }
        Ok(())
    }
}

fn is_of(name: &str, root: &Cid) -> bool {
    name.strip_prefix(&root.to_string()).is_some_and(|rest| rest.starts_with('-'))
}
