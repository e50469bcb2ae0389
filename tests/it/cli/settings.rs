//! Where settings come from, which wins, and where a home is.

use std::fs;

use crate::common::{Home, Running, files, text};

/// What `status` says of the network preset, with this environment.
fn preset(home: &Home, variables: &[(&str, &str)], args: &[&str]) -> String {
    let mut command = home.bare();
    command.arg("--home").arg(home.path()).args(["status", "--json"]).args(args);
    command.envs(variables.iter().copied());
    text(&Running::spawn(command).wait().ok(), "network").to_owned()
}

#[test]
fn a_flag_wins_over_environment_over_file_over_default() {
    let home = Home::new();
    assert_eq!(preset(&home, &[], &[]), "lan", "the default");
    files::write(&home.path().join("config.toml"), "[network]\npreset = \"isolated\"\n");
    assert_eq!(preset(&home, &[], &[]), "isolated");
    for variable in ["MODELSWARM_NETWORK", "MODELSWARM_NETWORK_PRESET"] {
        assert_eq!(preset(&home, &[(variable, "lan")], &[]), "lan", "{variable}");
    }
    let env = [("MODELSWARM_NETWORK", "lan")];
    assert_eq!(preset(&home, &env, &["--network", "isolated"]), "isolated");
    assert_eq!(preset(&home, &env, &["--set", "network.preset=isolated"]), "isolated");
}

#[test]
fn any_setting_may_come_from_the_environment() {
    let home = Home::new();
    let model = home.model("tiny", 101);
    let mut command = home.command(&["seed", model.to_str().expect("UTF-8"), "--json"]);
    command.env("MODELSWARM_SEED_VISIBILITY", "private");
    assert_eq!(Running::spawn(command).wait().ok()["visibility"], "private");
    let mut command = home.command(&["ls", "--json"]);
    command.env("MODELSWARM_STORE_INLINE_MAX", "lots");
    Running::spawn(command).wait().fails(2).says("MODELSWARM_STORE_INLINE_MAX");
}

#[test]
fn the_home_comes_from_flag_or_environment_or_the_xdg_folders() {
    let home = Home::new();
    let ask = |variable: Option<&str>, flag: Option<&str>| {
        let mut command = home.bare();
        command.args(["init", "--json", "--network", "isolated"]);
        if let Some(variable) = variable {
            command.env("MODELSWARM_HOME", home.beside(variable));
        }
        if let Some(flag) = flag {
            command.arg("--home").arg(home.beside(flag));
        }
        text(&Running::spawn(command).wait().ok(), "home").to_owned()
    };
    assert_eq!(ask(None, None), home.beside("user/data/modelswarm").to_str().expect("UTF-8"));
    assert!(home.beside("user/config/modelswarm/keys/publisher.key").is_file());
    assert_eq!(ask(Some("by-env"), None), home.beside("by-env").to_str().expect("UTF-8"));
    let both = ask(Some("by-env-2"), Some("by-flag"));
    assert_eq!(both, home.beside("by-flag").to_str().expect("UTF-8"));
    assert!(!home.beside("by-env-2").exists());
    // A relative home is as good as any, and so is a relative path of a model.
    let mut command = home.bare();
    command.args(["--home", "relative", "seed", "./here", "--json"]);
    home.model("here", 102);
    Running::spawn(command).wait().ok();
    assert!(home.beside("relative/store").is_dir());
}

#[test]
fn init_is_safe_to_repeat_and_keeps_the_keys() {
    let home = Home::new();
    let first = home.ask(&["init", "--alias", "acme"]);
    let key = fs::read(home.path().join("keys/publisher.key")).expect("the key");
    let second = home.ask(&["init"]);
    assert_eq!(first["publisher"], second["publisher"]);
    assert_eq!(first["peer_id"], second["peer_id"]);
    assert_eq!(second["alias"], "acme", "the alias is remembered");
    assert_eq!(fs::read(home.path().join("keys/publisher.key")).expect("the key"), key);
    assert_eq!(home.ask(&["id"])["publisher"], first["publisher"]);
    let said = home.say(&["init"]);
    let all = format!("{}{}", said.stdout, said.stderr);
    assert!(all.contains("back") && all.contains("publisher.key"), "wants a backup: {said:#?}");
    home.run(&["init", "--alias", "api"]).fails(2).says("api");
}

#[test]
fn any_command_makes_the_home_it_needs_and_says_so() {
    let home = Home::new();
    let said = home.say(&["ls"]);
    assert_eq!(said.code, 0, "{said:#?}");
    assert!(said.stderr.contains(home.path().to_str().expect("UTF-8")), "{said:#?}");
    assert!(!home.say(&["ls"]).stderr.contains("made"), "only once");
}

#[test]
fn aliases_and_keys_of_publishers_are_checked() {
    let home = Home::new();
    let me = text(&home.ask(&["id"]), "publisher").to_owned();
    for bad in ["api", "datasets", "a--b", "-a", "a/b", ""] {
        home.run(&["trust", "add", "--", bad, &me]).fails(2);
    }
    home.run(&["trust", "add", "friend", "did:key:nonsense"]).fails(2).says("nonsense");
    home.ask(&["trust", "add", "friend", &me]);
    let other = text(&Home::new().ask(&["id"]), "publisher").to_owned();
    let again = home.run(&["trust", "add", "friend", &other]);
    assert_ne!(again.code, 0, "an alias never moves to another key unseen: {again:#?}");
    assert_eq!(home.ask(&["trust", "list"])["publishers"].as_array().map(Vec::len), Some(1));
    home.run(&["trust", "rm", "stranger"]).fails(3).says("stranger");
}
