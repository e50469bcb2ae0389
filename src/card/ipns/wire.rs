//! The envelope of an IPNS record: the protobuf message `IpnsEntry`.
//!
//! Read as every protobuf library reads it: unknown fields are passed over, of a field that stands twice the last
//! counts, numbers may be longer than they need to be. That is on purpose, unlike elsewhere in this crate: nothing
//! out here is signed, so anybody can write a valid record in another form, and other software's DHT servers keep it
//! and pass it on. Were only one form read, that would take the name away from us. What is said stands in `data`,
//! whose bytes are signed and have one form. IPNS specification, "Record Serialization Format".

use crate::dag::pb::{put_bytes, put_varint};

/// Protobuf's largest field number.
const FIELD_MAX: u64 = (1 << 29) - 1;
/// `KeyType` of ed25519 in a libp2p public key.
const ED25519: u64 = 1;

/// Where a message is no protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotProtobuf;

/// The fields; empty and 0 where absent, as protobuf has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) value: &'a [u8],
    pub(super) signature_v1: &'a [u8],
    pub(super) validity_type: u64,
    pub(super) validity: &'a [u8],
    pub(super) sequence: u64,
    pub(super) ttl: u64,
    pub(super) public_key: &'a [u8],
    pub(super) signature_v2: &'a [u8],
    pub(super) data: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Reads a message; what it borrows lies in `bytes`.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, NotProtobuf> {
        let mut entry = Self::default();
        each_field(bytes, |field, value| match (field, value) {
            (1, Value::Bytes(bytes)) => entry.value = bytes,
            (2, Value::Bytes(bytes)) => entry.signature_v1 = bytes,
            // An enum has 32 bits.
            (3, Value::Int(int)) => entry.validity_type = int & u64::from(u32::MAX),
            (4, Value::Bytes(bytes)) => entry.validity = bytes,
            (5, Value::Int(int)) => entry.sequence = int,
            (6, Value::Int(int)) => entry.ttl = int,
            (7, Value::Bytes(bytes)) => entry.public_key = bytes,
            (8, Value::Bytes(bytes)) => entry.signature_v2 = bytes,
            (9, Value::Bytes(bytes)) => entry.data = bytes,
            _ => {}
        })?;
        Ok(entry)
    }

    /// Writes all fields but the public key, which an ed25519 name holds itself; in order, zeros too, as Kubo does.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len() + self.value.len() + 256);
        put_bytes(&mut out, 1, self.value);
        put_bytes(&mut out, 2, self.signature_v1);
        put_int(&mut out, 3, self.validity_type);
        put_bytes(&mut out, 4, self.validity);
        put_int(&mut out, 5, self.sequence);
        put_int(&mut out, 6, self.ttl);
        put_bytes(&mut out, 8, self.signature_v2);
        put_bytes(&mut out, 9, self.data);
        out
    }

    /// Whether the record has fields of version 1, which then must say what the signed data say.
    pub(super) fn has_v1(&self) -> bool {
        !self.signature_v1.is_empty() || !self.value.is_empty()
    }
}

/// The ed25519 key in a libp2p `PublicKey` message, if it is one.
pub(super) fn ed25519_key(message: &[u8]) -> Option<&[u8]> {
    let (mut kind, mut key) = (None, None);
    let read = each_field(message, |field, value| match (field, value) {
        (1, Value::Int(int)) => kind = Some(int),
        (2, Value::Bytes(bytes)) => key = Some(bytes),
        _ => {}
    });
    (read.is_ok() && kind == Some(ED25519)).then_some(key).flatten()
}

/// What a field holds; fixed-width numbers and groups have no place in these messages.
enum Value<'a> {
    Int(u64),
    Bytes(&'a [u8]),
}

/// Calls `each` for every field of a message, in order, passing over what stands in groups.
fn each_field<'a>(
    mut left: &'a [u8],
    mut each: impl FnMut(u64, Value<'a>),
) -> Result<(), NotProtobuf> {
    // At most one for each byte of the message.
    let mut groups = Vec::new();
    while !left.is_empty() {
        let tag = varint(&mut left)?;
        let field = tag >> 3;
        if !(1..=FIELD_MAX).contains(&field) {
            return Err(NotProtobuf);
        }
        let value = match tag & 7 {
            0 => Some(Value::Int(varint(&mut left)?)),
            1 => take(&mut left, 8).map(|_| None)?,
            2 => {
                let len = varint(&mut left)?;
                Some(Value::Bytes(take(&mut left, len)?))
            }
            3 => {
                groups.push(field);
                None
            }
            4 if groups.pop() == Some(field) => None,
            5 => take(&mut left, 4).map(|_| None)?,
            _ => return Err(NotProtobuf),
        };
        if let Some(value) = value.filter(|_| groups.is_empty()) {
            each(field, value);
        }
    }
    if groups.is_empty() { Ok(()) } else { Err(NotProtobuf) }
}

/// A base-128 varint of at most 64 bits, minimal or not.
fn varint(left: &mut &[u8]) -> Result<u64, NotProtobuf> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = left.split_first().ok_or(NotProtobuf)?;
        *left = rest;
        if shift == 63 && byte > 1 {
            return Err(NotProtobuf);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(NotProtobuf)
}

fn take<'a>(left: &mut &'a [u8], len: u64) -> Result<&'a [u8], NotProtobuf> {
    let len = usize::try_from(len).map_err(|_| NotProtobuf)?;
    let (taken, rest) = left.split_at_checked(len).ok_or(NotProtobuf)?;
    *left = rest;
    Ok(taken)
}

fn put_int(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    put_varint(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data_of(bytes: &[u8]) -> Result<&[u8], NotProtobuf> {
        Entry::read(bytes).map(|entry| entry.data)
    }

    #[test]
    fn a_message_is_read_as_every_protobuf_library_reads_it() {
        // Field 9, twice; a field of tomorrow; field 9 in another type; a length longer than it needs to be.
        assert_eq!(data_of(&[0x4a, 1, 7]), Ok(&[7][..]));
        assert_eq!(data_of(&[0x4a, 1, 7, 0x4a, 1, 8]), Ok(&[8][..]));
        assert_eq!(data_of(&[0x52, 1, 0, 0x4a, 1, 7, 0x58, 5]), Ok(&[7][..]));
        assert_eq!(data_of(&[0x4a, 1, 7, 0x48, 5]), Ok(&[7][..]));
        assert_eq!(data_of(&[0x4a, 0x81, 0x80, 0, 7]), Ok(&[7][..]));
        assert_eq!(data_of(&[0x4d, 0, 0, 0, 0, 0x49, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(&[][..]));
        // What stands in a group is not this message's.
        assert_eq!(data_of(&[0x4a, 1, 7, 0x53, 0x4a, 1, 8, 0x54]), Ok(&[7][..]));
        assert_eq!(Entry::read(&[0x18, 0x80, 0x80, 0x80, 0x80, 0x10]).unwrap().validity_type, 0);
    }

    #[test]
    fn what_no_protobuf_library_reads_is_refused() {
        for bytes in [
            &[0x4a][..],
            &[0x4a, 2, 0],
            &[0x4a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[0x28, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
            &[0x02, 0],
            &[0x49, 0],
            &[0x4b],
            &[0x4c],
            &[0x53, 0x5c],
            &[0x4e],
            &[0x4f],
        ] {
            assert_eq!(data_of(bytes), Err(NotProtobuf), "{bytes:x?}");
        }
    }

    #[test]
    fn only_ed25519_keys_are_keys() {
        let mut message = vec![8, 1, 0x12, 32];
        message.extend([7; 32]);
        assert_eq!(ed25519_key(&message), Some(&[7; 32][..]));
        message[1] = 0;
        assert_eq!(ed25519_key(&message), None);
        assert_eq!(ed25519_key(&message[2..]), None);
        assert_eq!(ed25519_key(&[8, 1]), None);
        assert_eq!(ed25519_key(&[8]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Entry::read(&bytes);
            let _ = ed25519_key(&bytes);
        }

        #[test]
        fn entries_come_back(texts: [Vec<u8>; 5], ints: [u64; 2]) {
            let entry = Entry {
                value: &texts[0],
                signature_v1: &texts[1],
                validity: &texts[2],
                sequence: ints[0],
                ttl: ints[1],
                signature_v2: &texts[3],
                data: &texts[4],
                ..Entry::default()
            };
            let bytes = entry.write();
            prop_assert_eq!(Entry::read(&bytes), Ok(entry));
        }
    }
}
