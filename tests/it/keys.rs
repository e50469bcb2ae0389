//! Keys that the daemon never sees: in a file, in an ssh-agent; and what `key` says and does.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::common::{Home, files, text, until};

fn made(home: &Home, name: &str) -> (PathBuf, String) {
    let path = home.beside(name);
    let made = home.ask(&["key", "new", path.to_str().expect("as it was made")]);
    (path, text(&made, "key").to_owned())
}

fn change(model: &Path, content: &str) {
    fs::write(model.join("weights.bin"), content).expect("as it was made");
}

#[test]
fn commands_sign_for_a_daemon_that_does_not_hold_the_key() {
    let home = Home::new();
    let (path, key) = made(&home, "release.key");
    let used = home.ask(&["key", "use", path.to_str().expect("as it was made")]);
    assert_eq!((text(&used, "held"), text(&used, "key")), ("file", key.as_str()));
    let model = home.model("tiny", 1);
    let daemon = home.daemon(&[]);
    let seeded = home.seed(&model, &[]);
    assert_eq!(text(&seeded, "publisher"), key);
    // Its names too, by the same command; a stranger finds the repo by the key.
    let stranger = Home::new();
    let serving = stranger.daemon(&["--bootstrap", daemon.addr()]);
    until("a peer that takes the record", || {
        home.ask(&["name", "publish"])["names"][0]["peers"].as_u64().filter(|peers| *peers > 0)
    });
    let got = stranger.get(&format!("{key}/tiny"), &[]).ok();
    assert_eq!(got["release"], seeded["release"]);
    assert_eq!(got["provenance"]["status"], "verified");

    change(&model, "other");
    let second = home.seed(&model, &[]);
    assert_ne!(second["card"], seeded["card"]);
    let said = home.ask(&["card", "withdraw", "tiny", "--reason", "a mistake"]);
    assert_eq!(said["versions"][0]["status"], "withdrawn");

    // The key goes away: nothing can be signed, and nothing else suffers.
    fs::rename(&path, home.beside("away.key")).expect("as it was made");
    change(&model, "third");
    let model = model.to_str().expect("as it was made");
    home.run(&["seed", model]).fails(1).says("release.key");
    assert_eq!(home.ask(&["ls"])["repos"].as_array().map(Vec::len), Some(3));
    stranger.get(text(&seeded, "release"), &[]).ok();
    drop(serving);
}

#[test]
fn a_key_that_a_daemon_started_with_is_not_changed_under_it() {
    let home = Home::new();
    let (path, _) = made(&home, "release.key");
    let path = path.to_str().expect("as it was made");
    let daemon = home.daemon(&[]);
    home.run(&["key", "use", path]).fails(1).says("stop it first");
    home.run(&["key", "import", path]).fails(1).says("stop it first");
    drop(daemon);
    let before = home.ask(&["key", "show"]);
    let imported = home.ask(&["key", "import", path]);
    assert_eq!(text(&imported, "held"), "home");
    assert!(Path::new(text(&imported, "aside")).is_file(), "the key before is kept");
    assert_ne!(imported["key"], before["key"]);
    home.run(&["key", "import", text(&imported, "aside")]).ok();
    assert_eq!(home.ask(&["key", "show"])["key"], before["key"], "and comes back");
}

#[test]
fn an_encrypted_openssh_key_is_used_with_its_passphrase() {
    let home = Home::new();
    let path = home.beside("id_ed25519");
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "correct horse", "-f"])
        .arg(&path)
        .status();
    assert!(status.expect("ssh-keygen is installed").success());
    let path = path.to_str().expect("as it was made");
    home.run(&["key", "import", path]).fails(2).says("MODELSWARM_KEY_PASSPHRASE");
    let run = |passphrase: &str| {
        let mut command = home.command(&["key", "import", path, "--json"]);
        let output = command.env("MODELSWARM_KEY_PASSPHRASE", passphrase).output();
        output.expect("it runs")
    };
    assert!(!run("wrong horse").status.success());
    let imported: Value =
        serde_json::from_slice(&run("correct horse").stdout).expect("one JSON object");
    let ssh = home.ask(&["key", "export-pem"]);
    let line = fs::read_to_string(format!("{path}.pub")).expect("as it was made");
    let blob = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    assert_eq!(blob(text(&ssh, "ssh")), blob(&line), "ssh-keygen has the same public key");
    assert_eq!(text(&imported, "held"), "home");
    // Other kinds are told apart.
    let rsa = home.beside("id_rsa");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "rsa", "-N", "", "-f"]).arg(&rsa).status();
    assert!(made.expect("ssh-keygen is installed").success());
    home.run(&["key", "import", rsa.to_str().expect("as it was made")]).fails(1).says("ed25519");
}

/// An ssh-agent of the test's own.
struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("as it was made");
        let socket = dir.join("agent.sock");
        let process = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent is installed");
        until("the agent's socket", || socket.exists().then_some(()));
        Self { process, socket }
    }

    fn add(&self, key: &Path) {
        let added =
            Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).status();
        assert!(added.expect("ssh-add is installed").success());
    }

    fn ask(&self, home: &Home, args: &[&str]) -> Value {
        let mut command = home.command(&[args, &["--json"]].concat());
        let output = command.env("SSH_AUTH_SOCK", &self.socket).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("one JSON object")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        ended.expect("it was ours");
    }
}

#[test]
fn an_ssh_agent_signs_cards_and_names() {
    let home = Home::new();
    let agent = Agent::start(&home.beside("agent"));
    let key = home.beside("id_ed25519");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.expect("ssh-keygen is installed").success());
    agent.add(&key);
    fs::remove_file(&key).expect("only the agent has it now");
    let used = agent.ask(&home, &["key", "use", "agent"]);
    assert_eq!(text(&used, "held"), "agent");
    assert_eq!(agent.ask(&home, &["key", "list"])["keys"][0]["key"], used["key"]);
    let model = home.model("tiny", 1);
    // 2,000 files: more than an agent signs at once, so the card lists them beside it.
    for number in 0..2000 {
        files::write(&model.join(format!("part-{number:04}.txt")), number.to_string());
    }
    let path = model.to_str().expect("as it was made");
    let seeded = agent.ask(&home, &["seed", path]);
    assert_eq!(seeded["publisher"], used["key"]);
    assert_eq!(home.ask(&["verify", path])["provenance"]["status"], "verified");
    let named = agent.ask(&home, &["name", "publish"]);
    assert_eq!(named["names"][0]["repos"], 1);
    // Without the agent: said, and nothing signed.
    change(&model, "other");
    home.run(&["seed", path]).fails(1).says("ssh-agent");
}
