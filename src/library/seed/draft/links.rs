//! Second names for uploads, in the folder of the version that is to be signed. Which folder that is, is taken down before the
//! first of them is made: of a version that was not signed after all nothing stays.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    library::{
        Library,
        drafts::{self, Own},
        files,
    },
    rpc::Failure,
    store,
};

/// The names for one version.
pub(super) struct Links {
    base: PathBuf,
    note: PathBuf,
}

/// How an upload came to its second name.
pub(super) enum Put {
    /// It has it.
    Linked,
    /// Something else has it: a file of an earlier version of the same root.
    Another,
}

impl Links {
    /// Takes down that there will be names in this folder, unless it is there: then it is an earlier version's.
    pub(super) fn begin(library: &Library, own: &Own, base: PathBuf) -> Result<Self, Failure> {
        let note = note(library, own);
        if !base.exists() {
            let text = serde_json::to_vec(&base).map_err(|why| failed(&base, &why.into()))?;
            store::write_small(&note, &text)?;
        }
        Ok(Self { base, note })
    }

    /// The version's folder.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// Where a file of the version lies.
    pub(super) fn place(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Gives an upload its name in the version.
    pub(super) fn put(&self, upload: &Path, path: &str) -> Result<Put, Failure> {
        let place = self.place(path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(|why| failed(parent, &why))?;
        }
        match fs::hard_link(upload, &place) {
            Ok(()) => Ok(Put::Linked),
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {
                let [one, other] = [upload, &place].map(fs::symlink_metadata);
                let (one, other) = (
                    one.map_err(|why| failed(upload, &why))?,
                    other.map_err(|why| failed(&place, &why))?,
                );
                let same = (one.dev(), one.ino()) == (other.dev(), other.ino());
                Ok(if same { Put::Linked } else { Put::Another })
            }
            Err(why) => Err(failed(&place, &why)),
        }
    }

    /// The version is signed.
    pub(super) fn stay(self) {
        drafts::remove(&self.note);
    }
}

/// Takes the names back that a version of a repo was given which is not signed: a try that failed, or was killed.
pub(in crate::library) fn take_back(library: &Library, own: &Own) {
    let note = note(library, own);
    let Ok(text) = fs::read(&note) else { return };
    if let Ok(base) = serde_json::from_slice::<PathBuf>(&text)
        && base.starts_with(library.inner.home.library())
        && library.store().trees_where(|tree| tree.location == base).is_empty()
        && let Err(failure) = take_back_from(library, own, &base)
    {
        tracing::warn!(%failure, folder = %base.display(), "names of a version that was not signed stay behind");
        return;
    }
    drafts::remove(&note);
}

fn take_back_from(library: &Library, own: &Own, base: &Path) -> Result<(), Failure> {
    let store = library.store();
    let mut back = Vec::new();
    for draft in drafts::drafts(library, own) {
        let listed = drafts::manifest(library, &draft)?;
        let files = store.files_if_any(draft.held.id)?.into_iter().flatten();
        for (file, listed) in files.zip(listed.files()) {
            let Some(id) = file?.file else { continue };
            if store.file(id)?.is_some_and(|record| record.path.starts_with(base)) {
                back.push((id, drafts::object(library, own, &listed.sha256)));
            }
        }
    }
    store.renamed(&back)?;
    store.flush()?;
    match fs::remove_dir_all(base) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(failed(base, &why)),
        _ => {}
    }
    // Their ctime has changed once more.
    Ok(store.renamed(&back)?)
}

fn note(library: &Library, own: &Own) -> PathBuf {
    drafts::folder(library, own).join("publishing.json")
}

fn failed(path: &Path, why: &io::Error) -> Failure {
    Failure::new(files::code(why), format!("cannot put {} in its place: {why}", path.display()))
}
