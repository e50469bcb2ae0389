//! What `seed` signs next: nothing if nothing changed, else the card after the head.

use crate::card::envelope::Verified;
use crate::card::name::Version;
use crate::card::statement::{Kind, Status};
use crate::dag::Cid;

/// What `seed` was asked to state. Metadata is not in it: it follows from the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The tree.
    pub root: Cid,
    /// What it holds.
    pub kind: Kind,
    /// The licence, from flag or front matter.
    pub license: Option<String>,
    /// Keys for companions.
    pub companion_keys: Vec<String>,
    /// The version, if one was given.
    pub version: Option<Version>,
    /// What is said of it.
    pub status: Status,
    /// Forks that it settles.
    pub resolves: Vec<Cid>,
    /// Sign anew though nothing changed: the head's signature no longer counts by itself.
    pub renew: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The head says all of it: its release again, nothing is signed.
    Unchanged,
    /// Sign this place in the chain.
    Sign {
        /// One above the head's.
        seq: u64,
        /// The head.
        prev: Option<Cid>,
        /// As given, else the `seq`.
        version: Version,
    },
}

/// A version names one state of a repo for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version {version} of this repo exists already; choose another with --version")]
pub struct VersionUsed {
    /// The version.
    pub version: Version,
}

/// Decides between the head and the next card. `head` is the repo's newest card by this very publisher and name;
/// `used` says whether a version stands in any of its cards.
///
/// # Errors
/// [`VersionUsed`].
pub fn next(
    head: Option<&Verified>,
    intent: &Intent,
    used: impl Fn(&Version) -> bool,
) -> Result<Next, VersionUsed> {
    if let Some(head) = head.map(Verified::statement) {
        let unchanged = !intent.renew
            && head.root == intent.root
            && head.kind == intent.kind
            && head.license == intent.license
            && head.companion_keys == intent.companion_keys
            && head.status == intent.status
            && intent.version.as_ref().is_none_or(|version| *version == head.version)
            && (intent.resolves.is_empty() || intent.resolves == head.resolves);
        if unchanged {
            return Ok(Next::Unchanged);
        }
    }
    // A seq at the very end of its range is refused by the statement's own check when it is signed.
    let seq = head.map_or(1, |head| head.statement().seq + 1);
    let version = intent.version.clone().unwrap_or_else(|| Version::of_seq(seq));
    let in_head = head.is_some_and(|head| head.statement().version == version);
    if in_head || used(&version) {
        return Err(VersionUsed { version });
    }
    Ok(Next::Sign { seq, prev: head.map(|head| *head.id()), version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::envelope::tests::{signed, signed_with};
    use crate::dag::block::{DAG_PB, cid_v1, sha256};

    fn same_as(head: &Verified) -> Intent {
        let head = head.statement();
        Intent {
            root: head.root,
            kind: head.kind,
            license: head.license.clone(),
            companion_keys: head.companion_keys.clone(),
            version: None,
            status: head.status,
            resolves: Vec::new(),
            renew: false,
        }
    }

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_card_has_seq_one_and_no_predecessor() {
        let sign = Next::Sign { seq: 1, prev: None, version: version("1") };
        assert_eq!(next(None, &same_as(&signed()), |_| false), Ok(sign));
    }

    #[test]
    fn nothing_changed_signs_nothing() {
        let head = signed();
        assert_eq!(next(Some(&head), &same_as(&head), |_| true), Ok(Next::Unchanged));
        let named = Intent { version: Some(version("1.0.0")), ..same_as(&head) };
        assert_eq!(next(Some(&head), &named, |_| true), Ok(Next::Unchanged));
    }

    #[test]
    fn each_change_is_the_next_card() {
        let head = signed();
        let same = same_as(&head);
        let key = "did:key:zDnaecTtrTPjLd5yTUe66dbRfg36asw7bWJDoY2cU6kvDYMDZ".to_owned();
        let changes = [
            Intent { root: cid_v1(DAG_PB, sha256(b"other")), ..same.clone() },
            Intent { kind: Kind::Dataset, ..same.clone() },
            Intent { license: None, ..same.clone() },
            Intent { companion_keys: vec![key], ..same.clone() },
            Intent { status: Status::Withdrawn, ..same.clone() },
            Intent { resolves: vec![*head.id()], ..same.clone() },
            Intent { renew: true, ..same.clone() },
        ];
        for intent in changes {
            let sign = Next::Sign { seq: 2, prev: Some(*head.id()), version: version("2") };
            assert_eq!(next(Some(&head), &intent, |_| false), Ok(sign), "{intent:?}");
        }
        let named = Intent { version: Some(version("1.1")), ..same };
        let sign = Next::Sign { seq: 2, prev: Some(*head.id()), version: version("1.1") };
        assert_eq!(next(Some(&head), &named, |_| false), Ok(sign));
    }

    #[test]
    fn a_version_is_used_once() {
        let head = signed_with(|statement| statement.version = version("1.1"));
        let other = Intent { root: cid_v1(DAG_PB, sha256(b"other")), ..same_as(&head) };
        let again = Intent { version: Some(version("1.1")), ..other.clone() };
        let used = VersionUsed { version: version("1.1") };
        assert_eq!(next(Some(&head), &again, |_| false), Err(used));
        let older = Intent { version: Some(version("0.9")), ..other.clone() };
        assert!(next(Some(&head), &older, |v| v.as_str() == "0.9").is_err());
        // Somebody called an earlier one "2": the default does not take it a second time.
        assert!(next(Some(&head), &other, |v| v.as_str() == "2").is_err());
    }
}
