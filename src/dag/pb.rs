//! The dag-pb wire: a node is links and bytes, as protobuf.
//!
//! For: exact encoding of what profile `unixfs-v1-2025` makes, strict decoding of what anybody makes. Not: what the
//! bytes mean (that is `unixfs`). Spec: ipld.io/specs/codecs/dag-pb; Kubo's habits in `reference/ipfs.md` 2.2.
//!
//! Invariants: every length is checked against the bytes at hand before use, and nothing is allocated from a declared
//! number: a decoded node never takes more than a constant times its block. Written by hand rather than by a protobuf
//! library, since the byte order (links before data, empty names present) decides the CID.

use std::ops::Range;

use super::block::Cid;

/// Why bytes are not a dag-pb node (or not a protobuf message inside one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end inside a field.
    #[error("the bytes end inside a field")]
    Truncated,
    /// A variable-length number is longer than 64 bits or than it needs to be.
    #[error("a number is not a minimal 64-bit varint")]
    Varint,
    /// A field that the format does not have, or one of another type.
    #[error("field {0} is unknown here or of the wrong type")]
    Field(u64),
    /// A field that may stand once stands twice, or out of order.
    #[error("field {0} is repeated or out of order")]
    Order(u64),
    /// A link without a hash, or whose hash is no CID.
    #[error("a link has no valid CID")]
    Link,
}

/// A link of a node, borrowing its name from the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link<'a> {
    /// What it points to.
    pub cid: Cid,
    /// Its name as bytes: dag-pb does not promise UTF-8 here, `unixfs` checks it.
    pub name: &'a [u8],
    /// Cumulative bytes of the blocks below it; 0 where absent. A hint that nobody checks.
    pub tsize: u64,
}

/// A decoded node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its links, in the order of the wire.
    pub links: Vec<Link<'a>>,
    /// Where its data lie in the block, if it has any.
    pub data: Option<Range<usize>>,
}

/// A protobuf field as the wire has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Varint(u64),
    Fixed64,
    /// Where the bytes lie in the buffer read.
    Bytes(Range<usize>),
    Fixed32,
}

/// Reads fields of one protobuf message that lies in `range` of `buffer`.
pub(super) struct Fields<'a> {
    buffer: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// `range` must lie in `buffer`; positions that come out count from the buffer's start.
    pub(super) fn new(buffer: &'a [u8], range: Range<usize>) -> Self {
        Self { buffer: &buffer[..range.end], at: range.start }
    }

    /// A base-128 varint, minimal and within 64 bits.
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (i, &byte) in self.buffer[self.at..].iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if i == 9 && bits > 1 {
                return Err(Malformed::Varint);
            }
            value |= bits << (7 * i);
            if byte & 0x80 == 0 {
                if byte == 0 && i > 0 {
                    return Err(Malformed::Varint);
                }
                self.at += i + 1;
                return Ok(value);
            }
        }
        let enough = self.buffer.len() - self.at >= 10;
        Err(if enough { Malformed::Varint } else { Malformed::Truncated })
    }

    fn take(&mut self, len: u64) -> Result<Range<usize>, Malformed> {
        let left = self.buffer.len() - self.at;
        let len = usize::try_from(len).ok().filter(|len| *len <= left);
        let len = len.ok_or(Malformed::Truncated)?;
        let range = self.at..self.at + len;
        self.at = range.end;
        Ok(range)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.at == self.buffer.len()
    }

    /// The next field's number and value; `None` at the message's end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value)>, Malformed> {
        if self.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = tag >> 3;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed32)?,
            _ => return Err(Malformed::Field(field)),
        };
        Ok(Some((field, value)))
    }
}

fn decode_link(block: &[u8], range: Range<usize>) -> Result<Link<'_>, Malformed> {
    let mut fields = Fields::new(block, range);
    let (mut cid, mut name, mut tsize) = (None, &block[..0], 0);
    let mut last = 0;
    while let Some((field, value)) = fields.next()? {
        if field <= last && (1..=3).contains(&field) {
            return Err(Malformed::Order(field));
        }
        last = field;
        match (field, value) {
            (1, Value::Bytes(range)) => {
                let mut bytes = &block[range];
                let read = Cid::read_bytes(&mut bytes).map_err(|_| Malformed::Link)?;
                cid = Some(read).filter(|_| bytes.is_empty());
            }
            (2, Value::Bytes(range)) => name = &block[range],
            (3, Value::Varint(value)) => tsize = value,
            _ => return Err(Malformed::Field(field)),
        }
    }
    Ok(Link { cid: cid.ok_or(Malformed::Link)?, name, tsize })
}

/// Decodes a dag-pb block. Data may stand before or after all links (the spec allows both), never between.
///
/// # Errors
/// [`Malformed`], on anything the spec does not allow; unknown fields included.
pub fn decode(block: &[u8]) -> Result<Node<'_>, Malformed> {
    let mut node = Node { links: Vec::new(), data: None };
    let mut fields = Fields::new(block, 0..block.len());
    let mut links_ended = false;
    while let Some((field, value)) = fields.next()? {
        match (field, value) {
            (1, Value::Bytes(range)) => {
                if node.data.replace(range).is_some() {
                    return Err(Malformed::Order(1));
                }
                links_ended = !node.links.is_empty();
            }
            (2, Value::Bytes(range)) => {
                if links_ended {
                    return Err(Malformed::Order(2));
                }
                node.links.push(decode_link(block, range)?);
            }
            _ => return Err(Malformed::Field(field)),
        }
    }
    Ok(node)
}

/// Bytes that `value` takes as a varint.
pub(super) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends `value` as a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends what comes before the `len` bytes of a length-delimited field.
pub(super) fn put_bytes_head(out: &mut Vec<u8>, field: u8, len: usize) {
    out.push(field << 3 | 2);
    put_varint(out, len as u64);
}

/// Appends a length-delimited field.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_bytes_head(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

fn field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

fn link_len(link: &Link) -> usize {
    let cid = link.cid.encoded_len();
    field_len(cid) + field_len(link.name.len()) + 1 + varint_len(link.tsize)
}

/// Bytes that [`encode`] gives for these links and so many bytes of data.
pub(super) fn encoded_len<'a>(links: impl IntoIterator<Item = Link<'a>>, data: usize) -> usize {
    links.into_iter().map(|link| field_len(link_len(&link))).sum::<usize>() + field_len(data)
}

/// Encodes as Kubo does: links first, in the order given, each with hash, name (also an empty one) and tsize.
pub fn encode(links: &[Link], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded_len(links.iter().cloned(), data.len()));
    for link in links {
        out.push(0x12);
        put_varint(&mut out, link_len(link) as u64);
        put_bytes(&mut out, 1, &link.cid.to_bytes());
        put_bytes(&mut out, 2, link.name);
        out.push(0x18);
        put_varint(&mut out, link.tsize);
    }
    put_bytes(&mut out, 1, data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::block::{DAG_PB, RAW, cid_v1};
    use proptest::prelude::*;

    fn link(name: &[u8]) -> Link<'_> {
        Link { cid: cid_v1(RAW, [7; 32]), name, tsize: 300 }
    }

    #[test]
    fn links_stand_before_data_and_empty_names_are_written() {
        let bytes = encode(&[link(b"")], b"xy");
        assert_eq!(&bytes[..4], [0x12, 43, 0x0a, 36]);
        assert_eq!(&bytes[40..], [0x12, 0, 0x18, 0xac, 2, 0x0a, 2, b'x', b'y']);
    }

    #[test]
    fn data_may_stand_before_the_links_but_not_between_them() {
        let both = encode(&[link(b"a"), link(b"b")], b"d");
        let (links, data) = both.split_at(both.len() - 3);
        let turned = [data, links].concat();
        let node = decode(&turned).unwrap();
        assert_eq!((node.links.len(), node.data), (2, Some(2..3)));
        let (first, second) = links.split_at(links.len() / 2);
        assert_eq!(decode(&[first, data, second].concat()), Err(Malformed::Order(2)));
        assert_eq!(decode(&[data, data].concat()), Err(Malformed::Order(1)));
    }

    #[test]
    fn each_flaw_is_told_apart() {
        assert_eq!(decode(&[0x0a, 2, 0]), Err(Malformed::Truncated));
        assert_eq!(decode(&[0x0a, 0x80]), Err(Malformed::Truncated));
        assert_eq!(decode(&[0x0a, 0x80, 0]), Err(Malformed::Varint));
        assert_eq!(decode(&[0xff; 12]), Err(Malformed::Varint));
        assert_eq!(decode(&[0x1a, 0]), Err(Malformed::Field(3)));
        assert_eq!(decode(&[0x08, 0]), Err(Malformed::Field(1)));
        assert_eq!(decode(&[0x12, 2, 0x12, 0]), Err(Malformed::Link));
        let huge = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(decode(&huge), Err(Malformed::Truncated));
    }

    #[test]
    fn a_cid_with_bytes_behind_it_is_no_cid() {
        let mut cid = cid_v1(DAG_PB, [7; 32]).to_bytes();
        cid.push(0);
        let mut link = Vec::new();
        put_bytes(&mut link, 1, &cid);
        let mut node = Vec::new();
        put_bytes(&mut node, 2, &link);
        assert_eq!(decode(&node), Err(Malformed::Link));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_damaged_node_never_panics(at in 0usize..90, byte: u8) {
            let mut bytes = encode(&[link(b"a"), link(b"b")], b"d");
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = decode(&bytes);
        }

        #[test]
        fn varints_come_back(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(bytes.len(), varint_len(value));
            prop_assert_eq!(Fields::new(&bytes, 0..bytes.len()).varint(), Ok(value));
        }

        #[test]
        fn nodes_come_back(names in proptest::collection::vec(any::<Vec<u8>>(), 0..9), data: Vec<u8>) {
            let links: Vec<_> = names.iter().map(|name| link(name)).collect();
            let bytes = encode(&links, &data);
            prop_assert_eq!(bytes.len(), encoded_len(links.iter().cloned(), data.len()));
            let node = decode(&bytes).unwrap();
            prop_assert_eq!(&node.links, &links);
            prop_assert_eq!(&bytes[node.data.unwrap()], &data[..]);
        }
    }
}
