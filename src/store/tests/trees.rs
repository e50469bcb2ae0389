//! Visibility, forgetting and gc, plain records, repair.

use std::ops::ControlFlow;

use super::*;
use crate::card::policy::Mark;

fn gc(store: &Store) -> Swept {
    store.gc(&mut |_| ControlFlow::Continue(())).expect("gc")
}

#[test]
fn a_block_carries_the_widest_visibility_of_the_trees_that_hold_it() {
    let home = Home::new();
    let data = bytes(1, CHUNK);
    let (one, two) = (home.write("one/a", &data), home.write("two/a", &data));
    let store = home.open();
    let private = Tree { visibility: Visibility::Private, ..tree(&home.path("one"), "one") };
    let first = import(&store, &[one], &private);
    let of = |store: &Store| store.held(&key(&data)).expect("held").map(|held| held.visibility);
    assert_eq!(of(&store), Some(Visibility::Private));
    let second = import(&store, &[two], &tree(&home.path("two"), "two"));
    assert_eq!(of(&store), Some(Visibility::Lan));
    store.set_visibility(first, Visibility::Public).expect("set");
    assert_eq!(of(&store), Some(Visibility::Public));
    drop(store);
    let store = home.open();
    assert_eq!(of(&store), Some(Visibility::Public), "durable");
    store.remove_tree(first).expect("remove");
    assert_eq!(of(&store), Some(Visibility::Lan));
    store.remove_tree(second).expect("remove");
    assert_eq!(of(&store), None);
    assert!(matches!(store.remove_tree(second), Err(Error::UnknownTree(id)) if id == second));
}

#[test]
fn gc_drops_what_no_pin_holds_and_no_file_of_the_users() {
    let home = Home::new();
    let (shared, alone) = (bytes(2, CHUNK), bytes(3, CHUNK));
    let both = [shared.clone(), alone.clone()].concat();
    let (one, two) = (home.write("one/a", &both), home.write("two/b", &shared));
    let store = home.open();
    let first = import(&store, std::slice::from_ref(&one), &tree(&home.path("one"), "one"));
    let second = import(&store, std::slice::from_ref(&two), &tree(&home.path("two"), "two"));
    assert_eq!(gc(&store), Swept::default(), "all is pinned");
    store.set_pinned(first, false).expect("unpin");
    let swept = gc(&store);
    assert_eq!((swept.trees, swept.blocks, swept.files), (1, 2, 0), "{swept:?}");
    assert_eq!(read(&store, &alone), None);
    assert_eq!(read(&store, &shared).as_deref(), Some(&shared[..]));
    assert!(one.exists() && two.exists(), "files of the user are not touched");
    assert!(store.read(&node_key(first)).expect("read").is_none());
    assert!(store.read(&node_key(second)).expect("read").is_some());
    let counters = store.counters().expect("counters");
    assert_eq!((counters.blocks, counters.files, counters.trees), (2, 1, 1));
    drop(store);
    assert_eq!(gc(&home.open()), Swept::default(), "nothing was left over");
}

#[test]
fn files_in_the_library_go_with_their_last_tree_and_others_never() {
    let home = Home::new();
    let (a, b) = (bytes(4, CHUNK), bytes(5, CHUNK));
    let ours = home.write("library/models/x/m@1/sub/a", &a);
    let kept = home.write("library/models/x/m@2/b", &b);
    let theirs = home.write("mine/c", &a);
    let store = home.open();
    let of_library = |name| Tree { owner: Owner::Library, ..tree(&home.path("library"), name) };
    let first = import(&store, &[ours.clone(), kept.clone()], &of_library("one"));
    let second = import(&store, std::slice::from_ref(&kept), &of_library("two"));
    // Claims to be the library's, and is not below its folder.
    let third = import(&store, std::slice::from_ref(&theirs), &of_library("three"));
    let swept = store.remove_tree(first).expect("remove");
    assert_eq!((swept.files, swept.file_bytes), (1, CHUNK as u64));
    assert!(!ours.exists() && !home.path("library/models/x/m@1").exists(), "and its empty folders");
    assert!(kept.exists(), "another tree lists it");
    store.remove_tree(third).expect("remove");
    assert!(theirs.exists());
    gc(&store);
    assert_eq!(read(&store, &b).as_deref(), Some(&b[..]));
    store.remove_tree(second).expect("remove");
    assert!(!kept.exists());
    assert!(home.path("library").exists());
}

#[test]
fn a_folder_of_the_library_that_became_a_symlink_is_not_deleted_through() {
    let home = Home::new();
    let data = bytes(6, CHUNK);
    let ours = home.write("library/m/a", &data);
    let store = home.open();
    let record = Tree { owner: Owner::Library, ..tree(&home.path("library/m"), "m") };
    let id = import(&store, std::slice::from_ref(&ours), &record);
    let theirs = home.write("theirs/a", &data);
    fs::remove_dir_all(home.path("library/m")).expect("remove");
    std::os::unix::fs::symlink(home.path("theirs"), home.path("library/m")).expect("symlink");
    assert_eq!(store.remove_tree(id).expect("remove").files, 0);
    assert!(theirs.exists());
}

#[test]
fn partials_go_with_their_tree_even_where_the_user_chose_the_folder() {
    let home = Home::new();
    let data = bytes(7, 2 * CHUNK);
    let store = home.open();
    let reservation = store.reserve().expect("reserve");
    let id = reservation.id();
    let out = home.path("out");
    let record = Tree { state: TreeState::Arriving, pinned: false, ..tree(&out, "m") };
    store.save_tree(id, &record, &[]).expect("save");
    drop(reservation);
    let target = Target {
        base: out.clone(),
        path: "a.bin".into(),
        size: data.len() as u64,
        owner: Owner::User,
    };
    let (file, _) = store.begin_file(id, target).expect("begin");
    file.write(0, &data[..CHUNK], Leaf::raw(key(&data[..CHUNK]))).expect("write");
    file.commit().expect("commit");
    let orphan = home.write("library/x/.a.bin.modelswarm-partial-0123abcd", b"left by a kill");
    let theirs = home.write("out/notes.txt", b"theirs");
    let swept = gc(&store);
    assert_eq!((swept.trees, swept.blocks), (0, 0), "what is being written is alive");
    drop(file);
    assert!(!orphan.exists());
    assert_eq!(read(&store, &data[..CHUNK]).as_deref(), Some(&data[..CHUNK]));
    store.remove_tree(id).expect("remove");
    assert!(theirs.exists());
    assert_eq!(fs::read_dir(&out).expect("list").count(), 1, "the partial is gone");
    assert_eq!(gc(&store).blocks, 1);
}

#[test]
fn gc_takes_what_arrived_in_part_for_nobody_who_keeps_it_and_spares_a_pinned_one() {
    let home = Home::new();
    let data = bytes(9, 2 * CHUNK);
    let store = home.open();
    for (folder, pinned) in [("library/read", false), ("library/kept", true)] {
        let reservation = store.reserve().expect("reserve");
        let (id, base) = (reservation.id(), home.path(folder));
        let owner = Owner::Library;
        let record = Tree { state: TreeState::Arriving, pinned, owner, ..tree(&base, folder) };
        let file = TreeFile {
            path: "a.bin".into(),
            size: data.len() as u64,
            cid: cid_v1(RAW, sha256(&data)),
            file: None,
        };
        store.save_tree(id, &record, &[file]).expect("save");
        let target = Target { base, path: "a.bin".into(), size: data.len() as u64, owner };
        let (file, _) = store.begin_file(id, target).expect("begin");
        let chunk = if pinned { &data[CHUNK..] } else { &data[..CHUNK] };
        file.write(0, chunk, Leaf::raw(key(chunk))).expect("write");
        file.commit().expect("commit");
    }
    let swept = gc(&store);
    assert_eq!((swept.trees, swept.blocks), (1, 1));
    assert_eq!(read(&store, &data[..CHUNK]), None);
    assert!(read(&store, &data[CHUNK..]).is_some());
    assert_eq!(fs::read_dir(home.path("library/read")).expect("list").count(), 0);
    assert_eq!(fs::read_dir(home.path("library/kept")).expect("list").count(), 1);
}

#[test]
fn gc_spares_what_is_being_imported_and_serves_meanwhile() {
    let home = Home::new();
    let data = bytes(8, 2 * CHUNK);
    let path = home.write("a", &data);
    let store = home.open();
    for n in 0..4 {
        let reservation = store.reserve().expect("reserve");
        let nodes: Vec<_> = (0..1000_u64)
            .map(|m| NewBlock::node(&Block::new(RAW, (n * 1000 + m).to_le_bytes().to_vec())))
            .collect();
        store.add_blocks(reservation.id(), &nodes).expect("garbage");
    }
    let kept = import(&store, std::slice::from_ref(&path), &tree(&home.path(""), "m"));
    let reservation = store.reserve().expect("reserve");
    let node = Block::new(RAW, b"in the making".to_vec());
    store.add_blocks(reservation.id(), &[NewBlock::node(&node)]).expect("add");
    let (mut steps, mut late) = (0, None);
    let swept = store
        .gc(&mut |_| {
            steps += 1;
            assert!(read(&store, &data[..CHUNK]).is_some(), "served during the sweep");
            // A tree that begins in the middle of the sweep is spared as well.
            late.get_or_insert_with(|| {
                let late = store.reserve().expect("reserve");
                let node = NewBlock::node(&Block::new(RAW, b"late".to_vec()));
                store.add_blocks(late.id(), &[node]).expect("add");
                late
            });
            ControlFlow::Continue(())
        })
        .expect("gc");
    assert_eq!(swept.blocks, 4000);
    assert!(steps > 4000 / limits::STORE_GC_STEP, "in bounded steps: {steps}");
    store.save_tree(reservation.id(), &tree(&home.path(""), "new"), &[]).expect("save");
    let late = late.expect("reserved");
    store.save_tree(late.id(), &tree(&home.path(""), "late"), &[]).expect("save");
    assert!(store.read(node.cid().hash()).expect("read").is_some());
    assert!(read(&store, b"late").is_some());
    assert!(store.tree(kept).is_some());
}

#[test]
fn gc_ends_when_it_is_told_to() {
    let home = Home::new();
    let store = home.open();
    let nodes: Vec<_> =
        (0..2000_u64).map(|m| NewBlock::node(&Block::new(RAW, m.to_le_bytes().to_vec()))).collect();
    store.add_blocks(store.reserve().expect("reserve").id(), &nodes).expect("garbage");
    let swept = store
        .gc(&mut |s| if s.blocks > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        .expect("gc");
    assert_eq!(swept.blocks, limits::STORE_GC_STEP as u64);
    assert_eq!(gc(&store).blocks, 2000 - swept.blocks);
}

#[test]
fn a_list_of_files_is_replaced_as_a_whole() {
    let home = Home::new();
    let store = home.open();
    let reservation = store.reserve().expect("reserve");
    let id = reservation.id();
    let list = |n: u64| -> Vec<TreeFile> {
        (0..n)
            .map(|m| TreeFile {
                path: format!("f{n}-{m}"),
                size: m,
                cid: Cid::new_v1(RAW, key(&m.to_le_bytes())),
                file: None,
            })
            .collect()
    };
    for n in [2500, 3, 700] {
        store.save_tree(id, &tree(&home.path(""), "m"), &list(n)).expect("save");
        let listed: Vec<_> =
            store.tree_files(id).expect("list").map(|f| f.expect("file")).collect();
        assert_eq!(listed, list(n));
    }
    let records = home.store_dir().join("records/trees");
    assert_eq!(fs::read_dir(records).expect("list").count(), 2, "one record and one list");
    let stored = store.0.index.scan(&[keys::LISTED], None, usize::MAX).expect("scan").len();
    assert_eq!(stored, 700);
}

#[test]
fn marks_only_rise_and_cards_and_documents_come_back_byte_for_byte() {
    let home = Home::new();
    let store = home.open();
    let card = |n: u8| cid_v1(RAW, [n; 32]);
    let mark = |seq, n| Mark { seq, card: card(n), twins: Vec::new(), forks: Vec::new() };
    let save = |publisher, mark| store.change_mark(publisher, "m", |_| mark);
    assert!(save("did:key:a", mark(2, 1)).expect("save"));
    assert!(!save("did:key:a", mark(2, 1)).expect("the same again"));
    let twin = mark(2, 1).with_twin(card(9));
    assert!(save("did:key:a", twin).expect("proof against it"));
    assert!(!save("did:key:a", mark(2, 1)).expect("without it"));
    assert!(!save("did:key:a", mark(2, 2)).expect("another card, same number"));
    assert!(!save("did:key:a", mark(1, 3)).expect("lower"));
    assert!(save("did:key:a", mark(3, 4)).expect("higher"));
    assert!(save("did:key:b", mark(1, 5)).expect("another publisher"));
    store.save_card(&card(1), b"{ \"bundle\": 1 }").expect("save");
    store.save_document("trust", b"who").expect("save");
    for name in ["", "../up", "UP", "a/b"] {
        assert!(matches!(store.save_document(name, b""), Err(Error::Invalid { .. })), "{name}");
    }
    drop(store);
    let store = home.open();
    assert_eq!(store.mark("did:key:a", "m").expect("mark"), Some(mark(3, 4)));
    assert_eq!(store.mark("did:key:a", "n").expect("mark"), None);
    assert_eq!(store.marks().expect("marks").len(), 2);
    assert_eq!(store.card(&card(1)).expect("card").as_deref(), Some(&b"{ \"bundle\": 1 }"[..]));
    assert_eq!(store.cards().expect("cards"), [card(1)]);
    assert_eq!(store.card(&card(2)).expect("card"), None);
    assert_eq!(store.document("trust").expect("document").as_deref(), Some(&b"who"[..]));
    assert_eq!(store.document("other").expect("document"), None);
}

#[test]
fn a_plain_record_that_a_kill_kept_from_being_written_is_written_at_the_next_open() {
    let home = Home::new();
    let path = home.write("a", &bytes(9, CHUNK));
    let store = home.open();
    let id = import(&store, &[path], &tree(&home.path(""), "m"));
    let record = home.store_dir().join(format!("records/trees/{id}.json"));
    let written = fs::read(&record).expect("read");
    drop(store);
    fs::remove_file(&record).expect("remove");
    drop(home.open());
    assert_eq!(fs::read(&record).expect("read"), written);
    fs::write(&record, b"torn").expect("write");
    drop(home.open());
    assert_eq!(fs::read(&record).expect("read"), written);
}

#[test]
fn a_tree_that_was_removed_leaves_nothing_to_repair() {
    let home = Home::new();
    let path = home.write("a", &bytes(10, CHUNK));
    let store = home.open();
    let id = import(&store, &[path], &tree(&home.path(""), "m"));
    store.remove_tree(id).expect("remove");
    assert!(store.records().expect("records").is_empty());
    assert_eq!(fs::read_dir(home.store_dir().join("records/trees")).expect("list").count(), 0);
}
