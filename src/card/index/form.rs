//! Whether bytes are in the one form of DAG-JSON, without keeping anything of them.
//!
//! [`json::decode`](crate::card::json::decode) says so too, by way of a tree that can take two hundred times the
//! space of its text. An index is read on the word of whoever signed some record, so here it is only passed over:
//! sorted keys, none twice, no whitespace, integers, and no links, of which an index has none.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::card::json::{Error, shortened};
use crate::limits;

/// Checks the bytes of an index.
///
/// # Errors
/// Every [`Error`] but that of depth: `serde_json`'s own bound, 128 levels, holds here and is a `Syntax`.
pub(super) fn check(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > limits::INDEX_MAX {
        return Err(Error::TooLarge { len: bytes.len(), max: limits::INDEX_MAX });
    }
    let mut form = Form { bytes, at: 0, differs: false };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = form.deserialize(&mut json).and_then(|()| json.end());
    if form.differs || (read.is_ok() && form.at != bytes.len()) {
        return Err(Error::NotCanonical { at: form.at });
    }
    read.map_err(|error| Error::Syntax(shortened(&error.to_string())))
}

/// What was read so far is what would be written, up to `at`.
struct Form<'a> {
    bytes: &'a [u8],
    at: usize,
    differs: bool,
}

impl Form<'_> {
    fn expect<E: de::Error>(&mut self, text: &[u8]) -> Result<(), E> {
        if self.bytes[self.at..].starts_with(text) {
            self.at += text.len();
            return Ok(());
        }
        self.differs = true;
        Err(E::custom("not canonical"))
    }

    fn expect_text<E: de::Error>(&mut self, text: &str) -> Result<(), E> {
        let text = serde_json::to_vec(text).map_err(E::custom)?;
        self.expect(&text)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Form<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Form<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a DAG-JSON value without floats")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.expect(b"null")
    }

    fn visit_bool<E: de::Error>(self, bool: bool) -> Result<(), E> {
        self.expect(if bool { b"true" } else { b"false" })
    }

    fn visit_i64<E: de::Error>(self, int: i64) -> Result<(), E> {
        self.expect(int.to_string().as_bytes())
    }

    fn visit_u64<E: de::Error>(self, int: u64) -> Result<(), E> {
        self.expect(int.to_string().as_bytes())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.expect_text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.expect(b"[")?;
        let mut later = false;
        while seq.next_element_seed(Element { form: &mut *self, later })?.is_some() {
            later = true;
        }
        self.expect(b"]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.expect(b"{")?;
        let mut last: Option<String> = None;
        while let Some(key) = entries.next_key::<String>()? {
            if key == "/" {
                return Err(de::Error::custom("an index has no links"));
            }
            if let Some(last) = &last {
                if *last == key {
                    return Err(de::Error::custom(format_args!("duplicate key {key:?}")));
                }
                if *last > key {
                    self.differs = true;
                    return Err(de::Error::custom("keys are not sorted"));
                }
                self.expect(b",")?;
            }
            self.expect_text(&key)?;
            self.expect(b":")?;
            entries.next_value_seed(&mut *self)?;
            last = Some(key);
        }
        self.expect(b"}")
    }
}

/// An element of a list, with the comma before it.
struct Element<'f, 'a> {
    form: &'f mut Form<'a>,
    later: bool,
}

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.later {
            self.form.expect(b",")?;
        }
        self.form.deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::json::decode;
    use proptest::prelude::*;

    #[test]
    fn it_takes_and_refuses_what_the_tree_does() {
        for text in [
            "0",
            "-1",
            "18446744073709551615",
            "null",
            "true",
            "false",
            "[]",
            "{}",
            "[[],[1,2]]",
            r#"{"a":[{"b":"\u0001\n\"é"}],"b":{}}"#,
        ] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
            assert!(decode(text.as_bytes(), limits::INDEX_MAX).is_ok(), "{text}");
        }
        for text in [
            "",
            "01",
            "-0",
            "1.0",
            "1e3",
            "18446744073709551616",
            "[1,]",
            "[1 ,2]",
            "[1, 2]",
            " 1",
            "1 ",
            "1\n",
            "{} x",
            r#""\u0041""#,
            r#""\/""#,
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a" :1}"#,
            r#"{"a":1 }"#,
            "\"\u{7f}\\u007f\"",
            "nul",
            "[",
            r#"{"/":1}"#,
        ] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
            assert!(decode(text.as_bytes(), limits::INDEX_MAX).is_err(), "{text}");
        }
        let cid = crate::dag::block::cid_v1(0x71, [0; 32]);
        assert!(check(format!(r#"{{"/":"{cid}"}}"#).as_bytes()).is_err());
        assert!(check(&b"[".repeat(100_000)).is_err());
        let long = limits::INDEX_MAX + 1;
        let max = limits::INDEX_MAX;
        assert_eq!(check(&vec![b'0'; long]), Err(Error::TooLarge { len: long, max }));
    }

    #[test]
    fn the_place_of_the_first_difference_is_named() {
        assert_eq!(check(br#"{"a":[1, 2]}"#), Err(Error::NotCanonical { at: 8 }));
        assert_eq!(check(b"[] "), Err(Error::NotCanonical { at: 2 }));
        assert_eq!(check(br#"{"b":1,"a":2}"#), Err(Error::NotCanonical { at: 6 }));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_tree(text in r#"[\[\]{}:," a-b0-1\\.-]{0,12}"#) {
            let tree = decode(text.as_bytes(), limits::INDEX_MAX);
            prop_assert_eq!(check(text.as_bytes()).is_ok(), tree.is_ok(), "{}", text);
        }

        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>) {
            let tree = decode(&bytes, limits::INDEX_MAX);
            prop_assert_eq!(check(&bytes).is_ok(), tree.is_ok());
        }
    }
}
