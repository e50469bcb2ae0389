//! `cat`: the bytes of one file, from where they are; what of them is fetched, and how often.
//!
//! How much came when is read from what `status` says, never from a clock.

use std::{
    fs,
    io::Read as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::common::{
    Daemon, Home, Output, Running,
    files::{self, MIB},
    number, text, until,
};

const WEIGHTS: &str = "model.safetensors";

/// A daemon that seeds a model with weights of `mib` MiB.
struct Seeder {
    home: Home,
    daemon: Daemon,
    model: PathBuf,
    root: String,
    release: String,
}

impl Seeder {
    fn new(mib: usize, more: &[&str]) -> Self {
        let home = Home::new();
        let model = home.beside("model");
        files::model(&model, 77, mib * MIB);
        let daemon = home.daemon(more);
        let seeded = home.seed(&model, &[]);
        let (root, release) =
            (text(&seeded, "root").to_owned(), text(&seeded, "release").to_owned());
        Self { home, daemon, model, root, release }
    }

    fn weights(&self) -> Vec<u8> {
        fs::read(self.model.join(WEIGHTS)).expect("made")
    }

    fn reference(&self, path: &str) -> String {
        format!("{}:{path}", self.root)
    }

    /// Payload that it has sent.
    fn sent(&self) -> u64 {
        number(&self.home.ask(&["status"]), "bytes_out")
    }

    /// Lets it send as fast as it can.
    fn hurry(&self) {
        self.home.ask(&["limit", "--max-up", "off"]);
    }
}

fn start(home: &Home, args: &[&str]) -> Running {
    Running::spawn(home.command(&[&["cat"], args].concat()))
}

/// What it printed and what else it said, its stdout left out.
fn cat(home: &Home, args: &[&str]) -> (Vec<u8>, Output) {
    start(home, args).wait_bytes()
}

/// What it printed, and its summary.
#[track_caller]
fn printed(home: &Home, args: &[&str]) -> (Vec<u8>, Value) {
    let (bytes, output) = cat(home, &[args, &["--json"]].concat());
    assert_eq!(output.code, 0, "{output:#?}");
    let summary: Value = serde_json::from_str(&output.stderr).expect("one JSON object on stderr");
    assert_eq!(number(&summary, "bytes"), bytes.len() as u64);
    (bytes, summary)
}

/// The one error of a `cat` that printed nothing.
#[track_caller]
fn fails(home: &Home, args: &[&str], code: i32) -> String {
    let (bytes, output) = cat(home, &[args, &["--json"]].concat());
    assert!(bytes.is_empty(), "a failure leaves stdout empty");
    output.failure(code).all()
}

/// The only transfer of a home's daemon.
fn transfer(home: &Home) -> Option<Value> {
    home.ask(&["status"])["transfers"].as_array().expect("a list").first().cloned()
}

#[test]
fn a_file_that_is_here_is_printed_whole_or_in_part_with_and_without_a_daemon() {
    let home = Home::new();
    let model = home.model("tiny", 3);
    let seeded = home.seed(&model, &[]);
    let weights = fs::read(model.join(WEIGHTS)).expect("made");
    let config = fs::read(model.join("config.json")).expect("made");
    for with_daemon in [false, true] {
        let daemon = with_daemon.then(|| home.daemon(&[]));
        for root in [text(&seeded, "root"), text(&seeded, "release"), "tiny"] {
            let (bytes, output) = cat(&home, &[&format!("{root}:config.json")]);
            assert!(bytes == config, "{root}: other bytes");
            assert_eq!((output.code, output.stderr.as_str()), (0, ""), "nothing else is said");
        }
        let whole = format!("{}:{WEIGHTS}", text(&seeded, "root"));
        let (bytes, summary) = printed(&home, &[&whole]);
        assert!(bytes == weights, "other bytes");
        assert_eq!(number(&summary, "fetched_bytes"), 0);
        assert_eq!(number(&summary, "size"), weights.len() as u64);
        assert_eq!(summary["provenance"]["status"], "verified");
        let (from, len) = (MIB - 7, MIB + 20);
        let part = ["--offset", &from.to_string(), "--length", &len.to_string()];
        let (bytes, _) = printed(&home, &[&[whole.as_str()], &part[..]].concat());
        assert!(bytes == weights[from..from + len], "other bytes");
        let end = weights.len().to_string();
        let (bytes, _) = printed(&home, &[&whole, "--offset", &end]);
        assert!(bytes.is_empty());
        let behind = (weights.len() + 1).to_string();
        assert!(fails(&home, &[&whole, "--offset", &behind], 2).contains("--offset"));
        drop(daemon);
    }
}

#[test]
fn a_directory_and_a_path_that_is_not_there_are_refused_as_such() {
    let home = Home::new();
    let model = home.model("tiny", 3);
    let root = text(&home.seed(&model, &[]), "root").to_owned();
    let said = fails(&home, &[&root], 2);
    assert!(said.contains("directory") && said.contains(&format!("{root}:FILE")), "{said}");
    assert!(said.contains("config.json"), "{said}");
    let said = fails(&home, &[&format!("{root}:1_Pooling")], 2);
    assert!(said.contains(&format!("{root}:1_Pooling/FILE")), "{said}");
    assert!(fails(&home, &[&format!("{root}:none.json")], 3).contains("none.json"));
    assert!(fails(&home, &["nobody-has-this:config.json"], 3).contains("nobody-has-this"));
}

#[test]
fn of_a_file_that_is_not_here_only_what_is_read_is_fetched_and_a_get_goes_on_from_there() {
    let seeder = Seeder::new(48, &[]);
    let home = Home::new();
    let reference = seeder.reference(WEIGHTS);
    let weights = seeder.weights();
    let from = weights.len() - 100;
    let by = ["--peer", seeder.daemon.addr()];
    let (bytes, _) =
        printed(&home, &[&[reference.as_str(), "--offset", &from.to_string()], &by[..]].concat());
    assert!(bytes == weights[from..], "other bytes");
    assert!(seeder.sent() < 3 * MIB as u64, "nodes and one leaf, not {}", seeder.sent());
    let repos = home.ask(&["ls"]);
    assert_eq!(
        (&repos["repos"][0]["state"], &repos["repos"][0]["pinned"]),
        (&"arriving".into(), &false.into())
    );

    // Read once more, it is here.
    let before = seeder.sent();
    let again = ["--offset", &from.to_string(), "--timeout", "2"];
    let (bytes, _) = printed(&home, &[&[reference.as_str()], &again[..]].concat());
    assert!(bytes == weights[from..], "other bytes");
    assert_eq!(seeder.sent(), before);

    let got = home.get(&seeder.root, &by).ok();
    let size = files::size(&files::tree(&seeder.model));
    assert!(number(&got, "fetched_bytes") <= size - 300_000, "the leaf that was here came again");
    assert_eq!(files::tree(&PathBuf::from(text(&got, "path"))), files::tree(&seeder.model));
    assert_eq!(home.ask(&["ls"])["repos"][0]["state"], "whole");
}

#[test]
fn gc_drops_what_was_only_read() {
    let seeder = Seeder::new(4, &[]);
    let home = Home::new();
    let reference = seeder.reference(WEIGHTS);
    let (bytes, _) = printed(&home, &[&reference, "--length", "9", "--peer", seeder.daemon.addr()]);
    assert!(bytes == seeder.weights()[..9], "other bytes");
    assert!(files::partial_bytes(&home.path().join("library")).is_some());
    home.ask(&["gc"]);
    assert_eq!(files::partial_bytes(&home.path().join("library")), None);
    assert_eq!(home.ask(&["ls"])["repos"].as_array().map(Vec::len), Some(0));
}

#[test]
fn the_far_end_of_a_file_comes_long_before_the_rest_of_the_get_that_fetches_it() {
    let seeder = Seeder::new(64, &["--max-up", "2MiB"]);
    let home = Home::new();
    let _daemon = home.daemon(&[]);
    let out = home.beside("out");
    let get = home.start(&[
        "get",
        &seeder.root,
        "-o",
        out.to_str().expect("UTF-8"),
        "--peer",
        seeder.daemon.addr(),
    ]);
    until("the first blocks", || transfer(&home).filter(|line| number(line, "bytes") > MIB as u64));
    let weights = seeder.weights();
    let from = weights.len() - 100;
    let (bytes, _) = printed(&home, &[&seeder.reference(WEIGHTS), "--offset", &from.to_string()]);
    assert!(bytes == weights[from..], "other bytes");
    let line = transfer(&home).expect("the get goes on");
    let (here, total) = (number(&line, "bytes"), number(&line, "total"));
    assert!(here < total / 2, "{here} of {total} had come before the far end did");
    seeder.hurry();
    let got = get.wait().ok();
    assert_eq!(files::tree(&out), files::tree(&seeder.model));
    let overhead = 512 * 1024;
    assert!(number(&got, "fetched_bytes") < number(&got, "bytes") + overhead, "came twice: {got}");
    assert!(seeder.sent() < number(&got, "bytes") + overhead, "sent twice: {}", seeder.sent());
}

#[test]
fn several_readers_of_a_file_cost_one_download() {
    let seeder = Seeder::new(24, &["--max-up", "6MiB"]);
    let home = Home::new();
    let daemon = home.daemon(&[]);
    let reference = seeder.reference(WEIGHTS);
    let by = ["--peer", seeder.daemon.addr()];
    let of_release = format!("{}:{WEIGHTS}", seeder.release);
    let weights = seeder.weights();
    let middle = (weights.len() / 2).to_string();
    let readers = [
        start(&home, &[&reference, by[0], by[1]]),
        start(&home, &[&reference, by[0], by[1]]),
        start(&home, &[&reference, "--offset", &middle, by[0], by[1]]),
    ];
    let [first, second, third] = readers.map(|reader| {
        let (bytes, output) = reader.wait_bytes();
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        bytes
    });
    assert!(first == weights && second == weights, "other bytes");
    assert!(third == weights[weights.len() / 2..], "other bytes");
    let once = weights.len() as u64 + 512 * 1024;
    assert!(seeder.sent() < once, "{} for {}", seeder.sent(), weights.len());
    // Later, and under another name, as well.
    let (bytes, _) = printed(&home, &[&of_release, by[0], by[1]]);
    assert!(bytes == weights, "other bytes");
    assert!(seeder.sent() < once, "{} for {}", seeder.sent(), weights.len());
    assert!(daemon.log().is_empty() || !daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn a_get_that_begins_while_somebody_reads_takes_over_and_both_end_whole() {
    let seeder = Seeder::new(32, &["--max-up", "2MiB"]);
    let home = Home::new();
    let _daemon = home.daemon(&[]);
    let by = ["--peer", seeder.daemon.addr()];
    let reader = start(&home, &[&seeder.reference(WEIGHTS), by[0], by[1]]);
    until("the reader's first blocks", || {
        transfer(&home).filter(|line| number(line, "bytes") > MIB as u64)
    });
    let get = home.start(&["get", &seeder.root, by[0], by[1]]);
    until("one transfer of all", || {
        let all = files::size(&files::tree(&seeder.model));
        transfer(&home).filter(|line| line["total"].as_u64() == Some(all))
    });
    seeder.hurry();
    let (bytes, output) = reader.wait_bytes();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert!(bytes == seeder.weights(), "other bytes");
    let got = get.wait().ok();
    assert_eq!(files::tree(&PathBuf::from(text(&got, "path"))), files::tree(&seeder.model));
    // What was on its way when one made room for the other may come twice.
    let most = number(&got, "bytes") + 6 * MIB as u64;
    assert!(seeder.sent() < most, "{} for {}", seeder.sent(), number(&got, "bytes"));
}

#[test]
fn a_reader_that_is_killed_or_has_had_enough_stops_its_fetch_and_nothing_else() {
    let seeder = Seeder::new(32, &["--max-up", "1MiB"]);
    let home = Home::new();
    let daemon = home.daemon(&[]);
    let reference = seeder.reference(WEIGHTS);
    let by = ["--peer", seeder.daemon.addr()];
    let reader = start(&home, &[&reference, by[0], by[1]]);
    until("its first blocks", || transfer(&home).filter(|line| number(line, "bytes") > MIB as u64));
    reader.kill();
    until("no transfer", || transfer(&home).is_none().then_some(()));
    let sent = seeder.sent();
    assert!(sent < 20 * MIB as u64, "it was not stopped: {sent}");

    // A pipe that breaks ends it quietly.
    let mut command: Command = home.command(&["cat", &reference, by[0], by[1]]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut head = [0; 10];
    child.stdout.take().expect("piped").read_exact(&mut head).expect("ten bytes");
    assert_eq!(head, seeder.weights()[..10]);
    seeder.hurry();
    let output = child.wait_with_output().expect("its end");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    until("no transfer", || transfer(&home).is_none().then_some(()));

    let (bytes, _) = printed(&home, &[&reference, by[0], by[1]]);
    assert!(bytes == seeder.weights(), "other bytes");
    assert_eq!(home.ask(&["status"])["health"]["pid"], daemon.pid());
}

#[test]
fn nobody_to_ask_and_nobody_who_has_it_are_told_apart() {
    let home = Home::new();
    let other = Home::new();
    let daemon = other.daemon(&[]);
    let seeder = Seeder::new(1, &[]);
    let reference = seeder.reference(WEIGHTS);
    fails(&home, &[&reference, "--timeout", "2"], 6);
    fails(&home, &[&reference, "--timeout", "2", "--peer", daemon.addr()], 3);
    let said = fails(&home, &[&reference, "--peer", "nowhere"], 2);
    assert!(said.contains("--peer"), "{said}");
}
