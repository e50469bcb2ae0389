//! Cards that say what no honest publisher's program would: signed all the same, with the home's own key.

use std::fs;

use ed25519_dalek::{SigningKey, pkcs8::DecodePrivateKey as _};
use modelswarm::{
    card::{Statement, Unverified, envelope},
    dag::{Block, Cid, Entry, block::RAW, build, unixfs},
    store::{NewBlock, Options, Store, Tree},
};
use serde_json::Value;

use super::{Home, text};

/// Puts a changed card in the place of a seeded version's; gives the new release. No daemon may run on the home.
pub(crate) fn card(home: &Home, seeded: &Value, change: impl FnOnce(&mut Statement)) -> String {
    let id: Cid = text(seeded, "card").parse().expect("a card id");
    let options = Options::new(home.path().join("library"));
    let store = Store::open(&home.path().join("store"), options).expect("the store");
    let bundle = store.card(&id).expect("read").expect("kept");
    let card = Unverified::from_bundle(bundle).and_then(Unverified::verify).expect("our own");
    let mut statement = card.statement().clone();
    change(&mut statement);
    let pem = fs::read_to_string(home.path().join("keys/publisher.key")).expect("the key");
    let key = SigningKey::from_pkcs8_pem(&pem).expect("PKCS #8");
    let forged = envelope::sign(statement, &key, None).expect("a card");
    let trees = store.trees();
    let (tree_id, tree) =
        trees.into_iter().find(|(_, tree)| tree.card == Some(id)).expect("it was seeded");
    let bundle = Block::new(RAW, forged.bundle().clone());
    let root = store.read(tree.root.hash()).expect("read").expect("held");
    let tsize = tsize_of(&root);
    let entries = vec![
        Entry {
            name: "card.sigstore.json".into(),
            cid: *bundle.cid(),
            tsize: bundle.data().len() as u64,
        },
        Entry { name: "model".into(), cid: tree.root, tsize },
    ];
    let mut nodes = vec![bundle];
    let release = build::directory(entries, &mut |node| nodes.push(node)).expect("a release").cid;
    let new: Vec<NewBlock> = nodes.iter().map(NewBlock::node).collect();
    store.add_blocks(tree_id, &new).expect("added");
    store.save_card(forged.id(), forged.bundle()).expect("kept");
    let files: Result<Vec<_>, _> = store.tree_files(tree_id).expect("files").collect();
    let tree = Tree { release: Some(release), card: Some(*forged.id()), ..tree };
    store.save_tree(tree_id, &tree, &files.expect("files")).expect("saved");
    store.close().expect("closed");
    release.to_string()
}

/// Bytes of a directory's node and all below it.
fn tsize_of(root: &[u8]) -> u64 {
    let block = Block::new(modelswarm::dag::block::DAG_PB, root.to_vec());
    match unixfs::decode(&block).expect("our own root") {
        unixfs::Node::Directory(entries) => {
            root.len() as u64 + entries.iter().map(|entry| entry.tsize).sum::<u64>()
        }
        other => panic!("{other:?}"),
    }
}
