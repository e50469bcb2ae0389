//! Bad input from the user and the machine: each a clear error that says what to do, and nothing half done.

mod changed;
mod damage;
mod full;
mod hostile;
mod permission;
mod seeded;

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};

use crate::common::{Home, files, text};

/// A CID that nobody has.
const UNKNOWN: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

#[test]
fn what_is_no_cid_or_name_is_a_usage_error() {
    let home = Home::new();
    for bad in ["bafybeibad", "not a ref!", "a/b/c/d", "..", "", "zzzzz--b"] {
        let failed = home.run(&["get", bad]);
        // `bafybeibad` could be a name.
        let code = if bad == "bafybeibad" { 3 } else { 2 };
        assert!(!failed.fails(code).hint.is_empty(), "{bad:?}: a way out is named");
    }
    for command in ["show", "verify", "rm", "pin", "unpin"] {
        home.run(&[command, "nobody-knows-this"]).fails(3).says("nobody-knows-this");
    }
    home.run(&["share", "nobody-knows-this", "--to", "lan"]).fails(3);
    home.run(&["get", "stranger/model"]).fails(3).says("stranger");
    home.run(&["get", "nobody-knows-this"]).fails(3).says("nobody-knows-this");
}

#[test]
fn an_unknown_cid_ends_and_says_how_many_were_asked_and_where() {
    let other = Home::new();
    let daemon = other.daemon(&[]);
    let home = Home::new();
    let out = home.beside("out");
    let to = ["--peer", daemon.addr(), "-o", out.to_str().expect("UTF-8"), "--timeout", "5"];
    let failure = home.get(UNKNOWN, &to).fails(3);
    failure.says("1 peer").says(UNKNOWN).says("among the peers given by hand");
    assert!(!out.exists(), "nothing is written");
    // A file or folder that is no root: the way is its root.
    failure.says("root");
    // The same by a daemon that knows the peer from its start.
    let second = Home::new();
    let _daemon = second.daemon(&["--bootstrap", daemon.addr()]);
    second.get(UNKNOWN, &["--timeout", "5"]).fails(3).says("1 peer");
}

#[test]
fn no_peer_at_all_is_a_network_error() {
    let home = Home::new();
    home.get(UNKNOWN, &["--timeout", "5"]).fails(6).says("--peer");
    // One that does not answer: the port was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("address").port();
    drop(listener);
    let id = text(&Home::new().ask(&["id"]), "peer_id").to_owned();
    let dead = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}");
    home.get(UNKNOWN, &["--peer", &dead, "--timeout", "5"]).fails(6);
    let daemon = home.daemon(&[]);
    home.run(&["connect", &dead]).fails(6).says(&port.to_string());
    // Somebody else answers there.
    let other = Home::new();
    let answering = other.daemon(&[]);
    let wrong = answering.addr().replace(answering.peer_id(), &id);
    home.run(&["connect", &wrong]).fails(6);
    drop(daemon);
}

#[test]
fn a_peer_that_talks_nonsense_is_a_network_error() {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("address").port();
    let nonsense = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        let sent = stream.write_all(&files::noise(1, 100_000));
        let mut heard = [0; 1024];
        while sent.is_ok() && stream.read(&mut heard).is_ok_and(|read| read > 0) {}
    });
    let home = Home::new();
    let id = text(&Home::new().ask(&["id"]), "peer_id").to_owned();
    let peer = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}");
    home.get(UNKNOWN, &["--peer", &peer, "--timeout", "5"]).fails(6);
    nonsense.join().expect("the peer");
}

#[test]
fn a_malformed_multiaddr_is_a_usage_error_that_names_the_flag() {
    let home = Home::new();
    for flag in ["--listen", "--bootstrap"] {
        let mut command = home.bare();
        command.arg("--home").arg(home.path()).args(["--network", "isolated", "daemon"]);
        command.args(["--http", "off", flag, "/ip4/127.0.0.1/tcpp/1", "--json"]);
        let failure = crate::common::Running::spawn(command).wait().fails(2);
        failure.says(flag).says("multiaddr");
    }
    let _daemon = home.daemon(&[]);
    home.run(&["connect", "nonsense"]).fails(2).says("nonsense");
}

#[test]
fn a_port_in_use_is_said_with_its_flag() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("address");
    let home = Home::new();
    let listen = format!("/ip4/127.0.0.1/tcp/{}", taken.port());
    let refused = home.run(&["daemon", "--http", "off", "--listen", &listen]).fails(1);
    refused.says("--listen").says(&taken.port().to_string());
    let loopback = "/ip4/127.0.0.1/tcp/0";
    let http = taken.to_string();
    let refused = home.run(&["daemon", "--listen", loopback, "--http", &http]).fails(1);
    refused.says("--http").says(&http);
    home.run(&["daemon", "--listen", loopback, "--http", "nonsense"]).fails(2).says("--http");
    assert_eq!(home.run(&["ls"]).code, 0, "a daemon that did not start leaves the store free");
}

#[test]
fn a_second_process_on_one_home_is_told_who_holds_it() {
    let home = Home::new();
    let daemon = home.daemon(&[]);
    let pid = daemon.pid().to_string();
    home.run(&home.daemon_args(&[])).fails(1).says(&pid);
    // Without its control socket, only the store's lock is left to tell.
    fs::remove_file(home.path().join("run/control.sock")).expect("the socket");
    for args in [vec!["ls"], vec!["get", UNKNOWN], vec!["repair"], home.daemon_args(&[])] {
        home.run(&args).fails(1).says(&pid).says("--home");
    }
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(home.run(&["ls"]).code, 0);
}

#[test]
fn flags_that_contradict_the_running_daemon_are_a_usage_error() {
    let home = Home::new();
    let daemon = home.daemon(&[]);
    let contradicting = [
        vec!["--set", "store.inline_max=0"],
        vec!["--listen", "/ip4/127.0.0.1/tcp/1"],
        vec!["--bootstrap", daemon.addr()],
    ];
    for flags in contradicting {
        let said = home.run(&[&["ls"], &flags[..]].concat()).fails(2);
        said.says(flags[0]).says(&daemon.pid().to_string());
    }
    assert_eq!(
        home.run(&["ls", "--set", "gateway.http=off"]).code,
        0,
        "a flag that agrees is fine"
    );
    let mut lan = home.bare();
    lan.arg("--home").arg(home.path()).args(["--network", "lan", "ls", "--json"]);
    crate::common::Running::spawn(lan).wait().fails(2).says("--network");
}

#[test]
fn a_setting_that_does_not_exist_or_is_out_of_range_is_named() {
    let home = Home::new();
    home.run(&["ls", "--set", "store.inlinemax=1"]).fails(2).says("inlinemax");
    home.run(&["ls", "--set", "store.inline_max=99999999"]).fails(2).says("store.inline_max");
    home.run(&["ls", "--set", "store.inline_max"]).fails(2).says("key=value");
    files::write(&home.path().join("config.toml"), "[store]\ninline_max = \"many\"\n");
    home.run(&["ls"]).fails(2).says("config.toml");
    files::write(&home.path().join("config.toml"), "[store\n");
    home.run(&["ls"]).fails(2).says("config.toml");
}

#[test]
fn a_key_that_is_none_is_never_replaced() {
    let home = Home::new();
    home.ask(&["init"]);
    let key = home.path().join("keys/publisher.key");
    fs::write(&key, "nonsense").expect("write");
    home.run(&["id"]).fails(1).says("publisher.key").says("backup");
    assert_eq!(fs::read_to_string(&key).expect("there"), "nonsense");
}

#[test]
fn keys_and_folders_are_the_owners_alone() {
    let home = Home::new();
    let _daemon = home.daemon(&[]);
    let mode = |path: &str| {
        let path = home.path().join(path);
        fs::metadata(&path).expect("there").permissions().mode() & 0o777
    };
    for key in ["keys/node.key", "keys/publisher.key", "run/control.sock"] {
        assert_eq!(mode(key), 0o600, "{key}");
    }
    for folder in ["keys", "run"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
}

#[test]
fn a_malformed_peer_is_a_usage_error() {
    let home = Home::new();
    home.get(UNKNOWN, &["--peer", "127.0.0.1:99", "--timeout", "5"]).fails(2).says("--peer");
}

#[test]
fn a_mistyped_cid_is_a_usage_error() {
    let home = Home::new();
    let mistyped = UNKNOWN.replace('y', "0");
    home.get(&mistyped, &[]).fails(2).says(&mistyped);
}

#[test]
fn repair_beside_a_running_daemon_is_refused() {
    let home = Home::new();
    let daemon = home.daemon(&[]);
    home.seed(&home.model("tiny", 131), &[]);
    let before = home.ask(&["ls"]);
    let refused = home.run(&["repair"]);
    assert_eq!(home.ask(&["ls"]), before, "nothing is in the library twice");
    refused.fails(1).says("daemon").says(&daemon.pid().to_string());
}

#[test]
fn a_home_whose_path_is_too_long_for_a_socket_works() {
    let home = Home::new();
    let long = home.beside(&"long/".repeat(30)).join("home");
    let command = |args: &[&str]| {
        let mut command = home.bare();
        command.env("TMPDIR", home.beside("")).env("XDG_RUNTIME_DIR", home.beside("runtime"));
        command.arg("--home").arg(&long).args(["--network", "isolated"]).args(args);
        command
    };
    fs::create_dir_all(home.beside("runtime")).expect("make");
    crate::common::Running::spawn(command(&["ls", "--json"])).wait().ok();
    let daemon = crate::common::Daemon::start(command(&home.daemon_args(&[])));
    let status = crate::common::Running::spawn(command(&["status", "--json"])).wait().ok();
    assert_eq!(status["health"]["pid"], daemon.pid());
    assert_eq!(daemon.terminate(), 0);
}
