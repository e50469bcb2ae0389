//! What follows from a card: how far to trust it, whether it may replace what is known, what to sign next.
//!
//! Pure decisions over what the caller knows: own keys, the trust list, the keys in the request, the high-water mark.
//! `status` is cryptography, `trust` is the user's, and neither raises the other (design section 5). Provenance
//! section 6: rollback, fast-forward, equivocation.

mod chain;
mod mark;
mod next;

use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::name::{Alias, RepoName};
use super::trust::TrustList;

pub use chain::{Admission, Asked, Branch, Refusal, admit, unsettled};
pub use mark::{Fork, Mark};
pub use next::{Intent, Next, VersionUsed, next};

/// Whether a signature vouches for the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// The signature is valid for every byte.
    Verified,
    /// A bare root: nothing says whose it is.
    Unsigned,
}

/// What the user knows of a publisher.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Trust {
    /// A key of this node's owner.
    Own,
    /// By `trust add`, under this alias.
    Trusted(Alias),
    /// The key stood in the request.
    Named,
    /// Nothing.
    New,
}

impl Trust {
    /// As answers and people read it (cli.md).
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Trusted(_) => "trusted",
            Self::Named => "named",
            Self::New => "new",
        }
    }
}

/// Published by somebody else than the request names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the card is by {found}, not by {}", named.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "))]
pub struct OtherPublisher {
    /// Whose card it is.
    pub found: Identity,
    /// Who was asked for.
    pub named: Vec<Identity>,
}

/// How far a verified card's publisher is trusted, for this repo of it: trust may be for some of its repos alone. `named` are the keys in REF and `--publisher`; an alias in REF
/// stands for its key there too.
///
/// # Errors
/// [`OtherPublisher`] if keys were named and this is none of them, whatever else is known of it.
pub fn trust(
    publisher: &Identity,
    repo: &RepoName,
    own: &[Identity],
    list: &TrustList,
    named: &[Identity],
) -> Result<Trust, OtherPublisher> {
    if !named.is_empty() && !named.contains(publisher) {
        return Err(OtherPublisher { found: *publisher, named: named.to_vec() });
    }
    if own.contains(publisher) {
        return Ok(Trust::Own);
    }
    match list.publisher(publisher).filter(|trusted| trusted.covers(repo)) {
        Some(trusted) => Ok(Trust::Trusted(trusted.alias.clone())),
        None if named.is_empty() => Ok(Trust::New),
        None => Ok(Trust::Named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::PublisherId;
    use ed25519_dalek::SigningKey;

    fn id(seed: u8) -> Identity {
        let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
        PublisherId::try_from(&key).unwrap().into()
    }

    #[test]
    fn only_the_users_own_acts_make_trust() {
        let mut list = TrustList::default();
        let acme: Alias = "acme".parse().unwrap();
        list.add(acme.clone(), id(2)).unwrap();
        let repo: RepoName = "tiny".parse().unwrap();
        let trust = |seed, named: &[Identity]| trust(&id(seed), &repo, &[id(1)], &list, named);
        assert_eq!(trust(1, &[]), Ok(Trust::Own));
        assert_eq!(trust(2, &[]), Ok(Trust::Trusted(acme.clone())));
        assert_eq!(trust(3, &[]), Ok(Trust::New));
        assert_eq!(trust(3, &[id(3)]), Ok(Trust::Named));
        assert_eq!(trust(2, &[id(2)]), Ok(Trust::Trusted(acme)));
        assert_eq!(trust(1, &[id(1)]), Ok(Trust::Own));
        assert_eq!(Trust::New.as_str(), "new");
    }

    #[test]
    fn trust_for_some_repos_is_none_for_others() {
        let mut list = TrustList::default();
        let acme: Alias = "acme".parse().unwrap();
        list.add(acme.clone(), id(2)).unwrap();
        list.amend(&acme, |scope| {
            scope.models = Some(vec!["chat-*".to_owned().try_into().unwrap()])
        })
        .unwrap();
        let of = |repo: &str| trust(&id(2), &repo.parse().unwrap(), &[], &list, &[]);
        assert_eq!(of("chat-small"), Ok(Trust::Trusted(acme)));
        assert_eq!(of("tiny"), Ok(Trust::New));
    }

    #[test]
    fn a_card_by_another_key_than_the_named_one_is_refused() {
        let list = TrustList::default();
        let repo: RepoName = "tiny".parse().unwrap();
        let refused = trust(&id(1), &repo, &[id(1)], &list, &[id(2)]).unwrap_err();
        assert_eq!(refused, OtherPublisher { found: id(1), named: vec![id(2)] });
        assert!(refused.to_string().contains(&id(2).to_string()));
    }

    #[test]
    fn answers_spell_status_in_lower_case() {
        let json = serde_json::to_string(&[Provenance::Verified, Provenance::Unsigned]).unwrap();
        assert_eq!(json, r#"["verified","unsigned"]"#);
    }
}
