use std::ops::{Add, Mul};

use super::form::{encode, signature_holds};
use super::*;
use crate::card::json::parse_hex;
use crate::card::statement::tests::{SEED, sample};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signature;
use proptest::prelude::*;
use sha2::Digest as _;

fn key() -> SigningKey {
    SigningKey::from_bytes(&SEED)
}

/// A card of the key with seed [`SEED`].
pub(in crate::card) fn signed() -> Verified {
    signed_with(|_| {})
}

/// The same after a change of its statement.
pub(in crate::card) fn signed_with(change: impl FnOnce(&mut Statement)) -> Verified {
    let mut statement = sample();
    change(&mut statement);
    sign(statement, &key(), None).unwrap()
}

fn open(bundle: &[u8]) -> Result<Verified, Error> {
    Unverified::from_bundle(bundle.to_vec())?.verify()
}

/// A bundle in the right form over any payload.
fn bundle_over(payload: &[u8], key: &SigningKey) -> Bytes {
    let signer = PublisherId::try_from(&key.verifying_key()).unwrap();
    encode(payload, &key.sign(&pae(PAYLOAD_TYPE, payload)).to_bytes(), &signer)
}

struct Example {
    payload: Vec<u8>,
    signature: [u8; 64],
    signer: PublisherId,
}

/// The vector of the provenance survey, whose signature tools of others made and checked.
fn example() -> Example {
    let text = include_str!("../testdata/example_card.sigstore.json");
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let envelope = &json["dsseEnvelope"];
    let line = &envelope["signatures"][0];
    let base64 = |value: &serde_json::Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    Example {
        payload: base64(&envelope["payload"]),
        signature: base64(&line["sig"]).try_into().unwrap(),
        signer: line["keyid"].as_str().unwrap().parse().unwrap(),
    }
}

#[test]
fn the_examples_signature_holds_and_its_card_id_is_its_payloads_cid() {
    let Example { payload, signature, signer } = example();
    assert!(signature_holds(&signer, &payload, &signature));
    assert_eq!(payload, include_bytes!("../testdata/example_payload.json"));
    let mut changed = payload.clone();
    changed[100] ^= 1;
    assert!(!signature_holds(&signer, &changed, &signature));
    // In our byte form it is opened as far as its foreign predicate.
    let error = open(&encode(&payload, &signature, &signer)).unwrap_err().to_string();
    assert!(error.contains("predicateType"), "{error}");
    // Its own form has blanks, which we do not write.
    let spaced = include_bytes!("../testdata/example_card.sigstore.json");
    assert_eq!(open(spaced), Err(Error::Form { at: 13 }));
}

#[test]
fn the_pre_authentication_encoding_is_the_one_of_the_dsse_specification() {
    assert_eq!(
        pae("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
}

#[test]
fn a_signed_card_is_opened_by_a_stranger() {
    let card = signed();
    let opened = open(card.bundle()).unwrap();
    assert_eq!(opened, card);
    assert_eq!(opened.publisher(), &sample().publisher);
    assert_eq!(opened.statement(), &sample());
    assert_eq!(opened.block().unwrap().cid(), opened.id());
    assert!(opened.id().to_string().starts_with("baguqeera"));
    // Deterministic: the same statement gives the same bytes.
    assert_eq!(signed(), card);
}

#[test]
fn the_bytes_of_a_card_stay_what_they_are() {
    // `verify.sh` of the provenance survey (openssl) accepts this file; a change here breaks every card in the world.
    let golden = include_bytes!("../testdata/card.sigstore.json");
    let card = signed();
    assert_eq!(card.bundle(), &golden[..]);
    assert_eq!(
        card.id().to_string(),
        "baguqeerah7ubzpbkppeae6j377s3qnsmsqv3sny6espwalsr7woqyi6nyeua"
    );
}

#[test]
fn only_the_statements_publisher_can_sign_it() {
    let other = SigningKey::from_bytes(&[8; 32]);
    let signer = PublisherId::try_from(&other.verifying_key()).unwrap();
    let stated = sample().publisher;
    let refused = Err(Error::OtherPublisher { stated, signer });
    assert_eq!(sign(sample(), &other, None), refused);
    // Somebody re-signs A's card with their own key, in perfect form.
    assert_eq!(open(&bundle_over(signed().payload(), &other)), refused);
}

#[test]
fn a_bundle_in_any_other_form_is_refused() {
    let card = signed();
    let text = std::str::from_utf8(card.bundle()).unwrap();
    let did = card.publisher().to_string();
    let part = card.publisher().part();
    let forms = [
        format!("{text}\n"),
        format!(" {text}"),
        text.replace("\":", "\": "),
        text.replacen(&did, "", 1),
        text.replacen(&did, &part, 1),
        text.replace(&did, &part),
        text.replace("hint", "Hint"),
        text.replace("\"tlogEntries\":[]", "\"tlogEntries\":[{}]"),
        text.replace(",\"tlogEntries\":[]", ""),
        text.replace("v0.3+json", "v0.2+json"),
        text.replace("in-toto+json", "in-toto+jsoN"),
        text.replace("==\",\"keyid", "=\",\"keyid"),
        text.replace("\"signatures\":[{", "\"signatures\":[{},{"),
        text.replacen('{', "{\"x\":1,", 1),
        text.replacen('{', "{\"mediaType\":\"x\",", 1),
        text.replacen("did:key", "\\u0064id:key", 1),
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
    ];
    for form in forms {
        assert_ne!(form, text);
        assert!(
            matches!(
                Unverified::from_bundle(form.clone().into_bytes()),
                Err(Error::Bundle(_) | Error::Form { .. } | Error::Key(_))
            ),
            "{form}"
        );
    }
    // URL-safe and unpadded base64, keys in another order.
    let mut json: serde_json::Value = serde_json::from_str(text).unwrap();
    assert!(open(json.to_string().as_bytes()).is_err());
    json["dsseEnvelope"]["signatures"][0]["sig"] = "-_".into();
    assert!(open(json.to_string().as_bytes()).is_err());
}

#[test]
fn every_single_flipped_bit_is_refused() {
    let card = signed();
    let mut bundle = card.bundle().to_vec();
    for at in 0..bundle.len() {
        for bit in 0..8 {
            bundle[at] ^= 1 << bit;
            assert!(open(&bundle).is_err(), "byte {at}, bit {bit}");
            bundle[at] ^= 1 << bit;
        }
    }
    assert!(open(&bundle).is_ok());
}

#[test]
fn a_cut_bundle_is_refused_at_every_length() {
    let card = signed();
    for len in 0..card.bundle().len() {
        assert!(Unverified::from_bundle(card.bundle().slice(..len)).is_err(), "{len}");
    }
}

#[test]
fn a_weak_key_cannot_sign_for_anything() {
    // A = R = the identity, S = 0: holds for every message by the cofactored equation.
    let identity =
        parse_hex::<32>("0100000000000000000000000000000000000000000000000000000000000000")
            .unwrap();
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&identity);
    let weak = ed25519_dalek::VerifyingKey::from_bytes(&identity).unwrap();
    let message = pae(PAYLOAD_TYPE, b"anything");
    // The threat is real with the plain check, which is why it is used nowhere.
    assert!(
        ed25519_dalek::Verifier::verify(&weak, &message, &Signature::from_bytes(&signature))
            .is_ok()
    );

    let did = format!(
        "did:key:{}",
        multibase::encode(multibase::Base::Base58Btc, [&[0xed, 0x01][..], &identity].concat())
    );
    let did_in_place = std::str::from_utf8(signed().bundle())
        .unwrap()
        .replace(&signed().publisher().to_string(), &did);
    assert_eq!(
        Unverified::from_bundle(did_in_place.into_bytes()),
        Err(Error::Key(did::Error::Weak))
    );
}

/// Little-endian bytes as a scalar modulo the group's order; the type is that of the first argument, since dalek does
/// not export its name.
fn reduced<S>(_: S, bytes: &[u8]) -> S
where
    S: Copy + From<u64> + Add<Output = S> + Mul<Output = S>,
{
    let base = S::from(256);
    bytes.iter().rev().fold(S::from(0), |sum, byte| sum * base + S::from((*byte).into()))
}

#[test]
fn a_signature_with_a_small_order_r_is_refused_though_the_plain_check_takes_it() {
    let card = signed();
    let key = key();
    let public = key.verifying_key();
    // R = the identity, S = H(R, A, M) a: then S B = R + H(R, A, M) A, as the equation asks.
    let mut signature = [0; 64];
    signature[0] = 1;
    let message = pae(PAYLOAD_TYPE, card.payload());
    let hashed = [&signature[..32], public.as_bytes(), &message].concat();
    let challenge = reduced(key.to_scalar(), &sha2::Sha512::digest(&hashed));
    signature[32..].copy_from_slice((challenge * key.to_scalar()).as_bytes());
    let plain =
        ed25519_dalek::Verifier::verify(&public, &message, &Signature::from_bytes(&signature));
    assert!(plain.is_ok(), "the forged form must be one that a plain check takes");
    let bundle = encode(card.payload(), &signature, card.signer());
    assert_eq!(open(&bundle), Err(Error::Signature { publisher: *card.signer() }));
}

#[test]
fn the_second_form_of_a_signature_is_refused() {
    // S + L, L the order of the base point: the same equation, other bytes.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let card = signed();
    let mut signature = Unverified::from_bundle(card.bundle().clone()).unwrap().signature;
    let mut carry = 0u16;
    for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    let bundle = encode(card.payload(), &signature, card.signer());
    assert_eq!(open(&bundle), Err(Error::Signature { publisher: *card.signer() }));
}

#[test]
fn a_signature_for_another_purpose_does_not_hold() {
    let card = signed();
    for message in [card.payload().to_vec(), pae("application/json", card.payload())] {
        let signature = key().sign(&message).to_bytes();
        let bundle = encode(card.payload(), &signature, card.signer());
        assert!(matches!(open(&bundle), Err(Error::Signature { .. })));
    }
}

#[test]
fn duly_signed_bytes_that_are_no_card_are_refused_after_the_signature() {
    for payload in [&b""[..], b"{}", b"[1.5]", b"{\"a\":1,\"a\":2}", b"\xff"] {
        let error = open(&bundle_over(payload, &key()));
        assert!(matches!(error, Err(Error::Statement(_))), "{error:?}");
    }
    // The same payload under a wrong signature: that is said, and the payload is not looked at.
    let bundle = encode(b"{}", &[0x11; 64], signed().signer());
    assert!(matches!(open(&bundle), Err(Error::Signature { .. })));
}

#[test]
fn what_is_too_large_is_refused_unread_and_unsigned() {
    let huge = vec![b'x'; limits::CARD_BUNDLE_MAX + 1];
    assert!(matches!(Unverified::from_bundle(huge), Err(Error::TooLarge { .. })));
    let largest = vec![b' '; limits::CARD_PAYLOAD_MAX];
    assert!(bundle_over(&largest, &key()).len() <= limits::CARD_BUNDLE_MAX);
    let metadata = statement_with_metadata(limits::CARD_PAYLOAD_INLINE_MAX);
    assert!(matches!(sign(metadata, &key(), None), Err(Error::TooLarge { what: "payload", .. })));
}

fn statement_with_metadata(bytes: usize) -> Statement {
    let mut statement = sample();
    statement.metadata.insert("x".to_owned(), "x".repeat(bytes).as_str().into());
    statement
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>) {
        prop_assert!(Unverified::from_bundle(bytes).is_err());
    }

    #[test]
    fn any_changed_byte_is_refused(at: prop::sample::Index, byte: u8) {
        let mut bundle = signed().bundle().to_vec();
        let at = at.index(bundle.len());
        prop_assume!(bundle[at] != byte);
        bundle[at] = byte;
        prop_assert!(open(&bundle).is_err());
    }

    #[test]
    fn any_signed_payload_never_panics(payload: Vec<u8>) {
        prop_assert!(open(&bundle_over(&payload, &key())).is_err());
    }
}
