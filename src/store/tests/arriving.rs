//! Files that arrive, kills in between, and paths that must not be followed.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use super::*;

fn target(home: &Home, path: &str, size: usize) -> Target {
    Target { base: home.path("out"), path: path.into(), size: size as u64, owner: Owner::User }
}

fn arriving_tree(store: &Store, home: &Home) -> TreeId {
    let reservation = store.reserve().expect("reserve");
    let record = Tree { state: TreeState::Arriving, ..tree(&home.path("out"), "m") };
    store.save_tree(reservation.id(), &record, &[]).expect("save");
    reservation.id()
}

fn write(file: &Arriving, data: &[u8], chunks: impl IntoIterator<Item = usize>) {
    for n in chunks {
        let chunk = data.chunks(CHUNK).nth(n).expect("chunk");
        file.write((n * CHUNK) as u64, chunk, Leaf::raw(key(chunk))).expect("write");
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("list")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_served_while_it_arrives_and_is_one_plain_file_when_whole() {
    let home = Home::new();
    let store = home.open();
    let id = arriving_tree(&store, &home);
    let data = bytes(1, 4 * CHUNK + 3);
    let (file, unlisted) =
        store.begin_file(id, target(&home, "sub/a.bin", data.len())).expect("begin");
    assert!(unlisted.is_empty());
    write(&file, &data, [2]);
    let chunk = &data[2 * CHUNK..3 * CHUNK];
    assert_eq!(read(&store, chunk).as_deref(), Some(chunk), "served before it is committed");
    assert_eq!(store.held(&key(chunk)).expect("held").expect("listed").len, CHUNK as u64);
    assert_eq!(read(&store, &data[..CHUNK]), None);
    file.commit().expect("commit");
    assert!(store.0.pending().is_empty(), "the index has it now");
    assert_eq!(read(&store, chunk).as_deref(), Some(chunk));
    assert!(!home.path("out/sub/a.bin").exists());
    write(&file, &data, [0, 1, 3, 4]);
    let file_id = file.id();
    let path = file.finish(false).expect("finish");
    assert_eq!(path, home.path("out/sub/a.bin"));
    assert_eq!(fs::read(&path).expect("read"), data);
    assert_eq!(names(&home.path("out/sub")), ["a.bin"], "nothing else of ours");
    let record = store.file(file_id).expect("file").expect("known");
    assert_eq!(record.state, FileState::Whole);
    assert_eq!(record.stat, FileStat::of(&File::open(&path).expect("open")).expect("stat"));
    for chunk in data.chunks(CHUNK) {
        assert_eq!(read(&store, chunk).as_deref(), Some(chunk));
    }
    assert_eq!(store.recheck(file_id).expect("recheck"), Recheck::Same);
}

#[test]
fn an_incomplete_file_is_not_given_its_name() {
    let home = Home::new();
    let store = home.open();
    let id = arriving_tree(&store, &home);
    let data = bytes(2, 3 * CHUNK);
    let (file, _) = store.begin_file(id, target(&home, "a.bin", data.len())).expect("begin");
    write(&file, &data, [0, 2]);
    assert!(matches!(file.finish(false), Err(Error::Invalid { .. })));
    assert!(!home.path("out/a.bin").exists());
}

#[test]
fn a_file_that_is_there_is_replaced_only_when_asked() {
    let home = Home::new();
    let store = home.open();
    let id = arriving_tree(&store, &home);
    let theirs = home.write("out/a.bin", b"theirs");
    let data = bytes(3, CHUNK);
    let (file, _) = store.begin_file(id, target(&home, "a.bin", data.len())).expect("begin");
    write(&file, &data, [0]);
    assert!(matches!(file.finish(false), Err(Error::Exists { .. })));
    assert_eq!(fs::read(&theirs).expect("read"), b"theirs");
    let (file, unlisted) =
        store.begin_file(id, target(&home, "a.bin", data.len())).expect("resume");
    assert!(unlisted.is_empty(), "it was committed");
    file.finish(true).expect("finish");
    assert_eq!(fs::read(&theirs).expect("read"), data);
}

#[test]
fn a_second_writer_of_the_same_file_is_refused() {
    let home = Home::new();
    let store = home.open();
    let id = arriving_tree(&store, &home);
    let (file, _) = store.begin_file(id, target(&home, "a.bin", 10)).expect("begin");
    assert!(matches!(store.begin_file(id, target(&home, "a.bin", 10)), Err(Error::Busy { .. })));
    let outside = file.write(9, b"ab", Leaf::raw(key(b"ab")));
    assert!(matches!(outside, Err(Error::Invalid { .. })));
}

#[test]
fn what_was_written_and_not_committed_is_offered_for_hashing_after_a_kill() {
    let home = Home::new();
    let data = bytes(4, 8 * CHUNK);
    let id = {
        let store = home.open();
        let id = arriving_tree(&store, &home);
        let (file, _) = store.begin_file(id, target(&home, "a.bin", data.len())).expect("begin");
        write(&file, &data, [0, 1]);
        file.commit().expect("commit");
        write(&file, &data, [5]);
        id
        // Dropped without a commit: as after a kill, chunk 5 is on the disk and not in the index.
    };
    let store = home.open();
    let (file, unlisted) =
        store.begin_file(id, target(&home, "a.bin", data.len())).expect("resume");
    assert_eq!(unlisted.len(), 1, "{unlisted:?}");
    let (start, end) = (unlisted[0].start as usize, unlisted[0].end as usize);
    assert!(start <= 5 * CHUNK && 6 * CHUNK <= end, "covers chunk 5: {unlisted:?}");
    assert!(2 * CHUNK <= start, "and nothing that is listed: {unlisted:?}");
    assert!(end - start < 3 * CHUNK, "and no hole: {unlisted:?}");
    let found = file.read_at(5 * CHUNK as u64, CHUNK).expect("read");
    assert_eq!(found, data[5 * CHUNK..6 * CHUNK]);
    file.found(5 * CHUNK as u64, &found, Leaf::raw(key(&found))).expect("found");
    assert_eq!(read(&store, &found), Some(found));
    let listed: Vec<_> =
        store.file_blocks(file.id(), 0, 9).expect("blocks").iter().map(|b| b.1.offset).collect();
    assert_eq!(listed, [0, CHUNK as u64]);
    write(&file, &data, [2, 3, 4, 6, 7]);
    file.finish(false).expect("finish");
    assert_eq!(fs::read(home.path("out/a.bin")).expect("read"), data);
}

#[test]
fn a_partial_of_an_earlier_run_is_served_only_after_hashing() {
    let home = Home::new();
    let data = bytes(5, 2 * CHUNK);
    {
        let store = home.open();
        let id = arriving_tree(&store, &home);
        let (file, _) = store.begin_file(id, target(&home, "a.bin", data.len())).expect("begin");
        write(&file, &data, [0, 1]);
        file.commit().expect("commit");
    }
    let partial = home.path("out").join(&names(&home.path("out"))[0]);
    let mut changed = data.clone();
    changed[0] ^= 1;
    fs::write(partial, changed).expect("write");
    let store = home.open();
    assert_eq!(read(&store, &data[..CHUNK]), None);
    assert_eq!(read(&store, &data[CHUNK..]).as_deref(), Some(&data[CHUNK..]));
}

#[test]
fn a_partial_that_the_user_deleted_begins_anew() {
    let home = Home::new();
    let data = bytes(6, 2 * CHUNK);
    let store = home.open();
    let id = arriving_tree(&store, &home);
    let (file, _) = store.begin_file(id, target(&home, "a.bin", data.len())).expect("begin");
    write(&file, &data, [0]);
    file.commit().expect("commit");
    drop(file);
    fs::remove_file(home.path("out").join(&names(&home.path("out"))[0])).expect("remove");
    let (file, unlisted) = store.begin_file(id, target(&home, "a.bin", data.len())).expect("begin");
    assert!(unlisted.is_empty());
    assert!(store.file_blocks(file.id(), 0, 9).expect("blocks").is_empty());
    assert_eq!(read(&store, &data[..CHUNK]), None);
    assert_eq!(store.counters().expect("counters").files, 1);
}

#[test]
fn a_block_that_is_here_already_is_copied() {
    let home = Home::new();
    let data = bytes(7, 2 * CHUNK);
    let path = home.write("mine/a.bin", &data);
    let store = home.open();
    import(&store, &[path], &tree(&home.path("mine"), "mine"));
    let id = arriving_tree(&store, &home);
    let (file, _) = store.begin_file(id, target(&home, "b.bin", data.len())).expect("begin");
    for (n, chunk) in data.chunks(CHUNK).enumerate() {
        assert!(file.copy((n * CHUNK) as u64, Leaf::raw(key(chunk))).expect("copy"));
    }
    assert!(!file.copy(0, Leaf::raw(key(b"unknown"))).expect("copy"));
    file.finish(false).expect("finish");
    assert_eq!(fs::read(home.path("out/b.bin")).expect("read"), data);
}

#[test]
fn many_small_files_are_finished_together() {
    let home = Home::new();
    let store = home.open();
    let id = arriving_tree(&store, &home);
    let files: Vec<_> = (0..50_u64)
        .map(|n| {
            let data = bytes(n, 100);
            let path = format!("d{}/f{n}", n % 3);
            let (file, _) = store.begin_file(id, target(&home, &path, data.len())).expect("begin");
            write(&file, &data, [0]);
            file
        })
        .collect();
    let paths = store.finish_all(files, false).expect("finish");
    assert_eq!(paths.len(), 50);
    for (n, path) in paths.iter().enumerate() {
        assert_eq!(fs::read(path).expect("read"), bytes(n as u64, 100));
        assert_eq!(read(&store, &bytes(n as u64, 100)).as_deref(), Some(&bytes(n as u64, 100)[..]));
    }
    assert!(store.arriving_of(id).expect("arriving").is_empty());
}

#[test]
fn an_empty_file_arrives_too() {
    let home = Home::new();
    let store = home.open();
    let id = arriving_tree(&store, &home);
    let (file, _) = store.begin_file(id, target(&home, "empty", 0)).expect("begin");
    file.write(0, b"", Leaf::raw(key(b""))).expect("write");
    assert_eq!(fs::read(file.finish(false).expect("finish")).expect("read"), b"");
    assert_eq!(read(&store, b"").as_deref(), Some(&b""[..]));
}

#[test]
fn names_that_lead_elsewhere_are_refused_and_nothing_is_written_there() {
    let home = Home::new();
    let outside = home.path("outside");
    fs::create_dir(&outside).expect("folder");
    fs::create_dir(home.path("out")).expect("folder");
    symlink(&outside, home.path("out/link")).expect("symlink");
    fs::write(home.path("out/plain"), b"").expect("file");
    let store = home.open();
    let id = arriving_tree(&store, &home);
    let long = "n".repeat(256);
    for path in [
        "../outside/a",
        "a/../../outside/a",
        "/etc/a",
        "link/a",
        "a//b",
        "./a",
        "",
        "a/",
        "nul\0",
        "plain/a",
        &long,
    ] {
        let refused = store.begin_file(id, target(&home, path, 3));
        assert!(matches!(refused, Err(Error::Unsafe { .. })), "{path:?}: {:?}", refused.err());
    }
    assert!(names(&outside).is_empty());
    // A symlink where the partial would lie is not written through either.
    fs::write(outside.join("victim"), b"victim").expect("file");
    let hidden = super::super::arriving::partial_name(id, "b", "b");
    symlink(outside.join("victim"), home.path("out").join(hidden)).expect("symlink");
    let refused = store.begin_file(id, target(&home, "b", 3));
    assert!(matches!(refused, Err(Error::Unsafe { .. })));
    assert_eq!(fs::read(outside.join("victim")).expect("read"), b"victim");
    // One at the final name is replaced, not followed.
    symlink(outside.join("victim"), home.path("out/c")).expect("symlink");
    let (file, _) = store.begin_file(id, target(&home, "c", 1)).expect("begin");
    file.write(0, b"x", Leaf::raw(key(b"x"))).expect("write");
    file.finish(true).expect("finish");
    assert!(fs::symlink_metadata(home.path("out/c")).expect("stat").is_file());
    assert_eq!(fs::read(outside.join("victim")).expect("read"), b"victim");
}

#[test]
fn a_long_name_still_gets_a_hidden_one() {
    for name in ["a".repeat(255), "ä".repeat(127)] {
        let hidden = super::super::arriving::partial_name(TreeId(1), &name, &name);
        assert!(hidden.len() <= 255);
        assert!(super::super::arriving::is_partial_name(&hidden));
    }
    for other in
        ["a.bin", ".a.bin", ".modelswarm-partial-zzzzzzzz", "a.modelswarm-partial-00000000"]
    {
        assert!(!super::super::arriving::is_partial_name(other));
    }
}

/// What [`the_work_of_a_killed_process_is_resumed`] kills; does nothing by itself.
#[test]
fn child_that_is_killed() {
    let Ok(dir) = std::env::var("MODELSWARM_TEST_KILL_DIR") else { return };
    let dir = PathBuf::from(dir);
    let store = Store::open(&dir.join("store"), Options::new(dir.join("library"))).expect("open");
    let id = TreeId(std::env::var("MODELSWARM_TEST_KILL_TREE").expect("id").parse().expect("id"));
    let data = bytes(8, 64 * CHUNK);
    let base = dir.join("out");
    let target = Target { base, path: "a.bin".into(), size: data.len() as u64, owner: Owner::User };
    let (file, _) = store.begin_file(id, target).expect("begin");
    for n in 0..40 {
        write(&file, &data, [n]);
        if n % 8 == 7 {
            file.commit().expect("commit");
            println!("\ncommitted {}", n + 1);
        }
    }
    println!("\nwaiting");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn the_work_of_a_killed_process_is_resumed() {
    let home = Home::new();
    let data = bytes(8, 64 * CHUNK);
    let id = arriving_tree(&home.open(), &home);
    let mut child = Command::new(std::env::current_exe().expect("this test binary"))
        .args(["--exact", "store::tests::arriving::child_that_is_killed", "--nocapture"])
        .env("MODELSWARM_TEST_KILL_DIR", home.dir.path())
        .env("MODELSWARM_TEST_KILL_TREE", id.get().to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut committed = 0;
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.expect("line");
        if let Some(n) = line.strip_prefix("committed ") {
            committed = n.parse().expect("number");
        }
        // Between two commits, with a chunk or more written since the last.
        if committed == 24 || line == "waiting" {
            break;
        }
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("reaped");
    assert!(committed >= 24, "the child came so far");

    let store = home.open();
    let (file, unlisted) =
        store.begin_file(id, target(&home, "a.bin", data.len())).expect("resume");
    let listed = store.file_blocks(file.id(), 0, 100).expect("blocks");
    assert!(listed.len() >= committed, "{} of {committed}", listed.len());
    for (k, place) in &listed {
        let at = place.offset as usize;
        assert_eq!(*k, key(&data[at..at + CHUNK]));
        assert_eq!(store.read(k).expect("read").as_deref(), Some(&data[at..at + CHUNK]));
    }
    // Chunks in the unlisted ranges hash right or are cut off; none is lost silently.
    for range in unlisted {
        for n in (range.start as usize).div_ceil(CHUNK)..range.end as usize / CHUNK {
            let chunk = file.read_at((n * CHUNK) as u64, CHUNK).expect("read");
            assert_eq!(chunk, data[n * CHUNK..(n + 1) * CHUNK]);
            file.found((n * CHUNK) as u64, &chunk, Leaf::raw(key(&chunk))).expect("found");
        }
    }
    write(&file, &data, 0..64);
    file.finish(false).expect("finish");
    assert_eq!(fs::read(home.path("out/a.bin")).expect("read"), data);
}
