//! Names that a tree may have, signed or not.
//!
//! Every name is checked here before it reaches a disk, an HTTP answer or a terminal line: it must mean one plain file
//! inside its directory on Linux, macOS and Windows, and look like what it is. Rules: `reference/provenance.md`
//! section 6 (path traversal) and design section 4. Not: repo names and aliases (that is `card`), nor opening files.
//!
//! Invariant: an error's text holds no character that could act on a terminal.

use std::collections::HashSet;
use std::fmt::Write as _;

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

use super::block::sha256;
use crate::limits;

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No characters at all, or two slashes in a row.
    #[error("a part of it is empty")]
    Empty,
    /// `.` or `..`.
    #[error("it points at its own or its parent folder")]
    Dots,
    /// A slash in a name, or at the start of a path.
    #[error("it has a slash where only a name or a relative path may stand")]
    Slash,
    /// A backslash.
    #[error("it has a backslash")]
    Backslash,
    /// NUL, newline or another control character, a line or paragraph separator.
    #[error("it has a control character")]
    Control,
    /// A character that turns the direction of the text around it.
    #[error("it has a character that reverses text")]
    Bidi,
    /// A letter and a colon: a drive.
    #[error("it begins with a Windows drive")]
    Drive,
    /// A device of Windows such as `NUL` or `com1.txt`.
    #[error("it is a device name on Windows")]
    Reserved,
    /// A name beyond [`limits::NAME_MAX`] bytes.
    #[error("a part of it is longer than {} bytes", limits::NAME_MAX)]
    Long,
    /// A path beyond [`limits::PATH_MAX`] bytes.
    #[error("it is longer than {} bytes", limits::PATH_MAX)]
    LongPath,
    /// A path of more than [`limits::PATH_DEPTH_MAX`] parts.
    #[error("it has more than {} parts", limits::PATH_DEPTH_MAX)]
    Deep,
    /// The same name as a sibling's, but for case or Unicode form.
    #[error("another name in its folder is the same but for case or Unicode form")]
    Twin,
}

/// A name or path that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name \"{name}\" is refused: {fault}")]
pub struct Error {
    /// The name, escaped and cut for a terminal.
    pub name: String,
    /// Why.
    pub fault: Fault,
}

fn refuse(name: &str, fault: Fault) -> Error {
    Error { name: escape(name), fault }
}

/// `text` as a terminal may show it: what controls, hides or reverses becomes `\u{…}`, and what is beyond 256
/// characters is cut.
pub fn escape(text: &str) -> String {
    shown(text, 256, true)
}

/// The same of a sentence of ours with words from outside in it, of which each is bounded: its quotes stay as they are, and
/// only what is beyond 4,096 characters is cut.
pub fn escape_sentence(text: &str) -> String {
    shown(text, 4096, false)
}

fn shown(text: &str, max: usize, quotes: bool) -> String {
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == max {
            out.push('…');
            break;
        }
        match c {
            '\\' | '"' if quotes => out.extend(['\\', c]),
            _ if control(c) || bidi(c) || invisible(c) => {
                // Writing into a String cannot fail.
                let _ = write!(out, "{}", c.escape_unicode());
            }
            _ => out.push(c),
        }
    }
    out
}

fn control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn bidi(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Allowed in names (scripts and emoji join by some of them), but shown.
fn invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ');
    let stem = stem.to_ascii_uppercase();
    match stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")) {
        Some(port) => {
            let mut chars = port.chars();
            matches!(chars.next(), Some('0'..='9' | '¹' | '²' | '³')) && chars.next().is_none()
        }
        None => matches!(&stem[..], "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"),
    }
}

fn fault(name: &str) -> Option<Fault> {
    let bytes = name.as_bytes();
    let fault = match name {
        "" => Fault::Empty,
        "." | ".." => Fault::Dots,
        _ if name.contains('/') => Fault::Slash,
        _ if name.contains('\\') => Fault::Backslash,
        _ if name.contains(control) => Fault::Control,
        _ if name.contains(bidi) => Fault::Bidi,
        _ if bytes[0].is_ascii_alphabetic() && bytes.get(1) == Some(&b':') => Fault::Drive,
        _ if reserved(name) => Fault::Reserved,
        _ if name.len() > limits::NAME_MAX => Fault::Long,
        _ => return None,
    };
    Some(fault)
}

/// Checks one name of a directory.
///
/// # Errors
/// [`Error`] naming it, escaped.
pub fn check_name(name: &str) -> Result<(), Error> {
    fault(name).map_or(Ok(()), |fault| Err(refuse(name, fault)))
}

/// Checks a path inside a tree: names with `/` between them.
///
/// # Errors
/// [`Error`] naming the path, escaped.
pub fn check_path(path: &str) -> Result<(), Error> {
    let fault = if path.starts_with('/') {
        Some(Fault::Slash)
    } else if path.len() > limits::PATH_MAX {
        Some(Fault::LongPath)
    } else if path.split('/').count() > limits::PATH_DEPTH_MAX {
        Some(Fault::Deep)
    } else {
        path.split('/').find_map(fault)
    };
    fault.map_or(Ok(()), |fault| Err(refuse(path, fault)))
}

/// `name` inside the folder `parent` ("" for the root), checked; `parent` was checked before.
///
/// # Errors
/// [`Error`] on the name, or on a path that becomes too long or deep.
pub fn join(parent: &str, name: &str) -> Result<String, Error> {
    check_name(name)?;
    if parent.is_empty() {
        return Ok(name.to_owned());
    }
    let path = format!("{parent}/{name}");
    let fault = if path.len() > limits::PATH_MAX {
        Fault::LongPath
    } else if path.split('/').count() > limits::PATH_DEPTH_MAX {
        Fault::Deep
    } else {
        return Ok(path);
    };
    Err(refuse(&path, fault))
}

/// What two names share if some file system takes them for one: canonical caseless matching (Unicode, D145), and
/// without the dots and spaces at the end that Windows drops.
fn fold(name: &str) -> String {
    let name = name.trim_end_matches(['.', ' ']);
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfd().default_case_fold().nfc().collect()
}

/// The names of one directory so far, to find twins among them. Takes 16 bytes a name whatever its length, as
/// directories of a million entries are real.
#[derive(Debug, Default)]
pub struct Twins {
    seen: HashSet<[u8; 16]>,
}

impl Twins {
    /// Adds a name.
    ///
    /// # Errors
    /// [`Fault::Twin`] when it or a twin was there.
    pub fn insert(&mut self, name: &str) -> Result<(), Error> {
        let digest = sha256(fold(name).as_bytes());
        let key = *digest.first_chunk().expect("32 bytes begin with 16");
        if self.seen.insert(key) { Ok(()) } else { Err(refuse(name, Fault::Twin)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdict(name: &str) -> Option<Fault> {
        check_name(name).err().map(|error| error.fault)
    }

    #[test]
    fn names_of_real_repos_pass() {
        for name in [
            "model.safetensors",
            ".gitattributes",
            "1_Pooling",
            "日本語.txt",
            "a b",
            "…",
            "...",
            "..a",
            "console.log",
            "com10",
            "COMMA",
            "👩\u{200d}🔬",
            "12:30.json",
            "ns:x",
            "-rf",
        ] {
            assert_eq!(verdict(name), None, "{name}");
        }
        assert_eq!(verdict(&"é".repeat(127)), None);
    }

    #[test]
    fn each_kind_of_hostile_name_is_refused_for_its_own_reason() {
        for (name, fault) in [
            ("", Fault::Empty),
            (".", Fault::Dots),
            ("..", Fault::Dots),
            ("a/b", Fault::Slash),
            ("/", Fault::Slash),
            ("a\\b", Fault::Backslash),
            ("a\0", Fault::Control),
            ("a\nb", Fault::Control),
            ("\u{1b}[2J", Fault::Control),
            ("\u{85}", Fault::Control),
            ("\u{2028}", Fault::Control),
            ("x\u{202e}gpj.exe", Fault::Bidi),
            ("\u{2066}a", Fault::Bidi),
            ("C:", Fault::Drive),
            ("c:x", Fault::Drive),
            ("nul", Fault::Reserved),
            ("Aux.txt", Fault::Reserved),
            ("com1.tar.gz", Fault::Reserved),
            ("LPT²", Fault::Reserved),
            ("con .txt", Fault::Reserved),
            ("CONIN$", Fault::Reserved),
        ] {
            assert_eq!(verdict(name), Some(fault), "{name:?}");
        }
        assert_eq!(verdict(&"é".repeat(128)), Some(Fault::Long));
    }

    #[test]
    fn paths_are_relative_and_bounded() {
        let verdict = |path: &str| check_path(path).err().map(|error| error.fault);
        assert_eq!(verdict("a/b/c"), None);
        assert_eq!(verdict("/a"), Some(Fault::Slash));
        assert_eq!(verdict("a//b"), Some(Fault::Empty));
        assert_eq!(verdict("a/"), Some(Fault::Empty));
        assert_eq!(verdict(""), Some(Fault::Empty));
        assert_eq!(verdict("a/../b"), Some(Fault::Dots));
        assert_eq!(verdict(&"a/".repeat(64)[..127]), None);
        assert_eq!(verdict(&"a/".repeat(65)[..129]), Some(Fault::Deep));
        assert_eq!(verdict(&"abcdefghijklmno/".repeat(65)), Some(Fault::LongPath));
    }

    #[test]
    fn twins_are_found_whatever_their_case_and_form() {
        for (one, other) in [
            ("README.md", "readme.MD"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{e9}", "E\u{301}"),
            ("a", "a. "),
            ("a", "a"),
            ("\u{1f80}", "\u{1f88}"),
        ] {
            let mut twins = Twins::default();
            twins.insert(one).unwrap();
            assert_eq!(twins.insert(other).unwrap_err().fault, Fault::Twin, "{one} {other}");
        }
        let mut twins = Twins::default();
        for name in ["a", "b", "ab", "e", "\u{e9}", "a.b"] {
            twins.insert(name).unwrap();
        }
    }

    proptest! {
        #[test]
        fn no_error_carries_a_character_that_acts_on_a_terminal(name in "(\\PC|\\p{C}){0,300}") {
            if let Err(error) = check_name(&name) {
                let acts = |c: char| control(c) || bidi(c);
                prop_assert!(!error.to_string().contains(acts), "{error:?}");
            }
        }
    }
}
