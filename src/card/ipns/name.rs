//! A publisher's key as an IPNS name.
//!
//! One key, three texts: the did:key of cards, the libp2p-key CID `k51…` that IPNS tools write, and the key under
//! which a DHT keeps the record. All are the same 32 bytes with something before them, so nothing is looked up.
//! Names of other kinds of keys exist in the network; they are nobody's here. IPNS specification, "IPNS Name".

use multibase::Base;

use crate::card::did::{self, PublisherId};

/// CIDv1, libp2p-key.
const CID: [u8; 2] = [0x01, 0x72];
/// Identity multihash of 36 bytes: a protobuf public key, of type ed25519, with 32 bytes.
const MULTIHASH: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
/// What stands before the multihash in a DHT key.
const NAMESPACE: &[u8; 6] = b"/ipns/";
/// Bytes of an ed25519 name's DHT key.
const DHT_KEY_LEN: usize = NAMESPACE.len() + MULTIHASH.len() + 32;
/// Characters of the longest text of a name that is read (base2): it bounds the quadratic decoding of base36.
const TEXT_MAX: usize = 8 * (CID.len() + MULTIHASH.len() + 32) + 1;

/// Why text is no publisher's IPNS name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAName {
    /// No CID of an ed25519 key.
    #[error("{text:?} is no IPNS name of an ed25519 key: expected k51…")]
    Form {
        /// What was given, shortened.
        text: String,
    },
    /// An ed25519 key that nobody can publish with.
    #[error("the IPNS name is no publisher's: {0}")]
    Key(#[from] did::Error),
}

/// The name as text: `k51…`, 62 characters.
pub fn text(publisher: &PublisherId) -> String {
    multibase::encode(Base::Base36Lower, [&CID[..], &MULTIHASH, publisher.as_bytes()].concat())
}

/// Reads a name in any multibase, without `/ipns/` before it.
///
/// # Errors
/// [`NotAName`].
pub fn parse(text: &str) -> Result<PublisherId, NotAName> {
    let form = || NotAName::Form { text: text.chars().take(80).collect() };
    if text.len() > TEXT_MAX {
        return Err(form());
    }
    let (_, bytes) = multibase::decode(text).map_err(|_| form())?;
    let key = bytes.strip_prefix(&CID).and_then(|bytes| bytes.strip_prefix(&MULTIHASH));
    let key = key.and_then(|key| key.try_into().ok()).ok_or_else(form)?;
    Ok(PublisherId::from_bytes(key)?)
}

/// The key under which a DHT keeps the publisher's record.
pub fn dht_key(publisher: &PublisherId) -> [u8; DHT_KEY_LEN] {
    let key = [&NAMESPACE[..], &MULTIHASH, publisher.as_bytes()].concat();
    key.try_into().expect("the parts have this length together")
}

/// Whose records a DHT keeps under this key; none if it is of another name space or kind of key, or a weak one.
pub fn from_dht_key(key: &[u8]) -> Option<PublisherId> {
    let key = key.strip_prefix(NAMESPACE)?.strip_prefix(&MULTIHASH)?;
    PublisherId::from_bytes(key.try_into().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    fn id(seed: [u8; 32]) -> PublisherId {
        PublisherId::try_from(&SigningKey::from_bytes(&seed).verifying_key()).unwrap()
    }

    #[test]
    fn a_key_has_the_name_that_libp2p_gives_it() {
        let key = libp2p::identity::Keypair::ed25519_from_bytes([7; 32]).unwrap();
        let multihash = key.public().to_peer_id().to_bytes();
        assert_eq!(dht_key(&id([7; 32])).strip_prefix(b"/ipns/"), Some(&multihash[..]));
        // `privateKey.publicKey.toCID().toString(base36)` of @libp2p/crypto 5.1.23 for the same seed.
        assert_eq!(text(&id([7; 32])), JS_NAME);
    }

    const JS_NAME: &str = "k51qzi5uqu5dm0t4vbwri4lkg76q03b4x9tsvekgvbu4zli6454ff7w8wdosa4";

    #[test]
    fn a_name_is_read_in_every_base_and_no_other_text_is() {
        let publisher = id([7; 32]);
        let bytes = multibase::decode(text(&publisher)).unwrap().1;
        for base in [Base::Base32Lower, Base::Base36Upper, Base::Base58Btc, Base::Base2] {
            assert_eq!(parse(&multibase::encode(base, &bytes)), Ok(publisher), "{base:?}");
        }
        let did = publisher.to_string();
        let peer_id = &multibase::encode(Base::Base58Btc, &bytes[2..])[1..];
        for text in ["", "k", "k51", &did, peer_id, &"k".repeat(10_000)] {
            assert!(matches!(parse(text), Err(NotAName::Form { .. })), "{text}");
        }
        // An RSA name (sha2-256 of the key), a dag-pb CID, bytes behind the key.
        for (at, byte) in [(2, 0x12), (1, 0x70), (5, 0)] {
            let mut other = bytes.clone();
            other[at] = byte;
            assert!(parse(&multibase::encode(Base::Base36Lower, &other)).is_err(), "{at}");
        }
        let longer = multibase::encode(Base::Base36Lower, [&bytes[..], &[0]].concat());
        assert!(parse(&longer).is_err());
    }

    #[test]
    fn weak_keys_are_no_names() {
        let mut bytes = multibase::decode(text(&id([7; 32]))).unwrap().1;
        let mut dht = dht_key(&id([7; 32]));
        bytes[8..].copy_from_slice(&[0; 32]);
        dht[12..].copy_from_slice(&[0; 32]);
        let weak = parse(&multibase::encode(Base::Base36Lower, &bytes));
        assert_eq!(weak, Err(NotAName::Key(did::Error::Weak)));
        assert_eq!(from_dht_key(&dht), None);
    }

    #[test]
    fn keys_of_other_name_spaces_are_nobodys() {
        let key = dht_key(&id([7; 32]));
        assert_eq!(from_dht_key(&key), Some(id([7; 32])));
        assert_eq!(from_dht_key(&key[..43]), None);
        assert_eq!(from_dht_key(&[&key[..], &[0]].concat()), None);
        assert_eq!(from_dht_key(&[b"/pk/", &key[6..]].concat()), None);
        assert_eq!(from_dht_key(&key[6..]), None);
        assert_eq!(from_dht_key(&[b"/ipns/\x12\x20", &key[12..]].concat()), None);
    }

    proptest! {
        #[test]
        fn names_come_back(seed: [u8; 32]) {
            let publisher = id(seed);
            let text = text(&publisher);
            prop_assert!(text.starts_with("k51qzi5uqu5d") && text.len() == 62);
            prop_assert_eq!(parse(&text), Ok(publisher));
            prop_assert_eq!(from_dht_key(&dht_key(&publisher)), Some(publisher));
        }

        #[test]
        fn any_text_and_any_bytes_never_panic(text: String, bytes: Vec<u8>) {
            assert!(parse(&text).is_err());
            let _ = from_dht_key(&[&b"/ipns/"[..], &bytes].concat());
        }
    }
}
