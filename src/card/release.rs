//! Releases: the plain directory that carries a repo's files and the proof of them under one CID.
//!
//! `model` (the root, so named for datasets too) and `card.sigstore.json`; optionally `files.jsonl`, `model.sig` and
//! `publisher.json` (design section 2). A directory with a top-level `card.sigstore.json` IS a release: valid or
//! refused, never unsigned. The caller walks the directory and reads the card; this only decides.

use crate::dag::Cid;

use super::envelope::Verified;
use super::statement::{FILES_LIST, Files};

/// The link to the root.
pub const MODEL: &str = "model";
/// The signed card. `seed` refuses this name at the top of a folder.
pub const CARD: &str = "card.sigstore.json";
/// The OpenSSF Model Signing companion, signed with one of the card's companion keys.
pub const MODEL_SIG: &str = "model.sig";
/// A lab's key document.
pub const PUBLISHER: &str = "publisher.json";

/// Why a directory with a card is no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An entry that every release has, or that its card needs.
    #[error("the release has no {name}")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// The tree is not the one that was signed.
    #[error("the release's files are not those of its card: model is {found}, signed was {signed}")]
    OtherRoot {
        /// The link.
        found: Box<Cid>,
        /// In the card.
        signed: Box<Cid>,
    },
    /// The list of files is not the one that was signed.
    #[error("the release's files.jsonl is not its card's: it is {found}, signed was {signed}")]
    OtherList {
        /// The link.
        found: Box<Cid>,
        /// In the card.
        signed: Box<Cid>,
    },
    /// An entry that its card does not vouch for.
    #[error("the release has an entry {name:?} that its card does not account for")]
    Unaccounted {
        /// Its name, shortened.
        name: String,
    },
    /// A lab's keys beside a card that is no lab's.
    #[error("the release has a publisher.json, and its card is no lab's")]
    NoLab,
    /// Two entries of one name.
    #[error("the release has {name} twice")]
    Twice {
        /// Its name.
        name: String,
    },
}

/// What a valid release holds besides its card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The files: as signed.
    pub root: Cid,
    /// `files.jsonl`, if the card lists its files there: as signed.
    pub files_list: Option<Cid>,
    /// `model.sig`: not checked here, nothing may rest on it.
    pub model_sig: Option<Cid>,
    /// `publisher.json`, exactly if the card is a lab's: not checked here, it proves itself.
    pub publisher: Option<Cid>,
}

/// Whether a directory with these top-level names is a release, valid or not.
pub fn is_release<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    names.into_iter().any(|name| name == CARD)
}

/// Checks the entries of a release against its verified card.
///
/// Entries that the card does not account for are refused, not ignored: a release's CID is pinned, served and shared
/// as a whole, so what strangers add under a new CID would pass on under the publisher's name. `model.sig` needs a
/// companion key in the card, `files.jsonl` must be the signed one, `publisher.json` is there exactly if the card is a
/// lab's.
///
/// # Errors
/// Every [`Error`].
pub fn check<'a>(
    entries: impl IntoIterator<Item = (&'a str, Cid)>,
    card: &Verified,
) -> Result<Release, Error> {
    let (mut model, mut bundle, mut files_list, mut model_sig, mut publisher) =
        (None, None, None, None, None);
    for (name, cid) in entries {
        let place = match name {
            MODEL => &mut model,
            CARD => &mut bundle,
            FILES_LIST => &mut files_list,
            MODEL_SIG => &mut model_sig,
            PUBLISHER => &mut publisher,
            _ => return Err(Error::Unaccounted { name: name.chars().take(100).collect() }),
        };
        if place.replace(cid).is_some() {
            return Err(Error::Twice { name: name.to_owned() });
        }
    }
    bundle.ok_or(Error::Missing { name: CARD })?;
    let found = model.ok_or(Error::Missing { name: MODEL })?;
    let statement = card.statement();
    let signed = statement.root;
    if found != signed {
        return Err(Error::OtherRoot { found: found.into(), signed: signed.into() });
    }
    match (&statement.files, files_list) {
        (Files::Inline(_), None) => {}
        (Files::Inline(_), Some(_)) => {
            return Err(Error::Unaccounted { name: FILES_LIST.to_owned() });
        }
        (Files::List(_), None) => return Err(Error::Missing { name: FILES_LIST }),
        (Files::List(list), Some(found)) if found != list.cid => {
            return Err(Error::OtherList { found: found.into(), signed: list.cid.into() });
        }
        (Files::List(_), Some(_)) => {}
    }
    if model_sig.is_some() && statement.companion_keys.is_empty() {
        return Err(Error::Unaccounted { name: MODEL_SIG.to_owned() });
    }
    match (card.publisher().as_lab(), publisher) {
        (None, Some(_)) => return Err(Error::NoLab),
        (Some(_), None) => return Err(Error::Missing { name: PUBLISHER }),
        _ => {}
    }
    Ok(Release { root: found, files_list, model_sig, publisher })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::envelope::tests::{signed, signed_with};
    use crate::dag::block::{RAW, cid_v1, sha256};

    fn cid(text: &str) -> Cid {
        cid_v1(RAW, sha256(text.as_bytes()))
    }

    #[test]
    fn the_model_link_must_be_the_signed_root() {
        let card = signed();
        let root = card.statement().root;
        let entries = [(CARD, cid("card")), (MODEL, root)];
        let release = Release { root, files_list: None, model_sig: None, publisher: None };
        assert_eq!(check(entries, &card), Ok(release));
        let swapped = [(CARD, cid("card")), (MODEL, cid("other weights"))];
        assert_eq!(
            check(swapped, &card),
            Err(Error::OtherRoot { found: cid("other weights").into(), signed: root.into() })
        );
        assert_eq!(check([(CARD, cid("card"))], &card), Err(Error::Missing { name: MODEL }));
        assert_eq!(check([(MODEL, root)], &card), Err(Error::Missing { name: CARD }));
        let twice = [(CARD, cid("card")), (MODEL, root), (MODEL, root)];
        assert_eq!(check(twice, &card), Err(Error::Twice { name: MODEL.into() }));
    }

    #[test]
    fn entries_that_the_card_does_not_account_for_are_refused() {
        let card = signed();
        let with = |name| {
            check([(CARD, cid("c")), (MODEL, card.statement().root), (name, cid("x"))], &card)
        };
        for name in ["evil.py", "Model", "model.sih", FILES_LIST, MODEL_SIG, ""] {
            assert_eq!(with(name), Err(Error::Unaccounted { name: name.into() }), "{name}");
        }
        assert_eq!(with(PUBLISHER), Err(Error::NoLab));
    }

    #[test]
    fn a_companion_needs_its_key_in_the_card() {
        let card = signed_with(|statement| {
            let key = "did:key:zDnaecTtrTPjLd5yTUe66dbRfg36asw7bWJDoY2cU6kvDYMDZ";
            statement.companion_keys = vec![key.to_owned()];
        });
        let entries = [(CARD, cid("c")), (MODEL, card.statement().root), (MODEL_SIG, cid("x"))];
        assert_eq!(check(entries, &card).unwrap().model_sig, Some(cid("x")));
    }

    #[test]
    fn a_card_that_lists_its_files_beside_it_needs_that_very_list() {
        let card = signed_with(|statement| {
            let Files::Inline(manifest) = &statement.files else { panic!() };
            let jsonl = manifest.to_jsonl();
            let entry = crate::card::FileEntry {
                path: FILES_LIST.to_owned(),
                size: jsonl.len() as u64,
                sha256: sha256(&jsonl),
                cid: cid_v1(RAW, sha256(&jsonl)),
            };
            statement.files = Files::List(entry);
        });
        let Files::List(list) = &card.statement().files else { panic!() };
        let base = [(CARD, cid("c")), (MODEL, card.statement().root)];
        assert_eq!(check(base, &card), Err(Error::Missing { name: FILES_LIST }));
        let other = base.into_iter().chain([(FILES_LIST, cid("x"))]);
        assert_eq!(
            check(other, &card),
            Err(Error::OtherList { found: cid("x").into(), signed: list.cid.into() })
        );
        let right = base.into_iter().chain([(FILES_LIST, list.cid)]);
        assert_eq!(check(right, &card).unwrap().files_list, Some(list.cid));
    }

    #[test]
    fn the_cards_name_alone_makes_a_directory_a_release() {
        assert!(is_release(["a", CARD]));
        assert!(!is_release(["a", "sub/card.sigstore.json", "CARD.sigstore.json"]));
    }
}
