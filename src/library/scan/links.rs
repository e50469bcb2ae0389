//! Symbolic links on import: to regular files inside the seeded folder, or inside the enclosing `models--*` or
//! `datasets--*` folder of a Hugging Face cache, they are read as plain files; others only with `--follow-symlinks`.
//!
//! Of such a cache also what lies in the store of blobs that its repos share (`huggingface_hub` 2: `blobs/`, with a marker
//! in it), which a repo's own blobs are links to.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::unreadable;
use crate::rpc::{Code, Failure};

/// Where links may lead, and the linked folders entered so far.
#[derive(Debug)]
pub(super) struct Links {
    bounds: PathBuf,
    shared: Option<PathBuf>,
    follow: bool,
    entered: Vec<PathBuf>,
}

impl Links {
    pub(super) fn new(root: &Path, follow: bool) -> Result<Self, Failure> {
        let root = fs::canonicalize(root).map_err(|why| unreadable(root, &why))?;
        let cache = root.ancestors().find(|folder| {
            folder
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("models--") || name.starts_with("datasets--"))
        });
        Ok(Self {
            bounds: cache.unwrap_or(&root).to_owned(),
            shared: cache.and_then(Path::parent).and_then(shared_blobs),
            follow,
            entered: Vec::new(),
        })
    }

    /// The file or folder a link leads to.
    pub(super) fn resolve(&self, link: &Path) -> Result<PathBuf, Failure> {
        let target = fs::canonicalize(link).map_err(|why| {
            Failure::new(Code::Usage, format!("the link {} leads nowhere: {why}", link.display()))
                .hint("leave it out with --exclude")
        })?;
        let shared = self.shared.as_ref().is_some_and(|shared| target.starts_with(shared));
        let inside = (target.starts_with(&self.bounds) || shared) && target.is_file();
        if inside || self.follow {
            return Ok(target);
        }
        let why = if target.is_dir() { "is a folder" } else { "is outside what you seed" };
        Err(Failure::new(
            Code::Usage,
            format!("the link {} leads to {}, which {why}", link.display(), target.display()),
        )
        .hint("--follow-symlinks imports what links point to; --exclude leaves them out"))
    }

    /// Enters a linked folder, unless that would go round in a circle.
    pub(super) fn enter(&mut self, folder: &Path) -> Result<(), Failure> {
        if self.entered.iter().any(|above| folder.starts_with(above) || above.starts_with(folder))
            || self.bounds.starts_with(folder)
        {
            return Err(Failure::new(
                Code::Usage,
                format!("links to the folder {} go round in a circle", folder.display()),
            )
            .hint("leave the link out with --exclude"));
        }
        self.entered.push(folder.to_owned());
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.entered.pop();
    }
}

/// What marks the folder of blobs that the repos of a cache share.
const SHARED_MARKER: &str = ".huggingface-shared-blobs";

/// The store of blobs that the repos of a cache share, if it has one: a folder of its own, not a link to one.
fn shared_blobs(cache: &Path) -> Option<PathBuf> {
    let folder = cache.join("blobs");
    let is = |path: &Path| fs::symlink_metadata(path).ok();
    let marked = is(&folder.join(SHARED_MARKER)).is_some_and(|it| it.is_file());
    (is(&folder).is_some_and(|it| it.is_dir()) && marked).then_some(folder)
}
