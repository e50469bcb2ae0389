//! How fast it is, as ratios to what the machine can do: one run, one table.
//!
//! ```sh
//! cargo run --release --example throughput -- [--size MIB] [--files N] [--repeat N] [--dir DIR]
//! cargo run --release --example throughput -- --only import --size 4096 --cache cold
//! ```
//!
//! | row | measured | against |
//! |---|---|---|
//! | import | `modelswarm seed --unsigned` of the files, a fresh home each time | `openssl dgst -sha256`, one process per core |
//! | signed import | `modelswarm seed`: each byte hashed for its chunk and for its file, read once | openssl run twice |
//! | transfer | `modelswarm get` by a process of its own, fresh home, from a daemon, disk to disk | a bare stream |
//! | card | a card over 10,000 files that are hashed already: made and signed, then verified with its list of files | 50 ms |
//! | memory | peak anonymous memory of a daemon that serves, and of one that fetches, twice the size | 150 MB |
//!
//! A time is that of the whole command: start of the process, keys, index, verification, durable files. The bare
//! stream is two processes over the project's own TCP + TLS + yamux with nothing above, whose receiver hashes each
//! MiB on another thread and writes the files; its clock starts at the dial and stops at the last write, without a
//! sync. It runs with plain writes and with `RWF_DONTCACHE`, as the store writes; the ratio is to the faster one.
//!
//! All sources are in the page cache; with `--cache cold` an import's files are put out of it before each command, so that
//! both sides read the disk. `--only` measures one of `import`, `transfer`, `memory` and `card`. Kinds of a row take turns within a repetition; medians are shown, with the
//! extremes. Not measured: real networks, several peers. Both ends share the machine's cores, so two
//! machines do better. Numbers are only worth something on an otherwise idle machine.

mod bare;
mod card;
mod import;
mod memory;
mod program;
mod table;
mod transfer;

use std::{
    env,
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use self::{bare::list, program::Program, table::Table};
use anyhow::{Context as _, Result, bail, ensure};

/// The allocator of the `modelswarm` program: the bare stream must not be slower for want of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is measured.
struct Plan {
    /// Bytes of one set of files.
    size: u64,
    files: u64,
    repeat: usize,
    /// Where homes and files lie, on the disk to be measured.
    dir: PathBuf,
    /// Imports read from the disk, not from the page cache.
    cold: bool,
    /// The one group of rows to measure.
    only: Option<String>,
}

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    if let Some(side) = words.first().and_then(|word| bare::Side::of(word)) {
        return bare::run(side, &words[1..]);
    }
    let plan = Plan::parse(&words)?;
    if cfg!(debug_assertions) {
        eprintln!("warning: not a release build; the ratios mean nothing");
    }
    let mut table = Table::new(&plan);
    if plan.measures("card") {
        card::measure(&mut table, plan.repeat)?;
    }
    if plan.only.as_deref() == Some("card") {
        print!("{table}");
        return Ok(());
    }
    let program = Program::build()?;
    let temp = tempfile::tempdir_in(&plan.dir).context("no folder to measure in")?;
    eprintln!("making two sets of {} MiB in {}", plan.size >> 20, temp.path().display());
    let first = make_files(&temp.path().join("first"), &plan, 1)?;
    let second = make_files(&temp.path().join("second"), &plan, 2)?;
    settle(&[&first, &second])?;

    if plan.measures("import") {
        import::measure(&mut table, &program, &plan, temp.path(), &first)?;
    }
    if plan.measures("transfer") {
        transfer::measure(&mut table, &program, &plan, temp.path(), &first)?;
    }
    if plan.measures("memory") {
        memory::measure(&mut table, &program, &plan, temp.path(), [&first, &second])?;
    }
    print!("{table}");
    Ok(())
}

impl Plan {
    fn parse(words: &[String]) -> Result<Self> {
        let beside = env::current_exe()?.parent().context("a program lies in a folder")?.to_owned();
        let mut plan =
            Self { size: 1 << 30, files: 8, repeat: 5, dir: beside, cold: false, only: None };
        for pair in words.chunks(2) {
            let [flag, value] = pair else {
                bail!(
                    "usage: throughput [--size MIB] [--files N] [--repeat N] [--dir DIR] [--cache warm|cold] [--only import|transfer|memory|card]"
                );
            };
            match flag.as_str() {
                "--size" => plan.size = value.parse::<u64>()? << 20,
                "--files" => plan.files = value.parse()?,
                "--repeat" => plan.repeat = value.parse()?,
                "--dir" => plan.dir = value.into(),
                "--cache" if ["warm", "cold"].contains(&value.as_str()) => {
                    plan.cold = value == "cold";
                }
                "--only" if ["import", "transfer", "memory", "card"].contains(&value.as_str()) => {
                    plan.only = Some(value.clone());
                }
                _ => bail!("there is no {flag} {value}"),
            }
        }
        ensure!(plan.repeat > 0 && plan.files > 0, "nothing to measure");
        ensure!(plan.size >= plan.files << 20, "less than a MiB a file measures only start-up");
        Ok(plan)
    }

    fn measures(&self, rows: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == rows)
    }

    fn cores(&self) -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }
}

/// Files of numbers that do not repeat, so that no chunk equals another.
fn make_files(folder: &Path, plan: &Plan, seed: u64) -> Result<PathBuf> {
    fs::create_dir(folder)?;
    let mut number = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed);
    let mut chunk = Vec::with_capacity(1 << 20);
    for index in 0..plan.files {
        let mut file = File::create(folder.join(format!("part-{index:03}.bin")))?;
        for _ in 0..(plan.size / plan.files) >> 20 {
            chunk.clear();
            while chunk.len() < 1 << 20 {
                number ^= number << 13;
                number ^= number >> 7;
                number ^= number << 17;
                chunk.extend_from_slice(&number.to_le_bytes());
            }
            file.write_all(&chunk)?;
        }
        file.sync_all()?;
    }
    Ok(folder.to_owned())
}

/// Reads all files into the page cache and lets them grow older than the two seconds within which an index does not
/// trust a file's times.
fn settle(folders: &[&Path]) -> Result<()> {
    let mut youngest = SystemTime::UNIX_EPOCH;
    let mut buffer = vec![0; 1 << 20];
    for path in folders.iter().map(|folder| list(folder)).collect::<Result<Vec<_>>>()?.concat() {
        let mut file = File::open(&path)?;
        while file.read(&mut buffer)? > 0 {}
        youngest = youngest.max(file.metadata()?.modified()?);
    }
    let age = youngest.elapsed().unwrap_or_default();
    thread::sleep(Duration::from_secs(3).saturating_sub(age));
    Ok(())
}
