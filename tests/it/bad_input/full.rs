//! No space left: exit 7, and nothing half-written is presented as whole. Needs the right to mount a small tmpfs.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
};

use crate::common::{
    Daemon, Home,
    files::{self, MIB},
    mount::Mount,
    text, until,
};

#[test]
fn a_full_disk_is_exit_7_and_more_space_lets_the_same_call_go_on() {
    let seeder = Home::new();
    let model = seeder.beside("model");
    files::model(&model, 81, 24 * MIB);
    let daemon = seeder.daemon(&[]);
    let seeded = seeder.seed(&model, &[]);
    let release = text(&seeded, "release");

    let home = Home::new();
    let Some(small) = Mount::tmpfs(home.beside("small"), 12) else {
        return;
    };
    let out = small.path().join("out");
    let to = ["--peer", daemon.addr(), "-o", out.to_str().expect("UTF-8")];
    let full = home.get(release, &to).fails(7);
    full.says("space");
    assert!(!out.join("model.safetensors").exists(), "half a file is never under its own name");
    assert_ne!(home.ask(&["ls"])["repos"][0]["state"], "whole");
    assert!(home.run(&["verify", release]).code != 0, "and not called verified");
    let remounted = Command::new("mount")
        .args(["-o", "remount,size=64m"])
        .arg(small.path())
        .status()
        .is_ok_and(|status| status.success());
    assert!(remounted);
    home.get(release, &to).ok();
    assert_eq!(files::tree(&out), files::tree(&model));
}

/// A home on a small file system: a copy that does not fit must not take the home with it.
#[test]
fn a_copy_that_does_not_fit_leaves_the_home_usable() {
    let beside = Home::new();
    let Some(small) = Mount::tmpfs(beside.beside("small"), 48) else {
        return;
    };
    let home = small.path().join("home");
    let run = |args: &[&str]| {
        let mut command = beside.bare();
        command.arg("--home").arg(&home).args(["--network", "isolated", "--json"]).args(args);
        crate::common::Running::spawn(command).wait()
    };
    let first = beside.model("first", 82);
    run(&["seed", first.to_str().expect("UTF-8")]).ok();
    let large = beside.beside("large");
    files::model(&large, 83, 64 * MIB);
    let large = large.to_str().expect("UTF-8").to_owned();
    run(&["seed", &large, "--copy"]).fails(7).says("space");
    let repos = run(&["ls"]).ok();
    assert_eq!(repos["repos"].as_array().map(Vec::len), Some(1), "what was there is: {repos}");
    run(&["verify", "first"]).ok();
    // In place there is room enough.
    run(&["seed", &large]).ok();
    run(&["verify", "large"]).ok();
}

/// Fills what is left of a file system, to the last byte.
fn fill(folder: &Path) {
    let mut file = File::create(folder.join("filler")).expect("create");
    for step in [64 * 1024, 4096, 1] {
        while file.write_all(&vec![1; step]).is_ok() {}
    }
}

/// After a write that failed, sled takes no more of them, also when there is space again: a daemon that went on would
/// refuse everything until somebody restarts it by hand.
#[test]
fn a_daemon_whose_index_found_no_space_ends_with_exit_7_and_goes_on_when_started_anew() {
    let beside = Home::new();
    let Some(small) = Mount::tmpfs(beside.beside("small"), 48) else {
        return;
    };
    let command = |args: &[&str]| {
        let mut command = beside.bare();
        command.arg("--home").arg(small.path().join("home"));
        command.args(["--network", "isolated"]).args(args);
        command
    };
    let run = |args: &[&str]| {
        let mut command = command(args);
        command.arg("--json");
        crate::common::Running::spawn(command).wait()
    };
    let [first, second] = ["first", "second"].map(|name| beside.model(name, 84));
    let [first, second] = [&first, &second].map(|path| path.to_str().expect("UTF-8"));
    let daemon = Daemon::start(command(&beside.daemon_args(&[])));
    run(&["seed", first]).ok();
    fill(small.path());
    let failed = run(&["seed", second, "--unsigned"]);
    let failure = failed.failure(7);
    failure.says("index").says("No space left").says("free some space");
    until("the daemon's word", || daemon.log().contains("No space left on device").then_some(()));
    assert_eq!(daemon.ended(), 7);

    // Alone it is the same.
    run(&["seed", second, "--unsigned"]).failure(7).says("space");
    fs::remove_file(small.path().join("filler")).expect("remove");
    let daemon = Daemon::start(command(&beside.daemon_args(&[])));
    let repos = run(&["ls"]).ok();
    assert_eq!(repos["repos"].as_array().map(Vec::len), Some(1), "what was done is kept: {repos}");
    assert_eq!(run(&["verify", "first"]).ok()["ok"], true);
    run(&["seed", second, "--unsigned"]).ok();
    assert_eq!(daemon.terminate(), 0);
}
