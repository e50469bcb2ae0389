//! Versions of repos, as they are told: by a verified card, or by what was committed and is not signed yet.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::{
    card::{
        CommitId, Verified,
        manifest::{FileEntry, find},
        statement::Files,
    },
    dag::Cid,
    library::{
        Library, blocking,
        drafts::{self, Draft},
        refs::Held,
        sign,
    },
    limits,
    rpc::Failure,
    store::TreeId,
};

/// One state of a repo: a version, by its card, or what was committed after it and is not signed yet.
#[derive(Debug)]
pub struct Version {
    root: Cid,
    said: Said,
    /// The files, if they do not stand in the card itself, once they were read.
    files: OnceLock<Vec<FileEntry>>,
}

#[derive(Debug)]
enum Said {
    Card(Box<Verified>),
    Unsigned(Unsigned),
}

/// What nobody has signed yet.
#[derive(Debug)]
pub(super) enum Unsigned {
    Draft(Box<Draft>),
    /// A repo that was made, in which there is nothing yet; since when.
    Empty(String),
}

impl Version {
    pub(super) fn signed(card: Verified) -> Self {
        let root = card.statement().root;
        Self { root, said: Said::Card(Box::new(card)), files: OnceLock::new() }
    }

    fn unsigned(root: Cid, what: Unsigned) -> Self {
        Self { root, said: Said::Unsigned(what), files: OnceLock::new() }
    }

    /// The card, verified when it was read; none if nobody has signed it yet.
    pub fn card(&self) -> Option<&Verified> {
        match &self.said {
            Said::Card(card) => Some(card),
            Said::Unsigned(_) => None,
        }
    }

    /// Root of its files.
    pub fn root(&self) -> &Cid {
        &self.root
    }

    /// What Hugging Face clients know it by.
    pub fn commit(&self) -> CommitId {
        CommitId::of(&self.root)
    }

    /// What it is called in lists of commits.
    pub fn title(&self) -> String {
        match &self.said {
            Said::Card(card) => format!("version {}", card.statement().version),
            Said::Unsigned(Unsigned::Draft(draft)) => draft.note.title.clone(),
            Said::Unsigned(Unsigned::Empty(_)) => "nothing yet".to_owned(),
        }
    }

    /// When it was made, as whoever made it says: RFC 3339, UTC.
    pub fn made_at(&self) -> String {
        match &self.said {
            Said::Card(card) => card.statement().created_at.to_string(),
            Said::Unsigned(Unsigned::Draft(draft)) => draft.note.at.clone(),
            Said::Unsigned(Unsigned::Empty(at)) => at.clone(),
        }
    }

    /// Its files as they are signed or were committed, sorted by path; blocks.
    ///
    /// # Errors
    /// Failure (1) if the list beside the card is not here; refused (4) if it is another one.
    pub fn files(&self, library: &Library) -> Result<&[FileEntry], Failure> {
        if let Some(files) = self.known_files() {
            return Ok(files);
        }
        let files = match &self.said {
            Said::Card(card) => sign::signed_files(library, card)?.into_files(),
            Said::Unsigned(Unsigned::Draft(draft)) => {
                drafts::manifest(library, draft)?.into_files()
            }
            Said::Unsigned(Unsigned::Empty(_)) => Vec::new(),
        };
        Ok(self.files.get_or_init(|| files))
    }

    /// The files, if they are in memory.
    pub(super) fn known_files(&self) -> Option<&[FileEntry]> {
        match self.card().map(|card| &card.statement().files) {
            Some(Files::Inline(manifest)) => Some(manifest.files()),
            _ => self.files.get().map(Vec::as_slice),
        }
    }

    /// How many files it keeps in memory, or will.
    fn weight(&self) -> u64 {
        let known = || self.files.get().map_or(0, |files| files.len() as u64);
        self.card().map_or_else(known, |card| card.statement().file_count)
    }

    fn is_draft(&self, id: TreeId) -> bool {
        matches!(&self.said, Said::Unsigned(Unsigned::Draft(draft)) if draft.held.id == id)
    }
}

/// The file of a version at a path.
///
/// # Errors
/// As [`Version::files`].
pub async fn file(
    library: &Library,
    version: &Arc<Version>,
    path: &str,
) -> Result<Option<FileEntry>, Failure> {
    if let Some(files) = version.known_files() {
        return Ok(find(files, path).cloned());
    }
    let (library, version, path) = (library.clone(), Arc::clone(version), path.to_owned());
    blocking(move || Ok(find(version.files(&library)?, &path).cloned())).await
}

/// Versions that were read lately, so that a client which asks for a thousand files does not have the card verified a
/// thousand times. The one used last stands last.
#[derive(Debug, Default)]
pub(in crate::library) struct Versions(Mutex<Vec<Arc<Version>>>);

impl Versions {
    /// The version that is held, its card verified now or lately; none if it has no card.
    ///
    /// # Errors
    /// As the store fails; refused (4) for a damaged card.
    pub(super) fn get(
        &self,
        library: &Library,
        held: &Held,
    ) -> Result<Option<Arc<Version>>, Failure> {
        let Some(id) = held.tree.card else { return Ok(None) };
        if let Some(known) = self.known(|version| version.card().is_some_and(|it| *it.id() == id)) {
            return Ok(Some(known));
        }
        let Some(card) = sign::card_of(library, &held.tree)? else { return Ok(None) };
        Ok(Some(self.keep(Version::signed(card))))
    }

    /// The state of a repo that nobody has signed yet.
    pub(super) fn unsigned(&self, root: Cid, what: Unsigned) -> Arc<Version> {
        let known = match &what {
            Unsigned::Draft(draft) => self.known(|version| version.is_draft(draft.held.id)),
            Unsigned::Empty(_) => None,
        };
        known.unwrap_or_else(|| self.keep(Version::unsigned(root, what)))
    }

    fn keep(&self, version: Version) -> Arc<Version> {
        let version = Arc::new(version);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(Arc::clone(&version));
        let mut files: u64 = kept.iter().map(|version| version.weight()).sum();
        let mut leave = 0;
        while kept.len() - leave > limits::HUB_VERSIONS
            || (files > limits::HUB_VERSIONS_FILES && kept.len() - leave > 1)
        {
            files -= kept[leave].weight();
            leave += 1;
        }
        kept.drain(..leave);
        version
    }

    fn known(&self, is: impl Fn(&Version) -> bool) -> Option<Arc<Version>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|version| is(version))?;
        let version = kept.remove(at);
        kept.push(Arc::clone(&version));
        Some(version)
    }
}
