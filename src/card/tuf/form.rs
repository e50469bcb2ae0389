//! The bytes of a TUF root: what is signed, and the forms in which a file may hold it.
//!
//! TUF signs OLPC canonical JSON of the part `signed`; the file around it may have any layout, and no signature covers
//! that layout. So that a root in a release cannot be altered unseen, a file is read only if it is byte for byte in
//! one of three forms: compact JSON with sorted keys in UTF-8 (ours), or what python-tuf writes, compact or indented,
//! with `\uXXXX` for what is not ASCII. Wiki.laptop.org "Canonical JSON"; TUF 1.0, 4.2.1 and 4.3.

use crate::card::json::{Map, Value, shortened};

/// Why bytes are not JSON of a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not JSON, or with duplicate keys, floats, a link, or too deep.
    #[error("it is not JSON of a TUF root: {0}")]
    Syntax(String),
    /// JSON in another layout.
    #[error(
        "its layout is not one that can be checked byte for byte (sorted keys, compact; or as python-tuf writes it)"
    )]
    Layout,
}

/// How JSON is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// What TUF signs: no escapes but `\"` and `\\`.
    Signed,
    /// Ours: compact, UTF-8.
    Compact,
    /// python-tuf's default: compact, ASCII.
    Ascii,
    /// python-tuf's other: one space for each level, ASCII.
    Indented,
}

/// The bytes that are signed for a value.
pub(super) fn signed_bytes(value: &Map) -> Vec<u8> {
    let mut out = String::new();
    put_map(&mut out, value, Style::Signed, 0);
    out.into_bytes()
}

/// Our form of a file.
pub(super) fn compact(value: &Map) -> String {
    let mut out = String::new();
    put_map(&mut out, value, Style::Compact, 0);
    out
}

/// Reads a file in one of the three forms.
pub(super) fn read(text: &str) -> Result<Map, Error> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| Error::Syntax(shortened(&error.to_string())))?;
    let Value::Map(map) = value else { return Err(Error::Syntax("it is not an object".into())) };
    if map.values().any(has_link) {
        return Err(Error::Syntax("it has a link (the key \"/\")".into()));
    }
    let is_in = |style| {
        let mut form = String::with_capacity(text.len());
        put_map(&mut form, &map, style, 0);
        form == text
    };
    let forms = [Style::Compact, Style::Ascii, Style::Indented];
    if forms.into_iter().any(is_in) { Ok(map) } else { Err(Error::Layout) }
}

fn has_link(value: &Value) -> bool {
    match value {
        Value::Link(_) => true,
        Value::List(list) => list.iter().any(has_link),
        Value::Map(map) => map.values().any(has_link),
        _ => false,
    }
}

/// Recursion is as deep as the value, which was read with at most `limits::CARD_DEPTH_MAX` levels.
fn put(out: &mut String, value: &Value, style: Style, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Value::Int(int) => out.push_str(&int.to_string()),
        Value::Text(text) => put_text(out, text, style),
        Value::List(list) => {
            let items = list.iter().map(|item| (None, item));
            put_items(out, "[]", items, style, level);
        }
        Value::Map(map) => put_map(out, map, style, level),
        Value::Link(_) => unreachable!("a root with a link is refused when it is read"),
    }
}

fn put_map(out: &mut String, map: &Map, style: Style, level: usize) {
    put_items(out, "{}", map.iter().map(|(key, item)| (Some(key), item)), style, level);
}

fn put_items<'a>(
    out: &mut String,
    brackets: &str,
    items: impl ExactSizeIterator<Item = (Option<&'a String>, &'a Value)>,
    style: Style,
    level: usize,
) {
    let (open, close) = brackets.split_at(1);
    if items.len() == 0 {
        return out.push_str(brackets);
    }
    let indented = style == Style::Indented;
    let new_line = |out: &mut String, level: usize| {
        if indented {
            out.push('\n');
            out.push_str(&" ".repeat(level));
        }
    };
    out.push_str(open);
    for (i, (key, item)) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        new_line(out, level + 1);
        if let Some(key) = key {
            put_text(out, key, style);
            out.push_str(if indented { ": " } else { ":" });
        }
        put(out, item, style, level + 1);
    }
    new_line(out, level);
    out.push_str(close);
}

fn put_text(out: &mut String, text: &str, style: Style) {
    if style == Style::Signed {
        out.push('"');
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        return out.push('"');
    }
    let json = serde_json::to_string(text).expect("text always serialises");
    if style == Style::Compact {
        return out.push_str(&json);
    }
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `json.dumps` and `securesystemslib.formats.encode_canonical` (1.6.0) of one object.
    const COMPACT: &str = r#"{"a":[],"b":{"c":[1,-2,true,null]},"é":"\"\\\n\u001f"}"#;
    const ASCII: &str =
        r#"{"a":[],"b":{"c":[1,-2,true,null]},"\u00e9":"\"\\\n\u001f\u007f\ud83d\ude00"}"#;
    const INDENTED: &str = "{\n \"a\": [],\n \"b\": {\n  \"c\": [\n   1,\n   -2,\n   true,\n   null\n  ]\n },\n \"\\u00e9\": \"\\\"\\\\\\n\\u001f\\u007f\\ud83d\\ude00\"\n}";
    const SIGNED: &str =
        "{\"a\":[],\"b\":{\"c\":[1,-2,true,null]},\"é\":\"\\\"\\\\\n\u{1f}\u{7f}😀\"}";

    #[test]
    fn the_three_forms_are_read_and_sign_the_same_bytes() {
        let compact = COMPACT.replace("\\u001f", "\\u001f\u{7f}😀");
        for text in [&compact, ASCII, INDENTED] {
            let map = read(text).unwrap();
            assert_eq!(String::from_utf8(signed_bytes(&map)).unwrap(), SIGNED);
            assert_eq!(super::compact(&map), compact);
        }
    }

    #[test]
    fn another_layout_is_refused() {
        for text in [
            "{ }",
            "{}\n",
            "{\n}",
            r#"{"b":1,"a":1}"#,
            r#"{"a": 1}"#,
            "{\n\t\"a\": 1\n}",
            r#"{"a":"\u0061"}"#,
            r#"{"a":"\/"}"#,
            r#"{"\u00e9":"é"}"#,
            r#"{"a":"\u00E9"}"#,
        ] {
            assert_eq!(read(text), Err(Error::Layout), "{text}");
        }
        for text in [
            "",
            "[]",
            "1",
            "{",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":-0}"#,
            r#"{"a":{"/":"bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"}}"#,
            r#"{"/":"bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"}"#,
            &format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200)),
        ] {
            assert!(matches!(read(text), Err(Error::Syntax(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text: String) {
            let _ = read(&text).is_ok();
        }

        #[test]
        fn what_we_write_is_read_again(key: String, text: String, int: i64) {
            let mut map = Map::new();
            map.insert("n".into(), Value::Int(int.into()));
            map.insert(if key == "/" { "k".into() } else { key }, Value::Text(text));
            prop_assert_eq!(read(&compact(&map)), Ok(map));
        }
    }
}
