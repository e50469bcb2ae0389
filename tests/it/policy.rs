//! The user's rules: what `trust.toml` refuses before the bulk moves, and the reasons that `trust why` gives.

use std::fs;

use serde_json::{Value, json};

use crate::common::{Daemon, Home, text, until};

struct Lab {
    _home: Home,
    daemon: Daemon,
    seeded: Value,
}

impl Lab {
    fn new() -> Self {
        Self::with(1)
    }

    fn with(seed: u64) -> Self {
        let home = Home::new();
        let model = home.model("tiny", seed);
        let daemon = home.daemon(&[]);
        let seeded = home.seed(&model, &[]);
        Self { _home: home, daemon, seeded }
    }

    fn get(&self, home: &Home, what: &str) -> crate::common::Output {
        home.get(text(&self.seeded, what), &["--peer", self.daemon.addr()])
    }

    /// Writes a home's rules.
    fn rules(home: &Home, rules: &str) {
        fs::create_dir_all(home.path()).expect("as it was made");
        fs::write(home.path().join("trust.toml"), rules).expect("as it was made");
    }
}

#[test]
fn without_rules_strangers_and_unsigned_content_are_taken_and_the_reasons_say_so() {
    let lab = Lab::new();
    let home = Home::new();
    lab.get(&home, "release").ok();
    let why = home.ask(&["trust", "why", text(&lab.seeded, "release")]);
    assert_eq!((&why["allowed"], &why["trust"]), (&true.into(), &"new".into()));
    let other = Home::new();
    lab.get(&other, "root").ok();
    let why = other.ask(&["trust", "why", text(&lab.seeded, "root")]);
    assert_eq!(why["allowed"], true);
    assert!(
        why["reasons"]
            .as_array()
            .expect("as it was made")
            .iter()
            .any(|reason| reason["rule"] == "unsigned")
    );
    other.run(&["trust", "why", "nothing"]).fails(3);
}

#[test]
fn a_name_that_another_key_used_before_is_said_loudly() {
    let (lab, other) = (Lab::new(), Lab::with(2));
    let home = Home::new();
    let first = lab.get(&home, "release");
    assert!(!first.stderr.contains("ANOTHER PUBLISHER"), "{first:?}");
    first.ok();
    let second = other.get(&home, "release");
    let said =
        ["ANOTHER PUBLISHER", text(&lab.seeded, "publisher"), text(&other.seeded, "publisher")];
    assert!(said.iter().all(|said| second.stderr.contains(said)), "{second:?}");
    second.ok();
    // Neither takes the other's name.
    home.run(&["show", "tiny"]).fails(2);
    let of = |lab: &Lab| {
        home.ask(&["show", &format!("{}/tiny", text(&lab.seeded, "publisher"))])["root"].clone()
    };
    assert_eq!([of(&lab), of(&other)], [lab.seeded["root"].clone(), other.seeded["root"].clone()]);
}

#[test]
fn stricter_rules_refuse_before_the_bulk_moves() {
    let lab = Lab::new();
    let size = lab.seeded["bytes"].as_u64().expect("as it was made");
    for (rules, what, rule) in [
        ("[default]\nunknown = \"deny\"\n", "release", "publisher"),
        ("[default]\nunsigned = \"deny\"\n", "root", "unsigned"),
        ("[default]\nmax_size = \"1MB\"\n", "release", "size"),
    ] {
        let home = Home::new();
        Lab::rules(&home, rules);
        lab.get(&home, what).fails(4).says(&format!("({rule})"));
        let held = home.ask(&["ls"]);
        assert_eq!(held["repos"], Value::Array(Vec::new()), "{rules}: nothing of it is here");
        assert!(size > 1_000_000);
    }
    let home = Home::new();
    Lab::rules(&home, "[default]\nunknown = \"deny\"\n");
    home.ask(&["trust", "add", "lab", text(&lab.seeded, "publisher")]);
    lab.get(&home, "release").ok();
    let rules = fs::read_to_string(home.path().join("trust.toml")).expect("as it was made");
    assert!(rules.contains("unknown = \"deny\""), "rules outlive `trust add`: {rules}");
}

#[test]
fn a_block_holds_whoever_vouches_for_it_until_it_is_lifted() {
    let lab = Lab::new();
    let home = Home::new();
    let publisher = text(&lab.seeded, "publisher");
    home.ask(&["trust", "add", "lab", publisher]);
    for blocked in ["publisher", "release", "root", "card"] {
        let id = text(&lab.seeded, blocked);
        let list = home.ask(&["trust", "block", id, "--reason", "stolen"]);
        assert_eq!(list["blocked"][0]["reason"], "stolen");
        lab.get(&home, "release").fails(4).says("(block)").says("stolen");
        home.ask(&["trust", "block", id, "--lift"]);
    }
    lab.get(&home, "release").ok();
    home.run(&["trust", "block", publisher, "--lift"]).fails(3);
    home.run(&["trust", "block", "nonsense"]).fails(2);
    home.ask(&["trust", "block", publisher]);
    let why = home.ask(&["trust", "why", "tiny"]);
    assert_eq!(why["allowed"], false);
    assert_eq!(why["reasons"][0]["rule"], "block");
}

#[test]
fn a_mistyped_rule_is_an_error_that_names_the_file_the_line_and_the_field() {
    let lab = Lab::new();
    for rule in ["unkown = \"deny\"", "pickle = \"deny\"", "unknown = \"maybe\"", "code = \"no\""] {
        let home = Home::new();
        Lab::rules(&home, &format!("[default]\n{rule}\n"));
        let field = rule.split(' ').next().expect("as it was made");
        for run in [lab.get(&home, "release"), home.run(&["trust", "list"])] {
            run.fails(1).says("trust.toml").says(&format!("line 2, {field}"));
        }
        let daemon = home.daemon(&[]);
        until("the word in its log", || daemon.log().contains(field).then_some(()));
        assert!(text_of(&home.ask(&["status"])["trust"]).contains(field));
    }
}

/// A list of texts as one.
fn text_of(list: &Value) -> String {
    let lines = list.as_array().expect("a list").iter();
    lines.map(|line| line.as_str().expect("a text")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_field_that_is_not_known_elsewhere_is_warned_of_by_all_who_go_by_the_rules() {
    let lab = Lab::new();
    let home = Home::new();
    let publisher = text(&lab.seeded, "publisher");
    let rules = format!("[[publisher]]\nalias = \"lab\"\nid = \"{publisher}\"\nmodles = [\"x\"]\n");
    Lab::rules(&home, &rules);
    let release = text(&lab.seeded, "release");
    let got = home.say(&["get", release, "--peer", lab.daemon.addr()]);
    assert_eq!(got.code, 0, "{got:#?}");
    for said in [&got, &home.say(&["trust", "list"]), &home.say(&["trust", "why", "tiny"])] {
        assert!(said.stderr.contains("warning: trust.toml: "), "{said:#?}");
        assert!(said.stderr.contains("publisher.modles"), "{said:#?}");
    }
    assert_eq!(home.ask(&["trust", "list"])["unread"], json!(["publisher.modles"]));
    assert_eq!(home.ask(&["trust", "why", "tiny"])["unread"], json!(["publisher.modles"]));
    let daemon = home.daemon(&[]);
    until("the word in its log", || daemon.log().contains("publisher.modles").then_some(()));
    assert!(text_of(&home.ask(&["status"])["trust"]).contains("publisher.modles"));
    assert!(home.say(&["status"]).stdout.contains("publisher.modles"));
}

#[test]
fn why_answers_for_a_publisher_by_itself() {
    let lab = Lab::new();
    let home = Home::new();
    let publisher = text(&lab.seeded, "publisher");
    let why = home.ask(&["trust", "why", publisher]);
    assert_eq!((&why["allowed"], &why["trust"]), (&true.into(), &"new".into()));
    let said = home.say(&["trust", "why", publisher]).stdout;
    assert!(said.contains("unknown = \"accept-new\"") && said.contains(publisher), "{said}");
    home.ask(&["trust", "add", "lab", publisher]);
    assert_eq!(home.ask(&["trust", "why", "lab"])["trust"], "trusted");
    home.ask(&["trust", "block", publisher, "--reason", "stolen"]);
    let why = home.ask(&["trust", "why", publisher]);
    assert_eq!((&why["allowed"], &why["reasons"][0]["rule"]), (&false.into(), &"block".into()));
}

#[test]
fn rules_that_contradict_themselves_are_an_error_that_names_the_file() {
    let lab = Lab::new();
    let home = Home::new();
    Lab::rules(&home, "[default]\nunknown = \"maybe\"\n");
    lab.get(&home, "release").fails(1).says("trust.toml");
}
