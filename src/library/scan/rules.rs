//! Which entries of a folder belong to a repo.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::rpc::{Code, Failure};

/// The name that marks a release; no repo may have it at its top.
pub(super) const RELEASE_CARD: &str = "card.sigstore.json";

/// What `--include` and `--exclude` say. An empty include takes everything.
#[derive(Debug, Clone)]
pub(in crate::library) struct Selection {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Selection {
    /// Compiles globs over paths inside the repo; a glob without `/` matches names at any depth.
    ///
    /// # Errors
    /// Usage (2) for a glob that is none.
    pub(in crate::library) fn new(include: &[String], exclude: &[String]) -> Result<Self, Failure> {
        let include = if include.is_empty() { None } else { Some(compile("--include", include)?) };
        Ok(Self { include, exclude: compile("--exclude", exclude)? })
    }

    /// Whether the file at this path is selected.
    pub(in crate::library) fn takes(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(path))
            && !self.exclude.is_match(path)
    }

    /// Whether nothing is left out.
    pub(in crate::library) fn takes_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_empty()
    }
}

fn compile(flag: &str, globs: &[String]) -> Result<GlobSet, Failure> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let mut add = |pattern: &str| -> Result<(), globset::Error> {
            set.add(Glob::new(pattern)?);
            Ok(())
        };
        let added = if glob.contains('/') {
            add(glob)
        } else {
            add(glob).and_then(|()| add(&format!("**/{glob}")))
        };
        added.map_err(|why| {
            Failure::new(Code::Usage, format!("{flag} '{glob}' is not a glob: {why}"))
                .hint("globs look like '*.safetensors' or 'onnx/**'")
        })?;
    }
    set.build().map_err(|why| Failure::new(Code::Usage, format!("{flag} is too large: {why}")))
}

/// Entries that no repo means to share: version control's own, download caches, downloads under way.
pub(super) fn left_out(path: &str, is_folder: bool) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    if is_folder {
        return name == ".git"
            || path == ".cache/huggingface"
            || path.ends_with("/.cache/huggingface");
    }
    // `.git` is a file in a work tree or submodule.
    name == ".git"
        || [".incomplete", ".part", ".partial", ".crdownload", ".aria2"]
            .iter()
            .any(|end| name.ends_with(end))
        || (name.starts_with('.') && name.contains(".modelswarm-partial-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_control_caches_and_partial_downloads_are_left_out_and_dotfiles_are_not() {
        for (path, folder) in [
            (".git", true),
            ("sub/.git", true),
            (".git", false),
            (".cache/huggingface", true),
            ("model.safetensors.incomplete", false),
            ("sub/.model.bin.modelswarm-partial-0011aabb", false),
        ] {
            assert!(left_out(path, folder), "{path}");
        }
        for (path, folder) in [
            (".gitattributes", false),
            (".gitignore", false),
            (".cache", true),
            ("huggingface", true),
        ] {
            assert!(!left_out(path, folder), "{path}");
        }
    }

    #[test]
    fn a_glob_without_a_slash_matches_at_any_depth() {
        let selection = Selection::new(&["*.json".into()], &["sub/*".into()]).expect("globs");
        assert!(selection.takes("config.json") && selection.takes("deep/er/config.json"));
        assert!(!selection.takes("sub/config.json") && !selection.takes("model.bin"));
    }

    #[test]
    fn a_broken_glob_is_named() {
        let failure = Selection::new(&[], &["a{".into()]).expect_err("no glob");
        assert_eq!(failure.code, Code::Usage);
        assert!(failure.message.contains("--exclude 'a{'"), "{}", failure.message);
    }
}
