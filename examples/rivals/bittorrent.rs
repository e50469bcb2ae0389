//! BitTorrent, three times: version 1, pieces of 1 MiB, TCP without encryption, peers told of each other alone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Result;

use super::{
    direct::name,
    rival::{Ready, Stage},
};

/// Ports of the seeder and the receiver; the network is all ours.
const PORTS: [&str; 2] = ["7001", "7002"];

/// A Python that has libtorrent.
pub(super) fn python(stage: &Stage<'_>) -> Option<PathBuf> {
    stage.candidates("python3").into_iter().find(|python| {
        let mut import = Command::new(python);
        import.args(["-c", "import libtorrent"]).stderr(Stdio::null());
        import.status().is_ok_and(|status| status.success())
    })
}

/// A library, so a small program of ours runs it (`node.py`).
pub(super) fn libtorrent(stage: &Stage<'_>, python: &Path) -> Result<Ready> {
    let node = stage.folder.join("node.py");
    fs::write(&node, include_str!("node.py"))?;
    let mut seed = stage.command(python, &stage.seeding());
    seed.arg(&node).arg("seed").arg(&stage.torrent).arg(stage.source()).arg(PORTS[0]);
    let seeder = stage.seed(seed)?;
    stage.wait(|| stage.seeder_said().contains("ready").then_some(()))?;
    let mut receive = stage.command(python, &stage.receiving());
    receive.arg(&node).arg("get").arg(&stage.torrent).arg(stage.receiving());
    receive.args([PORTS[1], PORTS[0]]);
    Ok(Ready { seeder, receive, arrives: stage.receiving().join(name(stage)?) })
}

/// The receiver is told of the seeder by an option.
pub(super) fn rqbit(stage: &Stage<'_>, program: &Path) -> Result<Ready> {
    let command = |home: &Path, side: usize| {
        let mut command = stage.command(program, home);
        command.args(["--disable-dht", "--disable-lsd", "--disable-upnp-port-forward"]);
        command.args(["--http-api-listen-addr", &format!("127.0.0.1:303{side}")]);
        command.args(["--listen-port", PORTS[side], "download", "--output-folder"]);
        command
    };
    let mut seed = command(&stage.seeding(), 0);
    seed.arg(stage.source()).arg("--overwrite").arg(&stage.torrent);
    let seeder = stage.seed(seed)?;
    stage.wait(|| stage.seeder_said().contains("100.00%").then_some(()))?;
    let mut receive = command(&stage.receiving(), 1);
    receive.arg(stage.receiving()).args(["--exit-on-finish", "--initial-peers"]);
    receive.arg(format!("127.0.0.1:{}", PORTS[0])).arg(&stage.torrent);
    Ok(Ready { seeder, receive, arrives: stage.receiving().join(name(stage)?) })
}

/// It takes peers from a tracker only; ours answers at once.
pub(super) fn aria2(stage: &Stage<'_>, program: &Path) -> Result<Ready> {
    stage.tracker.forget();
    let command = |home: &Path, side: usize| {
        let mut command = stage.command(program, home);
        command.args(["--no-conf", "--enable-dht=false", "--enable-dht6=false"]);
        command.args(["--bt-enable-lpd=false", "--enable-peer-exchange=false"]);
        command.args(["--disable-ipv6=true", "--summary-interval=0", "--file-allocation=none"]);
        command.arg(format!("--bt-tracker={}", stage.tracker.url()));
        command.args(["--listen-port", PORTS[side], "--dir"]);
        command
    };
    let mut seed = command(&stage.seeding(), 0);
    seed.arg(stage.source()).args(["--check-integrity=true", "--seed-ratio=0"]).arg(&stage.torrent);
    let seeder = stage.seed(seed)?;
    stage.wait(|| stage.tracker.has_seeder().then_some(()))?;
    let mut receive = command(&stage.receiving(), 1);
    receive.arg(stage.receiving()).arg("--seed-time=0").arg(&stage.torrent);
    Ok(Ready { seeder, receive, arrives: stage.receiving().join(name(stage)?) })
}
