//! Whether what a node hands over to be signed is what the user's command is about: the repo that was named, the files
//! that lie there, after the card that was the newest before.
//!
//! For commands that hold the key while another process, the daemon, makes the cards. They know what was typed and what
//! they found out by themselves; what is handed over must agree with all of it, or is not signed. An index is a hint that
//! no reader believes without its cards: of it only what this command signed is compared. Pure.

use crate::dag::Cid;
use crate::dag::block::{DAG_JSON, cid_v1, sha256};

use super::envelope::Unsigned;
use super::identity::Identity;
use super::index::Index;
use super::name::{RepoName, Version};
use super::statement::{Kind, Status};

/// What is not signed, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The command is about no repo.
    #[error("the daemon asks for a card to be signed, and this command signs none")]
    NoCard,
    /// More cards than a command makes.
    #[error("the daemon asks for more cards to be signed than one command makes")]
    TooMany,
    /// Something differs.
    #[error(
        "the daemon asks for a signature of another {field} than this command is about: {found}, expected {expected}"
    )]
    Other {
        /// What.
        field: &'static str,
        /// What was handed over.
        found: String,
        /// What it should be.
        expected: String,
    },
}

/// What a command knows of the repo that it is about. None: not known, and not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    /// Its name.
    pub name: RepoName,
    /// The version that was given.
    pub version: Option<Version>,
    /// The kind that was given.
    pub kind: Option<Kind>,
    /// The licence that was given.
    pub license: Option<String>,
    /// The card to sign after, if one was given.
    pub onto: Option<Cid>,
    /// What is said of the version; `active` if nothing else.
    pub status: Status,
    /// Of these roots one is signed: what the files gave here.
    pub roots: Option<Vec<Cid>>,
    /// The newest card before; inside, none if there is none.
    pub head: Option<Option<Cid>>,
    /// Cards that the command signs at most; beyond one, the newest version again after an older one's new state.
    pub cards: usize,
}

impl Repo {
    /// A repo of which nothing else is known.
    pub fn new(name: RepoName) -> Self {
        Self {
            name,
            version: None,
            kind: None,
            license: None,
            onto: None,
            status: Status::Active,
            roots: None,
            head: None,
            cards: 1,
        }
    }
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    publisher: Identity,
    repo: Option<Repo>,
    signed: Vec<Cid>,
}

impl Call {
    /// A command of this publisher's; with a repo if it signs cards.
    pub fn new(publisher: Identity, repo: Option<Repo>) -> Self {
        Self { publisher, repo, signed: Vec::new() }
    }

    /// Consents to a card. The next one must follow on it.
    ///
    /// # Errors
    /// Every [`Refused`].
    pub fn card(&mut self, unsigned: &Unsigned) -> Result<(), Refused> {
        let repo = self.repo.as_ref().ok_or(Refused::NoCard)?;
        if self.signed.len() >= repo.cards {
            return Err(Refused::TooMany);
        }
        let statement = unsigned.statement();
        same("publisher", &statement.publisher, Some(&self.publisher))?;
        same("name", &statement.name, Some(&repo.name))?;
        let after = match (self.signed.last(), repo.onto) {
            (Some(signed), _) => Some(Some(*signed)),
            (None, Some(onto)) => Some(Some(onto)),
            (None, None) => repo.head,
        };
        let text = |card: &Option<Cid>| card.map_or("none".to_owned(), |card| card.to_string());
        same("predecessor", &text(&statement.prev), after.as_ref().map(text).as_ref())?;
        if let Some(roots) = &repo.roots
            && !roots.contains(&statement.root)
        {
            let expected = roots.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
            return Err(Refused::Other {
                field: "root",
                found: statement.root.to_string(),
                expected,
            });
        }
        // The newest version again, after an older one's new state, says what it said.
        if self.signed.is_empty() {
            same("status", &statement.status.as_str(), Some(&repo.status.as_str()))?;
            same("version", &statement.version, repo.version.as_ref())?;
            same("kind", &statement.kind.as_str(), repo.kind.map(Kind::as_str).as_ref())?;
            let license = statement.license.clone().unwrap_or_default();
            same("licence", &license, repo.license.as_ref())?;
        }
        self.signed.push(cid_v1(DAG_JSON, sha256(unsigned.payload())));
        Ok(())
    }

    /// Consents to a record that points to this index.
    ///
    /// # Errors
    /// [`Refused::Other`].
    pub fn index(&self, index: &Index) -> Result<(), Refused> {
        same("publisher", index.publisher(), Some(&self.publisher))?;
        if let (Some(repo), Some(signed)) = (&self.repo, self.signed.last())
            // On a fork that the user chose, the index may stay with the other branch.
            && repo.onto.is_none()
            && let Some(newest) = index.versions(&repo.name).first()
        {
            same("card in the index", &newest.card, Some(signed))?;
        }
        Ok(())
    }
}

fn same<T: PartialEq + ToString>(
    field: &'static str,
    found: &T,
    expected: Option<&T>,
) -> Result<(), Refused> {
    match expected {
        Some(expected) if expected != found => {
            Err(Refused::Other { field, found: found.to_string(), expected: expected.to_string() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Statement;
    use crate::card::index::Scope;
    use crate::card::statement::tests::sample;
    use crate::config::Visibility;
    use crate::dag::block::DAG_PB;

    fn unsigned(change: impl FnOnce(&mut Statement)) -> Unsigned {
        let mut statement = sample();
        change(&mut statement);
        Unsigned::new(statement).unwrap()
    }

    fn repo() -> Repo {
        let statement = sample();
        Repo {
            version: Some(statement.version.clone()),
            kind: Some(statement.kind),
            license: statement.license.clone(),
            roots: Some(vec![statement.root]),
            head: Some(statement.prev),
            ..Repo::new(statement.name)
        }
    }

    fn field(refused: Result<(), Refused>) -> &'static str {
        match refused.unwrap_err() {
            Refused::Other { field, .. } => field,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_the_command_is_about_is_signed_and_nothing_else() {
        let call = Call::new(sample().publisher, Some(repo()));
        assert_eq!(call.clone().card(&unsigned(|_| {})), Ok(()));
        let other = cid_v1(DAG_PB, sha256(b"other weights"));
        let card = cid_v1(DAG_JSON, sha256(b"another card"));
        let of = |change: &dyn Fn(&mut Statement)| field(call.clone().card(&unsigned(change)));
        assert_eq!(of(&|it| it.name = "other".parse().unwrap()), "name");
        assert_eq!(of(&|it| it.root = other), "root");
        assert_eq!(of(&|it| (it.seq, it.prev) = (2, Some(card))), "predecessor");
        assert_eq!(of(&|it| it.status = Status::Withdrawn), "status");
        assert_eq!(of(&|it| it.version = "9".parse().unwrap()), "version");
        assert_eq!(of(&|it| it.kind = Kind::Dataset), "kind");
        assert_eq!(of(&|it| it.license = Some("WTFPL".into())), "licence");
        let stranger = *crate::card::tuf::tests::first().id();
        let theirs = Call::new(stranger.into(), Some(repo()));
        assert_eq!(field(theirs.clone().card(&unsigned(|_| {}))), "publisher");
        let none = Call::new(sample().publisher, None).card(&unsigned(|_| {}));
        assert_eq!(none, Err(Refused::NoCard));
    }

    #[test]
    fn a_second_card_follows_on_the_first_and_there_is_no_third() {
        let mut one = Call::new(sample().publisher, Some(repo()));
        one.card(&unsigned(|_| {})).unwrap();
        assert_eq!(one.card(&unsigned(|_| {})), Err(Refused::TooMany));
        let mut call = Call::new(sample().publisher, Some(Repo { cards: 2, ..repo() }));
        let first = unsigned(|_| {});
        call.card(&first).unwrap();
        assert_eq!(
            field(call.clone().card(&unsigned(|it| it.version = "2".parse().unwrap()))),
            "predecessor"
        );
        let first = cid_v1(DAG_JSON, sha256(first.payload()));
        let second = unsigned(|it| {
            (it.seq, it.prev) = (2, Some(first));
            it.version = "2".parse().unwrap();
        });
        call.card(&second).unwrap();
        let second = cid_v1(DAG_JSON, sha256(second.payload()));
        let third = unsigned(|it| (it.seq, it.prev) = (3, Some(second)));
        assert_eq!(call.card(&third), Err(Refused::TooMany));
    }

    #[test]
    fn the_index_lists_the_card_that_was_signed() {
        let mut call = Call::new(sample().publisher, Some(repo()));
        let empty = Index::new(sample().publisher, Scope::Lan);
        let card = crate::card::envelope::tests::signed();
        let release = cid_v1(DAG_PB, sha256(b"release"));
        let listed = empty.with(&card, release, Visibility::Lan).unwrap();
        assert_eq!(call.index(&listed), Ok(()), "nothing was signed: it may be as it was");
        call.card(&unsigned(|it| it.license = repo().license)).unwrap();
        assert_eq!(call.index(&listed), Ok(()));
        assert_eq!(call.index(&empty), Ok(()), "it is shared less far");
        let mut other = Call::new(sample().publisher, Some(Repo::new(sample().name)));
        other.card(&unsigned(|it| it.version = "another".parse().unwrap())).unwrap();
        assert_eq!(field(other.index(&listed)), "card in the index");
    }
}
