//! OpenSSF Model Signing (OMS) v1.0: signatures over a model's files that `model_signing` writes and verifies.
//!
//! Two uses. [`sign`] makes `model.sig`, the companion of a card, so that a gate that knows only OMS accepts our
//! files; [`verify_companion`] checks one. [`verify`] reads what others signed (`import-sig`), and
//! [`Signed::against`] says for which files of a repo it speaks. A companion adds nothing to its card: OMS knows no
//! publisher, no version, no predecessor, and its root digest binds no names. Provenance sections 1 and 7.4;
//! ossf/model-signing-spec `spec/v1.0.md`, whose sections are named below as OMS 6.2 and so on.
//!
//! A Sigstore bundle v0.3 of one DSSE envelope of an in-toto statement: parsed is only what a given key signed. Only
//! files hashed as a whole with SHA-256 can be compared with a manifest; shards and other hashes are refused by name.
//!
//! Signatures with a high S are taken from others, since OpenSSL makes them half of the time and nothing is known by
//! the bytes of a signature. A companion lies in a release, whose CID is: it is taken only in the one byte form that
//! [`sign`] writes, low S included, or strangers could make a second release of the same card.

mod bundle;
mod coverage;
mod key;
mod statement;

use crate::limits;

use super::envelope::{PAYLOAD_TYPE, Verified, pae};
use super::manifest::{self, Manifest};
use super::name::RepoName;

pub use coverage::{Coverage, Mismatch};
pub use key::{Error as KeyError, PublicKey, SigningKey};

/// Why bytes are no OMS signature of the given keys, or none can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes than are read or written.
    #[error("an OMS signature of {len} bytes or more; at most {max} are allowed", max = limits::OMS_BUNDLE_MAX)]
    TooLarge {
        /// Bytes.
        len: usize,
    },
    /// Not a Sigstore bundle v0.3 with one signature over an in-toto statement.
    #[error("this is no OMS signature (a Sigstore bundle v0.3 with one DSSE signature): {0}")]
    Bundle(String),
    /// None of the keys made the signature.
    #[error("the signature does not hold for {keys}: it was changed, or another key made it{hint}")]
    Signature {
        /// The keys that were tried.
        keys: String,
        /// What the bundle says of its key, if that is another one.
        hint: String,
    },
    /// Duly signed, and not a statement of OMS v1.0.
    #[error("what was signed is no statement of OpenSSF Model Signing v1.0: {0}")]
    Statement(String),
    /// Files in pieces: a card has digests of whole files only.
    #[error(
        "this signature is over shards of files, which can't be compared with the digests of whole files; ask for one made with the method \"files\", or check it with model_signing"
    )]
    Shards,
    /// Files under another hash function: a card has SHA-256 only.
    #[error(
        "this signature is over {hash} digests, which can't be compared with SHA-256 ones; ask for one made with sha256, or check it with model_signing"
    )]
    Hash {
        /// As the signature names it, shortened.
        hash: String,
    },
    /// A path that is unsafe, or listed twice.
    #[error("what was signed: {0}")]
    Path(#[from] manifest::Error),
    /// The root digest is not that of the listed files.
    #[error("what was signed contradicts itself: its root digest is not that of its files")]
    Root,
    /// Every file is one that OMS leaves out.
    #[error(
        "there is nothing to sign: OMS leaves out .git, .gitattributes, .gitignore and .github"
    )]
    Nothing,
    /// The companion is about other files than its card.
    #[error("model.sig is not about the files of its card")]
    OtherFiles,
    /// The companion is signed, and not in the one byte form.
    #[error("model.sig is not in the form that modelswarm writes; it was changed")]
    Form,
    /// The card names no key that a companion could be of.
    #[error("the card names no companion key that is read here (did:key:zDn…, did:key:z82…)")]
    NoKey,
}

/// A file that a signature speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the model's folder.
    pub path: String,
    /// SHA2-256 of its bytes.
    pub sha256: [u8; 32],
}

/// What a key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The one of the given keys that signed.
    pub key: PublicKey,
    /// The files, sorted bytewise by path; no path twice.
    pub entries: Vec<Entry>,
    /// Paths, files or folders, that were left out.
    pub ignore_paths: Vec<String>,
    /// The signed root digest, which is that of these files; it binds no names.
    pub root: [u8; 32],
}

/// Signs the files of a repo: the bytes of `model.sig`. The same name, manifest and key give the same bytes.
///
/// # Errors
/// [`Error::Nothing`], [`Error::TooLarge`].
pub fn sign(name: &RepoName, manifest: &Manifest, key: &SigningKey) -> Result<Vec<u8>, Error> {
    let payload = statement::write(name, manifest)?;
    let signature = key.sign(&pae(PAYLOAD_TYPE, &payload));
    let bundle = bundle::write(&payload, &signature, &key.public());
    // What no reader would take is not written: names that JSON escapes are longer than was counted before.
    if bundle.len() > limits::OMS_BUNDLE_MAX {
        return Err(Error::TooLarge { len: bundle.len() });
    }
    Ok(bundle)
}

/// Checks a signature with keys that the caller trusts for it, then reads what they signed.
///
/// # Errors
/// Every [`Error`] but those of making one and of companions.
pub fn verify(bundle: &[u8], keys: &[PublicKey]) -> Result<Signed, Error> {
    let read = bundle::read(bundle)?;
    let message = pae(PAYLOAD_TYPE, &read.payload);
    let Some(key) = keys.iter().find(|key| key.holds(&message, &read.signature)) else {
        return Err(read.signature_error(keys));
    };
    statement::read(&read.payload, *key)
}

/// Checks the companion of a card: signed by one of its companion keys, over all of its files but those that OMS
/// leaves out, in the one byte form. `manifest` is the card's own. Returns the key.
///
/// # Errors
/// [`Error::NoKey`], [`Error::TooLarge`], [`Error::Bundle`], [`Error::Signature`], [`Error::OtherFiles`],
/// [`Error::Form`].
pub fn verify_companion(
    bundle: &[u8],
    card: &Verified,
    manifest: &Manifest,
) -> Result<PublicKey, Error> {
    let card = card.statement();
    let keys: Vec<PublicKey> =
        card.companion_keys.iter().filter_map(|key| key.parse().ok()).collect();
    if keys.is_empty() {
        return Err(Error::NoKey);
    }
    let read = bundle::read(bundle)?;
    let message = pae(PAYLOAD_TYPE, &read.payload);
    let Some(key) = keys.iter().find(|key| key.holds(&message, &read.signature)) else {
        return Err(read.signature_error(&keys));
    };
    // Nothing is parsed: what a companion says follows from its card.
    if statement::write(&card.name, manifest).ok().as_ref() != Some(&read.payload) {
        return Err(Error::OtherFiles);
    }
    let one_form = key.one_form(&read.signature).ok_or(Error::Form)?;
    if bundle::write(&read.payload, &one_form, key) != bundle {
        return Err(Error::Form);
    }
    Ok(*key)
}

#[cfg(test)]
mod tests;
