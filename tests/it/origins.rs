//! Lineage, results and links of cards, as users meet them: from the README and from flags into the card, and from the
//! cards that are here into a tree.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::common::{Home, files, forge, text};

/// A folder with weights and a README of this front matter.
fn model(home: &Home, name: &str, front_matter: &str) -> PathBuf {
    let dir = home.beside(name);
    files::write(&dir.join("weights.bin"), name);
    files::write(&dir.join("README.md"), format!("---\nlicense: mit\n{front_matter}\n---\n# x\n"));
    dir
}

fn predicate(home: &Home, reference: &str) -> Value {
    home.ask(&["card", "show", reference])["statement"]["predicate"].clone()
}

#[test]
fn a_readmes_bases_datasets_and_results_are_stated_in_its_card() {
    let home = Home::new();
    let base = home.seed(&model(&home, "base", ""), &[]);
    let front_matter = format!(
        "base_model: [{}/base, acme/unknown]\ndatasets: squad\nmodel-index:\n- name: x\n  results:\n  - dataset: {{type: cais/mmlu}}\n    metrics: [{{type: accuracy, value: 0.689}}]",
        text(&base, "publisher")
    );
    let dir = model(&home, "child", &front_matter);
    let yaml = "- dataset: {id: cais/hle}\n  value: 20.9\n  notes: \"no\u{202e} tools\"\n";
    files::write(&dir.join(".eval_results/hle.yaml"), yaml);
    let first = home.seed(&dir, &["--link", "https://acme.example/id"]);
    let shown = predicate(&home, "child");
    let lineage = json!([
        {"relation": "merge", "card": base["card"], "publisher": base["publisher"]},
        {"relation": "merge", "hub": "acme/unknown"},
        {"relation": "trainedOn", "hub": "squad"},
    ]);
    assert_eq!(shown["lineage"], lineage);
    assert_eq!(shown["evals"][0]["dataset"]["id"], "cais/mmlu");
    assert_eq!(shown["evals"][0]["value"], "0.689");
    assert_eq!(shown["evals"][1]["dataset"]["id"], "cais/hle");
    assert_eq!(shown["links"], json!(["https://acme.example/id"]));
    // A person reads it as somebody's statement, and nothing in it turns the terminal around.
    let said = home.say(&["card", "show", "child"]);
    assert!(said.stdout.contains("as its publisher states, and nobody checked"), "{said:#?}");
    assert!(said.stdout.contains("cais/mmlu  accuracy  0.689"), "{said:#?}");
    assert!(!said.stdout.contains('\u{202e}') && said.stdout.contains("\\u202e"), "{said:#?}");
    // Nothing changed, though the base has moved on: the same card.
    files::write(&home.beside("base/weights.bin"), "newer");
    home.seed(&home.beside("base"), &[]);
    let again = home.seed(&dir, &[]);
    assert_eq!((&again["unchanged"], &again["card"]), (&json!(true), &first["card"]));
}

#[test]
fn bases_and_links_by_hand_stay_until_others_are_given() {
    let home = Home::new();
    let base = home.seed(&model(&home, "base", ""), &[]);
    let child = model(&home, "child", "base_model: acme/old");
    let by_hand =
        ["--base", "base=quantized", "--link", "https://a.example", "--link", "https://b.example"];
    home.seed(&child, &by_hand);
    let quantized = json!(
        {"relation": "quantized", "card": base["card"], "publisher": base["publisher"]}
    );
    let old = json!({"relation": "finetune", "hub": "acme/old"});
    assert_eq!(predicate(&home, "child")["lineage"], json!([quantized, old]));
    assert_eq!(home.seed(&child, &[])["unchanged"], true, "as before if not given");
    // The README's base changes; what was said by hand stays.
    model(&home, "child", "base_model: acme/new");
    assert_eq!(home.seed(&child, &[])["version"], "2");
    let shown = predicate(&home, "child");
    assert_eq!(shown["lineage"], json!([quantized, {"relation": "finetune", "hub": "acme/new"}]));
    assert_eq!(shown["links"], json!(["https://a.example", "https://b.example"]));
    let diff = home.say(&["card", "diff", "child@1", "child@2"]);
    let line = "lineage: - {\"hub\":\"acme/old\",\"relation\":\"finetune\"}";
    assert!(diff.stdout.contains(line), "{diff:#?}");
    // A changed flag is a new version, and so is an empty one.
    assert_eq!(home.seed(&child, &["--link", "https://c.example"])["version"], "3");
    assert_eq!(home.seed(&child, &["--link", "", "--base", ""])["version"], "4");
    let shown = predicate(&home, "child");
    assert_eq!(
        (&shown["links"], shown["lineage"].as_array().map(Vec::len)),
        (&Value::Null, Some(1))
    );
    let path = child.to_str().expect("UTF-8");
    home.run(&["seed", path, "--link", "http://a.example"]).fails(2).says("https");
    home.run(&["seed", path, "--base", "base=stolen"]).fails(2).says("finetune, adapter");
    home.run(&["seed", path, "--base", "https://huggingface.co/a/b"]).fails(2);
    let nobody = format!("{}/nothing", text(&base, "publisher"));
    home.run(&["seed", path, "--base", &nobody]).fails(3).says("no card of it is here");
    let typo = home.run(&["seed", path, "--base", "bsae"]);
    assert!(typo.stderr.contains("what the Hub calls so"), "{typo:#?}");
    assert_eq!(predicate(&home, "child")["lineage"][0]["hub"], "bsae");
}

#[test]
fn an_alias_of_the_users_names_a_card_and_the_hubs_name_is_kept_beside_it() {
    let lab = Home::new();
    let daemon = lab.daemon(&[]);
    let base = lab.seed(&model(&lab, "base", ""), &[]);
    let home = Home::new();
    let child = model(&home, "child", "base_model: acme/base");
    home.get(text(&base, "release"), &["--peer", daemon.addr()]).ok();
    home.seed(&child, &[]);
    let unknown = json!([{"relation": "finetune", "hub": "acme/base"}]);
    assert_eq!(predicate(&home, "child")["lineage"], unknown, "a name alone is nobody's card");
    home.ask(&["trust", "add", "acme", text(&base, "publisher")]);
    assert_eq!(home.seed(&child, &[])["unchanged"], true);
    files::write(&child.join("weights.bin"), "more");
    home.seed(&child, &[]);
    let known = json!([{
        "relation": "finetune", "hub": "acme/base", "card": base["card"],
        "publisher": base["publisher"],
    }]);
    assert_eq!(predicate(&home, "child")["lineage"], known);
}

#[test]
fn the_lineage_of_a_version_is_a_tree_of_the_verified_cards_that_are_here() {
    let lab = Home::new();
    let base = lab.seed(&model(&lab, "base", "base_model: meta/llama"), &[]);
    let tuned = lab.seed(&model(&lab, "tuned", ""), &["--base", "base"]);
    let small = lab.seed(
        &model(&lab, "small", "datasets: squad"),
        &["--base", "tuned=quantized", "--base", "base=distilled"],
    );
    let daemon = lab.daemon(&[]);
    let home = Home::new();
    let get = |seeded: &Value| home.get(text(seeded, "release"), &["--peer", daemon.addr()]).ok();
    get(&small);
    let tree = home.ask(&["lineage", "small"]);
    assert_eq!(
        (&tree["card"], &tree["name"], &tree["trust"]),
        (&small["card"], &json!("small"), &json!("new"))
    );
    let [first, second, third] = &tree["relations"].as_array().expect("a list")[..] else {
        panic!("{tree}")
    };
    assert_eq!((&first["relation"], &first["id"]), (&json!("quantized"), &tuned["card"]));
    assert_eq!(
        (&first["verified"], &first["card"]),
        (&json!(false), &Value::Null),
        "it is not here"
    );
    assert_eq!((&second["verified"], &third["verified"]), (&json!(false), &json!(false)));
    assert_eq!((&third["hub"], &third["card"]), (&json!("squad"), &Value::Null));
    let said = home.say(&["lineage", "small"]);
    assert!(
        said.stdout.contains("a card that is not here") && !said.stdout.contains("verified"),
        "{said:#?}"
    );

    get(&tuned);
    get(&base);
    let tree = home.ask(&["lineage", "small"]);
    let first = &tree["relations"][0];
    assert_eq!((&first["verified"], &first["card"]["name"]), (&json!(true), &json!("tuned")));
    let below = &first["card"]["relations"][0];
    assert_eq!((&below["verified"], &below["card"]["card"]), (&json!(true), &base["card"]));
    assert_eq!(below["card"]["relations"][0]["hub"], "meta/llama");
    assert_eq!(tree["relations"][1]["card"]["elsewhere"], true, "unfolded once");
    assert_eq!(tree["derived"], json!([]));
    // Backwards, and not deeper than asked for.
    let of_base = home.ask(&["lineage", text(&base, "release")]);
    let derived: Vec<&str> = of_base["derived"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| text(line, "relation"))
        .collect();
    assert_eq!(derived, ["distilled", "finetune"]);
    let shallow = home.ask(&["lineage", "small", "--depth", "1"]);
    assert_eq!(shallow["relations"][0]["card"]["relations"], json!([]));
    assert_eq!(shallow["relations"][0]["card"]["elsewhere"], true);
    let said = home.say(&["lineage", "small"]);
    assert!(
        said.stdout.contains("├─ quantized tuned@1 by") && said.stdout.contains("verified"),
        "{said:#?}"
    );
    home.run(&["lineage", "nothing"]).fails(3);
    home.run(&["lineage", "small", "--depth", "0"]).fails(2);
    // A card that was changed where it lies is not said to be anything.
    let path = home.path().join(format!("store/records/cards/{}.json", text(&base, "card")));
    let bundle = fs::read_to_string(&path).expect("kept");
    fs::write(&path, bundle.replacen("\"sig\":\"", "\"sig\":\"A", 1)).expect("changed");
    home.run(&["lineage", "small"]).fails(4).says("damaged");
}

#[test]
fn a_card_of_another_publisher_than_is_stated_is_not_called_verified() {
    let lab = Home::new();
    let base = lab.seed(&model(&lab, "base", ""), &[]);
    let child = lab.seed(&model(&lab, "child", ""), &["--base", "base"]);
    let stranger = Home::new().ask(&["id"]);
    forge::card(&lab, &child, |statement| {
        let Some(modelswarm::card::json::Value::List(lineage)) = statement.other.get_mut("lineage")
        else {
            panic!("the lineage was stated")
        };
        let Some(modelswarm::card::json::Value::Map(origin)) = lineage.first_mut() else {
            panic!("an entry")
        };
        origin.insert("publisher".into(), text(&stranger, "publisher").into());
    });
    let tree = lab.ask(&["lineage", "child"]);
    let relation = &tree["relations"][0];
    assert_eq!((&relation["verified"], &relation["card"]["card"]), (&json!(false), &base["card"]));
    let said = lab.say(&["lineage", "child"]);
    assert!(said.stdout.contains("NOT the publisher that is stated"), "{said:#?}");
}
