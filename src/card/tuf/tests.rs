use std::ops::{Add, Mul};

use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;
use sha2::Digest as _;

use super::*;
use crate::card::did;
use crate::card::json::hex;
use crate::dag::block::{RAW, cid_v1, sha256};

mod cards;
mod python;
mod standing;

pub(in crate::card) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(super) fn id(seed: u8) -> PublisherId {
    PublisherId::try_from(&key(seed).verifying_key()).unwrap()
}

pub(super) fn role(threshold: usize, seeds: &[u8]) -> Role {
    Role { keys: seeds.iter().map(|seed| id(*seed)).collect(), threshold }
}

pub(super) fn content(signers: Role, cards: Role) -> Content {
    Content {
        name: "Acmé Labs".into(),
        links: vec!["https://acme.example/.well-known/modelswarm".into()],
        announce: id(99),
        expires: "2030-01-01T00:00:00Z".parse().unwrap(),
        signers,
        cards,
    }
}

pub(super) fn signed_by(mut draft: Draft, seeds: &[u8]) -> Publisher {
    for seed in seeds {
        draft.sign(&key(*seed)).unwrap();
    }
    draft.finish().unwrap()
}

/// 2-of-2 root keys 1 and 2, card key 11.
pub(in crate::card) fn first() -> Publisher {
    signed_by(Draft::first(content(role(2, &[1, 2]), role(1, &[11]))).unwrap(), &[1, 2])
}

/// Then 2-of-2 root keys 2 and 3, card key 12.
pub(in crate::card) fn rotated() -> Publisher {
    let next = content(role(2, &[2, 3]), role(1, &[12]));
    signed_by(Draft::after(&first(), next).unwrap(), &[1, 2, 3])
}

/// The root after `head` with `change` made in its part `signed`, signed by these whatever it says.
fn forged(head: &Publisher, seeds: &[u8], change: impl FnOnce(&mut Map)) -> String {
    let draft = Draft::after(head, head.head().content().clone()).unwrap();
    let before = head.roots.len();
    let text = document(&draft.to_document()).unwrap().remove(before);
    let mut file = form::read(&text).unwrap();
    let Some(Value::Map(signed)) = file.get_mut("signed") else { panic!("no signed part") };
    change(signed);
    let message = form::signed_bytes(signed);
    let line = |seed: &u8| {
        Value::Map(Map::from([
            ("keyid".into(), Value::Text(root::key_object(&id(*seed)).0)),
            ("sig".into(), Value::Text(hex(&key(*seed).sign(&message).to_bytes()))),
        ]))
    };
    file.insert("signatures".into(), Value::List(seeds.iter().map(line).collect()));
    form::compact(&file)
}

fn with(head: &Publisher, text: String) -> Result<Publisher, Error> {
    let texts: Vec<String> =
        head.roots.iter().map(|root| root.text.clone()).chain([text]).collect();
    Publisher::from_roots(&texts)
}

fn flaw(head: &Publisher, text: String) -> Flaw {
    match with(head, text) {
        Err(Error::Root { version: 2, flaw }) => flaw,
        other => panic!("not refused at version 2: {other:?}"),
    }
}

#[test]
fn a_lab_is_its_first_root_and_its_keys_change_with_it() {
    let (one, two) = (first(), rotated());
    assert_eq!(one.id(), two.id());
    assert_eq!(one.id().cid(), cid_v1(RAW, sha256(one.head().text().as_bytes())));
    assert_eq!(two.root(1), Some(one.head()));
    assert_eq!((two.head().version(), two.root(0), two.root(3)), (2, None, None));
    assert!(two.allowed(&id(11), 1) && !two.allowed(&id(11), 2) && two.allowed(&id(12), 2));
    assert_eq!(two.head().content(), &content(role(2, &[2, 3]), role(1, &[12])));

    let document = two.to_document();
    assert_eq!(Publisher::from_document(&document), Ok(two.clone()));
    assert_eq!(Publisher::expect(one.id(), &document), Ok(two.clone()));
    let json: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(json["roots"][1], two.head().text());
}

#[test]
fn a_document_of_another_lab_is_not_taken() {
    let other = Draft::first(content(role(1, &[1]), role(1, &[11]))).unwrap();
    let other = signed_by(other, &[1]);
    let refused = Publisher::expect(first().id(), &other.to_document());
    assert_eq!(refused, Err(Error::OtherPublisher { found: *other.id(), expected: *first().id() }));
}

#[test]
fn both_thresholds_must_hold_and_one_key_counts_once() {
    let head = first();
    assert_eq!(with(&head, forged(&head, &[1, 2], |_| {})).unwrap().head().version(), 2);
    let threshold = |whose, have| Flaw::Threshold { whose, have, need: 2 };
    assert_eq!(flaw(&head, forged(&head, &[1], |_| {})), threshold("the version before", 1));
    assert_eq!(flaw(&head, forged(&head, &[], |_| {})), threshold("the version before", 0));
    let twice = flaw(&head, forged(&head, &[1, 1], |_| {}));
    assert!(matches!(twice, Flaw::SignedTwice { .. }), "{twice}");

    // New keys 3 and 4: those before sign, and those after, each enough of them.
    let next = content(role(2, &[3, 4]), role(1, &[11]));
    let mut draft = Draft::after(&head, next).unwrap();
    for (seed, whose, have) in
        [(3, "the version before", 0), (4, "the version before", 0), (1, "the version before", 1)]
    {
        draft.sign(&key(seed)).unwrap();
        let partial = Publisher::from_document(&draft.to_document());
        assert_eq!(partial, Err(Error::Root { version: 2, flaw: threshold(whose, have) }));
    }
    draft.sign(&key(2)).unwrap();
    assert_eq!(draft.finish().unwrap().head().content().signers, role(2, &[3, 4]));
    let only_old = Draft::after(&head, draft.content().clone()).unwrap();
    let mut only_old = only_old;
    only_old.sign(&key(1)).unwrap();
    only_old.sign(&key(2)).unwrap();
    let partial = Publisher::from_document(&only_old.to_document());
    assert_eq!(partial, Err(Error::Root { version: 2, flaw: threshold("its own", 0) }));
}

#[test]
fn a_stranger_cannot_take_over_and_cannot_even_add_a_signature() {
    let head = first();
    let takeover = Draft::after(&head, content(role(1, &[66]), role(1, &[66]))).unwrap();
    let mut takeover = takeover;
    takeover.sign(&key(66)).unwrap();
    assert!(matches!(takeover.finish(), Err(DraftError::Incomplete { .. })));
    let extra = flaw(&head, forged(&head, &[1, 2, 66], |_| {}));
    assert!(matches!(extra, Flaw::Signature { .. }), "{extra}");
    // A card key is no root key.
    let extra = flaw(&head, forged(&head, &[1, 2, 11], |_| {}));
    assert!(matches!(extra, Flaw::Signature { .. }), "{extra}");
}

#[test]
fn versions_go_up_by_one_and_each_names_the_root_before() {
    let head = first();
    let set = |version: u64| {
        move |signed: &mut Map| {
            signed.insert("version".into(), version.into());
        }
    };
    assert_eq!(flaw(&head, forged(&head, &[1, 2], set(1))), Flaw::Version { found: 1 });
    assert_eq!(flaw(&head, forged(&head, &[1, 2], set(3))), Flaw::Version { found: 3 });
    for prev in [Value::Null, Value::Text(cid_v1(RAW, [0; 32]).to_string())] {
        let text = forged(&head, &[1, 2], |signed| {
            let Some(Value::Map(own)) = signed.get_mut("x-publisher") else { panic!() };
            own.insert("prev".into(), prev);
        });
        assert_eq!(flaw(&head, text), Flaw::Prev);
    }
    // A chain that starts later, or not at all.
    let second = rotated().head().text().to_owned();
    let late = Publisher::from_roots(&[second]);
    assert_eq!(late, Err(Error::Root { version: 1, flaw: Flaw::Version { found: 2 } }));
    assert!(matches!(Publisher::from_roots::<&str>(&[]), Err(Error::Document(_))));
}

#[test]
fn fields_that_tuf_or_we_do_not_allow_are_refused_though_signed() {
    fn at<'a>(signed: &'a mut Map, path: &str) -> &'a mut Map {
        path.split('.').filter(|part| !part.is_empty()).fold(signed, |map, part| {
            match map.get_mut(part) {
                Some(Value::Map(map)) => map,
                _ => panic!("no {part} in {path}"),
            }
        })
    }
    let ids = |seeds: &[u8]| {
        let ids = seeds.iter().map(|seed| Value::Text(root::key_object(&id(*seed)).0));
        Value::List(ids.collect())
    };
    let weak = format!("01{}", "0".repeat(62));
    let weak = Map::from([("public".to_owned(), Value::Text(weak))]);
    let weak = Map::from([
        ("keytype".to_owned(), Value::from("ed25519")),
        ("keyval".to_owned(), Value::Map(weak)),
        ("scheme".to_owned(), Value::from("ed25519")),
    ]);
    let weak_id = hex(&sha256(&form::signed_bytes(&weak)));
    let head = first();
    let one = root::key_object(&id(1));
    let renamed = "ab".repeat(32);
    let cases: Vec<(&str, &str, Option<Value>, &str)> = vec![
        ("", "_type", Some("targets".into()), "_type"),
        ("", "spec_version", Some("2.0.0".into()), "spec_version"),
        ("", "spec_version", Some("1.".into()), "spec_version"),
        ("", "version", Some(Value::Int(0)), "version"),
        ("", "expires", Some("tomorrow".into()), "expires"),
        ("", "consistent_snapshot", Some(1.into()), "consistent_snapshot"),
        ("", "x-publisher", None, "x-publisher"),
        ("x-publisher", "name", Some("".into()), "x-publisher.name"),
        ("x-publisher", "name", Some("a\nb".into()), "x-publisher.name"),
        ("x-publisher", "announce", Some("acme".into()), "x-publisher.announce"),
        ("x-publisher", "links", Some(Value::List(vec!["http://a".into()])), "x-publisher.links"),
        ("x-publisher", "links", None, "x-publisher.links"),
        ("x-publisher", "prev", Some("x".into()), "x-publisher.prev"),
        ("x-publisher", "prev", None, "x-publisher.prev"),
        ("roles", "timestamp", None, "roles"),
        ("roles", "mirrors", Some(Value::Null), "roles"),
        ("roles.root", "threshold", Some(Value::Int(0)), "roles.root.threshold"),
        ("roles.root", "threshold", Some(Value::Int(3)), "roles.root.threshold"),
        ("roles.root", "keyids", Some(ids(&[1, 1])), "roles.root.keyids"),
        ("roles.root", "keyids", Some(ids(&[77])), "roles.root.keyids"),
        ("roles.targets", "keyids", Some(Value::List(vec![])), "roles.targets.threshold"),
        ("roles.snapshot", "keyids", Some(ids(&[77])), "roles.snapshot.keyids"),
        ("keys", &renamed, Some(one.1.clone()), "keys."),
        ("keys", &weak_id, Some(Value::Map(weak)), "keys."),
    ];
    for (place, field, value, named) in cases {
        let text = forged(&head, &[1, 2], |signed| {
            let map = at(signed, place);
            match value {
                Some(value) => map.insert(field.to_owned(), value),
                None => map.remove(field),
            };
        });
        match flaw(&head, text) {
            Flaw::Field(BadField { field: found, .. }) => {
                assert!(found.starts_with(named), "{place}.{field}: {found}");
            }
            other => panic!("{place}.{field}: {other}"),
        }
    }
    // A key with a further field has another id: as a second key it would make 1 of 2.
    let text = forged(&head, &[1, 2], |signed| {
        let Value::Map(mut object) = one.1.clone() else { panic!() };
        object.insert("x".into(), Value::Null);
        let id = hex(&sha256(&form::signed_bytes(&object)));
        at(signed, "keys").insert(id, Value::Map(object));
    });
    assert!(matches!(flaw(&head, text), Flaw::Field(_)));
}

/// Another signature by the key's owner that a plain check takes: R is the identity, S = H(R, A, M) a.
pub(in crate::card) fn lax_signature(key: &SigningKey, message: &[u8]) -> [u8; 64] {
    /// A scalar of the first argument's type, whose name dalek does not export.
    fn reduced<S>(_: S, bytes: &[u8]) -> S
    where
        S: Copy + From<u64> + Add<Output = S> + Mul<Output = S>,
    {
        let base = S::from(256);
        bytes.iter().rev().fold(S::from(0), |sum, byte| sum * base + S::from((*byte).into()))
    }
    let public = key.verifying_key();
    let mut signature = [0; 64];
    signature[0] = 1;
    let hashed = [&signature[..32], public.as_bytes(), message].concat();
    let challenge = reduced(key.to_scalar(), &sha2::Sha512::digest(&hashed));
    signature[32..].copy_from_slice((challenge * key.to_scalar()).as_bytes());
    let plain = Signature::from_bytes(&signature);
    assert!(ed25519_dalek::Verifier::verify(&public, message, &plain).is_ok());
    signature
}

#[test]
fn a_signature_that_only_a_plain_check_takes_is_none() {
    let mut draft = Draft::first(content(role(1, &[1]), role(1, &[11]))).unwrap();
    let lax = lax_signature(&key(1), &draft.to_sign());
    assert_eq!(draft.add_signature(&id(1), lax), Err(DraftError::Signature { key: id(1) }));
    draft.sign(&key(1)).unwrap();
    let lab = draft.finish().unwrap();
    let good = hex(&key(1).sign(&draft.to_sign()).to_bytes());
    let text = lab.head().text().replace(&good, &hex(&lax));
    assert_ne!(text, lab.head().text());
    let refused = Publisher::from_roots(&[text]);
    assert!(
        matches!(refused, Err(Error::Root { flaw: Flaw::Signature { .. }, .. })),
        "{refused:?}"
    );
}

#[test]
fn malleable_signatures_and_weak_keys_make_no_signature() {
    // S + L is the same signature to a lax verifier.
    let head = first();
    let text = forged(&head, &[1, 2], |_| {});
    let at = text.find("\"sig\":\"").unwrap() + 7;
    let mut sig: [u8; 64] = parse_hex(&text[at..at + 128]).unwrap();
    let l: [u8; 32] =
        parse_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0u16;
    for (s, l) in sig[32..].iter_mut().zip(l) {
        carry += u16::from(*s) + u16::from(l);
        *s = carry as u8;
        carry >>= 8;
    }
    let text = text.replace(&text[at..at + 128], &hex(&sig));
    assert!(matches!(flaw(&head, text), Flaw::Signature { .. }));
    assert!(matches!(PublisherId::from_bytes(&[0; 32]), Err(did::Error::Weak)));
}

#[test]
fn an_overdue_head_is_said_and_voids_nothing() {
    let lab = rotated();
    let end = lab.head().content().expires;
    let at = |delta| Timestamp::from_unix(end.unix() + delta).unwrap();
    assert_eq!(lab.expired(at(-1)), None);
    assert_eq!(lab.expired(at(0)), Some(end));
    // Only the head's counts.
    let mut renewed = lab.head().content().clone();
    renewed.expires = at(1000);
    let renewed = signed_by(Draft::after(&lab, renewed).unwrap(), &[2, 3]);
    assert_eq!(renewed.expired(at(0)), None);
}

#[test]
fn documents_of_one_lab_are_older_newer_or_a_fork() {
    let (one, two) = (first(), rotated());
    assert_eq!(two.relation_to(&one), Relation::Newer);
    assert_eq!(one.relation_to(&two), Relation::Older);
    assert_eq!(two.relation_to(&two.clone()), Relation::Same);
    let other = Draft::after(&one, content(role(2, &[1, 2]), role(1, &[13]))).unwrap();
    let other = signed_by(other, &[1, 2]);
    assert_eq!(two.relation_to(&other), Relation::Fork { version: 2 });
    let stranger = Draft::first(content(role(1, &[5]), role(1, &[5]))).unwrap();
    assert_eq!(signed_by(stranger, &[5]).relation_to(&one), Relation::Unrelated);
}

#[test]
fn people_sign_one_after_the_other_or_side_by_side() {
    let next = content(role(2, &[2, 3]), role(2, &[12, 13]));
    let draft = Draft::after(&first(), next.clone()).unwrap();
    let whose = |draft: &Draft| {
        draft.lacking().into_iter().map(|l| (l.whose, l.have, l.missing.len())).collect::<Vec<_>>()
    };
    assert_eq!(whose(&draft), [("the version before's", 0, 2), ("its own", 0, 2)]);

    let mut at_one = Draft::from_document(&draft.to_document()).unwrap();
    assert_eq!(at_one, draft);
    at_one.sign(&key(1)).unwrap();
    // The second has an agent: bytes go out, a signature comes back.
    let mut at_two = Draft::from_document(&at_one.to_document()).unwrap();
    assert_eq!((at_two.content(), at_two.version()), (&next, 2));
    assert_eq!(at_two.before().map(Publisher::id), Some(first().id()));
    at_two.add_signature(&id(2), key(2).sign(&at_two.to_sign()).to_bytes()).unwrap();
    assert_eq!(whose(&at_two), [("its own", 1, 1)]);
    assert!(
        matches!(at_two.finish(), Err(DraftError::Incomplete { lacking }) if lacking.missing == [id(3)])
    );
    let mut at_three = draft.clone();
    at_three.sign(&key(3)).unwrap();
    at_two.merge(&at_three).unwrap();
    assert_eq!(at_two.lacking(), []);
    let lab = at_two.finish().unwrap();
    assert_eq!(at_two.to_document(), lab.to_document());
    assert_eq!(lab.head().content(), &next);
    assert_eq!(Draft::from_document(&lab.to_document()), Err(DraftError::Complete { version: 2 }));
}

#[test]
fn only_signatures_that_count_are_added() {
    let mut draft = Draft::first(content(role(1, &[1]), role(1, &[11]))).unwrap();
    assert_eq!(draft.sign(&key(11)), Err(DraftError::NoRootKey { key: id(11) }));
    let other = key(1).sign(b"another thing").to_bytes();
    assert_eq!(draft.add_signature(&id(1), other), Err(DraftError::Signature { key: id(1) }));
    let another = Draft::first(content(role(1, &[1]), role(1, &[12]))).unwrap();
    assert_eq!(draft.merge(&another), Err(DraftError::OtherDraft));
    assert_eq!(draft.signers().len(), 0);
}

#[test]
fn a_root_that_nobody_could_use_is_not_drafted() {
    for (signers, cards) in [
        (role(0, &[1]), role(1, &[2])),
        (role(2, &[1]), role(1, &[2])),
        (role(1, &[1]), role(2, &[2])),
        (role(1, &[]), role(1, &[2])),
    ] {
        let refused = Draft::first(content(signers, cards));
        assert!(matches!(refused, Err(DraftError::Content(_))), "{refused:?}");
    }
    let many: Vec<u8> = (0..=64).collect();
    assert!(Draft::first(content(role(1, &many), role(1, &[2]))).is_err());
}

#[test]
fn what_later_versions_write_in_a_root_stays_in_the_next() {
    let head = first();
    let text = forged(&head, &[1, 2], |signed| {
        signed.insert("x-later".into(), "kept".into());
        let Some(Value::Map(own)) = signed.get_mut("x-publisher") else { panic!() };
        own.insert("later".into(), "kept too".into());
    });
    let lab = with(&head, text).unwrap();
    let next = signed_by(Draft::after(&lab, lab.head().content().clone()).unwrap(), &[1, 2]);
    let text = next.head().text();
    assert!(text.contains(r#""x-later":"kept""#) && text.contains(r#""later":"kept too""#));
}

#[test]
fn sizes_are_bounded() {
    let huge = vec![b' '; limits::PUBLISHER_DOC_MAX + 1];
    assert!(matches!(Publisher::from_document(&huge), Err(Error::TooLarge { .. })));
    let root = " ".repeat(limits::PUBLISHER_ROOT_MAX + 1);
    let flaw = Publisher::from_roots(&[root]);
    assert!(matches!(flaw, Err(Error::Root { flaw: Flaw::TooLarge { .. }, .. })));
    let many = to_document(std::iter::repeat_n("", limits::PUBLISHER_ROOTS_MAX + 1));
    assert!(matches!(Publisher::from_document(&many), Err(Error::TooLarge { .. })));
}

#[test]
fn another_byte_form_of_the_document_is_refused() {
    let document = String::from_utf8(rotated().to_document()).unwrap();
    for (what, other) in [
        ("space", document.replace(",\"schema\"", ", \"schema\"")),
        ("newline", format!("{document}\n")),
        ("escape", document.replace("Acm", "\\u0041cm")),
        ("schema", document.replace("\"schema\":1", "\"schema\":2")),
        ("field", document.replace("\"schema\":1", "\"schema\":1,\"x\":1")),
    ] {
        let refused = Publisher::from_document(other.as_bytes());
        assert!(matches!(refused, Err(Error::Document(_))), "{what}: {refused:?}");
    }
}

#[test]
fn no_bit_of_a_document_can_flip() {
    let lab = rotated();
    let document = lab.to_document();
    for at in 0..document.len() {
        // Bit 5 is the case of letters, of hex digits above all.
        for bit in [at % 8, 5] {
            let mut flipped = document.clone();
            flipped[at] ^= 1 << bit;
            // In the first root that makes another lab at most.
            assert!(Publisher::expect(lab.id(), &flipped).is_err(), "bit {bit} of byte {at}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), text: String) {
        prop_assert!(Publisher::from_document(&bytes).is_err());
        prop_assert!(Draft::from_document(&bytes).is_err());
        prop_assert!(Publisher::from_roots(&[&text]).is_err());
        prop_assert!(Publisher::from_document(&to_document([text.as_str()].into_iter())).is_err());
    }

    #[test]
    fn a_damaged_document_is_refused(at in 0usize..6000, byte: u8) {
        let lab = rotated();
        let mut document = lab.to_document();
        let at = at % document.len();
        prop_assume!(document[at] != byte);
        document[at] = byte;
        prop_assert!(Publisher::expect(lab.id(), &document).is_err());
    }
}
