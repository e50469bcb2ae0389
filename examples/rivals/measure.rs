//! One transfer: the receiving command from its start to its end, and what it cost.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::{
    files,
    process::{allocated, anonymous, cpu_seconds, machine_seconds},
    rival::{Ready, Stage},
};

/// How often memory and disk are looked at.
const EVERY: Duration = Duration::from_millis(20);
/// A receiver that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(600);

/// Cores that may be busy with others on a machine that counts as quiet.
pub(super) const QUIET: f64 = 0.25;

/// What one transfer showed.
pub(super) struct Outcome {
    /// From the start of the receiving command to its end.
    pub(super) seconds: f64,
    /// CPU seconds of both sides.
    pub(super) cpu: f64,
    /// Cores that were busy meanwhile with anything else, soft interrupts among it.
    pub(super) others: f64,
    /// Peak bytes of the seeding side and of the receiving.
    pub(super) anonymous: [u64; 2],
    /// Bytes that the receiving side's folder took at its peak, beyond the file.
    pub(super) extra: u64,
}

/// Waits until nothing else runs to speak of, but not longer than this.
pub(super) fn await_quiet(patience: Duration) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < patience {
        let before = machine_seconds()?;
        thread::sleep(Duration::from_secs(1));
        if machine_seconds()? - before < QUIET {
            break;
        }
    }
    Ok(())
}

/// In which state free memory is when a transfer starts.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
pub(super) enum Pages {
    /// As much as the file takes was just used and freed.
    Warm,
    /// A virtual machine's host has taken back what was free.
    Cold,
}

impl Pages {
    /// Brings free memory into this state, as far as others leave it so.
    fn prepare(self, stage: &Stage<'_>) -> Result<()> {
        if self == Self::Cold {
            // Linux reports free pages to the host after two seconds.
            thread::sleep(Duration::from_secs(5));
            return Ok(());
        }
        let path = stage.folder.join("warm");
        let file = File::create_new(&path)?;
        let zeros = vec![0; 1 << 20];
        for start in (0..fs::metadata(&stage.original)?.len()).step_by(zeros.len()) {
            file.write_all_at(&zeros, start)?;
        }
        Ok(fs::remove_file(path)?)
    }
}

/// Runs the receiver and compares what arrived. All start alike: the source is in the page cache, nothing waits to be
/// written back, free memory is in the same state.
pub(super) fn receive(stage: &Stage<'_>, mut ready: Ready, pages: Pages) -> Result<Outcome> {
    io::copy(&mut File::open(&stage.original)?, &mut io::sink())?;
    pages.prepare(stage)?;
    let log = stage.folder.join("receiver.log");
    ready.receive.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
    rustix::fs::sync();

    let seeder = ready.seeder.pid();
    let (before, all_before) = (cpu_seconds(seeder)?, machine_seconds()?);
    let started = Instant::now();
    let mut receiver = ready.receive.spawn()?;
    let pid = Pid::from_child(&receiver);
    let ended = AtomicBool::new(false);
    let (seconds, peaks) = thread::scope(|scope| {
        let watching = scope.spawn(|| watch([seeder, receiver.id()], stage, &ended));
        // It stays a zombie, whose times can still be read.
        let waited = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let seconds = started.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        let peaks = watching.join().ok().context("the watching thread panicked")?;
        waited?;
        anyhow::Ok((seconds, peaks))
    })?;
    let cpu = cpu_seconds(receiver.id())? + cpu_seconds(seeder)? - before;
    let others = (machine_seconds()? - all_before - cpu).max(0.0) / seconds;
    let status = receiver.wait()?;
    let said = || fs::read_to_string(&log).unwrap_or_default();
    ensure!(status.success(), "{status} after {seconds:.1} s: {}", said().trim());
    files::compare(&stage.original, &ready.arrives)?;
    let extra = peaks.disk.saturating_sub(fs::metadata(&stage.original)?.len());
    Ok(Outcome { seconds, cpu, others, anonymous: peaks.anonymous, extra })
}

/// Peaks, as far as one who looks now and then sees them.
struct Peaks {
    anonymous: [u64; 2],
    disk: u64,
}

fn watch(pids: [u32; 2], stage: &Stage<'_>, ended: &AtomicBool) -> Peaks {
    let mut peaks = Peaks { anonymous: [0; 2], disk: 0 };
    let started = Instant::now();
    loop {
        let last = ended.load(Ordering::Relaxed);
        for (peak, pid) in peaks.anonymous.iter_mut().zip(pids) {
            *peak = anonymous(pid).max(*peak);
        }
        peaks.disk = allocated(&stage.receiving()).max(peaks.disk);
        if last {
            return peaks;
        }
        if started.elapsed() > PATIENCE {
            give_up(pids[1]);
        }
        thread::sleep(EVERY);
    }
}

/// Ends a receiver that was not waited for yet, so that its id is still its own.
fn give_up(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(Err(why)) = pid.map(|pid| kill_process(pid, Signal::KILL)) {
        eprintln!("warning: the receiver could not be ended: {why}");
    }
}

/// Bytes of disk that are free where a folder lies.
pub(super) fn free(folder: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail * disk.f_frsize)
}
