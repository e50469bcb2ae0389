//! What the system does not let this user do: exit 5, naming the path. Root may do all, so root becomes nobody first.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
};

use crate::common::{Home, Output, Running, files, text};

/// The user and group that own nothing.
const NOBODY: u32 = 65_534;

/// Gives a folder and all below it to nobody.
fn give(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("list") {
            give(&entry.expect("entry").path());
        }
    }
}

/// Runs commands on a home as a user who is not root; `None` where that can't be done.
struct User<'a> {
    home: &'a Home,
    becomes: bool,
}

impl<'a> User<'a> {
    fn new(home: &'a Home) -> Option<Self> {
        let becomes = rustix::process::geteuid().is_root();
        let user = Self { home, becomes };
        // The program itself may lie where only root looks.
        let mut version = Command::new(env!("CARGO_BIN_EXE_modelswarm"));
        version.arg("--version").stdout(Stdio::null());
        if becomes {
            give(home.beside("").as_path());
            version.uid(NOBODY).gid(NOBODY);
        }
        version.status().is_ok_and(|status| status.success()).then_some(user)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.home.command(args);
        command.arg("--json");
        if self.becomes {
            command.uid(NOBODY).gid(NOBODY);
        }
        Running::spawn(command).wait()
    }
}

#[test]
fn an_unreadable_file_is_exit_5_and_named() {
    let home = Home::new();
    let model = home.model("secret", 121);
    let Some(user) = User::new(&home) else {
        eprintln!("root could not become nobody: not tested");
        return;
    };
    let path = model.to_str().expect("UTF-8");
    for name in ["tokenizer.json", "1_Pooling"] {
        let closed = model.join(name);
        let before = fs::metadata(&closed).expect("there").permissions();
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).expect("close");
        user.run(&["seed", path]).fails(5).says(name);
        fs::set_permissions(&closed, before).expect("open");
    }
    user.run(&["seed", path]).ok();
}

#[test]
fn a_read_only_folder_is_seeded_as_it_is_and_never_written_to() {
    let home = Home::new();
    let model = home.model("fixed", 122);
    let Some(user) = User::new(&home) else {
        eprintln!("root could not become nobody: not tested");
        return;
    };
    for folder in [model.join("1_Pooling"), model.clone()] {
        fs::set_permissions(folder, Permissions::from_mode(0o555)).expect("read only");
    }
    let seeded = user.run(&["seed", model.to_str().expect("UTF-8")]).ok();
    user.run(&["verify", text(&seeded, "release")]).ok();
    for folder in [model.clone(), model.join("1_Pooling")] {
        fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("as before");
    }
}

#[test]
fn a_destination_that_may_not_be_written_is_exit_5_and_named() {
    let seeder = Home::new();
    let daemon = seeder.daemon(&[]);
    let seeded = seeder.seed(&seeder.model("tiny", 123), &[]);
    let home = Home::new();
    let fixed = home.beside("fixed");
    files::write(&fixed.join("there.txt"), "x");
    let Some(user) = User::new(&home) else {
        eprintln!("root could not become nobody: not tested");
        return;
    };
    fs::set_permissions(&fixed, Permissions::from_mode(0o555)).expect("read only");
    let out = fixed.to_str().expect("UTF-8");
    let args = ["get", text(&seeded, "release"), "--peer", daemon.addr(), "-o", out];
    user.run(&args).fails(5).says("fixed");
    assert_eq!(files::tree(&fixed).len(), 1);
    fs::set_permissions(&fixed, Permissions::from_mode(0o755)).expect("writable");
    user.run(&args).ok();
}

#[test]
fn another_users_home_is_exit_5() {
    let home = Home::new();
    let Some(user) = User::new(&home) else {
        eprintln!("root could not become nobody: not tested");
        return;
    };
    user.run(&["init"]).ok();
    let keys = home.path().join("keys");
    fs::set_permissions(&keys, Permissions::from_mode(0o000)).expect("close");
    user.run(&["id"]).fails(5).says("keys");
    fs::set_permissions(&keys, Permissions::from_mode(0o700)).expect("open");
}
