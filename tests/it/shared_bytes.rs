//! Copies that take no room: on a file system that can, bytes that are here already are shared, not written again.

use std::{fs::File, os::unix::fs::FileExt as _, path::Path, time::Duration};

use modelswarm::card::CommitId;

use crate::common::{
    Home, Output, Running,
    files::{self, MIB},
    mount::Mount,
    text,
};

const WEIGHTS: usize = 64 * MIB;

/// What index, metadata and small files may take.
const LITTLE: u64 = 24 * MIB as u64;

/// Long enough that a file's record is believed: younger files are read and hashed.
const SETTLED: Duration = Duration::from_millis(2100);

struct Disk {
    beside: Home,
    mount: Mount,
}

impl Disk {
    fn new() -> Option<Self> {
        let beside = Home::new();
        let mount = Mount::btrfs(beside.beside("disk"));
        Some(Self { mount: mount?, beside })
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.beside.bare();
        command.arg("--home").arg(self.mount.path().join("home"));
        command.args(["--network", "isolated", "--json"]).args(args);
        Running::spawn(command).wait()
    }

    fn free(&self) -> u64 {
        let folder = File::open(self.mount.path()).expect("the mount");
        rustix::fs::syncfs(&folder).expect("synced");
        modelswarm::store::free_space(self.mount.path()).expect("free space")
    }
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

#[test]
fn a_seeded_copy_shares_the_bytes_of_what_it_was_made_of() {
    let Some(disk) = Disk::new() else { return };
    let model = disk.mount.path().join("model");
    files::model(&model, 71, WEIGHTS);
    let before = disk.free();
    let seeded = disk.run(&["seed", utf8(&model), "--copy"]).ok();
    let taken = before.saturating_sub(disk.free());
    assert!(taken < LITTLE, "{taken} bytes for a copy of {WEIGHTS}");
    // A change of the original is none of the copy.
    let weights = model.join("model.safetensors");
    File::options()
        .write(true)
        .open(&weights)
        .expect("open")
        .write_all_at(b"x", 999)
        .expect("write");
    assert_eq!(disk.run(&["verify", text(&seeded, "release")]).ok()["ok"], true);
}

#[test]
fn what_a_get_finds_in_another_file_is_shared_if_that_file_is_unchanged() {
    let Some(disk) = Disk::new() else { return };
    let seeder = Home::new();
    let theirs = seeder.beside("theirs");
    files::model(&theirs, 72, WEIGHTS);
    let daemon = seeder.daemon(&[]);
    let seeded = seeder.seed(&theirs, &[]);
    let release = text(&seeded, "release");
    let mine = disk.mount.path().join("mine");
    files::model(&mine, 72, WEIGHTS);
    files::write(&mine.join("README.md"), "another repo with the same weights");
    std::thread::sleep(SETTLED);
    disk.run(&["seed", utf8(&mine), "--unsigned"]).ok();
    let get = |name: &str| {
        let out = disk.mount.path().join(name);
        let args = ["get", release, "--peer", daemon.addr(), "-o", utf8(&out)];
        (disk.run(&args).ok(), out)
    };
    let before = disk.free();
    let (got, out) = get("first");
    let taken = before.saturating_sub(disk.free());
    assert!(got["fetched_bytes"].as_u64() < Some(MIB as u64), "the weights were here: {got}");
    assert!(taken < LITTLE, "{taken} bytes for a copy of {WEIGHTS}");
    assert_eq!(files::tree(&out), files::tree(&theirs));

    // Both copies that the store knows of are spoiled in the same chunk: it comes from the peer.
    for weights in [&mine, &out].map(|folder| folder.join("model.safetensors")) {
        let file = File::options().write(true).open(weights).expect("open");
        file.write_all_at(b"spoiled", 5 * MIB as u64).expect("write");
    }
    let (got, out) = get("second");
    assert!(got["fetched_bytes"].as_u64() >= Some(MIB as u64), "the spoiled chunk: {got}");
    assert_eq!(files::tree(&out), files::tree(&theirs));
}

#[test]
fn what_is_laid_out_for_hugging_face_clients_shares_its_bytes_with_files_of_the_user_too() {
    let Some(disk) = Disk::new() else { return };
    let seeder = Home::new();
    let model = seeder.beside("model");
    files::model(&model, 73, WEIGHTS);
    let daemon = seeder.daemon(&[]);
    let seeded = seeder.seed(&model, &[]);
    let (out, cache) = (disk.mount.path().join("out"), disk.mount.path().join("cache"));
    let set = format!("gateway.hf_cache={}", utf8(&cache));
    let release = text(&seeded, "release");
    let before = disk.free();
    let got = disk.run(&["get", release, "--peer", daemon.addr(), "-o", utf8(&out), "--set", &set]);
    assert!(!got.stderr.contains("not laid out"), "{}", got.stderr);
    got.ok();
    let taken = before.saturating_sub(disk.free());
    assert!(taken < WEIGHTS as u64 + LITTLE, "{taken} bytes for {WEIGHTS} in two places");
    let commit = CommitId::of(&text(&seeded, "root").parse().expect("a CID")).to_string();
    let part = text(&seeded, "publisher").trim_start_matches("did:key:");
    let name = text(&seeded, "name");
    let snapshot = cache.join(format!("models--{part}--{name}/snapshots/{commit}"));
    let signed = files::tree(&model);
    let is_as_signed =
        || signed.iter().all(|(path, it)| files::digest(&snapshot.join(path)) == *it);
    assert!(is_as_signed());
    // The file is the user's, to change as they like; what clients have stays what was signed.
    let weights = out.join("model.safetensors");
    File::options()
        .write(true)
        .open(&weights)
        .expect("open")
        .write_all_at(b"x", 999)
        .expect("write");
    assert!(is_as_signed());
}
