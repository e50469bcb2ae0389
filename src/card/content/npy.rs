//! numpy's `.npy`: whether its array holds Python objects, which are a pickle behind the header.
//!
//! NEP 1, formats 1 to 3. The header is a Python dict written out; a dtype with `O` in any field means objects.

use crate::limits;

use super::pieces::{Stop, View, flaw, le};

/// What such a file begins with.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Whether the array that begins at `offset` holds objects.
pub(super) fn has_objects(view: &View<'_>, offset: u64) -> Result<bool, Stop> {
    let fixed = view.range(offset, 12)?;
    let (start, len) = match fixed[6] {
        1 => (10, le(fixed, 8, 2)),
        2 | 3 => (12, le(fixed, 8, 4)),
        _ => return flaw("has a .npy header of an unknown version"),
    };
    if len > limits::NPY_HEADER_MAX {
        return flaw("has a .npy header of more than 64 KiB");
    }
    let header = view.range(offset + start, len)?;
    // Python reads it as a literal: with escapes it may say anything.
    Ok(header.contains(&b'\\') || header.split(|byte| !is_word(*byte)).any(is_object))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Codes that numpy takes for objects, in a list of fields or in a text like `f4,3O`. A field of that name counts, too.
fn is_object(word: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let code: Vec<u8> = word.iter().copied().filter(|byte| !is_digit(byte)).collect();
    code == b"O" || code.eq_ignore_ascii_case(b"object") || code == b"object_"
}
