//! Keys of OpenSSF Model Signing: NIST curves, since its tools take no ed25519.
//!
//! A [`PublicKey`] has three texts: PEM (SPKI, as OpenSSL writes it), `did:key:zDn…` (`z82…` on P-384; multicodecs
//! `p256-pub` and `p384-pub` and the compressed point) as cards name it, and the fingerprint, which signatures name as
//! `hint`: hex SHA-256 of that PEM. Each follows from the key alone, so one key has one of each.

use std::fmt;
use std::str::FromStr;

use multibase::Base;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    LineEnding,
};

use crate::card::json::{hex, shortened};
use crate::dag::block::sha256;
use crate::limits;

const SCHEME: &str = "did:key:";
/// Multicodec p256-pub as an unsigned varint.
const P256_PUB: [u8; 2] = [0x80, 0x24];
/// Multicodec p384-pub as an unsigned varint.
const P384_PUB: [u8; 2] = [0x81, 0x24];
/// Characters of the longest such did:key; bounds the quadratic base58 decoding.
const DID_MAX: usize = 96;

/// Why text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the PEM of a public key on a curve that is read.
    #[error(
        "this is no public key in PEM (BEGIN PUBLIC KEY) on the curve P-256 or P-384; signatures by other keys can't be checked here"
    )]
    PublicPem,
    /// Not the PEM of a P-256 private key.
    #[error("this is no P-256 private key in PEM (BEGIN PRIVATE KEY)")]
    PrivatePem,
    /// Not a did:key of such a key.
    #[error("{text:?} is no did:key of a P-256 or P-384 key (did:key:zDn…, did:key:z82…)")]
    Did {
        /// What was given, shortened.
        text: String,
    },
}

/// A key that an OMS signature can be checked with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(Curve);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Curve {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads a PEM, as `openssl ec -pubout` writes it.
    ///
    /// # Errors
    /// [`Error::PublicPem`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        if pem.len() > limits::PUBLIC_KEY_PEM_MAX {
            return Err(Error::PublicPem);
        }
        if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(pem) {
            return Ok(Self(Curve::P256(key)));
        }
        match p384::ecdsa::VerifyingKey::from_public_key_pem(pem) {
            Ok(key) => Ok(Self(Curve::P384(key))),
            Err(_) => Err(Error::PublicPem),
        }
    }

    /// The PEM, byte for byte as OpenSSL writes it.
    pub fn to_pem(&self) -> String {
        let pem = match &self.0 {
            Curve::P256(key) => key.to_public_key_pem(LineEnding::LF),
            Curve::P384(key) => key.to_public_key_pem(LineEnding::LF),
        };
        pem.expect("a point has one SPKI of fixed length")
    }

    /// Hex SHA-256 of the PEM: what `sha256sum key.pem` prints and signatures name as `hint`.
    pub fn fingerprint(&self) -> String {
        hex(&sha256(self.to_pem().as_bytes()))
    }

    /// Whether `signature`, in DER, is this key's over `message`: SHA-256 on P-256, SHA-384 on P-384. Both of the two
    /// values of S hold.
    pub(super) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Curve::P256(key) => p256::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Curve::P384(key) => p384::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }

    /// The one form of a signature that holds: the lower S, in DER; none if these bytes are no signature.
    pub(super) fn one_form(&self, signature: &[u8]) -> Option<Vec<u8>> {
        match &self.0 {
            Curve::P256(_) => p256::ecdsa::Signature::from_der(signature)
                .ok()
                .map(|signature| signature.normalize_s().to_der().as_bytes().to_vec()),
            Curve::P384(_) => p384::ecdsa::Signature::from_der(signature)
                .ok()
                .map(|signature| signature.normalize_s().to_der().as_bytes().to_vec()),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match &self.0 {
            Curve::P256(key) => [&P256_PUB[..], key.to_sec1_point(true).as_bytes()].concat(),
            Curve::P384(key) => [&P384_PUB[..], key.to_sec1_point(true).as_bytes()].concat(),
        };
        write!(f, "{SCHEME}{}", multibase::encode(Base::Base58Btc, bytes))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let key = || {
            let part = text.strip_prefix(SCHEME)?;
            if text.len() > DID_MAX || !part.starts_with('z') {
                return None;
            }
            let (_, bytes) = multibase::decode(part).ok()?;
            let curve = if let Some(point) = bytes.strip_prefix(&P256_PUB) {
                Curve::P256(p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?)
            } else {
                let point = bytes.strip_prefix(&P384_PUB)?;
                Curve::P384(p384::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?)
            };
            Some(Self(curve))
        };
        key()
            .filter(|key| key.to_string() == text)
            .ok_or_else(|| Error::Did { text: shortened(text) })
    }
}

/// The P-256 key that companions are signed with. It signs nothing else, and no card rests on it.
pub struct SigningKey(p256::ecdsa::SigningKey);

impl SigningKey {
    /// Takes 32 random bytes. Of 2^32 draws one is no key: then draw again.
    pub fn from_random(bytes: &[u8; 32]) -> Option<Self> {
        p256::ecdsa::SigningKey::from_slice(bytes).ok().map(Self)
    }

    /// Reads a PEM (PKCS #8).
    ///
    /// # Errors
    /// [`Error::PrivatePem`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| Error::PrivatePem)
    }

    /// The PEM (PKCS #8), which `model_signing sign key --private_key` takes too.
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.0.to_pkcs8_pem(LineEnding::LF).expect("a scalar has one PKCS #8 of fixed length")
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(Curve::P256(*self.0.verifying_key()))
    }

    /// A signature in DER, by RFC 6979 and with the lower S: the same message gives the same bytes.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: p256::ecdsa::Signature = self.0.sign(message);
        signature.normalize_s().to_der().as_bytes().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey of {}", self.public())
    }
}
