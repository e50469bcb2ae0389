//! Publishers: ed25519 keys written as `did:key:z6Mk…`.
//!
//! The text is the multibase `z` (base58btc) of the multicodec ed25519-pub (`ed 01`) and the 32 bytes of the key (W3C
//! "The did:key Method"). One key has one text: a [`PublisherId`] in hand is a canonical point of large order, so that
//! equality of ids is equality of keys. Not the node's identity (that is a libp2p PeerId). Provenance sections 3 and 6.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::VerifyingKey;
use multibase::Base;
use serde::{Deserialize, Serialize};

/// What stands before the `z6Mk…` part.
const SCHEME: &str = "did:key:";
/// Multicodec ed25519-pub as an unsigned varint.
const ED25519_PUB: [u8; 2] = [0xed, 0x01];
/// Characters of the `z6Mk…` part: every 34 bytes that start with `ed 01` have 47 base58 digits and the `z`.
const PART_LEN: usize = 48;

/// Why text or bytes name no publisher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not of the form `did:key:z6Mk…`.
    #[error("{text:?} is no publisher: expected did:key:z6Mk… or its z6Mk… part")]
    Form {
        /// What was given, shortened.
        text: String,
    },
    /// A did:key of another kind of key.
    #[error("{text} is a did:key of another kind; publishers sign with ed25519 (did:key:z6Mk…)")]
    OtherKey {
        /// What was given.
        text: String,
    },
    /// The bytes are no point of the curve, or not the one encoding of it.
    #[error("the key is not a canonical ed25519 public key")]
    NotCanonical,
    /// A point of small order: with such a key anybody makes a signature for any message.
    #[error("the key is a weak ed25519 key (small order): anybody could sign as it")]
    Weak,
}

/// A publisher's ed25519 public key, canonical and of large order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublisherId([u8; 32]);

impl PublisherId {
    /// Takes the 32 bytes of a public key.
    ///
    /// # Errors
    /// [`Error::NotCanonical`] or [`Error::Weak`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Error> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| Error::NotCanonical)?;
        Self::try_from(&key)
    }

    /// The 32 bytes of the public key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key, to verify with. Use `verify_strict` only.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::from_bytes(&self.0).expect("it was a point when this id was made")
    }

    /// The `z6Mk…` part, 48 characters: what paths and short references use.
    pub fn part(&self) -> String {
        multibase::encode(Base::Base58Btc, [&ED25519_PUB[..], &self.0[..]].concat())
    }
}

impl TryFrom<&VerifyingKey> for PublisherId {
    type Error = Error;

    fn try_from(key: &VerifyingKey) -> Result<Self, Error> {
        if key.is_weak() {
            return Err(Error::Weak);
        }
        // dalek decodes by ZIP 215, which takes several encodings of a point: only the one that it writes is an id.
        if key.to_edwards().compress().as_bytes() != key.as_bytes() {
            return Err(Error::NotCanonical);
        }
        Ok(Self(key.to_bytes()))
    }
}

impl From<&PublisherId> for VerifyingKey {
    fn from(id: &PublisherId) -> Self {
        id.verifying_key()
    }
}

impl FromStr for PublisherId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let form = || Error::Form { text: text.chars().take(80).collect() };
        let part = text.strip_prefix(SCHEME).unwrap_or(text);
        // The length bounds the quadratic base58 decoding too.
        if !part.starts_with('z') || part.len() > 2 * PART_LEN {
            return Err(form());
        }
        let (_, bytes) = multibase::decode(part).map_err(|_| form())?;
        let Some(key) = bytes.strip_prefix(&ED25519_PUB) else {
            return Err(if text.starts_with(SCHEME) {
                Error::OtherKey { text: text.to_owned() }
            } else {
                form()
            });
        };
        let id = Self::from_bytes(key.try_into().map_err(|_| form())?)?;
        if id.part() == part { Ok(id) } else { Err(form()) }
    }
}

impl TryFrom<String> for PublisherId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<PublisherId> for String {
    fn from(id: PublisherId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.part())
    }
}

impl fmt::Debug for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    /// RFC 8032 test 1's public key, with the text of an independent encoder (Python, base58 by hand).
    const RFC8032: [u8; 32] = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ];
    const RFC8032_PART: &str = "z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw";

    #[test]
    fn a_key_has_the_text_that_others_give_it_and_back() {
        let id = PublisherId::from_bytes(&RFC8032).unwrap();
        assert_eq!(id.part(), RFC8032_PART);
        assert_eq!(id.to_string(), format!("did:key:{RFC8032_PART}"));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(RFC8032_PART.parse(), Ok(id));
    }

    #[test]
    fn the_did_of_the_provenance_example_is_read() {
        let text = "did:key:z6MksvN6MJFuZNy4ZeZfaCZtEoSY9ButFSLqMMJ4GTNa62ht";
        assert_eq!(text.parse::<PublisherId>().unwrap().to_string(), text);
    }

    #[test]
    fn other_keys_and_other_text_are_refused() {
        let p256 = "did:key:zDnaecTtrTPjLd5yTUe66dbRfg36asw7bWJDoY2cU6kvDYMDZ";
        assert!(matches!(p256.parse::<PublisherId>(), Err(Error::OtherKey { .. })));
        for text in ["", "z", "did:key:", "z6Mk", "did:web:a.b", "did:key:did:key:z6Mk", "acme"] {
            assert!(matches!(text.parse::<PublisherId>(), Err(Error::Form { .. })), "{text}");
        }
        let longer = format!("z1{}", &RFC8032_PART[1..]);
        assert!(longer.parse::<PublisherId>().is_err());
    }

    #[test]
    fn every_point_of_small_order_is_refused() {
        // The eight points of the torsion subgroup, in their canonical encodings.
        let order8 = [
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
        ];
        for text in order8 {
            let bytes = crate::card::json::parse_hex(text).unwrap();
            assert_eq!(PublisherId::from_bytes(&bytes), Err(Error::Weak), "{text}");
        }
    }

    #[test]
    fn a_second_encoding_of_a_point_is_refused() {
        // y = p + k for k = 0..=18 fits in 255 bits; those that are points are non-canonical encodings.
        let mut points = 0;
        for k in 0..=18u8 {
            for sign in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                bytes[0] = 0xed + k;
                bytes[31] = sign;
                if VerifyingKey::from_bytes(&bytes).is_ok_and(|key| !key.is_weak()) {
                    points += 1;
                    assert_eq!(PublisherId::from_bytes(&bytes), Err(Error::NotCanonical));
                }
            }
        }
        assert!(points > 0, "no non-canonical point was tried");
    }

    proptest! {
        #[test]
        fn any_signing_key_round_trips(seed: [u8; 32]) {
            let id = PublisherId::try_from(&SigningKey::from_bytes(&seed).verifying_key()).unwrap();
            prop_assert!(id.part().starts_with("z6Mk") && id.part().len() == PART_LEN);
            prop_assert_eq!(id.part().parse(), Ok(id));
        }

        #[test]
        fn any_text_never_panics(text: String) {
            assert!(text.parse::<PublisherId>().is_err());
        }
    }
}
