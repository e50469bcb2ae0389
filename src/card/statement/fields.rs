//! Takes known fields out of an object, so that what is left over is known too, and errors name their place.

use crate::dag::Cid;

use super::Error;
use crate::card::json::{self, Map, Value, parse_hex, shortened};

/// An object and where it stands.
pub(in crate::card) struct Fields {
    place: String,
    map: Map,
}

impl Fields {
    /// The object at `place`, empty for the whole payload.
    pub(in crate::card) fn new(place: impl Into<String>, value: Value) -> Result<Self, Error> {
        let place = place.into();
        match value {
            Value::Map(map) => Ok(Self { place, map }),
            _ => Err(Error::field(place, "must be an object")),
        }
    }

    /// The place of one of its fields.
    pub(in crate::card) fn at(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    /// Takes a field that may be missing.
    pub(in crate::card) fn optional(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key)
    }

    /// Whether a field is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Takes a field that must be there.
    pub(in crate::card) fn take(&mut self, key: &str) -> Result<Value, Error> {
        self.optional(key).ok_or_else(|| Error::field(self.at(key), "is missing"))
    }

    pub(in crate::card) fn text(&mut self, key: &str) -> Result<String, Error> {
        match self.take(key)? {
            Value::Text(text) => Ok(text),
            _ => Err(Error::field(self.at(key), "must be a string")),
        }
    }

    /// A text that must be exactly this.
    pub(in crate::card) fn exactly(&mut self, key: &str, expected: &str) -> Result<(), Error> {
        let text = self.text(key)?;
        if text == expected {
            return Ok(());
        }
        Err(Error::field(
            self.at(key),
            format_args!("is {:?}, expected {expected:?}", shortened(&text)),
        ))
    }

    /// A text that reads as a `T`.
    pub(in crate::card) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        key: &str,
    ) -> Result<T, Error> {
        let text = self.text(key)?;
        text.parse().map_err(|error| Error::field(self.at(key), error))
    }

    pub(in crate::card) fn uint(&mut self, key: &str) -> Result<u64, Error> {
        let problem = "must be a non-negative integer";
        match self.take(key)? {
            Value::Int(int) => int.try_into().map_err(|_| Error::field(self.at(key), problem)),
            _ => Err(Error::field(self.at(key), problem)),
        }
    }

    pub(in crate::card) fn digest(&mut self, key: &str) -> Result<[u8; 32], Error> {
        let text = self.text(key)?;
        parse_hex(&text)
            .ok_or_else(|| Error::field(self.at(key), "must be 64 lower-case hex digits"))
    }

    pub(in crate::card) fn object(&mut self, key: &str) -> Result<Fields, Error> {
        let value = self.take(key)?;
        Fields::new(self.at(key), value)
    }

    pub(in crate::card) fn link(&mut self, key: &str) -> Result<Cid, Error> {
        match self.take(key)? {
            Value::Link(cid) => Ok(cid),
            _ => Err(Error::field(self.at(key), "must be a link to a CID")),
        }
    }

    /// A list that may be missing; then it is empty.
    pub(in crate::card) fn list(&mut self, key: &str) -> Result<Vec<Value>, Error> {
        match self.optional(key) {
            None => Ok(Vec::new()),
            Some(Value::List(list)) => Ok(list),
            Some(_) => Err(Error::field(self.at(key), "must be a list")),
        }
    }

    /// A CID as text.
    pub(super) fn cid(&mut self, key: &str) -> Result<Cid, Error> {
        let text = self.text(key)?;
        json::parse_cid(&text).ok_or_else(|| Error::field(self.at(key), "must be a CID"))
    }

    /// The CID behind `ipfs://`.
    pub(in crate::card) fn uri(&mut self, key: &str) -> Result<Cid, Error> {
        let text = self.text(key)?;
        text.strip_prefix("ipfs://")
            .and_then(json::parse_cid)
            .ok_or_else(|| Error::field(self.at(key), "must be ipfs:// and a CID"))
    }

    /// What nobody took.
    pub(in crate::card) fn rest(self) -> Map {
        self.map
    }

    /// Notes the places of what nobody took.
    pub(in crate::card) fn note_rest(self, unread: &mut Vec<String>) {
        // A few say enough, and a hostile card cannot fill memory with their places.
        let room = 16usize.saturating_sub(unread.len());
        let places: Vec<String> =
            self.map.keys().take(room).map(|key| self.at(&shortened(key))).collect();
        unread.extend(places);
    }
}
