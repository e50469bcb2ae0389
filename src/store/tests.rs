//! The store with real sled on a real disk. Split by subject; this file holds what they share.

mod arriving;
mod damage;
mod files;
mod life;
mod trees;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::*;
use crate::dag::block::{RAW, cid_v1, sha256};
use crate::dag::{Block, Cid};

/// A home in a temp folder.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("temp folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn store_dir(&self) -> PathBuf {
        self.path("store")
    }

    fn library(&self) -> PathBuf {
        self.path("library")
    }

    fn options(&self) -> Options {
        Options { cache: 1 << 20, ..Options::new(self.library()) }
    }

    fn open(&self) -> Store {
        self.try_open().expect("the store opens")
    }

    fn try_open(&self) -> Result<Store, Error> {
        Store::open(&self.store_dir(), self.options())
    }

    /// Writes a file and the folders to it.
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("in the temp folder")).expect("folder");
        fs::write(&path, bytes).expect("write");
        path
    }
}

/// Bytes that differ everywhere, from a seed.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 32);
    let mut n = 0_u64;
    while out.len() < len {
        out.extend(sha256(&[seed.to_le_bytes(), n.to_le_bytes()].concat()));
        n += 1;
    }
    out.truncate(len);
    out
}

fn key(bytes: &[u8]) -> Multihash {
    *Block::new(RAW, bytes.to_vec()).cid().hash()
}

fn tree(location: &Path, name: &str) -> Tree {
    Tree {
        root: cid_v1(RAW, sha256(name.as_bytes())),
        release: Some(cid_v1(RAW, sha256(b"release"))),
        card: None,
        repo: Some(Repo { publisher: "did:key:z6MkTest".into(), name: name.into() }),
        kind: crate::card::statement::Kind::Model,
        version: Some("1".into()),
        seq: Some(1),
        visibility: Visibility::Lan,
        pinned: true,
        location: location.to_path_buf(),
        owner: Owner::User,
        state: TreeState::Whole,
        created_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        note: None,
    }
}

/// Chunks of a file in these tests: small, and above what is inlined by default.
const CHUNK: usize = 20 * 1024;

/// As `library` seeds in place. Test files are seconds old: `settled` says that they were hashed an hour from now, as if
/// they had been old when they were hashed.
fn import_aged(store: &Store, paths: &[PathBuf], tree_record: &Tree, settled: bool) -> TreeId {
    let reservation = store.reserve().expect("reserve");
    let id = reservation.id();
    let mut list = Vec::new();
    for path in paths {
        let contents = fs::read(path).expect("read");
        let stat = FileStat::of(&File::open(path).expect("open")).expect("stat");
        let ahead = if settled { Duration::from_secs(3600) } else { Duration::ZERO };
        let new = NewFile {
            path: path.clone(),
            owner: tree_record.owner,
            stat,
            hashed_at: SystemTime::now() + ahead,
        };
        let file = store.add_files(id, &[new]).expect("add file")[0];
        let blocks: Vec<NewBlock> = contents
            .chunks(CHUNK)
            .enumerate()
            .map(|(n, chunk)| NewBlock {
                key: key(chunk),
                len: chunk.len() as u32,
                place: Some(Place::raw(file, (n * CHUNK) as u64, chunk.len() as u32)),
                data: (chunk.len() <= store.inline_max()).then(|| Bytes::copy_from_slice(chunk)),
            })
            .collect();
        store.add_blocks(id, &blocks).expect("add blocks");
        list.push(TreeFile {
            path: path.file_name().expect("name").to_str().expect("text").into(),
            size: contents.len() as u64,
            cid: Cid::new_v1(RAW, key(&contents)),
            file: Some(file),
        });
    }
    let node = Block::new(0x70, format!("node of {}", id.get()).into_bytes());
    store.add_blocks(id, &[NewBlock::node(&node)]).expect("add node");
    store.save_tree(id, tree_record, &list).expect("save tree");
    id
}

/// A settled import: as of files that were old when they were seeded.
fn import(store: &Store, paths: &[PathBuf], record: &Tree) -> TreeId {
    import_aged(store, paths, record, true)
}

fn node_key(id: TreeId) -> Multihash {
    *Block::new(0x70, format!("node of {}", id.get()).into_bytes()).cid().hash()
}

fn read(store: &Store, contents: &[u8]) -> Option<Bytes> {
    store.read(&key(contents)).expect("read")
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("list") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy");
        }
    }
}
