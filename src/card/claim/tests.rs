use super::*;
use crate::card::envelope::tests::signed;
use crate::card::json::Value;
use crate::dag::block::{DAG_PB, RAW};
use proptest::prelude::*;

const SEED: [u8; 32] = [11; 32];

fn key() -> SigningKey {
    SigningKey::from_bytes(&SEED)
}

/// A bundle in the right form over any payload.
fn seal(payload: &[u8]) -> Bytes {
    let signer = PublisherId::try_from(&key().verifying_key()).unwrap();
    let signature = key().sign(&envelope::pae(envelope::PAYLOAD_TYPE, payload)).to_bytes();
    envelope::encode(payload, &signature, &signer)
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn draft(body: Body) -> Draft {
    Draft {
        subject: Subject::of_card(&signed()),
        body,
        made_at: time("2026-11-23T18:00:00Z"),
        supersedes: Vec::new(),
        note: None,
    }
}

fn svr(properties: &[&str]) -> Draft {
    draft(Body::Svr { properties: owned(properties) })
}

fn tested(holds: bool, tests: &[&str]) -> Draft {
    draft(Body::TestResult { holds, tests: owned(tests) })
}

fn eval() -> Draft {
    draft(Body::Eval {
        holds: true,
        properties: Vec::new(),
        results: vec![Measured {
            dataset: "Idavidrein/gpqa".to_owned(),
            task: Some("gpqa_diamond".to_owned()),
            metric: "accuracy".to_owned(),
            value: "0.412".to_owned(),
        }],
    })
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn made(draft: &Draft) -> Claim {
    sign(draft, &key()).unwrap()
}

fn payload(claim: &Claim) -> Value {
    let signed = Parts::read(claim.bundle().clone(), limits::CLAIM_PAYLOAD_MAX).unwrap();
    json::decode(&signed.payload, limits::CLAIM_PAYLOAD_MAX).unwrap()
}

/// A claim's payload after a change, duly signed again.
fn changed(draft: &Draft, change: impl FnOnce(&mut Value)) -> Result<Claim, Error> {
    let mut value = payload(&made(draft));
    change(&mut value);
    verify(seal(&json::encode(&value).unwrap()))
}

/// The value at a path of keys and, for lists, numbers.
fn at<'a>(value: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').fold(value, |value, key| match value {
        Value::Map(map) => map.entry(key.to_owned()).or_insert(Value::Null),
        Value::List(list) => &mut list[key.parse::<usize>().unwrap()],
        other => panic!("{key} of {other:?}"),
    })
}

fn remove(value: &mut Value, path: &str, key: &str) {
    let Value::Map(map) = at(value, path) else { panic!("{path} is no object") };
    map.remove(key).unwrap();
}

#[track_caller]
fn refused(draft: &Draft, place: &str, change: impl FnOnce(&mut Value)) {
    match changed(draft, change) {
        Err(Error::Field { field, .. }) if field == place => {}
        other => panic!("{place}: {other:?}"),
    }
}

#[test]
fn what_an_endorser_signs_is_read_by_a_stranger() {
    for draft in [
        svr(&["EVAL_REPRODUCED", "PICKLE_FREE"]),
        tested(true, &["picklescan"]),
        tested(false, &["picklescan", "a test (3.7, ubuntu)"]),
        eval(),
        Draft { subject: Subject::of_root(&cid_v1(DAG_PB, [5; 32])), ..svr(&["X"]) },
        Draft {
            supersedes: vec![cid_v1(DAG_JSON, [1; 32]), cid_v1(DAG_JSON, [2; 32])],
            note: Some("run on 8 H100".to_owned()),
            ..tested(true, &["X"])
        },
    ] {
        let claim = made(&draft);
        let read = verify(claim.bundle().clone()).unwrap();
        assert_eq!(read, claim);
        assert_eq!(read.endorser(), &Identity::Key((&key().verifying_key()).try_into().unwrap()));
        assert_eq!((read.subject(), read.body()), (&draft.subject, &draft.body));
        assert_eq!(read.made_at(), Some(draft.made_at));
        assert_eq!(read.supersedes(), draft.supersedes);
        assert_eq!(read.note(), draft.note.as_deref());
        assert!(read.id().to_string().starts_with("baguqeera"));
    }
}

#[test]
fn the_bytes_of_a_claim_stay_what_they_are() {
    // Verified by @sigstore/verify and in-toto-attestation as `tests/thirdparty` makes one.
    let golden = include_bytes!("../testdata/claim.sigstore.json");
    let claim = made(&svr(&["EVAL_REPRODUCED", "PICKLE_FREE"]));
    assert_eq!(claim.bundle(), &golden[..]);
}

#[test]
fn an_svr_has_the_fields_that_its_specification_requires() {
    let payload = payload(&made(&svr(&["PICKLE_FREE"])));
    let json: serde_json::Value = serde_json::to_value(&payload).unwrap();
    assert_eq!(json["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(json["predicateType"], "https://in-toto.io/attestation/svr/v0.2");
    let predicate = &json["predicate"];
    let did = PublisherId::try_from(&key().verifying_key()).unwrap().to_string();
    assert_eq!(predicate["verifier"], serde_json::json!({ "id": did, "policies": [] }));
    assert_eq!(predicate["timeCreated"], "2026-11-23T18:00:00Z");
    assert_eq!(predicate["properties"], serde_json::json!(["PICKLE_FREE"]));
    let card = signed();
    assert_eq!(json["subject"][0]["uri"], format!("ipfs://{}", card.id()));
    assert_eq!(json["subject"][0]["digest"]["sha256"], json::hex(&sha256(card.payload())));
    assert_eq!(json["subject"][1]["name"], "tiny-chat");
    assert_eq!(json["subject"][1]["uri"], format!("ipfs://{}", card.statement().root));
    assert_eq!(json["subject"][1]["digest"]["sha256"], json::hex(&card.statement().tree.oms));
}

#[test]
fn a_test_result_says_what_passed_or_what_failed() {
    let passed = payload(&made(&tested(true, &["picklescan"])));
    let failed = payload(&made(&tested(false, &["picklescan"])));
    let json = |value: &Value| serde_json::to_value(value).unwrap()["predicate"].clone();
    let expected = serde_json::json!({
        "configuration": [], "failedTests": [], "passedTests": ["picklescan"],
        "result": "PASSED", "warnedTests": [],
    });
    assert_eq!(json(&passed), expected);
    assert_eq!(json(&failed)["result"], "FAILED");
    assert_eq!(json(&failed)["failedTests"], serde_json::json!(["picklescan"]));
    let claim = made(&tested(false, &["picklescan"]));
    assert!(!claim.holds() && !claim.fact().holds);
    assert_eq!(
        (claim.kind(), claim.fact().properties),
        ("test-result", &owned(&["picklescan"])[..])
    );
}

#[test]
fn what_passed_in_a_failed_run_is_not_said_to_hold() {
    let claim = changed(&tested(false, &["b"]), |value| {
        *at(value, "predicate.passedTests") = Value::List(vec!["a".into()]);
    })
    .unwrap();
    assert_eq!((claim.holds(), claim.properties()), (false, &owned(&["b"])[..]));
    let claim = changed(&tested(true, &["a"]), |value| {
        *at(value, "predicate.result") = "WARNED".into();
        *at(value, "predicate.warnedTests") = Value::List(vec!["b".into()]);
    })
    .unwrap();
    assert_eq!((claim.holds(), claim.properties()), (true, &owned(&["a"])[..]));
    refused(&tested(true, &["a"]), "predicate.failedTests", |value| {
        *at(value, "predicate.failedTests") = Value::List(vec!["a".into()]);
    });
}

#[test]
fn predicates_of_others_hold_under_their_own_names_without_properties() {
    for (predicate_type, kind) in [
        ("https://slsa.dev/provenance/v1", "slsa-provenance"),
        ("https://cyclonedx.org/bom", "cyclonedx"),
        ("https://cyclonedx.org/bom/v1.6", "cyclonedx"),
        ("https://spdx.dev/Document/v2.3", "spdx"),
        ("https://in-toto.io/attestation/vulns/v0.2", "vulns"),
        ("https://in-toto.io/attestation/release/v0.1", "release"),
        ("https://in-toto.io/attestation/svr/v0.1", "svr"),
        ("https://in-toto.io/attestation/svr/v0.3", "https://in-toto.io/attestation/svr/v0.3"),
        ("https://slsa.dev/provenances", "https://slsa.dev/provenances"),
        ("https://example.com/x", "https://example.com/x"),
    ] {
        let claim =
            changed(&svr(&["X"]), |value| *at(value, "predicateType") = predicate_type.into())
                .unwrap();
        assert_eq!(claim.kind(), kind);
        assert!(claim.holds());
        let known = kind == "svr";
        assert_eq!((claim.properties().is_empty(), claim.made_at().is_none()), (!known, !known));
    }
    // A bare word would pass for one of the short names.
    refused(&svr(&["X"]), "predicateType", |value| *at(value, "predicateType") = "svr".into());
}

#[test]
fn fields_of_later_versions_are_passed_over() {
    let claim = changed(&svr(&["X"]), |value| {
        *at(value, "predicate.urn:x:y") = "y".into();
        *at(value, "subject.0.mediaType") = "y".into();
        *at(value, "more") = "y".into();
    });
    assert_eq!(claim.unwrap().properties(), ["X"]);
}

#[test]
fn a_claim_that_names_another_verifier_is_refused() {
    let other = signed().publisher().to_string();
    for (draft, place) in
        [(svr(&["X"]), "predicate.verifier.id"), (eval(), "predicate.evaluator.id")]
    {
        let named = changed(&draft, |value| *at(value, place) = other.as_str().into());
        assert!(matches!(named, Err(Error::OtherEndorser { .. })), "{named:?}");
        assert!(changed(&draft, |value| *at(value, place) = "https://a.b/v1".into()).is_ok());
    }
}

#[test]
fn subjects_that_contradict_themselves_are_refused() {
    let root = Draft { subject: Subject::of_root(&cid_v1(DAG_PB, [5; 32])), ..svr(&["X"]) };
    let uri = |cid: Cid| Value::Text(format!("ipfs://{cid}"));
    refused(&svr(&["X"]), "subject[0].digest.sha256", |value| {
        *at(value, "subject.0.digest.sha256") = json::hex(&[1; 32]).as_str().into();
    });
    refused(&root, "subject[0].digest.sha256", |value| {
        *at(value, "subject.0.digest.sha256") = json::hex(&[1; 32]).as_str().into();
    });
    refused(&svr(&["X"]), "subject[0].uri", |value| {
        *at(value, "subject.0.uri") = uri(cid_v1(DAG_PB, [1; 32]));
    });
    refused(&root, "subject[0].uri", |value| {
        *at(value, "subject.0.uri") = uri(cid_v1(DAG_JSON, [5; 32]));
    });
    refused(&svr(&["X"]), "subject[1].uri", |value| {
        *at(value, "subject.1.uri") = uri(cid_v1(DAG_JSON, [1; 32]));
    });
    refused(&svr(&["X"]), "subject", |value| *at(value, "subject") = Value::List(Vec::new()));
    refused(&svr(&["X"]), "subject", |value| {
        let Value::List(subjects) = at(value, "subject") else { panic!() };
        subjects.push(subjects[1].clone());
    });
    refused(&svr(&["X"]), "subject[1].digest.dirHash1", |value| {
        remove(value, "subject.1.digest", "dirHash1");
    });
}

#[test]
fn a_claim_is_about_its_tree_and_about_a_card_only_as_that_is() {
    let card = signed();
    let root = card.statement().root;
    let claim = made(&svr(&["X"]));
    assert!(claim.subject().is_of(&root, Some(&card)));
    assert!(claim.subject().is_of(&root, None));
    assert!(!claim.subject().is_of(&cid_v1(DAG_PB, [9; 32]), Some(&card)));
    // The card's id beside another tree, or other digests of it.
    let other_tree = changed(&svr(&["X"]), |value| {
        *at(value, "subject.1.uri") = format!("ipfs://{}", cid_v1(DAG_PB, [9; 32])).as_str().into();
    });
    let other_tree = other_tree.unwrap();
    assert!(!other_tree.subject().is_of(&root, Some(&card)));
    assert!(!other_tree.subject().is_of(&cid_v1(DAG_PB, [9; 32]), Some(&card)));
    let other_digest = changed(&svr(&["X"]), |value| {
        *at(value, "subject.1.digest.sha256") = json::hex(&[1; 32]).as_str().into();
    });
    assert!(!other_digest.unwrap().subject().is_of(&root, Some(&card)));
    // Over the same tree another card may stand.
    let other_card = envelope::tests::signed_with(|statement| {
        statement.license = None;
        statement.metadata.clear();
    });
    assert!(claim.subject().is_of(&root, Some(&other_card)));
    // One tree, however its CID is written.
    let digest = multihash::Multihash::<64>::wrap(0x12, &[5; 32]).unwrap();
    let of_v0 = Subject::of_root(&Cid::new_v0(digest).unwrap());
    assert_eq!(of_v0, Subject::of_root(&cid_v1(DAG_PB, [5; 32])));
    assert!(of_v0.is_of(&Cid::new_v0(digest).unwrap(), None));
    assert!(Subject::of_root(&cid_v1(RAW, [5; 32])).is_of(&cid_v1(RAW, [5; 32]), None));
}

#[test]
fn values_that_are_no_decimal_numbers_are_refused() {
    for value in ["0", "-1", "0.412", "12.50", "1e-5", "-3.25E+10"] {
        let with = changed(&eval(), |all| *at(all, "predicate.results.0.value") = value.into());
        assert!(with.is_ok(), "{value}");
    }
    let long = "1".repeat(limits::CLAIM_VALUE_MAX + 1);
    for value in ["", ".5", "5.", "+1", "NaN", "1,5", "1 ", "0x10", "1e", "--1", "1.2.3", &long] {
        let with = changed(&eval(), |all| *at(all, "predicate.results.0.value") = value.into());
        assert!(matches!(with, Err(Error::Field { .. })), "{value}");
    }
    refused(&eval(), "predicate.results[0].value", |value| {
        *at(value, "predicate.results.0.value") = Value::Int(1);
    });
}

#[test]
fn what_acts_on_terminals_or_is_too_much_is_refused() {
    let long = "x".repeat(limits::CLAIM_TEXT_MAX + 1);
    for text in ["", "a\nb", "\u{1b}[2J", &long] {
        let text = || Value::List(vec![text.into()]);
        refused(&svr(&["X"]), "predicate.properties", |value| {
            *at(value, "predicate.properties") = text();
        });
    }
    refused(&svr(&["X"]), "subject[0].annotations.note", |value| {
        *at(value, "subject.0.annotations") =
            Value::Map([("note".to_owned(), "a\nb".into())].into());
    });
    let many = || Value::List(vec!["x".into(); limits::CLAIM_ENTRIES_MAX + 1]);
    refused(&svr(&["X"]), "predicate.properties", |value| {
        *at(value, "predicate.properties") = many();
    });
    let large = changed(&svr(&["X"]), |value| {
        *at(value, "more") = "x".repeat(limits::CLAIM_PAYLOAD_MAX).as_str().into();
    });
    assert!(matches!(large, Err(Error::TooLarge { .. })));
    let huge = vec![b'x'; limits::CLAIM_BUNDLE_MAX + 1];
    assert!(matches!(verify(huge), Err(Error::TooLarge { what: "bundle", .. })));
    let largest = seal(&vec![b' '; limits::CLAIM_PAYLOAD_MAX]);
    assert!(largest.len() <= limits::CLAIM_BUNDLE_MAX);
}

#[test]
fn nothing_is_signed_that_says_nothing_or_that_no_reader_takes() {
    for draft in [
        svr(&[]),
        tested(false, &[]),
        svr(&["a\nb"]),
        draft(Body::Eval { holds: true, properties: Vec::new(), results: Vec::new() }),
        Draft { note: Some(String::new()), ..svr(&["X"]) },
    ] {
        assert!(matches!(sign(&draft, &key()), Err(Error::Field { .. })), "{draft:?}");
    }
    assert!(matches!(sign(&draft(Body::Other), &key()), Err(Error::Foreign(_))));
}

#[test]
fn a_card_is_no_claim() {
    assert_eq!(verify(signed().bundle().clone()), Err(Error::Card));
    let claim = made(&svr(&["X"]));
    let as_card = envelope::Unverified::from_bundle(claim.bundle().clone()).unwrap().verify();
    assert!(matches!(as_card, Err(envelope::Error::Statement(_))));
}

#[test]
fn every_single_flipped_bit_and_every_cut_is_refused() {
    let claim = made(&svr(&["X"]));
    let mut bundle = claim.bundle().to_vec();
    for at in 0..bundle.len() {
        assert!(verify(claim.bundle().slice(..at)).is_err(), "cut at {at}");
        for bit in 0..8 {
            bundle[at] ^= 1 << bit;
            assert!(verify(bundle.clone()).is_err(), "byte {at}, bit {bit}");
            bundle[at] ^= 1 << bit;
        }
    }
}

#[test]
fn a_bundle_in_another_form_or_of_another_key_is_refused() {
    let claim = made(&svr(&["X"]));
    let text = std::str::from_utf8(claim.bundle()).unwrap();
    let did = PublisherId::try_from(&key().verifying_key()).unwrap().to_string();
    for form in [
        format!("{text}\n"),
        text.replace("\":", "\": "),
        text.replacen(&did, "", 1),
        text.replace("hint", "Hint"),
        text.replacen('{', "{\"x\":1,", 1),
        "{}".to_owned(),
    ] {
        assert!(matches!(verify(form.into_bytes()), Err(Error::Bundle(_) | Error::Form { .. })));
    }
    let other = text.replace(&did, &signed().publisher().to_string());
    assert!(matches!(verify(other.into_bytes()), Err(Error::Signature { .. })));
}

#[test]
fn a_weak_key_endorses_nothing() {
    // A = R = the identity, S = 0 holds for every message by the plain check.
    let claim = made(&svr(&["X"]));
    let did = PublisherId::try_from(&key().verifying_key()).unwrap().to_string();
    let mut identity = [0; 32];
    identity[0] = 1;
    let part = [&[0xed, 0x01][..], &identity].concat();
    let weak = format!("did:key:{}", multibase::encode(multibase::Base::Base58Btc, part));
    let text = std::str::from_utf8(claim.bundle()).unwrap().replace(&did, &weak);
    assert_eq!(verify(text.into_bytes()), Err(Error::Key(did::Error::Weak)));
}

fn dated(at: &str, draft: Draft) -> Claim {
    made(&Draft { made_at: time(at), ..draft })
}

fn ids<C: std::borrow::Borrow<Claim>>(claims: &[C]) -> Vec<Cid> {
    claims.iter().map(|claim| *claim.borrow().id()).collect()
}

#[test]
fn of_one_endorser_kind_and_tree_the_newest_counts() {
    let old = dated("2026-01-01T00:00:00Z", svr(&["A", "B"]));
    let new = dated("2026-02-01T00:00:00Z", svr(&["A"]));
    let test = dated("2026-01-15T00:00:00Z", tested(false, &["B"]));
    let theirs = sign(&svr(&["C"]), &SigningKey::from_bytes(&[12; 32])).unwrap();
    let of_root = Draft { subject: Subject::of_root(&cid_v1(DAG_PB, [5; 32])), ..svr(&["A"]) };
    let elsewhere = dated("2025-01-01T00:00:00Z", of_root);
    let all = [&old, &new, &test, &theirs, &elsewhere];
    for order in [all, [&elsewhere, &theirs, &test, &new, &old]] {
        assert_eq!(ids(&current(order)), ids(&[&theirs, &new, &test, &elsewhere]));
    }
}

#[test]
fn a_later_word_on_a_property_overtakes_every_earlier_one_on_it_and_none_on_others() {
    let said = |at: &str, draft| dated(&format!("2026-{at}-01T00:00:00Z"), draft);
    let first = said("01", svr(&["A", "B"]));
    let replaced = said("02", Draft { supersedes: vec![*first.id()], ..svr(&["A", "B"]) });
    let failed = said("03", Draft { supersedes: vec![*replaced.id()], ..tested(false, &["A"]) });
    // Who never saw what lies between takes the newest word all the same.
    let counting = current([&first, &failed]);
    assert_eq!(ids(&counting), ids(&[&failed, &first]));
    assert_eq!(counting[1].properties(), ["B"]);
    assert_eq!(current([&first, &replaced, &failed]).len(), 1, "taken back as a whole");
    // Another failure takes nothing back.
    let other = said("04", tested(false, &["C"]));
    assert_eq!(ids(&current([&failed, &other])), ids(&[&other, &failed]));
    // Whatever the kinds are; an evaluation by another measure says nothing of this one.
    let measured = |at, dataset: &str, holds| {
        let mut draft = eval();
        if let Body::Eval { results, properties, holds: is } = &mut draft.body {
            (results[0].dataset, *properties, *is) = (dataset.to_owned(), vec!["A".into()], holds);
        }
        said(at, draft)
    };
    let (one, two) = (measured("05", "one", false), measured("06", "two", true));
    assert_eq!(ids(&current([&failed, &one, &two])), ids(&[&two, &one]));
    let last = said("07", svr(&["A"]));
    assert_eq!(ids(&current([&failed, &one, &two, &last])), ids(&[&last]));
}

#[test]
fn a_new_claim_takes_back_what_it_says_anew_as_a_whole() {
    let of = |draft: &Draft| {
        Unsigned::new(draft, &PublisherId::try_from(&key().verifying_key()).unwrap()).unwrap()
    };
    let both = made(&svr(&["A", "B"]));
    assert!(both.gives_way_to(&of(&svr(&["B", "A", "C"]))));
    assert!(!both.gives_way_to(&of(&tested(false, &["A"]))), "B goes on to count");
    assert!(!made(&tested(false, &["A"])).gives_way_to(&of(&tested(false, &["C"]))));
    assert!(made(&eval()).gives_way_to(&of(&eval())));
}

#[test]
fn evaluations_of_other_things_stand_beside_each_other() {
    let one = made(&eval());
    let again = dated("2026-12-01T00:00:00Z", eval());
    let mut other = eval();
    let Body::Eval { results, .. } = &mut other.body else { panic!() };
    results[0].dataset = "cais/mmlu".to_owned();
    let other = made(&other);
    assert_eq!(ids(&current([&one, &again, &other])), ids(&[&again, &other]));
}

#[test]
fn what_its_endorser_took_back_does_not_count_and_others_take_nothing_back() {
    let first = dated("2026-03-01T00:00:00Z", svr(&["A"]));
    let back = Draft { supersedes: vec![*first.id()], ..tested(false, &["A"]) };
    let earlier = dated("2026-02-01T00:00:00Z", back.clone());
    assert_eq!(ids(&current([&first, &earlier])), ids(&[&earlier]), "whatever its date");
    let stranger = sign(&back, &SigningKey::from_bytes(&[12; 32])).unwrap();
    assert_eq!(current([&first, &stranger]).len(), 2);
}

#[test]
fn of_two_claims_of_one_second_the_failed_one_counts() {
    let (good, bad) = (made(&tested(true, &["A"])), made(&tested(false, &["A"])));
    for order in [[&good, &bad], [&bad, &good]] {
        assert_eq!(ids(&current(order)), ids(&[&bad]));
    }
}

#[test]
fn a_file_of_claims_is_read_as_it_was_written() {
    let claims = [made(&svr(&["A"])), made(&eval())];
    let text = Bytes::from(to_jsonl(claims.iter().map(Claim::bundle)));
    let lines = from_jsonl(&text).unwrap();
    assert_eq!(lines, [(1, claims[0].bundle().clone()), (2, claims[1].bundle().clone())]);
    let spaced = Bytes::from_static(b"\n{}\r\n\n[]");
    let lines = from_jsonl(&spaced).unwrap();
    assert_eq!(lines, [(2, Bytes::from_static(b"{}")), (4, Bytes::from_static(b"[]"))]);
    let many = Bytes::from("x\n".repeat(limits::CLAIMS_LINES_MAX + 1));
    assert_eq!(from_jsonl(&many), Err(Error::TooMany));
    let large = Bytes::from(vec![b'x'; limits::CLAIMS_FILE_MAX + 1]);
    assert!(matches!(from_jsonl(&large), Err(Error::TooLarge { what: "file", .. })));
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>) {
        prop_assert!(verify(bytes.clone()).is_err());
        prop_assert!(from_jsonl(&bytes.into()).is_ok());
    }

    #[test]
    fn any_signed_payload_never_panics(payload: Vec<u8>) {
        prop_assert!(verify(seal(&payload)).is_err());
    }

    #[test]
    fn any_change_of_a_field_is_read_or_refused(
        path in prop::sample::select(vec![
            "subject", "subject.0", "subject.0.uri", "subject.0.digest", "subject.1.name",
            "subject.0.annotations", "subject.0.annotations.supersedes", "predicate",
            "predicate.results", "predicate.results.0", "predicate.results.0.value",
            "predicate.timeCreated", "predicateType", "predicate.properties",
        ]),
        text: String,
        number: i64,
        choice in 0..5u8,
    ) {
        let value = match choice {
            0 => Value::Text(text),
            1 => Value::Int(number.into()),
            2 => Value::List(vec![Value::Text(text)]),
            3 => Value::Map([(text.replace('/', ""), Value::Null)].into()),
            _ => Value::Null,
        };
        let with = Draft { supersedes: vec![cid_v1(DAG_JSON, [1; 32])], ..eval() };
        if let Ok(claim) = changed(&with, |all| *at(all, path) = value) {
            prop_assert!(claim.properties().len() <= limits::CLAIM_ENTRIES_MAX);
        }
    }

    #[test]
    fn any_changed_byte_is_refused(index: prop::sample::Index, byte: u8) {
        let mut bundle = made(&svr(&["X"])).bundle().to_vec();
        let index = index.index(bundle.len());
        prop_assume!(bundle[index] != byte);
        bundle[index] = byte;
        prop_assert!(verify(bundle).is_err());
    }
}
