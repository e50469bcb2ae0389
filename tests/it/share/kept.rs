//! What is kept, how far it goes, and what forgetting it deletes.

use std::path::Path;

use super::{Swarm, as_text};
use crate::common::{
    Home,
    files::{self, MODEL_FILES},
    number, text,
};

#[test]
fn private_content_is_shown_to_nobody_and_share_changes_that() {
    let swarm = Swarm::with(|home| home.model("secret", 5), &["--visibility", "lan"]);
    let peer = ["--peer", swarm.seeder.addr()];
    swarm.home.ask(&["share", "secret", "--to", "private"]);
    let home = Home::new();
    home.get(swarm.release(), &peer).fails(3).says("asked");
    let out = home.beside("out");
    let pieces = home.get(swarm.root(), &[&peer[..], &["-o", as_text(&out)]].concat());
    pieces.fails(3);
    assert!(!out.exists());
    swarm.home.ask(&["share", "secret", "--to", "lan"]);
    let got = home.get(swarm.release(), &peer).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&swarm.model));
}

#[test]
fn rm_forgets_the_users_files_and_deletes_only_the_librarys() {
    let swarm = Swarm::new();
    let home = Home::new();
    let out = home.beside("out");
    swarm.get(&home, swarm.root(), &["-o", as_text(&out)]);
    let removed = home.ask(&["rm", swarm.root()]);
    assert_eq!(number(&removed, "deleted_files"), 0);
    assert_eq!(files::tree(&out), files::tree(&swarm.model), "named with -o: the user's");
    let got = swarm.get(&home, swarm.release(), &[]);
    let path = Path::new(text(&got, "path")).to_owned();
    let removed = home.ask(&["rm", swarm.release()]);
    assert_eq!(number(&removed, "deleted_files"), MODEL_FILES);
    assert!(!path.exists());
    assert_eq!(home.ask(&["ls"])["repos"], serde_json::json!([]));
    swarm.home.ask(&["rm", "tiny-bert"]);
    assert_eq!(files::tree(&swarm.model).len() as u64, MODEL_FILES, "seeded in place: the user's");
    let peer = ["--peer", swarm.seeder.addr()];
    home.get(swarm.root(), &peer).fails(3);
}

#[test]
fn gc_drops_what_no_pin_needs_while_the_rest_is_served() {
    let swarm = Swarm::new();
    let second = swarm.home.model("second", 6);
    let other = swarm.home.seed(&second, &[]);
    swarm.home.ask(&["unpin", "second"]);
    let before = swarm.home.ask(&["status"]);
    let collected = swarm.home.ask(&["gc"]);
    assert!(number(&collected, "blocks") > 0, "{collected}");
    assert!(
        number(&swarm.home.ask(&["status"])["store"], "blocks")
            < number(&before["store"], "blocks")
    );
    assert_eq!(files::tree(&second).len() as u64, MODEL_FILES, "the user's files stay");
    let home = Home::new();
    let peer = ["--peer", swarm.seeder.addr()];
    home.get(swarm.release(), &peer).ok();
    home.get(text(&other, "root"), &peer).fails(3);
}

#[test]
fn a_release_keeps_its_folder_when_its_publisher_gets_an_alias() {
    let swarm = Swarm::new();
    let home = Home::new();
    let first = swarm.get(&home, swarm.release(), &[]);
    let publisher = text(&first["provenance"], "publisher");
    home.ask(&["trust", "add", "lab", publisher]);
    let path = Path::new(text(&first, "path"));
    std::fs::remove_file(path.join("config.json")).unwrap();
    let again = swarm.get(&home, swarm.release(), &[]);
    assert_eq!(text(&again, "path"), text(&first, "path"));
    assert_eq!(files::tree(path), files::tree(&swarm.model), "what was deleted is back");
    assert_eq!(home.ask(&["ls"])["repos"].as_array().map(Vec::len), Some(1));
}
