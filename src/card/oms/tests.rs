//! `testdata/oms/{p256,p384,shards,blake3}.sig` were made with model-signing 1.1.1 (PyPI) over [`foreign_tree`], the
//! keys with OpenSSL 3.0 (that of `p256.pem` from its scalar). `model.sig` is ours, and `model_signing verify key` accepts it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::card::FileEntry;
use crate::card::envelope::tests::signed_with;
use crate::card::json::{hex, parse_hex};
use crate::card::statement::Files;
use crate::dag::block::{RAW, cid_v1, sha256};

const P256: &str = include_str!("../testdata/oms/p256.pem");
const P384: &str = include_str!("../testdata/oms/p384.pem");
const FOREIGN: &[u8] = include_bytes!("../testdata/oms/p256.sig");

fn public(pem: &str) -> PublicKey {
    PublicKey::from_pem(pem).unwrap()
}

/// The private half of [`P256`].
fn key() -> SigningKey {
    SigningKey::from_random(&[7; 32]).unwrap()
}

fn manifest(files: &[(&str, &str)]) -> Manifest {
    let entry = |&(path, content): &(&str, &str)| {
        let sha256 = sha256(content.as_bytes());
        let cid = cid_v1(RAW, sha256);
        FileEntry { path: path.to_owned(), size: content.len() as u64, sha256, cid }
    };
    Manifest::new(files.iter().map(entry).collect()).unwrap()
}

const FOREIGN_TREE: [(&str, &str); 6] = [
    (".gitattributes", "attributes"),
    (".github/w.yml", "workflow"),
    ("a-b", "one"),
    ("a/c", "two"),
    ("cache", "cache"),
    ("sub/é b", "three"),
];

/// A card with a companion key, over files that OMS leaves out and others.
fn card_with(keys: &[PublicKey]) -> (Verified, Manifest) {
    let manifest = manifest(&FOREIGN_TREE);
    let card = signed_with(|statement| {
        statement.companion_keys = keys.iter().map(ToString::to_string).collect();
        statement.total_size = manifest.total_size();
        statement.file_count = manifest.files().len() as u64;
        statement.tree = manifest.digests();
        statement.files = Files::Inline(manifest.clone());
    });
    (card, manifest)
}

fn companion() -> (Vec<u8>, Verified, Manifest) {
    let (card, manifest) = card_with(&[key().public()]);
    (sign(&card.statement().name, &manifest, &key()).unwrap(), card, manifest)
}

fn json_of(bundle: &[u8]) -> Value {
    serde_json::from_slice(bundle).unwrap()
}

fn payload_of(bundle: &[u8]) -> Value {
    let text = json_of(bundle)["dsseEnvelope"]["payload"].as_str().unwrap().to_owned();
    serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap()
}

/// A bundle over any payload, duly signed.
fn signed_over(payload: &[u8]) -> Vec<u8> {
    bundle::write(payload, &key().sign(&pae(PAYLOAD_TYPE, payload)), &key().public())
}

/// What reading a statement says that is ours after a change of its JSON.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Signed, Error> {
    let (bundle, ..) = companion();
    let mut payload = payload_of(&bundle);
    change(&mut payload);
    verify(&signed_over(&serde_json::to_vec(&payload).unwrap()), &[key().public()])
}

fn refusal(result: Result<Signed, Error>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_key_has_the_texts_that_others_give_it() {
    // The did:keys by Python (cryptography and base58 by hand), the fingerprints by `sha256sum`.
    for (pem, did, fingerprint) in [
        (
            P256,
            "did:key:zDnaejgmAHMLkBPMBWnkBxyGxpXx8LgE4WJAYDhwZzyoRAddF",
            "d9edd6aae988ddc86a7c1142a6ee5eb027c642e23a9b826b2194de64dea18de7",
        ),
        (
            P384,
            "did:key:z82LktJVbM5mrcLad3WszMzccvmFkY3WKJTz21tacMV7QLcWXABrNsQW1yj9DEVGPN51JtJ",
            "07514f2d0abe73031288a867679d46b67cb7038b08bb632ae22c7aee34f9b980",
        ),
    ] {
        let key = public(pem);
        assert_eq!(key.to_pem(), pem);
        assert_eq!(key.to_string(), did);
        assert_eq!(did.parse(), Ok(key));
        assert_eq!(key.fingerprint(), fingerprint);
    }
    assert_eq!(key().public(), public(P256));
}

#[test]
fn other_keys_and_other_text_are_no_keys() {
    let p521 = include_str!("../testdata/oms/p521.pem");
    let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    let private = key().to_pem();
    let long = format!("{}{P256}", " ".repeat(limits::PUBLIC_KEY_PEM_MAX));
    for pem in ["", "garbage", p521, ed25519, &private, &long, &P256.replace("Mfk", "MFk")[..100]] {
        assert_eq!(PublicKey::from_pem(pem), Err(KeyError::PublicPem), "{pem}");
    }
    let did = public(P256).to_string();
    let part = did.strip_prefix("did:key:").unwrap();
    let uncompressed = {
        let point = STANDARD.decode(P256.lines().skip(1).take(2).collect::<String>()).unwrap();
        let bytes = [&[0x80, 0x24], &point[point.len() - 65..]].concat();
        format!("did:key:{}", multibase::encode(multibase::Base::Base58Btc, bytes))
    };
    for text in [
        "",
        part,
        "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
        &did.replace("zD", "z1D"),
        &did[..did.len() - 1],
        &uncompressed,
        &format!("did:key:z{}", "1".repeat(100_000)),
    ] {
        assert!(text.parse::<PublicKey>().is_err(), "{text}");
    }
    for pem in ["", P256, "garbage"] {
        assert!(matches!(SigningKey::from_pem(pem), Err(KeyError::PrivatePem)));
    }
}

#[test]
fn a_signing_key_is_kept_as_pem() {
    // SHA-256 of what `openssl pkcs8 -topk8 -nocrypt` writes of the same key.
    assert_eq!(
        hex(&sha256(key().to_pem().as_bytes())),
        "30a75ab8bc45f092d55a695742b367015f3c279e12c7c3ceefab5367371f5841"
    );
    assert!(SigningKey::from_random(&[0; 32]).is_none());
    assert!(SigningKey::from_random(&[0xff; 32]).is_none());
    assert_eq!(SigningKey::from_pem(&key().to_pem()).unwrap().public(), key().public());
    assert!(!format!("{:?}", key()).contains(&hex(&[7; 8])));
}

#[test]
fn signatures_are_those_of_rfc_6979_with_the_lower_s() {
    // RFC 6979 A.2.5, SHA-256, "sample"; its s is the higher one, this is the group's order less it.
    let secret = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    let key = SigningKey::from_random(&parse_hex(secret).unwrap()).unwrap();
    assert_eq!(
        hex(&key.sign(b"sample")),
        concat!(
            "3045022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
            "0220",
            "0834e36ad29a83bf2bc9385e491d6099c8fdf9d1ed67aa7ea5f51f93782857a9"
        )
    );
}

#[test]
fn the_bytes_of_a_companion_stay_what_they_are() {
    let (bundle, ..) = companion();
    let golden = include_bytes!("../testdata/oms/model.sig");
    assert!(bundle == golden, "{}", String::from_utf8_lossy(&bundle));
}

#[test]
fn a_companion_says_what_its_tool_expects() {
    let (bundle, card, _) = companion();
    let outer = json_of(&bundle);
    assert_eq!(outer["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    let material = json!({"publicKey": {"hint": key().public().fingerprint()}, "tlogEntries": []});
    assert_eq!(outer["verificationMaterial"], material);
    assert_eq!(outer["dsseEnvelope"]["signatures"][0]["keyid"], "");
    let payload = payload_of(&bundle);
    assert_eq!(payload["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(payload["predicateType"], "https://model_signing/signature/v1.0");
    let root = hex(&card.statement().tree.oms);
    assert_eq!(payload["subject"], json!([{"name": "tiny-chat", "digest": {"sha256": root}}]));
    assert_eq!(
        payload["predicate"]["serialization"],
        json!({
            "method": "files", "hash_type": "sha256", "allow_symlinks": false,
            "ignore_paths": [".git", ".gitattributes", ".gitignore", ".github"],
        })
    );
    let resources = payload["predicate"]["resources"].as_array().unwrap();
    let names: Vec<&str> = resources.iter().map(|r| r["name"].as_str().unwrap()).collect();
    // Code points: '-' before '/'.
    assert_eq!(names, ["a-b", "a/c", "cache", "sub/é b"]);
    let one = json!({"algorithm": "sha256", "digest": hex(&sha256(b"one")), "name": "a-b"});
    assert_eq!(resources[0], one);
}

#[test]
fn a_companion_is_checked_against_its_card() {
    let (bundle, card, manifest) = companion();
    assert_eq!(verify_companion(&bundle, &card, &manifest), Ok(key().public()));
    let signed = verify(&bundle, &[public(P384), key().public()]).unwrap();
    assert_eq!((signed.key, signed.root), (key().public(), card.statement().tree.oms));
    assert_eq!(signed.ignore_paths, manifest::OMS_IGNORED);
    let coverage = signed.against(&manifest).unwrap();
    assert_eq!(coverage.vouched, ["a-b", "a/c", "cache", "sub/é b"]);
    assert_eq!(coverage.left_out, [".gitattributes", ".github/w.yml"]);
    assert_eq!(coverage.unknown, [""; 0]);
}

#[test]
fn a_companion_by_a_key_that_the_card_does_not_name_is_refused() {
    let (bundle, _, manifest) = companion();
    let stranger = SigningKey::from_random(&[9; 32]).unwrap();
    let (card, _) = card_with(&[stranger.public()]);
    let refused = verify_companion(&bundle, &card, &manifest).unwrap_err();
    assert!(matches!(refused, Error::Signature { .. }), "{refused}");
    assert_eq!(verify_companion(&bundle, &signed_with(|_| {}), &manifest), Err(Error::NoKey));
}

#[test]
fn a_companion_over_other_files_or_another_name_is_refused() {
    let (bundle, card, manifest) = companion();
    let mut renamed = FOREIGN_TREE;
    renamed[2].0 = "a-a";
    let renamed = self::manifest(&renamed);
    // The root digest does not tell them apart.
    assert_eq!(renamed.digests().oms, manifest.digests().oms);
    assert_eq!(verify_companion(&bundle, &card, &renamed), Err(Error::OtherFiles));
    let other = sign(&"other".parse().unwrap(), &manifest, &key()).unwrap();
    assert_eq!(verify_companion(&other, &card, &manifest), Err(Error::OtherFiles));
}

#[test]
fn strangers_cannot_make_a_second_form_of_a_companion() {
    let (bundle, card, manifest) = companion();
    let text = String::from_utf8(bundle.clone()).unwrap();
    let hint = key().public().fingerprint();
    for other in [
        text.replace(r#""keyid":"""#, r#""keyid":"x""#),
        text.replace(r#","keyid":"""#, ""),
        text.replace(&hint, &hint.to_uppercase()),
        text.replace(r#""tlogEntries":[]"#, r#""tlogEntries": []"#),
        text.replace(r#","tlogEntries":[]"#, ""),
        format!("{text}\n"),
    ] {
        assert_ne!(other, text);
        let other = other.into_bytes();
        // Good enough of a foreign one.
        assert!(verify(&other, &[key().public()]).is_ok());
        assert_eq!(verify_companion(&other, &card, &manifest), Err(Error::Form));
    }
    let high = with_high_s(&bundle);
    assert!(verify(&high, &[key().public()]).is_ok());
    assert_eq!(verify_companion(&high, &card, &manifest), Err(Error::Form));
    let long = with_signature(&bundle, |der| {
        // The same r with a leading zero too many: BER, not DER.
        let (head, rest) = (der[..3].to_vec(), der[3..].to_vec());
        let [tag, len, int] = head[..] else { panic!() };
        [&[tag, len + 1, int, rest[0] + 1, 0], &rest[1..]].concat()
    });
    let refused = verify(&long, &[key().public()]).unwrap_err();
    assert!(matches!(refused, Error::Signature { .. }), "{refused}");
}

fn with_signature(bundle: &[u8], change: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let sig = json_of(bundle)["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap().to_owned();
    let other = STANDARD.encode(change(&STANDARD.decode(&sig).unwrap()));
    String::from_utf8(bundle.to_vec()).unwrap().replace(&sig, &other).into_bytes()
}

/// The other signature that holds for the same message: the order of the group less s.
fn with_high_s(bundle: &[u8]) -> Vec<u8> {
    with_signature(bundle, |der| {
        let low = p256::ecdsa::Signature::from_der(der).unwrap();
        let (r, s) = low.split_scalars();
        let high = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
        assert_ne!(high, low);
        high.to_der().as_bytes().to_vec()
    })
}

#[test]
fn a_foreign_signature_says_for_which_files_its_key_vouches() {
    let p384 = include_bytes!("../testdata/oms/p384.sig");
    for (bundle, pem) in [(FOREIGN, P256), (p384, P384)] {
        let signed = verify(bundle, &[public(pem)]).unwrap();
        assert_eq!(signed.key, public(pem));
        let mut files = FOREIGN_TREE.to_vec();
        files.extend([("cache-2", ""), ("planted.py", "evil")]);
        let coverage = signed.against(&manifest(&files)).unwrap();
        assert_eq!(coverage.vouched, ["a-b", "a/c", "sub/é b"]);
        assert_eq!(coverage.left_out, [".gitattributes", ".github/w.yml", "cache"]);
        assert_eq!(coverage.unknown, ["cache-2", "planted.py"]);
    }
}

#[test]
fn a_foreign_signature_of_either_s_is_taken() {
    // Made by OpenSSL, which leaves S as it comes; this one is high.
    let sig = json_of(FOREIGN)["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap().to_owned();
    let sig = STANDARD.decode(sig).unwrap();
    assert_ne!(public(P256).one_form(&sig).unwrap(), sig);
    assert!(verify(FOREIGN, &[public(P256)]).is_ok());
    let low = with_signature(FOREIGN, |der| public(P256).one_form(der).unwrap());
    assert!(verify(&low, &[public(P256)]).is_ok());
}

#[test]
fn a_signature_about_other_bytes_is_refused_and_says_which() {
    let signed = verify(FOREIGN, &[public(P256)]).unwrap();
    let mismatch = signed.against(&manifest(&[("a-b", "One"), ("sub/é b", "three")])).unwrap_err();
    assert_eq!(mismatch.changed, ["a-b"]);
    assert_eq!(mismatch.missing, ["a/c"]);
    assert_eq!(
        mismatch.to_string(),
        r#"the signature is about other files: 1 changed ("a-b") 1 missing ("a/c")"#
    );
}

#[test]
fn a_wrong_key_is_said_with_what_the_signature_names() {
    let refused = verify(FOREIGN, &[public(P384)]).unwrap_err().to_string();
    assert!(refused.contains(&public(P384).to_string()), "{refused}");
    assert!(refused.contains(&public(P256).fingerprint()), "{refused}");
    let flipped = with_signature(FOREIGN, |der| {
        let mut der = der.to_vec();
        der[20] ^= 1;
        der
    });
    let refused = verify(&flipped, &[public(P256)]).unwrap_err().to_string();
    assert!(!refused.contains("fingerprint"), "{refused}");
    let refused = verify(FOREIGN, &[]).unwrap_err().to_string();
    assert!(refused.contains("none was given"), "{refused}");
}

#[test]
fn shards_and_other_hashes_are_refused_by_name() {
    let keys = [public(P256)];
    let shards = include_bytes!("../testdata/oms/shards.sig");
    assert_eq!(verify(shards, &keys), Err(Error::Shards));
    let blake3 = include_bytes!("../testdata/oms/blake3.sig");
    assert_eq!(verify(blake3, &keys), Err(Error::Hash { hash: "blake3".into() }));
    let one = changed(|payload| {
        payload["predicate"]["resources"][1]["algorithm"] = "blake2b".into();
    });
    assert_eq!(one, Err(Error::Hash { hash: "blake2b".into() }));
}

#[test]
fn other_statements_are_refused_by_name() {
    let other =
        changed(|payload| payload["predicateType"] = "https://slsa.dev/provenance/v1".into());
    assert!(refusal(other).contains("slsa.dev"));
    let old =
        changed(|payload| payload["predicateType"] = "https://model_signing/Digests/v0.1".into());
    assert!(refusal(old).contains("Digests/v0.1"));
    let other = changed(|payload| payload["_type"] = "https://in-toto.io/Statement/v0.1".into());
    assert!(refusal(other).contains("_type"));
    let other =
        changed(|payload| payload["predicate"]["serialization"]["method"] = "tensors".into());
    assert!(refusal(other).contains("tensors"));
    assert!(changed(|payload| payload["unknown"] = 1.into()).is_ok());
}

#[test]
fn a_statement_that_contradicts_itself_is_refused() {
    let digest = hex(&sha256(b"other"));
    let other =
        changed(|payload| payload["predicate"]["resources"][0]["digest"] = digest.clone().into());
    assert_eq!(other, Err(Error::Root));
    let swapped = changed(|payload| {
        payload["predicate"]["resources"].as_array_mut().unwrap().swap(0, 1);
    });
    assert_eq!(swapped, Err(Error::Root));
    let two = changed(|payload| {
        let subject = payload["subject"][0].clone();
        payload["subject"].as_array_mut().unwrap().push(subject);
    });
    assert!(matches!(two, Err(Error::Statement(_))));
    let none = changed(|payload| payload["predicate"]["resources"] = json!([]));
    assert!(refusal(none).contains("no files"));
    let upper = changed(|payload| {
        let digest = hex(&sha256(b"one")).to_uppercase();
        payload["predicate"]["resources"][0]["digest"] = digest.into();
    });
    assert!(refusal(upper).contains("lower-case"));
}

#[test]
fn unsafe_paths_and_twins_are_refused() {
    let named =
        |name: &str| changed(|payload| payload["predicate"]["resources"][0]["name"] = name.into());
    let twice = manifest::Error::Twice { path: "a/c".into() };
    assert_eq!(named("a/c"), Err(twice.into()));
    for name in ["", "/etc/passwd", "../a", "a/../b", "./a", "a\\b", "a\nb", "a\u{1b}[2J"] {
        assert!(matches!(named(name), Err(Error::Path(_))), "{name:?}");
        let ignored = changed(|payload| {
            payload["predicate"]["serialization"]["ignore_paths"] = json!([name]);
        });
        assert!(matches!(ignored, Err(Error::Path(_))), "{name:?}");
    }
    let many = vec!["x"; limits::OMS_IGNORED_MAX + 1];
    let many = changed(|payload| {
        payload["predicate"]["serialization"]["ignore_paths"] = json!(many);
    });
    assert!(refusal(many).contains("left out"));
    let absent = changed(|payload| {
        let serialization = payload["predicate"]["serialization"].as_object_mut().unwrap();
        serialization.remove("ignore_paths");
    });
    assert_eq!(absent.unwrap().ignore_paths, [""; 0]);
}

#[test]
fn a_name_that_says_itself_twice_is_refused() {
    let (bundle, ..) = companion();
    let payload = serde_json::to_string(&payload_of(&bundle)).unwrap();
    for (field, twice) in [
        (r#""name":"a-b""#, r#""name":"a-b","name":"a-c""#),
        (r#""method":"files""#, r#""method":"files","method":"shards""#),
        (r#""predicateType":"#, r#""predicateType":"x","predicateType":"#),
        (r#""_type":"#, r#""_type":"x","_type":"#),
    ] {
        assert!(payload.contains(field), "{field}");
        let bundle = signed_over(payload.replace(field, twice).as_bytes());
        let refused = verify(&bundle, &[key().public()]).unwrap_err().to_string();
        assert!(refused.contains("duplicate field"), "{refused}");
    }
    let text = String::from_utf8(bundle).unwrap();
    for (field, twice) in [
        (r#""payload":"#, r#""payload":"e30=","payload":"#),
        (r#""keyid":"""#, r#""keyid":"","keyid":"""#),
        (r#""dsseEnvelope":"#, r#""dsseEnvelope":{},"dsseEnvelope":"#),
        (r#""dsseEnvelope":"#, r#""dsse_envelope":{},"dsseEnvelope":"#),
        (r#""payload":"#, r#""payload_type":"","payload":"#),
    ] {
        let bundle = text.replacen(field, twice, 1);
        assert_ne!(bundle, text);
        let refused = verify(bundle.as_bytes(), &[key().public()]).unwrap_err();
        assert!(matches!(refused, Error::Bundle(_)), "{refused}");
    }
}

#[test]
fn other_bundles_are_refused_by_what_they_are() {
    let text = String::from_utf8(FOREIGN.to_vec()).unwrap();
    let refused = |text: String| verify(text.as_bytes(), &[public(P256)]).unwrap_err().to_string();
    assert!(refused(text.replace("bundle.v0.3", "bundle.v0.2")).contains("mediaType"));
    assert!(refused(text.replace("vnd.in-toto", "vnd.other")).contains("payloadType"));
    let two = text.replace(r#"}]}}"#, r#"},{"sig":"","keyid":""}]}}"#);
    assert_ne!(two, text);
    assert!(refused(two).contains("no OMS signature"));
    let large = vec![b' '; limits::OMS_BUNDLE_MAX + 1];
    let len = large.len();
    assert_eq!(verify(&large, &[]), Err(Error::TooLarge { len }));
    // As versions before 1.1 wrote it, with null for the keyid and the key instead of a hint.
    let old = text.replace(r#""keyid":"""#, r#""keyid":null"#);
    let hint = format!(r#""hint":"{}""#, public(P256).fingerprint());
    let old = old.replace(&hint, r#""rawBytes":"AA==","keyDetails":"PKIX_ECDSA_P256_SHA_256""#);
    assert!(!old.contains("hint"));
    assert!(verify(old.as_bytes(), &[public(P256)]).is_ok());
}

#[test]
fn nothing_and_too_much_are_not_signed() {
    let name: RepoName = "a".parse().unwrap();
    let only = manifest(&[(".gitattributes", ""), (".github/w.yml", "")]);
    assert_eq!(sign(&name, &only, &key()), Err(Error::Nothing));
    let paths: Vec<String> = (0..120_000).map(|n| format!("{n}")).collect();
    let many: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
    let refused = sign(&name, &manifest(&many), &key());
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>, text: String) {
        prop_assert!(verify(&bytes, &[public(P256)]).is_err());
        prop_assert!(PublicKey::from_pem(&text).is_err());
        prop_assert!(text.parse::<PublicKey>().is_err());
        prop_assert!(SigningKey::from_pem(&text).is_err());
    }

    #[test]
    fn a_flipped_bit_of_a_companion_is_refused(at: prop::sample::Index, bit in 0u8..8) {
        let (mut bundle, card, manifest) = companion();
        let at = at.index(bundle.len());
        bundle[at] ^= 1 << bit;
        prop_assert!(verify_companion(&bundle, &card, &manifest).is_err());
    }

    #[test]
    fn a_flipped_bit_of_a_foreign_signature_never_changes_what_is_signed(
        at: prop::sample::Index,
        bit in 0u8..8,
    ) {
        let intact = verify(FOREIGN, &[public(P256)]).unwrap();
        let mut bundle = FOREIGN.to_vec();
        let at = at.index(bundle.len());
        bundle[at] ^= 1 << bit;
        if let Ok(signed) = verify(&bundle, &[public(P256)]) {
            prop_assert_eq!(signed, intact);
        }
    }

    #[test]
    fn whatever_is_signed_never_panics(payload: Vec<u8>, at: prop::sample::Index, byte: u8) {
        prop_assert!(verify(&signed_over(&payload), &[key().public()]).is_err());
        let (bundle, ..) = companion();
        let mut payload = serde_json::to_vec(&payload_of(&bundle)).unwrap();
        let at = at.index(payload.len());
        payload[at] = byte;
        if let Ok(signed) = verify(&signed_over(&payload), &[key().public()]) {
            prop_assert_eq!(signed.entries.len(), 4);
        }
    }

    #[test]
    fn what_is_signed_is_what_is_read(names in prop::collection::btree_set("[a-z-]{1,8}", 1..20)) {
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let manifest = manifest(&files);
        let bundle = sign(&"a".parse().unwrap(), &manifest, &key()).unwrap();
        let signed = verify(&bundle, &[key().public()]).unwrap();
        prop_assert_eq!(signed.root, manifest.digests().oms);
        prop_assert_eq!(signed.against(&manifest).unwrap().vouched.len(), files.len());
    }
}
