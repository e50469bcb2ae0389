//! The signed part of an IPNS record: a DAG-CBOR map.
//!
//! Strict where the envelope is not, since the publisher's key signed these very bytes and nobody else can write
//! them: definite lengths, minimal numbers, keys sorted by length and then bytewise, none twice, nothing behind the
//! map. Keys that are not known here may hold anything well-formed and are passed over. Nothing recurses and nothing
//! is allocated by a declared length. IPNS specification, "Extensible Data"; IPLD "DAG-CBOR".

use crate::card::index::Scope;

/// Key by which a record of ours says for which DHT it was signed. The specification asks for a leading `_`.
const SCOPE: &str = "_modelswarm_dht";

/// What the map says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Data<'a> {
    pub(super) value: &'a [u8],
    pub(super) validity: &'a [u8],
    pub(super) sequence: u64,
    pub(super) ttl: u64,
    pub(super) scope: Option<Scope>,
}

impl<'a> Data<'a> {
    /// The canonical bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.value.len() + self.validity.len() + 96);
        put_head(&mut out, 5, 5 + u64::from(self.scope.is_some()));
        let mut key = |key: &str, major: u8, arg: u64, bytes: &[u8]| {
            put_head(&mut out, 3, key.len() as u64);
            out.extend_from_slice(key.as_bytes());
            put_head(&mut out, major, arg);
            out.extend_from_slice(bytes);
        };
        key("TTL", 0, self.ttl, &[]);
        key("Value", 2, self.value.len() as u64, self.value);
        key("Sequence", 0, self.sequence, &[]);
        key("Validity", 2, self.validity.len() as u64, self.validity);
        key("ValidityType", 0, 0, &[]);
        if let Some(scope) = self.scope {
            key(SCOPE, 3, scope.as_str().len() as u64, scope.as_str().as_bytes());
        }
        out
    }

    /// Reads the map; the message of an error says what is wrong with it.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let mut cbor = Cbor { left: bytes };
        let (5, entries) = cbor.head()? else { return Err("is no map") };
        let (mut value, mut validity, mut kind) = (None, None, None);
        let (mut sequence, mut ttl, mut scope) = (None, None, None);
        let mut last: Option<&str> = None;
        for _ in 0..entries {
            let key = cbor.text()?;
            if last.is_some_and(|last| (last.len(), last) >= (key.len(), key)) {
                return Err("has keys twice or out of order");
            }
            last = Some(key);
            match key {
                "Value" => value = Some(cbor.bytes()?),
                "Validity" => validity = Some(cbor.bytes()?),
                "ValidityType" => kind = Some(cbor.uint()?),
                "Sequence" => sequence = Some(cbor.uint()?),
                "TTL" => ttl = Some(cbor.uint()?),
                SCOPE => scope = Some(Scope::parse(cbor.text()?).ok_or("is for an unknown DHT")?),
                _ => cbor.skip()?,
            }
        }
        if !cbor.left.is_empty() {
            return Err("has bytes behind its end");
        }
        if kind.ok_or("has no ValidityType")? != 0 {
            return Err("has a ValidityType other than 0 (end of life)");
        }
        Ok(Self {
            value: value.ok_or("has no Value")?,
            validity: validity.ok_or("has no Validity")?,
            sequence: sequence.ok_or("has no Sequence")?,
            ttl: ttl.ok_or("has no TTL")?,
            scope,
        })
    }
}

/// Appends the head of an item in its shortest form.
fn put_head(out: &mut Vec<u8>, major: u8, arg: u64) {
    let bytes = arg.to_be_bytes();
    let (info, len) = match arg {
        0..=23 => (bytes[7], 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    out.push(major << 5 | info);
    out.extend_from_slice(&bytes[8 - len..]);
}

struct Cbor<'a> {
    left: &'a [u8],
}

impl<'a> Cbor<'a> {
    /// Major type and argument of the next item.
    fn head(&mut self) -> Result<(u8, u64), &'static str> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 31);
        // DAG-CBOR's simple values: false, true, null and doubles.
        if major == 7 && !matches!(first, 0xf4..=0xf6 | 0xfb) {
            return Err("has a value that DAG-CBOR does not know");
        }
        let (len, least) = match info {
            0..=23 => return Ok((major, info.into())),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err("has an item of indefinite length"),
        };
        let arg = self.take(len)?.iter().fold(0, |arg: u64, byte| arg << 8 | u64::from(*byte));
        if major != 7 && arg < least {
            return Err("has a number that is longer than it needs to be");
        }
        Ok((major, arg))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], &'static str> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (taken, left) = self.left.split_at_checked(len).ok_or("ends too early")?;
        self.left = left;
        Ok(taken)
    }

    fn bytes(&mut self) -> Result<&'a [u8], &'static str> {
        match self.head()? {
            (2, len) => self.take(len),
            _ => Err("has a field of the wrong type"),
        }
    }

    fn text(&mut self) -> Result<&'a str, &'static str> {
        let (3, len) = self.head()? else { return Err("has a field of the wrong type") };
        std::str::from_utf8(self.take(len)?).map_err(|_| "has a text that is not UTF-8")
    }

    fn uint(&mut self) -> Result<u64, &'static str> {
        match self.head()? {
            (0, int) => Ok(int),
            _ => Err("has a field of the wrong type"),
        }
    }

    /// Passes over one item with all that is in it.
    fn skip(&mut self) -> Result<(), &'static str> {
        // Each item takes a byte at least, so a lying count ends with the bytes.
        let mut items = 1u64;
        while items > 0 {
            items -= 1;
            match self.head()? {
                (2 | 3, len) => {
                    self.take(len)?;
                }
                (4, count) => items = items.saturating_add(count),
                (5, count) => items = items.saturating_add(count.saturating_mul(2)),
                (6, 42) => items = items.saturating_add(1),
                (6, _) => return Err("has a tag that DAG-CBOR does not know"),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data() -> Data<'static> {
        Data {
            value: b"/ipfs/x",
            validity: b"2026-12-22T18:00:00.000000000Z",
            sequence: 3,
            ttl: 300_000_000_000,
            scope: Some(Scope::Lan),
        }
    }

    /// A map of these items, written in the order given.
    fn map(items: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        put_head(&mut out, 5, items.len() as u64);
        for (key, item) in items {
            put_head(&mut out, 3, key.len() as u64);
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(item);
        }
        out
    }

    const GOOD: [(&str, &[u8]); 5] = [
        ("TTL", &[0]),
        ("Value", &[0x41, b'/']),
        ("Sequence", &[0]),
        ("Validity", &[0x41, b'0']),
        ("ValidityType", &[0]),
    ];

    /// The good map with `item` at this place.
    fn with(at: usize, item: (&'static str, &'static [u8])) -> Result<Scope, &'static str> {
        let mut items = GOOD.to_vec();
        items.insert(at, item);
        Data::decode(&map(&items)).map(|data| data.scope.unwrap_or(Scope::Public))
    }

    /// The good map with the item of this key replaced.
    fn but(key: &str, item: &[u8]) -> Result<(), &'static str> {
        let items = GOOD.map(|(k, good)| (k, if k == key { item } else { good }));
        Data::decode(&map(&items)).map(|_| ())
    }

    #[test]
    fn the_map_comes_back_with_and_without_our_key() {
        for scope in [None, Some(Scope::Lan), Some(Scope::Public)] {
            let data = Data { scope, ..data() };
            assert_eq!(Data::decode(&data.encode()), Ok(data));
        }
        assert!(Data::decode(&map(&GOOD)).is_ok());
    }

    #[test]
    fn keys_of_others_are_passed_over_whatever_they_hold() {
        for item in [
            &[0x80][..],
            &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0xf6],
            &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xd8, 0x2a, 0x42, 0, 1],
            &[0xa2, 0x61, b'a', 0x81, 0x81, 0x80, 0x61, b'b', 0xa0],
        ] {
            assert_eq!(with(4, ("_card_extra", item)), Ok(Scope::Public), "{item:x?}");
        }
        assert_eq!(with(5, (SCOPE, b"\x63lan")), Ok(Scope::Lan));
    }

    #[test]
    fn every_other_form_of_the_map_is_refused() {
        let order = Err("has keys twice or out of order");
        assert_eq!(with(1, ("TTL", &[0])), order);
        assert_eq!(with(0, ("Value", &[0x41, b'/'])), order);
        assert_eq!(with(5, ("_x", &[0])), order);
        let longer = Err("has a number that is longer than it needs to be");
        assert_eq!(but("Sequence", &[0x18, 23]), longer);
        assert_eq!(but("Sequence", &[0x19, 0, 0xff]), longer);
        assert_eq!(but("Sequence", &[0x1a, 0, 0, 0xff, 0xff]), longer);
        assert_eq!(but("Sequence", &[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), longer);
        assert_eq!(but("Value", &[0x58, 1, b'/']), longer);
        assert_eq!(
            but("Value", &[0x5f, 0x41, b'/', 0xff]),
            Err("has an item of indefinite length")
        );
        let wrong = Err("has a field of the wrong type");
        assert_eq!(but("Value", &[0x61, b'/']), wrong);
        assert_eq!(but("Sequence", &[0x20]), wrong);
        assert_eq!(but("TTL", &[0xf6]), wrong);
        assert!(but("ValidityType", &[1]).unwrap_err().contains("end of life"));
        for at in 0..GOOD.len() {
            let mut items = GOOD.to_vec();
            let key = items.remove(at).0;
            assert!(Data::decode(&map(&items)).unwrap_err().ends_with(key), "{key}");
        }
        assert_eq!(with(5, (SCOPE, b"\x61x")), Err("is for an unknown DHT"));
        assert_eq!(Data::decode(&[0x80]), Err("is no map"));
        let mut behind = map(&GOOD);
        behind.push(0);
        assert_eq!(Data::decode(&behind), Err("has bytes behind its end"));
    }

    #[test]
    fn lying_lengths_and_nests_cost_nothing() {
        let early = "ends too early";
        let decode = |bytes: &[u8]| Data::decode(bytes).map(|_| ()).unwrap_err();
        let huge = [0xff; 8];
        let lies = |first: u8| [&[first][..], &huge].concat();
        assert_eq!(decode(&lies(0xbb)), early);
        assert_eq!(but("Value", &lies(0x5b)), Err(early));
        assert_eq!(decode(&map(&[("_a", &lies(0x9b))])), early);
        assert_eq!(decode(&map(&[("_a", &lies(0xbb))])), early);
        assert_eq!(decode(&map(&[("_a", &[0x81; 10_000])])), early);
        assert!(decode(&map(&[("_a", &[0xc1, 0])])).contains("tag"));
        assert!(decode(&map(&[("_a", &[0xf7])])).contains("does not know"));
        assert!(decode(&map(&[("_a", &[0xf9, 0, 0])])).contains("does not know"));
        assert!(decode(b"\xa1\x61\xff\x00").contains("UTF-8"));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Data::decode(&bytes).is_ok();
        }

        #[test]
        fn one_map_has_one_form(at in 0usize..200, byte: u8) {
            let mut bytes = data().encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(read) = Data::decode(&bytes) {
                prop_assert!(read.encode() == bytes || read.scope.is_none());
            }
        }

        #[test]
        fn numbers_come_back(sequence: u64, ttl: u64) {
            let data = Data { sequence, ttl, ..data() };
            let bytes = data.encode();
            prop_assert_eq!(Data::decode(&bytes), Ok(data));
        }
    }
}
