//! Whether a lab's card holds, given who signed it and which roots came later.
//!
//! A card names the version of the root that it is signed under, and that claim is its signer's: whoever stole a key
//! could name an old version for ever. So a card holds by itself only if every root from that version to the head
//! would take its signatures. Once a newer root would not (it dropped the key, or asks for more of them), the card
//! holds only as a `prev`-ancestor of a card that is signed under that root or a later one and holds by itself: then
//! the lab's present keys vouch for it. Issue on provenance, point 5.

use std::collections::BTreeSet;

use crate::card::did::PublisherId;
use crate::dag::Cid;

use super::Publisher;

/// What of a verified card counts here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Its id.
    pub card: Cid,
    /// The card before it.
    pub prev: Option<Cid>,
    /// The version of the lab's root that it names.
    pub root_version: u64,
    /// Whose valid signatures over this very payload are known.
    pub signers: BTreeSet<PublisherId>,
}

/// How a card holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// By its own signatures.
    Direct,
    /// Since then a root no longer takes its signatures; a later card vouches for it.
    Ancestor {
        /// The version of the root that no longer does.
        since: u64,
        /// The card that vouches.
        of: Cid,
    },
}

/// Why a card does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// It names a root that the document at hand does not have: look for a newer document.
    #[error(
        "the card is signed under version {version} of the publisher's root, and the newest known is {head}; a newer publisher.json is needed"
    )]
    UnknownRoot {
        /// What it names.
        version: u64,
        /// The newest known.
        head: u64,
    },
    /// It never held.
    #[error(
        "the card has {have} of the {need} signatures that version {version} of the publisher's root asks for"
    )]
    NotEnough {
        /// Keys for cards that signed.
        have: usize,
        /// How many it takes.
        need: usize,
        /// The version that it names.
        version: u64,
    },
    /// It held once, and no newer card that holds follows it.
    #[error(
        "the card's signatures no longer count since version {since} of the publisher's root, and no card signed under that root is known to follow it"
    )]
    Dropped {
        /// The first version that does not take them.
        since: u64,
    },
}

impl Publisher {
    /// Whether a card of this lab holds. `descendants` are verified cards of the same repo, the card's child first;
    /// what does not name the one before it in `prev` ends the chain.
    ///
    /// # Errors
    /// [`Objection`].
    pub fn standing(&self, card: &Signed, descendants: &[Signed]) -> Result<Standing, Objection> {
        let Some(since) = self.turned_down(card)? else { return Ok(Standing::Direct) };
        let parents = std::iter::once(card).chain(descendants);
        let chain = descendants
            .iter()
            .zip(parents)
            .take_while(|(child, parent)| child.prev == Some(parent.card))
            .map(|(child, _)| child);
        let vouches =
            |child: &&Signed| child.root_version >= since && self.turned_down(child) == Ok(None);
        match chain.into_iter().find(vouches) {
            Some(child) => Ok(Standing::Ancestor { since, of: child.card }),
            None => Err(Objection::Dropped { since }),
        }
    }

    /// Whether the root that the card names takes its signatures; later ones may not, see [`Publisher::standing`].
    ///
    /// # Errors
    /// [`Objection::UnknownRoot`], [`Objection::NotEnough`].
    pub fn takes(&self, card: &Signed) -> Result<(), Objection> {
        self.turned_down(card).map(drop)
    }

    /// The first root after the card's own that does not take its signatures.
    fn turned_down(&self, card: &Signed) -> Result<Option<u64>, Objection> {
        let version = card.root_version;
        let unknown = || Objection::UnknownRoot { version, head: self.head().version };
        let own = &self.root(version).ok_or_else(unknown)?.content.cards;
        if !own.is_met(&card.signers) {
            let (have, need) = (own.count(&card.signers), own.threshold);
            return Err(Objection::NotEnough { have, need, version });
        }
        let later = self.roots.iter().filter(|root| root.version > version);
        let refusing = later.into_iter().find(|root| !root.content.cards.is_met(&card.signers));
        Ok(refusing.map(|root| root.version))
    }
}
