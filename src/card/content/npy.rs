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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::content::Pieces;

    fn objects(dtype: &str) -> Result<bool, Stop> {
        let header = format!("{{'descr': {dtype}, 'fortran_order': False, 'shape': (3,), }}\n");
        let start = [MAGIC, b"\x01\0", &(header.len() as u16).to_le_bytes()].concat();
        let bytes = [&start[..], header.as_bytes()].concat();
        let mut pieces = Pieces::default();
        pieces.insert(0, &bytes);
        has_objects(&View::of_file(&pieces, bytes.len() as u64), 0)
    }

    #[test]
    fn every_spelling_of_objects_is_seen_and_fields_are_not_taken_for_one() {
        for dtype in
            ["'O'", "'|O'", "'O8'", "'f4,3O'", "[('a', '|O')]", "'object'", "r'' 'O'", "'\\x4f'"]
        {
            assert_eq!(objects(dtype), Ok(true), "{dtype}");
        }
        for dtype in ["'<f8'", "[('Open', '<f8'), ('O_i', '<i4')]", "'|S5'", "'<M8[ns]'"] {
            assert_eq!(objects(dtype), Ok(false), "{dtype}");
        }
    }

    #[test]
    fn a_header_of_any_length_is_not_read() {
        let mut pieces = Pieces::default();
        pieces.insert(0, b"\x93NUMPY\x02\0\0\0\x10\0");
        assert!(matches!(has_objects(&View::of_file(&pieces, 1 << 40), 0), Err(Stop::Flaw(_))));
    }
}
