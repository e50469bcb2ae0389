use super::readme::{Results, Source, sources};
use super::*;
use crate::card::envelope::tests::signed_with;
use crate::card::frontmatter;
use crate::dag::block::{cid_v1, sha256};
use proptest::prelude::*;

const DID: &str = "did:key:z6MksvN6MJFuZNy4ZeZfaCZtEoSY9ButFSLqMMJ4GTNa62ht";

fn card(seed: &str) -> Cid {
    cid_v1(DAG_JSON, sha256(seed.as_bytes()))
}

fn full() -> Origins {
    let origin = Origin {
        card: Some(card("base")),
        publisher: Some(DID.parse().unwrap()),
        hub: Some("acme/base@main".parse().unwrap()),
        tree_sha256: Some([7; 32]),
        tool: Some("mergekit 0.1".into()),
        ..Origin::new(Relation::Merge)
    };
    let eval = Eval {
        dataset: Dataset {
            id: "cais/mmlu".into(),
            task_id: Some("all".into()),
            revision: Some("main".into()),
            card: Some(card("mmlu")),
        },
        metric: Some("accuracy".into()),
        value: "0.689".into(),
        date: Some("2026-11-22".into()),
        source: Some("https://acme.example/results".into()),
        notes: Some("5-shot".into()),
    };
    Origins {
        lineage: vec![
            origin,
            Origin { hub: Some("squad".parse().unwrap()), ..Origin::new(Relation::TrainedOn) },
        ],
        evals: vec![eval],
        links: vec!["https://acme.example/id".into()],
    }
}

/// What a signed card with these further fields is read as.
fn read(fields: Map) -> (Origins, Vec<String>) {
    Origins::of(signed_with(|statement| statement.other = fields).statement())
}

fn front_matter(yaml: &str) -> Map {
    frontmatter::metadata(format!("---\n{yaml}\n---\n").as_bytes()).unwrap().unwrap()
}

#[test]
fn what_is_stated_is_read_back_from_a_signed_card() {
    let fields = full().to_fields().unwrap();
    assert_eq!(read(fields.clone()), (full(), vec![]));
    assert_eq!(read(Map::new()), (Origins::default(), vec![]));
    assert_eq!(Origins::default().to_fields(), Ok(Map::new()), "nothing to say is left out");
    let mut other = fields.clone();
    other.insert("reason".into(), "x".into());
    assert_eq!(stated(&other), fields);
}

#[test]
fn a_strangers_bad_entries_are_passed_over_and_said_and_the_others_stay() {
    let mut fields = full().to_fields().unwrap();
    let Some(Value::List(lineage)) = fields.get_mut("lineage") else { panic!() };
    let entry = |pairs: &[(&str, &str)]| {
        Value::Map(pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).into())).collect())
    };
    let prev = card("x").to_string();
    let bad = [
        Value::Null,
        entry(&[]),
        entry(&[("relation", "finetune")]),
        entry(&[("relation", "stolen"), ("hub", "a/b")]),
        entry(&[("relation", "finetune"), ("hub", "../../etc")]),
        entry(&[("relation", "finetune"), ("card", "bafkqaaa")]),
        entry(&[("relation", "finetune"), ("hub", "a/b"), ("publisher", "z6Mk")]),
        entry(&[("relation", "finetune"), ("hub", "a/b"), ("treeSha256", "00")]),
        entry(&[("relation", "finetune"), ("card", &prev), ("tool", "a\u{1b}[2J")]),
    ];
    lineage.extend(bad.clone());
    fields.insert("links".into(), "https://acme.example".into());
    let (read, passed) = read(fields);
    assert_eq!(read.lineage, full().lineage);
    assert_eq!((read.evals.len(), read.links.len()), (1, 0));
    assert_eq!(passed.len(), DESCRIBED + 2, "{passed:?}");
    assert!(passed[DESCRIBED].contains("4 more"), "{passed:?}");
    for value in bad {
        assert!(Origin::try_from(value).is_err());
    }
}

#[test]
fn more_entries_than_are_read_are_counted() {
    let many = vec![Value::from("https://a.example"); limits::PUBLISHER_LINKS_MAX + 3];
    let (read, passed) = read(Map::from([("links".into(), Value::List(many))]));
    assert_eq!(read.links.len(), limits::PUBLISHER_LINKS_MAX);
    assert!(passed[0].contains("3 entries above"), "{passed:?}");
}

#[test]
fn nothing_is_written_that_no_reader_would_take() {
    let nothing = Origin::new(Relation::Finetune);
    let tool = Origin { tool: Some("a\nb".into()), ..full().lineage[0].clone() };
    for origin in [nothing, tool] {
        let origins = Origins { lineage: vec![origin], ..Origins::default() };
        assert!(origins.to_fields().is_err());
    }
    let eval = |change: fn(&mut Eval)| {
        let mut eval = full().evals.remove(0);
        change(&mut eval);
        Origins { evals: vec![eval], ..Origins::default() }.to_fields().is_err()
    };
    assert!(!eval(|_| {}));
    assert!(eval(|eval| eval.value = String::new()));
    assert!(eval(|eval| eval.dataset.id = "x".repeat(limits::ORIGIN_TEXT_MAX + 1)));
    assert!(eval(|eval| eval.notes = Some("a\u{7f}".into())));
    let many = Origins { links: vec!["https://a.example".into(); 17], ..Origins::default() };
    assert!(many.to_fields().unwrap_err().to_string().contains("17 entries"));
}

#[test]
fn links_are_https_and_cannot_break_out_of_their_line() {
    for link in ["https://a.example", "https://a.example:8443/x?y=z#w", "https://[::1]/"] {
        assert_eq!(check_link(link), Ok(()), "{link}");
    }
    let long = format!("https://a.example/{}", "x".repeat(limits::PUBLISHER_LINK_MAX));
    for link in [
        "",
        "http://a.example",
        "HTTPS://a.example",
        "https://",
        "https:///x",
        "https://acme.example@evil.example/",
        "https://a.example/\"><script>",
        "https://a.example/ x",
        "https://a.example/\u{202e}",
        "https://a.example/\n",
        "javascript:alert(1)",
        &long,
    ] {
        assert!(check_link(link).is_err(), "{link}");
    }
}

#[test]
fn hub_ids_are_names_and_never_paths() {
    for text in ["squad", "org/name", "o.r_g/n-1", "org/name@main", "a/b@refs/pr/1"] {
        assert_eq!(text.parse::<HubId>().unwrap().as_str(), text);
    }
    for text in [
        "",
        "/",
        "a/",
        "/a",
        "a/b/c",
        "..",
        "a/..",
        "a b",
        "a/b@",
        "./a",
        "a\u{202e}",
        "did:key:x/y",
    ] {
        assert!(text.parse::<HubId>().is_err(), "{text}");
    }
    assert!("x".repeat(limits::HUB_PART_MAX + 1).parse::<HubId>().is_err());
}

#[test]
fn the_front_matter_says_what_a_version_was_made_from() {
    let of = |yaml: &str| {
        let (sources, left_out) = sources(&front_matter(yaml));
        let line = |source: Source| format!("{} {}", source.relation, source.text);
        (sources.into_iter().map(line).collect::<Vec<_>>(), left_out.len())
    };
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert_eq!(of("license: mit"), (lines(&[]), 0));
    assert_eq!(of("base_model: acme/base"), (lines(&["finetune acme/base"]), 0));
    assert_eq!(
        of("base_model: [acme/a, acme/b, acme/a]\ndatasets: squad"),
        (lines(&["merge acme/a", "merge acme/b", "trainedOn squad"]), 0)
    );
    assert_eq!(of("base_model: a/b\nbase_model_relation: quantized").0, ["quantized a/b"]);
    assert_eq!(of("base_model: a/b\nlibrary_name: peft").0, ["adapter a/b"]);
    assert_eq!(of(&format!("base_model: {DID}/tiny")).0, [format!("finetune {DID}/tiny")]);
    assert_eq!(of(&format!("base_model: {}", card("a"))).0, [format!("finetune {}", card("a"))]);
    assert_eq!(of("base_model: /home/me/llama"), (lines(&[]), 1));
    assert_eq!(
        of("base_model: [a/b, 7]\nbase_model_relation: trainedOn"),
        (lines(&["finetune a/b"]), 2)
    );
    let many: Vec<String> = (0..100).map(|n| format!("d{n}")).collect();
    let (kept, left_out) = of(&format!("datasets: [{}]", many.join(", ")));
    assert_eq!((kept.len(), left_out), (limits::LINEAGE_MAX, 1));
}

#[test]
fn an_entry_is_known_by_the_source_that_made_it() {
    let source = |text: &str| Source { relation: Relation::Finetune, text: text.into() };
    let origin = Origin::new(Relation::Finetune);
    let hub =
        Origin { hub: Some("acme/base".parse().unwrap()), card: Some(card("a")), ..origin.clone() };
    assert!(source("acme/base").made(&hub) && !source("acme/other").made(&hub));
    assert!(!source("acme/base").made(&Origin { relation: Relation::Merge, ..hub.clone() }));
    assert!(source(&card("a").to_string()).made(&hub));
    let theirs = Origin { publisher: Some(DID.parse().unwrap()), card: Some(card("a")), ..origin };
    assert!(source(&format!("{DID}/tiny")).made(&theirs));
    assert!(!source("acme/tiny").made(&theirs));
}

const MODEL_INDEX: &str = "model-index:
- name: tiny
  results:
  - task: {type: text-generation}
    dataset: {type: cais/mmlu, name: MMLU, config: all, split: test, revision: abc}
    metrics:
    - {type: accuracy, value: 0.689}
    - {type: f1, value: 7}
    - {type: matrix, value: [1, 2]}
    source: {name: leaderboard, url: https://acme.example/board}
  - dataset: {name: 'my  own\\nset'}
    metrics: [{name: loss, value: '1.5'}]
  - metrics: [{type: accuracy, value: 1}]";

#[test]
fn results_come_from_the_model_index() {
    let mut results = Results::default();
    results.add_model_index(&front_matter(MODEL_INDEX));
    let (evals, left_out) = results.finish();
    let lines: Vec<String> = evals
        .iter()
        .map(|eval| format!("{} {:?} {}", eval.dataset.id, eval.metric.as_deref(), eval.value))
        .collect();
    let expected = [
        "cais/mmlu Some(\"accuracy\") 0.689",
        "cais/mmlu Some(\"f1\") 7",
        "my own\\nset Some(\"loss\") 1.5",
    ];
    assert_eq!(lines, expected);
    assert_eq!(evals[0].notes.as_deref(), Some("config all, split test"));
    assert_eq!(evals[0].source.as_deref(), Some("https://acme.example/board"));
    assert_eq!(evals[0].dataset.task_id.as_deref(), Some("text-generation"));
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert!(left_out[0].starts_with("2 results"), "{left_out:?}");
    assert!(Origins { evals, ..Origins::default() }.to_fields().is_ok());
}

#[test]
fn results_come_from_lists_of_their_own() {
    let yaml = b"- dataset: {id: cais/hle, task_id: default, revision: abc}\n  value: 20.90\n  date: 2026-01-15\n  source: {url: https://a.example/x, name: blog, user: me}\n  verifyToken: abc\n  notes: no tools\n- value: 1\n";
    let mut results = Results::default();
    results.add_list(&frontmatter::list(yaml).unwrap());
    let (evals, left_out) = results.finish();
    let [eval] = &evals[..] else { panic!("{evals:?}") };
    assert_eq!((eval.value.as_str(), eval.date.as_deref()), ("20.90", Some("2026-01-15")));
    assert_eq!(eval.source.as_deref(), Some("https://a.example/x"));
    assert_eq!(left_out.len(), 1);
}

#[test]
fn more_results_than_a_card_takes_are_left_out() {
    let result = |notes: usize| {
        let notes = "n".repeat(notes);
        format!("- {{dataset: {{id: a}}, value: 1, notes: {notes}}}\n")
    };
    let count = |yaml: String| {
        let mut results = Results::default();
        results.add_list(&frontmatter::list(yaml.as_bytes()).unwrap());
        let (evals, left_out) = results.finish();
        assert!(Origins { evals: evals.clone(), ..Origins::default() }.to_fields().is_ok());
        (evals.len(), left_out.len())
    };
    assert_eq!(count(result(1).repeat(limits::EVALS_MAX + 1)), (limits::EVALS_MAX, 1));
    let (kept, left_out) = count(result(900).repeat(300));
    assert!((100..limits::EVALS_BYTES_MAX / 900).contains(&kept) && left_out == 1, "{kept}");
}

proptest! {
    #[test]
    fn any_text_in_a_front_matter_gives_what_may_be_written(
        base: String, dataset in "\\PC{0,40}", value in "\\PC{0,400}", notes: String,
    ) {
        let result = Value::Map(Map::from([
            ("dataset".into(), Value::Map(Map::from([("id".into(), Value::Text(dataset.clone()))]))),
            ("value".into(), Value::Text(value)),
            ("notes".into(), Value::Text(notes)),
        ]));
        let mut results = Results::default();
        results.add_list(&[result]);
        let evals = results.finish().0;
        let metadata = Map::from([
            ("base_model".to_owned(), Value::Text(base)),
            ("datasets".to_owned(), Value::Text(dataset)),
        ]);
        let of = |source: Source| {
            let hub = source.text.parse().ok()?;
            Some(Origin { hub: Some(hub), ..Origin::new(source.relation) })
        };
        let lineage = sources(&metadata).0.into_iter().filter_map(of).collect();
        let origins = Origins { lineage, evals, links: vec![] };
        let fields = origins.to_fields();
        prop_assert!(fields.is_ok());
        prop_assert_eq!(read(fields.unwrap_or_default()), (origins, vec![]));
    }
}
