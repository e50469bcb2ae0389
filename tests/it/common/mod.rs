//! What the end-to-end tests share: homes, the program as a child process, daemons, made models, trees to compare.

pub(crate) mod files;
pub(crate) mod foreign;
pub(crate) mod forge;
pub(crate) mod http;
pub(crate) mod mount;
pub(crate) mod netns;
mod process;
pub(crate) mod relay;

use std::{
    env,
    ffi::OsStr,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    str::FromStr as _,
    thread,
    time::{Duration, Instant, SystemTime},
};

use libp2p::PeerId;
use modelswarm::{dag::Cid, store};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use process::{Daemon, Output, Running};

/// How long anything may take before a test calls it hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Notes that this machine cannot do what a test needs: said on stderr, and in CI (`CI=true`) a failure.
pub(crate) fn not_run(why: &str) {
    let ci = env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "CI must be able to run this test: {why}");
    // Not by a macro: what those write is not shown of a test that passes.
    let test = thread::current().name().unwrap_or_default().to_owned();
    let note = format!("{test}: NOT RUN: {why}\n");
    io::stderr().write_all(note.as_bytes()).expect("write to stderr");
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain for: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A home of its own, and room beside it for what a test makes.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    /// A home that does not exist yet.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("ms-").tempdir().expect("temporary folder") }
    }

    /// What `--home` is given.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A path beside the home, for models and destinations.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A small model beside the home, its content given by `seed`.
    pub(crate) fn model(&self, name: &str, seed: u64) -> PathBuf {
        let dir = self.beside(name);
        files::model(&dir, seed, 3 * files::MIB + 4096);
        dir
    }

    /// The program without any argument, in a clean environment: no settings, and all folders beside the home.
    pub(crate) fn bare(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelswarm"));
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("MODELSWARM_") || text.starts_with("XDG_") {
                command.env_remove(&name);
            }
        }
        command
            .env("HOME", self.beside("user"))
            .env("XDG_CONFIG_HOME", self.beside("user/config"))
            .env("XDG_DATA_HOME", self.beside("user/data"))
            .env("NO_COLOR", "1")
            .current_dir(self.dir.path());
        command
    }

    /// The program on this home, and on no network but loopback.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = self.bare();
        command.arg("--home").arg(self.path()).args(["--network", "isolated"]).args(args);
        command
    }

    /// Starts a command whose answer is to be JSON.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, args: &[S]) -> Running {
        let mut command = self.command(args);
        command.arg("--json");
        Running::spawn(command)
    }

    /// Runs a command whose answer is to be JSON.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        self.start(args).wait()
    }

    /// Runs a command as a person would, without `--json`.
    pub(crate) fn say<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        Running::spawn(self.command(args)).wait()
    }

    /// Runs a command that must succeed; its answer.
    pub(crate) fn ask<S: AsRef<OsStr>>(&self, args: &[S]) -> Value {
        self.run(args).ok()
    }

    /// Seeds a folder or file with more arguments; the answer.
    pub(crate) fn seed(&self, path: &Path, more: &[&str]) -> Value {
        let mut args = vec![OsStr::new("seed"), path.as_os_str()];
        args.extend(more.iter().map(OsStr::new));
        self.ask(&args)
    }

    /// Fetches with more arguments.
    pub(crate) fn get(&self, reference: &str, more: &[&str]) -> Output {
        self.run(&[&["get", reference], more].concat())
    }

    /// A daemon on this home, on a free port of loopback, without HTTP.
    pub(crate) fn daemon(&self, more: &[&str]) -> Daemon {
        Daemon::start(self.command(&self.daemon_args(more)))
    }

    /// The arguments of [`Home::daemon`].
    pub(crate) fn daemon_args<'a>(&self, more: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec!["daemon", "--listen", "/ip4/127.0.0.1/tcp/0"];
        if !more.contains(&"--http") {
            args.extend(["--http", "off"]);
        }
        args.extend(more);
        args
    }

    /// Waits until the running daemon has told peers of this many CIDs.
    pub(crate) fn announced(&self, at_least: u64) {
        until("the announcement", || {
            let status = self.ask(&["status"]);
            let told = status["last_announced"].is_string();
            (told && status["announced"].as_u64() >= Some(at_least)).then_some(())
        });
    }
}

/// Whether a home whose daemon has ended holds exactly one record that this peer provides this CID.
pub(crate) fn has_record(home: &Home, cid: &str, peer_id: &str) -> bool {
    // It lies in the store, under the multihash of the CID and the id of the provider.
    let options = store::Options::new(home.path().join("library"));
    let store = store::Store::open(&home.path().join("store"), options).expect("the store");
    let records = store.load_provider_records(SystemTime::now()).expect("records");
    store.close().expect("closed");
    let cid: Cid = cid.parse().expect("a CID");
    let provider = PeerId::from_str(peer_id).expect("a peer id").to_bytes();
    let contains = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|w| w == part);
    let of_it = records.iter().filter(|record| contains(&record.key, &cid.hash().to_bytes()));
    of_it.filter(|record| contains(&record.key, &provider)).count() == 1
}

/// A text field of an answer, which must be there.
pub(crate) fn text<'a>(answer: &'a Value, field: &str) -> &'a str {
    answer[field].as_str().unwrap_or_else(|| panic!("no text {field} in {answer}"))
}

/// A number field of an answer, which must be there.
pub(crate) fn number(answer: &Value, field: &str) -> u64 {
    answer[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {answer}"))
}
