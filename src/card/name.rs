//! Names that people give: repos, local aliases of publishers, versions.
//!
//! The rules are those of `cli.md`, section "References". A value of these types has been checked, so it is safe as a
//! folder's name, in a URL and on a terminal. File names inside a repo are another matter (`manifest`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::dag::Cid;
use crate::limits;

use super::did::PublisherId;

/// Words an alias may not be: first segments of the gateway's paths (cli.md).
pub(crate) const RESERVED: [&str; 9] =
    ["api", "datasets", "spaces", "kernels", "v2", "ipfs", "metrics", "healthz", "_up"];

/// Which rule a name breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// No characters.
    #[error("it is empty")]
    Empty,
    /// Too many characters.
    #[error("it has {len} characters, at most {max} are allowed")]
    TooLong {
        /// Characters given.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// A character outside the allowed set.
    #[error("{character:?} is not allowed, only letters A-Z a-z, digits, and {others}")]
    Character {
        /// The first such character.
        character: char,
        /// What is allowed besides letters and digits.
        others: &'static str,
    },
    /// `--` or `..` inside.
    #[error("{pair:?} is not allowed in it")]
    Pair {
        /// The pair found.
        pair: &'static str,
    },
    /// `-` or `.` at an end.
    #[error("it may not start or end with {character:?}")]
    End {
        /// The character found.
        character: char,
    },
    /// Ends in `.git`.
    #[error("it may not end in .git")]
    Git,
    /// A CID could be meant.
    #[error("it reads as a CID")]
    ReadsAsCid,
    /// A publisher's key could be meant.
    #[error("it reads as a publisher's key")]
    ReadsAsPublisher,
    /// A commit id could be meant.
    #[error("it reads as a commit id")]
    ReadsAsCommit,
    /// A word with a meaning of its own.
    #[error("it is a reserved word")]
    Reserved,
}

/// Why text is not the name it was to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no valid {what}: {rule}")]
pub struct Error {
    /// `repo name`, `alias` or `version`.
    pub what: &'static str,
    /// What was given, shortened.
    pub text: String,
    /// The rule it breaks.
    pub rule: Rule,
}

fn checked(
    what: &'static str,
    text: &str,
    rules: impl FnOnce() -> Result<(), Rule>,
) -> Result<String, Error> {
    match rules() {
        Ok(()) => Ok(text.to_owned()),
        Err(rule) => Err(Error { what, text: text.chars().take(100).collect(), rule }),
    }
}

/// The CID that `text` is in any multibase, with nothing after it.
pub(crate) fn parse_cid(text: &str) -> Option<Cid> {
    // The `cid` crate looks behind "/ipfs/" and lets bytes follow the multihash.
    if text.len() > 128 || text.contains('/') {
        return None;
    }
    let cid: Cid = text.parse().ok()?;
    let bytes = match cid.version() {
        cid::Version::V0 => return (cid.to_string() == text).then_some(cid),
        cid::Version::V1 => multibase::decode(text).ok()?.1,
    };
    (cid.to_bytes() == bytes).then_some(cid)
}

/// The Hub's rules for the name of a repo, shared by aliases.
fn hub_rules(text: &str, max: usize) -> Result<(), Rule> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() {
        return Err(Rule::Empty);
    }
    if let Some(character) = text.chars().find(|c| !allowed(*c)) {
        return Err(Rule::Character { character, others: "'.', '_', '-'" });
    }
    if text.len() > max {
        return Err(Rule::TooLong { len: text.len(), max });
    }
    if let Some(pair) = ["--", ".."].into_iter().find(|pair| text.contains(pair)) {
        return Err(Rule::Pair { pair });
    }
    let ends = [text.chars().next(), text.chars().next_back()];
    if let Some(character) = ends.into_iter().flatten().find(|c| matches!(c, '-' | '.')) {
        return Err(Rule::End { character });
    }
    if text.ends_with(".git") {
        return Err(Rule::Git);
    }
    if parse_cid(text).is_some() {
        return Err(Rule::ReadsAsCid);
    }
    Ok(())
}

macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

/// The name of a repo within its publisher's names; models and datasets share one name space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoName(String);

text_type!(RepoName);

impl FromStr for RepoName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        checked("repo name", text, || hub_rules(text, limits::REPO_NAME_MAX)).map(Self)
    }
}

/// A word of the user's own for a publisher; it means nothing to anybody else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Alias(String);

text_type!(Alias);

impl FromStr for Alias {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let rules = || {
            hub_rules(text, limits::ALIAS_MAX)?;
            if RESERVED.contains(&text) {
                return Err(Rule::Reserved);
            }
            if text.parse::<PublisherId>().is_ok() {
                return Err(Rule::ReadsAsPublisher);
            }
            Ok(())
        };
        checked("alias", text, rules).map(Self)
    }
}

/// A version of a repo: `[A-Za-z0-9][A-Za-z0-9._+-]{0,63}`, and nothing that means another revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

text_type!(Version);

impl Version {
    /// The version that a card gets when nobody names one: its `seq`.
    pub fn of_seq(seq: u64) -> Self {
        Self(seq.to_string())
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
        let rules = || {
            let first = text.chars().next().ok_or(Rule::Empty)?;
            if let Some(character) = text.chars().find(|c| !allowed(*c)) {
                return Err(Rule::Character { character, others: "'.', '_', '+', '-'" });
            }
            if !first.is_ascii_alphanumeric() {
                return Err(Rule::End { character: first });
            }
            if text.len() > limits::VERSION_MAX {
                return Err(Rule::TooLong { len: text.len(), max: limits::VERSION_MAX });
            }
            if matches!(text, "main" | "HEAD") {
                return Err(Rule::Reserved);
            }
            // In either case of letters: a Hub client may write them so.
            if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(Rule::ReadsAsCommit);
            }
            if parse_cid(text).is_some() {
                return Err(Rule::ReadsAsCid);
            }
            Ok(())
        };
        checked("version", text, rules).map(Self)
    }
}

/// The valid repo name nearest to `text`, e.g. a folder's name; none if nothing of it is left. Valid names stay.
pub fn suggest(text: &str) -> Option<RepoName> {
    // Folders' names are at most 255 bytes; more would only be cut off below.
    let mut name = String::new();
    for c in text.chars().take(255).nfkd() {
        let c = match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') => c,
            // Accents that NFKD has split off their letters vanish, what else is no ASCII separates words.
            c if unicode_normalization::char::is_combining_mark(c) => continue,
            _ => '-',
        };
        if !(matches!(c, '-' | '.') && name.ends_with(c)) {
            name.push(c);
        }
    }
    let ends = ['-', '.'];
    loop {
        let trimmed = name.trim_matches(ends);
        let cut = &trimmed[..trimmed.len().min(limits::REPO_NAME_MAX)];
        let next = cut.strip_suffix(".git").unwrap_or(cut).to_owned();
        if next == name {
            break;
        }
        name = next;
    }
    if parse_cid(&name).is_some() {
        name = format!("repo-{}", &name[..name.len().min(12)]);
    }
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CID: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

    fn rule<T: FromStr<Err = Error>>(text: &str) -> Option<Rule> {
        text.parse::<T>().err().map(|error| error.rule)
    }

    #[test]
    fn the_hubs_names_are_names() {
        for text in ["all-MiniLM-L6-v2", "a", "_x_", "Qwen2.5-0.5B", "v2", &"a".repeat(80)] {
            assert_eq!(rule::<RepoName>(text), None, "{text}");
        }
    }

    #[test]
    fn each_rule_refuses_a_repo_name() {
        let table = [
            ("", Rule::Empty),
            ("a b", Rule::Character { character: ' ', others: "'.', '_', '-'" }),
            ("a/b", Rule::Character { character: '/', others: "'.', '_', '-'" }),
            ("é", Rule::Character { character: 'é', others: "'.', '_', '-'" }),
            ("a\u{202e}", Rule::Character { character: '\u{202e}', others: "'.', '_', '-'" }),
            ("a--b", Rule::Pair { pair: "--" }),
            ("a..b", Rule::Pair { pair: ".." }),
            ("-a", Rule::End { character: '-' }),
            ("a.", Rule::End { character: '.' }),
            (".", Rule::End { character: '.' }),
            ("a.git", Rule::Git),
            (CID, Rule::ReadsAsCid),
            ("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n", Rule::ReadsAsCid),
        ];
        for (text, broken) in table {
            assert_eq!(rule::<RepoName>(text), Some(broken), "{text}");
        }
        let long = "a".repeat(81);
        assert_eq!(rule::<RepoName>(&long), Some(Rule::TooLong { len: 81, max: 80 }));
    }

    #[test]
    fn an_alias_is_short_not_reserved_and_no_key() {
        assert_eq!(rule::<Alias>("sbert"), None);
        assert_eq!(rule::<Alias>(&"a".repeat(40)), None);
        assert!(matches!(rule::<Alias>(&"a".repeat(41)), Some(Rule::TooLong { .. })));
        for text in RESERVED {
            assert_eq!(rule::<Alias>(text), Some(Rule::Reserved), "{text}");
        }
        let part = "z6MksvN6MJFuZNy4ZeZfaCZtEoSY9ButFSLqMMJ4GTNa62ht";
        assert!(rule::<Alias>(part).is_some());
    }

    #[test]
    fn versions_follow_their_pattern_and_mean_no_other_revision() {
        for text in ["1", "1.0.0+cu121", "v1", "2024-01-01", &"a".repeat(64), "main2", "abc123"] {
            assert_eq!(rule::<Version>(text), None, "{text}");
        }
        let table = [
            ("", Rule::Empty),
            (".1", Rule::End { character: '.' }),
            ("1 0", Rule::Character { character: ' ', others: "'.', '_', '+', '-'" }),
            ("main", Rule::Reserved),
            ("HEAD", Rule::Reserved),
            ("27abf6354cde455f6debd1e318d1fd0f42d92359", Rule::ReadsAsCommit),
            ("27ABF6354CDE455F6DEBD1E318D1FD0F42D92359", Rule::ReadsAsCommit),
            (CID, Rule::ReadsAsCid),
        ];
        for (text, broken) in table {
            assert_eq!(rule::<Version>(text), Some(broken), "{text}");
        }
        assert!(matches!(rule::<Version>(&"a".repeat(65)), Some(Rule::TooLong { .. })));
        assert_eq!(Version::of_seq(7).to_string().parse(), Ok(Version::of_seq(7)));
    }

    #[test]
    fn a_suggestion_stays_close_to_what_was_meant() {
        let table = [
            ("my model", Some("my-model")),
            ("modèle français", Some("modele-francais")),
            ("a--b..c", Some("a-b.c")),
            (".hidden.", Some("hidden")),
            ("repo.git", Some("repo")),
            ("repo.git.git", Some("repo")),
            ("--", None),
            ("模型", None),
            ("模型 v2", Some("v2")),
            ("fine-name", Some("fine-name")),
            (CID, Some("repo-bafybeigdyrz")),
        ];
        for (text, name) in table {
            assert_eq!(suggest(text).as_ref().map(RepoName::as_str), name, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_valid_name_is_its_own_suggestion(text in "[A-Za-z0-9._-]{1,90}") {
            if let Ok(name) = text.parse::<RepoName>() {
                prop_assert_eq!(suggest(&text), Some(name));
            }
        }

        #[test]
        fn any_text_is_refused_or_safe_as_a_folder(text: String) {
            for name in [text.parse::<RepoName>().ok(), suggest(&text)].into_iter().flatten() {
                prop_assert!(!name.as_str().contains(['/', '\\', '\0']));
                prop_assert!(!matches!(name.as_str(), "." | ".."));
            }
            let _ = (text.parse::<Alias>().is_ok(), text.parse::<Version>().is_ok());
        }

        #[test]
        fn text_with_letters_or_digits_has_a_suggestion(text in ".*[a-z0-9].*") {
            // ".git" alone leaves nothing: that is not a name with letters of its own.
            prop_assume!(!text.contains("git"));
            prop_assume!(text.chars().count() <= 80);
            prop_assert!(suggest(&text).is_some(), "{text:?}");
        }
    }
}
