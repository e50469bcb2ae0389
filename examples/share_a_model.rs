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
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use modelswarm::{
    config::{
        Config, Home,
        network::{Preset, Settings},
    },
    dag::Cid,
    network::{self, Keypair, Network},
    node::{Node, Role},
    rpc::{Answer, Event, Get, Request, Seed, Target},
    store::{self, Store},
};

/// The allocator of the `modelswarm` program; with another the rate below would be lower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the provider record may take to reach the rendezvous; it takes well under a second.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(30);

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
    println!("seeded      {} files, {}, in place", seeded.files, megabytes(seeded.bytes));
    println!("release     {release}");

    // Without this check three nodes on one machine could meet by luck and hide a broken DHT.
    let waited = wait_for_record(&rendezvous, &release, &seeder).await?;
    println!("announced   the rendezvous names the seeder as provider after {waited:.1?}");

    let fetcher = start_node(&temp.path().join("fetcher"), &meeting_point).await?;
    let request = Get {
        reference: release.clone(),
        output: Some(temp.path().join("fetched")),
        include: Vec::new(),
        exclude: Vec::new(),
        peers: Vec::new(),
        publisher: None,
        dry_run: false,
        force: false,
        timeout: 30,
    };
    let started = Instant::now();
    let Answer::Fetched(fetched) = ask(&fetcher, Request::Get(request)).await? else {
        bail!("get is answered with what was fetched");
    };
    let seconds = started.elapsed().as_secs_f64();
    let rate = megabytes((fetched.fetched_bytes as f64 / seconds) as u64);
    println!("fetched     {} in {seconds:.2} s, {rate}/s", megabytes(fetched.fetched_bytes));

    // The second look: all files read again from the disk, all digests of the signed card recomputed.
    let Answer::Verified(verified) =
        ask(&fetcher, Request::Verify { target: Target::Reference(release) }).await?
    else {
        bail!("verify is answered with what was verified");
    };
    ensure!(verified.ok, "not as signed: {}", verified.bad.join(", "));
    let publisher = verified.provenance.publisher.context("a release has a publisher")?;
    ensure!(Some(&publisher) == seeded.publisher.as_ref(), "signed by somebody else: {publisher}");
    println!("signature   valid, by {publisher}");

    let equal = compare(&fetched.path, &folder)?;
    ensure!(equal == seeded.files, "{equal} of {} files came", seeded.files);
    println!("compared    {equal} files, equal byte for byte");

    fetcher.shutdown().await;
    seeder.shutdown().await;
    rendezvous.shutdown().await;
    Ok(())
}

/// Settings of a node that talks to nobody but those it is told of, on a free port of loopback.
fn settings(bootstrap: &[String]) -> Settings {
    Settings {
        preset: Preset::Isolated,
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
        bootstrap: bootstrap.to_vec(),
        ..Settings::default()
    }
}

/// A whole node, as `modelswarm daemon` runs it.
async fn start_node(home: &Path, meeting_point: &str) -> Result<Node> {
    let network = settings(&[meeting_point.to_owned()]);
    let config = Config { network, ..Config::default() };
    Ok(Node::open(Home::single(home), config, Role::Daemon).await?)
}

/// The network layer alone: it takes part in the DHT and has no library above it.
async fn start_rendezvous(home: &Path) -> Result<Network> {
    let home = Home::single(home);
    let store = Store::open(&home.store(), store::Options::new(home.library()))?;
    let settings = settings(&[]);
    let listen = settings.listen.iter().map(|address| address.parse()).collect::<Result<_, _>>()?;
    let identity = Keypair::generate_ed25519();
    let options = network::Options { identity, settings, listen, bootstrap: Vec::new() };
    Ok(network::spawn(options, store).await?)
}

/// Asks a node and waits for the answer; what it says meanwhile is shown only if it is a warning.
async fn ask(node: &Node, request: Request) -> Result<Answer> {
    let mut events = node.dispatch(request);
    while let Some(event) = events.recv().await {
        match event {
            Event::Progress(_) => {}
            Event::Warning { message } => eprintln!("warning: {message}"),
            Event::Done { answer } => return Ok(*answer),
            Event::Failed { error } => return Err(error.into()),
        }
    }
    bail!("the node was stopped")
}

/// Waits until the rendezvous itself holds the record that the seeder provides the release.
async fn wait_for_record(rendezvous: &Network, release: &str, seeder: &Node) -> Result<Duration> {
    let cid: Cid = release.parse()?;
    let started = Instant::now();
    loop {
        let providers = rendezvous.providers_held(cid).await?;
        if providers.iter().any(|peer| peer.to_string() == seeder.peer_id()) {
            return Ok(started.elapsed());
        }
        ensure!(started.elapsed() < ANNOUNCED_WITHIN, "the rendezvous never heard of {release}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Compares every file below `fetched` with the one of the same name below `original`; gives their number. What
/// `seed` left out of the original (`.git` and the like) is not missed here, but the caller knows how many must come.
fn compare(fetched: &Path, original: &Path) -> Result<u64> {
    let mut equal = 0;
    for entry in fs::read_dir(fetched)? {
        let entry = entry?;
        let (path, twin) = (entry.path(), original.join(entry.file_name()));
        if path.is_dir() {
            equal += compare(&path, &twin)?;
            continue;
        }
        // A single file is seeded wrapped in a folder.
        let twin = if original.is_file() { original.to_owned() } else { twin };
        let (mut a, mut b) = (File::open(&path)?, File::open(&twin)?);
        let mut left = a.metadata()?.len();
        ensure!(left == b.metadata()?.len(), "{} has another length", path.display());
        let (mut of_a, mut of_b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        while left > 0 {
            let next = left.min(1 << 20) as usize;
            a.read_exact(&mut of_a[..next])?;
            b.read_exact(&mut of_b[..next])?;
            ensure!(of_a[..next] == of_b[..next], "{} differs", path.display());
            left -= next as u64;
        }
        equal += 1;
    }
    Ok(equal)
}

/// Makes a model of 64 MiB: one tensor in a safetensors file (length of the header, header, data), and a README.
fn make_model(folder: &Path) -> Result<PathBuf> {
    let bytes = 64 << 20;
    let shape = [bytes / 2 / 1024, 1024];
    let header = format!(
        r#"{{"embedding.weight":{{"dtype":"BF16","shape":{shape:?},"data_offsets":[0,{bytes}]}}}}"#
    );
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    let mut weight: u64 = 0x9E37_79B9_7F4A_7C15;
    for _ in 0..bytes / 8 {
        // xorshift64: numbers that do not repeat, so that no chunk equals another.
        weight ^= weight << 13;
        weight ^= weight >> 7;
        weight ^= weight << 17;
        file.extend_from_slice(&weight.to_le_bytes());
    }
    fs::create_dir(folder)?;
    fs::write(folder.join("model.safetensors"), file)?;
    fs::write(folder.join("config.json"), "{\"model_type\":\"made-by-an-example\"}\n")?;
    fs::write(folder.join("README.md"), "---\nlicense: cc0-1.0\n---\n# Random weights\n")?;
    Ok(folder.to_owned())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
