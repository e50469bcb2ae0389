//! That the lines of `VERIFY.md` do what they say is tested by running them: `tests/thirdparty`.

use super::*;
use crate::card::PublisherId;
use crate::card::claim::{Body, Draft, Subject};
use crate::card::envelope::tests::{signed, signed_with};
use crate::card::oms::{SigningKey, sign};
use crate::card::{FileEntry, Manifest};
use crate::dag::block::{RAW, cid_v1};

fn names(files: &[(&'static str, Bytes)]) -> Vec<&'static str> {
    files.iter().map(|(name, _)| *name).collect()
}

fn text(files: &[(&'static str, Bytes)], name: &str) -> String {
    let (_, bytes) = files.iter().find(|(other, _)| *other == name).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_random(&[7; 32]).unwrap()
}

/// A card with a list beside it, and the list.
fn listed() -> (Verified, Bytes) {
    let mut list = Bytes::new();
    let card = signed_with(|statement| {
        let Files::Inline(manifest) = &statement.files else { panic!() };
        list = manifest.to_jsonl().into();
        let sha256 = sha256(&list);
        statement.files = Files::List(FileEntry {
            path: FILES_LIST.to_owned(),
            size: list.len() as u64,
            sha256,
            cid: cid_v1(RAW, sha256),
        });
    });
    (card, list)
}

#[test]
fn a_publishers_key_is_the_pem_that_openssl_writes() {
    // `openssl pkey -pubin -inform DER` of RFC 8032 test 1's public key.
    let id: PublisherId =
        "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw".parse().unwrap();
    assert_eq!(
        keyfile::to_pem(&id),
        "-----BEGIN PUBLIC KEY-----\n\
         MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
         -----END PUBLIC KEY-----\n"
    );
}

#[test]
fn a_card_is_exported_with_what_its_check_needs() {
    let card = signed();
    let exported = files(&card, None, None, None, &[]).unwrap();
    assert_eq!(names(&exported), [CARD, PUBLISHER_PEM, VERIFY]);
    assert_eq!(exported[0].1, card.bundle());
    let (card, list) = listed();
    let exported = files(&card, Some(list.clone()), None, None, &[]).unwrap();
    assert_eq!(names(&exported), [CARD, PUBLISHER_PEM, VERIFY, FILES_LIST]);
    assert_eq!(exported[3].1, list);
}

#[test]
fn a_companion_is_exported_with_its_key() {
    let card = signed_with(|statement| {
        statement.companion_keys = vec![key().public().to_string()];
    });
    let manifest = card.statement().manifest(None).unwrap();
    let model_sig: Bytes = sign(&card.statement().name, &manifest, &key()).unwrap().into();
    let exported = files(&card, None, Some(model_sig), None, &[]).unwrap();
    assert_eq!(names(&exported)[3..], [MODEL_SIG, COMPANION_PEM]);
    assert_eq!(text(&exported, COMPANION_PEM), key().public().to_pem());
    assert!(text(&exported, VERIFY).contains(&format!("' {}\n", key().public())));
}

fn claim(subject: Subject) -> Claim {
    let draft = Draft {
        subject,
        body: Body::Svr { properties: vec!["PICKLE_FREE".to_owned()] },
        made_at: "2026-11-23T18:00:00Z".parse().unwrap(),
        supersedes: Vec::new(),
        note: None,
    };
    claim::sign(&draft, &ed25519_dalek::SigningKey::from_bytes(&[11; 32])).unwrap()
}

#[test]
fn claims_about_the_card_or_its_tree_are_exported_one_a_line_and_no_others() {
    let card = signed();
    let root = card.statement().root;
    let claims = [claim(Subject::of_card(&card)), claim(Subject::of_root(&root))];
    let exported = files(&card, None, None, None, &claims).unwrap();
    assert_eq!(names(&exported), [CARD, PUBLISHER_PEM, VERIFY, CLAIMS]);
    let lines: Vec<_> = claim::from_jsonl(&exported[3].1).unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1].1, claims[1].bundle());
    let text = text(&exported, VERIFY);
    assert!(text.contains("holds 2 claims of others") && text.contains(&format!("\"$t\" {root}")));
    assert!(!text.contains("{{"));
    let other = claim(Subject::of_root(&cid_v1(RAW, [1; 32])));
    let refused = Error::Claim(Box::new(*other.id()));
    assert_eq!(files(&card, None, None, None, &[other]), Err(refused));
}

#[test]
fn what_does_not_hold_is_not_exported() {
    let (card, list) = listed();
    assert_eq!(files(&card, None, None, None, &[]), Err(statement::Error::ListMissing.into()));
    let mut other = list.to_vec();
    other[10] ^= 1;
    assert!(matches!(files(&card, Some(other.into()), None, None, &[]), Err(Error::Files(_))));
    let none = files(&card, Some(list), Some(Bytes::from_static(b"{}")), None, &[]);
    assert_eq!(none, Err(oms::Error::NoKey.into()));
}

#[test]
fn every_place_in_the_text_is_filled_with_what_is_this_cards() {
    let card = signed();
    let statement = card.statement();
    let inline = text(&files(&card, None, None, None, &[]).unwrap(), VERIFY);
    let (card_of_list, list) = listed();
    let listed = text(&files(&card_of_list, Some(list), None, None, &[]).unwrap(), VERIFY);
    for text in [&inline, &listed] {
        assert!(!text.contains("{{") && !text.contains("}}"), "{text}");
        for value in [&statement.publisher.to_string(), &statement.root.to_string()] {
            assert!(text.contains(value.as_str()), "{text}");
        }
    }
    assert!(inline.contains(&card.id().to_string()));
    assert!(inline.contains(&format!("'{}  payload'", hex(&sha256(card.payload())))));
    assert!(inline.contains("subject[\"name\"]") && !inline.contains(FILES_LIST));
    assert!(listed.contains("files.jsonl"));
}

#[test]
fn nothing_that_a_publisher_chose_freely_stands_in_the_text() {
    let evil = "$(touch pwned)`'\" \u{202e}🦀;CHECK";
    let card = signed_with(|statement| {
        let Files::Inline(manifest) = &statement.files else { panic!() };
        let mut files = manifest.files().to_vec();
        files[0].path = evil.to_owned();
        let manifest = Manifest::new(files).unwrap();
        statement.tree = manifest.digests();
        statement.files = Files::Inline(manifest);
        statement.license = Some(evil.to_owned());
        statement.metadata.insert(evil.to_owned(), evil.into());
        statement.other.insert("links".to_owned(), evil.into());
    });
    let text = text(&files(&card, None, None, None, &[]).unwrap(), VERIFY);
    assert!(!text.contains("pwned"));
    assert!(text.is_ascii());
}
