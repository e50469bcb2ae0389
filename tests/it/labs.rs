//! Labs: keys that m of n people decide on, and can change without losing the name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::common::{Daemon, Home, Output, number, text, until};

/// The people of a lab, each with a key file, and the lab's document; two of three decide.
struct Lab {
    home: Home,
    document: PathBuf,
    id: String,
}

fn word(path: &Path) -> &str {
    path.to_str().expect("as it was made")
}

impl Lab {
    /// Alice, Bob and Carol hold root keys, a machine signs cards.
    fn new() -> Self {
        Self::announced_by(None)
    }

    /// The same with a key of its own for the lab's names.
    fn announced_by(key: Option<&str>) -> Self {
        let home = Home::new();
        let document = home.beside("lab.json");
        let lab = Self { home, document, id: String::new() };
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| lab.key(name));
        let machine = lab.key("machine");
        let mut init = vec!["publisher", "init", word(&lab.document), "--name", "Acme Labs"];
        for key in [&alice, &bob, &carol] {
            init.extend(["--root-key", key]);
        }
        init.extend(["--threshold", "2", "--card-key", &machine]);
        let announce = key.map(|name| lab.key(name));
        init.extend(announce.iter().flat_map(|key| ["--announce", key]));
        let drafted = lab.home.ask(&init);
        assert_eq!((&drafted["complete"], &drafted["publisher"]), (&false.into(), &Value::Null));
        lab.sign("alice");
        let complete = lab.sign("carol");
        assert_eq!(complete["complete"], true);
        let id = text(&complete, "publisher").to_owned();
        lab.home.ask(&["key", "use", word(&lab.file("machine"))]);
        lab.home.ask(&["publisher", "use", word(&lab.document)]);
        Self { id, ..lab }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.beside(&format!("{name}.key"))
    }

    /// Makes a key; the public half.
    fn key(&self, name: &str) -> String {
        text(&self.home.ask(&["key", "new", word(&self.file(name))]), "key").to_owned()
    }

    fn sign(&self, name: &str) -> Value {
        let file = self.file(name);
        self.home.ask(&["publisher", "sign", word(&self.document), "--key", word(&file)])
    }

    fn seed(&self, content: &str) -> Value {
        let model = self.home.beside("tiny");
        fs::create_dir_all(&model).expect("as it was made");
        fs::write(model.join("weights.bin"), content).expect("as it was made");
        // Copied, so that every version can be served.
        self.home.seed(&model, &["--copy"])
    }

    fn daemon(&self) -> Daemon {
        self.home.daemon(&[])
    }

    /// Puts another machine's key in the place of the old one, as two of the three decide.
    fn rotate(&self) {
        let new = self.key("new-machine");
        let old = text(&self.home.ask(&["key", "show"]), "key").to_owned();
        self.home.ask(&["publisher", "rotate", word(&self.document), &old, &new]);
        self.sign("alice");
        let complete = self.sign("bob");
        assert_eq!((&complete["complete"], &complete["version"]), (&true.into(), &2.into()));
        assert_eq!(text(&complete, "publisher"), self.id, "the name outlives its keys");
    }

    fn move_on(&self) {
        self.home.ask(&["key", "use", word(&self.file("new-machine"))]);
        self.home.ask(&["publisher", "use", word(&self.document)]);
    }
}

fn get(home: &Home, reference: &str, from: &Daemon) -> Output {
    home.get(reference, &["--bootstrap", from.addr()])
}

fn status(got: &Value) -> (&str, &str) {
    (text(&got["provenance"], "status"), text(&got["provenance"], "publisher"))
}

#[test]
fn a_lab_is_found_by_its_id_alone_and_its_cards_are_verified() {
    let lab = Lab::new();
    let daemon = lab.daemon();
    let seeded = lab.seed("one");
    assert_eq!(text(&seeded, "publisher"), lab.id);
    let by_release = Home::new();
    let got = get(&by_release, text(&seeded, "release"), &daemon).ok();
    assert_eq!(status(&got), ("verified", lab.id.as_str()));
    let known = by_release.ask(&["publisher", "show", &lab.id]);
    assert_eq!((text(&known, "name"), &known["root_keys"]["threshold"]), ("Acme Labs", &2.into()));

    // By a node that knows the id and one peer, under an alias of its user's.
    let stranger = Home::new();
    stranger.ask(&["trust", "add", "acme", &lab.id]);
    let serving = stranger.daemon(&["--bootstrap", daemon.addr()]);
    until("a peer that takes the record", || {
        lab.home.ask(&["name", "publish"])["names"][0]["peers"].as_u64().filter(|peers| *peers > 0)
    });
    let got = stranger.get("acme/tiny", &[]).ok();
    assert_eq!(status(&got), ("verified", lab.id.as_str()));
    assert_eq!(text(&got["provenance"], "trust"), "trusted");
    // It passes on what it takes to find the lab: its publisher may be off.
    stranger.announced(4);
    drop(daemon);
    let third = Home::new();
    let got = get(&third, &format!("{}/tiny", lab.id), &serving).ok();
    assert_eq!(got["release"], seeded["release"]);
}

#[test]
fn a_key_that_a_newer_root_drops_signs_no_more_and_its_cards_hold_through_later_ones() {
    let lab = Lab::new();
    let daemon = lab.daemon();
    let first = lab.seed("one");
    let early = Home::new();
    get(&early, text(&first, "release"), &daemon).ok();
    drop(daemon);
    lab.rotate();
    // The home still has the old key: the lab does not take it any more.
    lab.home.run(&["publisher", "use", word(&lab.document)]).fails(4).says("no key for cards");
    lab.move_on();
    let daemon = lab.daemon();
    // Nothing changed but the lab's keys: the newest version is stated anew under them.
    let stated = lab.home.seed(&lab.home.beside("tiny"), &["--copy"]);
    assert_eq!((&stated["unchanged"], &stated["root"]), (&false.into(), &first["root"]));
    let second = lab.seed("two");

    // Who knows the new roots refuses an old card by itself …
    let late = Home::new();
    get(&late, text(&second, "release"), &daemon).ok();
    get(&late, text(&first, "release"), &daemon).fails(4).says("no longer count");
    // … and takes it once the cards between are known: the lab's present keys vouch for it.
    get(&late, text(&stated, "release"), &daemon).ok();
    let got = get(&late, text(&first, "release"), &daemon).ok();
    assert_eq!(status(&got), ("verified", lab.id.as_str()));
    // Who fetched it before follows the chain to the new key.
    let got = get(&early, text(&stated, "release"), &daemon).ok();
    assert_eq!(status(&got), ("verified", lab.id.as_str()));
    assert_eq!(early.ask(&["publisher", "show", &lab.id])["version"], 2);
}

#[test]
fn a_thief_of_a_dropped_card_key_signs_nothing_that_is_taken() {
    let lab = Lab::new();
    let daemon = lab.daemon();
    let first = lab.seed("one");
    drop(daemon);
    lab.rotate();
    // The thief: the old machine's key, the document of before, and a chain of its own.
    let thief = Home::new();
    let document = thief.beside("lab.json");
    let home_document = lab.home.path().join("keys/lab.json");
    fs::copy(&home_document, &document).expect("as it was made");
    thief.ask(&["key", "import", word(&lab.file("machine"))]);
    thief.ask(&["publisher", "use", word(&document)]);
    lab.move_on();
    let daemon = lab.daemon();
    lab.home.seed(&lab.home.beside("tiny"), &["--copy"]);
    let second = lab.seed("two");
    let user = Home::new();
    get(&user, text(&second, "release"), &daemon).ok();
    let serving = thief.daemon(&[]);
    let model = thief.model("other", 7);
    let stolen = thief.seed(&model, &[]);
    get(&user, text(&stolen, "release"), &serving).fails(4).says("no longer count");
    // Somebody who knows nothing of the new root can't tell: that is what an end of a root is for.
    get(&Home::new(), text(&stolen, "release"), &serving).ok();
    assert_ne!(first["card"], second["card"]);
}

/// Until a peer holds the record of the home's names.
fn published(home: &Home) {
    until("a peer that takes the record", || {
        home.ask(&["name", "publish"])["names"][0]["peers"].as_u64().filter(|peers| *peers > 0)
    });
}

#[test]
fn a_lab_keeps_its_name_when_its_keys_change_and_a_thief_of_an_old_one_does_not_get_it() {
    let rendezvous_home = Home::new();
    let rendezvous = rendezvous_home.daemon(&[]);
    let by = ["--bootstrap", rendezvous.addr()];
    let mut lab = Lab::new();
    let name = format!("{}/tiny", lab.id);
    let daemon = lab.home.daemon(&by);
    let first = lab.seed("one");
    published(&lab.home);
    let old = Home::new();
    assert_eq!(old.get(&name, &by).ok()["release"], first["release"]);
    // The thief: the machine's key, the document of now, and what there is so far.
    let thief = Home::new();
    let document = thief.beside("lab.json");
    fs::copy(&lab.document, &document).expect("as it was made");
    thief.ask(&["key", "import", word(&lab.file("machine"))]);
    thief.ask(&["publisher", "use", word(&document)]);
    thief.get(text(&first, "release"), &["--peer", daemon.addr()]).ok();
    drop(daemon);

    lab.rotate();
    lab.move_on();
    let daemon = lab.home.daemon(&by);
    lab.home.seed(&lab.home.beside("tiny"), &["--copy"]);
    let second = lab.seed("two");
    published(&lab.home);
    // Who knows the id alone, who knows the first root, and who meets the lab and nobody else.
    assert_eq!(Home::new().get(&name, &by).ok()["release"], second["release"]);
    assert_eq!(old.get(&name, &by).ok()["release"], second["release"]);
    assert_eq!(old.ask(&["publisher", "show", &lab.id])["version"], 2);
    let alone = Home::new().get(&name, &["--peer", daemon.addr()]).ok();
    assert_eq!(alone["release"], second["release"]);

    // The thief's record is the newest under the old key.
    let stealing = thief.daemon(&by);
    let model = thief.beside("tiny");
    fs::create_dir_all(&model).expect("as it was made");
    fs::write(model.join("weights.bin"), "stolen").expect("as it was made");
    let stolen = thief.seed(&model, &["--copy"]);
    published(&thief);
    let fresh = Home::new();
    assert_eq!(fresh.get(&name, &by).ok()["release"], second["release"]);
    // One who fetched it tells others as well.
    let serving = fresh.daemon(&by);
    fresh.announced(3);
    drop(daemon);
    lab.home = Home::new();
    assert_eq!(Home::new().get(&name, &by).ok()["release"], second["release"]);
    drop(serving);
    // With nobody there who knows the newer root, the record of before is what there is.
    assert_eq!(Home::new().get(&name, &by).ok()["release"], stolen["release"]);
    drop(stealing);
}

#[test]
fn names_under_a_key_of_their_own_are_signed_by_it_where_it_is() {
    let lab = Lab::announced_by(Some("announce"));
    let shown = lab.home.ask(&["publisher", "show", &lab.id]);
    let key = text(&shown, "announce");
    let daemon = lab.daemon();
    let seeded = lab.seed("one");
    let publish = ["name", "publish"];
    lab.home.run(&publish).fails(1).says(key).says("--key FILE");
    let with = |name: &str| {
        let file = lab.file(name);
        lab.home.run(&["name", "publish", "--key", word(&file)])
    };
    with("machine").fails(1).says("another key");
    let published = with("announce").ok();
    assert_eq!(
        (text(&published, "publisher"), number(&published["names"][0], "sequence")),
        (lab.id.as_str(), 0)
    );
    let got = get(&Home::new(), &format!("{}/tiny", lab.id), &daemon).ok();
    assert_eq!(got["release"], seeded["release"]);
}

#[test]
fn drafts_are_signed_by_those_who_may_and_by_enough_of_them() {
    let lab = Lab::new();
    let stranger = lab.key("stranger");
    let document = word(&lab.document);
    lab.home.ask(&["publisher", "add-key", document, "--role", "card", &stranger]);
    let file = lab.file("stranger");
    lab.home
        .run(&["publisher", "sign", document, "--key", word(&file)])
        .fails(4)
        .says("no root key");
    let copy = lab.home.beside("copy.json");
    fs::copy(&lab.document, &copy).expect("as it was made");
    let half = lab.sign("alice");
    assert_eq!(
        (&half["complete"], half["missing"].as_array().map(Vec::len)),
        (&false.into(), Some(2))
    );
    lab.home.run(&["publisher", "use", document]).fails(4).says("lacks signatures");
    // Bob signs a copy; the two are brought together.
    let bob = lab.file("bob");
    lab.home.ask(&["publisher", "sign", word(&copy), "--key", word(&bob)]);
    let merged = lab.home.ask(&["publisher", "merge", document, word(&copy)]);
    assert_eq!((&merged["complete"], &merged["version"]), (&true.into(), &2.into()));
    // A changed byte is found.
    let text = fs::read_to_string(&lab.document).expect("as it was made");
    fs::write(&lab.document, text.replacen("Acme", "Acne", 1)).expect("as it was made");
    lab.home.run(&["publisher", "show", document]).fails(4);
}
