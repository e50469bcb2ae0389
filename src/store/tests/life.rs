//! Opening, locking, restarting.

use super::*;

#[test]
fn a_second_opener_is_told_who_holds_the_store() {
    let home = Home::new();
    let store = home.open();
    let error = home.try_open().expect_err("held");
    let text = error.to_string();
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    assert!(text.contains("modelswarm"), "names the test binary's command line: {text}");
    let clone = store.clone();
    drop(store);
    assert!(matches!(home.try_open(), Err(Error::Held { .. })), "a clone still holds it");
    drop(clone);
    home.open();
}

#[test]
fn all_that_was_saved_is_there_after_a_restart() {
    let home = Home::new();
    let data = bytes(1, 3 * CHUNK + 5);
    let path = home.write("model/a.bin", &data);
    let store = home.open();
    let id = import(&store, std::slice::from_ref(&path), &tree(&home.path("model"), "m"));
    let before = (store.counters().expect("counters"), store.tree(id));
    store.close().expect("close");

    let store = home.open();
    let after = (store.counters().expect("counters"), store.tree(id));
    assert_eq!(Counters { index_bytes: 0, ..after.0 }, Counters { index_bytes: 0, ..before.0 });
    assert_eq!(after.0.blocks, 5);
    assert_eq!(after.0.files, 1);
    assert_eq!(after.1, before.1);
    assert_eq!(after.1, Some(tree(&home.path("model"), "m")));
    for chunk in data.chunks(CHUNK) {
        assert_eq!(read(&store, chunk).as_deref(), Some(chunk));
        let held = store.held(&key(chunk)).expect("held").expect("listed");
        assert_eq!((held.len, held.visibility), (chunk.len() as u64, Visibility::Lan));
    }
    assert!(store.read(&node_key(id)).expect("read").is_some());
    let files: Vec<_> = store.tree_files(id).expect("list").map(|f| f.expect("file")).collect();
    assert_eq!(files.len(), 1);
    assert_eq!((files[0].path.as_str(), files[0].size), ("a.bin", data.len() as u64));
}

#[test]
fn what_is_not_held_is_none_and_no_error() {
    let home = Home::new();
    let store = home.open();
    assert_eq!(store.held(&key(b"nothing")).expect("held"), None);
    assert_eq!(read(&store, b"nothing"), None);
    assert_eq!(store.tree(TreeId(7)), None);
    assert!(store.trees().is_empty());
}

#[test]
fn a_store_of_another_schema_is_refused_and_left_as_it_is() {
    let home = Home::new();
    home.open().close().expect("close");
    let path = home.store_dir().join("store.json");
    let other = r#"{"schema":9,"shape":"of the future"}"#;
    fs::write(&path, other).expect("write");
    let error = home.try_open().expect_err("another schema");
    assert!(matches!(error, Error::Schema { found: 9, .. }), "{error}");
    assert!(error.to_string().contains('9'));
    assert_eq!(fs::read_to_string(&path).expect("read"), other);
}

#[test]
fn work_that_was_never_flushed_leaves_no_tree_behind_a_kill_and_what_was_flushed_stays() {
    let home = Home::new();
    let data = bytes(2, 2 * CHUNK);
    let path = home.write("a.bin", &data);
    let store = home.open();
    let id = import(&store, std::slice::from_ref(&path), &tree(&home.path(""), "m"));
    // A second import that is cut off between its blocks and its tree.
    let reservation = store.reserve().expect("reserve");
    let cut_off = reservation.id();
    let node = Block::new(RAW, bytes(3, 500));
    store.add_blocks(cut_off, &[NewBlock::node(&node)]).expect("add");
    // What a kill leaves: the files as they are now, the process' memory gone.
    let after = Home::new();
    copy_folder(&home.store_dir(), &after.store_dir());
    drop(reservation);

    let killed = after.open();
    assert!(killed.tree(id).is_some());
    assert_eq!(read(&killed, &data[..CHUNK]).as_deref(), Some(&data[..CHUNK]));
    assert_eq!(killed.tree(cut_off), None);
    assert_eq!(killed.held(node.cid().hash()).expect("held"), None, "no tree holds it");
    killed.gc(&mut |_| std::ops::ControlFlow::Continue(())).expect("gc");
    assert_eq!(killed.read(node.cid().hash()).expect("read"), None);
    assert_eq!(read(&killed, &data[..CHUNK]).as_deref(), Some(&data[..CHUNK]));
}

#[test]
fn with_everything_inline_the_files_may_go() {
    let home = Home::new();
    let data = bytes(4, 1 << 20);
    let path = home.write("a.bin", &data);
    let options = Options { inline_max: 2 << 20, ..home.options() };
    let store = Store::open(&home.store_dir(), options.clone()).expect("open");
    let reservation = store.reserve().expect("reserve");
    let block = NewBlock {
        key: key(&data),
        len: data.len() as u32,
        place: None,
        data: Some(Bytes::from(data.clone())),
    };
    store.add_blocks(reservation.id(), &[block]).expect("add");
    store.save_tree(reservation.id(), &tree(&home.path(""), "m"), &[]).expect("save");
    drop(reservation);
    fs::remove_file(path).expect("remove");
    assert_eq!(read(&store, &data).as_deref(), Some(&data[..]));
    drop(store);
    let store = Store::open(&home.store_dir(), options).expect("open");
    assert_eq!(read(&store, &data).as_deref(), Some(&data[..]));
}

#[test]
fn thousands_of_blocks_in_one_call_go_in_as_bounded_batches() {
    let home = Home::new();
    let store = home.open();
    let reservation = store.reserve().expect("reserve");
    let blocks: Vec<_> =
        (0..3000_u64).map(|n| NewBlock::node(&Block::new(RAW, n.to_le_bytes().to_vec()))).collect();
    let before = store.0.index.stamp().sequence;
    store.add_blocks(reservation.id(), &blocks).expect("add");
    assert_eq!(store.0.index.stamp().sequence - before, 3);
    let large: Vec<_> =
        (0..6).map(|n| NewBlock::node(&Block::new(RAW, bytes(n, 2 << 20)))).collect();
    let before = store.0.index.stamp().sequence;
    store.add_blocks(reservation.id(), &large).expect("add");
    assert_eq!(store.0.index.stamp().sequence - before, 3, "two of 2 MiB reach the bound");
    assert_eq!(store.counters().expect("counters").blocks, 3006);
}

#[test]
fn a_block_that_contradicts_itself_is_refused() {
    let home = Home::new();
    let store = home.open();
    let id = store.reserve().expect("reserve").id();
    let good = NewBlock::node(&Block::new(RAW, b"abc".to_vec()));
    for bad in [
        NewBlock { len: 4, ..good.clone() },
        NewBlock { data: None, ..good.clone() },
        NewBlock { place: Some(Place::raw(FileId(1), 0, 5)), data: None, ..good.clone() },
        NewBlock {
            len: 3 << 20,
            data: None,
            place: Some(Place::raw(FileId(1), 0, 3 << 20)),
            ..good
        },
    ] {
        assert!(matches!(store.add_blocks(id, &[bad]), Err(Error::Invalid { .. })));
    }
}

#[test]
fn jobs_provider_records_peers_and_names_are_kept_bounded_and_end_with_their_time() {
    let home = Home::new();
    let store = home.open();
    store.save_job(4, b"{\"get\":1}").expect("save");
    store.save_job(4, b"{\"get\":2}").expect("save");
    let at = |secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
    let entry = |key: &[u8], value: Option<&[u8]>, secs| SoftEntry {
        key: key.to_vec(),
        value: value.map(<[u8]>::to_vec),
        expires: at(secs),
    };
    let many: Vec<_> = (0..5000_u32).map(|n| entry(&n.to_be_bytes(), Some(b"addr"), 100)).collect();
    store.save_peers(&many).expect("save");
    store
        .save_provider_records(&[entry(b"a", Some(b"1"), 10), entry(b"b", Some(b"2"), 20)])
        .expect("save");
    let too_long = [entry(b"c", Some(&[0; 5000]), 20)];
    assert!(matches!(store.save_provider_records(&too_long), Err(Error::Full { .. })));
    let largest = vec![7; limits::STORE_NAME_BYTES];
    let names = [entry(b"a", Some(&largest), 10), entry(b"b", Some(&largest), 20)];
    store.save_names(&names).expect("save");
    let too_long = [entry(b"c", Some(&[&largest[..], &[7]].concat()), 20)];
    assert!(matches!(store.save_names(&too_long), Err(Error::Full { .. })));
    drop(store);

    let store = home.open();
    assert_eq!(store.jobs().expect("jobs"), [(4, b"{\"get\":2}".to_vec())]);
    store.remove_job(4).expect("remove");
    assert!(store.jobs().expect("jobs").is_empty());
    assert_eq!(store.load_peers(at(50)).expect("peers").len(), limits::STORE_PEERS_MAX);
    assert_eq!(store.load_names(at(10)).expect("names"), names[1..]);
    let left = store.load_provider_records(at(10)).expect("records");
    assert_eq!(left, [entry(b"b", Some(b"2"), 20)]);
    store.save_provider_records(&[entry(b"b", None, 0)]).expect("delete");
    assert!(store.load_provider_records(at(0)).expect("records").is_empty());
}
