//! Names and versions of what is seeded.

use std::fs;

use crate::common::{Home, files, text};

#[test]
fn a_folder_name_that_is_no_repo_name_is_refused_with_a_suggestion() {
    let home = Home::new();
    for (folder, suggested) in
        [("my model", "my-model"), ("weights.git", "weights"), ("a--b", "a-b")]
    {
        let model = home.model(folder, 111);
        let refused = home.run(&["seed", model.to_str().expect("UTF-8")]).fails(2);
        refused.says(&format!("--name {suggested}"));
        let seeded = home.seed(&model, &["--name", suggested]);
        assert_eq!(seeded["name"], suggested);
        home.ask(&["rm", suggested]);
    }
    let model = home.model("good", 112);
    let path = model.to_str().expect("UTF-8");
    let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    for bad in ["a b", "a/b", "..", "a..b", "a--b", ".a", "a-", "x.git", cid, &"a".repeat(81), ""] {
        home.run(&["seed", path, "--name", bad]).fails(2);
    }
    assert_eq!(home.seed(&model, &["--name", &"a".repeat(80)])["version"], "1");
}

#[test]
fn nothing_changed_gives_the_same_release_and_a_change_the_next_version() {
    let home = Home::new();
    let model = home.model("tiny", 113);
    let first = home.seed(&model, &[]);
    assert_eq!(first["version"], "1");
    let again = home.seed(&model, &[]);
    for field in ["release", "root", "card", "version"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    files::write(&model.join("config.json"), "{\"changed\":true}");
    let second = home.seed(&model, &[]);
    assert_eq!(second["version"], "2");
    assert_ne!(second["root"], first["root"]);
    let shown = home.ask(&["show", text(&second, "release")]);
    assert_eq!(shown["predicate"]["seq"], 2);
    let prev = &shown["predicate"]["prev"];
    assert!(prev.to_string().contains(text(&first, "card")), "prev names the card before: {prev}");
    // The name is its newest version; the older one has its own.
    assert_eq!(home.ask(&["show", "tiny"])["release"], second["release"]);
    assert_eq!(home.ask(&["show", "tiny@1"])["release"], first["release"]);
    // An earlier state again is a version of its own.
    fs::remove_dir_all(&model).expect("remove");
    home.model("tiny", 113);
    let third = home.seed(&model, &[]);
    assert_eq!((&third["version"], &third["root"]), (&"3".into(), &first["root"]));
}

#[test]
fn a_changed_flag_is_a_change_too() {
    let home = Home::new();
    let model = home.model("tiny", 114);
    let first = home.seed(&model, &[]);
    let dataset = home.seed(&model, &["--kind", "dataset"]);
    assert_eq!((&dataset["version"], &dataset["root"]), (&"2".into(), &first["root"]));
    assert_ne!(dataset["card"], first["card"]);
    assert_eq!(home.ask(&["show", "tiny"])["kind"], "dataset");
    let kept = home.seed(&model, &[]);
    assert_eq!(kept["release"], dataset["release"], "the kind stays what it was");
}

#[test]
fn a_version_is_used_once() {
    let home = Home::new();
    let model = home.model("tiny", 115);
    let path = model.to_str().expect("UTF-8");
    let first = home.seed(&model, &["--version", "v1.0"]);
    assert_eq!(first["version"], "v1.0");
    assert_eq!(home.seed(&model, &["--version", "v1.0"])["release"], first["release"]);
    files::write(&model.join("config.json"), "{\"changed\":true}");
    home.run(&["seed", path, "--version", "v1.0"]).fails(2).says("v1.0").says("--version");
    let hex = "0123456789abcdef0123456789abcdef01234567";
    for bad in ["main", "HEAD", "", "-1", "a b", "a/b", hex, &"1".repeat(65)] {
        let arg = format!("--version={bad}");
        home.run(&["seed", path, &arg]).fails(2);
    }
    assert_eq!(home.seed(&model, &["--version", "v1.1"])["version"], "v1.1");
    let by_version = home.ask(&["show", "tiny@v1.0"]);
    assert_eq!(by_version["release"], first["release"]);
    let commit = text(&by_version, "commit").to_owned();
    for short in [&commit[..], &commit[..12]] {
        assert_eq!(home.ask(&["show", &format!("tiny@{short}")])["release"], first["release"]);
    }
}

#[test]
fn a_forgotten_version_is_not_signed_twice() {
    let home = Home::new();
    let model = home.model("tiny", 116);
    let first = home.seed(&model, &[]);
    home.ask(&["rm", "tiny"]);
    assert_eq!(home.seed(&model, &[])["release"], first["release"], "the same card as before");
    home.ask(&["rm", "tiny"]);
    files::write(&model.join("config.json"), "{\"changed\":true}");
    let second = home.seed(&model, &[]);
    assert_eq!(second["version"], "2", "the key never signs one number twice");
}

#[test]
fn the_same_folder_gives_the_same_root_for_everybody() {
    let (one, two) = (Home::new(), Home::new());
    let (first, second) =
        (one.seed(&one.model("a", 117), &[]), two.seed(&two.model("b", 117), &[]));
    assert_eq!(first["root"], second["root"]);
    assert_ne!(first["release"], second["release"], "each signs for itself");
    assert_ne!(first["publisher"], second["publisher"]);
}
