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

/// A file, or a directory by its path and id.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry<'a> {
    File(&'a FileEntry),
    Directory(&'a str, &'a str),
}

impl<'a> Entry<'a> {
    fn path(&self) -> &'a str {
        match self {
            Self::File(file) => &file.path,
            Self::Directory(path, _) => path,
        }
    }
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
    pub(super) fn below(&self, directory: &str, recursive: bool) -> Option<Vec<Entry<'_>>> {
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
        let directories = self.directories.iter().filter(|(path, _)| is_below(path));
        let directories = directories.map(|(path, id)| Entry::Directory(path, id));
        let files = self.files.iter().filter(|file| is_below(&file.path)).map(Entry::File);
        let mut entries: Vec<Entry> = directories.chain(files).collect();
        entries.sort_by_key(Entry::path);
        Some(entries)
    }

    /// As the Hub writes an entry.
    pub(super) fn json(&self, entry: Entry) -> Json {
        match entry {
            Entry::File(file) => self.file(file),
            Entry::Directory(path, id) => self.directory(path, id),
        }
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
