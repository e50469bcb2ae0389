//! Signatures of the publisher's: by the key that the home holds, else by the command that asked for the work, which has
//! the key in a file of its own or in an ssh-agent.
//!
//! Whoever signs for the daemon is another program and may be wrong: what comes back is verified by the caller, as the
//! envelope and the record do.

use ed25519_dalek::Signer as _;

use super::{Library, Watch};
use crate::{
    card::{PublisherId, json::parse_hex},
    rpc::{Code, Failure, Reply, ToSign, Unsigned},
};

/// A signature over each of the messages. They must be what `what` says, which is all that another program is shown.
///
/// # Errors
/// Permission (5) if the key is not here and nobody is there to sign; as the signing command declines.
pub(super) fn sign<const N: usize>(
    library: &Library,
    key: &PublisherId,
    messages: [&[u8]; N],
    what: impl FnOnce() -> Unsigned,
    watch: Option<&Watch>,
) -> Result<[[u8; 64]; N], Failure> {
    let publishing = &library.inner.publishing;
    if let Some(held) = publishing.key.as_ref().filter(|_| *key == publishing.signer) {
        return Ok(messages.map(|message| held.sign(message).to_bytes()));
    }
    let Some(watch) = watch else {
        let by_hand = match *key == publishing.signer {
            true => "sign it by hand: modelswarm name publish",
            // The one under which a lab's names are found.
            false => "sign it by hand: modelswarm name publish --key FILE",
        };
        return Err(
            Failure::new(Code::Permission, format!("the key {key} is not held here")).hint(by_hand)
        );
    };
    let reply = watch.sign(ToSign { key: key.to_string(), what: what() })?;
    let signatures = match reply {
        Reply::Signed { signatures } => signatures,
        Reply::Declined { error } => return Err(error),
    };
    let read: Option<Vec<[u8; 64]>> = signatures.iter().map(|hex| parse_hex(hex)).collect();
    read.and_then(|read| read.try_into().ok()).ok_or_else(|| {
        Failure::new(Code::Failure, format!("the command that signs as {key} gave no signature"))
    })
}
