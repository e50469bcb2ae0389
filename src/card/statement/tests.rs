use super::super::json::Value;
use super::*;
use crate::card::PublisherId;
use crate::card::json::{decode, encode};
use crate::dag::block::{DAG_JSON, DAG_PB, RAW, cid_v1, sha256};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

pub(in crate::card) const SEED: [u8; 32] = [7; 32];

/// A statement of the key with seed [`SEED`], with three files.
pub(in crate::card) fn sample() -> Statement {
    let file = |path: &str, content: &[u8]| FileEntry {
        path: path.to_owned(),
        size: content.len() as u64,
        sha256: sha256(content),
        cid: cid_v1(RAW, sha256(content)),
    };
    let manifest = Manifest::new(vec![
        file("README.md", b"---\nlicense: apache-2.0\n---\n"),
        file("config.json", b"{}"),
        file("sub/model.safetensors", b"weights"),
    ])
    .unwrap();
    let key = SigningKey::from_bytes(&SEED).verifying_key();
    Statement {
        publisher: PublisherId::try_from(&key).unwrap().into(),
        publisher_root: None,
        name: "tiny-chat".parse().unwrap(),
        kind: Kind::Model,
        version: "1.0.0".parse().unwrap(),
        seq: 1,
        prev: None,
        created_at: "2026-11-22T18:00:00Z".parse().unwrap(),
        expires: None,
        status: Status::Active,
        license: Some("apache-2.0".to_owned()),
        root: cid_v1(DAG_PB, sha256(b"root")),
        total_size: manifest.total_size(),
        file_count: 3,
        tree: manifest.digests(),
        files: Files::Inline(manifest),
        metadata: Map::from([("license".to_owned(), "apache-2.0".into())]),
        companion_keys: Vec::new(),
        resolves: Vec::new(),
        other: Map::new(),
        unread: Vec::new(),
    }
}

fn listed() -> (Statement, Vec<u8>) {
    let mut statement = sample();
    let Files::Inline(manifest) = &statement.files else { panic!() };
    let jsonl = manifest.to_jsonl();
    let digest = sha256(&jsonl);
    statement.files = Files::List(FileEntry {
        path: FILES_LIST.to_owned(),
        size: jsonl.len() as u64,
        sha256: digest,
        cid: cid_v1(RAW, digest),
    });
    (statement, jsonl)
}

/// The sample's payload after a change of its JSON.
fn changed(change: impl FnOnce(&mut Map)) -> Result<Statement, Error> {
    let Value::Map(mut map) = decode(&sample().to_payload().unwrap(), usize::MAX).unwrap() else {
        panic!()
    };
    change(&mut map);
    Statement::from_payload(&encode(&Value::Map(map)).unwrap())
}

fn object<'a>(map: &'a mut Map, key: &str) -> &'a mut Map {
    match map.get_mut(key) {
        Some(Value::Map(map)) => map,
        other => panic!("{key}: {other:?}"),
    }
}

fn subject(map: &mut Map, at: usize) -> &mut Map {
    match map.get_mut("subject") {
        Some(Value::List(list)) => match &mut list[at] {
            Value::Map(map) => map,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// The field that the refusal of a predicate with `key` set to `value` names.
fn refused(key: &str, value: Option<Value>) -> String {
    let result = changed(|map| {
        let predicate = object(map, "predicate");
        match value {
            Some(value) => predicate.insert(key.to_owned(), value),
            None => predicate.remove(key),
        };
    });
    match result {
        Err(Error::Field { field, .. }) => field,
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn a_statement_is_read_back_as_it_was_written() {
    let (list, _) = listed();
    let full = Statement {
        kind: Kind::Dataset,
        seq: 2,
        prev: Some(cid_v1(DAG_JSON, sha256(b"prev"))),
        expires: Some("2027-11-22T18:00:00Z".parse().unwrap()),
        status: Status::Withdrawn,
        license: None,
        companion_keys: vec!["did:key:zDnaecTtrTPjLd5yTUe66dbRfg36asw7bWJDoY2cU6kvDYMDZ".into()],
        resolves: vec![cid_v1(DAG_JSON, sha256(b"a"))],
        other: Map::from([("lineage".to_owned(), Value::List(vec![]))]),
        ..sample()
    };
    for statement in [sample(), list, full] {
        let payload = statement.to_payload().unwrap();
        assert_eq!(Statement::from_payload(&payload), Ok(statement));
    }
}

#[test]
fn the_payload_is_in_totos_statement_with_the_designs_fields() {
    let statement = sample();
    let json: serde_json::Value = serde_json::from_slice(&statement.to_payload().unwrap()).unwrap();
    assert_eq!(json["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(json["predicateType"], "urn:modelswarm:model-card:v1");
    assert_eq!(json["subject"][0]["name"], "tiny-chat");
    assert_eq!(json["subject"][0]["uri"], format!("ipfs://{}", statement.root));
    assert_eq!(json["subject"][0]["digest"]["dirHash1"], json::hex(&statement.tree.dir_hash1));
    assert_eq!(json["subject"][3]["name"], "sub/model.safetensors");
    assert_eq!(json["subject"][3]["annotations"]["size"], 7);
    assert_eq!(json["predicate"]["root"]["/"], statement.root.to_string());
    assert_eq!(json["predicate"]["prev"], serde_json::Value::Null);
    assert_eq!(json["predicate"]["subjects"], "inline");
    let keys: Vec<_> = json["predicate"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys.join(" "),
        "createdAt fileCount kind layout license metadata name prev publisher root schema seq \
         status subjects totalSize version"
    );
}

#[test]
fn every_field_that_is_missing_or_wrong_is_named() {
    for key in [
        "schema",
        "publisher",
        "name",
        "kind",
        "version",
        "seq",
        "prev",
        "createdAt",
        "status",
        "root",
        "layout",
        "totalSize",
        "fileCount",
        "metadata",
        "subjects",
    ] {
        assert_eq!(refused(key, None), format!("predicate.{key}"));
        let wrong = Value::List(vec![]);
        assert_eq!(refused(key, Some(wrong)), format!("predicate.{key}"));
    }
    let card = Value::Text(cid_v1(DAG_JSON, sha256(b"x")).to_string());
    let part = sample().publisher.part();
    for (key, value) in [
        ("schema", 2.into()),
        ("publisher", part.as_str().into()),
        ("name", "a--b".into()),
        ("kind", "space".into()),
        ("version", "main".into()),
        ("seq", 0.into()),
        ("seq", (1u64 << 53).into()),
        ("seq", Value::Int(-1)),
        ("prev", card),
        ("prev", sample().root.to_string().as_str().into()),
        ("createdAt", "2026-11-22".into()),
        ("expires", 1.into()),
        ("status", "Active".into()),
        ("license", "".into()),
        ("license", "a\nb".into()),
        ("license", 1.into()),
        ("layout", "unixfs-v0-2015".into()),
        ("subjects", "outline".into()),
        ("companionKeys", Value::List(vec!["x".into()])),
        ("resolves", Value::List(vec!["x".into()])),
        ("root", sample().root.to_string().as_str().into()),
        ("name", "other-name".into()),
    ] {
        let field = refused(key, Some(value.clone()));
        let expected = match key {
            "name" if value.as_text() == Some("other-name") => "subject[0].name".to_owned(),
            "seq" if value == Value::Int(2) => "predicate.prev".to_owned(),
            _ => format!("predicate.{key}"),
        };
        assert_eq!(field, expected, "{value:?}");
    }
    assert_eq!(refused("seq", Some(2.into())), "predicate.prev");
}

#[test]
fn a_card_of_a_newer_schema_says_so() {
    let error = changed(|map| {
        object(map, "predicate").insert("schema".into(), 2.into());
        object(map, "predicate").remove("kind");
    });
    assert!(error.unwrap_err().to_string().contains("newer"));
}

#[test]
fn subjects_that_differ_from_the_predicate_are_refused() {
    let field = |result: Result<Statement, Error>| match result {
        Err(Error::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let other = format!("ipfs://{}", cid_v1(DAG_PB, sha256(b"other")));
    let result = changed(|map| {
        subject(map, 0).insert("uri".into(), other.as_str().into());
    });
    assert_eq!(field(result), "subject[0].uri");
    let result = changed(|map| {
        subject(map, 2).insert("name".into(), "A".into());
    });
    assert_eq!(field(result), "subject[2].name");
    let result = changed(|map| {
        object(subject(map, 1), "digest").insert("sha256".into(), "00".into());
    });
    assert_eq!(field(result), "subject[1].digest.sha256");
    let result = changed(|map| {
        map.insert("subject".into(), Value::List(vec![]));
    });
    assert_eq!(field(result), "subject");
    let result = changed(|map| {
        map.insert("predicateType".into(), "https://example.org/model-card/v1".into());
    });
    assert_eq!(field(result), "predicateType");
    let hostile = changed(|map| {
        subject(map, 3).insert("name".into(), "sub/../../x".into());
    });
    assert!(matches!(hostile, Err(Error::Files(manifest::Error::Path { .. }))));
}

#[test]
fn a_card_whose_files_do_not_add_up_is_refused() {
    let contradiction = |result: Result<Statement, Error>| match result {
        Err(Error::Contradiction { field }) => field,
        other => panic!("{other:?}"),
    };
    for key in ["fileCount", "totalSize"] {
        let result = changed(|map| {
            object(map, "predicate").insert(key.into(), 4.into());
        });
        assert_eq!(contradiction(result), key);
    }
    for key in ["dirHash1", "sha256"] {
        let result = changed(|map| {
            let digest = "0".repeat(64);
            object(subject(map, 0), "digest").insert(key.into(), digest.as_str().into());
        });
        assert_eq!(contradiction(result), key);
    }
    // A renamed file: same bytes, same OMS root, another dirHash1.
    let result = changed(|map| {
        subject(map, 2).insert("name".into(), "confix.json".into());
    });
    assert_eq!(contradiction(result), "dirHash1");
}

#[test]
fn unknown_fields_are_read_kept_or_named_and_never_lost_by_signing() {
    let read = changed(|map| {
        object(map, "predicate").insert("evals".into(), Value::List(vec![1.into()]));
    })
    .unwrap();
    assert_eq!(read.other["evals"], Value::List(vec![1.into()]));
    assert_eq!(Statement::from_payload(&read.to_payload().unwrap()), Ok(read));

    let read = changed(|map| {
        map.insert("x".into(), Value::Null);
        subject(map, 0).insert("mediaType".into(), "a/b".into());
        object(subject(map, 1), "digest").insert("blake3".into(), "00".into());
        object(subject(map, 1), "annotations").insert("dtype".into(), "F32".into());
    })
    .unwrap();
    let places =
        ["subject[0].mediaType", "subject[1].digest.blake3", "subject[1].annotations.dtype", "x"];
    assert_eq!(read.unread, places);
    assert!(matches!(read.to_payload(), Err(Error::Unread { .. })));

    for key in ["seq", "license", "expires"] {
        let twice = Statement { other: Map::from([(key.into(), 1.into())]), ..sample() };
        assert!(matches!(twice.to_payload(), Err(Error::Field { .. })), "{key}");
    }
}

#[test]
fn a_list_beside_the_card_must_be_the_signed_one() {
    let (statement, jsonl) = listed();
    assert_eq!(statement.manifest(None), Err(Error::ListMissing));
    let Files::Inline(inline) = sample().files else { panic!() };
    assert_eq!(statement.manifest(Some(&jsonl)), Ok(inline.clone()));
    assert_eq!(sample().manifest(None), Ok(inline));
    assert_eq!(statement.manifest(Some(b"")), Err(Error::List { field: "size" }));
    let mut other = jsonl.clone();
    other[20] ^= 1;
    assert_eq!(statement.manifest(Some(&other)), Err(Error::List { field: "sha256" }));
    let lying = Statement { file_count: 4, ..statement };
    let lying = Statement::from_payload(&lying.to_payload().unwrap()).unwrap();
    let contradiction = Error::Contradiction { field: "fileCount" };
    assert_eq!(lying.manifest(Some(&jsonl)), Err(contradiction));
}

#[test]
fn the_form_is_a_field_and_never_guessed_from_a_name() {
    let mut statement = sample();
    let Files::Inline(manifest) = &statement.files else { panic!() };
    let mut only = manifest.files()[0].clone();
    only.path = FILES_LIST.to_owned();
    let manifest = Manifest::new(vec![only]).unwrap();
    statement.tree = manifest.digests();
    (statement.file_count, statement.total_size) = (1, manifest.total_size());
    statement.files = Files::Inline(manifest);
    assert_eq!(Statement::from_payload(&statement.to_payload().unwrap()), Ok(statement));
}

#[test]
fn four_thousand_and_ninety_six_files_fit_in_a_card_and_one_more_does_not() {
    let with = |count: usize, name: usize| {
        let first = sample();
        let Files::Inline(manifest) = &first.files else { panic!() };
        let file = |n| FileEntry { path: format!("{n:0name$}"), ..manifest.files()[0].clone() };
        let manifest = Manifest::new((0..count).map(file).collect()).unwrap();
        Statement {
            tree: manifest.digests(),
            file_count: count as u64,
            total_size: manifest.total_size(),
            files: Files::Inline(manifest),
            ..first
        }
    };
    assert_eq!(with(3000, 20).fits_inline(usize::MAX), Ok(true));
    assert_eq!(with(4096, 10).fits_inline(usize::MAX), Ok(true));
    assert_eq!(with(4097, 4).fits_inline(usize::MAX), Ok(false));
    assert_eq!(with(4096, 100).fits_inline(usize::MAX), Ok(false));
    assert_eq!(with(3000, 200).fits_inline(usize::MAX), Ok(false));
}

#[test]
fn a_licence_comes_from_flag_or_front_matter_and_a_conflict_is_refused() {
    let metadata = |value: Value| Map::from([("license".to_owned(), value)]);
    let mit = metadata("mit".into());
    let both = metadata(Value::List(vec!["mit".into(), "apache-2.0".into()]));
    let some = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(license(None, &Map::new()), Ok(None));
    assert_eq!(license(Some("MIT"), &Map::new()), some("MIT"));
    assert_eq!(license(None, &mit), some("mit"));
    assert_eq!(license(Some("MIT"), &mit), some("MIT"));
    assert_eq!(license(None, &both), Ok(None));
    assert_eq!(license(Some("apache-2.0"), &both), some("apache-2.0"));
    assert_eq!(license(None, &metadata(Value::Null)), Ok(None));
    for stated in [&mit, &both] {
        let error = license(Some("gpl-3.0"), stated).unwrap_err().to_string();
        assert!(error.contains("gpl-3.0") && error.contains("mit"), "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>) {
        assert!(Statement::from_payload(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_never_reads_as_the_same_statement(at: prop::sample::Index, byte: u8) {
        let statement = sample();
        let mut payload = statement.to_payload().unwrap();
        let at = at.index(payload.len());
        prop_assume!(payload[at] != byte);
        payload[at] = byte;
        prop_assert_ne!(Statement::from_payload(&payload), Ok(statement));
    }
}
