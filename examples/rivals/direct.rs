//! Those that need no torrent: `modelswarm` itself, the bare stream, rsync, sendme.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    bare::{Sender, Writes},
    rival::{Ready, Seeder, Stage},
};

/// A daemon that seeds in place; `get` by a process of its own with a home that is new.
pub(super) fn modelswarm(stage: &Stage<'_>, _: &Path) -> Result<Ready> {
    let home = stage.seeding().join("home");
    let file = stage.original.to_str().context("made by us, so it is text")?;
    let seeded = stage.program.run(&home, ["seed", "--unsigned", file])?;
    let root = seeded.answer["root"].as_str().context("all content has a root")?.to_owned();
    let daemon = stage.program.daemon(&home)?;
    let to = stage.receiving().join("arrived");
    let mut receive = stage.program.command(&stage.receiving().join("home"));
    receive.args(["get", &root, "--peer", daemon.address(), "-o"]).arg(&to);
    Ok(Ready { seeder: Seeder::Own(daemon), receive, arrives: to.join(name(stage)?) })
}

/// One stream of the same transport, hashed and written.
pub(super) fn bare_stream(stage: &Stage<'_>, _: &Path) -> Result<Ready> {
    let sender = Sender::start(stage.source())?;
    let receive = sender.receiver(&stage.receiving(), Writes::DontCache)?;
    let arrives = stage.receiving().join(name(stage)?);
    Ok(Ready { seeder: Seeder::Bare(sender), receive, arrives })
}

/// A daemon and `rsync` without its delta algorithm, which has nothing to compare with here.
pub(super) fn rsync(stage: &Stage<'_>, program: &Path) -> Result<Ready> {
    const PORT: &str = "8730";
    let settings = stage.seeding().join("rsyncd.conf");
    let source = stage.source().display();
    let mut text = format!("use chroot = no\naddress = 127.0.0.1\nport = {PORT}\n");
    // Only a root has groups to choose from.
    if rustix::process::geteuid().is_root() {
        text += "uid = 0\ngid = 0\n";
    }
    text += &format!("[data]\npath = {source}\nread only = yes\n");
    fs::write(&settings, text)?;
    let mut daemon = stage.command(program, &stage.seeding());
    daemon.args(["--daemon", "--no-detach", "--config"]).arg(&settings);
    let seeder = stage.seed(daemon)?;
    let port = PORT.parse()?;
    stage.wait(|| std::net::TcpStream::connect(("127.0.0.1", port)).ok())?;
    let mut receive = stage.command(program, &stage.receiving());
    let name = name(stage)?;
    receive.args(["--times", "--whole-file"]);
    receive.arg(format!("rsync://127.0.0.1:{PORT}/data/{name}"));
    receive.arg(stage.receiving().join(name));
    Ok(Ready { seeder, receive, arrives: stage.receiving().join(name) })
}

/// Without relays, so that the ticket has the addresses of `lo`.
pub(super) fn sendme(stage: &Stage<'_>, program: &Path) -> Result<Ready> {
    let mut send = stage.command(program, &stage.seeding());
    send.args(["send", "--relay", "disabled"]).arg(&stage.original);
    let seeder = stage.seed(send)?;
    let ticket = stage.wait(|| {
        let said = stage.seeder_said();
        let (_, after) = said.split_once("sendme receive ")?;
        Some(after.split_once('\n')?.0.trim().to_owned())
    })?;
    let mut receive = stage.command(program, &stage.receiving());
    receive.args(["receive", "--relay", "disabled", &ticket]);
    Ok(Ready { seeder, receive, arrives: stage.receiving().join(name(stage)?) })
}

/// The name of the file.
pub(super) fn name<'a>(stage: &'a Stage<'_>) -> Result<&'a str> {
    let name = stage.original.file_name().context("a file has a name")?;
    name.to_str().context("made by us, so it is text")
}
