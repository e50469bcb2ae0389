//! How near a swarm on slow links comes to what the links allow: one run, one table.
//!
//! ```sh
//! cargo run --release --example swarm -- [--only NAME] [--repeat N] [--size MIB] [--dir DIR]
//! ```
//!
//! Each node is a machine of its own: a network namespace whose interface sends no more than the rate of the scenario
//! (`tc` with a token bucket, on the upload of every machine; what arrives is not limited). Linux only, with `unshare`,
//! `nsenter`, `setpriv`, `ip` and `tc`; the host's network is not touched.
//!
//! | scenario | measured | against |
//! |---|---|---|
//! | one to one | the whole command `get ROOT --peer SEEDER`, from process start to durable file | one bare TCP stream, same link, same run |
//! | long link | the same through a proxy that delays and limits (`link`); the only way between the two machines | one bare TCP stream through the same proxy, its connecting included |
//! | several seeders | the same with `--peer` for each seeder | as many bare streams together, each an equal part |
//! | flash crowd | daemons that all `get ROOT` at once, until the last command ends | size / rate of one upload: the time of one copy |
//! | LAN | the same with leechers on fast links, that ask a seeder behind a slow one | the same |
//!
//! A crowd's daemons are told of the seeder's address alone (`--bootstrap`) and are connected to it when the clock
//! starts; they find each other by the DHT, some only then. "By mDNS" they are told of nobody and run as people run them,
//! in the preset `lan`. Copies are counted in Bitswap payload, as `status` shows it. Every file that arrives is compared
//! with the original. What each daemon of a crowd sent and received goes to stderr, in copies of the file. "CPU" is the
//! part of this machine's that was busy meanwhile, whoever used it.
//!
//! Not measured: loss, TCP's slow start on long links, cold disks. All nodes share this machine's cores: sixteen
//! leechers on two cores may be bound by these, and on busy ones all figures but the copies are worse.

mod bare;
mod files;
mod link;
mod netns;
mod node;
mod scenario;
mod table;

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use self::{scenario::Scenario, table::Table};

/// The allocator of the `modelswarm` program: the bare streams must not be slower for want of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Swarms on slow links, as ratios to what the links allow.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  swarm                                    all scenarios, three times each
  swarm --only 'flash crowd 4'             this one alone
  swarm --only one-to-one --repeat 5       both whose name begins so
  swarm --only 'long link'                 both of these
  swarm --only 'flash crowd 4' --size 16 --repeat 1    a quick look; start-up weighs more
Exits 1 where network namespaces or their limits cannot be made.")]
struct Plan {
    /// Only scenarios whose name is this, or else begins with it.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// How often each is run.
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeat: usize,
    /// Size of the file in all of them; each has its own otherwise.
    #[arg(long, value_name = "MIB")]
    size: Option<u64>,
    /// Where homes and files lie for a while; beside this program otherwise.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    if let Some(result) = bare::run(&words).or_else(|| link::run(&words)) {
        return result;
    }
    let plan = Plan::parse();
    let mut scenarios = Vec::from(scenario::ALL);
    if let Some(name) = &plan.only {
        let exact = scenarios.iter().any(|scenario| scenario.name == name);
        scenarios
            .retain(|scenario| scenario.name == name || !exact && scenario.name.starts_with(name));
    }
    let names = scenario::ALL.map(|scenario| scenario.name).join("; ");
    ensure!(!scenarios.is_empty(), "there is no such scenario; there are: {names}");
    ensure!(plan.repeat > 0 && plan.size != Some(0), "nothing to measure");
    if cfg!(debug_assertions) {
        eprintln!("warning: not a release build; the ratios mean nothing");
    }

    let mut table = Table::new(plan.repeat);
    let result = measure(&mut table, &plan, scenarios);
    // What was measured before something failed is worth seeing.
    print!("{table}");
    result
}

fn measure(table: &mut Table, plan: &Plan, scenarios: Vec<Scenario>) -> Result<()> {
    let beside = env::current_exe()?.parent().context("a program lies in a folder")?.to_owned();
    let folder = files::Folder::new(plan.dir.as_ref().unwrap_or(&beside))?;
    let program = node::build_program()?;
    for mut scenario in scenarios {
        scenario.size = plan.size.unwrap_or(scenario.size);
        let original = folder.path().join("original.bin");
        files::make(&original, scenario.bytes())?;
        let mut outcomes = Vec::new();
        for repetition in 1..=plan.repeat {
            eprintln!("{}, {repetition} of {}", scenario.name, plan.repeat);
            outcomes.push(scenario.run(&program, &original, &folder.path().join("run"))?);
        }
        table.add(&scenario, &outcomes);
    }
    Ok(())
}
