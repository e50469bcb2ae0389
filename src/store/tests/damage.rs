//! A lost or damaged index: all is there, or a clear error that names `repair`; and `repair` brings it back.

use super::*;

/// A home with two trees and a few hundred blocks; what must be found in it.
pub(super) fn filled(home: &Home) -> Vec<Vec<u8>> {
    let store = home.open();
    let mut all = Vec::new();
    for n in 0..2_u64 {
        let data = bytes(n, 50 * CHUNK);
        let path = home.write(&format!("m{n}/a.bin"), &data);
        let small = home.write(&format!("m{n}/config.json"), &bytes(100 + n, 3000));
        import(&store, &[path, small], &tree(&home.path(&format!("m{n}")), &format!("m{n}")));
        all.extend(data.chunks(CHUNK).map(<[u8]>::to_vec));
        all.push(bytes(100 + n, 3000));
    }
    all
}

/// Opens a copy of a store after `harm`. What is not refused must be complete.
pub(super) fn all_or_an_error(
    home: &Home,
    all: &[Vec<u8>],
    what: &str,
    harm: impl FnOnce(&Path),
) -> bool {
    let copy = Home::new();
    copy_folder(&home.store_dir(), &copy.store_dir());
    harm(&copy.store_dir());
    match copy.try_open() {
        Ok(store) => {
            for data in all {
                assert_eq!(read(&store, data).as_deref(), Some(&data[..]), "{what}");
            }
            assert_eq!(store.trees().len(), 2, "{what}");
            true
        }
        Err(e) => {
            assert!(e.is_damage(), "{what}: {e}");
            assert!(e.to_string().contains("modelswarm repair"), "{what}: {e}");
            false
        }
    }
}

pub(super) fn sled_files(dir: &Path) -> Vec<PathBuf> {
    let listing = fs::read_dir(dir.join("index")).expect("list");
    let mut files: Vec<_> =
        listing.map(|entry| entry.expect("entry").path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[test]
fn cut_or_flipped_anywhere_all_is_there_or_the_error_names_repair() {
    let home = Home::new();
    let all = filled(&home);
    let (mut fine, mut refused) = (0, 0);
    for file in sled_files(&home.store_dir()) {
        let name = file.file_name().expect("name").to_owned();
        let len = fs::metadata(&file).expect("stat").len();
        for n in 0..36 {
            // Flips: spread over the file, denser near its start; cuts: at the same places.
            let at = if n % 3 == 0 { n * 7 } else { len * n / 36 }.min(len.saturating_sub(1));
            for cut in [false, true] {
                let what =
                    format!("{} {} at {at}", name.display(), if cut { "cut" } else { "flip" });
                let intact = all_or_an_error(&home, &all, &what, |dir| {
                    let path = dir.join("index").join(&name);
                    if cut {
                        File::options()
                            .write(true)
                            .open(path)
                            .and_then(|f| f.set_len(at))
                            .expect("cut");
                    } else {
                        let mut bytes = fs::read(&path).expect("read");
                        if let Some(byte) = bytes.get_mut(at as usize) {
                            *byte ^= 0x41;
                        }
                        fs::write(path, bytes).expect("write");
                    }
                });
                if intact { fine += 1 } else { refused += 1 }
            }
        }
    }
    println!("{fine} opened whole, {refused} refused");
    assert!(refused > 20, "the harm reaches what matters: {fine} fine, {refused} refused");
}

#[test]
fn a_missing_piece_is_an_error_and_never_an_empty_store() {
    let home = Home::new();
    let all = filled(&home);
    let gone = |name: &'static str| {
        move |dir: &Path| {
            let path = dir.join(name);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
                .expect("remove");
        }
    };
    assert!(!all_or_an_error(&home, &all, "no index", gone("index")));
    assert!(!all_or_an_error(&home, &all, "no sled file", gone("index/db")));
    assert!(!all_or_an_error(&home, &all, "neither index nor store.json", |dir| {
        gone("index")(dir);
        gone("store.json")(dir);
    }));
    assert!(all_or_an_error(&home, &all, "no store.json", gone("store.json")));
    assert!(all_or_an_error(&home, &all, "no watermark", gone("flushed")));
    assert!(all_or_an_error(&home, &all, "torn watermark", |dir| {
        fs::write(dir.join("flushed"), [7; 30]).expect("write");
    }));
    assert!(!all_or_an_error(&home, &all, "torn store.json", |dir| {
        fs::write(dir.join("store.json"), "{\"schema\":1,").expect("write");
    }));
    assert!(!all_or_an_error(&home, &all, "another store's index", |dir| {
        let other = Home::new();
        filled(&other);
        fs::remove_dir_all(dir.join("index")).expect("remove");
        copy_folder(&other.store_dir().join("index"), &dir.join("index"));
    }));
    assert!(all_or_an_error(&home, &all, "a half-written snapshot", |dir| {
        fs::write(dir.join("index/snap.0000000000000001.generating"), b"half").expect("write");
    }));
}

#[test]
fn an_index_from_before_the_last_flush_is_noticed() {
    let home = Home::new();
    let path = home.write("a.bin", &bytes(1, CHUNK));
    let store = home.open();
    import(&store, std::slice::from_ref(&path), &tree(&home.path(""), "m"));
    drop(store);
    let old = Home::new();
    copy_folder(&home.store_dir().join("index"), &old.path("index"));
    home.open().save_job(1, b"{}").expect("save");
    fs::remove_dir_all(home.store_dir().join("index")).expect("remove");
    copy_folder(&old.path("index"), &home.store_dir().join("index"));
    let error = home.try_open().expect_err("older than what was flushed");
    assert!(error.is_damage() && error.to_string().contains("batch"), "{error}");
}

#[test]
fn entries_lost_or_changed_inside_a_readable_tree_are_noticed() {
    let home = Home::new();
    let all = filled(&home);
    let harm = |change: fn(&sled::Db)| {
        move |dir: &Path| {
            let db = sled::Config::new()
                .path(dir.join("index"))
                .flush_every_ms(None)
                .open()
                .expect("sled");
            change(&db);
            db.flush().expect("flush");
        }
    };
    assert!(all_or_an_error(&home, &all, "nothing changed", harm(|_| ())));
    assert!(!all_or_an_error(
        &home,
        &all,
        "one entry gone",
        harm(move |db| {
            let key = db.scan_prefix(b"b").keys().nth(30).expect("key").expect("ok");
            db.remove(key).expect("remove");
        })
    ));
    assert!(!all_or_an_error(
        &home,
        &all,
        "one entry changed",
        harm(|db| {
            let (key, value) = db.scan_prefix(b"e").nth(3).expect("entry").expect("ok");
            let mut value = value.to_vec();
            value[5] ^= 1;
            db.insert(key, value).expect("insert");
        })
    ));
    assert!(!all_or_an_error(
        &home,
        &all,
        "one entry more",
        harm(|db| {
            db.insert(b"zzz", b"x").expect("insert");
        })
    ));
    assert!(!all_or_an_error(&home, &all, "all gone", harm(|db| db.clear().expect("clear"))));
}

#[test]
fn a_repair_begins_from_the_plain_records_and_can_be_cut_off() {
    let home = Home::new();
    let all = filled(&home);
    fs::write(home.store_dir().join("index/db"), b"nothing").expect("damage");
    assert!(home.try_open().expect_err("damaged").is_damage());

    for cut_off in [true, false] {
        let store = Store::open_for_repair(&home.store_dir(), home.options()).expect("repair");
        assert_eq!(store.counters().expect("counters").blocks, 0);
        let records = store.records().expect("records");
        assert_eq!(records.len(), 2, "also after a repair that was cut off");
        for record in &records {
            let files: Vec<_> =
                store.record_files(record).expect("files").map(|f| f.expect("file")).collect();
            assert_eq!((files.len(), record.files), (2, 2));
            let paths: Vec<_> = files.iter().map(|f| record.tree.location.join(&f.path)).collect();
            import(&store, &paths, &record.tree);
            if cut_off {
                break;
            }
        }
        if cut_off {
            drop(store);
            let error = home.try_open().expect_err("a repair did not end");
            assert!(error.is_damage(), "{error}");
        } else {
            store.finish_repair().expect("finish");
        }
    }
    let store = home.open();
    for data in &all {
        assert_eq!(read(&store, data).as_deref(), Some(&data[..]));
    }
    assert_eq!(store.trees().len(), 2);
    assert_eq!(store.records().expect("records").len(), 2);
    assert!(home.store_dir().join("index.damaged-1").exists(), "the old one is kept aside");
}

fn no_stop(_: &Swept) -> std::ops::ControlFlow<()> {
    std::ops::ControlFlow::Continue(())
}

#[test]
fn an_index_moved_aside_stays_until_a_gc_of_the_repaired_store() {
    let home = Home::new();
    filled(&home);
    let theirs = home.write("store/index.damaged-notes/a", b"not ours");
    let aside = home.store_dir().join("index.damaged-1");
    let store = Store::open_for_repair(&home.store_dir(), home.options()).expect("repair");
    let found = store.aside().expect("aside");
    assert_eq!(found.indexes, 1);
    assert!(found.bytes > 0);
    assert_eq!(store.gc(&mut no_stop).expect("gc").aside, Aside::default());
    assert!(aside.exists(), "the repair has not ended");
    store.finish_repair().expect("finish");
    drop(store);
    let store = home.open();
    assert_eq!(store.gc(&mut no_stop).expect("gc").aside, found);
    assert!(!aside.exists());
    assert_eq!(store.aside().expect("aside"), Aside::default());
    assert!(theirs.exists());
}

#[test]
fn with_the_old_index_deleted_and_store_json_broken_no_generation_comes_twice() {
    let home = Home::new();
    filled(&home);
    for _ in 0..2 {
        let store = Store::open_for_repair(&home.store_dir(), home.options()).expect("repair");
        store.finish_repair().expect("finish");
    }
    let store = home.open();
    let before = store.0.index.stamp().generation;
    store.gc(&mut no_stop).expect("gc");
    drop(store);
    fs::write(home.store_dir().join("store.json"), "{").expect("write");
    let store = Store::open_for_repair(&home.store_dir(), home.options()).expect("repair");
    assert_eq!((before, store.0.index.stamp().generation), (3, 4));
}

#[test]
fn a_repair_helps_a_store_of_another_schema() {
    let home = Home::new();
    filled(&home);
    fs::write(home.store_dir().join("store.json"), r#"{"schema":7}"#).expect("write");
    let store = Store::open_for_repair(&home.store_dir(), home.options()).expect("repair");
    assert_eq!(store.records().expect("records").len(), 2);
    store.finish_repair().expect("finish");
    drop(store);
    home.open();
}
