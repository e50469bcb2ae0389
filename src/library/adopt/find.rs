//! What lies at a path: a Hugging Face cache or a part of one, Ollama's models, or a folder of its own.
//!
//! The homes of both tools hold keys and tokens beside the models. So a folder that looks like one of theirs is never
//! taken for a plain one, even if there is no model in it.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use super::{Candidate, hub, named, ollama, text};
use crate::{
    library::{
        Watch,
        scan::{self, Selection},
    },
    limits,
    rpc::{Code, Failure, Kind, LeftOut},
};

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    candidates: Vec<Candidate>,
    /// Where those lie.
    locations: HashSet<PathBuf>,
    left_out: LeftOuts,
    /// Paths at which there is nothing, each with why.
    nothing: LeftOuts,
}

/// What is not taken, each with its reason; bounded.
#[derive(Debug, Default)]
pub(super) struct LeftOuts {
    lines: Vec<LeftOut>,
    more: usize,
}

impl LeftOuts {
    pub(super) fn leave(&mut self, path: &Path, why: impl Into<String>) {
        if self.lines.len() < limits::ADOPT_LEFT_OUT {
            self.lines.push(LeftOut { path: path.to_string_lossy().into_owned(), why: why.into() });
        } else {
            self.more += 1;
        }
    }

    pub(super) fn into_lines(self) -> Vec<LeftOut> {
        let mut lines = self.lines;
        if self.more > 0 {
            let why = format!("{} more were left out", self.more);
            lines.push(LeftOut { path: "…".to_owned(), why });
        }
        lines
    }
}

impl Findings {
    /// Takes one up, unless another path led to it already.
    pub(super) fn add(&mut self, candidate: Candidate) {
        if self.locations.insert(candidate.location.clone()) {
            self.candidates.push(candidate);
        }
    }

    /// Leaves one out.
    pub(super) fn leave(&mut self, path: &Path, why: impl Into<String>) {
        self.left_out.leave(path, why);
    }

    /// Whether there is anything to take or to leave out.
    pub(super) fn anything(&self) -> bool {
        !self.candidates.is_empty() || !self.left_out.lines.is_empty()
    }

    /// Why there is nothing at the paths.
    pub(super) fn reasons(&self) -> String {
        let said = |line: &LeftOut| format!("{}: {}", line.path, line.why);
        self.nothing.lines.iter().map(said).collect::<Vec<_>>().join("; ")
    }

    /// What is to be taken, and what is not.
    pub(super) fn into_parts(self) -> (Vec<Candidate>, LeftOuts) {
        let mut left_out = self.left_out;
        left_out.lines.extend(self.nothing.lines);
        (self.candidates, left_out)
    }
}

/// Lists what lies at a path.
///
/// # Errors
/// Interrupted (130) if nobody waits any more.
pub(super) fn at(path: &Path, found: &mut Findings, watch: &Watch) -> Result<(), Failure> {
    watch.check()?;
    let root = match fs::canonicalize(path) {
        Ok(root) => root,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            found.nothing.leave(path, "it does not exist");
            return Ok(());
        }
        Err(why) => {
            found.leave(path, scan::unreadable(path, &why).message);
            return Ok(());
        }
    };
    if let Err(why) = text(&root) {
        found.leave(path, why);
        return Ok(());
    }
    let before = (found.candidates.len(), found.left_out.lines.len());
    match Shape::of(&root) {
        Shape::HubRepo => hub::repo(&root, None, found, watch)?,
        Shape::HubSnapshot => {
            let repo = root.parent().and_then(Path::parent).unwrap_or(&root);
            hub::repo(repo, root.file_name(), found, watch)?;
        }
        Shape::HubCache => hub::cache(&root, found, watch)?,
        Shape::HubHome => hub::cache(&root.join("hub"), found, watch)?,
        Shape::OllamaModels => ollama::models(&root, found, watch)?,
        Shape::OllamaHome => ollama::models(&root.join("models"), found, watch)?,
        Shape::Plain => plain(&root, found),
    }
    if (found.candidates.len(), found.left_out.lines.len()) == before {
        found.nothing.leave(path, "it holds no model and no dataset");
    }
    Ok(())
}

/// What a folder is, by what is in it and what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    HubRepo,
    HubSnapshot,
    HubCache,
    HubHome,
    OllamaModels,
    OllamaHome,
    Plain,
}

impl Shape {
    fn of(root: &Path) -> Self {
        let called = |path: &Path| {
            path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
        };
        let has = |name: &str| root.join(name).exists();
        let name = called(root);
        let above = |levels: usize| root.ancestors().nth(levels).map(called).unwrap_or_default();
        if hub::repo_of(&name).is_some() && has("snapshots") {
            return Self::HubRepo;
        }
        if above(1) == "snapshots" && hub::repo_of(&above(2)).is_some() {
            return Self::HubSnapshot;
        }
        if has("manifests") && has("blobs") {
            return Self::OllamaModels;
        }
        if name == ".ollama" || has("models/manifests") && has("models/blobs") {
            return Self::OllamaHome;
        }
        if hub::has_repos(root) || has("CACHEDIR.TAG") && above(1) == "huggingface" {
            return Self::HubCache;
        }
        let keeps_tokens = has("token") || has("stored_tokens");
        if hub::has_repos(&root.join("hub")) || name == "huggingface" || keeps_tokens && has("hub")
        {
            return Self::HubHome;
        }
        Self::Plain
    }
}

/// A folder or file as `seed --unsigned` would take it.
fn plain(root: &Path, found: &mut Findings) {
    let candidate = Selection::new(&[], &[])
        .and_then(|all| scan::scan(root, &all, false))
        .map_err(|failure| (failure.code, failure.message))
        .and_then(|scan| {
            let called = root.file_name().unwrap_or_default().to_string_lossy();
            let name = named(&called).map_err(|why| (Code::Usage, why))?;
            let location = match root.is_dir() {
                true => root,
                false => root.parent().unwrap_or(root),
            };
            Ok(Candidate {
                name,
                kind: Kind::Model,
                adopted: None,
                location: location.to_owned(),
                files: scan.files,
                empty: scan.empty,
                stated: Default::default(),
            })
        });
    match candidate {
        Ok(candidate) => found.add(candidate),
        Err((_, why)) if is_empty(root) => found.nothing.leave(root, why),
        Err((_, why)) => found.leave(root, why),
    }
}

fn is_empty(root: &Path) -> bool {
    fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(make: &[&str], at: &str) -> Shape {
        let dir = tempfile::tempdir().expect("temp dir");
        for path in make {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            match path.to_string_lossy().ends_with('/') {
                true => fs::create_dir_all(&path).expect("made"),
                false => fs::write(&path, "x").expect("written"),
            }
        }
        Shape::of(&dir.path().join(at))
    }

    #[test]
    fn folders_of_other_tools_are_told_by_what_is_in_them() {
        let repo = "hub/models--a--b/snapshots/";
        for (at, expected) in [
            ("", Shape::HubHome),
            ("hub", Shape::HubCache),
            ("hub/models--a--b", Shape::HubRepo),
            ("hub/models--a--b/snapshots/0123", Shape::HubSnapshot),
        ] {
            assert_eq!(shape(&[repo, "hub/models--a--b/snapshots/0123/x"], at), expected, "{at}");
        }
        assert_eq!(shape(&["models/manifests/", "models/blobs/"], ""), Shape::OllamaHome);
        assert_eq!(shape(&["manifests/", "blobs/"], ""), Shape::OllamaModels);
        assert_eq!(shape(&["config.json", "model.safetensors"], ""), Shape::Plain);
    }

    #[test]
    fn a_home_with_keys_or_tokens_and_no_model_is_never_a_plain_folder() {
        for (make, at) in [
            ("huggingface/token", "huggingface"),
            ("huggingface/hub/version.txt", "huggingface"),
            (".ollama/id_ed25519", ".ollama"),
        ] {
            assert_ne!(shape(&[make], at), Shape::Plain, "{make}");
        }
        assert_eq!(shape(&["other/token", "other/hub/x"], "other"), Shape::HubHome);
    }
}
