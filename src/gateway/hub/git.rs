//! What git calls things: the ids of blobs, of LFS pointers and of directories, all SHA-1 of git's object format.
//!
//! Hugging Face clients keep these ids, compare them and name files by them. They prove nothing here: content is
//! proved by the signed card, and SHA-1 could not. Not: any repository of git's, nor reading a pointer.
//!
//! Invariant: a tree's ids depend on paths and blob ids alone, so they are known before any content is.

use std::collections::BTreeMap;

use sha1::{Digest as _, Sha1};

use crate::card::json::hex;

/// The pointer that git holds in place of an LFS file: version 1 of its specification, its keys in their one order.
pub(super) fn pointer(sha256: &[u8; 32], size: u64) -> String {
    let oid = hex(sha256);
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")
}

/// The id of a file with these bytes, 40 hex digits.
pub(super) fn blob_id(bytes: &[u8]) -> String {
    hex(&object("blob", bytes))
}

/// The id of an LFS file's pointer, 40 hex digits.
pub(super) fn pointer_id(sha256: &[u8; 32], size: u64) -> String {
    hex(&pointer_sha1(sha256, size))
}

/// The same as bytes, for [`tree_ids`].
pub(super) fn pointer_sha1(sha256: &[u8; 32], size: u64) -> [u8; 20] {
    object("blob", pointer(sha256, size).as_bytes())
}

/// The id of every directory, by its path (`""` is the top), 40 hex digits each.
///
/// `files` are plain files, path and blob id, sorted bytewise by path; no file is a directory of another's path. Git
/// compares a directory as if its name ended in `/`, so the order of whole paths is that of entries in each directory,
/// and one pass does.
pub(super) fn tree_ids(files: &[(&str, [u8; 20])]) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    // The directory of the last file, and for it and each above it: where its name starts, and its entries so far.
    let mut path = String::new();
    let mut open = vec![(0, Vec::new())];
    for (file, blob) in files {
        let (directory, name) = file.rsplit_once('/').unwrap_or(("", file));
        while !is_in(directory, &path) {
            close(&mut path, &mut open, &mut ids);
        }
        let below = directory[path.len()..].trim_start_matches('/');
        for part in below.split('/').filter(|part| !part.is_empty()) {
            if !path.is_empty() {
                path.push('/');
            }
            open.push((path.len(), Vec::new()));
            path.push_str(part);
        }
        if let Some((_, entries)) = open.last_mut() {
            entry(entries, "100644", name, blob);
        }
    }
    while !open.is_empty() {
        close(&mut path, &mut open, &mut ids);
    }
    ids
}

/// Whether `directory` is `ancestor` or below it.
fn is_in(directory: &str, ancestor: &str) -> bool {
    let Some(rest) = directory.strip_prefix(ancestor) else { return false };
    ancestor.is_empty() || rest.is_empty() || rest.starts_with('/')
}

/// Ends the directory `path`: its entries are complete, and it becomes one of the directory above.
fn close(path: &mut String, open: &mut Vec<(usize, Vec<u8>)>, ids: &mut BTreeMap<String, String>) {
    let Some((start, entries)) = open.pop() else { return };
    let id = object("tree", &entries);
    ids.insert(path.clone(), hex(&id));
    if let Some((_, above)) = open.last_mut() {
        entry(above, "40000", &path[start..], &id);
    }
    path.truncate(start.saturating_sub(1));
}

fn entry(entries: &mut Vec<u8>, mode: &str, name: &str, id: &[u8; 20]) {
    entries.extend_from_slice(mode.as_bytes());
    entries.push(b' ');
    entries.extend_from_slice(name.as_bytes());
    entries.push(0);
    entries.extend_from_slice(id);
}

/// The id of an object: SHA-1 of its kind, its length and its bytes.
fn object(kind: &str, bytes: &[u8]) -> [u8; 20] {
    let head = format!("{kind} {}\0", bytes.len());
    Sha1::new().chain_update(head).chain_update(bytes).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// SHA2-256 of "hello".
    const HELLO: [u8; 32] = [
        0x2c, 0xf2, 0x4d, 0xba, 0x5f, 0xb0, 0xa3, 0x0e, 0x26, 0xe8, 0x3b, 0x2a, 0xc5, 0xb9, 0xe2,
        0x9e, 0x1b, 0x16, 0x1e, 0x5c, 0x1f, 0xa7, 0x42, 0x5e, 0x73, 0x04, 0x33, 0x62, 0x93, 0x8b,
        0x98, 0x24,
    ];

    fn blob(bytes: &str) -> [u8; 20] {
        object("blob", bytes.as_bytes())
    }

    #[test]
    fn blobs_have_the_ids_of_git_hash_object() {
        assert_eq!(blob_id(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(blob_id(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn pointers_are_what_git_lfs_writes() {
        assert_eq!(
            pointer(&HELLO, 5),
            "version https://git-lfs.github.com/spec/v1\n\
             oid sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n\
             size 5\n"
        );
        // printf of the above | git hash-object --stdin
        assert_eq!(pointer_id(&HELLO, 5), "d1ca116d6733584c13cb8bb50b21d5b5b81ee28f");
        assert_eq!(pointer_id(&HELLO, 5), hex(&pointer_sha1(&HELLO, 5)));
        assert_ne!(pointer_id(&HELLO, 5), pointer_id(&HELLO, 6));
    }

    #[test]
    fn directories_have_the_ids_of_git_write_tree() {
        // git 2.39: git add -A; git ls-tree -r -t $(git write-tree)
        let files = [
            (".gitattributes", ""),
            ("a-", "8"),
            ("a-b/x/two", "2"),
            ("a.txt", "hello"),
            ("a/one", "1"),
            ("a0", "3"),
            ("sub/deep-er", "9"),
            ("sub/deep.bin", "5"),
            ("sub/deep/f", "4"),
            ("sub/z", "6"),
            ("é/x y", "7"),
        ];
        let files = files.map(|(path, bytes)| (path, blob(bytes)));
        let expected = [
            ("", "40f14bc7817e27733436cbb4c2238cf33fb97ef1"),
            ("a", "9051a0c9f298e98a9cc2d6a384d0a71047552f2a"),
            ("a-b", "933451438c88b388f95d53958c76712666b00db9"),
            ("a-b/x", "acd66f17aa3a7739791daa6add2daebf3cb264b3"),
            ("sub", "e25896ab0017fef46e146ccd91d1116a5532a842"),
            ("sub/deep", "b6d626235b89d9e69f769b3bab4619ee1483e0d7"),
            ("é", "f4a5b856c87e19f3e8059d93b629aa341e98e26f"),
        ];
        let expected = expected.map(|(path, id)| (path.to_owned(), id.to_owned()));
        assert_eq!(tree_ids(&files), BTreeMap::from(expected));
    }

    #[test]
    fn a_directory_is_not_in_one_whose_name_begins_its_own() {
        // git 2.39, as above.
        let ids = tree_ids(&[("d/f", blob("1")), ("dd/f", blob("2"))]);
        let expected = [
            ("", "3a07d71fd4db9599bf9d45e34d2de7faf34e31d4"),
            ("d", "968a52a40411d3dbe448dad5a06d00eab49250db"),
            ("dd", "d3b46a181f977ec239c7ea72d6e86f8e36f2f724"),
        ];
        let expected = expected.map(|(path, id)| (path.to_owned(), id.to_owned()));
        assert_eq!(ids, BTreeMap::from(expected));
    }

    #[test]
    fn no_files_make_the_empty_tree() {
        let empty = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        assert_eq!(tree_ids(&[]), BTreeMap::from([(String::new(), empty.to_owned())]));
    }

    /// Directory by directory, in git's order written out: slow, and built another way.
    fn by_hand(files: &[(&str, [u8; 20])], at: &str) -> [u8; 20] {
        let mut entries = BTreeMap::new();
        for (path, blob) in files {
            let Some(below) = path.strip_prefix(at) else { continue };
            match below.split_once('/') {
                Some((name, _)) => {
                    let id = by_hand(files, &format!("{at}{name}/"));
                    entries.insert(format!("{name}/"), ("40000", name, id));
                }
                None => {
                    entries.insert(below.to_owned(), ("100644", below, *blob));
                }
            }
        }
        let mut bytes = Vec::new();
        for (mode, name, id) in entries.values() {
            bytes.extend(format!("{mode} {name}\0").into_bytes());
            bytes.extend(id);
        }
        object("tree", &bytes)
    }

    proptest! {
        #[test]
        fn one_pass_agrees_with_the_order_written_out(
            // Directories end in "d" and files do not, so none is both.
            paths in prop::collection::btree_set("([abd.0-]{0,2}d/){0,3}[abd.0-]{0,2}f", 0..20),
        ) {
            let files: Vec<_> = paths.iter().map(|path| (path.as_str(), blob(path))).collect();
            let ids = tree_ids(&files);
            for (path, id) in &ids {
                let at = if path.is_empty() { String::new() } else { format!("{path}/") };
                prop_assert_eq!(id, &hex(&by_hand(&files, &at)), "{}", path);
            }
            let parents = paths.iter().flat_map(|path| {
                path.match_indices('/').map(|(at, _)| path[..at].to_owned())
            });
            let directories: std::collections::BTreeSet<_> =
                parents.chain([String::new()]).collect();
            prop_assert_eq!(ids.into_keys().collect::<std::collections::BTreeSet<_>>(), directories);
        }

        #[test]
        fn any_paths_never_panic(paths: Vec<String>, odd in prop::collection::vec("[a/]{0,6}", 0..6)) {
            let files: Vec<_> =
                paths.iter().chain(&odd).map(|path| (path.as_str(), [0; 20])).collect();
            prop_assert!(tree_ids(&files).contains_key(""));
        }
    }
}
