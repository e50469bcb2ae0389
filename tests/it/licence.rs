//! What goes to everybody says what everybody may do with it: `seed --visibility public` and `share --to public`.

use std::{fs, path::PathBuf};

use crate::common::{Home, files, text};

fn model(home: &Home, name: &str, readme: &str) -> PathBuf {
    let dir = home.beside(name);
    files::write(&dir.join("weights.bin"), name);
    files::write(&dir.join("README.md"), readme);
    dir
}

#[test]
fn nothing_is_made_public_without_a_licence_and_elsewhere_it_is_missed() {
    let home = Home::new();
    let dir = model(&home, "tiny", "# no front matter\n");
    let path = dir.to_str().expect("UTF-8");
    home.run(&["seed", path, "--visibility", "public"])
        .fails(5)
        .says("no licence")
        .says("--license");
    assert_eq!(home.ask(&["ls"])["repos"], serde_json::json!([]), "nothing was signed");
    let seeded = home.run(&["seed", path]);
    assert!(seeded.stderr.contains("no licence"), "{seeded:#?}");
    let release = text(&seeded.ok(), "release").to_owned();
    for reference in ["tiny", &release] {
        home.run(&["share", reference, "--to", "public"])
            .fails(5)
            .says("no licence")
            .says("--license");
        assert_eq!(text(&home.ask(&["show", "tiny"]), "visibility"), "lan", "it stays what it was");
    }
    home.ask(&["share", "tiny", "--to", "private"]);
    // A repo that is public stays so only with a licence.
    home.ask(&["seed", path, "--license", "mit", "--name", "open", "--visibility", "public"]);
    files::write(&dir.join("weights.bin"), "more");
    home.run(&["seed", path, "--name", "open"]).fails(5).says("no licence");
}

#[test]
fn every_version_that_is_shared_needs_one_and_a_name_needs_its_text() {
    let home = Home::new();
    let dir = model(&home, "tiny", "# no front matter\n");
    home.seed(&dir, &["--copy"]);
    let second = home.seed(&dir, &["--copy", "--license", "mit"]);
    home.run(&["share", "tiny", "--to", "public"]).fails(5).says("no licence");
    home.ask(&["share", text(&second, "release"), "--to", "public"]);
    let named = model(&home, "named", "---\nlicense: my-own\n---\n");
    home.seed(&named, &[]);
    home.run(&["share", "named", "--to", "public"]).fails(5).says("my-own").says("LICENSE");
    files::write(&named.join("LICENSE"), "do what you like");
    let third = home.seed(&named, &[]);
    home.ask(&["share", text(&third, "release"), "--to", "public"]);
    fs::write(named.join("LICENSE"), "").expect("written");
    let emptied = home.seed(&named, &["--visibility", "lan"]);
    home.run(&["share", text(&emptied, "release"), "--to", "public"]).fails(5).says("my-own");
    let several = model(&home, "several", "---\nlicense: [mit, apache-2.0]\n---\n");
    home.seed(&several, &["--visibility", "public"]);
    // Nobody stated anything of what nobody signed.
    let bare = model(&home, "bare", "---\nlicense: mit\n---\n");
    let path = bare.to_str().expect("UTF-8");
    home.run(&["seed", path, "--unsigned", "--visibility", "public"]).fails(5).says("unsigned");
    let bare = home.seed(&bare, &["--unsigned"]);
    home.run(&["share", text(&bare, "root"), "--to", "public"]).fails(5).says("unsigned");
}
