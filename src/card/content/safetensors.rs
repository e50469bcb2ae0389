//! safetensors headers: valid throughout, or refused.
//!
//! The rules of the `safetensors` crate 0.8 (`Metadata::validate` and its size check), and stricter where that is lax:
//! keys once only, no fields but the three, a header that begins with `{` as the format's own page demands. So the file
//! is nothing but its tensors: no byte before, between or behind them that some other reader could take for a file of
//! its own. What the tensors' bytes mean is not judged. Provenance section 6, "safetensors abuse".

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::limits;

use super::pieces::{Stop, View, flaw, le};

/// What a header says of its tensors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Tensors in the file.
    pub tensors: u64,
    /// Numbers in them, by dtype as the format spells it (`BF16`).
    pub parameters: BTreeMap<&'static str, u64>,
}

/// The format's dtypes with the bits of one number; safetensors 0.8.
const DTYPES: [(&str, u64); 22] = [
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("BOOL", 8),
    ("U8", 8),
    ("I8", 8),
    ("F8_E5M2", 8),
    ("F8_E4M3", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("I16", 16),
    ("U16", 16),
    ("F16", 16),
    ("BF16", 16),
    ("I32", 32),
    ("U32", 32),
    ("F32", 32),
    ("C64", 64),
    ("F64", 64),
    ("I64", 64),
    ("U64", 64),
];

/// Checks the header against the file's size; a flaw is what makes it invalid.
pub(super) fn check(view: &View<'_>) -> Result<Facts, Stop> {
    if view.size() < 10 {
        return flaw("is too short for a safetensors header");
    }
    let len = le(view.range(0, 8)?, 0, 8);
    if len > limits::SAFETENSORS_HEADER_MAX {
        let max = limits::SAFETENSORS_HEADER_MAX;
        return flaw(format!("announces a header of {len} bytes; at most {max} are read"));
    }
    if len > view.size() - 8 {
        return flaw(format!("announces a header of {len} bytes, beyond its end"));
    }
    let bytes = view.range(8, len)?;
    if !bytes.starts_with(b"{") {
        return flaw("has a header that does not begin with {");
    }
    let header: Header = match serde_json::from_slice(bytes) {
        Ok(header) => header,
        Err(why) => {
            return flaw(format!("has a broken header: {}", super::fact_text(&why.to_string())));
        }
    };
    // Neither a gap nor an overlap, from the header's end to the file's.
    let mut ranges = header.ranges;
    ranges.sort_unstable();
    let mut end = 0;
    for (from, to) in ranges {
        if from != end {
            let what = if from < end { "overlap" } else { "leave a gap" };
            return flaw(format!("has tensors that {what} at byte {from} of its data"));
        }
        end = to;
    }
    let data = view.size() - 8 - len;
    if end != data {
        return flaw(format!("has {data} bytes of data, and its tensors cover {end}"));
    }
    Ok(header.facts)
}

/// A header while it is read.
#[derive(Default)]
struct Header {
    facts: Facts,
    ranges: Vec<(u64, u64)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                let mut names = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<Texts>()?;
                    } else {
                        header.add(&name, &map.next_value()?)?;
                    }
                    if !names.insert(name) {
                        return Err(de::Error::custom("a name stands in it twice"));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Read)
    }
}

impl Header {
    fn add<E: de::Error>(&mut self, name: &str, tensor: &Tensor) -> Result<(), E> {
        // Room is for the flaw, too, in a message that is cut.
        let short: String = name.chars().take(60).collect();
        let flawed = |why: &str| Err(E::custom(format!("tensor {short}: {why}")));
        if name.len() > limits::TENSOR_NAME_MAX {
            return flawed("its name is too long");
        }
        let Some((dtype, bits)) = DTYPES.iter().find(|(dtype, _)| *dtype == tensor.dtype) else {
            return flawed("its dtype is unknown");
        };
        let Some(total) = tensor.shape.0.checked_mul(*bits) else {
            return flawed("its shape is beyond counting");
        };
        let (from, to) = tensor.data_offsets;
        if !total.is_multiple_of(8) || to.checked_sub(from) != Some(total / 8) {
            return flawed("its offsets do not fit its shape and dtype");
        }
        self.facts.tensors += 1;
        let sum = self.facts.parameters.entry(dtype).or_default();
        *sum = sum.saturating_add(tensor.shape.0);
        self.ranges.push((from, to));
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tensor {
    dtype: String,
    shape: Count,
    data_offsets: (u64, u64),
}

/// The product of a shape.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                let (mut count, mut dims) = (1u64, 0);
                while let Some(size) = seq.next_element::<u64>()? {
                    dims += 1;
                    let product = count.checked_mul(size);
                    count =
                        product.ok_or_else(|| de::Error::custom("a shape is beyond counting"))?;
                    if dims > limits::TENSOR_DIMS_MAX {
                        return Err(de::Error::custom("a shape has too many dimensions"));
                    }
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(Read)
    }
}

/// An object whose values are all texts, none of which is kept.
struct Texts;

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut keys = HashSet::new();
                while let Some((key, _)) = map.next_entry::<String, Text>()? {
                    if !keys.insert(key) {
                        return Err(de::Error::custom("a metadata key stands in it twice"));
                    }
                }
                Ok(Texts)
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// A text, passed over.
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }
        deserializer.deserialize_str(Read)
    }
}

#[cfg(test)]
mod tests;
