//! What processes cost: CPU time and anonymous memory of one and of those it started, of the whole machine, disk space
//! of a folder.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, Result};

/// CPU seconds (user and kernel) of a process, of those it waited for, and of all their kind that still run. Those of
/// a process that has ended, too, as long as it was not waited for.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let mut ticks = 0.0;
    for pid in tree(pid) {
        // One that is gone is in the times of the one that waited for it.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let (_, fields) = stat.rsplit_once(") ").context("its name stands in brackets")?;
        // User, kernel, and both of the children waited for; in the hundredths of a second that Linux shows.
        ticks += fields.split(' ').skip(11).take(4).flat_map(str::parse::<f64>).sum::<f64>();
    }
    Ok(ticks / 100.0)
}

/// CPU seconds of everything on this machine since it started.
pub(super) fn machine_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    // user, nice, system, idle, waiting for disks, interrupts, soft interrupts
    let ticks = line.split_whitespace().skip(1).take(7).flat_map(str::parse::<f64>);
    let busy = ticks.enumerate().filter(|(field, _)| ![3, 4].contains(field));
    Ok(busy.map(|(_, ticks)| ticks).sum::<f64>() / 100.0)
}

/// Bytes of anonymous memory that a process and all that it started hold now.
pub(super) fn anonymous(pid: u32) -> u64 {
    tree(pid).into_iter().filter_map(anonymous_of_one).sum()
}

fn anonymous_of_one(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// A process and all that it started, and they.
fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().flat_map(str::parse::<u32>));
        }
    }
    found
}

/// Bytes that the disk keeps for a folder. What vanishes while we look counts for nothing.
pub(super) fn allocated(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => allocated(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
