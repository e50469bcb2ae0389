//! Peak anonymous memory of the daemon that serves and of the daemon that fetches, both sets one after the other.
//!
//! `RssAnon` is read every few milliseconds while they work, so a shorter peak is missed; `VmHWM`, the kernel's own
//! peak of all resident pages (code and other files counted in), bounds it from above.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{Plan, program::Program, table::Table, transfer};

/// The bar, bytes.
const BAR: u64 = 150_000_000;
const EVERY: Duration = Duration::from_millis(2);

pub(super) fn measure(
    table: &mut Table,
    program: &Program,
    plan: &Plan,
    temp: &Path,
    folders: [&Path; 2],
) -> Result<()> {
    if memory_of(std::process::id()).is_none() {
        table.note("memory: not measured, /proc does not tell RssAnon here");
        return Ok(());
    }
    let serving_home = temp.join("memory-serving");
    let releases = [
        transfer::seed(program, &serving_home, folders[0])?,
        transfer::seed(program, &serving_home, folders[1])?,
    ];
    let serving = program.daemon(&serving_home)?;
    let fetching = program.daemon(&temp.join("memory-fetching"))?;
    let peaks = Mutex::new(HashMap::<u32, u64>::new());
    let done = AtomicBool::new(false);
    eprintln!("memory");
    thread::scope(|scope| -> Result<()> {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for pid in [serving.pid(), fetching.pid()] {
                    let now = memory_of(pid).map_or(0, |memory| memory.anonymous);
                    let mut peaks = peaks.lock().unwrap_or_else(PoisonError::into_inner);
                    let peak = peaks.entry(pid).or_default();
                    *peak = now.max(*peak);
                }
                thread::sleep(EVERY);
            }
        });
        let fetched = releases.iter().try_for_each(|release| {
            // The home has a daemon: the command only asks it.
            let words = ["get", release, "--peer", serving.address()];
            program.run(fetching.home(), words).map(drop)
        });
        done.store(true, Ordering::Relaxed);
        fetched
    })?;
    let peaks = peaks.into_inner().unwrap_or_else(PoisonError::into_inner);
    let moved = format!("{} MiB", (2 * plan.size) >> 20);
    for (what, daemon) in [("serves", &serving), ("fetches", &fetching)] {
        let memory = memory_of(daemon.pid()).context("the daemon ended while it worked")?;
        let peak = peaks.get(&daemon.pid()).copied().unwrap_or_default();
        table.memory(&format!("daemon that {what} {moved}"), peak, memory.highest, BAR);
    }
    Ok(())
}

/// Bytes of a process.
struct Memory {
    anonymous: u64,
    highest: u64,
}

fn memory_of(pid: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory { anonymous: field("RssAnon:")?, highest: field("VmHWM:")? })
}
