//! GGUF headers: valid throughout, or refused.
//!
//! Versions 2 and 3, little-endian; ggml's `docs/gguf.md` and the checks of `gguf.cpp` and gguf-py 0.19. The file is
//! its header, its tensors, and padding shorter than one alignment: nothing behind that another reader could take for
//! a file of its own. Tensors of a type newer than our list are held to their offset alone. Texts and lists are
//! stepped over, not kept: a header of 64 MiB costs no more memory than its bytes.

mod types;

use std::collections::{BTreeMap, HashSet};

use crate::limits;

use super::fact_text;
use super::pieces::{Stop, View, flaw, le};

/// What a header says of the model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// `general.architecture`, as `llama`.
    pub architecture: Option<String>,
    /// `general.name`.
    pub name: Option<String>,
    /// How most of it is quantized, as `Q4_K_M`.
    pub file_type: Option<String>,
    /// Tokens of context.
    pub context_length: Option<u64>,
    /// Tensors in the file.
    pub tensors: u64,
    /// Numbers in them, by type (`Q4_K`).
    pub parameters: BTreeMap<String, u64>,
    /// Chat templates: `default`, and those with a name of their own.
    pub templates: Vec<String>,
}

/// Smallest sizes of one key with its value, and of one tensor.
const KEY_MIN: u64 = 8 + 4 + 1;
const TENSOR_MIN: u64 = 8 + 4 + 4 + 8;

/// Checks the header against the file's size; a flaw is what makes it invalid.
pub(super) fn check(view: &View<'_>) -> Result<Facts, Stop> {
    let mut reader = Reader { view, at: 0 };
    if reader.take(4)? != b"GGUF" {
        return flaw("does not begin as GGUF does");
    }
    match reader.u32()? {
        2 | 3 => {}
        version @ (0x0200_0000 | 0x0300_0000) => {
            return flaw(format!("is GGUF in big-endian order (version {})", version >> 24));
        }
        version => return flaw(format!("is GGUF of version {version}; 2 and 3 are read")),
    }
    let (tensors, keys) = (reader.u64()?, reader.u64()?);
    reader.count("tensors", tensors, limits::GGUF_TENSORS_MAX, TENSOR_MIN)?;
    reader.count("keys", keys, limits::GGUF_KEYS_MAX, KEY_MIN)?;
    let mut header = Header { alignment: 32, ..Header::default() };
    let mut seen = HashSet::new();
    for _ in 0..keys {
        let key = reader.key()?;
        let value = reader.value()?;
        header.keep(key, &value)?;
        if !seen.insert(key.to_owned()) {
            return flaw(format!("has the key {} twice", fact_text(key)));
        }
    }
    seen.clear();
    let mut ranges = Vec::new();
    for _ in 0..tensors {
        let range = reader.tensor(&mut header, &mut seen)?;
        ranges.push(range);
    }
    header.facts.tensors = tensors;
    cover(view.size(), reader.at, header.alignment, ranges)?;
    Ok(header.into_facts())
}

/// Checks that the tensors lie in the file's data apart from each other, and nothing behind them.
fn cover(
    size: u64,
    header: u64,
    alignment: u64,
    mut ranges: Vec<(u64, Option<u64>)>,
) -> Result<(), Stop> {
    let Some(start) = header.checked_next_multiple_of(alignment) else {
        return flaw("has a header without an end");
    };
    let data = size.saturating_sub(start);
    ranges.sort_unstable();
    let mut end = Some(0);
    for (offset, len) in ranges {
        if offset % alignment != 0 {
            return flaw("has a tensor that is not aligned");
        }
        if end.is_some_and(|end| offset < end) {
            return flaw("has tensors that overlap");
        }
        end = len.and_then(|len| offset.checked_add(len));
        if len.is_some() && end.is_none_or(|end| end > data) || offset > data {
            return flaw("has a tensor that ends beyond the file");
        }
    }
    match end {
        Some(end) if data - end >= alignment => {
            flaw(format!("has {} bytes behind its last tensor", data - end))
        }
        _ => Ok(()),
    }
}

/// A value, as far as facts need it.
enum Scalar<'a> {
    /// An unsigned or signed number that is not negative, and whether it is a `uint32`.
    Int(u64, bool),
    Text(&'a [u8]),
    Other,
}

/// A header while it is read.
#[derive(Default)]
struct Header {
    facts: Facts,
    alignment: u64,
    contexts: Vec<(String, u64)>,
}

impl Header {
    fn keep(&mut self, key: &str, value: &Scalar<'_>) -> Result<(), Stop> {
        let text = |bytes| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(fact_text(text)).filter(|text| !text.is_empty())),
            Err(_) => flaw(format!("has a text under {} that is not UTF-8", fact_text(key))),
        };
        match (key, value) {
            ("general.alignment", Scalar::Int(alignment, true)) => {
                if !alignment.is_power_of_two() || *alignment > limits::GGUF_ALIGNMENT_MAX {
                    return flaw(format!("has an alignment of {alignment}"));
                }
                self.alignment = *alignment;
            }
            ("general.alignment", _) => return flaw("has an alignment that is no uint32"),
            ("general.architecture", Scalar::Text(bytes)) => self.facts.architecture = text(bytes)?,
            ("general.name", Scalar::Text(bytes)) => self.facts.name = text(bytes)?,
            ("general.file_type", Scalar::Int(id, _)) => {
                let known = types::file_type(*id).map(str::to_owned);
                self.facts.file_type = Some(known.unwrap_or_else(|| format!("type {id}")));
            }
            (_, Scalar::Int(number, _)) => {
                if let Some(owner) = key.strip_suffix(".context_length")
                    && self.contexts.len() < limits::FACT_LIST_MAX
                {
                    self.contexts.push((fact_text(owner), *number));
                }
            }
            (_, Scalar::Text(_)) => {
                if let Some(name) = key.strip_prefix("tokenizer.chat_template")
                    && self.facts.templates.len() < limits::FACT_LIST_MAX
                {
                    let name = name.trim_start_matches('.');
                    let name = if name.is_empty() { "default" } else { name };
                    self.facts.templates.push(fact_text(name));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn into_facts(mut self) -> Facts {
        let architecture = self.facts.architecture.as_deref();
        let own = self.contexts.iter().find(|(owner, _)| Some(&owner[..]) == architecture);
        self.facts.context_length = own.map(|(_, length)| *length);
        self.facts
    }
}

struct Reader<'a> {
    view: &'a View<'a>,
    at: u64,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], Stop> {
        let more = self.view.held().max(limits::CONTENT_HEAD);
        let bytes = self.view.ahead(self.at, len, more)?;
        self.at += len;
        Ok(bytes)
    }

    fn skip(&mut self, len: u64) -> Result<(), Stop> {
        if len > self.left() {
            return flaw("ends inside its header");
        }
        self.at += len;
        Ok(())
    }

    fn left(&self) -> u64 {
        self.view.size() - self.at
    }

    fn u32(&mut self) -> Result<u64, Stop> {
        Ok(le(self.take(4)?, 0, 4))
    }

    fn u64(&mut self) -> Result<u64, Stop> {
        Ok(le(self.take(8)?, 0, 8))
    }

    /// Refuses a count that the rest of the file cannot hold, before anything is done that often.
    fn count(&self, what: &str, count: u64, max: u64, each: u64) -> Result<(), Stop> {
        if count > max || count > self.left() / each {
            return flaw(format!("announces {count} {what}"));
        }
        Ok(())
    }

    fn name(&mut self, what: &str, max: u64) -> Result<&'a str, Stop> {
        let len = self.u64()?;
        if len > max {
            return flaw(format!("has a {what} of {len} bytes"));
        }
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).or_else(|_| flaw(format!("has a {what} that is not UTF-8")))
    }

    fn key(&mut self) -> Result<&'a str, Stop> {
        self.name("key", limits::GGUF_KEY_MAX)
    }

    fn value(&mut self) -> Result<Scalar<'a>, Stop> {
        let kind = self.u32()?;
        match kind {
            8 => {
                let len = self.u64()?;
                // A long text is a template or a tokenizer: never a fact.
                if len > limits::GGUF_KEY_MAX {
                    self.skip(len)?;
                    return Ok(Scalar::Text(b""));
                }
                Ok(Scalar::Text(self.take(len)?))
            }
            9 => self.array(limits::GGUF_DEPTH_MAX).map(|()| Scalar::Other),
            _ => {
                let Some(width) = width(kind) else {
                    return flaw(format!("has a value of the unknown type {kind}"));
                };
                let number = le(self.take(width)?, 0, width as usize);
                match kind {
                    7 if number > 1 => flaw("has a bool that is neither true nor false"),
                    1 | 3 | 5 | 11 if number >> (width * 8 - 1) != 0 => Ok(Scalar::Other),
                    6 | 7 | 12 => Ok(Scalar::Other),
                    _ => Ok(Scalar::Int(number, kind == 4)),
                }
            }
        }
    }

    fn array(&mut self, levels: usize) -> Result<(), Stop> {
        let (kind, count) = (self.u32()?, self.u64()?);
        let each = match kind {
            8 => 8,
            9 => 12,
            _ => match width(kind) {
                Some(width) => width,
                None => return flaw(format!("has an array of the unknown type {kind}")),
            },
        };
        self.count("elements of an array", count, u64::MAX, each)?;
        match (kind, levels.checked_sub(1)) {
            (8, _) => (0..count).try_for_each(|_| {
                let len = self.u64()?;
                self.skip(len)
            }),
            (9, Some(below)) => (0..count).try_for_each(|_| self.array(below)),
            (9, None) => flaw("has arrays that are nested too deeply"),
            // Cannot overflow: so many fit in the file.
            _ => self.skip(count * each),
        }
    }

    /// Where a tensor's data lie: offset, and length if the type is known.
    fn tensor(
        &mut self,
        header: &mut Header,
        seen: &mut HashSet<String>,
    ) -> Result<(u64, Option<u64>), Stop> {
        let name = self.name("tensor name", limits::TENSOR_NAME_MAX as u64)?;
        let flawed = |why: &str| flaw(format!("has a tensor {} {why}", fact_text(name)));
        if !seen.insert(name.to_owned()) {
            return flawed("twice");
        }
        let dims = self.u32()?;
        if dims > limits::GGUF_DIMS_MAX {
            return flawed("of too many dimensions");
        }
        let (mut total, mut row) = (1u64, 1);
        for dim in 0..dims {
            let size = self.u64()?;
            if dim == 0 {
                row = size;
            }
            match total.checked_mul(size) {
                Some(product) => total = product,
                None => return flawed("whose shape is beyond counting"),
            }
        }
        let (id, offset) = (self.u32()?, self.u64()?);
        let known = types::tensor_type(id);
        let kind = known.map_or_else(|| format!("type {id}"), |kind| kind.name.to_owned());
        let parameters = &mut header.facts.parameters;
        if parameters.len() < limits::FACT_LIST_MAX || parameters.contains_key(&kind) {
            let sum = parameters.entry(kind).or_default();
            *sum = sum.saturating_add(total);
        }
        let Some(known) = known else { return Ok((offset, None)) };
        if row % known.block != 0 {
            return flawed("whose rows are no whole blocks of its type");
        }
        match (total / known.block).checked_mul(known.bytes) {
            Some(len) => Ok((offset, Some(len))),
            None => flawed("whose shape is beyond counting"),
        }
    }
}

/// Bytes of a scalar of this type.
fn width(kind: u64) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
