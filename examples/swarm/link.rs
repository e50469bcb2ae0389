//! A long link: a TCP proxy with a fixed delay and rate in either direction.
//!
//! The kernel's own (netem) is not everywhere. What a connection brings waits for its turn on the link, which all
//! connections share, then travels for the delay; no more is taken from the sender than the link holds, its queue
//! included, and the sockets' own buffers are small, so that a sender feels the link and a receiver that does not read.
//! A connection begins a round trip late, as one does whose SYN and its answer travel.
//!
//! Not simulated: loss, TCP's slow start (each half of the way is short), headers of packets.

use std::{
    collections::VecDeque,
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    process::{Child, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::net::TcpSocket;

use super::netns::Machine;

/// As which this program runs itself on a machine.
const LINK: &str = "--link";
/// What of the one-way delay the queue in front of the link is worth.
const QUEUE: u32 = 4;
/// Bytes of each buffer of the proxy's sockets; the kernel doubles it.
const SOCKET: u32 = 128 << 10;
/// Bytes read at once: half a millisecond of 1 Gbit/s.
const PIECE: usize = 64 << 10;

/// A proxy on a machine between two. Dropping it ends it.
pub(super) struct Link {
    process: Child,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

impl Link {
    /// Starts one that leads to `target`: `rate` in Mbit/s, `delay` one way.
    pub(super) fn start(
        machine: &Machine,
        target: SocketAddr,
        rate: u32,
        delay: Duration,
    ) -> Result<Self> {
        let words = [
            LINK.to_owned(),
            machine.ip.to_string(),
            target.to_string(),
            rate.to_string(),
            delay.as_micros().to_string(),
        ];
        let mut command = machine.command(&env::current_exe()?);
        let mut process = command.args(words).stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(process.stdout.take().context("piped")?).read_line(&mut address)?;
        let address = address.trim().parse().context("the proxy does not say where it is")?;
        Ok(Self { process, address })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Err(why) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("warning: process {} could not be ended: {why}", self.process.id());
        }
    }
}

/// Runs the proxy if these arguments ask for it: `--link IP TARGET MBITS MICROSECONDS`.
pub(super) fn run(words: &[String]) -> Option<Result<()>> {
    match words {
        [word, ip, target, rate, delay] if word == LINK => Some(serve(ip, target, rate, delay)),
        _ => None,
    }
}

fn serve(ip: &str, target: &str, rate: &str, delay: &str) -> Result<()> {
    let (ip, target): (IpAddr, SocketAddr) = (ip.parse()?, target.parse()?);
    let (rate, delay): (f64, u64) = (rate.parse()?, delay.parse()?);
    let (rate, delay) = (rate * 1e6 / 8.0, Duration::from_micros(delay));
    let [there, back] = [(); 2].map(|()| Arc::new(Direction::new(rate, delay)));
    // Only tokio's sockets can be told of their buffers, among the libraries at hand.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = socket()?;
        listener.bind(SocketAddr::new(ip, 0))?;
        let listener = listener.listen(16)?;
        println!("{}", listener.local_addr()?);
        loop {
            let (client, _) = listener.accept().await?;
            let (there, back) = (Arc::clone(&there), Arc::clone(&back));
            tokio::spawn(async move {
                // A link is not broken by one connection that is.
                if let Err(why) = join(client, target, there, back).await {
                    eprintln!("warning: a connection through the link: {why:#}");
                }
            });
        }
    })
}

fn socket() -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SOCKET)?;
    socket.set_send_buffer_size(SOCKET)?;
    Ok(socket)
}

/// Connects a client with the target.
async fn join(
    client: tokio::net::TcpStream,
    target: SocketAddr,
    there: Arc<Direction>,
    back: Arc<Direction>,
) -> Result<()> {
    // Its SYN and the answer. What it sends next opens the connection at the other end.
    tokio::time::sleep(there.delay + back.delay).await;
    let client = blocking(client)?;
    let (from, first) = (client.try_clone()?, Arc::new(Wire::default()));
    let (wire, direction) = (Arc::clone(&first), Arc::clone(&there));
    thread::spawn(move || wire.fill(from, &direction));
    tokio::time::sleep(there.delay).await;
    let server = blocking(socket()?.connect(target).await?)?;
    let (from, to, second) = (server.try_clone()?, client, Arc::new(Wire::default()));
    let wire = Arc::clone(&second);
    thread::spawn(move || wire.fill(from, &back));
    thread::spawn(move || first.empty(server));
    thread::spawn(move || second.empty(to));
    Ok(())
}

fn blocking(stream: tokio::net::TcpStream) -> Result<TcpStream> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// One direction of the link, for all connections.
struct Direction {
    /// Bytes a second.
    rate: f64,
    delay: Duration,
    /// When it has sent what it was given so far.
    free: Mutex<Instant>,
}

impl Direction {
    fn new(rate: f64, delay: Duration) -> Self {
        Self { rate, delay, free: Mutex::new(Instant::now()) }
    }

    /// When this many bytes, given to it now, have been sent.
    fn send(&self, bytes: usize) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = Instant::now().max(*free) + Duration::from_secs_f64(bytes as f64 / self.rate);
        *free
    }

    /// Bytes of one connection that it holds at the most.
    fn room(&self) -> usize {
        (self.rate * (self.delay + self.delay / QUEUE).as_secs_f64()) as usize + PIECE
    }
}

/// What one connection has on its way in one direction.
#[derive(Default)]
struct Wire {
    pieces: Mutex<Pieces>,
    changed: Condvar,
}

#[derive(Default)]
struct Pieces {
    /// When each arrives; one without bytes is the end.
    queue: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// The receiver takes no more.
    broken: bool,
}

impl Wire {
    /// Takes from the sender what the link has room for, until its end.
    fn fill(&self, mut from: TcpStream, direction: &Direction) {
        let mut buffer = vec![0; PIECE];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            let sent = direction.send(read);
            let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
            let full = |pieces: &mut Pieces| pieces.bytes > direction.room() && !pieces.broken;
            let waited = self.changed.wait_while(pieces, full);
            let mut pieces = waited.unwrap_or_else(PoisonError::into_inner);
            if pieces.broken {
                return;
            }
            pieces.bytes += read;
            pieces.queue.push_back((sent + direction.delay, buffer[..read].to_vec()));
            drop(pieces);
            self.changed.notify_all();
            if read == 0 {
                return;
            }
            // The queue in front of the link is short.
            sleep_until(sent - direction.delay / QUEUE);
        }
    }

    /// Gives the receiver each piece when it arrives.
    fn empty(&self, mut to: TcpStream) {
        loop {
            let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.changed.wait_while(pieces, |pieces| pieces.queue.is_empty());
            let next = waited.unwrap_or_else(PoisonError::into_inner).queue.pop_front();
            let Some((at, piece)) = next else { continue };
            sleep_until(at);
            let written = to.write_all(&piece);
            let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
            pieces.bytes -= piece.len();
            pieces.broken = written.is_err();
            drop(pieces);
            self.changed.notify_all();
            if written.is_err() || piece.is_empty() {
                // Fails if the other side is gone already.
                drop(to.shutdown(Shutdown::Write));
                return;
            }
        }
    }
}

fn sleep_until(at: Instant) {
    let wait = at.saturating_duration_since(Instant::now());
    if !wait.is_zero() {
        thread::sleep(wait);
    }
}
