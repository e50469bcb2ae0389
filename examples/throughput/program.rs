//! The `modelswarm` program as a user has it: built, run to its end, or run as a daemon.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The program's file.
pub(super) struct Program(PathBuf);

/// A command's answer, and the seconds from the start of its process to the end.
pub(super) struct Run {
    pub(super) answer: Value,
    pub(super) seconds: f64,
}

/// A daemon, ended with this value.
pub(super) struct Daemon {
    child: Child,
    home: PathBuf,
    address: String,
}

impl Program {
    /// Has cargo build the program: it does not by itself for an example.
    pub(super) fn build() -> Result<Self> {
        eprintln!("building the program");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--bin", "modelswarm", "--manifest-path"]);
        build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        ensure!(build.status()?.success(), "cargo could not build the program");
        Self::built()
    }

    /// The program that was built already.
    pub(super) fn built() -> Result<Self> {
        let example = env::current_exe()?;
        let path = example.ancestors().nth(2).context("an example lies in target/…/examples")?;
        let path = path.join("modelswarm");
        ensure!(path.is_file(), "{} is not there", path.display());
        Ok(Self(path))
    }

    /// A command on a home, its words still to come.
    pub(super) fn command(&self, home: &Path) -> Command {
        let mut command = Command::new(&self.0);
        for (name, _) in env::vars_os() {
            // A developer's own settings would be measured, not the defaults.
            if name.to_string_lossy().starts_with("MODELSWARM_") {
                command.env_remove(name);
            }
        }
        command.arg("--home").arg(home).args(["--network", "isolated", "--json", "--quiet"]);
        command
    }

    /// Runs a command on a home and waits for its answer.
    pub(super) fn run<I>(&self, home: &Path, words: I) -> Result<Run>
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let mut command = self.command(home);
        command.args(words).stderr(Stdio::inherit()).stdout(Stdio::piped());
        let started = Instant::now();
        let output = command.output()?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!(output.status.success(), "{command:?}: {}", output.status);
        Ok(Run { answer: serde_json::from_slice(&output.stdout)?, seconds })
    }

    /// Starts a daemon on a home and waits until it serves.
    pub(super) fn daemon(&self, home: &Path) -> Result<Daemon> {
        let mut command = self.command(home);
        command.args(["--listen", "/ip4/127.0.0.1/tcp/0", "daemon", "--http", "off"]);
        let log = fs::File::create(home.with_extension("log"))?;
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn()?;
        let stdout = child.stdout.take().context("stdout was asked for")?;
        let mut daemon = Daemon { child, home: home.to_owned(), address: String::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)
            .with_context(|| format!("no ready line from the daemon on {}", home.display()))?;
        daemon.address = ready["addrs"][0].as_str().context("it listens somewhere")?.to_owned();
        Ok(daemon)
    }
}

impl Daemon {
    /// Where peers reach it.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The home it runs on.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its home is thrown away with it.
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(why) = ended {
            eprintln!("warning: process {} could not be ended: {why}", self.child.id());
        }
    }
}
