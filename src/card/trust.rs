//! The publishers that the user trusts: the words of `trust.toml` and what follows from them.
//!
//! Only the user makes trust (`trust add ALIAS DID`); a first contact, a signature or a name never does (design
//! section 5). Fields that later versions write here are kept. Reading and writing the file is `cli`'s and `library`'s.

use serde::{Deserialize, Serialize};

use crate::limits;

use super::did::PublisherId;
use super::name::Alias;

/// Why a trust list is not read or not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the TOML that we write.
    #[error("the trust list cannot be read: {0}")]
    Syntax(String),
    /// The alias means another key.
    #[error("the alias {alias} is taken by {id}; remove it first: modelswarm trust rm {alias}")]
    AliasTaken {
        /// The alias.
        alias: Alias,
        /// Whose it is.
        id: PublisherId,
    },
    /// The key has another alias.
    #[error("{id} is trusted as {alias} already; remove that first: modelswarm trust rm {alias}")]
    IdTaken {
        /// The key.
        id: PublisherId,
        /// Its alias.
        alias: Alias,
    },
    /// More publishers than are kept.
    #[error("more than {max} trusted publishers", max = limits::TRUSTED_PUBLISHERS_MAX)]
    TooMany,
}

/// A publisher that the user trusts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trusted {
    /// The user's word for it.
    pub alias: Alias,
    /// Its key.
    pub id: PublisherId,
    /// What other versions keep here (`models`, `evidence`, `pinned`, …).
    #[serde(flatten)]
    other: toml::Table,
}

/// `trust.toml`: `[[publisher]]` with `alias` and `id`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrustList {
    // Before the tables: TOML wants plain values first.
    #[serde(flatten)]
    other: toml::Table,
    #[serde(default, rename = "publisher")]
    publishers: Vec<Trusted>,
}

impl TrustList {
    /// Reads `trust.toml`; every alias and every key stands in it once.
    ///
    /// # Errors
    /// Every [`Error`].
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let list: Self = toml::from_str(text).map_err(|e| Error::Syntax(e.to_string()))?;
        if list.publishers.len() > limits::TRUSTED_PUBLISHERS_MAX {
            return Err(Error::TooMany);
        }
        let mut by_alias = std::collections::HashMap::new();
        let mut by_id = std::collections::HashMap::new();
        for Trusted { alias, id, .. } in &list.publishers {
            if let Some(id) = by_alias.insert(alias, *id) {
                return Err(Error::AliasTaken { alias: alias.clone(), id });
            }
            if let Some(alias) = by_id.insert(*id, alias) {
                return Err(Error::IdTaken { id: *id, alias: alias.clone() });
            }
        }
        Ok(list)
    }

    /// The text of `trust.toml`.
    ///
    /// # Errors
    /// [`Error::Syntax`] if kept fields cannot be written again.
    pub fn to_toml(&self) -> Result<String, Error> {
        toml::to_string(self).map_err(|error| Error::Syntax(error.to_string()))
    }

    /// The publishers, in the order in which they were added.
    pub fn publishers(&self) -> &[Trusted] {
        &self.publishers
    }

    /// Trusts a key under an alias. True if that is new; the same pair again changes nothing.
    ///
    /// # Errors
    /// [`Error::AliasTaken`], [`Error::IdTaken`], [`Error::TooMany`].
    pub fn add(&mut self, alias: Alias, id: PublisherId) -> Result<bool, Error> {
        match (self.resolve(&alias), self.alias_of(&id)) {
            (Some(taken), _) if *taken == id => return Ok(false),
            (Some(taken), _) => return Err(Error::AliasTaken { id: *taken, alias }),
            (None, Some(alias)) => return Err(Error::IdTaken { id, alias: alias.clone() }),
            (None, None) => {}
        }
        if self.publishers.len() >= limits::TRUSTED_PUBLISHERS_MAX {
            return Err(Error::TooMany);
        }
        self.publishers.push(Trusted { alias, id, other: toml::Table::new() });
        Ok(true)
    }

    /// Ends the trust under an alias; the key that had it.
    pub fn remove(&mut self, alias: &Alias) -> Option<PublisherId> {
        let at = self.publishers.iter().position(|trusted| trusted.alias == *alias)?;
        Some(self.publishers.remove(at).id)
    }

    /// The key that an alias means.
    pub fn resolve(&self, alias: &Alias) -> Option<&PublisherId> {
        self.publishers.iter().find(|trusted| trusted.alias == *alias).map(|trusted| &trusted.id)
    }

    /// The alias of a trusted key.
    pub fn alias_of(&self, id: &PublisherId) -> Option<&Alias> {
        self.publishers.iter().find(|trusted| trusted.id == *id).map(|trusted| &trusted.alias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    fn id(seed: u8) -> PublisherId {
        PublisherId::try_from(&SigningKey::from_bytes(&[seed; 32]).verifying_key()).unwrap()
    }

    fn alias(text: &str) -> Alias {
        text.parse().unwrap()
    }

    #[test]
    fn an_alias_means_one_key_and_a_key_has_one_alias() {
        let mut list = TrustList::default();
        assert_eq!(list.add(alias("acme"), id(1)), Ok(true));
        assert_eq!(list.add(alias("acme"), id(1)), Ok(false));
        assert_eq!(
            list.add(alias("acme"), id(2)),
            Err(Error::AliasTaken { alias: alias("acme"), id: id(1) })
        );
        assert_eq!(
            list.add(alias("other"), id(1)),
            Err(Error::IdTaken { id: id(1), alias: alias("acme") })
        );
        assert_eq!(list.resolve(&alias("acme")), Some(&id(1)));
        assert_eq!(list.alias_of(&id(1)), Some(&alias("acme")));
        assert_eq!(list.remove(&alias("acme")), Some(id(1)));
        assert_eq!(list.remove(&alias("acme")), None);
        assert_eq!(list, TrustList::default());
    }

    #[test]
    fn a_file_of_a_later_version_keeps_its_fields() {
        let text = format!(
            "[default]\nunknown = \"ask\"\n\n[[publisher]]\nalias = \"acme\"\nid = \"{}\"\n\
             models = [\"*\"]\npinned = 2026-11-22\n",
            id(1)
        );
        let mut list = TrustList::from_toml(&text).unwrap();
        list.add(alias("sbert"), id(2)).unwrap();
        let written = list.to_toml().unwrap();
        for kept in ["unknown = \"ask\"", "models = [\"*\"]", "pinned = 2026-11-22"] {
            assert!(written.contains(kept), "{kept} in {written}");
        }
        assert_eq!(TrustList::from_toml(&written), Ok(list));
        assert_eq!(TrustList::from_toml(""), Ok(TrustList::default()));
    }

    #[test]
    fn a_file_that_contradicts_itself_is_refused() {
        let entry = |name: &str, seed| {
            format!("[[publisher]]\nalias = \"{name}\"\nid = \"{}\"\n", id(seed))
        };
        let twice = entry("a", 1) + &entry("a", 2);
        assert!(matches!(TrustList::from_toml(&twice), Err(Error::AliasTaken { .. })));
        let twice = entry("a", 1) + &entry("b", 1);
        assert!(matches!(TrustList::from_toml(&twice), Err(Error::IdTaken { .. })));
        for text in
            ["[[publisher]]\nalias = \"api\"\nid = \"x\"", "publisher = 1", "=", "[[publisher]]"]
        {
            assert!(matches!(TrustList::from_toml(text), Err(Error::Syntax(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text: String) {
            let _ = TrustList::from_toml(&text).is_ok();
        }
    }
}
