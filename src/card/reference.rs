//! REF: what a user types to name content (`cli.md`, section "References").
//!
//! Parsing says what is meant, never whether it exists: aliases, names and revisions are resolved by `library` against
//! what it holds. Nothing here reads a file system, so the rule that tells a path from a REF is by its first
//! characters alone.

use std::fmt;
use std::str::FromStr;

use crate::dag::Cid;
use crate::dag::block::{DAG_JSON, DAG_PB, RAW};
use crate::limits;

use super::commit::CommitId;
use super::did;
use super::identity::{self, Identity};
use super::name::{self, Alias, RepoName, Version, parse_cid};

/// Fewest digits by which a commit id may be shortened: Git's own minimum.
const SHORT_COMMIT_MIN: usize = 4;

/// Why text is no REF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Empty.
    #[error("the reference is empty")]
    Empty,
    /// Longer than any REF can be.
    #[error("the reference has {len} bytes, at most {max} are allowed", max = limits::REFERENCE_MAX)]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// A path where only a REF may stand.
    #[error(
        "{text:?} is a path; a reference is expected here (a CID, a repo name, or PUBLISHER/NAME)"
    )]
    IsPath {
        /// What was given.
        text: String,
    },
    /// A CID of something that is neither UnixFS nor a card.
    #[error(
        "{cid} has codec 0x{codec:x}: it names neither files (dag-pb, raw) nor a card (dag-json)"
    )]
    Codec {
        /// The CID.
        cid: String,
        /// Its codec.
        codec: u64,
    },
    /// What has the looks of a CID and is none.
    #[error("{text} is not a CID; was it copied whole?")]
    BrokenCid {
        /// What was given.
        text: String,
    },
    /// A publisher without a repo.
    #[error("{publisher} is a publisher; add the repo: {publisher}/NAME")]
    NoRepo {
        /// What was given.
        publisher: String,
    },
    /// More than `PUBLISHER/NAME` before a path.
    #[error(
        "{text:?} has too many parts; a file inside a repo follows after a colon: PUBLISHER/NAME:{path}"
    )]
    Parts {
        /// What was given.
        text: String,
        /// What was probably meant as the path.
        path: String,
    },
    /// A revision behind a CID, which already names one state.
    #[error("{cid} names one state already; leave out @{revision}")]
    Revision {
        /// The CID.
        cid: String,
        /// What stood behind `@`.
        revision: String,
    },
    /// The publisher's part.
    #[error(transparent)]
    Publisher(#[from] identity::Error),
    /// A name, alias or version.
    #[error(transparent)]
    Name(#[from] name::Error),
    /// The path inside.
    #[error("{path:?} is no path inside a repo: no empty part, no . or .., no control character")]
    Inside {
        /// What stood behind the colon.
        path: String,
    },
}

/// How a publisher was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Publisher {
    /// The user's own word for one.
    Alias(Alias),
    /// The publisher itself: the user has named it (trust `named`).
    Id(Identity),
}

/// Which state of a repo.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revision {
    /// `main` or `HEAD`, also when nothing was written: the highest accepted `seq`.
    Head,
    /// A whole commit id.
    Commit(CommitId),
    /// A root, release or card.
    Cid(Cid),
    /// A version, or, if no version is called so, the start of a commit id ([`Revision::short_commit`]).
    Version(Version),
}

impl Revision {
    /// The text as the start of a commit id, 4 to 39 hex digits: tried after the exact version (cli.md).
    pub fn short_commit(&self) -> Option<&str> {
        let Self::Version(version) = self else { return None };
        let text = version.as_str();
        let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (hex && (SHORT_COMMIT_MIN..40).contains(&text.len())).then_some(text)
    }
}

impl FromStr for Revision {
    type Err = name::Error;

    fn from_str(text: &str) -> Result<Self, name::Error> {
        if matches!(text, "main" | "HEAD") {
            return Ok(Self::Head);
        }
        if let Ok(commit) = text.parse() {
            return Ok(Self::Commit(commit));
        }
        if let Some(cid) = parse_cid(text) {
            return Ok(Self::Cid(cid));
        }
        text.parse().map(Self::Version)
    }
}

/// What a REF names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A release, a root, or any UnixFS file or directory.
    Cid(Cid),
    /// A card, by its id.
    Card(Cid),
    /// A repo of the local library.
    Local {
        /// Its name.
        name: RepoName,
        /// Which state of it.
        revision: Revision,
    },
    /// A publisher's repo.
    Repo {
        /// Whose.
        publisher: Publisher,
        /// Its name.
        name: RepoName,
        /// Which state of it.
        revision: Revision,
    },
}

/// A REF: a target and, behind the first colon, a path inside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// What is named.
    pub target: Target,
    /// Relative, parts joined by `/`, none of them empty, `.` or `..`.
    pub path: Option<String>,
}

/// Where cli.md lets a REF or a PATH stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RefOrPath {
    /// A REF.
    Ref(Reference),
    /// A path of the file system, as typed.
    Path(String),
}

/// Whether `text` is a path where a REF or a PATH may stand: `/`, `./`, `../` or `~` at its start. `.` and `..` alone
/// count too; they can be no REF.
pub fn is_path(text: &str) -> bool {
    ["/", "./", "../", "~"].iter().any(|start| text.starts_with(start))
        || matches!(text, "." | "..")
}

impl FromStr for RefOrPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if is_path(text) { Ok(Self::Path(text.to_owned())) } else { text.parse().map(Self::Ref) }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.len() > limits::REFERENCE_MAX {
            return Err(Error::TooLong { len: text.len() });
        }
        if is_path(text) {
            return Err(Error::IsPath { text: text.to_owned() });
        }
        // The colons of did:key: and tuf: come first and are none of ours.
        let colons = [("did:", 2), ("tuf:", 1)];
        let colons = colons.iter().find(|(scheme, _)| text.starts_with(scheme));
        let scheme = colons.map_or(0, |(_, count)| {
            text.match_indices(':').nth(count - 1).map_or(text.len(), |(at, _)| at + 1)
        });
        let colon = text[scheme..].find(':').map(|at| scheme + at);
        let (head, path) = match colon {
            Some(at) => (&text[..at], Some(inside(&text[at + 1..])?)),
            None => (text, None),
        };
        Ok(Self { target: target(head)?, path })
    }
}

/// Checks a path inside a repo; one `/` at its end is left out.
fn inside(path: &str) -> Result<String, Error> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let bad = |part: &str| {
        matches!(part, "" | "." | "..") || part.chars().any(|c| c.is_control() || c == '\\')
    };
    if path.len() > limits::REPO_PATH_MAX || path.split('/').any(bad) {
        return Err(Error::Inside { path: path.chars().take(200).collect() });
    }
    Ok(path.to_owned())
}

/// Whether nobody would call a repo so: as long as a CID, and beginning like one.
fn looks_like_cid(text: &str) -> bool {
    let long = text.len() >= 44 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    long && ["Qm", "baf", "bagu", "zdj", "k51"].iter().any(|start| text.starts_with(start))
}

/// Whether text can be nothing but a publisher's id.
fn is_publisher(text: &str) -> bool {
    text.starts_with("did:") || text.starts_with("tuf:")
}

fn target(head: &str) -> Result<Target, Error> {
    let (repo, revision) = match head.split_once('@') {
        Some((repo, revision)) => (repo, Some(revision)),
        None => (head, None),
    };
    if let Some(cid) = parse_cid(repo) {
        if let Some(revision) = revision {
            return Err(Error::Revision { cid: repo.to_owned(), revision: revision.to_owned() });
        }
        return match cid.codec() {
            RAW | DAG_PB => Ok(Target::Cid(cid)),
            DAG_JSON => Ok(Target::Card(cid)),
            codec => Err(Error::Codec { cid: repo.to_owned(), codec }),
        };
    }
    let revision = revision.map_or(Ok(Revision::Head), str::parse)?;
    let Some((publisher, name)) = repo.split_once('/') else {
        if is_publisher(repo) || repo.parse::<Identity>().is_ok() {
            return Err(Error::NoRepo { publisher: repo.to_owned() });
        }
        if looks_like_cid(repo) {
            return Err(Error::BrokenCid { text: repo.to_owned() });
        }
        return Ok(Target::Local { name: repo.parse()?, revision });
    };
    if let Some((_, path)) = name.split_once('/') {
        return Err(Error::Parts { text: head.to_owned(), path: path.to_owned() });
    }
    let publisher = if is_publisher(publisher) {
        Publisher::Id(publisher.parse()?)
    } else {
        match publisher.parse() {
            Ok(id) => Publisher::Id(id),
            Err(identity::Error::Key(did::Error::Form { .. })) => {
                Publisher::Alias(publisher.parse()?)
            }
            Err(error) => return Err(error.into()),
        }
    };
    Ok(Target::Repo { publisher, name: name.parse()?, revision })
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(alias) => alias.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("main"),
            Self::Commit(commit) => commit.fmt(f),
            Self::Cid(cid) => cid.fmt(f),
            Self::Version(version) => version.fmt(f),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revision = match &self.target {
            Target::Cid(cid) | Target::Card(cid) => {
                write!(f, "{cid}")?;
                &Revision::Head
            }
            Target::Local { name, revision } => {
                write!(f, "{name}")?;
                revision
            }
            Target::Repo { publisher, name, revision } => {
                write!(f, "{publisher}/{name}")?;
                revision
            }
        };
        if *revision != Revision::Head {
            write!(f, "@{revision}")?;
        }
        match &self.path {
            Some(path) => write!(f, ":{path}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOT: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
    const CARD: &str = "baguqeeraxg75mgiqm4g6sgbh44hcv5qvjhcwv6tpcjllfzg5ho7qngkhx2lq";
    const LAB: &str = "tuf:bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    const PART: &str = "z6MksvN6MJFuZNy4ZeZfaCZtEoSY9ButFSLqMMJ4GTNa62ht";

    fn parsed(text: &str) -> Reference {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn repo(text: &str) -> (Publisher, String, Revision, Option<String>) {
        let Reference { target, path } = parsed(text);
        let Target::Repo { publisher, name, revision } = target else { panic!("{text}") };
        (publisher, name.to_string(), revision, path)
    }

    #[test]
    fn a_cid_is_content_or_a_card_by_its_codec() {
        assert_eq!(parsed(ROOT).target, Target::Cid(ROOT.parse().unwrap()));
        let v0 = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n";
        assert_eq!(parsed(v0).target, Target::Cid(v0.parse().unwrap()));
        assert_eq!(parsed(CARD).target, Target::Card(CARD.parse().unwrap()));
        let inside = parsed(&format!("{ROOT}:1_Pooling/config.json"));
        assert_eq!(inside.target, Target::Cid(ROOT.parse().unwrap()));
        assert_eq!(inside.path.as_deref(), Some("1_Pooling/config.json"));
        let ipns = "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8";
        assert!(matches!(ipns.parse::<Reference>(), Err(Error::Codec { codec: 0x72, .. })));
    }

    #[test]
    fn publishers_are_aliases_dids_or_their_parts() {
        let id: Identity = PART.parse().unwrap();
        let lab: Identity = LAB.parse().unwrap();
        let alias = Publisher::Alias("acme".parse().unwrap());
        for (text, publisher) in [
            ("acme/tiny".to_owned(), alias),
            (format!("{PART}/tiny"), Publisher::Id(id)),
            (format!("did:key:{PART}/tiny"), Publisher::Id(id)),
            (format!("{LAB}/tiny"), Publisher::Id(lab)),
        ] {
            let expected = (publisher, "tiny".to_owned(), Revision::Head, None);
            assert_eq!(repo(&text), expected, "{text}");
            let with_path = (expected.0, expected.1, Revision::Head, Some("a:b/c".to_owned()));
            assert_eq!(repo(&format!("{text}:a:b/c")), with_path);
            assert_eq!(repo(&format!("{text}@1.0:x")).3.as_deref(), Some("x"));
        }
    }

    #[test]
    fn revisions_are_told_apart() {
        let commit = "27abf6354cde455f6debd1e318d1fd0f42d92359";
        let revision = |text: &str| repo(&format!("acme/tiny@{text}")).2;
        assert_eq!(revision("main"), Revision::Head);
        assert_eq!(revision("HEAD"), Revision::Head);
        assert_eq!(revision(commit), Revision::Commit(commit.parse().unwrap()));
        assert_eq!(revision(ROOT), Revision::Cid(ROOT.parse().unwrap()));
        assert_eq!(revision("1.0+a"), Revision::Version("1.0+a".parse().unwrap()));
        assert_eq!(revision("1.0").short_commit(), None);
        assert_eq!(revision("27ab").short_commit(), Some("27ab"));
        assert_eq!(revision("27a").short_commit(), None);
    }

    #[test]
    fn a_bare_name_is_of_the_local_library() {
        let local = |text: &str| match parsed(text).target {
            Target::Local { name, revision } => (name.to_string(), revision.to_string()),
            other => panic!("{other:?}"),
        };
        assert_eq!(local("tiny-chat"), ("tiny-chat".into(), "main".into()));
        assert_eq!(local("tiny-chat@2"), ("tiny-chat".into(), "2".into()));
        assert_eq!(parsed("tiny:config.json").path.as_deref(), Some("config.json"));
        assert_eq!(parsed("tiny:sub/").path.as_deref(), Some("sub"));
    }

    #[test]
    fn what_starts_like_a_path_is_a_path() {
        for text in ["/a", "./a", "../a", "~", "~/a", ".", ".."] {
            assert_eq!(text.parse(), Ok(RefOrPath::Path(text.to_owned())));
            assert!(matches!(text.parse::<Reference>(), Err(Error::IsPath { .. })));
        }
        assert!(matches!("a/b".parse(), Ok(RefOrPath::Ref(_))));
    }

    #[test]
    fn errors_say_what_to_change() {
        let message = |text: &str| text.parse::<Reference>().unwrap_err().to_string();
        assert!(message(&format!("did:key:{PART}")).contains("add the repo"));
        assert!(message(PART).contains("add the repo"));
        assert!(message("acme/tiny/config.json").contains("PUBLISHER/NAME:config.json"));
        assert!(message(&format!("{ROOT}@1")).contains("leave out @1"));
        assert!(message("acme/").contains("repo name"));
        assert!(message("/").contains("path"));
        assert!(message("api/x").contains("reserved"));
        assert!(message("a b").contains("' '"));
        assert!(message("did:web:x/y").contains("did:key"));
        assert!(message("acme/x@").contains("version"));
        for path in ["", "/a", "a//b", "..", "a/../b", "a\u{1b}", "a\\b"] {
            assert!(message(&format!("acme/x:{path}")).contains("inside"), "{path}");
        }
        assert_eq!("".parse::<Reference>(), Err(Error::Empty));
    }

    proptest! {
        #[test]
        fn any_text_never_panics_and_what_is_read_prints_back(text in "\\PC{0,60}|[a-z:@/.]{0,30}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse(), Ok(reference));
            }
        }
    }
}
