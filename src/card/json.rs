//! Strict DAG-JSON: the one form in which cards are written and read.
//!
//! UTF-8, keys sorted bytewise, no whitespace, integers only, links as `{"/":"<cid>"}`, nothing nested deeper than
//! [`limits::CARD_DEPTH_MAX`]. What was signed is never re-encoded in order to check its signature; after that check
//! a payload that is not in this one form is refused, so that no two readers can see two things in it (duplicate keys
//! above all). Provenance 7.2 and section 6; IPLD "Codecs: DAG-JSON". No bytes (`{"/":{"bytes":…}}`): cards have none.

mod value;

use crate::dag::Cid;
use crate::limits;

pub use value::{Map, Value};

/// Why bytes are not strict DAG-JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes than are read.
    #[error("it has {len} bytes, at most {max} are read")]
    TooLarge {
        /// Bytes given.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// Not JSON, or with duplicate keys, floats, too deep, or a malformed link.
    #[error("{0}")]
    Syntax(String),
    /// JSON, but not in the one byte form.
    #[error("it is not in canonical form (sorted keys, no whitespace) from byte {at} on")]
    NotCanonical {
        /// The first byte that differs from the canonical form.
        at: usize,
    },
    /// So many tiny values that they would fill memory.
    #[error("it has more than {max} {what}")]
    TooMany {
        /// `objects` or `values`.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// Nested deeper than is read.
    #[error("it is nested deeper than {max} levels", max = limits::CARD_DEPTH_MAX)]
    Depth,
}

/// The canonical bytes of a value.
///
/// # Errors
/// [`Error::Depth`], or [`Error::Syntax`] for what DAG-JSON cannot say: an integer beyond 64 bits, a key `/`.
pub fn encode(value: &Value) -> Result<Vec<u8>, Error> {
    value.check()?;
    serde_json::to_vec(value).map_err(|error| Error::Syntax(error.to_string()))
}

/// Reads at most `max` bytes of canonical DAG-JSON.
///
/// # Errors
/// Every [`Error`].
pub fn decode(bytes: &[u8], max: usize) -> Result<Value, Error> {
    if bytes.len() > max {
        return Err(Error::TooLarge { len: bytes.len(), max });
    }
    bounded(bytes)?;
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Error::Syntax(shortened(&error.to_string())))?;
    let canonical = encode(&value)?;
    if canonical != bytes {
        let same = canonical.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        return Err(Error::NotCanonical { at: same });
    }
    Ok(value)
}

/// Counts objects and values without making any: an object of seven bytes takes a hundred times as much in memory. What
/// is no JSON is counted somehow, and refused after.
fn bounded(bytes: &[u8]) -> Result<(), Error> {
    let (mut objects, mut values) = (0usize, 1usize);
    let (mut text, mut escaped) = (false, false);
    for byte in bytes {
        match (text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => text = !text,
            (false, b'{') => (objects, values) = (objects + 1, values + 1),
            (false, b'[' | b',') => values += 1,
            _ => {}
        }
    }
    let counted = [
        ("objects", objects, limits::JSON_OBJECTS_MAX),
        ("values", values, limits::JSON_VALUES_MAX),
    ];
    match counted.into_iter().find(|(_, count, max)| count > max) {
        Some((what, _, max)) => Err(Error::TooMany { what, max }),
        None => Ok(()),
    }
}

/// What of a text from outside goes into a message: a hostile card must not fill a terminal or a log.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(bytes, &mut text);
    text
}

/// The same, behind what stands there.
pub(crate) fn push_hex(bytes: &[u8], text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Exactly `N` bytes of lower-case hex.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// A CID in the one text that cards write: base32 for version 1, base58btc for version 0.
pub(crate) fn parse_cid(text: &str) -> Option<Cid> {
    let cid: Cid = text.parse().ok()?;
    (cid.to_string() == text).then_some(cid)
}

#[cfg(test)]
mod tests;
