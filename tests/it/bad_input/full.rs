//! No space left: exit 7, and nothing half-written is presented as whole. Needs the right to mount a small tmpfs.

use std::process::Command;

use crate::common::{
    Home,
    files::{self, MIB},
    mount::Mount,
    text,
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
        eprintln!("this user may not mount: the full disk was not tested");
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
        eprintln!("this user may not mount: the full disk was not tested");
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
