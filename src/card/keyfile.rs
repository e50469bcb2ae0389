//! ed25519 keys in the files that people have: PKCS#8 PEM (ours), OpenSSH, seeds; and their public halves.
//!
//! Pure over bytes: where files lie, what rights they have and who types a passphrase is the caller's. Every error says
//! what was found and what to do about it. Nothing here is written back but public keys. RFC 8410; OpenSSH
//! PROTOCOL.key; RFC 4253, 6.6 and RFC 8709. Signing through an ssh-agent is [`agent`].

pub mod agent;
mod openssh;
mod public;
mod wire;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, PrivateKeyInfoRef, SecretDocument};

use crate::limits;

use super::did;
use super::json::{parse_hex, shortened};

pub use public::{public, to_pem, to_ssh_line};

/// Why a file is not taken for a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too large to be a key.
    #[error("it has {len} bytes, key files have at most {max}", max = limits::KEY_FILE_MAX)]
    TooLarge {
        /// Its bytes.
        len: usize,
    },
    /// No form of a key file that is known.
    #[error(
        "it is no key file: expected a PEM (PRIVATE KEY, OPENSSH PRIVATE KEY), 32 bytes, or 64 hex digits"
    )]
    Unknown,
    /// Text of a public key was expected.
    #[error(
        "it is no public key: expected did:key:z6Mk…, a line ssh-ed25519 AAAA…, or a PEM (PUBLIC KEY)"
    )]
    NotPublic,
    /// 32 bytes that somebody could have typed.
    #[error(
        "it has 32 printable characters: that may be a key or half of one in hex, and is taken for neither; write the seed as 64 hex digits"
    )]
    Ambiguous,
    /// A key of another algorithm.
    #[error(
        "it is {kind}, and publishers sign with ed25519; make such a key: ssh-keygen -t ed25519 -f FILE"
    )]
    OtherKind {
        /// Which, with its article.
        kind: String,
    },
    /// A key in a hardware token.
    #[error(
        "it is a hardware key ({kind}): it signs a counter and flags of its own together with every message, which no reader of cards takes; make a key in a file: ssh-keygen -t ed25519 -f FILE"
    )]
    Hardware {
        /// OpenSSH's name of the algorithm.
        kind: String,
    },
    /// The public half only.
    #[error("it is a public key; the private one is in the file without .pub")]
    Public,
    /// Encrypted, and no passphrase was given.
    #[error("it is encrypted; its passphrase is needed")]
    PassphraseNeeded,
    /// Not the passphrase, or altered ciphertext.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// PKCS#8 with encryption.
    #[error(
        "it is an encrypted PKCS#8 key, which is not read; rewrite it: openssl pkey -in FILE -out NEW, and protect that with ssh-keygen -p -f NEW"
    )]
    EncryptedPkcs8,
    /// Deriving the key from the passphrase would take very long.
    #[error(
        "it asks for {rounds} rounds of bcrypt, at most {max} are done; lower them: ssh-keygen -p -a 100 -f FILE",
        max = limits::KEY_FILE_ROUNDS_MAX
    )]
    Rounds {
        /// What it asks for.
        rounds: u32,
    },
    /// Of a known form, and not whole.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A public key that nobody may use.
    #[error(transparent)]
    Key(#[from] did::Error),
}

fn damaged(why: impl ToString) -> Error {
    Error::Damaged(shortened(&why.to_string()))
}

/// The private key in a file. `passphrase` is used only if the file is encrypted.
///
/// # Errors
/// Every [`Error`] but [`Error::NotPublic`].
pub fn private(bytes: &[u8], passphrase: Option<&[u8]>) -> Result<SigningKey, Error> {
    if bytes.len() > limits::KEY_FILE_MAX {
        return Err(Error::TooLarge { len: bytes.len() });
    }
    if let Some(label) = pem_label(bytes) {
        return match label {
            "OPENSSH PRIVATE KEY" => openssh::private(bytes, passphrase),
            "PRIVATE KEY" => pkcs8(bytes),
            "ENCRYPTED PRIVATE KEY" => Err(Error::EncryptedPkcs8),
            "RSA PRIVATE KEY" => Err(Error::OtherKind { kind: "an RSA key".into() }),
            "EC PRIVATE KEY" => Err(Error::OtherKind { kind: "an ECDSA key".into() }),
            "DSA PRIVATE KEY" => Err(Error::OtherKind { kind: "a DSA key".into() }),
            "PUBLIC KEY" => Err(Error::Public),
            other => Err(Error::OtherKind { kind: format!("a PEM of {}", shortened(other)) }),
        };
    }
    if let Ok(seed) = <&[u8; 32]>::try_from(bytes) {
        let printable = seed.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t'));
        return if printable { Err(Error::Ambiguous) } else { Ok(SigningKey::from_bytes(seed)) };
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Unknown)?.trim();
    if let Some(seed) = parse_hex(&text.to_ascii_lowercase()) {
        return Ok(SigningKey::from_bytes(&seed));
    }
    // What is a public key of some kind says so better than "no key file".
    match public(text) {
        Ok(_) => Err(Error::Public),
        Err(Error::NotPublic) => Err(Error::Unknown),
        Err(why) => Err(why),
    }
}

/// What stands between `-----BEGIN ` and the dashes of the first line.
fn pem_label(bytes: &[u8]) -> Option<&str> {
    let first = bytes.trim_ascii_start().strip_prefix(b"-----BEGIN ")?;
    let line = first.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    std::str::from_utf8(line).ok()?.trim_end().strip_suffix("-----")
}

fn pkcs8(bytes: &[u8]) -> Result<SigningKey, Error> {
    let text = std::str::from_utf8(bytes).map_err(damaged)?.trim_start();
    let (_, document) = SecretDocument::from_pem(text).map_err(damaged)?;
    let info = PrivateKeyInfoRef::try_from(document.as_bytes()).map_err(damaged)?;
    let kind = match info.algorithm.oid.to_string().as_str() {
        "1.3.101.112" => return SigningKey::from_pkcs8_der(document.as_bytes()).map_err(damaged),
        "1.2.840.113549.1.1.1" => "an RSA key".to_owned(),
        "1.2.840.10045.2.1" => "an ECDSA key".to_owned(),
        "1.3.101.110" => "an X25519 key, which signs nothing".to_owned(),
        "1.3.101.113" => "an Ed448 key".to_owned(),
        oid => format!("a key of algorithm {oid}"),
    };
    Err(Error::OtherKind { kind })
}

#[cfg(test)]
mod tests;
