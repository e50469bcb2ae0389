//! The main job, in one process: one node seeds a model, another fetches it knowing nothing but its CID.
//!
//! ```sh
//! cargo run --release --example share_a_model [FOLDER]
//! ```
//!
//! Three nodes on loopback, each in a home of its own. The *rendezvous* holds no content; it only keeps the records
//! of who provides what. The *seeder* signs and announces FOLDER, or a small model made here. The *fetcher* knows the
//! CID and the rendezvous: it finds the seeder through Kademlia, fetches over Bitswap, and checks every byte and the
//! signature. At the end this file compares the two folders itself and trusts nobody.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use modelswarm::{
    config::{
        Config, Home,
        network::{Preset, Settings},
    },
    network::{self, Keypair, Network},
    node::{Node, Role},
    rpc::{Answer, Event, Get, Request, Seed, Target},
    store::{self, Store},
};

/// The allocator of the `modelswarm` program; with another the rate below would be lower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Any free port of loopback.
const LISTEN: &str = "/ip4/127.0.0.1/tcp/0";

#[tokio::main]
async fn main() -> Result<()> {
    let temp = tempfile::tempdir().context("no folder for three homes")?;
    let folder = match env::args_os().nth(1) {
        Some(folder) => std::path::absolute(folder)?,
        None => make_model(&temp.path().join("tiny-model"))?,
    };

    let rendezvous = start_rendezvous(&temp.path().join("rendezvous")).await?;
    let meeting_point = rendezvous.listen_addrs().await?.swap_remove(0).to_string();
    println!("rendezvous  {meeting_point}");

    let seeder = start_node(&temp.path().join("seeder"), &meeting_point).await?;
    let request = Seed { path: folder.clone(), ..Seed::default() };
    let Answer::Seeded(seeded) = ask(&seeder, Request::Seed(request)).await? else {
        bail!("seed is answered with what was seeded");
    };
    let release = seeded.release.context("signed content has a release")?;
    println!("seeded      {} files, {} bytes, in place", seeded.files, seeded.bytes);
    println!("release     {release}");

    // Without this check three nodes on one machine could meet by luck and hide a broken DHT.
    let waited = wait_for_record(&rendezvous, &release, &seeder).await?;
    println!("announced   the rendezvous names the seeder as provider after {waited:.1?}");

    let fetcher = start_node(&temp.path().join("fetcher"), &meeting_point).await?;
    let request = Get { output: Some(temp.path().join("fetched")), ..Get::new(release.clone()) };
    let Answer::Fetched(fetched) = ask(&fetcher, Request::Get(request)).await? else {
        bail!("get is answered with what was fetched");
    };
    let (bytes, seconds) = (fetched.fetched_bytes as f64 / 1e6, fetched.seconds);
    println!("fetched     {bytes:.1} MB in {seconds:.2} s: {:.0} MB/s", bytes / seconds);

    // The second look: all files read again from the disk, all digests of the signed card recomputed.
    let Answer::Verified(verified) =
        ask(&fetcher, Request::Verify { target: Target::Reference(release) }).await?
    else {
        bail!("verify is answered with what was verified");
    };
    ensure!(verified.ok, "not as signed: {}", verified.bad.join(", "));
    let publisher = verified.provenance.publisher;
    ensure!(publisher == seeded.publisher, "signed by somebody else: {publisher:?}");
    println!("signature   valid, by {}", publisher.context("a release has a publisher")?);

    let equal = compare(&fetched.path, &folder)?;
    ensure!(equal == seeded.files, "{equal} of {} files came", seeded.files);
    println!("compared    {equal} files, equal byte for byte");

    fetcher.shutdown().await;
    seeder.shutdown().await;
    rendezvous.shutdown().await;
    Ok(())
}

/// A whole node, as `modelswarm daemon` runs it.
async fn start_node(home: &Path, meeting_point: &str) -> Result<Node> {
    let mut config = Config::default();
    // Neither mDNS nor anybody else: only who is named here, and who is learned from them.
    config.network.preset = Preset::Isolated;
    config.network.listen = vec![LISTEN.into()];
    config.network.bootstrap = vec![meeting_point.into()];
    Ok(Node::open(Home::single(home), config, Role::Daemon).await?)
}

/// The network layer alone: it takes part in the DHT and has no library above it.
async fn start_rendezvous(home: &Path) -> Result<Network> {
    let home = Home::single(home);
    let store = Store::open(&home.store(), store::Options::new(home.library()))?;
    let options = network::Options {
        rates: Default::default(),
        identity: Keypair::generate_ed25519(),
        settings: Settings { preset: Preset::Isolated, ..Settings::default() },
        listen: vec![LISTEN.parse()?],
        bootstrap: Vec::new(),
        attestations: network::no_attestations(),
    };
    Ok(network::spawn(options, store).await?)
}

/// Asks a node and waits for the answer.
async fn ask(node: &Node, request: Request) -> Result<Answer> {
    let mut events = node.dispatch(request).events;
    loop {
        match events.recv().await.context("the node was stopped")? {
            // The node holds its publisher's key, so it asks for no signature.
            Event::Progress(_) | Event::Bytes { .. } | Event::Sign { .. } => {}
            Event::Warning { message } => eprintln!("warning: {message}"),
            Event::Done { answer } => return Ok(*answer),
            Event::Failed { error } => return Err(error.into()),
        }
    }
}

/// Waits until the rendezvous itself holds the record that the seeder provides the release.
async fn wait_for_record(rendezvous: &Network, release: &str, seeder: &Node) -> Result<Duration> {
    let started = Instant::now();
    loop {
        let providers = rendezvous.providers_held(release.parse()?).await?;
        if providers.iter().any(|peer| peer.to_string() == seeder.peer_id()) {
            return Ok(started.elapsed());
        }
        ensure!(started.elapsed().as_secs() < 30, "the rendezvous never heard of {release}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Compares every file below `fetched` with the one of the same name below `original`; gives their number.
fn compare(fetched: &Path, original: &Path) -> Result<u64> {
    let mut equal = 0;
    for entry in fs::read_dir(fetched)? {
        let entry = entry?;
        let path = entry.path();
        // A single file is seeded wrapped in a folder.
        let wrapped = original.is_file();
        let twin = if wrapped { original.into() } else { original.join(entry.file_name()) };
        if path.is_dir() {
            equal += compare(&path, &twin)?;
            continue;
        }
        let (a, b) = (File::open(&path)?, File::open(&twin)?);
        let size = a.metadata()?.len();
        ensure!(size == b.metadata()?.len(), "{} has another size", path.display());
        for at in (0..size).step_by(1 << 20) {
            let mut of_a = vec![0; (size - at).min(1 << 20) as usize];
            let mut of_b = of_a.clone();
            a.read_exact_at(&mut of_a, at)?;
            b.read_exact_at(&mut of_b, at)?;
            ensure!(of_a == of_b, "{} differs at {at}", path.display());
        }
        equal += 1;
    }
    Ok(equal)
}

/// Makes a model of 64 MiB: a safetensors file (length of the header, header, data), and a README.
fn make_model(folder: &Path) -> Result<PathBuf> {
    let bytes = 64 << 20;
    let shape = [bytes / 2 / 1024, 1024];
    let header =
        format!(r#"{{"weight":{{"dtype":"BF16","shape":{shape:?},"data_offsets":[0,{bytes}]}}}}"#);
    let mut file = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    let mut weight: u64 = 0x9E37_79B9_7F4A_7C15;
    for _ in 0..bytes / 8 {
        // xorshift64: no number comes twice, so no chunk equals another.
        weight ^= weight << 13;
        weight ^= weight >> 7;
        weight ^= weight << 17;
        file.extend_from_slice(&weight.to_le_bytes());
    }
    fs::create_dir(folder)?;
    fs::write(folder.join("model.safetensors"), file)?;
    fs::write(folder.join("README.md"), "---\nlicense: cc0-1.0\n---\n# Random weights\n")?;
    Ok(folder.to_owned())
}
