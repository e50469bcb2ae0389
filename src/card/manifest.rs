//! The files of one version of a repo, and the digests of the whole tree.
//!
//! Invariants of a [`Manifest`]: at least one file, sorted bytewise by path, no path twice, no file where another
//! path needs a directory, every path safe to write beneath a folder (provenance section 6). Case twins and names that
//! only some systems reserve are `dag`'s rules for any tree, signed or not; they are not repeated here.
//!
//! Two tree digests, since tools of others know them: `dirHash1` (in-toto DigestSet) binds names, the root digest of
//! OpenSSF Model Signing does not and leaves out what its tool ignores. Neither is the tree's identity: the root CID is.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::dag::Cid;
use crate::limits;

use super::json::{self, hex, parse_hex, push_hex};

/// Names that `model_signing` ignores at the top of a folder; `.gitattributes` and the like stay in the repo's root.
pub const OMS_IGNORED: [&str; 4] = [".git", ".gitattributes", ".gitignore", ".github"];

/// Why files make no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is nothing to state.
    #[error("the folder has no files; there is nothing to sign")]
    Empty,
    /// More files than a repo may have.
    #[error("{files} files, at most {max} are allowed in one repo", max = limits::REPO_FILES_MAX)]
    TooMany {
        /// Files given.
        files: usize,
    },
    /// A path that no system could write safely.
    #[error("file name {path:?} is refused: {why}")]
    Path {
        /// The path, shortened.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// One path, two files.
    #[error("file {path:?} is listed twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// A file where a directory must be.
    #[error("{path:?} is a file, and {below:?} needs it as a directory")]
    FileAsDirectory {
        /// The file.
        path: String,
        /// The path below it.
        below: String,
    },
    /// A size, or all sizes together, beyond what JSON readers hold exactly.
    #[error("file {path:?}: sizes up to it add up to more than 2^53 - 1 bytes")]
    Size {
        /// The file.
        path: String,
    },
    /// A line of `files.jsonl` that is not as we write it.
    #[error("files.jsonl, line {line}: {why}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// `files.jsonl` is longer than is read.
    #[error("files.jsonl has {len} bytes, at most {max} are read", max = limits::FILES_LIST_MAX)]
    ListTooLarge {
        /// Bytes given.
        len: usize,
    },
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative to the root, `/` between parts.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA2-256 of the bytes.
    pub sha256: [u8; 32],
    /// Of the UnixFS file.
    pub cid: Cid,
}

/// What tools of others compute over the whole tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeDigests {
    /// OpenSSF Model Signing v1.0, method `files`: over the raw digests in order; names are not in it.
    pub oms: [u8; 32],
    /// in-toto DigestSet `dirHash1`: over `sha256sum`'s lines; names are in it.
    pub dir_hash1: [u8; 32],
}

/// All files of a repo, sorted by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    files: Vec<FileEntry>,
    total_size: u64,
}

/// How one file differs from what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Other bytes under the signed name.
    Changed {
        /// The path.
        path: String,
    },
    /// Signed, but not there.
    Missing {
        /// The path.
        path: String,
    },
    /// There, but not signed.
    Extra {
        /// The path.
        path: String,
    },
    /// The signed bytes under another name.
    Renamed {
        /// The signed path.
        from: String,
        /// Where the bytes are.
        to: String,
    },
}

/// The file at a path of a manifest's files.
pub fn find<'a>(files: &'a [FileEntry], path: &str) -> Option<&'a FileEntry> {
    let at = files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
    Some(&files[at])
}

impl Manifest {
    /// Sorts and checks `files`.
    ///
    /// # Errors
    /// Every [`Error`] but those of `files.jsonl`.
    pub fn new(mut files: Vec<FileEntry>) -> Result<Self, Error> {
        if files.is_empty() {
            return Err(Error::Empty);
        }
        if files.len() > limits::REPO_FILES_MAX {
            return Err(Error::TooMany { files: files.len() });
        }
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let mut total_size = 0u64;
        for file in &files {
            check_path(&file.path)?;
            total_size = total_size.saturating_add(file.size);
            if total_size > limits::JSON_INT_MAX {
                return Err(Error::Size { path: file.path.clone() });
            }
        }
        if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(Error::Twice { path: pair[0].path.clone() });
        }
        let paths: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        for below in paths.iter().filter(|path| path.contains('/')) {
            for (at, _) in below.match_indices('/') {
                if let Some(path) = paths.get(&below[..at]) {
                    let (path, below) = ((*path).to_owned(), (*below).to_owned());
                    return Err(Error::FileAsDirectory { path, below });
                }
            }
        }
        Ok(Self { files, total_size })
    }

    /// The files, sorted bytewise by path.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// The files, without copying them.
    pub fn into_files(self) -> Vec<FileEntry> {
        self.files
    }

    /// Bytes of all files together.
    pub fn total_size(&self) -> u64 {
        self.total_size
    }

    /// Both digests of the tree.
    pub fn digests(&self) -> TreeDigests {
        let (mut oms, mut lines, mut line) = (Sha256::new(), Sha256::new(), String::new());
        for file in &self.files {
            let top = file.path.split('/').next().unwrap_or_default();
            if !OMS_IGNORED.contains(&top) {
                oms.update(file.sha256);
            }
            // What `sha256sum` prints; it would escape only names that are refused here.
            line.clear();
            push_hex(&file.sha256, &mut line);
            line.extend(["  ", &file.path, "\n"]);
            lines.update(&line);
        }
        TreeDigests { oms: oms.finalize().into(), dir_hash1: lines.finalize().into() }
    }

    /// `files.jsonl`: a line of strict DAG-JSON for each file, with `cid` (text), `name`, `sha256` and `size`.
    pub fn to_jsonl(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.files.len() * 256);
        for file in &self.files {
            write_line(file, &mut bytes);
        }
        bytes
    }

    /// Reads `files.jsonl` in exactly the form that [`Manifest::to_jsonl`] writes.
    ///
    /// # Errors
    /// Every [`Error`].
    pub fn from_jsonl(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > limits::FILES_LIST_MAX {
            return Err(Error::ListTooLarge { len: bytes.len() });
        }
        let (mut files, mut form) = (Vec::new(), Vec::new());
        for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            if index >= limits::REPO_FILES_MAX {
                return Err(Error::TooMany { files: index + 1 });
            }
            let file =
                read_line(line, &mut form).map_err(|why| Error::Line { line: index + 1, why })?;
            if files.last().is_some_and(|last: &FileEntry| last.path >= file.path) {
                let why = format!("{:?} is out of order", file.path);
                return Err(Error::Line { line: index + 1, why });
            }
            files.push(file);
        }
        Self::new(files)
    }

    /// How `self`, what is there, differs from `signed`, by path; empty if all is as signed.
    ///
    /// Digests and sizes are compared, not CIDs: those are checked where the bytes are read.
    pub fn differences(&self, signed: &Self) -> Vec<Difference> {
        let same = |(one, other): (&FileEntry, &FileEntry)| {
            (&one.path, one.sha256, one.size) == (&other.path, other.sha256, other.size)
        };
        if self.files.len() == signed.files.len() && self.files.iter().zip(&signed.files).all(same)
        {
            return Vec::new();
        }
        let by_path = |manifest: &Self| -> BTreeMap<String, ([u8; 32], u64)> {
            let files = manifest.files.iter();
            files.map(|file| (file.path.clone(), (file.sha256, file.size))).collect()
        };
        let (there, signed) = (by_path(self), by_path(signed));
        let mut extra: Vec<_> =
            there.iter().filter(|(path, _)| !signed.contains_key(*path)).collect();
        // One pass for the names, in order; the newcomers with a missing file's bytes are its new names.
        let mut moved: BTreeMap<[u8; 32], Vec<String>> = BTreeMap::new();
        for (path, (sha256, _)) in extra.iter().rev() {
            moved.entry(*sha256).or_default().push((*path).clone());
        }
        let mut renamed = HashSet::new();
        let mut found = Vec::new();
        for (path, bytes) in &signed {
            match there.get(path) {
                Some(other) if other == bytes => {}
                Some(_) => found.push(Difference::Changed { path: path.clone() }),
                None => match moved.get_mut(&bytes.0).and_then(Vec::pop) {
                    Some(to) => {
                        renamed.insert(to.clone());
                        found.push(Difference::Renamed { from: path.clone(), to });
                    }
                    None => found.push(Difference::Missing { path: path.clone() }),
                },
            }
        }
        extra.retain(|(path, _)| !renamed.contains(*path));
        found.extend(extra.into_iter().map(|(path, _)| Difference::Extra { path: path.clone() }));
        found
    }
}

/// A line of `files.jsonl`: strict DAG-JSON, so its fields in the order of their names. A million of them are written and
/// compared, so not by way of a tree of values.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    cid: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    sha256: Cow<'a, str>,
    size: u64,
}

fn write_line(file: &FileEntry, bytes: &mut Vec<u8>) {
    let line = Line {
        cid: file.cid.to_string().into(),
        name: file.path.as_str().into(),
        sha256: hex(&file.sha256).into(),
        size: file.size,
    };
    serde_json::to_writer(&mut *bytes, &line).expect("texts and a number, into memory");
    bytes.push(b'\n');
}

/// Reads a line; `form` is room to write it again in, since there is one form.
fn read_line(line: &[u8], form: &mut Vec<u8>) -> Result<FileEntry, String> {
    let text = line.strip_suffix(b"\n").ok_or("it has no line end")?;
    if text.len() > 4 * limits::REPO_PATH_MAX {
        return Err("it is too long".to_owned());
    }
    let read: Line<'_> =
        serde_json::from_slice(text).map_err(|why| json::shortened(&why.to_string()))?;
    // The texts of digest and CID are the only ones of theirs; the rest of the form is JSON's.
    form.clear();
    serde_json::to_writer(&mut *form, &read).expect("texts and a number, into memory");
    if form != text {
        return Err("it is not in canonical form".to_owned());
    }
    Ok(FileEntry {
        size: read.size,
        sha256: parse_hex(&read.sha256).ok_or("sha256 is not 64 hex digits")?,
        cid: json::parse_cid(&read.cid).ok_or("cid is no CID")?,
        path: read.name.into_owned(),
    })
}

/// Whether a path can be signed.
///
/// # Errors
/// [`Error::Path`].
pub fn check_path(path: &str) -> Result<(), Error> {
    let refused = |why| Err(Error::Path { path: path.chars().take(200).collect(), why });
    if path.is_empty() {
        return refused("it is empty");
    }
    if path.len() > limits::REPO_PATH_MAX {
        return refused("it is longer than 4,096 bytes");
    }
    if path.chars().any(char::is_control) {
        return refused("it has a control character");
    }
    if path.contains('\\') {
        return refused("it has a backslash");
    }
    for part in path.split('/') {
        match part {
            "" => return refused("it starts or ends with '/' or has an empty part"),
            "." | ".." => return refused("it has a part '.' or '..'"),
            _ if part.len() > limits::REPO_PATH_PART_MAX => {
                return refused("a part is longer than 255 bytes");
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::block::{RAW, cid_v1, sha256};
    use proptest::prelude::*;

    fn file(path: &str, content: &str) -> FileEntry {
        let sha256 = sha256(content.as_bytes());
        let cid = cid_v1(RAW, sha256);
        FileEntry { path: path.to_owned(), size: content.len() as u64, sha256, cid }
    }

    fn tree() -> Vec<FileEntry> {
        let files = [
            ("a b.txt", "hello"),
            ("config.json", "{}"),
            ("sub/é.bin", "x"),
            ("empty", ""),
            (".gitattributes", "g"),
            (".github/w.yml", "w"),
            ("Upper", "u"),
            ("sub-dash", "d"),
        ];
        files.into_iter().map(|(path, content)| file(path, content)).collect()
    }

    fn why(path: &str) -> Option<&'static str> {
        match check_path(path) {
            Ok(()) => None,
            Err(Error::Path { why, .. }) => Some(why),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn dir_hash1_is_what_the_shell_prints_for_the_same_folder() {
        // In a folder with these files (GNU findutils and coreutils):
        // find . -type f -print0 | cut -z -c3- | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
        let digests = Manifest::new(tree()).unwrap().digests();
        assert_eq!(
            hex(&digests.dir_hash1),
            "3eb7cf4f6e1b18511901d6d0f465351cab8fd98332307b90f97ce50c4a12fa51"
        );
    }

    #[test]
    fn the_oms_root_leaves_out_what_its_tool_ignores() {
        // Computed with Python's hashlib over the same folder.
        let digests = Manifest::new(tree()).unwrap().digests();
        assert_eq!(
            hex(&digests.oms),
            "e9e7ebe580460f6fdd4dc8eb2dc238ed102f0b0b5f1b5e8c6a808da8b1625e19"
        );
        let mut without = tree();
        without.retain(|file| !file.path.starts_with(".git"));
        let without = Manifest::new(without).unwrap().digests();
        assert_eq!(without.oms, digests.oms);
        assert_ne!(without.dir_hash1, digests.dir_hash1);
    }

    #[test]
    fn the_digests_of_the_provenance_example_come_out() {
        let digest = |text| parse_hex(text).unwrap();
        let readme = "75838a2f7a4a7f3632c6e4753e32b4606f8d2958ca90e379ac897c88a63fc2a2";
        let config = "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356";
        let weights = "c9c0f2af0f9fedfca19780ce85cb94a8fe7c7b1effb495a0a787e5980a915410";
        let files =
            [("model.safetensors", weights), ("README.md", readme), ("config.json", config)]
                .map(|(path, sha256)| FileEntry { sha256: digest(sha256), ..file(path, "") });
        let digests = Manifest::new(files.to_vec()).unwrap().digests();
        assert_eq!(
            hex(&digests.dir_hash1),
            "9ed8fd8fa97be25d25c1db2136d367dfcae340fc61435b82d3d1de630614fb92"
        );
        assert_eq!(
            hex(&digests.oms),
            "b248998885b5bb64b8f66929e2cb2e41d6da5ded6160f0eb7ed50c721a30d092"
        );
    }

    #[test]
    fn a_renamed_file_changes_dir_hash1_though_not_the_oms_root() {
        let one = Manifest::new(vec![file("x", "1"), file("y", "2")]).unwrap().digests();
        let two = Manifest::new(vec![file("a.py", "1"), file("b", "2")]).unwrap().digests();
        assert_eq!(one.oms, two.oms);
        assert_ne!(one.dir_hash1, two.dir_hash1);
    }

    #[test]
    fn paths_that_cannot_be_written_safely_are_refused() {
        for path in ["a", "a b/c.txt", ".gitattributes", "é/模型", "a..b", "..."] {
            assert_eq!(why(path), None, "{path}");
        }
        let long = "a".repeat(256);
        for path in [
            "", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\nb", "a\0", "a\u{9b}b", "a\\b",
            &long,
        ] {
            assert!(why(path).is_some(), "{path:?}");
        }
    }

    #[test]
    fn twins_and_files_as_directories_are_refused() {
        let refused = |paths: &[&str]| {
            Manifest::new(paths.iter().map(|path| file(path, "")).collect()).unwrap_err()
        };
        assert_eq!(refused(&[]), Error::Empty);
        assert_eq!(refused(&["a", "b", "a"]), Error::Twice { path: "a".into() });
        // "a-" sorts between "a" and "a/b": neighbours alone would not show it.
        assert_eq!(
            refused(&["a", "a-", "a/b"]),
            Error::FileAsDirectory { path: "a".into(), below: "a/b".into() }
        );
        let huge = FileEntry { size: limits::JSON_INT_MAX, ..file("a", "") };
        assert!(Manifest::new(vec![huge.clone()]).is_ok());
        assert_eq!(
            Manifest::new(vec![huge, file("b", "1")]),
            Err(Error::Size { path: "b".into() })
        );
    }

    #[test]
    fn differences_name_every_file_that_is_not_as_signed() {
        let signed = Manifest::new(tree()).unwrap();
        assert_eq!(signed.differences(&signed), []);
        let mut there = tree();
        there.retain(|file| file.path != "empty" && file.path != "Upper");
        there[0] = file("a b.txt", "hellp");
        there.push(file("lower", "u"));
        there.push(file("planted.py", "evil"));
        assert_eq!(
            Manifest::new(there).unwrap().differences(&signed),
            [
                Difference::Renamed { from: "Upper".into(), to: "lower".into() },
                Difference::Changed { path: "a b.txt".into() },
                Difference::Missing { path: "empty".into() },
                Difference::Extra { path: "planted.py".into() },
            ]
        );
    }

    #[test]
    fn files_jsonl_round_trips_and_has_one_form() {
        let manifest = Manifest::new(tree()).unwrap();
        let text = String::from_utf8(manifest.to_jsonl()).unwrap();
        assert_eq!(text.lines().count(), 8);
        assert_eq!(Manifest::from_jsonl(text.as_bytes()), Ok(manifest));
        let line = |text: &str| match Manifest::from_jsonl(text.as_bytes()) {
            Err(Error::Line { line, why }) => (line, why),
            other => panic!("{other:?}"),
        };
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(line(text.trim_end()).0, 8);
        assert_eq!(line(&format!("{}\n{}\n", lines[1], lines[0])).0, 2);
        assert_eq!(line(&format!("{}\n\n", lines[0])).0, 2);
        assert!(line(&text.replace(",\"name\"", ", \"name\"")).1.contains("canonical"));
        assert!(line(&text.replacen("}", ",\"x\":1}", 1)).1.contains("unknown field"));
        assert!(line(&text.replacen("\"size\":1", "\"size\":-1", 1)).1.contains("-1"));
    }

    proptest! {
        #[test]
        fn any_bytes_as_files_jsonl_never_panic(bytes: Vec<u8>) {
            let _ = Manifest::from_jsonl(&bytes).is_ok();
        }

        #[test]
        fn a_changed_byte_of_files_jsonl_never_reads_as_the_same(at in 0usize..1000, bit in 0u8..8) {
            let manifest = Manifest::new(tree()).unwrap();
            let mut bytes = manifest.to_jsonl();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(Manifest::from_jsonl(&bytes), Ok(manifest));
        }
    }
}
