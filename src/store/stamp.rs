//! What lies beside the index and says what the index must hold.
//!
//! `store.json` (schema, store id, generation) tells a lost index from a new one; `flushed` holds the number of the
//! last batch that was flushed, so that an index that comes back older than that is noticed. Design section 4.
//!
//! `flushed` is written after each flush and never fsynced itself: after a kill the page cache has it; after a power
//! cut it may be older than the index, which weakens the check and raises no false alarm. It has two slots, written
//! in turn, so that a torn one costs nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Error, disk};
use crate::dag::block::sha256;

/// The one schema of index and records that this version reads and writes.
pub(super) const SCHEMA: u32 = 1;

const NAME: &str = "store.json";
const FLUSHED: &str = "flushed";
const SLOT: usize = 24;

/// Whether the index may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Condition {
    /// Complete.
    Ready,
    /// A repair began and has not ended.
    Repairing,
}

/// `store.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) schema: u32,
    /// 32 hex digits, made once.
    pub(super) store: String,
    /// Counts the rebuilds of the index, from 1.
    pub(super) generation: u64,
    pub(super) condition: Condition,
}

impl Identity {
    /// A new store's first identity.
    pub(super) fn new() -> Self {
        Self {
            schema: SCHEMA,
            store: format!("{:032x}", rand::random::<u128>()),
            generation: 1,
            condition: Condition::Ready,
        }
    }

    /// Reads `store.json`; `None` if there is none.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, Error> {
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let damaged = |why: String| Error::Damaged { dir: dir.to_path_buf(), why };
        let Some(bytes) = disk::read_small(&dir.join(NAME), 4096)? else { return Ok(None) };
        // The schema first: what else another version writes is its own matter.
        let schema: Schema = serde_json::from_slice(&bytes)
            .map_err(|e| damaged(format!("{NAME} is not readable ({e})")))?;
        if schema.schema != SCHEMA {
            return Err(Error::Schema {
                dir: dir.to_path_buf(),
                found: schema.schema,
                supported: SCHEMA,
            });
        }
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| damaged(format!("{NAME} is not readable ({e})")))
    }

    /// Writes `store.json`, durably.
    pub(super) fn write(&self, dir: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(self).expect("plain strings and numbers");
        text.push(b'\n');
        disk::write_small(&dir.join(NAME), &text)
    }
}

/// The file `flushed`.
#[derive(Debug)]
pub(super) struct Watermark {
    file: File,
    path: PathBuf,
    generation: u64,
    /// The highest number noted, so that a slow flush does not take a faster one's word back.
    noted: Mutex<u64>,
}

/// What the readable slots say: generation, and number of the batch.
fn slots(file: &File) -> Vec<(u64, u64)> {
    let read = |slot: u64| {
        let mut bytes = [0; SLOT];
        file.read_exact_at(&mut bytes, slot * SLOT as u64).ok()?;
        let (body, check) = bytes.split_at(16);
        let (head, tail) = body.split_at(8);
        let number = |part: &[u8]| u64::from_le_bytes(part.try_into().expect("8 bytes"));
        (sha256(body)[..8] == *check).then(|| (number(head), number(tail)))
    };
    (0..2).filter_map(read).collect()
}

/// The generation of the index that was flushed last, 0 if nothing tells.
pub(super) fn flushed_generation(dir: &Path) -> Result<u64, Error> {
    let path = dir.join(FLUSHED);
    match File::open(&path) {
        Ok(file) => Ok(slots(&file).into_iter().map(|(of, _)| of).max().unwrap_or(0)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(Error::io(&path, e)),
    }
}

impl Watermark {
    /// Opens it for an index of this generation; also gives the number of the last batch known to be flushed.
    pub(super) fn open(dir: &Path, generation: u64) -> Result<(Self, u64), Error> {
        let path = dir.join(FLUSHED);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Error::io(&path, e))?;
        let own = slots(&file).into_iter().filter(|(of, _)| *of == generation);
        let flushed = own.map(|(_, sequence)| sequence).max().unwrap_or(0);
        Ok((Self { file, path, generation, noted: Mutex::new(flushed) }, flushed))
    }

    /// Notes that the batch `sequence` and all before it are flushed.
    pub(super) fn note(&self, sequence: u64) -> Result<(), Error> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if sequence <= *noted {
            return Ok(());
        }
        let mut bytes = [0; SLOT];
        bytes[..8].copy_from_slice(&self.generation.to_le_bytes());
        bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
        let check = sha256(&bytes[..16]);
        bytes[16..].copy_from_slice(&check[..8]);
        self.file
            .write_all_at(&bytes, sequence % 2 * SLOT as u64)
            .map_err(|e| Error::io(&self.path, e))?;
        *noted = sequence;
        Ok(())
    }

    /// Writes it through to the disk: at a clean close.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))
    }
}
