//! Claims: endorsements made, kept, asked of peers, and required.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::common::{Daemon, Home, Output, text, until};

/// Somebody with a daemon.
struct Party {
    home: Home,
    daemon: Daemon,
}

impl Party {
    fn new() -> Self {
        Self::with(Home::new())
    }

    fn with(home: Home) -> Self {
        let daemon = home.daemon(&[]);
        Self { home, daemon }
    }

    fn did(&self) -> String {
        text(&self.home.ask(&["id"]), "publisher").to_owned()
    }

    fn seed(&self, more: &[&str]) -> Value {
        let model = self.home.beside("tiny");
        fs::create_dir_all(&model).expect("as it was made");
        fs::write(model.join("weights.bin"), "weights").expect("as it was made");
        self.home.seed(&model, more)
    }

    fn get(&self, reference: &str, from: &Self) -> Output {
        self.home.get(reference, &["--peer", from.daemon.addr()])
    }

    fn endorse(&self, reference: &str, more: &[&str]) -> Value {
        self.home.ask(&[&["endorse", reference], more].concat())
    }

    /// What is said of it here, without asking anybody.
    fn claims(&self, reference: &str) -> Value {
        claims(&self.home, reference)
    }
}

fn claims(home: &Home, reference: &str) -> Value {
    home.ask(&["claims", reference, "--offline"])
}

/// What is said of it here and by a peer.
fn asked(home: &Home, reference: &str, peer: &Party) -> Value {
    home.ask(&["claims", reference, "--peer", peer.daemon.addr()])
}

fn list<'a>(answer: &'a Value, field: &str) -> &'a Vec<Value> {
    answer[field].as_array().expect("a list")
}

fn rules(home: &Home, rules: &str) {
    fs::create_dir_all(home.path()).expect("as it was made");
    fs::write(home.path().join("trust.toml"), rules).expect("as it was made");
}

/// The rules of somebody who takes nothing without this property of this endorser.
fn requiring(endorser: &str) -> String {
    format!(
        "[[endorser]]\nalias = \"evalco\"\nid = \"{endorser}\"\n\
         [[require]]\npublisher = \"*\"\nany_of = [\"evalco\"]\nproperties = [\"EVAL_REPRODUCED\"]\n"
    )
}

/// A lab with a model, and an evaluator that fetched it.
struct World {
    lab: Party,
    evaluator: Party,
    release: String,
    root: String,
}

impl World {
    fn new() -> Self {
        let (lab, evaluator) = (Party::new(), Party::new());
        let seeded = lab.seed(&[]);
        let release = text(&seeded, "release").to_owned();
        let root = text(&seeded, "root").to_owned();
        evaluator.get(&release, &lab).ok();
        Self { lab, evaluator, release, root }
    }
}

#[test]
fn a_release_is_fetched_only_with_the_claim_that_is_required() {
    let world = World::new();
    let home = Home::new();
    rules(&home, &requiring(&world.evaluator.did()));
    let get = |reference: &str| home.get(reference, &["--peer", world.evaluator.daemon.addr()]);
    get(&world.release).fails(4).says("(claims)").says("EVAL_REPRODUCED by evalco");
    assert_eq!(home.ask(&["ls"])["repos"], json!([]), "nothing of it is here");
    // A claim of something else is not the one that is required.
    world.evaluator.endorse(&world.release, &["--property", "PICKLE_FREE"]);
    get(&world.release).fails(4).says("EVAL_REPRODUCED");
    let made = world.evaluator.endorse(
        &world.release,
        &["--property", "EVAL_REPRODUCED", "--property", "PICKLE_FREE", "--note", "on 8 GPUs"],
    );
    assert_eq!(made["replaces"].as_array().map(Vec::len), Some(1), "{made}");
    let got = get(&world.release).ok();
    assert_eq!(got["provenance"]["trust"], "new");
    let why = home.ask(&["trust", "why", &world.release]);
    assert_eq!(why["allowed"], true);
    let said: Vec<&str> = list(&why, "reasons").iter().map(|one| text(one, "text")).collect();
    assert!(said.iter().any(|text| text.contains("evalco confirms EVAL_REPRODUCED")), "{said:?}");
    assert!(said.iter().any(|text| text.contains("as you require")), "{said:?}");
    let known = claims(&home, &world.release);
    let claim = &list(&known, "claims")[0];
    assert_eq!(claim["claim"], made["claim"]);
    assert_eq!((&claim["trust"], &claim["alias"]), (&json!("listed"), &json!("evalco")));
    assert_eq!((&claim["counts"], &claim["holds"]), (&json!(true), &json!(true)));
    assert_eq!(claim["note"], "on 8 GPUs");
}

#[test]
fn a_requirement_holds_for_bare_files_too_and_a_failed_claim_takes_back_what_was_said() {
    let world = World::new();
    let home = Home::new();
    rules(&home, &requiring(&world.evaluator.did()));
    let get = |home: &Home| home.get(&world.root, &["--peer", world.evaluator.daemon.addr()]);
    get(&home).fails(4).says("(claims)");
    world.evaluator.endorse(&world.release, &["--property", "EVAL_REPRODUCED"]);
    assert_eq!(get(&home).ok()["provenance"]["status"], "unsigned");
    let failed = world.evaluator.endorse(&world.root, &["--property", "EVAL_REPRODUCED", "--fail"]);
    assert_eq!((&failed["kind"], &failed["holds"]), (&json!("test-result"), &json!(false)));
    let other = Home::new();
    rules(&other, &requiring(&world.evaluator.did()));
    get(&other).fails(4).says("EVAL_REPRODUCED");
    let why = |home: &Home| home.ask(&["trust", "why", &world.root]);
    assert_eq!(why(&home)["allowed"], true, "this one has not heard of it");
    asked(&home, &world.root, &world.evaluator);
    assert_eq!(why(&home)["allowed"], false);
}

#[test]
fn a_failed_claim_of_a_listed_endorser_is_said_loudly() {
    let world = World::new();
    world.evaluator.endorse(
        &world.release,
        &["--fail", "--property", "PICKLE_FREE", "--note", "\u{202e}see the report"],
    );
    let home = Home::new();
    home.ask(&["trust", "add-endorser", "evalco", &world.evaluator.did()]);
    asked(&home, &world.root, &world.evaluator);
    let peer = ["--peer", world.evaluator.daemon.addr()];
    let said = home.say(&[&["get", &world.release][..], &peer].concat());
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("evalco DENIES PICKLE_FREE"), "{said:?}");
    let said = home.say(&["claims", &world.release, "--offline"]);
    assert!(said.stdout.contains("FAILED  PICKLE_FREE (test-result)  by evalco"), "{said:?}");
    assert!(!said.stdout.contains('\u{202e}'), "what turns text around is not printed: {said:?}");
    // To somebody who never listed the endorser it is shown, and is no warning.
    let stranger = Home::new();
    let said = stranger.say(&[&["get", &world.release][..], &peer].concat());
    assert!(!said.stderr.contains("DENIES"), "{said:?}");
    asked(&stranger, &world.release, &world.evaluator);
    let said = stranger.say(&["claims", &world.release, "--offline"]);
    assert!(said.stdout.contains("FAILED") && said.stdout.contains("UNKNOWN to you"), "{said:?}");
}

#[test]
fn what_a_listed_endorser_denies_is_said_at_the_first_get_and_shown() {
    let world = World::new();
    let said = |home: &Home, reference: &str| {
        let peer = ["--peer", world.evaluator.daemon.addr()];
        home.say(&[&["get", reference][..], &peer].concat())
    };
    world.evaluator.endorse(&world.release, &["--property", "SAFETY"]);
    world.evaluator.endorse(&world.release, &["--fail", "--property", "EVAL_REPRODUCED"]);
    // What is said of another property takes nothing of that back.
    let other = ["--fail", "--property", "SAFETY"];
    let replaced = world.evaluator.endorse(&world.release, &other);
    assert_eq!(replaced["replaces"].as_array().map(Vec::len), Some(1), "{replaced}");
    for reference in [&world.release, &world.root] {
        let home = Home::new();
        home.ask(&["trust", "add-endorser", "evalco", &world.evaluator.did()]);
        let got = said(&home, reference);
        assert_eq!(got.code, 0, "{got:?}");
        for denied in ["evalco DENIES EVAL_REPRODUCED", "evalco DENIES SAFETY"] {
            assert_eq!(got.stderr.matches(denied).count(), 1, "{denied} in {got:?}");
        }
        let shown = home.ask(&["show", reference]);
        assert_eq!(list(&shown, "claims").len(), 2, "{shown}");
        let shown = home.say(&["show", reference]);
        assert!(shown.stdout.contains("FAILED  SAFETY (test-result)  by evalco"), "{shown:?}");
    }
    assert!(!said(&Home::new(), &world.release).stderr.contains("DENIES"));
}

#[test]
fn a_claim_that_was_taken_back_stays_so_for_who_missed_what_lies_between() {
    let world = World::new();
    let property = ["--property", "EVAL_REPRODUCED"];
    world.evaluator.endorse(&world.release, &property);
    let home = Home::new();
    home.ask(&["trust", "add-endorser", "evalco", &world.evaluator.did()]);
    assert_eq!(list(&asked(&home, &world.root, &world.evaluator), "claims")[0]["holds"], true);
    world.evaluator.endorse(&world.release, &[&property[..], &["--note", "again"]].concat());
    let failed = [&property[..], &["--fail", "--kind", "test-result"]].concat();
    let failed = world.evaluator.endorse(&world.release, &failed);
    let heard = asked(&home, &world.root, &world.evaluator);
    let counting: Vec<&Value> =
        list(&heard, "claims").iter().map(|claim| &claim["claim"]).collect();
    assert_eq!(counting, [&failed["claim"]]);
}

/// Claims about a release by so many keys that nobody knows, as a file.
fn by_strangers(release: &str, from: &Party, count: usize) -> PathBuf {
    let mut lines = String::new();
    let home = Home::new();
    home.get(release, &["--peer", from.daemon.addr()]).ok();
    for at in 0..count {
        fs::remove_file(home.path().join("keys/publisher.key")).expect("as it was made");
        home.ask(&["endorse", release, "--property", "PICKLE_FREE"]);
        let file = home.beside(&format!("{at}.jsonl"));
        home.ask(&["claims", release, "--offline", "--export", &file.to_string_lossy()]);
        let written = fs::read_to_string(&file).expect("as it was written");
        let own = text(&home.ask(&["id"]), "publisher").to_owned();
        lines += written.lines().find(|line| line.contains(&own)).expect("its own claim");
        lines += "\n";
    }
    let file = from.home.beside("strangers.jsonl");
    fs::write(&file, lines).expect("as it was made");
    file
}

#[test]
fn of_endorsers_whom_nobody_knows_few_are_kept_and_none_passed_on() {
    let world = World::new();
    let file = by_strangers(&world.release, &world.lab, 20);
    let imported = world.evaluator.home.ask(&["endorse", "--import", &file.to_string_lossy()]);
    assert_eq!((&imported["claims"], &imported["kept"]), (&json!(20), &json!(16)), "{imported}");
    let own = world.evaluator.endorse(&world.release, &["--property", "EVAL_REPRODUCED"]);
    let known = world.evaluator.claims(&world.release);
    assert_eq!(list(&known, "claims").len(), 17);
    assert_eq!(list(&known, "claims")[0]["trust"], "own");
    assert!(list(&known, "claims")[1..].iter().all(|claim| claim["trust"] == "unknown"));
    // To others it shows its own alone.
    let home = Home::new();
    let heard = asked(&home, &world.root, &world.evaluator);
    let heard: Vec<&Value> = list(&heard, "claims").iter().map(|claim| &claim["claim"]).collect();
    assert_eq!(heard, [&own["claim"]]);
    // What is known of a key later, is passed on from then on.
    let stranger = text(&list(&known, "claims")[5], "endorser").to_owned();
    world.evaluator.home.ask(&["trust", "add-endorser", "scanner", &stranger]);
    assert_eq!(list(&asked(&home, &world.root, &world.evaluator), "claims").len(), 2);
    // A blocked one's word is gone.
    world.evaluator.home.ask(&["trust", "block", &stranger]);
    assert_eq!(list(&asked(&home, &world.root, &world.evaluator), "claims").len(), 1);
    assert_eq!(list(&world.evaluator.claims(&world.release), "claims").len(), 16);
    // With the last version of the files goes what strangers said of them.
    world.evaluator.home.ask(&["rm", &world.release]);
    let left = world.evaluator.claims(&world.root);
    let left: Vec<&Value> = list(&left, "claims").iter().map(|claim| &claim["claim"]).collect();
    assert_eq!(left, [&own["claim"]]);
}

#[test]
fn of_private_repos_peers_are_told_nothing() {
    let World { lab, evaluator, release, root } = World::new();
    // It would answer for itself.
    drop(lab.daemon);
    evaluator.endorse(&release, &["--property", "EVAL_REPRODUCED"]);
    let home = Home::new();
    let heard = || {
        let all = asked(&home, &root, &evaluator);
        (all["asked"].clone(), list(&all, "claims").len(), list(&all, "cards").len())
    };
    assert_eq!(heard(), (json!(1), 1, 1));
    evaluator.home.ask(&["share", &release, "--to", "private"]);
    assert_eq!(heard(), (json!(1), 0, 0));
    // By the id of the card neither.
    let card = text(&lab.home.ask(&["card", "show", &release]), "card").to_owned();
    home.run(&["claims", &card, "--peer", evaluator.daemon.addr()]).fails(3).says(&card);
    evaluator.home.ask(&["share", &release, "--to", "lan"]);
    assert_eq!(heard(), (json!(1), 1, 1));
    let by_card = asked(&home, &card, &evaluator);
    assert_eq!((text(&by_card, "root"), list(&by_card, "claims").len()), (root.as_str(), 1));
}

#[test]
fn a_card_of_a_private_repo_over_public_files_is_not_told_of() {
    let world = World::new();
    // The evaluator has the same files as a private repo of its own too, and endorses that.
    let seeded = world.evaluator.seed(&["--visibility", "private", "--name", "secret"]);
    assert_eq!(seeded["root"].as_str(), Some(world.root.as_str()));
    world.evaluator.endorse(text(&seeded, "release"), &["--property", "SECRET"]);
    let heard = asked(&Home::new(), &world.root, &world.evaluator);
    assert_eq!(list(&heard, "claims").len(), 0, "{heard}");
    assert_eq!(list(&heard, "cards").len(), 1, "{heard}");
}

#[test]
fn a_stranger_s_card_over_the_same_files_is_listed_and_changes_nothing() {
    let (lab, thief) = (Party::new(), Party::new());
    let seeded = lab.seed(&["--unsigned"]);
    let root = text(&seeded, "root").to_owned();
    let stolen = thief.seed(&[]);
    assert_eq!(stolen["root"].as_str(), Some(root.as_str()));
    let home = Home::new();
    let daemon = home.daemon(&["--bootstrap", thief.daemon.addr()]);
    let status = |answer: &Value| answer["provenance"]["status"].clone();
    let got = home.get(&root, &["--peer", lab.daemon.addr()]).ok();
    assert_eq!(status(&got), "unsigned");
    // The daemon asks by itself; nothing of what it hears is the files' provenance.
    let offered = until("the card that the stranger offers", || {
        let known = claims(&home, &root);
        list(&known, "cards").first().cloned()
    });
    assert_eq!((&offered["card"], &offered["held"]), (&stolen["card"], &json!(false)));
    assert_eq!((text(&offered, "publisher"), text(&offered, "trust")), (&*thief.did(), "new"));
    let again = home.get(&root, &["--peer", lab.daemon.addr()]).ok();
    assert_eq!(status(&again), "unsigned");
    assert_eq!(status(&home.ask(&["show", &root])), "unsigned");
    let said = home.say(&["claims", &root, "--offline"]);
    assert!(said.stdout.contains("offered by peers, vouches for nothing here"), "{said:?}");
    drop(daemon);
}

#[test]
fn claims_travel_as_a_file_and_what_was_changed_on_the_way_is_refused() {
    let world = World::new();
    let evaluator = &world.evaluator.home;
    world.evaluator.endorse(&world.release, &["--property", "PICKLE_FREE"]);
    let measured = ["--dataset", "Idavidrein/gpqa", "--metric", "accuracy", "--value", "0.412"];
    let eval = world.evaluator.endorse(&world.release, &measured);
    assert_eq!(eval["kind"], "eval");
    let file = evaluator.beside("claims.jsonl");
    let path = file.to_string_lossy();
    evaluator.ask(&["claims", &world.release, "--export", &path]);
    evaluator.run(&["claims", &world.release, "--export", &path]).fails(1);

    let lab = &world.lab.home;
    let imported = lab.ask(&["endorse", "--import", &path]);
    assert_eq!((&imported["claims"], &imported["kept"]), (&json!(2), &json!(2)));
    let known = world.lab.claims(&world.release);
    let result = &list(&known, "claims").iter().find(|one| one["kind"] == "eval").expect("kept");
    assert_eq!(
        result["results"],
        json!([{ "dataset": "Idavidrein/gpqa", "metric": "accuracy", "value": "0.412" }])
    );
    let changed = fs::read_to_string(&file)
        .expect("as it was written")
        .replace("\"payload\":\"e", "\"payload\":\"f");
    fs::write(&file, changed).expect("as it was made");
    lab.run(&["endorse", "--import", &path]).fails(4);
    fs::write(&file, "nonsense\n").expect("as it was made");
    lab.run(&["endorse", "--import", &path]).fails(4).says("line 1");
    lab.run(&["endorse", "--import", "/nowhere"]).fails(1).says("/nowhere");
    // A stranger's claims about what is not here are not kept.
    evaluator.ask(&[
        "claims",
        &world.release,
        "--export",
        &evaluator.beside("b").to_string_lossy(),
    ]);
    let other = Home::new();
    let second = evaluator.beside("b");
    other.run(&["endorse", "--import", &second.to_string_lossy()]).fails(4).says("not kept");
}

#[test]
fn what_says_nothing_or_what_its_kind_cannot_say_is_not_signed() {
    let world = World::new();
    let endorse =
        |more: &[&str]| world.evaluator.home.run(&[&["endorse", &world.release], more].concat());
    endorse(&[]).fails(2).says("--property");
    endorse(&["--kind", "svr", "--fail", "--property", "X"]).fails(2).says("test-result");
    endorse(&["--value", "0.4"]).fails(2).says("--dataset");
    endorse(&["--dataset", "d", "--metric", "m", "--value", "many"]).fails(2).says("decimal");
    endorse(&["--kind", "svr", "--value", "0.4", "--property", "X"]).fails(2).says("eval");
    endorse(&["--property", "a\nb"]).fails(2).says("line");
    world.evaluator.home.run(&["endorse", "nothing", "--property", "X"]).fails(3);
    world.evaluator.home.run(&["endorse", "--property", "X"]).fails(2);
    assert_eq!(list(&world.evaluator.claims(&world.release), "claims").len(), 0);
}

#[test]
fn endorsers_are_added_listed_and_removed() {
    let home = Home::new();
    let did = text(&Home::new().ask(&["id"]), "publisher").to_owned();
    let added = home.ask(&["trust", "add-endorser", "evalco", &did, "--kind", "svr"]);
    let expected = json!([{ "alias": "evalco", "endorser": did, "kinds": ["svr"] }]);
    assert_eq!(added["endorsers"], expected);
    assert_eq!(home.ask(&["trust", "list"])["endorsers"], expected);
    let said = home.say(&["trust", "list"]);
    assert!(said.stdout.contains(&format!("endorser evalco (svr)  {did}")), "{said:?}");
    home.run(&["trust", "add-endorser", "other", &did]).fails(2).says("other");
    home.run(&["trust", "add-endorser", "third", "nobody"]).fails(2);
    let path = home.path().join("trust.toml");
    let text = fs::read_to_string(&path).expect("as it was written");
    let require = "[[require]]\npublisher = \"*\"\nany_of = [\"evalco\"]\n";
    fs::write(&path, format!("{text}\n{require}")).expect("as it was made");
    home.run(&["trust", "rm-endorser", "evalco"]).fails(2).says("counts on the endorser evalco");
    fs::write(&path, text).expect("as it was made");
    assert_eq!(home.ask(&["trust", "rm-endorser", "evalco"])["endorsers"], json!([]));
    home.run(&["trust", "rm-endorser", "evalco"]).fails(3);
}

#[test]
fn claims_are_exported_with_the_card_if_their_endorsers_are_known() {
    let world = World::new();
    world.evaluator.endorse(&world.release, &["--property", "PICKLE_FREE"]);
    let lab = &world.lab.home;
    asked(lab, &world.release, &world.evaluator);
    assert_eq!(list(&world.lab.claims(&world.release), "claims").len(), 1);
    let export = |name: &str| {
        let dir = lab.beside(name);
        lab.ask(&["card", "export", &world.release, "-o", &dir.to_string_lossy()]);
        dir
    };
    assert!(!export("before").join("claims.jsonl").exists(), "a stranger's word is not passed on");
    lab.ask(&["trust", "add-endorser", "evalco", &world.evaluator.did()]);
    let dir = export("after");
    let lines = fs::read_to_string(dir.join("claims.jsonl")).expect("as it was written");
    assert_eq!(lines.lines().count(), 1);
    assert!(lines.contains(&world.evaluator.did()));
    let text = fs::read_to_string(dir.join("VERIFY.md")).expect("as it was written");
    assert!(text.contains("claims.jsonl"), "{text}");
}

#[test]
fn a_key_that_the_daemon_does_not_hold_endorses_through_the_command_that_asked() {
    let lab = Party::new();
    let seeded = lab.seed(&[]);
    let release = text(&seeded, "release");
    let home = Home::new();
    let path = home.beside("endorser.key");
    let path = path.to_str().expect("as it was made");
    let key = text(&home.ask(&["key", "new", path]), "key").to_owned();
    home.ask(&["key", "use", path]);
    let evaluator = Party::with(home);
    evaluator.get(release, &lab).ok();
    let made = evaluator.endorse(release, &["--property", "PICKLE_FREE"]);
    assert_eq!(text(&made, "endorser"), key);
    let again = evaluator.endorse("tiny", &["--property", "PICKLE_FREE", "--note", "again"]);
    assert_eq!(again["replaces"], json!([made["claim"]]));
    let heard = asked(&lab.home, release, &evaluator);
    assert_eq!(list(&heard, "claims")[0]["claim"], again["claim"]);
    fs::remove_file(path).expect("as it was made");
    let endorse = ["endorse", release, "--property", "X"];
    evaluator.home.run(&endorse).fails(1).says("endorser.key");
}
