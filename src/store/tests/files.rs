//! Whether files still tell the truth.

use std::os::unix::fs::FileExt as _;

use super::*;

/// Overwrites one byte and puts the modification time back.
fn edit_in_secret(path: &Path, at: u64, byte: u8) {
    let file = File::options().write(true).read(true).open(path).expect("open");
    let times = file.metadata().expect("stat");
    file.write_all_at(&[byte], at).expect("write");
    let times = fs::FileTimes::new()
        .set_modified(times.modified().expect("mtime"))
        .set_accessed(times.accessed().expect("atime"));
    file.set_times(times).expect("set times");
}

#[test]
fn an_edit_of_the_same_size_with_its_time_put_back_is_caught_and_its_undo_heals() {
    let home = Home::new();
    let data = bytes(1, 2 * CHUNK);
    let path = home.write("a.bin", &data);
    let store = home.open();
    let id = import(&store, std::slice::from_ref(&path), &tree(&home.path(""), "m"));
    let file = store.file_at(&path).expect("file").expect("known").0;
    assert_eq!(store.look(file).expect("look"), Look::Same);
    let before = fs::metadata(&path).expect("stat").modified().expect("mtime");

    edit_in_secret(&path, 7, data[7] ^ 1);
    assert_eq!(fs::metadata(&path).expect("stat").modified().expect("mtime"), before);
    assert_eq!(store.look(file).expect("look"), Look::Differs);
    assert_eq!(read(&store, &data[..CHUNK]), None, "changed");
    assert_eq!(read(&store, &data[CHUNK..]).as_deref(), Some(&data[CHUNK..]), "unchanged part");
    assert!(store.held(&key(&data[..CHUNK])).expect("held").is_some(), "stays listed");
    assert_eq!(store.recheck(file).expect("recheck"), Recheck::Changed { blocks: 1, first: 0 });
    assert_eq!(store.suspects(), [(file, Suspect::Bad)]);

    edit_in_secret(&path, 7, data[7]);
    assert_eq!(read(&store, &data[..CHUNK]).as_deref(), Some(&data[..CHUNK]), "healed");
    assert_eq!(store.recheck(file).expect("recheck"), Recheck::Same);
    assert!(store.suspects().is_empty());
    assert!(store.tree(id).is_some());
}

#[test]
fn a_record_taken_right_after_a_change_is_not_believed() {
    let home = Home::new();
    let data = bytes(2, CHUNK);
    let path = home.write("a.bin", &data);
    let store = home.open();
    import_aged(&store, std::slice::from_ref(&path), &tree(&home.path(""), "m"), false);
    let (id, record) = store.file_at(&path).expect("file").expect("known");
    assert!(!record.is_settled());
    assert_eq!(store.look(id).expect("look"), Look::Unsettled);
    assert_eq!(read(&store, &data).as_deref(), Some(&data[..]), "hashed at each read");

    // A change so close to the hashing that every time stamp is equal: the record is made to say so.
    edit_in_secret(&path, 0, data[0] ^ 1);
    let mut racy = record;
    racy.stat = FileStat::of(&File::open(&path).expect("open")).expect("stat");
    let file_key = keys::numbered(keys::FILE, id.0);
    store.0.index.write(|b| b.put(&file_key, codec::encode(&racy))).expect("write");
    assert_eq!(read(&store, &data), None, "an equal fstat proves nothing yet");
    assert!(matches!(store.recheck(id).expect("recheck"), Recheck::Changed { .. }));
}

#[test]
fn a_file_that_was_only_touched_is_hashed_once_and_its_record_renewed() {
    let home = Home::new();
    let data = bytes(3, 3 * CHUNK);
    let path = home.write("a.bin", &data);
    let store = home.open();
    import(&store, std::slice::from_ref(&path), &tree(&home.path(""), "m"));
    let id = store.file_at(&path).expect("file").expect("known").0;
    File::options()
        .write(true)
        .open(&path)
        .expect("open")
        .set_modified(SystemTime::now())
        .expect("touch");
    assert_eq!(store.look(id).expect("look"), Look::Differs);
    assert_eq!(read(&store, &data[..CHUNK]).as_deref(), Some(&data[..CHUNK]));
    assert_eq!(store.suspects(), [(id, Suspect::Differs)]);
    assert_eq!(store.recheck(id).expect("recheck"), Recheck::Same);
    // Touched just now: equal, but young.
    assert_eq!(store.look(id).expect("look"), Look::Unsettled);
    let record = store.file(id).expect("file").expect("known");
    assert_eq!(record.stat, FileStat::of(&File::open(&path).expect("open")).expect("stat"));
}

#[test]
fn with_one_copy_deleted_truncated_or_replaced_the_other_answers() {
    let home = Home::new();
    let data = bytes(4, 2 * CHUNK);
    let (one, two) = (home.write("one/a.bin", &data), home.write("two/a.bin", &data));
    let store = home.open();
    import(&store, std::slice::from_ref(&one), &tree(&home.path("one"), "one"));
    import(&store, std::slice::from_ref(&two), &tree(&home.path("two"), "two"));
    assert_eq!(store.counters().expect("counters").blocks, 2 + 2, "listed once, and two nodes");
    let id = store.file_at(&one).expect("file").expect("known").0;

    fs::remove_file(&one).expect("remove");
    assert_eq!(read(&store, &data[..CHUNK]).as_deref(), Some(&data[..CHUNK]));
    assert_eq!(store.look(id).expect("look"), Look::Missing);
    assert_eq!(store.suspects(), [(id, Suspect::Missing)]);
    assert_eq!(store.recheck(id).expect("recheck"), Recheck::Missing);

    fs::write(&one, &data[..CHUNK / 2]).expect("a short one");
    assert_eq!(read(&store, &data[CHUNK..]).as_deref(), Some(&data[CHUNK..]));
    fs::remove_file(&one).expect("remove");
    fs::create_dir(&one).expect("a folder");
    assert_eq!(read(&store, &data[CHUNK..]).as_deref(), Some(&data[CHUNK..]));

    fs::remove_file(&two).expect("remove");
    assert_eq!(read(&store, &data[..CHUNK]), None);
    // Brought back under another inode: hashed, right, answered.
    fs::write(&two, &data).expect("write");
    assert_eq!(read(&store, &data[..CHUNK]).as_deref(), Some(&data[..CHUNK]));
}

#[test]
fn small_blocks_are_answered_from_the_index_when_their_file_is_gone() {
    let home = Home::new();
    let data = bytes(5, 1000);
    let path = home.write("config.json", &data);
    let store = home.open();
    import(&store, std::slice::from_ref(&path), &tree(&home.path(""), "m"));
    fs::write(&path, b"other").expect("write");
    assert_eq!(read(&store, &data).as_deref(), Some(&data[..]));
    let id = store.file_at(&path).expect("file").expect("known").0;
    assert_eq!(store.look(id).expect("look"), Look::Differs, "the owner is told all the same");
}

#[test]
fn a_fifo_in_the_place_of_a_file_does_not_block_a_read() {
    let home = Home::new();
    let data = bytes(6, CHUNK);
    let path = home.write("a.bin", &data);
    let store = home.open();
    import(&store, std::slice::from_ref(&path), &tree(&home.path(""), "m"));
    fs::remove_file(&path).expect("remove");
    let kind = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).expect("fifo");
    assert_eq!(read(&store, &data), None);
}

#[test]
fn a_settled_file_is_recorded_once_for_two_trees_and_a_changed_one_anew() {
    let home = Home::new();
    let data = bytes(7, CHUNK);
    let path = home.write("a.bin", &data);
    let store = home.open();
    let record = tree(&home.path(""), "m");
    import(&store, std::slice::from_ref(&path), &record);
    let first = store.file_at(&path).expect("file").expect("known").0;
    import(&store, std::slice::from_ref(&path), &record);
    assert_eq!(store.file_at(&path).expect("file").expect("known").0, first);

    let changed = bytes(8, CHUNK);
    fs::write(&path, &changed).expect("write");
    import(&store, std::slice::from_ref(&path), &record);
    assert_ne!(store.file_at(&path).expect("file").expect("known").0, first);
    assert_eq!(read(&store, &changed).as_deref(), Some(&changed[..]));
    assert_eq!(read(&store, &data), None, "the old version can no longer be served");
}

#[test]
fn a_chunk_that_recurs_in_a_file_is_one_block_with_all_its_places() {
    let home = Home::new();
    let chunk = bytes(9, CHUNK);
    let path = home.write("a.bin", &[chunk.clone(), chunk.clone(), chunk.clone()].concat());
    let store = home.open();
    import(&store, std::slice::from_ref(&path), &tree(&home.path(""), "m"));
    let id = store.file_at(&path).expect("file").expect("known").0;
    let offsets: Vec<_> = store
        .file_blocks(id, 0, 100)
        .expect("blocks")
        .iter()
        .map(|(k, place)| (*k == key(&chunk), place.offset))
        .collect();
    let c = CHUNK as u64;
    assert_eq!(offsets, [(true, 0), (true, c), (true, 2 * c)]);
    assert_eq!(store.file_blocks(id, c, 1).expect("blocks")[0].1.offset, c, "from an offset on");
    assert_eq!(store.counters().expect("counters").blocks, 2);
}

#[test]
fn a_leaf_with_bytes_around_the_files_is_put_together_again() {
    let home = Home::new();
    let data = bytes(10, CHUNK);
    let path = home.write("a.bin", &data);
    let whole = [&b"\x0a\x80\xa0\x01\x08\x02"[..], &data, b"\x18\x80\xa0\x01"].concat();
    let store = home.open();
    let reservation = store.reserve().expect("reserve");
    let stat = FileStat::of(&File::open(&path).expect("open")).expect("stat");
    let hashed_at = SystemTime::now() + Duration::from_secs(60);
    let new = NewFile { path, owner: Owner::User, stat, hashed_at };
    let file = store.add_files(reservation.id(), &[new]).expect("add")[0];
    let place = Place {
        head: Bytes::copy_from_slice(&whole[..6]),
        tail: Bytes::copy_from_slice(&whole[6 + CHUNK..]),
        ..Place::raw(file, 0, CHUNK as u32)
    };
    let block =
        NewBlock { key: key(&whole), len: whole.len() as u32, place: Some(place), data: None };
    store.add_blocks(reservation.id(), &[block]).expect("add");
    assert_eq!(read(&store, &whole).as_deref(), Some(&whole[..]));
    assert_eq!(store.recheck(file).expect("recheck"), Recheck::Same);
}

#[test]
fn a_file_of_the_library_that_got_another_name_is_read_there_and_a_changed_one_is_not_taken_for_it()
{
    let home = Home::new();
    let (data, other) = (bytes(7, 2 * CHUNK), bytes(8, CHUNK));
    let [old, changed] = [("library/old.bin", &data), ("library/changed.bin", &other)]
        .map(|(name, data)| home.write(name, data));
    let store = home.open();
    let own = Tree { owner: Owner::Library, ..tree(&home.library(), "m") };
    let id = import(&store, &[old.clone(), changed.clone()], &own);
    let [file, changed_file] =
        [&old, &changed].map(|path| store.file_at(path).expect("file").expect("known").0);

    let new = home.path("library/new.bin");
    fs::hard_link(&old, &new).expect("link");
    assert_eq!(read(&store, &data[..CHUNK]).as_deref(), Some(&data[..CHUNK]), "by the old name");
    store.renamed(&[(file, new.clone())]).expect("follows");
    fs::remove_file(&old).expect("remove");
    store.renamed(&[(file, new.clone())]).expect("once more");
    assert_eq!(store.look(file).expect("look"), Look::Unsettled, "as it was hashed, and young");
    assert_eq!(read(&store, &data[CHUNK..]).as_deref(), Some(&data[CHUNK..]));
    assert!(store.file_at(&old).expect("file").is_none());
    assert_eq!(store.file_at(&new).expect("file").expect("known").0, file);

    fs::write(&changed, bytes(9, CHUNK)).expect("write");
    let refused = store.renamed(&[(changed_file, changed)]);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    store.remove_tree(id).expect("removed");
    assert!(!new.exists(), "the library's own goes with its tree, by its new name");
}

#[test]
fn a_file_of_the_user_s_is_nobody_s_to_rename() {
    let home = Home::new();
    let data = bytes(10, CHUNK);
    let path = home.write("a.bin", &data);
    let store = home.open();
    import(&store, std::slice::from_ref(&path), &tree(&home.path(""), "m"));
    let id = store.file_at(&path).expect("file").expect("known").0;
    let refused = store.renamed(&[(id, path)]);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
}
