//! What is fetched because an HTTP client reads it makes way for what is read after it, and nothing else does. Needs the right
//! to mount a small tmpfs.

use std::fs;

use serde_json::Value;

use crate::common::{
    Daemon, Home,
    files::{self, MIB},
    http,
    mount::Mount,
    text, until,
};

/// The names in a library, in order.
fn names(ask: &dyn Fn(&[&str]) -> Value) -> Vec<String> {
    let repos = ask(&["ls"])["repos"].as_array().expect("a list").clone();
    repos.iter().map(|repo| text(repo, "name").to_owned()).collect()
}

#[test]
fn what_was_only_read_makes_way_the_longest_unread_first_and_what_is_kept_stays() {
    let lab = Home::new();
    let daemon = lab.daemon(&[]);
    let all = ["a", "b", "c", "d"];
    let folder = |name: &str| lab.beside(name);
    for (seed, name) in all.iter().enumerate() {
        files::model(&folder(name), seed as u64, 12 * MIB);
        lab.seed(&folder(name), &[]);
    }
    let publisher = text(&lab.ask(&["name", "publish"]), "publisher").to_owned();

    let beside = Home::new();
    let Some(small) = Mount::tmpfs(beside.beside("small"), 72) else {
        return;
    };
    let home = small.path().join("home");
    let command = |args: &[&str]| {
        let mut command = beside.bare();
        command.arg("--home").arg(&home).args(["--network", "isolated", "--json"]).args(args);
        command
    };
    let ask = |args: &[&str]| crate::common::Running::spawn(command(args)).wait().ok();
    ask(&["trust", "add", "lab", &publisher]);
    let reader = Daemon::start(command(&[
        "daemon",
        "--bootstrap",
        daemon.addr(),
        "--http",
        "127.0.0.1:0",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        // Room for three and a bit.
        "--set",
        "gateway.reserve=25000000",
    ]));
    let file = |name: &str| format!("/lab/{name}/resolve/main/model.safetensors");
    let bytes =
        |name: &str| fs::read(folder(name).join("model.safetensors")).expect("as it was made");
    until("the publisher's record", || {
        lab.ask(&["name", "publish"])["names"][0]["peers"].as_u64().filter(|peers| *peers > 0)
    });

    ask(&["get", "lab/a"]);
    for name in ["b", "c", "d"] {
        let body =
            http::get(&reader, &file(name), "").unwrap_or_else(|head| panic!("{name}: {head}"));
        assert!(body == bytes(name), "{name}");
    }
    let held = names(&ask);
    assert!(held.contains(&"a".to_owned()), "what was asked for by hand stays: {held:?}");
    assert!(held.contains(&"d".to_owned()), "{held:?}");
    assert!(!held.contains(&"b".to_owned()), "the longest unread went: {held:?}");
    // And comes again.
    assert!(http::get(&reader, &file("b"), "").is_ok_and(|body| body == bytes("b")));
    ask(&["verify", "lab/a"]);
    // With nothing that may go there is no room, which is said.
    for kept in ["lab/b", "lab/d"] {
        ask(&["pin", kept]);
    }
    let refused = http::get(&reader, &file("c"), "").expect_err("there is no room");
    assert!(
        refused.starts_with("HTTP/1.1 507") && refused.contains("gateway.reserve"),
        "{refused}"
    );
    // Of that no more is here than its card.
    let held = names(&ask);
    assert!(["a", "b", "d"].iter().all(|kept| held.iter().any(|it| it == kept)), "{held:?}");
}
