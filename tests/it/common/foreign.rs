//! What other software makes and this program does not: a store is filled with it by hand, through the library, and
//! served by the real daemon.

use std::{path::PathBuf, time::SystemTime};

use modelswarm::{
    config::Visibility,
    dag::{
        Block, Cid,
        block::DAG_PB,
        pb,
        unixfs::{self, Part},
    },
    rpc::Kind,
    store::{NewBlock, Options, Owner, Store, Tree, TreeState},
};

use super::{Daemon, Home};

/// A node that serves these blocks, as a tree of this root.
pub(crate) fn serve(home: &Home, root: Cid, blocks: &[Block]) -> Daemon {
    home.ask(&["init"]);
    let options = Options::new(home.path().join("library"));
    let store = Store::open(&home.path().join("store"), options).expect("the store");
    let reservation = store.reserve().expect("reserved");
    let new: Vec<NewBlock> = blocks.iter().map(NewBlock::node).collect();
    store.add_blocks(reservation.id(), &new).expect("added");
    let tree = Tree {
        root,
        release: None,
        card: None,
        repo: None,
        kind: Kind::Model,
        version: None,
        seq: None,
        visibility: Visibility::Lan,
        pinned: true,
        location: PathBuf::from("/nowhere"),
        owner: Owner::User,
        state: TreeState::Whole,
        created_at: SystemTime::now(),
        note: None,
    };
    store.save_tree(reservation.id(), &tree, &[]).expect("saved");
    drop(reservation);
    store.close().expect("closed");
    home.daemon(&[])
}

/// Bytes of a leaf of profile `unixfs-v0-2015`.
pub(crate) const V0_LEAF: usize = 256 * 1024;

/// Links of a node of profile `unixfs-v0-2015`.
pub(crate) const V0_LINKS: usize = 174;

/// A file as that profile builds it: every leaf wrapped in a node. The blocks, the root last.
pub(crate) fn v0_file(data: &[u8]) -> Vec<Block> {
    let mut blocks: Vec<Block> = data.chunks(V0_LEAF).map(v0_leaf).collect();
    let mut level: Vec<Part> = blocks
        .iter()
        .zip(data.chunks(V0_LEAF))
        .map(|(leaf, data)| part(leaf, data.len()))
        .collect();
    while level.len() > 1 {
        let nodes = level.chunks(V0_LINKS).map(|parts| {
            let node = unixfs::encode_file(parts);
            let below = parts.iter().map(|part| part.size as usize).sum();
            blocks.push(node.clone());
            part(&node, below)
        });
        level = nodes.collect();
    }
    blocks
}

fn part(block: &Block, size: usize) -> Part {
    Part { cid: *block.cid(), size: size as u64, tsize: block.data().len() as u64 }
}

/// Field 1, type `File`; field 2, the bytes; field 3, how many.
fn v0_leaf(data: &[u8]) -> Block {
    let mut len = Vec::new();
    let mut rest = data.len();
    while rest >= 0x80 {
        len.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    len.push(rest as u8);
    let message = [&[0x08, 2, 0x12], &len[..], data, &[0x18], &len[..]].concat();
    Block::new(DAG_PB, pb::encode(&[], &message))
}
