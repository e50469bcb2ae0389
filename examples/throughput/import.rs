//! Import against `openssl dgst -sha256`: the same files, on all cores, from the page cache or from the disk.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Plan, list,
    program::Program,
    table::{Table, Times},
};

/// The bar for both kinds of import.
const BAR: f64 = 0.9;

pub(super) fn measure(
    table: &mut Table,
    program: &Program,
    plan: &Plan,
    temp: &Path,
    folder: &Path,
) -> Result<()> {
    let files = list(folder)?;
    let openssl = has_openssl();
    let [mut once, mut twice, mut unsigned, mut signed] = <[Times; 4]>::default();
    let hash = || {
        prepare(&files, plan)?;
        hash(&files, plan.cores())
    };
    let seed = |flags: &[&str]| {
        prepare(&files, plan)?;
        seed(program, temp, folder, flags)
    };
    for repetition in 0..plan.repeat {
        eprintln!("import {} of {}", repetition + 1, plan.repeat);
        if openssl {
            once.add(hash()?);
        }
        unsigned.add(seed(&["--unsigned"])?);
        if openssl {
            twice.add(hash()? + hash()?);
        }
        signed.add(seed(&[])?);
    }
    if openssl {
        table.reference("openssl dgst -sha256, one process a core", &once);
        table.compared("modelswarm seed --unsigned", &unsigned, once.median(), BAR);
        table.reference("openssl, run twice", &twice);
        table.compared("modelswarm seed (signed)", &signed, twice.median(), BAR);
    } else {
        let why = "openssl is not installed: no ratio";
        table.alone("modelswarm seed --unsigned", &unsigned, why);
        table.alone("modelswarm seed (signed)", &signed, why);
    }
    Ok(())
}

/// Puts the files out of the page cache, if they are to be read from the disk.
fn prepare(files: &[PathBuf], plan: &Plan) -> Result<()> {
    for file in files.iter().filter(|_| plan.cold) {
        rustix::fs::fadvise(File::open(file)?, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

fn has_openssl() -> bool {
    let version = Command::new("openssl").arg("version").stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// One openssl process per file, as many at once as there are cores; gives the seconds.
fn hash(files: &[PathBuf], cores: usize) -> Result<f64> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let all_well = thread::scope(|scope| {
        let worker = || -> io::Result<bool> {
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut dgst = Command::new("openssl");
                dgst.args(["dgst", "-sha256"]).arg(file).stdout(Stdio::null());
                if !dgst.status()?.success() {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().all(|worker| matches!(worker.join(), Ok(Ok(true))))
    });
    ensure!(all_well, "openssl failed");
    Ok(started.elapsed().as_secs_f64())
}

/// Seeds the folder into a fresh home; gives the seconds of the whole command.
fn seed(program: &Program, temp: &Path, folder: &Path, flags: &[&str]) -> Result<f64> {
    let home = temp.join("import");
    let path = folder.to_str().context("made by us, so it is text")?;
    let run = program.run(&home, ["seed", path].iter().chain(flags))?;
    fs::remove_dir_all(&home)?;
    Ok(run.seconds)
}
