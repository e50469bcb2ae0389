//! The outer form: a Sigstore bundle v0.3 of one DSSE envelope.
//!
//! Nothing in it is to be believed but the payload, once its signature holds: neither the hint nor certificates nor
//! log entries are judged here, since the caller names the keys. Fields that others may add to the verification
//! material are passed over; the rest is closed, so that no other reader finds a second envelope under another spelling.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Error, PublicKey};
use crate::card::envelope::{MEDIA_TYPE, PAYLOAD_TYPE};
use crate::card::json::shortened;
use crate::limits;

/// Keys that a message names; more are counted.
const KEYS_NAMED: usize = 3;

/// What a bundle carries, unverified.
pub(super) struct Bundle {
    pub(super) payload: Vec<u8>,
    /// DER, as it stands there.
    pub(super) signature: Vec<u8>,
    hint: Option<String>,
}

impl Bundle {
    /// Why none of `keys` made the signature, as far as it can be told.
    pub(super) fn signature_error(&self, keys: &[PublicKey]) -> Error {
        let mut named: Vec<String> =
            keys.iter().take(KEYS_NAMED).map(ToString::to_string).collect();
        match keys.len() {
            0 => named.push("any key, since none was given".to_owned()),
            len if len > KEYS_NAMED => named.push(format!("{} more", len - KEYS_NAMED)),
            _ => {}
        }
        let other = |hint: &&String| keys.iter().all(|key| key.fingerprint() != **hint);
        let hint = match self.hint.as_ref().filter(other) {
            Some(hint) => format!(" (it names the key with fingerprint {:?})", shortened(hint)),
            None => String::new(),
        };
        Error::Signature { keys: named.join(", "), hint }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Outer<'a> {
    media_type: String,
    verification_material: Material,
    #[serde(borrow)]
    dsse_envelope: Envelope<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Option<KeyHint>,
}

#[derive(Deserialize)]
struct KeyHint {
    /// Absent before `model_signing` 1.1, which wrote the key itself.
    hint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    payload_type: String,
    signatures: [Line; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sig: String,
    /// Absent, null or anything: OMS 4.1 gives it no meaning.
    #[serde(default, rename = "keyid")]
    _keyid: Option<String>,
}

/// Reads the outer form.
pub(super) fn read(bytes: &[u8]) -> Result<Bundle, Error> {
    if bytes.len() > limits::OMS_BUNDLE_MAX {
        return Err(Error::TooLarge { len: bytes.len() });
    }
    let refused = |why: String| Error::Bundle(shortened(&why));
    let outer: Outer<'_> = serde_json::from_slice(bytes).map_err(|why| refused(why.to_string()))?;
    if outer.media_type != MEDIA_TYPE {
        return Err(refused(format!("mediaType is {:?}", shortened(&outer.media_type))));
    }
    let envelope = outer.dsse_envelope;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(refused(format!("payloadType is {:?}", shortened(&envelope.payload_type))));
    }
    let base64 = |what: &str, text: &str| {
        STANDARD.decode(text).map_err(|why| refused(format!("{what}: {why}")))
    };
    let [line] = &envelope.signatures;
    Ok(Bundle {
        payload: base64("payload", &envelope.payload)?,
        signature: base64("sig", &line.sig)?,
        hint: outer.verification_material.public_key.and_then(|key| key.hint),
    })
}

/// The one byte form of a companion, fields in the order in which `model_signing` writes them.
pub(super) fn write(payload: &[u8], signature: &[u8], key: &PublicKey) -> Vec<u8> {
    // Base64, hex and our own constants: nothing of it needs escaping.
    format!(
        concat!(
            r#"{{"mediaType":"{}","verificationMaterial":{{"publicKey":{{"hint":"{}"}},"tlogEntries":[]}},"#,
            r#""dsseEnvelope":{{"payload":"{}","payloadType":"{}","signatures":[{{"sig":"{}","keyid":""}}]}}}}"#
        ),
        MEDIA_TYPE,
        key.fingerprint(),
        STANDARD.encode(payload),
        PAYLOAD_TYPE,
        STANDARD.encode(signature),
    )
    .into_bytes()
}
