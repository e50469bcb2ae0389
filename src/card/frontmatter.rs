//! A README's YAML front matter as a card's metadata.
//!
//! YAML 1.2, core schema, mapped to DAG-JSON (design section 5): integers within 64 bits, booleans and null stay;
//! floats and dates become their source text, so that no two readers round them differently. What could make two
//! readers disagree, or one of them work without end, is refused: anchors, aliases, tags, merge keys, duplicate keys,
//! keys that are no text, a second document, more than `limits` allow. Integer and float keys become their text: Hub
//! cards have them (`names: {0: negative}`), JSON has no others, and a clash with a text key counts as a duplicate.
//!
//! Nothing here reads Markdown, and none of the metadata is a verified fact: it is what the publisher signed.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use crate::limits;

use super::json::{Map, Value, shortened};

/// Why front matter gives no metadata. Lines count from 1 in the README.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `---` at the start and nowhere after.
    #[error("the front matter starts with --- and has no closing ---")]
    Unclosed,
    /// More bytes than are read.
    #[error("the front matter, or its JSON, has more than {max} bytes", max = limits::FRONT_MATTER_MAX)]
    TooLarge,
    /// The bytes of the front matter are no UTF-8.
    #[error("the front matter is not UTF-8")]
    NotUtf8,
    /// No YAML.
    #[error("the front matter is no valid YAML, line {line}: {why}")]
    Syntax {
        /// Where.
        line: usize,
        /// The parser's words.
        why: String,
    },
    /// YAML that cards do not take.
    #[error("the front matter has {what} in line {line}; cards do not take that")]
    Refused {
        /// Where.
        line: usize,
        /// What was found.
        what: &'static str,
    },
    /// One key, two values.
    #[error("the front matter has the key {key:?} twice, line {line}")]
    Duplicate {
        /// Where.
        line: usize,
        /// The key.
        key: String,
    },
    /// The document is a list or a scalar.
    #[error("the front matter is no mapping (key: value)")]
    NotAMapping,
    /// Something else than a list, where one is expected.
    #[error("it is no list (- item)")]
    NotAList,
}

/// The metadata in a README's front matter; none if it has no front matter.
///
/// `base_model` is always a list in it (provenance 7.3).
///
/// # Errors
/// Every [`Error`]; the caller signs `{}` and warns.
pub fn metadata(readme: &[u8]) -> Result<Option<Map>, Error> {
    let Some(yaml) = block(readme)? else { return Ok(None) };
    let mut map = match parse(yaml)? {
        Value::Map(map) => map,
        // Nothing but comments or blank lines.
        Value::Null => Map::new(),
        _ => return Err(Error::NotAMapping),
    };
    if let Some(base) = map.get_mut("base_model")
        && matches!(base, Value::Text(_))
    {
        *base = Value::List(vec![std::mem::replace(base, Value::Null)]);
    }
    // Escapes make JSON longer than its YAML; what is signed is bounded, too.
    let len = serde_json::to_vec(&map).map_or(usize::MAX, |json| json.len());
    if len > limits::FRONT_MATTER_MAX { Err(Error::TooLarge) } else { Ok(Some(map)) }
}

/// The text between the `---` lines.
fn block(readme: &[u8]) -> Result<Option<&str>, Error> {
    let readme = readme.strip_prefix(b"\xef\xbb\xbf").unwrap_or(readme);
    let is_fence = |line: &[u8]| line.trim_ascii_end() == b"---";
    let mut lines = readme.split_inclusive(|b| *b == b'\n');
    let Some(first) = lines.next().filter(|line| is_fence(line)) else { return Ok(None) };
    let mut end = first.len();
    for line in lines {
        if is_fence(line) {
            let yaml = &readme[first.len()..end];
            return std::str::from_utf8(yaml).map(Some).map_err(|_| Error::NotUtf8);
        }
        end += line.len();
        if end - first.len() > limits::FRONT_MATTER_MAX {
            return Err(Error::TooLarge);
        }
    }
    Err(Error::Unclosed)
}

/// A collection that is still open.
enum Open {
    List(Vec<Value>),
    Map { map: Map, key: Option<String> },
}

/// A YAML file that is a list, by the same rules: what the Hub calls evaluation results.
///
/// # Errors
/// Every [`Error`].
pub fn list(yaml: &[u8]) -> Result<Vec<Value>, Error> {
    if yaml.len() > limits::FRONT_MATTER_MAX {
        return Err(Error::TooLarge);
    }
    match parse(std::str::from_utf8(yaml).map_err(|_| Error::NotUtf8)?)? {
        Value::List(list) => Ok(list),
        _ => Err(Error::NotAList),
    }
}

fn parse(yaml: &str) -> Result<Value, Error> {
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(yaml);
    let mut stack: Vec<Open> = Vec::new();
    let mut root = None;
    let mut nodes = 0;
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        // One line more than the parser counts: the first `---` is not part of its text.
        let (event, span) = event.map_err(|error| Error::Syntax {
            line: error.marker().line() + 1,
            why: error.info().to_owned(),
        })?;
        let line = span.start.line() + 1;
        let refused = |what| Err(Error::Refused { line, what });
        let node = match event {
            Event::Nothing | Event::StreamStart | Event::DocumentEnd => continue,
            Event::StreamEnd => break,
            Event::DocumentStart(explicit) => {
                documents += 1;
                if explicit || documents > 1 {
                    return refused("a second document");
                }
                continue;
            }
            Event::Alias(_) => return refused("an alias (*name)"),
            Event::Scalar(_, _, 1.., _)
            | Event::SequenceStart(1.., _)
            | Event::MappingStart(1.., _) => return refused("an anchor (&name)"),
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => return refused("a tag (!name)"),
            node => node,
        };
        let value = match node {
            Event::Scalar(text, style, ..) => {
                let value = scalar(&text, style);
                if let Some(Open::Map { map, key: key @ None }) = stack.last_mut() {
                    *key = Some(checked_key(map, value, &text, style, line)?);
                    nodes += 1;
                    continue;
                }
                Some(value)
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if let Some(Open::Map { key: None, .. }) = stack.last() {
                    return refused("a list or mapping as a key");
                }
                stack.push(match node {
                    Event::SequenceStart(..) => Open::List(Vec::new()),
                    _ => Open::Map { map: Map::new(), key: None },
                });
                None
            }
            _ => stack.pop().map(|open| match open {
                Open::List(list) => Value::List(list),
                Open::Map { map, .. } => Value::Map(map),
            }),
        };
        nodes += 1;
        if nodes > limits::FRONT_MATTER_NODES_MAX || stack.len() > limits::FRONT_MATTER_DEPTH_MAX {
            return refused("too many values or levels");
        }
        let Some(value) = value else { continue };
        match stack.last_mut() {
            None => root = Some(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map { map, key }) => {
                map.insert(key.take().ok_or(Error::NotAMapping)?, value);
            }
        }
    }
    Ok(root.unwrap_or(Value::Null))
}

fn checked_key(
    map: &Map,
    value: Value,
    text: &str,
    style: ScalarStyle,
    line: usize,
) -> Result<String, Error> {
    let refused = |what| Err(Error::Refused { line, what });
    let key = match value {
        Value::Text(text) => text,
        Value::Int(_) => text.to_owned(),
        _ => return refused("a key that is null, true or false"),
    };
    if key == "/" {
        return refused("the key \"/\", which DAG-JSON reserves");
    }
    if key == "<<" && style == ScalarStyle::Plain {
        return refused("a merge key (<<)");
    }
    if map.contains_key(&key) {
        return Err(Error::Duplicate { line, key: shortened(&key) });
    }
    Ok(key)
}

/// The core schema of YAML 1.2.2 (section 10.3.2), with floats left as their text.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match integer(text) {
            Some(int) => Value::Int(int),
            None => Value::Text(text.to_owned()),
        },
    }
}

/// An integer within 64 bits, `i64` or `u64`.
fn integer(text: &str) -> Option<i128> {
    let parse = |digits: &str, radix| {
        // `from_str_radix` would take a second sign.
        let plain = digits.chars().all(|c| c.is_digit(radix)) && !digits.is_empty();
        plain.then(|| i128::from_str_radix(digits, radix).ok()).flatten()
    };
    let int = if let Some(digits) = text.strip_prefix("0o") {
        parse(digits, 8)?
    } else if let Some(digits) = text.strip_prefix("0x") {
        parse(digits, 16)?
    } else if let Some(digits) = text.strip_prefix('-') {
        -parse(digits, 10)?
    } else {
        parse(text.strip_prefix('+').unwrap_or(text), 10)?
    };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&int).then_some(int)
}

#[cfg(test)]
mod tests;
