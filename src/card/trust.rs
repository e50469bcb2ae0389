//! Whom and what the user trusts: the words of `trust.toml`, and what follows from them.
//!
//! Only the user makes trust (`trust add ALIAS ID`); a first contact, a signature or a name never does (design
//! section 5). Fields that later versions write here are kept; those that this one does not know are named in
//! [`TrustList::unread`], since a mistyped rule is no rule, and in `[default]` they are an error. [`decide`] is the one place where the rules are applied.
//! Lookups are by hash: a list of ten thousand decides as fast as one of ten. Reading and writing the file is `cli`'s
//! and `library`'s. Provenance 7.8, with the defaults.

mod decide;
mod file;
mod pattern;

use std::collections::HashMap;

use crate::limits;

use super::identity::Identity;
use super::json::shortened;
use super::name::{Alias, RepoName};

use file::File;

pub use decide::{
    CardFacts, Claim, Decision, Facts, Reason, Rule, Weight, decide, decide_publisher,
};
pub use file::{
    Answer, Block, Blocked, Defaults, Endorser, MaxSize, Require, Scope, Trusted, Unknown, Whose,
};
pub use pattern::{NotAPattern, Pattern};

/// Why a trust list is not read or not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the TOML that we write.
    #[error("the trust list cannot be read: {0}")]
    Syntax(String),
    /// The alias means another publisher.
    #[error("the alias {alias} is taken by {id}; remove it first: modelswarm trust rm {alias}")]
    AliasTaken {
        /// The alias.
        alias: Alias,
        /// Whose it is.
        id: Identity,
    },
    /// The publisher has another alias.
    #[error("{id} is trusted as {alias} already; remove that first: modelswarm trust rm {alias}")]
    IdTaken {
        /// The publisher.
        id: Identity,
        /// Its alias.
        alias: Alias,
    },
    /// Two endorsers of one alias or one id.
    #[error(
        "the endorser {alias} ({id}) shares its alias or its id with another; give each one entry"
    )]
    EndorserTwice {
        /// The second one's alias.
        alias: Alias,
        /// Its id.
        id: Identity,
    },
    /// A requirement names nobody: it would never hold, or never apply.
    #[error("a requirement names {alias}, which is no alias of {role} in the trust list")]
    NoSuchAlias {
        /// The alias.
        alias: Alias,
        /// `a publisher` or `an endorser`.
        role: &'static str,
    },
    /// An endorser that a requirement counts on.
    #[error("a requirement counts on the endorser {alias}; remove that from trust.toml first")]
    EndorserNeeded {
        /// The endorser.
        alias: Alias,
    },
    /// More than is kept.
    #[error("more than {max} {what} in the trust list")]
    TooMany {
        /// What.
        what: &'static str,
        /// The bound.
        max: usize,
    },
}

/// The list, whole and without contradictions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrustList {
    file: File,
    index: Index,
}

/// Where things stand in the file.
#[derive(Debug, Clone, Default, PartialEq)]
struct Index {
    publishers: HashMap<Identity, usize>,
    aliases: HashMap<Alias, usize>,
    endorsers: HashMap<Identity, usize>,
    /// By publisher; what is for everyone under none.
    requires: HashMap<Option<Identity>, Vec<usize>>,
    blocks: HashMap<Blocked, usize>,
}

impl Index {
    fn of(file: &File) -> Result<Self, Error> {
        bounded("publishers", file.publishers.len(), limits::TRUSTED_PUBLISHERS_MAX)?;
        bounded("endorsers", file.endorsers.len(), limits::TRUST_RULES_MAX)?;
        bounded("requirements", file.requires.len(), limits::TRUST_RULES_MAX)?;
        bounded("blocks", file.blocks.len(), limits::TRUST_RULES_MAX)?;
        let mut index = Self::default();
        for (at, Trusted { alias, id, scope }) in file.publishers.iter().enumerate() {
            patterns(scope.models.as_ref())?;
            if let Some(first) = index.aliases.insert(alias.clone(), at) {
                let id = file.publishers[first].id;
                return Err(Error::AliasTaken { alias: alias.clone(), id });
            }
            if let Some(first) = index.publishers.insert(*id, at) {
                let alias = file.publishers[first].alias.clone();
                return Err(Error::IdTaken { id: *id, alias });
            }
        }
        let mut endorsers = HashMap::new();
        for (at, Endorser { alias, id, .. }) in file.endorsers.iter().enumerate() {
            let twice = endorsers.insert(alias, at).is_some();
            if index.endorsers.insert(*id, at).is_some() || twice {
                return Err(Error::EndorserTwice { alias: alias.clone(), id: *id });
            }
        }
        for (at, require) in file.requires.iter().enumerate() {
            patterns(require.models.as_ref())?;
            bounded(
                "properties of one requirement",
                require.properties.len(),
                limits::TRUST_PATTERNS_MAX,
            )?;
            bounded(
                "endorsers of one requirement",
                require.any_of.len(),
                limits::TRUST_PATTERNS_MAX,
            )?;
            let unknown = |alias: &Alias, role| Error::NoSuchAlias { alias: alias.clone(), role };
            if let Some(alias) = require.any_of.iter().find(|alias| !endorsers.contains_key(alias))
            {
                return Err(unknown(alias, "an endorser"));
            }
            let whose = match &require.publisher {
                Whose::Everyone => None,
                Whose::Id(id) => Some(*id),
                Whose::Alias(alias) => {
                    let at =
                        index.aliases.get(alias).ok_or_else(|| unknown(alias, "a publisher"))?;
                    Some(file.publishers[*at].id)
                }
            };
            index.requires.entry(whose).or_default().push(at);
        }
        index.blocks = file.blocks.iter().enumerate().map(|(at, block)| (block.id, at)).collect();
        Ok(index)
    }
}

/// Where a file can't be read and why. What the whole file's reading tells of `[default]` names no line; `[default]` read by
/// itself does.
fn syntax(text: &str, error: &toml::de::Error) -> Error {
    #[derive(serde::Deserialize)]
    struct Rules {
        #[serde(default, rename = "default")]
        _default: Defaults,
    }
    let by_itself = toml::from_str::<Rules>(text).err();
    let error = by_itself.as_ref().filter(|it| it.span().is_some()).unwrap_or(error);
    let at = error.span().and_then(|span| text.get(..span.start)).map(|before| {
        let line = before.matches('\n').count();
        let field = text.lines().nth(line).and_then(|line| line.split('=').next());
        format!("line {}, {}: ", line + 1, shortened(field.unwrap_or_default().trim()))
    });
    let why = error.message().replace('\n', " ");
    Error::Syntax(format!("{}{}", at.unwrap_or_default(), shortened(&why)))
}

fn bounded(what: &'static str, len: usize, max: usize) -> Result<(), Error> {
    if len > max { Err(Error::TooMany { what, max }) } else { Ok(()) }
}

fn patterns(models: Option<&Vec<Pattern>>) -> Result<(), Error> {
    bounded("patterns of one entry", models.map_or(0, Vec::len), limits::TRUST_PATTERNS_MAX)
}

impl TrustList {
    /// Reads `trust.toml`; every alias and every publisher stands in it once.
    ///
    /// # Errors
    /// Every [`Error`] but [`Error::EndorserNeeded`].
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        bounded("bytes", text.len(), limits::TRUST_FILE_MAX)?;
        let file: File = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        let index = Index::of(&file)?;
        Ok(Self { file, index })
    }

    /// The text of `trust.toml`.
    ///
    /// # Errors
    /// [`Error::Syntax`] if kept fields cannot be written again.
    pub fn to_toml(&self) -> Result<String, Error> {
        toml::to_string(&self.file).map_err(|error| Error::Syntax(error.to_string()))
    }

    /// Changes the list, or leaves it as it was.
    fn change<T>(&mut self, change: impl FnOnce(&mut File) -> T) -> Result<T, Error> {
        let mut file = self.file.clone();
        let changed = change(&mut file);
        self.index = Index::of(&file)?;
        self.file = file;
        Ok(changed)
    }

    /// The publishers, in the order in which they were added.
    pub fn publishers(&self) -> &[Trusted] {
        &self.file.publishers
    }

    /// The endorsers.
    pub fn endorsers(&self) -> &[Endorser] {
        &self.file.endorsers
    }

    /// The requirements.
    pub fn requires(&self) -> &[Require] {
        &self.file.requires
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Block] {
        &self.file.blocks
    }

    /// What holds where no entry says otherwise.
    pub fn defaults(&self) -> &Defaults {
        &self.file.default
    }

    /// Trusts a publisher under an alias. True if that is new; the same pair again changes nothing.
    ///
    /// # Errors
    /// [`Error::AliasTaken`], [`Error::IdTaken`], [`Error::TooMany`].
    pub fn add(&mut self, alias: Alias, id: impl Into<Identity>) -> Result<bool, Error> {
        let id = id.into();
        if self.identity(&alias) == Some(&id) {
            return Ok(false);
        }
        self.change(|file| file.publishers.push(Trusted { alias, id, scope: Scope::default() }))?;
        Ok(true)
    }

    /// Ends the trust under an alias; the publisher that had it. Requirements that named it by this alias name it by
    /// its id from then on: ending trust lifts no rule.
    pub fn remove(&mut self, alias: &Alias) -> Option<Identity> {
        let at = *self.index.aliases.get(alias)?;
        let removed = self.change(|file| {
            let id = file.publishers.remove(at).id;
            for require in &mut file.requires {
                if require.publisher == Whose::Alias(alias.clone()) {
                    require.publisher = Whose::Id(id);
                }
            }
            id
        });
        Some(removed.expect("a list without contradictions has none with an entry less"))
    }

    /// Says for what a publisher is trusted, and since when and why. False if nobody has that alias.
    ///
    /// # Errors
    /// [`Error::TooMany`].
    pub fn amend(&mut self, alias: &Alias, amend: impl FnOnce(&mut Scope)) -> Result<bool, Error> {
        let Some(at) = self.index.aliases.get(alias).copied() else { return Ok(false) };
        self.change(|file| amend(&mut file.publishers[at].scope))?;
        Ok(true)
    }

    /// Counts somebody's claims; of these kinds only, if any are given.
    ///
    /// # Errors
    /// [`Error::EndorserTwice`], [`Error::TooMany`].
    pub fn add_endorser(
        &mut self,
        alias: Alias,
        id: impl Into<Identity>,
        kinds: Option<Vec<String>>,
    ) -> Result<(), Error> {
        let id = id.into();
        let other = toml::Table::new();
        self.change(|file| file.endorsers.push(Endorser { alias, id, kinds, other }))
    }

    /// Counts an endorser's claims no longer. False if nobody has that alias.
    ///
    /// # Errors
    /// [`Error::EndorserNeeded`].
    pub fn remove_endorser(&mut self, alias: &Alias) -> Result<bool, Error> {
        let before = self.file.endorsers.len();
        let removed = self.change(|file| file.endorsers.retain(|one| one.alias != *alias));
        match removed {
            Err(Error::NoSuchAlias { alias, .. }) => Err(Error::EndorserNeeded { alias }),
            other => other.map(|()| self.file.endorsers.len() < before),
        }
    }

    /// Never uses this again. False if it was blocked already.
    ///
    /// # Errors
    /// [`Error::TooMany`].
    pub fn block(&mut self, id: Blocked, reason: Option<String>) -> Result<bool, Error> {
        if self.index.blocks.contains_key(&id) {
            return Ok(false);
        }
        let other = toml::Table::new();
        self.change(|file| file.blocks.push(Block { id, reason, other }))?;
        Ok(true)
    }

    /// Lifts a block. False if there was none.
    pub fn unblock(&mut self, id: &Blocked) -> bool {
        let was = self.index.blocks.contains_key(id);
        let lifted = self.change(|file| file.blocks.retain(|block| block.id != *id));
        lifted.expect("a list without contradictions has none with an entry less");
        was
    }

    /// The publisher that an alias means.
    pub fn identity(&self, alias: &Alias) -> Option<&Identity> {
        self.index.aliases.get(alias).map(|at| &self.file.publishers[*at].id)
    }

    /// What is noted of a trusted publisher.
    pub fn publisher(&self, id: impl Into<Identity>) -> Option<&Trusted> {
        self.index.publishers.get(&id.into()).map(|at| &self.file.publishers[*at])
    }

    /// The alias of a trusted publisher, whatever it is trusted for.
    pub fn alias_of(&self, id: impl Into<Identity>) -> Option<&Alias> {
        self.publisher(id).map(|trusted| &trusted.alias)
    }

    /// The endorser of this id.
    pub fn endorser(&self, id: &Identity) -> Option<&Endorser> {
        self.index.endorsers.get(id).map(|at| &self.file.endorsers[*at])
    }

    /// The block of this.
    pub fn blocked(&self, id: &Blocked) -> Option<&Block> {
        self.index.blocks.get(id).map(|at| &self.file.blocks[*at])
    }

    /// Whether any requirement is for a repo of this publisher, or for what nobody signed.
    pub fn requires_of(&self, publisher: Option<&Identity>, repo: Option<&RepoName>) -> bool {
        self.requires_for(publisher, repo).next().is_some()
    }

    /// The requirements for a repo of this publisher, or for what nobody signed.
    fn requires_for(
        &self,
        publisher: Option<&Identity>,
        repo: Option<&RepoName>,
    ) -> impl Iterator<Item = &Require> {
        let everyone = self.index.requires.get(&None);
        let this = publisher.and_then(|id| self.index.requires.get(&Some(*id)));
        let found = everyone.into_iter().chain(this).flatten().map(|at| &self.file.requires[*at]);
        found.filter(move |require| {
            repo.is_none_or(|repo| file::covers(require.models.as_deref(), repo))
        })
    }

    /// Places of fields that this version does not know, e.g. `publisher.modles`: of a later version, or mistyped. Those of
    /// `[default]` are an error.
    pub fn unread(&self) -> Vec<String> {
        let file = &self.file;
        let mut unread: Vec<String> = file.other.keys().cloned().collect();
        let mut add = |place: &str, table: &toml::Table| {
            unread.extend(table.keys().map(|field| format!("{place}.{field}")));
        };
        file.publishers.iter().for_each(|one| add("publisher", &one.scope.other));
        file.endorsers.iter().for_each(|one| add("endorser", &one.other));
        file.requires.iter().for_each(|one| add("require", &one.other));
        file.blocks.iter().for_each(|one| add("block", &one.other));
        unread.sort();
        unread.dedup();
        unread
    }
}

#[cfg(test)]
mod tests;
