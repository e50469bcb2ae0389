//! Patterns of repo names: `*` stands for any characters, everything else for itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits;

/// Why text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a pattern of repo names has 1 to {max} bytes", max = limits::TRUST_PATTERN_MAX)]
pub struct NotAPattern;

/// One pattern, e.g. `tiny-*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

impl Pattern {
    /// Whether the whole of `name` is of this pattern. Takes at most the product of their lengths, since only the last
    /// `*` is ever tried again.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        // Behind the last star, and what of the name it has taken.
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    p += 1;
                    star = Some((p, n));
                }
                Some(byte) if *byte == name[n] => (p, n) = (p + 1, n + 1),
                _ => {
                    let Some((behind, taken)) = star else { return false };
                    star = Some((behind, taken + 1));
                    (p, n) = (behind, taken + 1);
                }
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

impl TryFrom<String> for Pattern {
    type Error = NotAPattern;

    fn try_from(text: String) -> Result<Self, NotAPattern> {
        if (1..=limits::TRUST_PATTERN_MAX).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(NotAPattern)
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::try_from(text.to_owned()).unwrap()
    }

    /// The definition, in exponential time.
    fn by_definition(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|n| by_definition(rest, &name[n..])),
            Some((byte, rest)) => {
                name.split_first().is_some_and(|(n, name)| n == byte && by_definition(rest, name))
            }
        }
    }

    #[test]
    fn a_star_stands_for_any_characters_and_the_rest_for_itself() {
        for (text, name, matches) in [
            ("*", "", true),
            ("*", "tiny-chat", true),
            ("tiny-*", "tiny-chat", true),
            ("tiny-*", "not-tiny-chat", false),
            ("*-GGUF", "tiny-chat-GGUF", true),
            ("*-GGUF", "tiny-chat-gguf", false),
            ("a*b*c", "a--b-bc", true),
            ("a*b*c", "a--b-b", false),
            ("tiny.chat", "tiny-chat", false),
            ("tiny", "tiny-chat", false),
            ("tiny-chat", "tiny", false),
        ] {
            assert_eq!(pattern(text).matches(name), matches, "{text} on {name}");
        }
        assert_eq!(Pattern::try_from(String::new()), Err(NotAPattern));
        assert_eq!(Pattern::try_from("*".repeat(257)), Err(NotAPattern));
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let hostile = pattern(&format!("{}b", "*a".repeat(127)));
        assert!(!hostile.matches(&"a".repeat(100_000)));
    }

    proptest! {
        #[test]
        fn it_is_what_its_definition_says(text in "[*ab]{1,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(
                pattern(&text).matches(&name),
                by_definition(text.as_bytes(), name.as_bytes())
            );
        }
    }
}
