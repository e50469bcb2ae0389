//! `claims.jsonl`: one bundle a line, as others' tools take them too (in-toto "Bundle").

use bytes::Bytes;

use super::Error;
use crate::limits;

/// The file's bytes. Bundles in the one byte form have no line breaks.
pub fn to_jsonl<'a>(bundles: impl IntoIterator<Item = &'a Bytes>) -> Vec<u8> {
    let mut text = Vec::new();
    for bundle in bundles {
        text.extend_from_slice(bundle);
        text.push(b'\n');
    }
    text
}

/// The bundles in a file, unverified, each with the number of its line, from 1. Empty lines are passed over.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::TooMany`].
pub fn from_jsonl(text: &Bytes) -> Result<Vec<(usize, Bytes)>, Error> {
    if text.len() > limits::CLAIMS_FILE_MAX {
        let (len, max) = (text.len(), limits::CLAIMS_FILE_MAX);
        return Err(Error::TooLarge { what: "file", len, max });
    }
    let mut bundles = Vec::new();
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if bundles.len() >= limits::CLAIMS_LINES_MAX {
            return Err(Error::TooMany);
        }
        bundles.push((at + 1, text.slice_ref(line)));
    }
    Ok(bundles)
}
