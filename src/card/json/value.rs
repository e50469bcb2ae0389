//! DAG-JSON values in memory.
//!
//! A tree without floats and without duplicate keys by construction: its `Deserialize` refuses both, at every level,
//! which `serde_json::Value` does not.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dag::Cid;
use crate::limits;

use super::Error;

/// An object. Its order is that of DAG-JSON: bytewise.
pub type Map = BTreeMap<String, Value>;

/// A value of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// An integer from `i64::MIN` to `u64::MAX`; the wider type holds both ends.
    Int(i128),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object; the key `/` is reserved for links.
    Map(Map),
    /// A link to a block.
    Link(Cid),
}

impl Value {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Refuses what the encoding cannot say or a reader would refuse.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_at(limits::CARD_DEPTH_MAX)
    }

    fn check_at(&self, levels: usize) -> Result<(), Error> {
        match self {
            Self::Int(int) if !in_range(*int) => {
                Err(Error::Syntax(format!("{int} does not fit in 64 bits")))
            }
            Self::List(list) => {
                let below = levels.checked_sub(1).ok_or(Error::Depth)?;
                list.iter().try_for_each(|value| value.check_at(below))
            }
            Self::Map(map) => {
                let below = levels.checked_sub(1).ok_or(Error::Depth)?;
                if map.contains_key("/") {
                    return Err(Error::Syntax("the key \"/\" is reserved for links".into()));
                }
                map.values().try_for_each(|value| value.check_at(below))
            }
            _ => Ok(()),
        }
    }
}

fn in_range(int: i128) -> bool {
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&int)
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(int: u64) -> Self {
        Self::Int(int.into())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::Int(int) => match (i64::try_from(*int), u64::try_from(*int)) {
                (Ok(int), _) => serializer.serialize_i64(int),
                (_, Ok(int)) => serializer.serialize_u64(int),
                _ => Err(serde::ser::Error::custom("integer beyond 64 bits")),
            },
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(list) => list.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
            Self::Link(cid) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("/", &cid.to_string())?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Levels(limits::CARD_DEPTH_MAX).deserialize(deserializer)
    }
}

/// Reads a value with so many levels of lists and maps in it.
#[derive(Clone, Copy)]
struct Levels(usize);

impl Levels {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(Error::Depth))
    }
}

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a DAG-JSON value without floats")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
        Ok(Value::Bool(bool))
    }

    fn visit_i64<E>(self, int: i64) -> Result<Value, E> {
        Ok(Value::Int(int.into()))
    }

    fn visit_u64<E>(self, int: u64) -> Result<Value, E> {
        Ok(Value::Int(int.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(below)? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(below)?;
            if map.contains_key(&key) {
                return Err(de::Error::custom(format_args!("duplicate key {key:?}")));
            }
            map.insert(key, value);
        }
        let Some(link) = map.get("/") else { return Ok(Value::Map(map)) };
        match link.as_text().and_then(super::parse_cid) {
            Some(cid) if map.len() == 1 => Ok(Value::Link(cid)),
            _ => Err(de::Error::custom("a map with the key \"/\" must be a link to a CID")),
        }
    }
}
