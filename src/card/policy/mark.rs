//! The high-water mark of a repo, and the contradictions that are known of it.

use serde::{Deserialize, Serialize};

use crate::card::envelope::Verified;
use crate::dag::Cid;
use crate::limits;

/// The highest card of one publisher's repo that was accepted as its head. It never falls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its place in the chain.
    pub seq: u64,
    /// Its id, as text: what keeps two cards of one `seq` apart.
    #[serde(with = "cid_text")]
    pub card: Cid,
    /// Other cards of that place, by the same key; empty in an honest chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "cid_list")]
    pub twins: Vec<Cid>,
    /// Places below where the key said two things, the lowest first, until a card settles them. With the twins they name at
    /// most [`limits::RESOLVES_MAX`] cards, as many as one card can settle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<Fork>,
}

/// A place in a chain that several cards of one key claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The place.
    pub seq: u64,
    /// The cards, at least two; the first is the one that was accepted.
    #[serde(with = "cid_list")]
    pub cards: Vec<Cid>,
}

impl Mark {
    /// The mark that a card makes.
    pub fn of(card: &Verified) -> Self {
        let (seq, card) = (card.statement().seq, *card.id());
        Self { seq, card, twins: Vec::new(), forks: Vec::new() }
    }

    /// The highest place that `main` may stand for: all cards up to there are agreed upon. 0: none is.
    pub fn head(&self) -> u64 {
        let disputed = self.contradictions().first().map(|fork| fork.seq);
        disputed.map_or(self.seq, |seq| seq.saturating_sub(1))
    }

    /// Whether nothing contradicts the chain up to the mark.
    pub fn is_agreed(&self) -> bool {
        self.twins.is_empty() && self.forks.is_empty()
    }

    /// What contradicts the chain up to the mark, the lowest place first.
    pub fn contradictions(&self) -> Vec<Fork> {
        let mut all = self.forks.clone();
        if !self.twins.is_empty() {
            let cards = std::iter::once(self.card).chain(self.twins.iter().copied()).collect();
            all.push(Fork { seq: self.seq, cards });
        }
        all
    }

    /// The mark with the proof that `other` is a second card of its place; the same one if that is known, or no room.
    #[must_use]
    pub fn with_twin(&self, other: Cid) -> Self {
        self.with_fork(self.seq, self.card, other)
    }

    /// The mark with the proof that `other` claims a place up to its own besides `known`, which was accepted there; the same
    /// one if that is known, or no room.
    #[must_use]
    pub fn with_fork(&self, seq: u64, known: Cid, other: Cid) -> Self {
        let mut mark = self.clone();
        if seq > self.seq || known == other {
            return mark;
        }
        if seq == self.seq {
            if other != mark.card && !mark.twins.contains(&other) {
                mark.twins.push(other);
            }
        } else {
            let at = mark.forks.partition_point(|fork| fork.seq < seq);
            match mark.forks.get_mut(at).filter(|fork| fork.seq == seq) {
                Some(fork) if fork.cards.contains(&other) => {}
                Some(fork) => fork.cards.push(other),
                None => mark.forks.insert(at, Fork { seq, cards: vec![known, other] }),
            }
        }
        let cards: usize = mark.contradictions().iter().map(|fork| fork.cards.len()).sum();
        if cards <= limits::RESOLVES_MAX { mark } else { self.clone() }
    }

    /// Whether this mark still names all that another of the same card has against it.
    pub fn keeps(&self, other: &Self) -> bool {
        let now = self.contradictions();
        other.contradictions().iter().all(|was| {
            let same = now.iter().find(|fork| fork.seq == was.seq);
            same.is_some_and(|fork| was.cards.iter().all(|card| fork.cards.contains(card)))
        })
    }
}

mod cid_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::card::json::parse_cid;
    use crate::dag::Cid;

    pub(super) fn serialize<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(cid)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cid, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_cid(&text).ok_or_else(|| de::Error::custom("not a CID"))
    }
}

mod cid_list {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};

    use crate::card::json::parse_cid;
    use crate::dag::Cid;

    pub(super) fn serialize<S: Serializer>(cids: &[Cid], serializer: S) -> Result<S::Ok, S::Error> {
        cids.iter().map(ToString::to_string).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Cid>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let cids: Option<Vec<Cid>> = texts.iter().map(|text| parse_cid(text)).collect();
        cids.ok_or_else(|| de::Error::custom("not a CID"))
    }
}
