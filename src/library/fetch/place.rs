//! Where fetched files go. Pure: paths in, paths out.

use std::path::{Path, PathBuf};

use crate::{dag::Cid, library::place::root_folder, store::Owner};

/// Where the files of one fetch go, and what their owner may expect of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The folder beneath which everything is written.
    pub base: PathBuf,
    /// Whose the files are: beneath the home's library ours, elsewhere the user's.
    pub owner: Owner,
    /// Path of what was asked for, inside the repo; empty for all of it.
    subject: String,
    /// Path of what was asked for, below `base`; empty for `base` itself.
    local: String,
}

impl Place {
    /// `output` is the user's folder; `repo` the library's folder for a signed version; `subject` what the REF's path named; `is_file` whether that is a single file.
    pub(super) fn new(
        output: Option<&Path>,
        library: &Path,
        repo: Option<PathBuf>,
        root: &Cid,
        subject: &str,
        is_file: bool,
    ) -> Self {
        let single = is_file && subject.is_empty();
        let last = subject.rsplit('/').next().unwrap_or_default();
        let (base, owner, local) = match (output, repo) {
            (Some(dir), _) if single => (dir.to_owned(), Owner::User, root.to_string()),
            (Some(dir), _) => (dir.to_owned(), Owner::User, last.to_owned()),
            (None, _) if single => (library.join("roots"), Owner::Library, root.to_string()),
            (None, repo) => {
                let folder = repo.unwrap_or_else(|| root_folder(library, root));
                (folder, Owner::Library, subject.to_owned())
            }
        };
        let subject = if single { root.to_string() } else { subject.to_owned() };
        Self { base, owner, subject, local }
    }

    /// What the answer names.
    pub(super) fn answer(&self) -> PathBuf {
        if self.local.is_empty() { self.base.clone() } else { self.base.join(&self.local) }
    }

    /// The path inside the repo of a file that the walk named `walked`.
    pub(super) fn in_repo(&self, walked: &str) -> String {
        join(&self.subject, walked)
    }

    /// Where it goes, below `base`.
    pub(super) fn on_disk(&self, walked: &str) -> String {
        join(&self.local, walked)
    }
}

fn join(above: &str, below: &str) -> String {
    match (above.is_empty(), below.is_empty()) {
        (true, _) => below.to_owned(),
        (_, true) => above.to_owned(),
        _ => format!("{above}/{below}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::block::{DAG_PB, cid_v1};

    fn root() -> Cid {
        cid_v1(DAG_PB, [7; 32])
    }

    fn place(output: Option<&str>, subject: &str, is_file: bool) -> Place {
        Place::new(output.map(Path::new), Path::new("/l"), None, &root(), subject, is_file)
    }

    #[test]
    fn a_repo_goes_directly_into_the_users_folder() {
        let place = place(Some("/out"), "", false);
        assert_eq!(place.answer(), Path::new("/out"));
        assert_eq!(place.on_disk("sub/a.json"), "sub/a.json");
        assert_eq!(place.owner, Owner::User);
    }

    #[test]
    fn a_part_of_a_repo_keeps_its_last_name_only() {
        let file = place(Some("/out"), "sub/a.json", true);
        assert_eq!(file.answer(), Path::new("/out/a.json"));
        assert_eq!((file.on_disk(""), file.in_repo("")), ("a.json".into(), "sub/a.json".into()));
        let folder = place(Some("/out"), "sub/deep", false);
        assert_eq!(folder.on_disk("x"), "deep/x");
        assert_eq!(folder.in_repo("x"), "sub/deep/x");
    }

    #[test]
    fn a_single_file_is_named_after_its_cid() {
        let cid = root().to_string();
        assert_eq!(place(Some("/out"), "", true).answer(), Path::new("/out").join(&cid));
        assert_eq!(place(None, "", true).answer(), Path::new("/l/roots").join(&cid));
    }

    #[test]
    fn unsigned_content_lies_under_its_root_with_its_own_paths() {
        let place = place(None, "sub/a.json", true);
        assert_eq!(
            place.answer(),
            Path::new("/l/roots").join(root().to_string()).join("sub/a.json")
        );
        assert_eq!(place.owner, Owner::Library);
    }
}
