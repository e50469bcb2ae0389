//! Public keys as text: `did:key`, OpenSSH lines, PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::spki::SubjectPublicKeyInfoRef;
use ed25519_dalek::pkcs8::{Document, EncodePublicKey as _, spki::der::pem::LineEnding};

use crate::card::did::PublisherId;
use crate::card::json::shortened;
use crate::limits;

use super::wire::{Reader, put_string};
use super::{Error, damaged, pem_label};

/// SSH's name of the algorithm (RFC 8709).
pub(super) const SSH_ED25519: &str = "ssh-ed25519";

/// The publisher whose public key this text is: `did:key:z6Mk…` or its `z6Mk…` part, one line `ssh-ed25519 AAAA…
/// [comment]` (a `.pub` file), or a PEM of `PUBLIC KEY`.
///
/// # Errors
/// [`Error::NotPublic`], [`Error::OtherKind`], [`Error::Hardware`], [`Error::Damaged`], [`Error::Key`],
/// [`Error::TooLarge`].
pub fn public(text: &str) -> Result<PublisherId, Error> {
    if text.len() > limits::KEY_FILE_MAX {
        return Err(Error::TooLarge { len: text.len() });
    }
    let text = text.trim();
    match pem_label(text.as_bytes()) {
        Some("PUBLIC KEY") => return from_pem(text),
        Some(_) => return Err(Error::NotPublic),
        None => {}
    }
    if text.starts_with("did:key:") || text.starts_with("z6Mk") {
        return Ok(text.parse()?);
    }
    let mut words = text.lines().next().unwrap_or_default().split_ascii_whitespace();
    let (Some(kind), Some(blob)) = (words.next(), words.next()) else {
        return Err(Error::NotPublic);
    };
    // Any algorithm's name and the base64 of a blob that starts with its length: not yet what kind it is.
    if text.lines().count() != 1 || !blob.starts_with("AAAA") {
        return Err(Error::NotPublic);
    }
    let blob = STANDARD.decode(blob).map_err(damaged)?;
    if Reader(&blob).text() != Some(kind) {
        return Err(damaged("its first word is not the kind of its key"));
    }
    from_blob(&blob)
}

/// The key of SSH's wire form: its algorithm and its bytes.
pub(super) fn from_blob(blob: &[u8]) -> Result<PublisherId, Error> {
    let mut reader = Reader(blob);
    let kind = reader.text().ok_or_else(|| damaged("its key has no kind"))?;
    if kind != SSH_ED25519 {
        return Err(other_kind(kind));
    }
    let key = reader.string().and_then(|key| <[u8; 32]>::try_from(key).ok());
    match key.filter(|_| reader.is_empty()) {
        Some(key) => Ok(PublisherId::from_bytes(&key)?),
        None => Err(damaged("its ed25519 key has not 32 bytes")),
    }
}

fn other_kind(kind: &str) -> Error {
    let kind = shortened(kind);
    if kind.contains("-cert-v") {
        return Error::OtherKind { kind: format!("an OpenSSH certificate ({kind})") };
    }
    if kind.starts_with("sk-") || kind.starts_with("webauthn-sk-") {
        return Error::Hardware { kind };
    }
    let kind = match kind.as_str() {
        "ssh-rsa" => "an RSA key".to_owned(),
        "ssh-dss" => "a DSA key".to_owned(),
        other if other.starts_with("ecdsa-sha2-") => format!("an ECDSA key ({other})"),
        other => format!("a key of kind {other}"),
    };
    Error::OtherKind { kind }
}

fn from_pem(text: &str) -> Result<PublisherId, Error> {
    let (_, document) = Document::from_pem(text).map_err(damaged)?;
    let info = SubjectPublicKeyInfoRef::try_from(document.as_bytes()).map_err(damaged)?;
    let kind = match info.algorithm.oid.to_string().as_str() {
        "1.3.101.112" => {
            let key = info.subject_public_key.as_bytes().and_then(|key| key.try_into().ok());
            let key: [u8; 32] = key.ok_or_else(|| damaged("its ed25519 key has not 32 bytes"))?;
            return Ok(PublisherId::from_bytes(&key)?);
        }
        "1.2.840.113549.1.1.1" => "an RSA key".to_owned(),
        "1.2.840.10045.2.1" => "an ECDSA key".to_owned(),
        oid => format!("a key of algorithm {oid}"),
    };
    Err(Error::OtherKind { kind })
}

/// The public key as PEM (SPKI), which `openssl` and Sigstore's tools read.
pub fn to_pem(key: &PublisherId) -> String {
    let key: VerifyingKey = key.into();
    key.to_public_key_pem(LineEnding::LF).expect("an ed25519 key always encodes")
}

/// The public key as OpenSSH's line, without a newline. Control characters in the comment become spaces.
pub fn to_ssh_line(key: &PublisherId, comment: &str) -> String {
    let blob = STANDARD.encode(to_blob(key));
    let comment: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{SSH_ED25519} {blob} {comment}").trim_end().to_owned()
}

/// SSH's wire form of a key.
pub(super) fn to_blob(key: &PublisherId) -> Vec<u8> {
    let mut blob = Vec::new();
    put_string(&mut blob, SSH_ED25519.as_bytes());
    put_string(&mut blob, key.as_bytes());
    blob
}
