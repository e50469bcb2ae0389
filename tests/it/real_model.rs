//! A real repo, as people publish it, from one process to another.
//!
//! `MODELSWARM_REAL_MODEL` names the folder of all-MiniLM-L6-v2 (13 files, 91 MB). In CI it must be there; elsewhere a
//! made model stands in for it.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::common::{
    Home,
    files::{self, MODEL_FILES},
    not_run, number, text,
};

/// The folder, its number of files, and whether it is the real one.
fn model(home: &Home) -> (PathBuf, u64, bool) {
    match env::var_os("MODELSWARM_REAL_MODEL").filter(|path| !path.is_empty()) {
        Some(path) => (PathBuf::from(path), 13, true),
        None => {
            not_run(
                "MODELSWARM_REAL_MODEL does not name the real model; a made one stands in for it",
            );
            (home.model("all-MiniLM-L6-v2", 11), MODEL_FILES, false)
        }
    }
}

#[test]
fn a_real_model_is_seeded_by_one_process_and_fetched_by_another() {
    let home = Home::new();
    let (model, count, real) = model(&home);
    let before = files::tree(&model);
    let daemon = home.daemon(&[]);
    let seeded = home.seed(&model, &["--name", "all-MiniLM-L6-v2"]);
    assert_eq!(number(&seeded, "files"), count);
    assert_eq!(number(&seeded, "bytes"), files::size(&before));
    let shown = home.ask(&["show", "all-MiniLM-L6-v2"]);
    assert_eq!(shown["predicate"]["license"], "apache-2.0", "the README's front matter is read");

    let fetcher = Home::new();
    let got = fetcher.get(text(&seeded, "release"), &["--peer", daemon.addr()]).ok();
    let path = Path::new(text(&got, "path"));
    assert_eq!(files::tree(path), before, "byte for byte, dotfiles and sub-folder too");
    assert_eq!(got["provenance"]["status"], "verified");
    if real {
        assert!(path.join("1_Pooling/config.json").is_file());
        assert_eq!(files::digest(&path.join("model.safetensors")).0, 90_868_376);
    }
    let verified = fetcher.ask(&["verify", text(&seeded, "release")]);
    assert_eq!(verified["ok"], true);
    assert_eq!(number(&verified, "files"), count);
    assert_eq!(files::tree(&model), before, "seeding changes nothing in the folder");
}
