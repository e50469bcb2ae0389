//! The network in which everything runs: a namespace with `lo` and nothing else, so that no rival reaches anybody.
//!
//! The example starts itself again in it. There is a process namespace, too: what was started inside is gone when
//! the inner program is, and that one when the outer program is, however it ends.

use std::{
    env,
    fs::{self, File},
    path::Path,
    process::{Command, ExitStatus},
};

use anyhow::{Context as _, Result, ensure};
use rustix::{fs::Dev, process::geteuid};

/// The first argument of the program inside; the outer namespace, the folder and the outer program's follow.
pub(super) const INSIDE: &str = "--inside";

/// Runs this program with the same arguments inside; it works in `folder`.
pub(super) fn enter(folder: &Path, words: &[String]) -> Result<ExitStatus> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare"]);
    if !geteuid().is_root() {
        // The kernel may let users have namespaces; in theirs they may bring up `lo`.
        command.args(["--map-current-user", "--keep-caps"]);
    }
    command.args(["--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"]);
    command.arg(env::current_exe()?).arg(INSIDE).arg(own()?).arg(folder).args(words);
    command.status().context("setpriv and unshare are needed (Debian: apt-get install util-linux)")
}

/// Brings up `lo` if we are in another namespace than the outer program, as it called its own, and have nothing else.
pub(super) fn settle(outer: &str) -> Result<()> {
    ensure!(own()? != outer, "this is not a network namespace of our own");
    let interfaces = fs::read_to_string("/proc/self/net/dev")?;
    let names: Vec<_> =
        interfaces.lines().skip(2).filter_map(|line| line.split(':').next()).collect();
    ensure!(
        names.iter().all(|name| name.trim() == "lo"),
        "this network has more than lo: {}",
        names.join(",")
    );
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    let up = up.context("ip is needed (Debian: apt-get install iproute2)")?;
    ensure!(up.success(), "lo could not be brought up");
    Ok(())
}

/// What tells our network namespace from all others. Not the link's text: the number in it is of one boot.
fn own() -> Result<String> {
    let here = rustix::fs::fstat(File::open("/proc/self/ns/net")?)?;
    let device: Dev = here.st_dev;
    Ok(format!("{device}:{}", here.st_ino))
}
