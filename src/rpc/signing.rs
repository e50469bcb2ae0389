//! What a command is asked to sign that holds the publisher's key in the daemon's place, and what it says to that.
//!
//! Not bytes but what they say is handed over: the command reads it, checks it against what the user asked for, makes
//! the bytes itself and signs those.

use serde::{Deserialize, Serialize};

use super::Failure;

/// Something to be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToSign {
    /// The key that is to sign, `did:key:z6Mk…`.
    pub key: String,
    /// What.
    pub what: Unsigned,
}

/// What a publisher signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Unsigned {
    /// A card: one signature.
    Card {
        /// The canonical text of its statement.
        payload: String,
    },
    /// A claim about content: one signature.
    Claim {
        /// The canonical text of its statement.
        payload: String,
    },
    /// A record of names: two signatures, of its version 1 and of its version 2.
    Name {
        /// Whose index it is: the key's own, or the lab's that announces with the key.
        publisher: String,
        /// `lan` or `public`.
        scope: String,
        /// The canonical text of the index that it points to.
        index: String,
        /// Its place among the records of the name.
        sequence: u64,
        /// Its end, RFC 3339.
        valid_until: String,
    },
}

/// What a command says to [`Event::Sign`](super::Event::Sign).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Done.
    Signed {
        /// The signatures, 128 hex digits each, in the order of the thing to sign.
        signatures: Vec<String>,
    },
    /// Not done.
    Declined {
        /// Why.
        error: Failure,
    },
}
