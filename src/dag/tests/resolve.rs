//! Paths followed through trees.

use super::{Blocks, file, tree};
use crate::dag::resolve::Error;
use crate::dag::{Cid, Resolve};

/// Follows a path; gives its end and the nodes read.
fn resolve(root: Cid, path: &str, blocks: &Blocks) -> Result<(Cid, usize), Error> {
    let mut resolve = Resolve::new(root, path)?;
    let mut read = 0;
    while let Some(cid) = resolve.wanted() {
        assert_eq!(resolve.end(), None);
        resolve.supply(&blocks[&cid])?;
        read += 1;
    }
    Ok((resolve.end().unwrap(), read))
}

#[test]
fn a_path_is_followed_reading_only_what_lies_on_it() {
    let mut blocks = Blocks::new();
    let leaf = file(&[b"x".to_vec()], &mut blocks);
    let other = file(&[b"x".to_vec(), b"y".to_vec()], &mut blocks);
    let root = tree(&[("a/b/c", leaf), ("a/d", other), ("e", leaf)], &mut blocks);
    assert_eq!(resolve(root.cid, "", &blocks), Ok((root.cid, 0)));
    assert_eq!(resolve(root.cid, "e", &blocks), Ok((leaf.cid, 1)));
    assert_eq!(resolve(root.cid, "a/b/c", &blocks), Ok((leaf.cid, 3)));
    assert_eq!(resolve(root.cid, "a/d", &blocks), Ok((other.cid, 2)));
    let missing = |path: &str| Err(Error::NotFound { path: path.to_owned() });
    assert_eq!(resolve(root.cid, "a/x/y", &blocks), missing("a/x"));
    assert_eq!(resolve(root.cid, "f", &blocks), missing("f"));
    let none = |path: &str| Err(Error::NotDirectory { path: path.to_owned() });
    assert_eq!(resolve(root.cid, "e/x", &blocks), none("e"));
    assert_eq!(resolve(root.cid, "a/d/x", &blocks), none("a/d"));
    for path in ["/a", "a/", "..", "a//b", "a\nb"] {
        assert!(matches!(resolve(root.cid, path, &blocks), Err(Error::Name(_))), "{path:?}");
    }
}

#[test]
fn in_a_hamt_only_the_shards_on_the_way_are_read() {
    let mut blocks = Blocks::new();
    let names: Vec<_> = (0..9000).map(|i| format!("folder/name-{i:040}/f")).collect();
    let leaf = file(&[b"x".to_vec()], &mut blocks);
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), leaf)).collect();
    let root = tree(&files, &mut blocks);
    for name in names.iter().step_by(97) {
        let (end, read) = resolve(root.cid, name, &blocks).unwrap();
        assert_eq!(end, leaf.cid);
        assert!((4..8).contains(&read), "{read}");
    }
    let path = "folder/none".to_owned();
    let error = resolve(root.cid, "folder/none/f", &blocks);
    assert_eq!(error, Err(Error::NotFound { path }));
}
