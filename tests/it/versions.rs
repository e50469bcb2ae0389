//! The chain of a repo's cards, as users meet it: log and diff, a later word on a version, rollback, gaps, forks.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::common::{Daemon, Home, text};

/// A publisher with a daemon, whose model has one small file that each version changes.
struct Lab {
    home: Home,
    daemon: Daemon,
    model: PathBuf,
}

impl Lab {
    fn new() -> Self {
        Self::with(Home::new())
    }

    fn with(home: Home) -> Self {
        let model = home.beside("tiny");
        fs::create_dir_all(&model).expect("as it was made");
        let daemon = home.daemon(&[]);
        Self { home, daemon, model }
    }

    /// Another machine of the same publisher.
    fn twin(&self) -> Self {
        let home = Home::new();
        let keys = home.path().join("keys");
        fs::create_dir_all(&keys).expect("as it was made");
        fs::copy(self.home.path().join("keys/publisher.key"), keys.join("publisher.key"))
            .expect("as it was made");
        Self::with(home)
    }

    fn seed(&self, content: &str, more: &[&str]) -> Value {
        fs::write(self.model.join("weights.bin"), content).expect("as it was made");
        self.home.seed(&self.model, more)
    }

    fn get(&self, home: &Home, reference: &str) -> Value {
        home.get(reference, &["--peer", self.daemon.addr()]).ok()
    }

    /// What a person who fetches this is told.
    fn told(&self, home: &Home, reference: &str) -> String {
        let said = home.say(&["get", reference, "--peer", self.daemon.addr()]);
        format!("{}{}", said.stdout, said.stderr)
    }
}

fn statuses(log: &Value) -> Vec<(u64, String, bool, bool)> {
    let versions = log["versions"].as_array().expect("as it was made");
    let line = |line: &Value| {
        let flag = |name: &str| line[name].as_bool().expect("as it was made");
        let (seq, status) =
            (line["seq"].as_u64().expect("as it was made"), text(line, "status").to_owned());
        (seq, status, flag("accepted"), flag("head"))
    };
    versions.iter().map(line).collect()
}

fn line(seq: u64, status: &str, accepted: bool, head: bool) -> (u64, String, bool, bool) {
    (seq, status.to_owned(), accepted, head)
}

#[test]
fn log_and_diff_tell_what_changed_from_one_version_to_the_next() {
    let lab = Lab::new();
    lab.seed("one", &["--version", "1.0"]);
    fs::write(lab.model.join("README.md"), "# tiny\n").expect("as it was made");
    let second = lab.seed("two", &["--version", "1.1", "--license", "mit"]);
    let log = lab.home.ask(&["card", "log", "tiny"]);
    assert_eq!(statuses(&log), [line(2, "active", true, true), line(1, "active", true, false)]);
    assert_eq!(log["versions"][0]["release"], second["release"]);
    let diff = lab.home.ask(&["card", "diff", "tiny@1.0", "tiny@1.1"]);
    assert_eq!(diff["added"], json!(["README.md"]));
    assert_eq!(diff["changed"], json!(["weights.bin"]));
    assert_eq!(diff["removed"], json!([]));
    let fields = diff["fields"].as_array().expect("as it was made");
    let license =
        fields.iter().find(|change| change["field"] == "license").expect("as it was made");
    assert_eq!(license["to"], "mit");
    let shown = lab.home.ask(&["card", "show", "tiny"]);
    assert_eq!(shown["statement"]["predicate"]["version"], "1.1");
    assert_eq!(shown["card"], second["card"]);
    lab.home.run(&["card", "show", "nothing-here"]).fails(3);
}

#[test]
fn a_withdrawn_version_is_said_loudly_and_an_older_one_does_not_take_the_head() {
    let lab = Lab::new();
    let first = lab.seed("one", &[]);
    let second = lab.seed("two", &[]);
    let reason = ["--reason", "trained on the test set", "--replaced-by", text(&second, "card")];
    let log = lab.home.ask(&[&["card", "withdraw", "tiny@1"], &reason[..]].concat());
    let expected = [
        line(4, "active", true, true),
        line(3, "withdrawn", true, false),
        line(2, "active", true, false),
        line(1, "active", true, false),
    ];
    assert_eq!(statuses(&log), expected);
    assert_eq!(log["versions"][0]["root"], second["root"], "the newest is the head again");
    assert_eq!(log["versions"][1]["root"], first["root"]);
    let withdrawn = text(&log["versions"][1], "release");
    let home = Home::new();
    let told = lab.told(&home, withdrawn);
    for said in ["WITHDRAWN", "trained on the test set", text(&second, "card")] {
        assert!(told.contains(said), "{said} in {told}");
    }
    let got = lab.get(&home, withdrawn);
    assert_eq!(got["provenance"]["stated"], "withdrawn");
    assert_eq!(got["provenance"]["status"], "verified", "the signature is valid all the same");
    // Of the newest one card is enough.
    let log = lab.home.ask(&["card", "deprecate", "tiny"]);
    assert_eq!(statuses(&log)[0], line(5, "deprecated", true, true));
    // The same files again are in use again.
    let again = lab.seed("two", &[]);
    assert_eq!(lab.home.ask(&["card", "log", "tiny"])["versions"][0]["status"], "active");
    assert_eq!(again["root"], second["root"]);
}

#[test]
fn a_later_word_is_not_signed_behind_a_version_that_was_forgotten() {
    let lab = Lab::new();
    let first = lab.seed("one", &["--copy"]);
    let second = lab.seed("two", &["--copy"]);
    lab.home.ask(&["rm", text(&second, "release")]);
    lab.home.run(&["card", "withdraw", text(&first, "release")]).fails(1).says("seed its folder");
    let log = lab.home.ask(&["card", "log", "tiny"]);
    assert_eq!(log["versions"].as_array().expect("a list").len(), 2, "nothing was signed: {log}");
}

#[test]
fn only_the_publisher_says_what_becomes_of_a_version() {
    let lab = Lab::new();
    let seeded = lab.seed("one", &[]);
    let home = Home::new();
    lab.get(&home, text(&seeded, "release"));
    home.run(&["card", "withdraw", text(&seeded, "release")]).fails(5).says("only its key");
}

#[test]
fn a_name_stands_for_the_newest_accepted_version_whatever_was_fetched_by_its_cid() {
    let lab = Lab::new();
    let releases: Vec<String> = ["one", "two", "three"]
        .map(|content| text(&lab.seed(content, &["--copy"]), "release").to_owned())
        .into();
    let home = Home::new();
    let version = |home: &Home| text(&home.ask(&["show", "tiny"]), "version").to_owned();
    lab.get(&home, &releases[1]);
    assert!(lab.told(&home, &releases[0]).contains("rollback"), "an older one, since it was named");
    assert_eq!(version(&home), "2");
    // Beyond a gap: used, and not the head until what lies between is here.
    let behind = Home::new();
    lab.get(&behind, &releases[0]);
    assert!(lab.told(&behind, &releases[2]).contains("those between are not known"));
    assert_eq!(version(&behind), "1");
    let log = behind.ask(&["card", "log", "tiny"]);
    assert_eq!(statuses(&log), [line(3, "active", false, false), line(1, "active", true, true)]);
    lab.get(&behind, &releases[1]);
    assert_eq!(version(&behind), "2");
    lab.get(&behind, &releases[2]);
    assert_eq!(version(&behind), "3");
}

#[test]
fn first_contact_says_how_many_versions_were_never_seen() {
    let lab = Lab::new();
    lab.seed("one", &["--copy"]);
    lab.seed("two", &["--copy"]);
    let third = lab.seed("three", &["--copy"]);
    assert!(lab.told(&Home::new(), text(&third, "release")).contains("2 versions before it"));
}

#[test]
fn two_cards_of_one_place_are_kept_as_proof_and_one_card_settles_between_them() {
    let lab = Lab::new();
    let first = lab.seed("one", &["--copy"]);
    let twin = lab.twin();
    lab.get(&twin.home, text(&first, "release"));
    let ours = lab.seed("ours", &["--copy"]);
    let theirs = twin.seed("theirs", &["--copy", "--onto", text(&first, "card")]);
    let home = Home::new();
    lab.get(&home, text(&first, "release"));
    lab.get(&home, text(&ours, "release"));
    let told = twin.told(&home, text(&theirs, "release"));
    assert!(told.contains("two different cards"), "{told}");
    let shown = home.ask(&["show", "tiny"]);
    assert_eq!(shown["root"], first["root"], "the last version that all agree on");
    let log = home.ask(&["card", "log", "tiny"]);
    let forked = line(2, "active", false, false);
    assert_eq!(statuses(&log), [forked.clone(), forked, line(1, "active", true, true)]);
    // Explicit ids go on working.
    lab.get(&home, text(&ours, "release"));

    // The publisher finds out as soon as it sees the other one, and must choose.
    twin.get(&lab.home, text(&theirs, "release"));
    fs::write(lab.model.join("weights.bin"), "healed").expect("as it was made");
    let model = lab.model.to_str().expect("as it was made");
    lab.home.run(&["seed", model, "--copy"]).fails(4).says("--onto");
    lab.home.run(&["card", "withdraw", "tiny@1"]).fails(4).says("--onto");
    lab.home.run(&["seed", model, "--onto", text(&first, "card")]).fails(2).says("after it");
    lab.home.run(&["seed", model, "--onto", "nonsense"]).fails(2);
    let healed = lab.seed("healed", &["--copy", "--onto", text(&ours, "card")]);
    let card = lab.home.ask(&["card", "show", text(&healed, "release")]);
    assert_eq!(card["statement"]["predicate"]["seq"], 3);
    assert_eq!(
        card["statement"]["predicate"]["resolves"].as_array().expect("as it was made").len(),
        2
    );
    lab.get(&home, text(&healed, "release"));
    let shown = home.ask(&["show", "tiny"]);
    assert_eq!(shown["root"], healed["root"], "the fork is healed");
    assert_eq!(lab.seed("after", &["--copy"])["version"], "4");
}

/// A publisher whose model "tiny" has two versions over the same files, of which the second withdraws them. Their releases.
fn withdrawn() -> (Lab, String, String) {
    let lab = Lab::new();
    let first = lab.seed("one", &["--license", "mit"]);
    let log = lab.home.ask(&["card", "withdraw", "tiny", "--reason", "stolen data"]);
    let second = text(&log["versions"][0], "release").to_owned();
    (lab, text(&first, "release").to_owned(), second)
}

/// Every command that says what a version is says that it is withdrawn.
#[track_caller]
fn is_said_to_be_withdrawn(home: &Home, reference: &str) {
    for command in [&["show", reference][..], &["verify", reference], &["card", "show", reference]]
    {
        assert_eq!(home.ask(command)["provenance"]["stated"], "withdrawn", "{command:?}");
        let said = home.say(command).stdout;
        assert!(said.contains("WITHDRAWN") && said.contains("stolen data"), "{command:?}: {said}");
    }
    let why = home.ask(&["trust", "why", reference]);
    let reasons = why["reasons"].as_array().expect("a list");
    let of_status = reasons.iter().find(|reason| reason["rule"] == "status");
    assert!(of_status.is_some_and(|it| text(it, "text").contains("stolen data")), "{why}");
    assert_eq!(home.ask(&["lineage", reference])["stated"], "withdrawn");
    assert!(home.say(&["lineage", reference]).stdout.contains("WITHDRAWN"));
    assert_eq!(home.ask(&["show", reference])["stated"], "withdrawn");
    assert_eq!(home.ask(&["ls"])["repos"][0]["stated"], "withdrawn");
    assert!(home.say(&["ls"]).stdout.contains("WITHDRAWN"));
    let status = home.ask(&["status"]);
    assert_eq!(status["withdrawn"][0]["name"], "tiny");
    assert_eq!(status["withdrawn"][0]["stated"], "withdrawn");
    assert!(home.say(&["status"]).stdout.contains("WITHDRAWN"));
}

#[test]
fn a_withdrawal_is_said_of_every_version_over_the_same_files_by_every_command() {
    let (lab, first, second) = withdrawn();
    let home = Home::new();
    lab.get(&home, &second);
    is_said_to_be_withdrawn(&home, "tiny");
    let told = lab.told(&home, &first);
    assert!(told.contains("WITHDRAWN") && told.contains("stolen data"), "{told}");
    assert_eq!(lab.get(&home, &first)["provenance"]["stated"], "withdrawn");
    for reference in [&first, &second, "tiny@1", "tiny@2", "tiny"] {
        is_said_to_be_withdrawn(&home, reference);
    }
    // Its publisher hears it too, and nothing is said of what is in use.
    is_said_to_be_withdrawn(&lab.home, "tiny@1");
    lab.seed("two", &["--license", "mit"]);
    assert_eq!(lab.home.ask(&["show", "tiny"])["stated"], Value::Null);
    assert_eq!(lab.home.ask(&["status"])["withdrawn"], json!([]));
    assert_eq!(lab.home.ask(&["show", &first])["stated"], "withdrawn");
}

#[test]
fn an_older_release_of_the_same_files_does_not_take_the_place_of_the_newest() {
    let (lab, first, second) = withdrawn();
    let home = Home::new();
    lab.get(&home, &second);
    let publisher = text(&home.ask(&["show", "tiny"]), "publisher").to_owned();
    assert_eq!(lab.get(&home, &first)["release"], first, "it was asked for");
    assert_eq!(home.ask(&["ls"])["repos"].as_array().map(Vec::len), Some(1));
    let commit = text(&home.ask(&["show", "tiny"]), "commit").to_owned();
    let repo = format!("{publisher}/tiny");
    let by_commit = format!("{repo}@{commit}");
    for reference in ["tiny", &repo, &by_commit] {
        assert_eq!(home.ask(&["show", reference])["version"], "2", "{reference}");
        let got = lab.get(&home, reference);
        assert_eq!(
            (&got["release"], &got["provenance"]["stated"]),
            (&json!(second), &json!("withdrawn"))
        );
        assert!(lab.told(&home, reference).contains("WITHDRAWN"), "{reference}");
    }
    // The other way round the newer one takes the place, and both lead to the files.
    let other = Home::new();
    lab.get(&other, &first);
    assert_eq!(other.ask(&["show", "tiny"])["stated"], Value::Null, "nobody told it yet");
    lab.get(&other, &second);
    is_said_to_be_withdrawn(&other, &first);
    assert_eq!(other.ask(&["show", &first])["version"], "2");
    // Forgotten is what a version is called by now.
    other.run(&["rm", &first]).fails(3);
    other.ask(&["rm", "tiny@2"]);
    assert_eq!(other.ask(&["ls"])["repos"], json!([]));
}

#[test]
fn a_card_beyond_a_gap_over_the_same_files_warns_and_takes_no_place() {
    let lab = Lab::new();
    let first = lab.seed("one", &["--copy"]);
    lab.seed("two", &["--copy"]);
    let log = lab.home.ask(&["card", "withdraw", "tiny@1", "--reason", "stolen data"]);
    let withdrawal = text(&log["versions"][1], "release").to_owned();
    let home = Home::new();
    lab.get(&home, text(&first, "release"));
    assert!(lab.told(&home, &withdrawal).contains("those between are not known"));
    let shown = home.ask(&["show", "tiny"]);
    assert_eq!((text(&shown, "version"), text(&shown, "stated")), ("1", "withdrawn"));
}

#[test]
fn what_replaces_a_version_is_a_cid_or_a_version_of_the_same_repo() {
    let lab = Lab::new();
    lab.seed("one", &["--copy"]);
    let second = lab.seed("two", &["--copy"]);
    let withdraw = |by: &str| lab.home.run(&["card", "withdraw", "tiny@1", "--replaced-by", by]);
    for nonsense in ["nonsense", "9.9", "other@1", ""] {
        withdraw(nonsense).fails(2).says("a version of the same repo").says("CID");
    }
    let log = lab.home.ask(&["card", "log", "tiny"]);
    assert_eq!(log["versions"].as_array().map(Vec::len), Some(2), "nothing was signed");
    let log = withdraw("2").ok();
    let signed = lab.home.ask(&["card", "show", text(&log["versions"][1], "release")]);
    assert_eq!(signed["statement"]["predicate"]["replacedBy"], second["card"]);
    let log = withdraw(text(&second, "release")).ok();
    let signed = lab.home.ask(&["card", "show", text(&log["versions"][1], "release")]);
    assert_eq!(signed["statement"]["predicate"]["replacedBy"], second["release"]);
}

#[test]
fn the_same_word_again_signs_nothing_and_another_one_does() {
    let lab = Lab::new();
    lab.seed("one", &["--copy"]);
    lab.seed("two", &["--copy"]);
    let count = |log: &Value| log["versions"].as_array().expect("a list").len();
    let withdraw = ["card", "withdraw", "tiny@1", "--reason", "stolen data"];
    assert_eq!(count(&lab.home.ask(&withdraw)), 4);
    let again = lab.home.say(&withdraw);
    assert_eq!(again.code, 0, "{again:#?}");
    assert!(again.stderr.contains("already withdrawn"), "{again:#?}");
    assert_eq!(count(&lab.home.ask(&withdraw)), 4);
    assert_eq!(count(&lab.home.ask(&["card", "withdraw", "tiny@1", "--reason", "another"])), 6);
    assert_eq!(count(&lab.home.ask(&["card", "deprecate", "tiny"])), 7);
    assert_eq!(count(&lab.home.ask(&["card", "deprecate", "tiny"])), 7);
    assert_eq!(count(&lab.home.ask(&["card", "withdraw", "tiny"])), 8);
}

#[test]
fn what_was_named_is_not_told_to_be_named() {
    let lab = Lab::new();
    let first = lab.seed("one", &["--copy"]);
    let second = lab.seed("two", &["--copy"]);
    let home = Home::new();
    lab.get(&home, text(&second, "release"));
    let told = lab.told(&home, text(&first, "release"));
    assert!(told.contains("rollback") && !told.contains("name its CID"), "{told}");
}

/// A publisher that signed 1, 2a and 3, and on another machine 2b after 1.
struct Forked {
    lab: Lab,
    twin: Lab,
    /// 1, 2a, 3.
    releases: Vec<Value>,
    other: Value,
}

impl Forked {
    fn new() -> Self {
        let lab = Lab::new();
        let first = lab.seed("one", &["--copy"]);
        let twin = lab.twin();
        lab.get(&twin.home, text(&first, "release"));
        let second = lab.seed("ours", &["--copy"]);
        let third = lab.seed("three", &["--copy"]);
        let other = twin.seed("theirs", &["--copy", "--onto", text(&first, "card")]);
        Self { lab, twin, releases: vec![first, second, third], other }
    }

    /// The cards of the place that is claimed twice.
    fn both(&self) -> [&str; 2] {
        [text(&self.releases[1], "card"), text(&self.other, "card")]
    }
}

#[test]
fn a_second_card_of_a_place_below_the_newest_is_kept_as_proof_and_said() {
    let world = Forked::new();
    let home = Home::new();
    for release in &world.releases {
        world.lab.get(&home, text(release, "release"));
    }
    let told = world.twin.told(&home, text(&world.other, "release"));
    for said in ["two different cards for version 2"].into_iter().chain(world.both()) {
        assert!(told.contains(said), "{said} in {told}");
    }
    assert!(!told.contains("rollback"), "{told}");
    let log = home.ask(&["card", "log", "tiny"]);
    assert_eq!(log["contradictions"][0]["seq"], 2);
    assert_eq!(log["contradictions"][0]["cards"], json!(world.both()));
    assert_eq!(home.ask(&["status"])["contradictions"], log["contradictions"]);
    let said = home.say(&["status"]);
    assert!(said.stdout.contains("more than one card for version 2"), "{said:?}");
    // What all agree on is the version below; the one in dispute is taken only by its CID.
    assert_eq!(text(&home.ask(&["show", "tiny"]), "version"), "1");
    let refused = home.run(&["get", "tiny@2"]);
    world.both().iter().for_each(|card| {
        refused.fails(4).says(card);
    });
    world.lab.get(&home, text(&world.releases[1], "release"));

    // Unhealed, the next one is refused for what is the matter, and not for a rollback or a gap.
    let fourth = world.lab.seed("four", &["--copy"]);
    let told = world.lab.told(&home, text(&fourth, "release"));
    assert!(told.contains("two different cards for version 2"), "{told}");
    assert_eq!(text(&home.ask(&["show", "tiny"]), "version"), "1");

    // The publisher meets the other card, is told, and settles it.
    world.twin.get(&world.lab.home, text(&world.other, "release"));
    fs::write(world.lab.model.join("weights.bin"), "healed").expect("as it was made");
    let model = world.lab.model.to_str().expect("as it was made");
    let refused = world.lab.home.run(&["seed", model, "--copy"]);
    refused.fails(4).says(text(&world.other, "card"));
    refused.fails(4).says("--onto");
    let healed = world.lab.seed("healed", &["--copy", "--onto", text(&fourth, "card")]);
    let card = world.lab.home.ask(&["card", "show", text(&healed, "release")]);
    assert_eq!(card["statement"]["predicate"]["resolves"], json!(world.both()));
    world.lab.get(&home, text(&fourth, "release"));
    world.lab.get(&home, text(&healed, "release"));
    assert_eq!(text(&home.ask(&["show", "tiny"]), "version"), "5");
    assert_eq!(home.ask(&["card", "log", "tiny"]).get("contradictions"), None);
    assert_eq!(home.ask(&["show", "tiny@2"])["root"], world.releases[1]["root"], "the settled one");
    assert_eq!(world.lab.seed("after", &["--copy"])["version"], "6");
}

#[test]
fn whoever_holds_the_other_branch_follows_once_it_is_settled() {
    let world = Forked::new();
    let publisher = text(&world.releases[0], "publisher").to_owned();
    let name = format!("{publisher}/tiny");
    let home = Home::new();
    world.lab.get(&home, text(&world.releases[0], "release"));
    world.twin.get(&home, text(&world.other, "release"));
    let by = ["--peer", world.lab.daemon.addr()];
    let refused = home.get(&name, &by);
    for said in ["two different cards for version 2"].into_iter().chain(world.both()) {
        refused.fails(4).says(said);
    }
    world.twin.get(&world.lab.home, text(&world.other, "release"));
    let healed = world.lab.seed("healed", &["--copy", "--onto", text(&world.releases[2], "card")]);
    let got = home.get(&name, &by).ok();
    assert_eq!(got["release"], healed["release"]);
    assert_eq!(text(&home.ask(&["show", "tiny"]), "version"), "4");
    // Who was at the first one follows as well.
    let early = Home::new();
    world.lab.get(&early, text(&world.releases[0], "release"));
    assert_eq!(early.get(&name, &by).ok()["release"], healed["release"]);
}
