//! What is private stays so, whatever its owner's own clients do.

use std::fs;

use crate::common::{Home, files, http, text};

#[test]
fn reading_what_was_changed_on_the_disk_shows_it_to_nobody_else() {
    let home = Home::new();
    let model = home.beside("secret");
    files::model(&model, 3, 3_000_000);
    let daemon = home.daemon(&["--http", "127.0.0.1:0"]);
    let seeded = home.seed(&model, &["--visibility", "private"]);
    let part = text(&seeded, "publisher").trim_start_matches("did:key:").to_owned();
    let token = format!("Authorization: Bearer {}\r\n", text(&home.ask(&["token"]), "token"));
    let info = format!("/api/models/{part}/secret");
    let file = |name: &str| format!("/{part}/secret/resolve/main/{name}");
    assert!(http::get(&daemon, &file("config.json"), &token).is_ok());
    assert!(http::get(&daemon, &info, "").is_err());
    // A block of it can't be read any more: the reader looks for it elsewhere.
    let weights = model.join("model.safetensors");
    let mut bytes = fs::read(&weights).expect("as it was made");
    bytes[2_000_000] ^= 1;
    fs::write(&weights, bytes).expect("as it was made");
    assert!(http::get(&daemon, &file("model.safetensors"), &token).is_err());
    for path in [info, file("README.md"), file("config.json")] {
        let head =
            http::get(&daemon, &path, "").expect_err("without the token there is no such repo");
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    }
    let repos = home.ask(&["ls"])["repos"].as_array().expect("a list").clone();
    assert!(repos.iter().all(|repo| repo["visibility"] == "private"), "{repos:?}");
}
