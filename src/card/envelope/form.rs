//! The one byte form of what is signed here, cards and claims alike: a Sigstore bundle v0.3 with a bare key around a
//! DSSE envelope with one pure-ed25519 signature.
//!
//! The signature covers neither the key's hint nor the names of JSON keys, so one form only is read, the one that
//! [`encode`] writes. What a payload says is not known here. DSSE v1.0.2; provenance 2, 6 and 7.4.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};

use crate::card::did::{self, PublisherId};
use crate::card::json::shortened;
use crate::limits;

/// DSSE payload type of an in-toto statement.
pub(in crate::card) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Media type of a Sigstore bundle v0.3.
pub(in crate::card) const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Why bytes are no bundle in the one byte form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::card) enum Error {
    /// More bytes than are read: `bundle` or `payload`, how many, and the bound.
    TooLarge(&'static str, usize, usize),
    /// Not a Sigstore bundle v0.3 with one signature.
    Bundle(String),
    /// A bundle, but in another form from this byte on.
    Form(usize),
    /// It names no key that could sign.
    Key(did::Error),
}

/// The bundle's JSON; the order of the fields is the order in which they are written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Material {
    public_key: KeyHint,
    tlog_entries: [(); 0],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyHint {
    hint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: [SignatureLine; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureLine {
    sig: String,
    keyid: String,
}

/// The one byte form of a bundle.
pub(in crate::card) fn encode(payload: &[u8], signature: &[u8; 64], signer: &PublisherId) -> Bytes {
    let bundle = Bundle {
        media_type: MEDIA_TYPE.to_owned(),
        verification_material: Material {
            public_key: KeyHint { hint: signer.to_string() },
            tlog_entries: [],
        },
        dsse_envelope: Envelope {
            payload: STANDARD.encode(payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: [SignatureLine {
                sig: STANDARD.encode(signature),
                keyid: signer.to_string(),
            }],
        },
    };
    serde_json::to_vec(&bundle).expect("strings and arrays always serialise").into()
}

/// DSSE's pre-authentication encoding: the bytes that are signed.
pub(in crate::card) fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Whether `signature` is `signer`'s over the payload, strictly: canonical S and R, no point of small order.
pub(super) fn signature_holds(signer: &PublisherId, payload: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    signer.verifying_key().verify_strict(&pae(PAYLOAD_TYPE, payload), &signature).is_ok()
}

/// Payload and signature of a bundle in the right outer form: nothing in it is to be believed before
/// [`Parts::holds`], nor parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::card) struct Parts {
    /// The key that the bundle names.
    pub(in crate::card) signer: PublisherId,
    /// What it says that key made.
    pub(in crate::card) signature: [u8; 64],
    /// What was signed.
    pub(in crate::card) payload: Bytes,
    /// The whole, as it came.
    pub(in crate::card) bundle: Bytes,
}

impl Parts {
    /// Takes a bundle's bytes; the payload in it has at most `max`, the bundle what [`bundle_max`] gives.
    pub(in crate::card) fn read(bundle: Bytes, max: usize) -> Result<Self, Error> {
        within("bundle", bundle.len(), bundle_max(max))?;
        let read: Bundle = serde_json::from_slice(&bundle)
            .map_err(|error| Error::Bundle(shortened(&error.to_string())))?;
        let [line] = read.dsse_envelope.signatures;
        let base64 = |what: &str, text: &str| {
            STANDARD.decode(text).map_err(|error| Error::Bundle(format!("{what}: {error}")))
        };
        let payload = base64("payload", &read.dsse_envelope.payload)?;
        within("payload", payload.len(), max)?;
        let signature: [u8; 64] = base64("sig", &line.sig)?
            .try_into()
            .map_err(|_| Error::Bundle("sig: not 64 bytes".to_owned()))?;
        let signer: PublisherId = line.keyid.parse().map_err(Error::Key)?;
        let form = encode(&payload, &signature, &signer);
        if form != bundle {
            let at = form.iter().zip(&bundle).take_while(|(a, b)| a == b).count();
            return Err(Error::Form(at));
        }
        Ok(Self { signer, signature, payload: payload.into(), bundle })
    }

    /// Whether the key that the bundle names signed the payload.
    pub(in crate::card) fn holds(&self) -> bool {
        signature_holds(&self.signer, &self.payload, &self.signature)
    }
}

/// Bytes of the largest bundle around a payload of at most so many: base64, 4 for 3, and the envelope around it.
pub(in crate::card) const fn bundle_max(payload: usize) -> usize {
    payload / 3 * 4 + 4 * limits::KIB
}

fn within(what: &'static str, len: usize, max: usize) -> Result<(), Error> {
    if len > max { Err(Error::TooLarge(what, len, max)) } else { Ok(()) }
}
