//! Transfer on loopback, disk to disk: `get` by a process of its own from a daemon, against a bare stream.

use std::{fs, path::Path, process::Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{
    Plan,
    bare::{Sender, Writes},
    program::Program,
    table::{Table, Times},
};

/// The bar.
const BAR: f64 = 0.85;

pub(super) fn measure(
    table: &mut Table,
    program: &Program,
    plan: &Plan,
    temp: &Path,
    folder: &Path,
) -> Result<()> {
    let home = temp.join("serving");
    let release = seed(program, &home, folder)?;
    let daemon = program.daemon(&home)?;
    let [mut plain, mut uncached, mut get, mut own] = <[Times; 4]>::default();
    let to = temp.join("arrived");
    for repetition in 0..plan.repeat {
        eprintln!("transfer {} of {}", repetition + 1, plan.repeat);
        plain.add(bare_stream(folder, &to, Writes::Plain)?);
        fs::remove_dir_all(&to)?;
        uncached.add(bare_stream(folder, &to, Writes::DontCache)?);
        fs::remove_dir_all(&to)?;

        let home = temp.join("fetching");
        let out = to.to_str().context("made by us, so it is text")?;
        let words = ["get", &release, "-o", out, "--peer", daemon.address()];
        let run = program.run(&home, words)?;
        ensure!(run.answer["fetched_bytes"].as_u64() >= Some(plan.size), "{}", run.answer);
        get.add(run.seconds);
        own.add(run.answer["seconds"].as_f64().context("get says how long it took")?);
        fs::remove_dir_all(&to)?;
        fs::remove_dir_all(&home)?;
    }
    table.reference("bare stream, hashed, plain writes", &plain);
    table.reference("bare stream, hashed, RWF_DONTCACHE", &uncached);
    let fastest = plain.median().min(uncached.median());
    table.compared("modelswarm get, the whole command", &get, fastest, BAR);
    table.ratio("  the same without the start and end of its process", &own, fastest);
    Ok(())
}

/// Moves the files of `from` to the new folder `to` through two processes; gives the seconds from the dial to the
/// last write.
fn bare_stream(from: &Path, to: &Path, writes: Writes) -> Result<f64> {
    let sender = Sender::start(from)?;
    fs::create_dir(to)?;
    let output = sender.receiver(to, writes)?.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the receiver of the bare stream: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Seeds a folder into a home without a daemon, or into its daemon; gives the release.
pub(super) fn seed(program: &Program, home: &Path, folder: &Path) -> Result<String> {
    let path = folder.to_str().context("made by us, so it is text")?;
    let run = program.run(home, ["seed", path])?;
    Ok(run.answer["release"].as_str().context("signed content has a release")?.to_owned())
}
