//! A lab's `publisher.json` as a file: drafted, handed round for signatures, complete.
//!
//! What a root may say and who must sign it, `card::tuf` decides; this reads and writes the file. Neither home nor node is
//! needed: the machines of those who hold root keys need not be in the swarm at all.

use std::path::Path;

use super::{Library, clock, files, keys, labs};
use crate::{
    card::{
        Identity, PublisherId,
        statement::Timestamp,
        tuf::{Content, Draft, DraftError, Publisher, Role, Root},
    },
    limits,
    rpc::{Code, Failure, PublisherShown, RoleShown},
};

/// What a file holds.
#[derive(Debug, Clone)]
pub enum Document {
    /// All signatures are there.
    Complete(Box<Publisher>),
    /// Some are missing.
    Draft(Box<Draft>),
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// Failure (1) as the disk says; refused (4) for what is no such file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let unreadable = |why: &dyn std::fmt::Display| {
            Failure::new(Code::Failure, format!("cannot read {}: {why}", path.display()))
        };
        let bytes =
            files::read_at_most(path, limits::PUBLISHER_DOC_MAX).map_err(|why| unreadable(&why))?;
        if bytes.len() > limits::PUBLISHER_DOC_MAX {
            return Err(unreadable(&"it is too large to be a publisher.json"));
        }
        match Draft::from_document(&bytes) {
            Ok(draft) => Ok(Self::Draft(Box::new(draft))),
            Err(DraftError::Complete { .. }) => {
                let publisher =
                    Publisher::from_document(&bytes).map_err(|why| refused(path, &why))?;
                Ok(Self::Complete(Box::new(publisher)))
            }
            Err(why) => Err(refused(path, &why)),
        }
    }

    /// The lab, if the file is complete.
    ///
    /// # Errors
    /// Refused (4) if it is a draft.
    pub fn complete(self, path: &Path) -> Result<Publisher, Failure> {
        match self {
            Self::Complete(publisher) => Ok(*publisher),
            Self::Draft(_) => Err(refused(path, &"it lacks signatures").hint(format!(
                "modelswarm publisher sign {} --key FILE, by those whom modelswarm publisher show names",
                path.display()
            ))),
        }
    }

    /// Writes it, as a draft or complete.
    ///
    /// # Errors
    /// As the disk says.
    pub fn write(&self, path: &Path) -> Result<PublisherShown, Failure> {
        let bytes = match self {
            Self::Complete(publisher) => publisher.to_document(),
            Self::Draft(draft) => draft.to_document(),
        };
        keys::replace(path, &bytes)?;
        Ok(PublisherShown { file: Some(path.to_owned()), ..self.shown()? })
    }

    /// What it says.
    ///
    /// # Errors
    /// As the clock is wrong by centuries.
    pub fn shown(&self) -> Result<PublisherShown, Failure> {
        match self {
            Self::Complete(publisher) => shown(publisher),
            Self::Draft(draft) => {
                let mut missing: Vec<String> = draft
                    .lacking()
                    .iter()
                    .flat_map(|lacking| lacking.missing.iter().map(ToString::to_string))
                    .collect();
                missing.sort_unstable();
                missing.dedup();
                Ok(PublisherShown {
                    publisher: draft.before().map(|lab| lab.id().to_string()),
                    complete: false,
                    signed: draft.signers().iter().map(ToString::to_string).collect(),
                    missing,
                    ..said(draft.content(), draft.version())?
                })
            }
        }
    }

    /// The next root, or this draft anew, with `change` made in what it says. A draft's signatures are gone: they were over
    /// something else.
    ///
    /// # Errors
    /// Usage (2) for what no root may say.
    pub fn edit(
        &self,
        path: &Path,
        change: impl FnOnce(&mut Content) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let (before, mut content) = match self {
            Self::Complete(publisher) => {
                (Some(publisher.as_ref()), publisher.head().content().clone())
            }
            Self::Draft(draft) => (draft.before(), draft.content().clone()),
        };
        change(&mut content)?;
        let draft = match before {
            Some(before) => Draft::after(before, content),
            None => Draft::first(content),
        };
        Ok(Self::Draft(Box::new(draft.map_err(|why| usage(path, &why))?)))
    }

    /// With a signature over the draft; complete, if it was the last one needed.
    ///
    /// # Errors
    /// Refused (4) for a key whose signature would count nowhere; usage (2) if nothing is to be signed.
    pub fn signed(
        self,
        path: &Path,
        sign: impl FnOnce(&Draft) -> Result<(PublisherId, [u8; 64]), Failure>,
    ) -> Result<Self, Failure> {
        let mut draft = self.draft(path)?;
        let (key, signature) = sign(&draft)?;
        draft.add_signature(&key, signature).map_err(|why| refused(path, &why))?;
        Self::finished(path, draft)
    }

    /// With the signatures of a copy that somebody else signed.
    ///
    /// # Errors
    /// Refused (4) if the two are not of the same root.
    pub fn merged(self, path: &Path, other: Self, from: &Path) -> Result<Self, Failure> {
        let other = match other {
            Self::Complete(_) => {
                return Err(usage(from, &"it has all its signatures: go on with that file"));
            }
            Self::Draft(draft) => draft,
        };
        let mut draft = self.draft(path)?;
        draft.merge(&other).map_err(|why| refused(from, &why))?;
        Self::finished(path, draft)
    }

    fn draft(self, path: &Path) -> Result<Draft, Failure> {
        match self {
            Self::Draft(draft) => Ok(*draft),
            Self::Complete(_) => Err(usage(path, &"it has all its signatures: there is nothing to sign")
                .hint("a change makes the next version: modelswarm publisher add-key, remove-key, rotate, renew")),
        }
    }

    fn finished(path: &Path, draft: Draft) -> Result<Self, Failure> {
        if !draft.lacking().is_empty() {
            return Ok(Self::Draft(Box::new(draft)));
        }
        let publisher = draft.finish().map_err(|why| refused(path, &why))?;
        Ok(Self::Complete(Box::new(publisher)))
    }
}

/// A lab's first root, to be signed.
///
/// # Errors
/// Failure (1) if the file exists; usage (2) for what no root may say.
pub fn init(path: &Path, content: Content) -> Result<Document, Failure> {
    if path.symlink_metadata().is_ok() {
        return Err(Failure::new(Code::Failure, format!("{} exists", path.display())).hint(
            "name another file, or change that one: modelswarm publisher add-key, rotate, renew",
        ));
    }
    let draft = Draft::first(content).map_err(|why| usage(path, &why))?;
    Ok(Document::Draft(Box::new(draft)))
}

/// A lab that the library knows.
///
/// # Errors
/// Usage (2) for what is no lab; not found (3) for one that is not known here.
pub fn known(library: &Library, id: &Identity) -> Result<PublisherShown, Failure> {
    let lab = id.as_lab().ok_or_else(|| {
        Failure::new(Code::Usage, format!("{id} is one key, and has no publisher.json"))
    })?;
    let publisher = labs::known(library, lab)?.ok_or_else(|| {
        Failure::new(Code::NotFound, format!("{id} is not known here"))
            .hint("a lab comes with its cards: modelswarm get, or modelswarm name resolve")
    })?;
    shown(&publisher)
}

fn shown(publisher: &Publisher) -> Result<PublisherShown, Failure> {
    let head: &Root = publisher.head();
    Ok(PublisherShown {
        publisher: Some(publisher.id().to_string()),
        complete: true,
        ..said(head.content(), head.version())?
    })
}

fn said(content: &Content, version: u64) -> Result<PublisherShown, Failure> {
    let now: Timestamp = clock::now()?;
    Ok(PublisherShown {
        publisher: None,
        name: content.name.clone(),
        links: content.links.clone(),
        version,
        expires: content.expires.to_string(),
        expired: content.expires <= now,
        announce: content.announce.to_string(),
        root_keys: role(&content.signers),
        card_keys: role(&content.cards),
        complete: false,
        signed: Vec::new(),
        missing: Vec::new(),
        file: None,
    })
}

fn role(role: &Role) -> RoleShown {
    RoleShown {
        threshold: role.threshold as u64,
        keys: role.keys.iter().map(ToString::to_string).collect(),
    }
}

fn refused(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::Refused, format!("{}: {why}", path.display()))
}

fn usage(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::Usage, format!("{}: {why}", path.display()))
}
