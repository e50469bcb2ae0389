//! The key files beside this were made for these tests, and for nothing else, with OpenSSH 9.2p1 (`ssh-keygen -t
//! ed25519`, encrypted ones with `-Z` and the passphrase below) and OpenSSL 3.0.19 (`genpkey`, `pkey`).

use proptest::prelude::*;

use super::*;
use crate::card::did::PublisherId;
use crate::card::json;

mod agent;

const PLAIN: &[u8] = include_bytes!("tests/plain.key");
const PLAIN_PUB: &str = include_str!("tests/plain.pub");
const PKCS8: &[u8] = include_bytes!("tests/pkcs8.pem");
const PKCS8_PUB: &str = include_str!("tests/pkcs8.pub.pem");
const PASSPHRASE: &[u8] = b"correct horse";
const AES_CTR: &[u8] = include_bytes!("tests/aes256-ctr.key");
/// File and line of every encrypted key.
const ENCRYPTED: [(&[u8], &str); 3] = [
    (AES_CTR, include_str!("tests/aes256-ctr.pub")),
    (include_bytes!("tests/aes256-gcm.key"), include_str!("tests/aes256-gcm.pub")),
    (include_bytes!("tests/chacha20-poly1305.key"), include_str!("tests/chacha20-poly1305.pub")),
];

fn id(key: &SigningKey) -> PublisherId {
    PublisherId::try_from(&key.verifying_key()).unwrap()
}

fn kind(result: Result<SigningKey, Error>) -> String {
    match result {
        Err(Error::OtherKind { kind }) => kind,
        other => panic!("{other:?}"),
    }
}

/// A line as `ssh-keygen` would write it for a key of this algorithm.
fn line(algorithm: &str, key: &[u8]) -> String {
    use base64::Engine as _;
    let mut blob = Vec::new();
    wire::put_string(&mut blob, algorithm.as_bytes());
    wire::put_string(&mut blob, key);
    format!("{algorithm} {} somebody", base64::engine::general_purpose::STANDARD.encode(blob))
}

#[test]
fn openssh_keys_are_read() {
    let key = private(PLAIN, None).unwrap();
    assert_eq!(id(&key), public(PLAIN_PUB).unwrap());
    // A passphrase that nobody asked for does no harm; nor do the line ends of another system.
    assert_eq!(private(PLAIN, Some(b"x")).unwrap(), key);
    let crlf = String::from_utf8(PLAIN.to_vec()).unwrap().replace('\n', "\r\n");
    assert_eq!(private(crlf.as_bytes(), None).unwrap(), key);
}

#[test]
fn encrypted_openssh_keys_are_read_with_their_passphrase_only() {
    for (file, line) in ENCRYPTED {
        let key = private(file, Some(PASSPHRASE)).unwrap();
        assert_eq!(id(&key), public(line).unwrap());
        assert_eq!(private(file, None), Err(Error::PassphraseNeeded));
        assert_eq!(private(file, Some(b"wrong horse")), Err(Error::WrongPassphrase));
    }
}

#[test]
fn a_file_that_asks_for_hours_of_bcrypt_is_refused() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let text = String::from_utf8(AES_CTR.to_vec()).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let mut body = STANDARD.decode(body).unwrap();
    // The salt's length, the salt, then the rounds: four of them in this file.
    let at = body.windows(4).position(|bytes| bytes == [0, 0, 0, 16]).unwrap() + 4 + 16;
    assert_eq!(body[at..at + 4], [0, 0, 0, 4]);
    body[at] = 0x7f;
    let lines: Vec<String> = STANDARD
        .encode(body)
        .as_bytes()
        .chunks(70)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    let text = format!(
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
        lines.join("\n")
    );
    assert_eq!(
        private(text.as_bytes(), Some(PASSPHRASE)),
        Err(Error::Rounds { rounds: 0x7f00_0004 })
    );
}

#[test]
fn pkcs8_pem_is_read_as_the_home_keeps_it() {
    let key = private(PKCS8, None).unwrap();
    assert_eq!(id(&key), public(PKCS8_PUB).unwrap());
    assert_eq!(
        private(include_bytes!("tests/pkcs8-encrypted.pem"), Some(b"x")),
        Err(Error::EncryptedPkcs8)
    );
    use ed25519_dalek::pkcs8::{EncodePrivateKey as _, spki::der::pem::LineEnding};
    let ours = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    assert_eq!(private(ours.as_bytes(), None).unwrap(), key);
}

#[test]
fn seeds_are_read_where_they_can_be_nothing_else() {
    let seed = [0x9d; 32];
    let key = SigningKey::from_bytes(&seed);
    assert_eq!(private(&seed, None).unwrap(), key);
    for text in [json::hex(&seed), format!("{}\n", json::hex(&seed).to_uppercase())] {
        assert_eq!(private(text.as_bytes(), None).unwrap(), key);
    }
    assert_eq!(private(b"0123456789abcdef0123456789abcdef", None), Err(Error::Ambiguous));
    assert_eq!(private(b"correct horse battery staple ...", None), Err(Error::Ambiguous));
    assert_eq!(private(&[7; 31], None), Err(Error::Unknown));
    assert_eq!(private(&[0xff; 64], None), Err(Error::Unknown));
    assert_eq!(private(b"", None), Err(Error::Unknown));
}

#[test]
fn other_kinds_of_keys_are_named() {
    let openssh = include_bytes!("tests/ecdsa.key");
    assert_eq!(kind(private(openssh, None)), "an ECDSA key (ecdsa-sha2-nistp256)");
    assert_eq!(kind(private(include_bytes!("tests/sec1-ecdsa.pem"), None)), "an ECDSA key");
    assert_eq!(kind(private(include_bytes!("tests/pkcs8-ecdsa.pem"), None)), "an ECDSA key");
    let x25519 = include_bytes!("tests/pkcs8-x25519.pem");
    assert_eq!(kind(private(x25519, None)), "an X25519 key, which signs nothing");
    assert_eq!(kind(private(b"-----BEGIN RSA PRIVATE KEY-----\nAA==\n", None)), "an RSA key");
    assert_eq!(kind(private(b"-----BEGIN CERTIFICATE-----\n", None)), "a PEM of CERTIFICATE");
    assert_eq!(
        public(include_str!("tests/ecdsa.pub.pem")),
        Err(Error::OtherKind { kind: "an ECDSA key".into() })
    );
    for (algorithm, kind) in [
        ("ssh-rsa", "an RSA key"),
        ("ecdsa-sha2-nistp256", "an ECDSA key (ecdsa-sha2-nistp256)"),
        (
            "ssh-ed25519-cert-v01@openssh.com",
            "an OpenSSH certificate (ssh-ed25519-cert-v01@openssh.com)",
        ),
        ("ssh-ml-dsa", "a key of kind ssh-ml-dsa"),
    ] {
        let found = public(&line(algorithm, &[7; 32]));
        assert_eq!(found, Err(Error::OtherKind { kind: kind.into() }), "{algorithm}");
    }
}

#[test]
fn hardware_keys_are_refused_with_the_reason() {
    let kind = "sk-ssh-ed25519@openssh.com".to_owned();
    let refused = public(&line(&kind, &[7; 32])).unwrap_err();
    assert_eq!(refused, Error::Hardware { kind });
    assert!(refused.to_string().contains("counter") && refused.to_string().contains("ssh-keygen"));
}

#[test]
fn a_public_key_in_the_private_ones_place_is_said() {
    for text in [PLAIN_PUB, PKCS8_PUB, "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw"] {
        assert_eq!(private(text.as_bytes(), None), Err(Error::Public), "{text}");
    }
}

#[test]
fn public_keys_go_out_as_others_read_them_and_come_back() {
    let key = public(PLAIN_PUB).unwrap();
    assert_eq!(to_ssh_line(&key, "alice@lab"), PLAIN_PUB.trim_end());
    assert_eq!(public(&to_ssh_line(&key, "")), Ok(key));
    assert_eq!(public(&to_ssh_line(&key, "two\nlines")), Ok(key));
    let key = public(PKCS8_PUB).unwrap();
    assert_eq!(to_pem(&key), PKCS8_PUB);
    assert_eq!(public(&key.to_string()), Ok(key));
}

#[test]
fn damaged_public_keys_are_refused() {
    let two = format!("{PLAIN_PUB}{PLAIN_PUB}");
    let options = format!("no-pty {PLAIN_PUB}");
    for text in ["", "ssh-ed25519", "ssh-ed25519 x", "# comment AAAA", &two, &options, "a\nb"] {
        let refused = public(text);
        assert!(
            matches!(refused, Err(Error::NotPublic | Error::Damaged(_))),
            "{text}: {refused:?}"
        );
    }
    assert_eq!(public(&line("ssh-ed25519", &[0; 32])), Err(Error::Key(did::Error::Weak)));
    assert!(matches!(public(&line("ssh-ed25519", &[7; 33])), Err(Error::Damaged(_))));
    let lying = line("ssh-rsa", &[7; 32]).replacen("ssh-rsa", "ssh-ed25519", 1);
    assert!(matches!(public(&lying), Err(Error::Damaged(_))));
    assert!(matches!(public("z6Mkx"), Err(Error::Key(_))));
}

#[test]
fn sizes_are_bounded() {
    let large = vec![b'a'; limits::KEY_FILE_MAX + 1];
    assert!(matches!(private(&large, None), Err(Error::TooLarge { .. })));
    let large = String::from_utf8(large).unwrap();
    assert!(matches!(public(&large), Err(Error::TooLarge { .. })));
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 33..300), text: String) {
        prop_assert!(private(&bytes, None).is_err());
        let _ = public(&text).is_ok();
        for label in ["OPENSSH PRIVATE KEY", "PRIVATE KEY", "PUBLIC KEY", &text] {
            let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
            prop_assert!(private(pem.as_bytes(), None).is_err());
            let _ = public(&pem).is_ok();
        }
    }

    #[test]
    fn a_damaged_file_never_panics_nor_gives_another_key(at: usize, byte: u8) {
        for (file, line) in [(PLAIN, PLAIN_PUB), (PKCS8, PKCS8_PUB)] {
            let mut damaged = file.to_vec();
            let at = at % damaged.len();
            damaged[at] = byte;
            if let Ok(key) = private(&damaged, None) && file == PLAIN {
                prop_assert_eq!(id(&key), public(line).unwrap());
            }
        }
    }
}
