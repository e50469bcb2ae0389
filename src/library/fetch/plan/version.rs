//! Which card stands for files that several cards are over: the newest that was accepted, whichever came last. The others
//! are noted, so that their releases and versions lead to the files too. Design section 5.

use super::{super::origin::Origin, repo_of};
use crate::{
    card::{
        Verified,
        policy::{Admission, Refusal},
    },
    dag::Cid,
    library::{
        Library, chain,
        note::{Note, Over},
    },
    rpc::{Failure, Kind},
    store::{Repo, Tree},
};

/// What of a tree is its card's: all fields are none where it has none.
pub(super) struct Version {
    pub(super) release: Option<Cid>,
    pub(super) card: Option<Cid>,
    pub(super) repo: Option<Repo>,
    pub(super) kind: Kind,
    pub(super) version: Option<String>,
    pub(super) seq: Option<u64>,
}

impl Version {
    pub(super) fn new(origin: &Origin) -> Self {
        let statement = origin.card.as_ref().map(Verified::statement);
        Self {
            release: origin.release,
            card: origin.card.as_ref().map(|card| *card.id()),
            repo: statement.map(repo_of),
            kind: statement.map(|statement| statement.kind).unwrap_or_default(),
            version: statement.map(|statement| statement.version.to_string()),
            seq: statement.map(|statement| statement.seq),
        }
    }

    pub(super) fn of(tree: &Tree) -> Self {
        Self {
            release: tree.release,
            card: tree.card,
            repo: tree.repo.clone(),
            kind: tree.kind,
            version: tree.version.clone(),
            seq: tree.seq,
        }
    }

    /// As a card beside the one that stands for the files.
    fn over(self) -> Option<Over> {
        Some(Over {
            card: self.card?.to_string(),
            release: self.release.map(|release| release.to_string()),
            version: self.version?,
            seq: self.seq?,
        })
    }
}

/// The cards over the files of an origin besides the one that stands for them: those known before, the one that led here,
/// and what its publisher's index lists.
pub(super) fn over(known: Option<&Tree>, origin: &Origin, stands: Option<Cid>) -> Vec<Over> {
    let came = Version::new(origin);
    let mut all = Vec::new();
    if let Some(known) = known.filter(|known| known.repo == came.repo) {
        all = Note::of(known).over;
        all.extend(Version::of(known).over());
    }
    all.extend(came.over());
    all.extend(origin.later.as_ref().map(|later| Over {
        card: later.id().to_string(),
        release: None,
        version: later.statement().version.to_string(),
        seq: later.statement().seq,
    }));
    let stands = stands.map(|card| card.to_string());
    all.retain(|over| Some(&over.card) != stands.as_ref());
    let mut note = Note::default();
    all.into_iter().for_each(|over| note.add_over(over));
    note.over
}

/// Whether the card of a version goes on standing for its files when another card over them comes: the newest that was
/// accepted does, and one that was not stands behind all that were.
pub(super) fn stays(library: &Library, tree: &Tree, came: &Verified) -> Result<bool, Failure> {
    let statement = came.statement();
    if tree.repo != Some(repo_of(statement)) || tree.card == Some(*came.id()) {
        return Ok(false);
    }
    let accepted = match chain::check(library, came, true) {
        Ok(Admission::First { .. } | Admission::Known | Admission::Next) => true,
        Ok(Admission::Explicit(refusal)) => matches!(refusal, Refusal::Rollback { .. }),
        // Whoever only reads is not kept from what is refused; it takes no place.
        Err(_) => false,
    };
    let newer = tree.seq > Some(statement.seq);
    Ok(chain::is_accepted(library, tree)? && (newer || !accepted))
}
