//! The `modelswarm` program on a machine: a home of its own, with or without a daemon.

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::netns::Machine;

/// Has cargo build the program, which it does not by itself for an example; gives its file.
pub(super) fn build_program() -> Result<PathBuf> {
    eprintln!("building the program");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--bin", "modelswarm", "--manifest-path"]);
    build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    ensure!(build.status()?.success(), "cargo could not build the program");
    let example = env::current_exe()?;
    let path = example.ancestors().nth(2).context("an example lies in target/…/examples")?;
    let path = path.join("modelswarm");
    ensure!(path.is_file(), "{} is not there", path.display());
    Ok(path)
}

/// A node. Dropping it ends its daemon.
pub(super) struct Node<'a> {
    program: &'a Path,
    machine: &'a Machine,
    home: PathBuf,
    /// What of `--network` it is told.
    preset: &'static str,
    daemon: Option<Child>,
    /// Where peers reach its daemon; empty without one.
    pub(super) address: String,
}

/// A command under way.
pub(super) struct Running(Child);

impl<'a> Node<'a> {
    /// A node without a daemon, whose home does not exist yet.
    pub(super) fn new(program: &'a Path, machine: &'a Machine, home: PathBuf) -> Self {
        Self { program, machine, home, preset: "isolated", daemon: None, address: String::new() }
    }

    /// The same, but with the preset as people have it: it finds the others by itself.
    pub(super) fn by_mdns(mut self) -> Self {
        self.preset = "lan";
        self
    }

    fn command(&self) -> Command {
        let mut command = self.machine.command(self.program);
        for (name, _) in env::vars_os() {
            // A developer's own settings would be measured, not the defaults.
            if name.to_string_lossy().starts_with("MODELSWARM_") {
                command.env_remove(name);
            }
        }
        command.arg("--home").arg(&self.home).args(["--network", self.preset, "--json", "--quiet"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Starts a command.
    pub(super) fn start(&self, words: &[&str]) -> Result<Running> {
        Ok(Running(self.command().args(words).spawn()?))
    }

    /// Runs a command; its answer.
    pub(super) fn run(&self, words: &[&str]) -> Result<Value> {
        self.start(words)?.answer()
    }

    /// Starts the daemon, told of nobody but `bootstrap`, and waits until it serves.
    pub(super) fn start_daemon(&mut self, bootstrap: Option<&str>) -> Result<()> {
        let mut command = self.command();
        command.args(["--listen", &format!("/ip4/{}/tcp/0", self.machine.ip)]);
        if let Some(address) = bootstrap {
            command.args(["--bootstrap", address]);
        }
        command.args(["daemon", "--http", "off"]);
        let log = self.home.with_extension("log");
        let daemon = self.daemon.insert(command.stderr(File::create(&log)?).spawn()?);
        let mut line = String::new();
        BufReader::new(daemon.stdout.take().context("piped")?).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)
            .with_context(|| format!("no ready line from a daemon: {}", log.display()))?;
        self.address = ready["addrs"][0].as_str().context("it listens somewhere")?.to_owned();
        Ok(())
    }

    /// The socket that its daemon listens on, and its peer id.
    pub(super) fn socket(&self) -> Result<(SocketAddr, &str)> {
        let parts: Vec<&str> = self.address.split('/').collect();
        let ["", "ip4", ip, "tcp", port, "p2p", id] = parts[..] else {
            bail!("{} is no TCP address", self.address);
        };
        Ok((SocketAddr::new(ip.parse()?, port.parse()?), id))
    }

    /// CPU time of its daemon so far, seconds.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let daemon = self.daemon.as_ref().context("a daemon")?;
        let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("its name stands in brackets")?;
        // In user mode and in the kernel, in the hundredths of a second that Linux shows on all machines.
        let ticks = fields.split(' ').skip(11).take(2).flat_map(str::parse::<f64>);
        Ok(ticks.sum::<f64>() / 100.0)
    }
}

impl Running {
    /// Waits for the answer.
    pub(super) fn answer(self) -> Result<Value> {
        let output = self.0.wait_with_output()?;
        ensure!(output.status.success(), "modelswarm: {}", output.status);
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        // Its home is thrown away with it.
        if let Err(why) = daemon.kill().and_then(|()| daemon.wait()) {
            eprintln!("warning: process {} could not be ended: {why}", daemon.id());
        }
    }
}
