//! The bare stream: files over one stream of the project's TCP + TLS + yamux, two processes, nothing above.
//!
//! The sender reads on a thread of its own; the receiver hands each MiB to another thread, which hashes and writes
//! it. Buffers go round in a fixed set, both runtimes have one thread: the fastest form that `experiments.md` F found.
//! No swarm, no Bitswap, no index, no sync: this is what the transport leaves for all of these to lose.
//! The example `rivals` has it too.

use std::{
    fs::{self, File},
    io::{IoSlice, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        muxing::{StreamMuxerBox, StreamMuxerExt as _},
        transport::{Boxed, DialOpts, ListenerId, PortUse, TransportEvent},
    },
    identity::Keypair,
};
use rustix::io::{Errno, ReadWriteFlags};
use sha2::{Digest as _, Sha256};

const MIB: usize = 1 << 20;
/// Buffers on their way between the stream and the thread beside it.
const BUFFERS: usize = 16;
/// `RWF_DONTCACHE`, as in the store.
const RWF_DONTCACHE: u32 = 0x80;

/// Which process this is.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Send,
    Receive,
}

/// How the receiver writes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Writes {
    Plain,
    DontCache,
}

impl Side {
    /// The side that a first argument names.
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "bare-send" => Some(Self::Send),
            "bare-receive" => Some(Self::Receive),
            _ => None,
        }
    }
}

/// The process that sends; it ends with this value.
pub(super) struct Sender {
    pub(super) process: Child,
    from: PathBuf,
    address: String,
}

impl Sender {
    /// Starts it and waits until it listens.
    pub(super) fn start(from: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare-send").arg(from).stdout(Stdio::piped());
        let process = command.spawn()?;
        let mut sender = Self { process, from: from.to_owned(), address: String::new() };
        let stdout = sender.process.stdout.take().context("stdout was asked for")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut sender.address)?;
        Ok(sender)
    }

    /// The process that receives into a folder that is there, still to be started. It prints its seconds.
    pub(super) fn receiver(&self, to: &Path, writes: Writes) -> Result<Command> {
        let mut receiver = Command::new(std::env::current_exe()?);
        receiver.arg("bare-receive").arg(self.address.trim()).arg(to);
        receiver.arg(if writes == Writes::Plain { "plain" } else { "dontcache" });
        for file in list(&self.from)? {
            let name = file.file_name().context("listed files have names")?;
            receiver.arg(name).arg(file.metadata()?.len().to_string());
        }
        Ok(receiver)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if let Err(why) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("warning: process {} could not be ended: {why}", self.process.id());
        }
    }
}

/// The files of a folder, in order.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// Is one of the two processes.
pub(super) fn run(side: Side, words: &[String]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match (side, words) {
        (Side::Send, [folder]) => runtime.block_on(send(Path::new(folder))),
        (Side::Receive, [address, folder, writes, files @ ..]) => {
            let writes = if writes == "plain" { Writes::Plain } else { Writes::DontCache };
            let files = files
                .chunks_exact(2)
                .map(|pair| Ok((Path::new(folder).join(&pair[0]), pair[1].parse()?)))
                .collect::<Result<Vec<_>>>()?;
            runtime.block_on(receive(address.parse()?, files, writes))
        }
        _ => bail!("not meant to be called by hand"),
    }
}

/// The very transport of a node: what is measured here must be exactly that one.
fn transport() -> Result<Boxed<(PeerId, StreamMuxerBox)>> {
    Ok(modelswarm::network::bare_transport(&Keypair::generate_ed25519())?)
}

/// Polls a connection for as long as it lasts, as a swarm's task would.
fn drive(mut connection: StreamMuxerBox) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let end = std::future::poll_fn(|cx| connection.poll_unpin(cx)).await;
        drop(end);
    })
}

async fn send(folder: &Path) -> Result<()> {
    let files = list(folder)?;
    let mut transport = transport()?;
    transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0".parse()?)?;
    let incoming = loop {
        match transport.next().await.context("a listener goes on")? {
            TransportEvent::NewAddress { listen_addr, .. } => println!("{listen_addr}"),
            TransportEvent::Incoming { upgrade, .. } => break upgrade,
            _ => {}
        }
    };
    let (_, mut connection) = tokio::select! {
        connection = incoming => connection?,
        // Polled so that the handshake is, too.
        _ = transport.next() => bail!("a second connection"),
    };
    let mut stream = std::future::poll_fn(|cx| connection.poll_inbound_unpin(cx)).await?;
    let driving = drive(connection);
    let mut go = [0];
    stream.read_exact(&mut go).await?;
    let (full, mut filled) = tokio::sync::mpsc::channel::<Vec<u8>>(BUFFERS);
    let (empty, spare) = mpsc::channel();
    for _ in 0..BUFFERS {
        empty.send(vec![0; MIB])?;
    }
    let reading = thread::spawn(move || read(&files, &spare, &full));
    while let Some(chunk) = filled.recv().await {
        stream.write_all(&chunk).await?;
        // The reader ends first: whoever misses a buffer then is nobody.
        drop(empty.send(chunk));
    }
    stream.close().await?;
    reading.join().map_err(|_| anyhow::anyhow!("the reading thread panicked"))??;
    driving.await?;
    Ok(())
}

fn read(
    files: &[PathBuf],
    spare: &mpsc::Receiver<Vec<u8>>,
    full: &tokio::sync::mpsc::Sender<Vec<u8>>,
) -> Result<()> {
    for path in files {
        let mut file = File::open(path)?;
        let mut left = file.metadata()?.len() as usize;
        while left > 0 {
            let mut chunk = spare.recv()?;
            chunk.resize(left.min(MIB), 0);
            file.read_exact(&mut chunk)?;
            left -= chunk.len();
            full.blocking_send(chunk)?;
        }
    }
    Ok(())
}

async fn receive(address: Multiaddr, files: Vec<(PathBuf, usize)>, writes: Writes) -> Result<()> {
    let mut transport = transport()?;
    let started = Instant::now();
    let how = DialOpts { role: libp2p::core::Endpoint::Dialer, port_use: PortUse::New };
    let (_, mut connection) = transport.dial(address, how)?.await?;
    let mut stream = std::future::poll_fn(|cx| connection.poll_outbound_unpin(cx)).await?;
    let driving = drive(connection);
    stream.write_all(&[1]).await?;
    stream.flush().await?;
    let (full, filled) = mpsc::sync_channel::<Vec<u8>>(BUFFERS);
    let (empty, mut spare) = tokio::sync::mpsc::channel(BUFFERS);
    for _ in 0..BUFFERS {
        empty.send(vec![0; MIB]).await?;
    }
    let sizes: Vec<usize> = files.iter().map(|(_, size)| *size).collect();
    let writing = thread::spawn(move || write(&files, &filled, &empty, writes));
    take(&mut stream, &sizes, &mut spare, &full).await?;
    drop(full);
    writing.join().map_err(|_| anyhow::anyhow!("the writing thread panicked"))??;
    println!("{}", started.elapsed().as_secs_f64());
    driving.abort();
    Ok(())
}

async fn take(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    sizes: &[usize],
    spare: &mut tokio::sync::mpsc::Receiver<Vec<u8>>,
    full: &mpsc::SyncSender<Vec<u8>>,
) -> Result<()> {
    for size in sizes {
        let mut left = *size;
        while left > 0 {
            let mut chunk = spare.recv().await.context("the writing thread ended early")?;
            chunk.resize(left.min(MIB), 0);
            stream.read_exact(&mut chunk).await?;
            left -= chunk.len();
            // Never waits: there are as many places as buffers.
            full.send(chunk)?;
        }
    }
    Ok(())
}

fn write(
    files: &[(PathBuf, usize)],
    filled: &mpsc::Receiver<Vec<u8>>,
    empty: &tokio::sync::mpsc::Sender<Vec<u8>>,
    writes: Writes,
) -> Result<()> {
    for (path, size) in files {
        let file = File::create_new(path)?;
        let mut offset = 0;
        while offset < *size {
            let chunk = filled.recv()?;
            std::hint::black_box(Sha256::digest(&chunk));
            put(&file, &chunk, offset as u64, writes)?;
            offset += chunk.len();
            // The stream ends first: whoever misses a buffer then is nobody.
            drop(empty.blocking_send(chunk));
        }
    }
    Ok(())
}

fn put(file: &File, mut bytes: &[u8], mut offset: u64, writes: Writes) -> Result<()> {
    let mut flags = match writes {
        Writes::Plain => ReadWriteFlags::empty(),
        Writes::DontCache => ReadWriteFlags::from_bits_retain(RWF_DONTCACHE),
    };
    while !bytes.is_empty() {
        match rustix::io::pwritev2(file, &[IoSlice::new(bytes)], offset, flags) {
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            // Before Linux 6.14, or a file system that does not know it: as the store, plainly then.
            Err(Errno::OPNOTSUPP | Errno::INVAL) if !flags.is_empty() => {
                flags = ReadWriteFlags::empty();
            }
            Err(why) => return Err(why.into()),
        }
    }
    Ok(())
}
