//! The few words of the SSH wire that key files and agents share: big-endian numbers and length-prefixed strings
//! (RFC 4251, section 5). Nothing is allocated from a declared length.

/// Reads what lies in a buffer.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// A number of 32 bits; none if the bytes end.
    pub(super) fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*head))
    }

    /// A string of bytes; none if it is longer than what is left.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let mut after = Reader(self.0);
        let len = usize::try_from(after.u32()?).ok()?;
        let (string, rest) = after.0.split_at_checked(len)?;
        self.0 = rest;
        Some(string)
    }

    /// A string that is text, as names of algorithms are.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.string()?).ok()
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends a string. Ours are shorter than 4 GiB.
pub(super) fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    let len = u32::try_from(string.len()).expect("what we write is bounded");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(string);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_string_longer_than_the_bytes_is_none_and_takes_nothing() {
        let mut reader = Reader(&[0xff, 0xff, 0xff, 0xff, 1, 2]);
        assert_eq!(reader.string(), None);
        assert_eq!(reader.u32(), Some(u32::MAX));
        assert_eq!(reader.u32(), None);
        assert!(!reader.is_empty());
    }

    proptest! {
        #[test]
        fn strings_come_back(strings: Vec<Vec<u8>>) {
            let mut out = Vec::new();
            strings.iter().for_each(|string| put_string(&mut out, string));
            let mut reader = Reader(&out);
            for string in &strings {
                prop_assert_eq!(reader.string(), Some(&string[..]));
            }
            prop_assert!(reader.is_empty());
        }
    }
}
