//! Peak anonymous memory of a daemon that serves a big repository, and of one that fetches it.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    files,
    measure::free,
    process::{allocated, anonymous},
    program::Program,
};

/// The bar, bytes.
const BAR: u64 = 200_000_000;
/// The size, and what is fetched where the disk has no room for it.
const SIZES: [u64; 2] = [20, 8];
/// Size of one file.
const FILE: u64 = 2 << 30;
/// Noise at the start of each MiB.
const NOISE: usize = 4 << 10;
const EVERY: Duration = Duration::from_millis(5);

pub(super) fn measure(program: &Program, folder: &Path, gib: Option<u64>) -> Result<()> {
    // What is fetched, the originals, and something for others.
    let room = |gib: u64| anyhow::Ok(free(folder)? > (gib + 2) << 30);
    let gib = match gib {
        Some(gib) => gib,
        None if room(SIZES[0])? => SIZES[0],
        None => {
            eprintln!("the disk has no room for {} GiB: {} instead", SIZES[0], SIZES[1]);
            SIZES[1]
        }
    };
    ensure!(gib > 0 && room(gib)?, "the disk has no room for {gib} GiB and 2 more");
    let source = folder.join("repository");
    make(&source, gib << 30)?;

    let serving_home = folder.join("serving");
    let path = source.to_str().context("made by us, so it is text")?;
    let serving = program.daemon(&serving_home)?;
    let fetching = program.daemon(&folder.join("fetching"))?;
    let ended = AtomicBool::new(false);
    let (peaks, fetched) = thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut peaks = [0, 0];
            while !ended.load(Ordering::Relaxed) {
                for (peak, daemon) in peaks.iter_mut().zip([&serving, &fetching]) {
                    *peak = anonymous(daemon.pid()).max(*peak);
                }
                thread::sleep(EVERY);
            }
            peaks
        });
        // Both homes have a daemon: the commands only ask it.
        let fetched = program.run(&serving_home, ["seed", "--unsigned", path]).and_then(|seeded| {
            let root = seeded.answer["root"].as_str().context("all content has a root")?;
            eprintln!("seeded in {:.1} s", seeded.seconds);
            program.run(fetching.home(), ["get", root, "--peer", serving.address()])
        });
        ended.store(true, Ordering::Relaxed);
        (watching.join(), fetched)
    });
    let fetched = fetched?;
    let peaks = peaks.ok().context("the watching thread panicked")?;
    let bytes = fetched.answer["fetched_bytes"].as_u64().unwrap_or_default();
    ensure!(bytes >= gib << 30, "not all of it was fetched: {}", fetched.answer);
    println!(
        "\n{gib} GiB in files of {} GiB, fetched in {:.1} s ({:.0} MiB/s)",
        FILE >> 30,
        fetched.seconds,
        bytes as f64 / (1 << 20) as f64 / fetched.seconds
    );
    let daemons = [(&serving, "seeds and serves"), (&fetching, "fetches")];
    for ((daemon, what), peak) in daemons.into_iter().zip(peaks) {
        let verdict = if peak < BAR { "met" } else { "MISSED" };
        let megabytes = peak as f64 / 1e6;
        println!(
            "daemon that {what:<16} {megabytes:>4.0} MB anonymous at its peak  < {} MB  {verdict}",
            BAR / 1_000_000
        );
        eprintln!("  its home holds {} MiB", allocated(daemon.home()) >> 20);
    }
    for entry in fs::read_dir(&source)? {
        let original = entry?.path();
        let name = original.file_name().context("a file has a name")?;
        let arrived =
            find(fetching.home(), name)?.context("a file that was fetched lies in the home")?;
        files::compare(&original, &arrived)?;
    }
    Ok(())
}

/// The first file of that name below a folder.
fn find(folder: &Path, name: &std::ffi::OsStr) -> Result<Option<std::path::PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&entry.path(), name)? {
                return Ok(Some(found));
            }
        } else if entry.file_name() == name {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// Files whose MiBs all differ, though most of each is a hole.
fn make(folder: &Path, size: u64) -> Result<()> {
    fs::create_dir(folder)?;
    let mut number = 0x9E37_79B9_7F4A_7C15_u64;
    for start in (0..size).step_by(FILE as usize) {
        let file = File::create_new(folder.join(format!("part-{:03}.bin", start / FILE)))?;
        let length = FILE.min(size - start);
        file.set_len(length)?;
        for offset in (0..length).step_by(1 << 20) {
            let mut noise = Vec::with_capacity(NOISE);
            while noise.len() < NOISE {
                number ^= number << 13;
                number ^= number >> 7;
                number ^= number << 17;
                noise.extend_from_slice(&number.to_le_bytes());
            }
            file.write_all_at(&noise, offset)?;
        }
        file.sync_all()?;
    }
    // An index trusts a file's times after two seconds.
    thread::sleep(Duration::from_secs(3));
    Ok(())
}
