//! The contract of the command line: shapes of answers, exit codes, settings, names, versions.

mod settings;
mod versions;

use std::path::Path;

use serde_json::{Value, json};

use crate::common::{
    Daemon, Home, Running,
    files::{self, MODEL_FILES},
    http, number, text, until,
};

const COMMANDS: [&str; 20] = [
    "init",
    "daemon",
    "seed",
    "get",
    "repair",
    "ls",
    "show",
    "verify",
    "rm",
    "gc",
    "pin",
    "unpin",
    "share",
    "trust",
    "card",
    "id",
    "status",
    "peers",
    "connect",
    "completions",
];

/// That an answer has fields of these kinds: `s` text, `n` number, `b` truth, `a` list, `o` object.
#[track_caller]
fn shape(answer: &Value, fields: &[(&str, char)]) {
    for (field, kind) in fields {
        let value = &answer[*field];
        let fits = match kind {
            's' => value.is_string(),
            'n' => value.is_number(),
            'b' => value.is_boolean(),
            'a' => value.is_array(),
            _ => value.is_object(),
        };
        assert!(fits, "{field} is no {kind:?} in {answer}");
    }
}

#[test]
fn every_command_answers_in_the_shape_of_the_contract() {
    let home = Home::new();
    shape(&home.ask(&["init"]), &[("home", 's'), ("peer_id", 's'), ("publisher", 's')]);
    let daemon = home.daemon(&["--http", "127.0.0.1:0"]);
    shape(&daemon.ready, &[("event", 's'), ("peer_id", 's'), ("addrs", 'a'), ("http", 's')]);
    assert!(daemon.addr().ends_with(&format!("/p2p/{}", daemon.peer_id())));
    assert!(!daemon.addr().contains("/tcp/0/") && !text(&daemon.ready, "http").ends_with(":0"));

    let seeded = home.seed(&home.model("tiny", 91), &[]);
    let all = [
        ("name", 's'),
        ("version", 's'),
        ("release", 's'),
        ("root", 's'),
        ("card", 's'),
        ("files", 'n'),
        ("bytes", 'n'),
        ("publisher", 's'),
        ("serving", 'b'),
    ];
    shape(&seeded, &all);
    let bare = home.seed(&home.model("bare", 92), &["--unsigned"]);
    shape(&bare, &[("name", 's'), ("root", 's'), ("files", 'n'), ("bytes", 'n')]);
    assert!(bare["release"].is_null() && bare["card"].is_null(), "{bare}");

    let listed = home.ask(&["ls"]);
    assert_eq!(listed["repos"].as_array().map(Vec::len), Some(2));
    for repo in listed["repos"].as_array().expect("a list") {
        shape(
            repo,
            &[("name", 's'), ("kind", 's'), ("root", 's'), ("visibility", 's'), ("state", 's')],
        );
    }
    let signed = &listed["repos"][1];
    shape(signed, &[("version", 's'), ("release", 's')]);
    assert_eq!((&signed["kind"], &signed["visibility"]), (&json!("model"), &json!("lan")));

    let shown = home.ask(&["show", "tiny"]);
    shape(&shown, &[("name", 's'), ("commit", 's'), ("provenance", 'o'), ("entries", 'a')]);
    assert_eq!(text(&shown, "commit").len(), 40);
    let verified = home.ask(&["verify", "tiny"]);
    shape(&verified, &[("ok", 'b'), ("files", 'n'), ("bytes", 'n'), ("provenance", 'o')]);
    shape(&home.ask(&["unpin", "tiny"]), &[("name", 's')]);
    shape(&home.ask(&["pin", "tiny"]), &[("name", 's')]);
    shape(&home.ask(&["share", "tiny", "--to", "private"]), &[("visibility", 's')]);
    let trusted = home.ask(&["trust", "add", "me", text(&seeded, "publisher")]);
    assert_eq!(trusted["publishers"][0]["alias"], "me");
    shape(&home.ask(&["trust", "list"]), &[("publishers", 'a')]);
    home.ask(&["trust", "rm", "me"]);
    shape(&home.ask(&["id"]), &[("peer_id", 's'), ("publisher", 's'), ("addrs", 'a')]);
    shape(&home.ask(&["status"]), &[("store", 'o'), ("transfers", 'a'), ("changed", 'a')]);
    let other = Home::new();
    let peer = other.daemon(&[]);
    shape(&home.ask(&["connect", peer.addr()]), &[("peers", 'a')]);
    let peers = home.ask(&["peers"]);
    assert_eq!(peers["peers"][0]["peer_id"], peer.peer_id());
    let got = other.get(text(&bare, "root"), &["--peer", daemon.addr()]).ok();
    let all = [
        ("root", 's'),
        ("path", 's'),
        ("files", 'n'),
        ("bytes", 'n'),
        ("fetched_bytes", 'n'),
        ("seconds", 'n'),
        ("provenance", 'o'),
    ];
    shape(&got, &all);
    shape(&home.ask(&["gc"]), &[("blocks", 'n')]);
    shape(&home.ask(&["rm", "tiny"]), &[("forgotten", 'a')]);
    assert_eq!(daemon.terminate(), 0);
    shape(&home.ask(&["repair"]), &[("repos", 'n'), ("files", 'n'), ("blocks", 'n')]);
}

#[test]
fn without_a_daemon_peers_and_connect_say_how_to_start_one() {
    let home = Home::new();
    home.run(&["peers"]).fails(1).says("modelswarm daemon");
    home.run(&["connect", "/ip4/127.0.0.1/tcp/1"]).fails(1).says("modelswarm daemon");
    assert_eq!(home.ask(&["status"])["health"]["daemon"], false);
}

#[test]
fn progress_is_lines_before_the_answer_which_is_the_last() {
    let home = Home::new();
    let large = home.beside("large");
    files::model(&large, 93, 128 * files::MIB);
    let seeder = home.daemon(&[]);
    let said = home.run(&["seed", large.to_str().expect("UTF-8"), "--progress"]);
    let release = last_is_done(&said, "release");
    let fetcher = Home::new();
    let said = fetcher.get(&release, &["--peer", seeder.addr(), "--progress"]);
    last_is_done(&said, "path");
    assert!(said.stdout.lines().count() > 1, "a fetch of 128 MiB says how far it is: {said:#?}");
}

/// Checks the lines; gives a field of the answer.
fn last_is_done(said: &crate::common::Output, field: &str) -> String {
    assert_eq!(said.code, 0, "{said:#?}");
    let lines: Vec<Value> = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let (last, before) = lines.split_last().expect("an answer");
    assert_eq!(last["event"], "done");
    assert!(before.iter().all(|line| line["event"] == "progress"), "{said:#?}");
    assert!(before.iter().all(|line| line["bytes"].is_u64()), "{said:#?}");
    text(last, field).to_owned()
}

#[test]
fn every_help_ends_with_examples() {
    let home = Home::new();
    let help = |args: &[&str]| {
        let mut command = home.bare();
        command.args(args).arg("--help");
        let output = Running::spawn(command).wait();
        assert_eq!(output.code, 0, "{output:#?}");
        let (_, examples) = output.stdout.rsplit_once("\nExamples:\n").expect("examples");
        assert!(
            examples.lines().all(|line| line.is_empty() || line.starts_with("  ")),
            "they come last: {output:#?}"
        );
        output.stdout
    };
    let all = help(&[]);
    for command in COMMANDS {
        assert!(all.contains(&format!("\n  {command} ")), "{command} is not in the list: {all}");
        help(&[command]);
    }
    for action in ["add", "list", "rm"] {
        help(&["trust", action]);
    }
    help(&["card", "export"]);
    assert!(!home.path().exists() && !home.beside("user").exists(), "help makes nothing");
}

#[test]
fn completions_are_made_for_the_common_shells() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let mut command = home.bare();
        command.args(["completions", shell]);
        let output = Running::spawn(command).wait();
        assert_eq!(output.code, 0, "{output:#?}");
        assert!(output.stdout.contains("modelswarm") && output.stdout.contains("verify"));
        assert_eq!(output.stderr, "");
    }
    home.run(&["completions", "tcsh"]).fails(2);
    assert!(!home.beside("user").exists(), "completions make nothing");
}

#[test]
fn wrong_usage_is_exit_2_and_one_json_error() {
    let home = Home::new();
    for wrong in [
        &["get"][..],
        &["frobnicate"],
        &["ls", "--frobnicate"],
        &["seed"],
        &["share", "x"],
        &["share", "x", "--to", "everywhere"],
        &["seed", "/tmp", "--kind", "poem"],
        &["get", "x", "--timeout", "soon"],
        &["trust"],
        &["trust", "add", "x"],
        &["--network", "wide", "ls"],
    ] {
        let failed = home.run(wrong);
        failed.fails(2);
        // As a person reads it: text on stderr, nothing on stdout.
        let said = home.say(wrong);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{wrong:?}");
        assert!(said.stderr.contains("Usage: ") || said.stderr.starts_with("error: "), "{said:#?}");
    }
    let mut none = home.bare();
    none.arg("--json");
    assert_eq!(Running::spawn(none).wait().code, 2);
    assert!(!home.path().exists(), "wrong usage makes no home");
}

#[test]
fn a_person_reads_text_and_quiet_leaves_only_the_answer() {
    let home = Home::new();
    let model = home.model("tiny", 94);
    let path = model.to_str().expect("UTF-8");
    let said = home.say(&["seed", path]);
    assert_eq!(said.code, 0, "{said:#?}");
    for part in ["seeded 6 files", "release", "root", "publisher did:key:z6Mk", "this LAN"] {
        assert!(said.stdout.contains(part), "{part}: {said:#?}");
    }
    assert!(said.stderr.contains("modelswarm daemon"), "a hint to start the daemon: {said:#?}");
    assert!(!said.stdout.contains('\x1b'), "no colours off a terminal");
    let quiet = home.say(&["seed", path, "-q"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""), "{quiet:#?}");
    assert!(quiet.stdout.contains("release"), "{quiet:#?}");

    let daemon = home.daemon(&[]);
    let fetcher = Home::new();
    let release = text(&home.ask(&["show", "tiny"]), "release").to_owned();
    let got = fetcher.say(&["get", &release, "--peer", daemon.addr()]);
    assert_eq!(got.code, 0, "{got:#?}");
    for part in
        ["ok 6 files", "every byte verified", "signature valid; publisher NEW to you: did:key:"]
    {
        assert!(got.stdout.contains(part), "{part}: {got:#?}");
    }
    assert!(got.stderr.contains("modelswarm trust add"), "{got:#?}");
    for command in [&["ls"][..], &["show", &release], &["verify", &release], &["status"], &["id"]] {
        let said = fetcher.say(command);
        assert_eq!(said.code, 0, "{said:#?}");
        assert!(!said.stdout.is_empty() && !said.stdout.contains('{'), "{said:#?}");
    }
    let missing = fetcher.say(&["show", "nobody"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (3, ""));
    assert!(missing.stderr.starts_with("error: ") && missing.stderr.contains("hint: "));
}

#[test]
fn the_http_endpoint_says_that_the_node_is_well_and_what_it_counts() {
    let home = Home::new();
    let daemon = home.daemon(&["--http", "127.0.0.1:0"]);
    let ask = |path: &str| http::get(&daemon, path, "");
    assert!(ask("/healthz").is_ok());
    let metrics = String::from_utf8(ask("/metrics").expect("status 200")).expect("UTF-8");
    assert!(metrics.contains("modelswarm_"), "{metrics}");
    // Control is nowhere but on the socket.
    for path in ["/", "/control"] {
        assert!(ask(path).is_err_and(|head| head.starts_with("HTTP/1.1 404")), "{path}");
    }
}

#[test]
fn status_gives_a_reason_only_for_what_was_not_announced() {
    let home = Home::new();
    let _daemon = home.daemon(&[]);
    let said = home.say(&["status"]);
    assert!(said.stdout.contains("findable 0 CIDs\n"), "{said:#?}");
    home.seed(&home.model("tiny", 95), &[]);
    until("the reason", || {
        home.say(&["status"]).stdout.contains("announced never: no peer to tell").then_some(())
    });
}

#[test]
fn a_log_that_goes_to_a_file_is_plain_text() {
    let home = Home::new();
    let mut command = home.command(&home.daemon_args(&[]));
    command.env_remove("NO_COLOR");
    let daemon = Daemon::start(command);
    until("a line", || (!daemon.log().is_empty()).then_some(()));
    assert!(!daemon.log().contains('\u{1b}'), "{}", daemon.log());
}

#[test]
fn copies_lie_in_the_librarys_folder_and_serve() {
    let home = Home::new();
    let model = home.model("copied", 95);
    let expected = files::tree(&model);
    home.seed(&model, &["--copy"]);
    std::fs::remove_dir_all(&model).expect("the source is not needed");
    assert_eq!(home.ask(&["verify", "copied"])["ok"], true);
    let path = text(&home.ask(&["ls"])["repos"][0], "path").to_owned();
    assert!(Path::new(&path).starts_with(home.path().join("library/models")), "{path}");
    assert_eq!(files::tree(Path::new(&path)), expected);
    let daemon = home.daemon(&[]);
    let release = text(&home.ask(&["show", "copied"]), "release").to_owned();
    let got = Home::new().get(&release, &["--peer", daemon.addr()]);
    assert_eq!(got.ok()["provenance"]["status"], "verified");
    assert_eq!(number(&home.ask(&["rm", "copied"]), "deleted_files"), MODEL_FILES);
    assert!(!Path::new(&path).exists());
}

#[test]
fn a_person_is_told_that_nothing_was_copied() {
    let home = Home::new();
    let model = home.model("tiny", 133);
    let said = home.say(&["seed", model.to_str().expect("UTF-8")]);
    assert!(said.stdout.contains(", in place\n"), "{said:#?}");
}
