//! A file being fetched: what of it is here already, and what must be asked for.

use std::{collections::HashSet, ops::Range, path::Path, sync::Arc};

use crate::{
    dag::{
        Multihash,
        block::RAW,
        leaf,
        walk::{Leaf, Size},
    },
    library::{blocks, fetch::plan::Planned},
    limits,
    rpc::{Code, Failure},
    store::{self, Arriving, Owner, Store, Target, TreeId},
};

/// A file being written.
pub(super) struct OpenFile {
    arriving: Option<Arc<Arriving>>,
    /// How to begin it once its size is known.
    late: Option<(Store, TreeId, Target)>,
    /// What an earlier run left in it.
    earlier: Option<Arc<Earlier>>,
    /// Leaves that are not here.
    pub left: usize,
    /// Writes under way.
    pub writes: usize,
}

impl OpenFile {
    /// The file, begun if it waited for its only leaf to tell its size.
    pub(super) fn arriving(&mut self, leaf_len: usize) -> Result<Arc<Arriving>, Failure> {
        if let Some((store, tree, target)) = self.late.take() {
            let target = Target { size: leaf_len as u64, ..target };
            self.arriving = Some(Arc::new(store.begin_file(tree, target)?.0));
        }
        let begun = self.arriving.as_ref();
        Ok(Arc::clone(begun.expect("a file is begun when it is opened, or just above")))
    }

    /// The file, if it is begun.
    pub(super) fn begun(&self) -> Option<&Arc<Arriving>> {
        self.arriving.as_ref()
    }

    /// The file and what an earlier run left in it, if one did.
    pub(super) fn resumed(&self) -> Option<(Arc<Arriving>, Arc<Earlier>)> {
        self.arriving.clone().zip(self.earlier.clone())
    }

    /// The file alone, once nothing writes to it any more.
    pub(super) fn into_arriving(self) -> Result<Arriving, Failure> {
        self.arriving.and_then(Arc::into_inner).ok_or_else(|| {
            Failure::new(Code::Failure, "a fault of modelswarm: a finished file was still in use")
        })
    }
}

/// Why a file was not opened: apart, since one that is busy is waited for.
#[derive(Debug)]
pub(super) enum OpenError {
    Store(store::Error),
    Other(Failure),
}

impl From<store::Error> for OpenError {
    fn from(why: store::Error) -> Self {
        Self::Store(why)
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<OpenError> for Failure {
    fn from(why: OpenError) -> Self {
        match why {
            OpenError::Store(why) => why.into(),
            OpenError::Other(failure) => failure,
        }
    }
}

/// A file as it was opened.
pub(super) struct Opened {
    pub file: OpenFile,
    /// Leaves to ask for.
    pub missing: Vec<Leaf>,
    /// Bytes that are here.
    pub here: u64,
}

/// Begins a file or goes on with it: what the index lists is kept, what it missed is hashed, what other files of the
/// store hold is copied.
pub(super) fn open(
    store: &Store,
    tree: TreeId,
    base: &Path,
    owner: Owner,
    file: &Planned,
) -> Result<Opened, OpenError> {
    let target = |size| Target { base: base.to_owned(), path: file.on_disk.clone(), size, owner };
    let size = match (file.size, &file.leaves[..]) {
        (Size::Declared(size), _) => size,
        // The file is one raw block, and only the block tells how long it is.
        (Size::Hint(_), leaves) => {
            let here =
                leaves.first().map(|leaf| store.read(leaf.cid.hash())).transpose()?.flatten();
            match here {
                Some(block) => block.len() as u64,
                None if leaves.is_empty() => 0,
                None => {
                    let file = OpenFile {
                        arriving: None,
                        late: Some((store.clone(), tree, target(0))),
                        earlier: None,
                        left: leaves.len(),
                        writes: 0,
                    };
                    return Ok(Opened { file, missing: leaves.to_vec(), here: 0 });
                }
            }
        }
    };
    let (arriving, unlisted) = store.begin_file(tree, target(size))?;
    let listed = blocks::extents(store, arriving.id())?;
    let listed = listed.into_iter().map(|(key, place)| (place.offset, key)).collect();
    let earlier = Earlier { listed, unlisted };
    let (mut missing, mut here) = (Vec::new(), 0);
    for leaf in &file.leaves {
        let len = leaf_len(leaf, size);
        if earlier.holds(&arriving, leaf, len)? || copied(store, &arriving, leaf)? {
            here += len;
        } else {
            missing.push(leaf.clone());
        }
    }
    let file = OpenFile {
        arriving: Some(Arc::new(arriving)),
        late: None,
        earlier: (!earlier.is_empty()).then(|| Arc::new(earlier)),
        left: missing.len(),
        writes: 0,
    };
    Ok(Opened { file, missing, here })
}

fn leaf_len(leaf: &Leaf, file_size: u64) -> u64 {
    match leaf.size {
        Size::Declared(size) => size,
        Size::Hint(_) => file_size,
    }
}

/// What lay in a file when it was opened.
#[derive(Debug)]
pub(super) struct Earlier {
    /// Blocks in the index, by where they begin: a node taken for a leaf begins where its first part does.
    listed: HashSet<(u64, Multihash)>,
    /// Data that the index missed.
    unlisted: Vec<Range<u64>>,
}

impl Earlier {
    fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.unlisted.is_empty()
    }

    /// Whether the leaf's `len` bytes are there. Those that an earlier run wrote and was killed before they were listed
    /// are hashed, and listed now.
    pub(super) fn holds(
        &self,
        arriving: &Arriving,
        leaf: &Leaf,
        len: u64,
    ) -> Result<bool, Failure> {
        let key = *leaf.cid.hash();
        if self.listed.contains(&(leaf.offset, key)) {
            return Ok(true);
        }
        let end = leaf.offset + len;
        let written = self.unlisted.iter().any(|r| r.start <= leaf.offset && end <= r.end);
        if !written || len > limits::BLOCK_MAX as u64 {
            return Ok(false);
        }
        let bytes = arriving.read_at(leaf.offset, len as usize)?;
        let Some(leaf::Around { head, tail }) = leaf::around(&leaf.cid, &bytes) else {
            return Ok(false);
        };
        arriving.found(leaf.offset, &bytes, store::Leaf { key, head, tail })?;
        Ok(true)
    }
}

/// Whether another file of the store holds the leaf, and it was copied from there.
fn copied(store: &Store, arriving: &Arriving, leaf: &Leaf) -> Result<bool, Failure> {
    if leaf.cid.codec() != RAW || store.held(leaf.cid.hash())?.is_none() {
        return Ok(false);
    }
    Ok(arriving.copy(leaf.offset, store::Leaf::raw(*leaf.cid.hash()))?)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        dag::{
            Block, Walk,
            block::DAG_PB,
            pb,
            unixfs::{self, Part},
            walk::Found,
        },
        library::fetch::transfer::write::{Piece, write_all},
        store::{Options, Tree, TreeState},
    };

    /// Above what the index would keep itself.
    const LEAF: usize = 64 * 1024;

    fn data(n: u8) -> Vec<u8> {
        (0..LEAF).map(|at| (at / 256) as u8 ^ n).collect()
    }

    /// A leaf of profile unixfs-v0-2015.
    fn wrapped(kind: u8, data: &[u8]) -> Block {
        let size = [0x18, 0x80, 0x80, 0x04];
        let message = [&[0x08, kind, 0x12, 0x80, 0x80, 0x04], data, &size].concat();
        Block::new(DAG_PB, pb::encode(&[], &message))
    }

    fn node(blocks: &[&Block], sizes: &[usize]) -> Block {
        let part = |(block, size): (&&Block, &usize)| Part {
            cid: *block.cid(),
            size: *size as u64,
            tsize: block.data().len() as u64,
        };
        unixfs::encode_file(&blocks.iter().zip(sizes).map(part).collect::<Vec<_>>())
    }

    fn leaves(found: Vec<Found>) -> Vec<Leaf> {
        let leaf = |found| if let Found::Leaf(leaf) = found { Some(leaf) } else { None };
        found.into_iter().filter_map(leaf).collect()
    }

    /// As another peer's software made it: two wrapped leaves, and a node of two more, one of them raw.
    struct Foreign {
        leaves: [Block; 4],
        inner: Block,
        root: Block,
    }

    impl Foreign {
        fn new() -> Self {
            let raw = Block::new(RAW, data(4));
            let leaves = [wrapped(2, &data(1)), wrapped(0, &data(2)), wrapped(2, &data(3)), raw];
            let inner = node(&[&leaves[2], &leaves[3]], &[LEAF, LEAF]);
            let root = node(&[&leaves[0], &leaves[1], &inner], &[LEAF, LEAF, 2 * LEAF]);
            Self { leaves, inner, root }
        }

        fn planned(&self, walk: &mut Walk) -> Planned {
            assert_eq!(walk.next_wanted(), Some(*self.root.cid()));
            let size = 4 * LEAF as u64;
            Planned {
                path: "a.bin".into(),
                on_disk: "a.bin".into(),
                size: Size::Declared(size),
                cid: *self.root.cid(),
                leaves: leaves(walk.supply(&self.root).expect("a file")),
                file: None,
                replace: false,
            }
        }
    }

    fn piece(walk: &mut Walk, leaf: &Leaf, block: &Block, arriving: &Arc<Arriving>) -> Piece {
        let bytes = walk.fill(leaf, block).expect("a leaf").bytes;
        Piece { index: 0, arriving: Arc::clone(arriving), offset: leaf.offset, bytes }
    }

    #[test]
    fn wrapped_leaves_that_a_kill_kept_from_the_index_are_hashed_and_served_and_not_asked_for() {
        let dir = tempfile::tempdir().expect("temp folder");
        let options = || Options::new(dir.path().join("library"));
        let out = dir.path().join("out");
        let foreign = Foreign::new();
        let mut walk = Walk::new(*foreign.root.cid()).expect("supported");
        let planned = foreign.planned(&mut walk);
        let [first, second, inner] = &planned.leaves[..] else { panic!("{:?}", planned.leaves) };
        let parts = leaves(walk.fill(inner, &foreign.inner).expect("a node").found);
        let store = Store::open(&dir.path().join("store"), options()).expect("open");
        let tree = store.reserve().expect("reserve").id();
        let record = Tree {
            root: *foreign.root.cid(),
            release: None,
            card: None,
            repo: None,
            kind: crate::rpc::Kind::Model,
            version: None,
            seq: None,
            visibility: crate::config::Visibility::Lan,
            pinned: true,
            location: out.clone(),
            owner: Owner::User,
            state: TreeState::Arriving,
            created_at: SystemTime::UNIX_EPOCH,
            note: None,
        };
        store.save_tree(tree, &record, &[]).expect("save");
        let opened = open(&store, tree, &out, Owner::User, &planned).expect("opened");
        assert_eq!(opened.missing.len(), 3, "nothing is here");
        assert!(opened.file.resumed().is_none());
        let arriving = Arc::clone(opened.file.begun().expect("begun"));
        // The second one is in the index; the others are only on the disk when the process ends.
        let pieces = vec![piece(&mut walk, second, &foreign.leaves[1], &arriving)];
        write_all(&store, tree, &foreign.leaves[1], pieces).expect("written");
        arriving.commit().expect("committed");
        let others = [first, &parts[0], &parts[1]];
        for (leaf, block) in others.iter().zip([0, 2, 3].map(|n| &foreign.leaves[n])) {
            let pieces = vec![piece(&mut walk, leaf, block, &arriving)];
            write_all(&store, tree, block, pieces).expect("written");
        }
        drop((arriving, opened, store));

        let store = Store::open(&dir.path().join("store"), options()).expect("open");
        assert_eq!(store.held(foreign.leaves[0].cid().hash()).expect("held"), None);
        let opened = open(&store, tree, &out, Owner::User, &planned).expect("opened");
        assert_eq!(
            opened.missing,
            std::slice::from_ref(inner),
            "only what no file holds is asked for"
        );
        assert_eq!(opened.here, 2 * LEAF as u64);
        let (arriving, earlier) = opened.file.resumed().expect("an earlier run left something");
        for part in &parts {
            assert!(earlier.holds(&arriving, part, LEAF as u64).expect("looked"), "{part:?}");
        }
        for block in &foreign.leaves {
            let read = store.read(block.cid().hash()).expect("read");
            assert_eq!(read.as_ref(), Some(block.data()), "served with what is around it");
        }
    }

    #[test]
    fn a_wrapped_leaf_whose_bytes_are_not_right_on_the_disk_is_asked_for() {
        let dir = tempfile::tempdir().expect("temp folder");
        let options = Options::new(dir.path().join("library"));
        let out = dir.path().join("out");
        let foreign = Foreign::new();
        let mut walk = Walk::new(*foreign.root.cid()).expect("supported");
        let planned = foreign.planned(&mut walk);
        let store = Store::open(&dir.path().join("store"), options).expect("open");
        let reservation = store.reserve().expect("reserve");
        let opened = open(&store, reservation.id(), &out, Owner::User, &planned).expect("opened");
        drop(opened);
        let partial = std::fs::read_dir(&out).expect("list").next().expect("partial");
        let mut bytes = [data(1), data(2), data(3), data(4)].concat();
        bytes[LEAF - 1] ^= 1;
        std::fs::write(partial.expect("entry").path(), bytes).expect("write");
        let opened = open(&store, reservation.id(), &out, Owner::User, &planned).expect("opened");
        assert_eq!(opened.missing, [planned.leaves[0].clone(), planned.leaves[2].clone()]);
    }
}
