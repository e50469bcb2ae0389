use std::os::unix::{fs::symlink, net::UnixListener};

use super::*;

fn tree(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file.as_bytes()).unwrap();
    }
    dir
}

fn everything() -> Selection {
    Selection::new(&[], &[]).unwrap()
}

fn paths(scan: &Scan) -> Vec<&str> {
    scan.files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn files_are_listed_by_path_and_what_no_repo_shares_is_named_as_left_out() {
    let dir = tree(&[
        "model.safetensors",
        "README.md",
        ".gitattributes",
        "sub/b",
        "sub-a",
        ".git/config",
        ".cache/huggingface/x.lock",
        "model.safetensors.incomplete",
    ]);
    let scan = scan(dir.path(), &everything(), false).unwrap();
    assert_eq!(
        paths(&scan),
        [".gitattributes", "README.md", "model.safetensors", "sub-a", "sub/b"]
    );
    assert_eq!(scan.left_out, [".cache/huggingface/", ".git/", "model.safetensors.incomplete"]);
    assert_eq!(scan.bytes(), paths(&scan).iter().map(|path| path.len() as u64).sum::<u64>());
}

#[test]
fn a_folder_that_holds_nothing_is_part_of_the_tree_one_that_was_emptied_by_the_rules_is_not() {
    let dir = tree(&["a", ".cache/huggingface/x"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    let all = scan(dir.path(), &everything(), false).unwrap();
    assert_eq!(all.empty, ["empty"]);
    let some = Selection::new(&["a".into()], &[]).unwrap();
    assert!(scan(dir.path(), &some, false).unwrap().empty.is_empty());
}

#[test]
fn a_single_file_is_listed_under_its_own_name() {
    let dir = tree(&["weights.gguf"]);
    let scan = scan(&dir.path().join("weights.gguf"), &everything(), false).unwrap();
    assert_eq!(paths(&scan), ["weights.gguf"]);
}

#[test]
fn a_hugging_face_snapshot_is_read_through_its_links() {
    let dir = tree(&["models--a--b/blobs/1234"]);
    let snapshot = dir.path().join("models--a--b/snapshots/abc/sub");
    fs::create_dir_all(&snapshot).unwrap();
    symlink("../../../blobs/1234", snapshot.join("config.json")).unwrap();
    let scan = scan(snapshot.parent().unwrap(), &everything(), false).unwrap();
    assert_eq!(paths(&scan), ["sub/config.json"]);
    assert!(scan.files[0].source.ends_with("blobs/1234"), "the link's target is what is served");
}

#[test]
fn links_inside_the_folder_are_followed_and_others_need_the_users_word() {
    let dir = tree(&["repo/a", "outside"]);
    let repo = dir.path().join("repo");
    symlink("a", repo.join("b")).unwrap();
    assert_eq!(paths(&scan(&repo, &everything(), false).unwrap()), ["a", "b"]);
    symlink("../outside", repo.join("c")).unwrap();
    let refused = scan(&repo, &everything(), false).unwrap_err();
    assert_eq!(refused.code, Code::Usage);
    assert!(refused.hint.unwrap().contains("--follow-symlinks"));
    assert_eq!(paths(&scan(&repo, &everything(), true).unwrap()), ["a", "b", "c"]);
    let without = Selection::new(&[], &["c".into()]).unwrap();
    assert_eq!(paths(&scan(&repo, &without, false).unwrap()), ["a", "b"]);
}

#[test]
fn links_that_go_round_in_a_circle_end_in_an_error() {
    let dir = tree(&["repo/a", "other/x"]);
    let repo = dir.path().join("repo");
    symlink("../other", repo.join("other")).unwrap();
    symlink("../repo", dir.path().join("other/back")).unwrap();
    let refused = scan(&repo, &everything(), true).unwrap_err();
    assert!(refused.message.contains("circle"), "{}", refused.message);
}

#[test]
fn a_dangling_link_and_a_socket_are_refused_by_name_with_a_way_out() {
    let dir = tree(&["a"]);
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    let refused = scan(dir.path(), &everything(), true).unwrap_err();
    assert!(refused.message.contains("dangling"), "{}", refused.message);
    fs::remove_file(dir.path().join("dangling")).unwrap();
    let _socket = UnixListener::bind(dir.path().join("s.sock")).unwrap();
    let refused = scan(dir.path(), &everything(), false).unwrap_err();
    assert!(refused.message.contains("s.sock") && refused.message.contains("a socket"));
    assert!(refused.hint.unwrap().contains("--exclude 's.sock'"));
}

#[test]
fn names_that_no_tree_may_have_are_refused() {
    for name in ["a\nb", "aux", "a\\b"] {
        let dir = tree(&["ok", name]);
        let refused = scan(dir.path(), &everything(), false).unwrap_err();
        assert_eq!(refused.code, Code::Usage, "{name:?}");
    }
    let twins = tree(&["README.md", "readme.md"]);
    assert!(scan(twins.path(), &everything(), false).is_err());
}

#[test]
fn the_name_that_marks_a_release_is_refused_at_the_top_and_nowhere_else() {
    let top = tree(&["card.sigstore.json", "a"]);
    assert!(scan(top.path(), &everything(), false).unwrap_err().message.contains("release"));
    let below = tree(&["sub/card.sigstore.json"]);
    assert!(scan(below.path(), &everything(), false).is_ok());
}

#[test]
fn a_folder_with_nothing_to_seed_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(scan(dir.path(), &everything(), false).unwrap_err().code, Code::Usage);
    let none = Selection::new(&["*.bin".into()], &[]).unwrap();
    assert!(scan(tree(&["a"]).path(), &none, false).is_err());
}
