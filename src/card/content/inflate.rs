//! What deflated data begin with.
//!
//! For gzip, zlib and members of zips: enough to tell what is in them, never the whole. The other compressions are
//! judged by name (see the table of `content`).

use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use crate::limits;

use super::pieces::Pieces;

/// The beginning of inflated data, at most [`limits::INFLATED_HEAD_MAX`] bytes.
pub(super) struct Inflated {
    /// The bytes, as a piece at 0.
    pub(super) pieces: Pieces,
    /// All of their length, or `u64::MAX` if there may be more.
    pub(super) size: u64,
}

/// How the data are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapper {
    /// Not at all: in zips.
    Raw,
    Zlib,
    Gzip,
}

/// Inflates the beginning of `bytes`; `None` if they are no such data.
pub(super) fn inflate(bytes: &[u8], wrapper: Wrapper) -> Option<Inflated> {
    let bytes = if wrapper == Wrapper::Gzip { gzip_body(bytes)? } else { bytes };
    let mut flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
        | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
    if wrapper == Wrapper::Zlib {
        flags |= inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER;
    }
    let mut out = vec![0; limits::INFLATED_HEAD_MAX];
    let mut state = Box::<DecompressorOxide>::default();
    let (status, _, len) = decompress(&mut state, bytes, &mut out, 0, flags);
    use miniz_oxide::inflate::TINFLStatus as Status;
    let size = match status {
        Status::Done => len as u64,
        Status::HasMoreOutput | Status::NeedsMoreInput => u64::MAX,
        // Data that go wrong further on still begin as they do.
        _ if len > 0 => u64::MAX,
        _ => return None,
    };
    let mut pieces = Pieces::default();
    pieces.insert(0, &out[..len]);
    Some(Inflated { pieces, size })
}

/// What follows a gzip member's header (RFC 1952).
fn gzip_body(bytes: &[u8]) -> Option<&[u8]> {
    let (head, mut rest) = bytes.split_at_checked(10)?;
    let flags = head[3];
    if flags & 4 != 0 {
        let (len, behind) = rest.split_at_checked(2)?;
        rest = behind.get(usize::from(u16::from_le_bytes([len[0], len[1]]))..)?;
    }
    for _ in 0..(flags >> 3 & 1) + (flags >> 4 & 1) {
        let end = rest.iter().position(|byte| *byte == 0)?;
        rest = &rest[end + 1..];
    }
    if flags & 2 != 0 { rest.get(2..) } else { Some(rest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::content::pieces::View;

    fn zlib() -> Vec<u8> {
        miniz_oxide::deflate::compress_to_vec_zlib(&[b'a'; 100_000], 6)
    }

    #[test]
    fn only_the_beginning_is_inflated() {
        let inflated = inflate(&zlib(), Wrapper::Zlib).unwrap();
        let view = View::of_beginning(&inflated.pieces, inflated.size);
        assert_eq!(view.head().unwrap(), [b'a'; limits::INFLATED_HEAD_MAX]);
        assert_eq!(inflated.size, u64::MAX);
        let short = miniz_oxide::deflate::compress_to_vec(b"abc", 6);
        assert_eq!(inflate(&short, Wrapper::Raw).unwrap().size, 3);
    }

    #[test]
    fn all_optional_fields_of_a_gzip_header_are_passed_over() {
        let body = miniz_oxide::deflate::compress_to_vec(b"abc", 6);
        let head = [&b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03\x02\0xy"[..], b"name\0comment\0", b"cc"];
        let bytes = [&head.concat()[..], &body].concat();
        assert_eq!(inflate(&bytes, Wrapper::Gzip).unwrap().size, 3);
        assert!((0..bytes.len() - body.len()).all(|cut| inflate(&bytes[..cut], Wrapper::Gzip).is_none_or(|i| i.size == u64::MAX)));
    }

    #[test]
    fn what_is_no_such_data_is_none() {
        assert!(inflate(b"x\x9d123456", Wrapper::Zlib).is_none());
        assert!(inflate(b"", Wrapper::Gzip).is_none());
    }
}
