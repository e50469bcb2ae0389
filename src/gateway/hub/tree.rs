//! Files and directories of a version, as the Hub lists them.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{git, info};
use crate::{
    card::manifest::{FileEntry, find},
    library::hub::Version,
};

/// The files of a version and the directories between them.
pub(super) struct Listing<'a> {
    files: &'a [FileEntry],
    /// Every directory below the top, with its id.
    directories: BTreeMap<String, String>,
    last: Option<Json>,
}

impl<'a> Listing<'a> {
    /// `expand`: say with each entry which version it is from.
    pub(super) fn new(files: &'a [FileEntry], version: &Version, expand: bool) -> Self {
        let blobs: Vec<(&str, [u8; 20])> = files
            .iter()
            .map(|file| (file.path.as_str(), git::pointer_sha1(&file.sha256, file.size)))
            .collect();
        let mut directories = git::tree_ids(&blobs);
        directories.remove("");
        let last = expand.then(|| {
            json!({
                "id": version.commit().to_string(),
                "title": version.title(),
                "date": version.made_at(),
            })
        });
        Self { files, directories, last }
    }

    /// The entries below a directory, sorted by path; none if there is no such directory.
    pub(super) fn below(&self, directory: &str, recursive: bool) -> Option<Vec<Json>> {
        if !directory.is_empty() && !self.directories.contains_key(directory) {
            return None;
        }
        let is_below = |path: &str| match directory {
            "" => recursive || !path.contains('/'),
            _ => path
                .strip_prefix(directory)
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(|rest| recursive || !rest.contains('/')),
        };
        let mut entries: BTreeMap<&str, Json> = BTreeMap::new();
        let directories = self.directories.iter().filter(|(path, _)| is_below(path));
        entries.extend(directories.map(|(path, id)| (path.as_str(), self.directory(path, id))));
        let files = self.files.iter().filter(|file| is_below(&file.path));
        entries.extend(files.map(|file| (file.path.as_str(), self.file(file))));
        Some(entries.into_values().collect())
    }

    /// The entry at a path, a file or a directory.
    pub(super) fn at(&self, path: &str) -> Option<Json> {
        if let Some(file) = find(self.files, path) {
            return Some(self.file(file));
        }
        self.directories.get(path).map(|id| self.directory(path, id))
    }

    fn file(&self, file: &FileEntry) -> Json {
        self.with_last(json!({
            "type": "file",
            "oid": git::pointer_id(&file.sha256, file.size),
            "size": file.size,
            "path": file.path,
            "lfs": info::lfs("oid", file),
        }))
    }

    fn directory(&self, path: &str, id: &str) -> Json {
        self.with_last(json!({ "type": "directory", "oid": id, "size": 0, "path": path }))
    }

    fn with_last(&self, mut entry: Json) -> Json {
        if let Some(last) = &self.last {
            entry["lastCommit"] = last.clone();
        }
        entry
    }
}
