//! What a claim is about: a card and its tree, or a tree alone.

use crate::card::envelope::Verified;
use crate::card::manifest::TreeDigests;
use crate::card::name::RepoName;
use crate::dag::Cid;

/// What a claim is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A card and its tree.
    Card {
        /// The card's id.
        card: Cid,
        /// The tree.
        root: Cid,
        /// The repo's name, as the card states it.
        name: RepoName,
        /// The digests of the tree, as the card states them.
        tree: TreeDigests,
    },
    /// A tree that no card is known for.
    Root(Cid),
}

impl Subject {
    /// A card.
    pub fn of_card(card: &Verified) -> Self {
        let statement = card.statement();
        Self::Card {
            card: *card.id(),
            root: version_1(&statement.root),
            name: statement.name.clone(),
            tree: statement.tree,
        }
    }

    /// A tree without a card.
    pub fn of_root(root: &Cid) -> Self {
        Self::Root(version_1(root))
    }

    /// The card, if one is meant.
    pub fn card(&self) -> Option<&Cid> {
        match self {
            Self::Card { card, .. } => Some(card),
            Self::Root(_) => None,
        }
    }

    /// The tree, as version 1 of its CID.
    pub fn root(&self) -> &Cid {
        match self {
            Self::Card { root, .. } | Self::Root(root) => root,
        }
    }

    /// Whether this is about this tree and, if it names this card, about the card as it is: an endorser who puts another
    /// tree or other digests beside a card's id says nothing of either.
    pub fn is_of(&self, root: &Cid, card: Option<&Verified>) -> bool {
        let same_card = match (self, card) {
            (Self::Card { card: id, .. }, Some(card)) if id == card.id() => {
                *self == Self::of_card(card)
            }
            _ => true,
        };
        self.root().hash() == root.hash() && same_card
    }
}

/// `Qm…` and its `bafy…` are one tree.
fn version_1(cid: &Cid) -> Cid {
    Cid::new_v1(cid.codec(), *cid.hash())
}
