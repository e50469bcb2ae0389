//! The ssh-agent protocol, as far as signing with an ed25519 key needs it: which keys there are, and a signature.
//!
//! Messages only: the socket (`SSH_AUTH_SOCK`) is the caller's. A message is four bytes of length, then a body: send
//! what [`list_request`] or [`sign_request`] gives, read four bytes, ask [`body_len`] how many follow, give those to
//! [`listed`] or [`signature`]. A signature that comes out has been verified: an agent is another program.
//! draft-ietf-sshm-ssh-agent; RFC 8709.

use ed25519_dalek::Signature;

use crate::card::did::PublisherId;
use crate::card::json::shortened;
use crate::limits;

use super::public::{SSH_ED25519, from_blob, to_blob};
use super::wire::{Reader, put_string};

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Why an agent's answer is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than agents take or give.
    #[error("a message of {len} bytes is more than an ssh-agent takes or gives ({max})", max = limits::AGENT_MESSAGE_MAX)]
    TooLarge {
        /// Bytes of the message.
        len: usize,
    },
    /// The agent says no.
    #[error(
        "the ssh-agent refused: it may be locked, not hold the key, or somebody declined; see ssh-add -l"
    )]
    Refused,
    /// Not the protocol.
    #[error("the ssh-agent's answer is malformed: {0}")]
    Malformed(&'static str),
    /// A signature, and not a valid one.
    #[error(
        "the ssh-agent gave a signature that is not one of {key} over what it was asked to sign"
    )]
    Signature {
        /// The key that was to sign.
        key: PublisherId,
    },
}

/// A key in an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The key.
    pub key: PublisherId,
    /// What its owner wrote to it, shortened; from outside, escape it before printing.
    pub comment: String,
}

/// What an agent holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Keys that can sign cards and roots.
    pub keys: Vec<Held>,
    /// How many other keys there are: of other algorithms, in hardware, certificates.
    pub others: usize,
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 5);
    put_string(&mut out, &[&[kind], body].concat());
    out
}

/// Asks which keys there are.
pub fn list_request() -> Vec<u8> {
    message(REQUEST_IDENTITIES, &[])
}

/// Asks for a signature.
///
/// # Errors
/// [`Error::TooLarge`] if no agent would read so much.
pub fn sign_request(key: &PublisherId, data: &[u8]) -> Result<Vec<u8>, Error> {
    if data.len() > limits::AGENT_DATA_MAX {
        return Err(Error::TooLarge { len: data.len() });
    }
    let mut body = Vec::with_capacity(data.len() + 68);
    put_string(&mut body, &to_blob(key));
    put_string(&mut body, data);
    body.extend_from_slice(&[0; 4]);
    Ok(message(SIGN_REQUEST, &body))
}

/// Bytes of the body behind the four bytes that start an answer.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::Malformed`] for an empty one.
pub fn body_len(head: [u8; 4]) -> Result<usize, Error> {
    match usize::try_from(u32::from_be_bytes(head)) {
        Ok(0) => Err(Error::Malformed("it is empty")),
        Ok(len) if len <= limits::AGENT_MESSAGE_MAX => Ok(len),
        too_large => Err(Error::TooLarge { len: too_large.unwrap_or(usize::MAX) }),
    }
}

/// What follows the answer's kind.
fn expect(body: &[u8], kind: u8) -> Result<Reader<'_>, Error> {
    if body.len() > limits::AGENT_MESSAGE_MAX {
        return Err(Error::TooLarge { len: body.len() });
    }
    match body.split_first() {
        Some((found, rest)) if *found == kind => Ok(Reader(rest)),
        Some((&FAILURE, _)) => Err(Error::Refused),
        _ => Err(Error::Malformed("it answers another question")),
    }
}

/// Reads the answer to [`list_request`].
///
/// # Errors
/// Every [`Error`] but [`Error::Signature`].
pub fn listed(body: &[u8]) -> Result<Listed, Error> {
    let malformed = Error::Malformed("its list of keys ends early");
    let mut reader = expect(body, IDENTITIES_ANSWER)?;
    let count = reader.u32().ok_or(malformed.clone())?;
    if usize::try_from(count).map_or(true, |count| count > limits::AGENT_KEYS_MAX) {
        return Err(Error::Malformed("it lists more keys than agents hold"));
    }
    let mut listed = Listed::default();
    for _ in 0..count {
        let entry = (reader.string(), reader.string());
        let (Some(blob), Some(comment)) = entry else { return Err(malformed) };
        match from_blob(blob) {
            Ok(key) => {
                let comment = shortened(&String::from_utf8_lossy(comment));
                listed.keys.push(Held { key, comment });
            }
            Err(_) => listed.others += 1,
        }
    }
    if reader.is_empty() { Ok(listed) } else { Err(Error::Malformed("bytes follow its keys")) }
}

/// Reads the answer to [`sign_request`] for this key and data, and verifies it.
///
/// # Errors
/// Every [`Error`].
pub fn signature(body: &[u8], key: &PublisherId, data: &[u8]) -> Result<[u8; 64], Error> {
    let mut outer = expect(body, SIGN_RESPONSE)?;
    let mut inner = Reader(outer.string().ok_or(Error::Malformed("it has no signature"))?);
    let kind = inner.text().ok_or(Error::Malformed("its signature has no kind"))?;
    if kind != SSH_ED25519 {
        return Err(Error::Malformed("its signature is of another kind than ssh-ed25519"));
    }
    let signature = inner.string().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    let signature = signature.filter(|_| inner.is_empty() && outer.is_empty());
    let signature = signature.ok_or(Error::Malformed("its signature has not 64 bytes"))?;
    let strict = key.verifying_key().verify_strict(data, &Signature::from_bytes(&signature));
    strict.map_err(|_| Error::Signature { key: *key })?;
    Ok(signature)
}
