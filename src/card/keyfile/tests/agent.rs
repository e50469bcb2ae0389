//! Messages of OpenSSH 9.2p1's ssh-agent, which held the keys of `plain.key`, of an ECDSA and of an RSA file.

use super::super::agent::{Error, Held, body_len, list_request, listed, sign_request, signature};
use super::*;

/// What it answers to `list_request`.
const LIST: &str = "\
    0c00000003000000330000000b7373682d65643235353139000000206cf7bab8c397b9c24fec32bd235a4e2034\
    8af81e956a061df94ad4c6888846a000000009616c696365406c6162000000680000001365636473612d736861\
    322d6e69737470323536000000086e69737470323536000000410466e2abdfce5fd158d96f4fbe6b4be2ceff62\
    a7fbccca1f6fda72ae19bd40207664e871240a17c5c30ba37fb74cbbd7f0533d64d370ae0e9109de31e6e56ec0\
    63000000016500000117000000077373682d727361000000030100010000010100abe39cb2c95c3f9f36ad50d6\
    3eb79b67241e7f10d8c871e27c05b16c9f27503036e4f4ae7b625ed115b2de750063cff90b96d017a93b94c054\
    08ae865cea6c7d82df887ff1e240c3dd103e0b8680c24ae650c0b47592692d81923e009cbe309f5effcc26f122\
    0efd2d30109bc50300577a103676551c5253f11a099d241e1377bca75b6093f265a3460f0eef1ff52097bec107\
    214392beac51a922e49934c5394e3c3b16482ecdb539d6961f886707ede299e0d99a96ec7b4b57ae7b38a0d0f8\
    721e97cf4654abc99d7ec46362bc45932c1bb7e9ec990614584119271c0aa4a4eceb8f108563e2fccbbbc55dc0\
    3d70681f989a28e075ccabaf670ff1770e2f590000000172\
    ";

/// Asks for a signature over "a card", as a script of ours without this code wrote it.
const REQUEST: &str = "\
    000000460d000000330000000b7373682d65643235353139000000206cf7bab8c397b9c24fec32bd235a4e2034\
    8af81e956a061df94ad4c6888846a00000000661206361726400000000\
    ";

/// What it answers to that.
const SIGNED: &str = "\
    0e000000530000000b7373682d65643235353139000000405c6dad3f0a582e323b2eff28f7bef21e8aaa2ca973\
    670cb170a205e861ae9d6fb4a585119f51bf2dd4e9b0cb7e1d0e5713fd7c13219696b9eb9fc61acf758707\
    ";

const DATA: &[u8] = b"a card";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn key() -> PublisherId {
    public(PLAIN_PUB).unwrap()
}

#[test]
fn an_agent_lists_its_keys_and_the_usable_ones_are_found() {
    assert_eq!(list_request(), [0, 0, 0, 1, 11]);
    let listed = listed(&bytes(LIST)).unwrap();
    assert_eq!(listed.keys, [Held { key: key(), comment: "alice@lab".into() }]);
    assert_eq!(listed.others, 2);
}

#[test]
fn an_agents_signature_is_asked_for_and_verified() {
    assert_eq!(sign_request(&key(), DATA).unwrap(), bytes(REQUEST));
    let signed = signature(&bytes(SIGNED), &key(), DATA).unwrap();
    // ed25519 is deterministic: the key in the file makes the same.
    let file = private(PLAIN, None).unwrap();
    assert_eq!(signed, ed25519_dalek::Signer::sign(&file, DATA).to_bytes());
}

#[test]
fn a_signature_of_something_else_is_refused() {
    let other = PublisherId::from_bytes(private(PKCS8, None).unwrap().verifying_key().as_bytes());
    let other = other.unwrap();
    for (key, data) in [(key(), &b"another card"[..]), (other, DATA)] {
        assert_eq!(signature(&bytes(SIGNED), &key, data), Err(Error::Signature { key }));
    }
    let as_rsa =
        String::from(SIGNED).replace(&json::hex(b"ssh-ed25519"), &json::hex(b"ssh-rsa-512"));
    assert!(matches!(signature(&bytes(&as_rsa), &key(), DATA), Err(Error::Malformed(_))));
}

#[test]
fn a_refusal_is_told_from_garbage() {
    assert_eq!(listed(&[5]), Err(Error::Refused));
    assert_eq!(signature(&[5], &key(), DATA), Err(Error::Refused));
    assert!(matches!(listed(&[14, 0]), Err(Error::Malformed(_))));
    assert!(matches!(listed(&[]), Err(Error::Malformed(_))));
    assert!(matches!(listed(&[12, 0, 0]), Err(Error::Malformed(_))));
    let trailing = [bytes(LIST), vec![0]].concat();
    assert!(matches!(listed(&trailing), Err(Error::Malformed(_))));
    let trailing = [bytes(SIGNED), vec![0]].concat();
    assert!(matches!(signature(&trailing, &key(), DATA), Err(Error::Malformed(_))));
}

#[test]
fn messages_are_bounded() {
    assert_eq!(body_len([0, 0, 0, 1]), Ok(1));
    assert_eq!(body_len([0, 4, 0, 0]), Ok(limits::AGENT_MESSAGE_MAX));
    assert!(matches!(body_len([0, 4, 0, 1]), Err(Error::TooLarge { .. })));
    assert!(matches!(body_len([0xff; 4]), Err(Error::TooLarge { .. })));
    assert!(matches!(body_len([0; 4]), Err(Error::Malformed(_))));
    let many = [12, 0, 0, 0x08, 0x01];
    assert_eq!(listed(&many), Err(Error::Malformed("it lists more keys than agents hold")));
    let largest = vec![0; limits::AGENT_MESSAGE_MAX - 68];
    let request = sign_request(&key(), &largest).unwrap();
    assert!(body_len(*request.first_chunk().unwrap()).is_ok());
    assert!(sign_request(&key(), &[largest, vec![0]].concat()).is_err());
    assert!(matches!(
        listed(&vec![12; limits::AGENT_MESSAGE_MAX + 1]),
        Err(Error::TooLarge { .. })
    ));
}

proptest! {
    #[test]
    fn any_answer_never_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for kind in [12, 14] {
            let body = [&[kind], &body[..]].concat();
            let _ = listed(&body).is_ok();
            prop_assert!(signature(&body, &key(), DATA).is_err());
        }
    }

    #[test]
    fn a_damaged_answer_never_panics_and_signs_nothing_else(at: usize, byte: u8) {
        let mut list = bytes(LIST);
        let mut signed = bytes(SIGNED);
        let (in_list, in_signed) = (at % list.len(), at % signed.len());
        list[in_list] = byte;
        let _ = listed(&list).is_ok();
        prop_assume!(signed[in_signed] != byte);
        signed[in_signed] = byte;
        prop_assert!(signature(&signed, &key(), DATA).is_err());
    }
}
