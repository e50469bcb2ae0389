//! Which bytes of a file a request asks for: the header `Range`, and the `Content-Range` of the answer (RFC 9110,
//! section 14).
//!
//! One range in bytes is understood. Anything else (several ranges, another unit, nonsense) counts as no range, which
//! the RFC allows a server, and clients take the whole file then. Not: `If-Range`, nor sending anything.
//!
//! Invariant: an [`Asked::Part`] is never empty and ends at most at the size.

use std::ops::Range;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// The whole file: 200.
    Whole,
    /// These bytes, maybe all of them: 206.
    Part(Range<u64>),
    /// Bytes that the file does not have: 416.
    Unsatisfiable,
}

/// Reads the header `Range` for a file of `size` bytes.
pub(super) fn parse(header: Option<&str>, size: u64) -> Asked {
    header.and_then(|header| asked(header, size)).unwrap_or(Asked::Whole)
}

/// `None` if the header is to be ignored.
fn asked(header: &str, size: u64) -> Option<Asked> {
    let (unit, spec) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    // A comma, and so a second range, is no digit and fails below.
    let (first, last) = spec.trim_matches([' ', '\t']).split_once('-')?;
    if first.is_empty() {
        let wanted = number(last)?;
        return Some(match (wanted, size) {
            (0, _) => Asked::Unsatisfiable,
            // The RFC calls this one satisfiable, and there is no Content-Range that could say so.
            (_, 0) => Asked::Whole,
            _ => Asked::Part(size.saturating_sub(wanted)..size),
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if first > last {
        return None;
    }
    if first >= size {
        return Some(Asked::Unsatisfiable);
    }
    Some(Asked::Part(first..last.saturating_add(1).min(size)))
}

/// Digits alone. What no `u64` holds lies beyond the end of any file, just as `u64::MAX` does.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// The header `Content-Range` of a 206.
pub(super) fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1))
}

/// The header `Content-Range` of a 416.
pub(super) fn unsatisfied(size: u64) -> String {
    format!("bytes */{size}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: &str = "18446744073709551615";
    const BEYOND: &str = "99999999999999999999999999";

    #[test]
    fn one_range_is_clamped_to_the_file() {
        for (header, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-99", 0..100),
            ("bytes=0-", 0..100),
            ("bytes=99-", 99..100),
            ("bytes=10-299999", 10..100),
            ("bytes=20-29", 20..30),
            ("bytes=007-8", 7..9),
            ("bytes=-1", 99..100),
            ("bytes=-100", 0..100),
            ("bytes=-101", 0..100),
            ("Bytes= 5-6\t", 5..7),
        ] {
            assert_eq!(parse(Some(header), 100), Asked::Part(part), "{header}");
        }
        for last in [MAX, BEYOND] {
            assert_eq!(parse(Some(&format!("bytes=1-{last}")), 100), Asked::Part(1..100));
            assert_eq!(parse(Some(&format!("bytes=-{last}")), 100), Asked::Part(0..100));
        }
    }

    #[test]
    fn a_range_past_the_end_cannot_be_had() {
        for header in ["bytes=100-", "bytes=100-200", "bytes=-0", &format!("bytes={BEYOND}-")] {
            assert_eq!(parse(Some(header), 100), Asked::Unsatisfiable, "{header}");
        }
        assert_eq!(parse(Some(&format!("bytes={MAX}-{MAX}")), u64::MAX), Asked::Unsatisfiable);
        let last = Asked::Part(u64::MAX - 1..u64::MAX);
        assert_eq!(parse(Some("bytes=18446744073709551614-"), u64::MAX), last);
    }

    #[test]
    fn an_empty_file_has_no_parts() {
        for header in ["bytes=0-0", "bytes=0-", "bytes=-0", "bytes=5-"] {
            assert_eq!(parse(Some(header), 0), Asked::Unsatisfiable, "{header}");
        }
        assert_eq!(parse(Some("bytes=-5"), 0), Asked::Whole);
        assert_eq!(parse(None, 0), Asked::Whole);
    }

    #[test]
    fn what_is_not_one_range_in_bytes_is_ignored() {
        assert_eq!(parse(None, 100), Asked::Whole);
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=9-5",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=+1-5",
            "bytes=1-+5",
            "bytes=--5",
            "bytes=1--5",
            "bytes=1 - 5",
            "bytes=0-1,5-6",
            "bytes=0-1,",
            "bytes=0-1, -1",
            "items=0-1",
            "bytes=0x1-2",
            "bytes=1.5-2",
            "bytes:0-1",
            "bytes=١-٢",
            "0-1",
        ] {
            assert_eq!(parse(Some(header), 100), Asked::Whole, "{header}");
        }
    }

    #[test]
    fn answers_name_the_last_byte_inclusively() {
        assert_eq!(content_range(&(0..1), 10), "bytes 0-0/10");
        assert_eq!(content_range(&(5..10), 10), "bytes 5-9/10");
        assert_eq!(unsatisfied(10), "bytes */10");
    }

    proptest! {
        #[test]
        fn any_header_never_panics_and_parts_are_of_the_file(
            header in "\\PC{0,30}|(bytes=)?[0-9,\\- ]{0,45}",
            size in prop_oneof![0..20u64, any::<u64>()],
        ) {
            if let Asked::Part(part) = parse(Some(&header), size) {
                prop_assert!(part.start < part.end && part.end <= size);
                let last = part.end - 1;
                let said = content_range(&part, size);
                prop_assert_eq!(said, format!("bytes {}-{last}/{size}", part.start));
            }
        }
    }
}
