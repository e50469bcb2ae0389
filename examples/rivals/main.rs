//! How fast it is beside what users would pick instead: one file, one seeder, one leecher, loopback, disk to disk.
//!
//! ```sh
//! cargo run --release --example rivals -- [--only NAME]… [--repeat N] [--size MIB] [--tools DIR]… [--pages warm|cold]
//!     [--quiet SECONDS]
//! cargo run --release --example rivals -- --memory [GIB]
//! ```
//!
//! Everything runs in a network namespace with nothing but `lo`, so no rival reaches anybody. Linux only, with
//! `unshare`, `setpriv` and `ip`. Rivals that are not installed are left out, and the table says how to install them.
//!
//! | rival | receiving command | encrypted | verified by content |
//! |---|---|---|---|
//! | `modelswarm` | `get ROOT --peer ADDRESS -o FOLDER`, home and keys made new; ends when the file is durable | yes | SHA-256 |
//! | bare stream | a stream of the same transport, hashed and written on another thread (`throughput/bare.rs`) | yes | hashed only |
//! | libtorrent | `node.py get`: Python, the library's session, its end; peer given, TCP | no | SHA-1 |
//! | rsync | `rsync --times --whole-file rsync://…` from a daemon | no | rsync's own checksum of the file |
//! | sendme | `sendme receive --relay disabled TICKET` (QUIC) | yes | BLAKE3 |
//! | rqbit | `rqbit download --exit-on-finish --initial-peers …` | no | SHA-1 |
//! | aria2 | `aria2c --seed-time=0 X.torrent`, a tracker of ours that answers at once | no | SHA-1 |
//!
//! The clock runs from the start of the receiving command to its end: start of the process, connecting, for aria2 some
//! seconds until it turns to its peer. Before the clock: imports, hashing a torrent, start of the seeder until it is
//! ready. Of libtorrent's time half a second is that of its tick, until which it does not connect. Only `modelswarm`
//! syncs its file to the disk within its time. After the clock each file is compared with the original. Before each
//! transfer the original is read (so it is in the page cache) and everything written back.
//!
//! Free memory matters on a virtual machine whose host takes it back (free page reporting): what is written first to
//! such a page costs a fault of the host's, and a receiver that fills the page cache with a new file may need twice the
//! CPU time; `modelswarm` and the bare stream write through a few pages again and again (`RWF_DONTCACHE`). With `--pages
//! cold`, the default, nothing happens for five seconds before each transfer, as when a user starts a download on an
//! idle machine. With `warm`, as many pages as the file has were just used and freed, as it always is on hardware;
//! Linux gives those back again within about two seconds, so only what is done by then profits.
//!
//! "Others" are the cores that anything else kept busy meanwhile, the kernel's work for the disk and the network among
//! it. Above a quarter of a core a time means little. `--quiet` waits before each transfer, at most so long, until
//! nothing else runs; the least disturbed of up to three attempts counts.
//!
//! All take turns, another one first in each repetition; ratios are taken within a repetition, and medians shown. CPU
//! is user and kernel time of both sides, by `/proc/PID/stat`. Memory and disk are looked at every 20 ms: shorter
//! peaks are missed. "Extra disk" is what the receiving side's folders hold beyond the file, at the peak.
//!
//! `--memory` has a daemon seed so much and another fetch it, and shows the peaks of both. Each MiB of its files begins
//! with 4 KiB of noise, the rest is a hole: no chunk equals another, and the original takes hardly any disk.
//!
//! Both ends share the machine's cores: two machines do better. Not measured: links, cold disks, several peers.

#[path = "../throughput/bare.rs"]
mod bare;
mod bittorrent;
mod direct;
#[path = "../swarm/files.rs"]
mod files;
mod measure;
mod memory;
mod namespace;
mod process;
#[path = "../throughput/program.rs"]
mod program;
mod rival;
mod table;
mod torrent;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;

use self::{
    measure::{Outcome, Pages},
    program::Program,
    rival::{Rival, Stage},
    table::{Row, Table},
    torrent::Tracker,
};

/// The allocator of the `modelswarm` program: the bare stream must not be slower for want of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often a transfer is made that others disturb, where a quiet machine was asked for; the least disturbed counts.
const ATTEMPTS: usize = 3;

/// One file from one seeder to one leecher, by modelswarm and by its rivals.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  rivals                                   all that are installed, three times each
  rivals --only libtorrent --repeat 7      modelswarm, the bare stream and this one
  rivals --tools ~/venv/bin --tools ~/.cargo/bin    look for rivals there first
  rivals --size 64 --repeat 1              a quick look; start-up weighs more
  rivals --memory 20                       memory of the daemons instead")]
struct Plan {
    /// Only rivals whose name begins so, beside modelswarm and the bare stream.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How often each is run.
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeat: usize,
    /// Size of the file.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    size: u64,
    /// Folders to look for rivals in, before those of PATH.
    #[arg(long, value_name = "DIR")]
    tools: Vec<PathBuf>,
    /// Where everything lies for a while; beside this program otherwise.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// State of the memory that is free when a transfer starts.
    #[arg(long, value_name = "STATE", value_enum, default_value_t = Pages::Cold)]
    pages: Pages,
    /// Wait at most so long before each transfer until nothing else runs, and repeat one that was disturbed.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    quiet: u64,
    /// Show the peak memory of two daemons instead; 8 GiB where the disk has no room for 20.
    #[arg(long, value_name = "GIB", num_args = 0..=1)]
    memory: Option<Option<u64>>,
}

fn main() -> Result<ExitCode> {
    let words: Vec<String> = env::args().skip(1).collect();
    if let Some(side) = words.first().and_then(|word| bare::Side::of(word)) {
        return bare::run(side, &words[1..]).map(|()| ExitCode::SUCCESS);
    }
    if let [first, outer, folder, rest @ ..] = words.as_slice()
        && first == namespace::INSIDE
    {
        namespace::settle(outer)?;
        let name = env::args().take(1);
        return inside(&Plan::parse_from(name.chain(rest.iter().cloned())), Path::new(folder));
    }
    let plan = Plan::parse();
    ensure!(plan.repeat > 0 && plan.size > 0, "nothing to measure");
    if cfg!(debug_assertions) {
        eprintln!("warning: not a release build; the ratios mean nothing");
    }
    Program::build()?;
    let beside = env::current_exe()?.parent().context("a program lies in a folder")?.to_owned();
    let folder = files::Folder::new(plan.dir.as_ref().unwrap_or(&beside))?;
    let status = namespace::enter(&folder.path().canonicalize()?, &words)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn inside(plan: &Plan, folder: &Path) -> Result<ExitCode> {
    let program = Program::built()?;
    if let Some(gib) = plan.memory {
        memory::measure(&program, folder, gib)?;
        return Ok(ExitCode::SUCCESS);
    }
    let size = plan.size << 20;
    ensure!(measure::free(folder)? > 3 * size, "the disk has no room for three files of the size");
    fs::create_dir(folder.join("source"))?;
    let stage = Stage {
        program: &program,
        tools: &plan.tools,
        original: folder.join("source/original.bin"),
        torrent: folder.join("original.torrent"),
        tracker: Tracker::start()?,
        folder: folder.join("run"),
    };
    files::make(&stage.original, size)?;
    torrent::make(&stage.original, &stage.torrent)?;
    let mut table = Table::new(size, plan.pages, rows(plan, &stage)?);
    for repetition in 0..plan.repeat {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        eprintln!("{} of {}, load {}", repetition + 1, plan.repeat, load.trim());
        table.loads.push(load.split(' ').next().unwrap_or_default().to_owned());
        let count = table.rows.len();
        for index in 0..count {
            run(&mut table.rows[(index + repetition) % count], &stage, repetition, plan);
        }
    }
    print!("{table}");
    Ok(ExitCode::SUCCESS)
}

/// A row for each that was asked for.
fn rows(plan: &Plan, stage: &Stage<'_>) -> Result<Vec<Row>> {
    let (own, rivals) = rival::ALL.split_at(2);
    for name in &plan.only {
        if !rivals.iter().any(|rival| rival.name.starts_with(name.as_str())) {
            let names: Vec<_> = rivals.iter().map(|rival| rival.name).collect();
            bail!("there is no rival {name}; there are: {}", names.join(", "));
        }
    }
    let asked = |rival: &&Rival| {
        plan.only.is_empty() || plan.only.iter().any(|name| rival.name.starts_with(name.as_str()))
    };
    let rows = own.iter().chain(rivals.iter().filter(asked));
    Ok(rows.map(|rival| Row::new(rival, rival.program(stage))).collect())
}

/// One repetition of one row; one that failed once is left out from then on.
fn run(row: &mut Row, stage: &Stage<'_>, repetition: usize, plan: &Plan) {
    let Some(program) = row.program.as_ref().filter(|_| row.failed.is_none()) else { return };
    let mut best: Option<Outcome> = None;
    for _ in 0..if plan.quiet > 0 { ATTEMPTS } else { 1 } {
        let outcome = transfer(row.rival, program, stage, plan);
        if let Err(why) = fs::remove_dir_all(&stage.folder) {
            eprintln!("warning: {}: {why}", stage.folder.display());
        }
        match outcome {
            Ok(outcome) if best.as_ref().is_none_or(|best| outcome.others < best.others) => {
                best = Some(outcome);
            }
            Ok(_) => {}
            Err(why) => {
                eprintln!("  {:<12} failed: {why:#}", row.rival.name);
                row.failed = Some(format!("{why:#}"));
                return;
            }
        }
        if best.as_ref().is_some_and(|best| best.others < measure::QUIET) {
            break;
        }
    }
    row.outcomes.extend(best.map(|best| (repetition, best)));
}

fn transfer(rival: &Rival, program: &Path, stage: &Stage<'_>, plan: &Plan) -> Result<Outcome> {
    let ready = rival.start(stage, program)?;
    measure::await_quiet(Duration::from_secs(plan.quiet))?;
    let outcome = measure::receive(stage, ready, plan.pages)?;
    let Outcome { seconds, cpu, others, .. } = outcome;
    eprintln!("  {:<12} {seconds:.2} s, {cpu:.2} CPU s; others {others:.1} cores", rival.name);
    Ok(outcome)
}
