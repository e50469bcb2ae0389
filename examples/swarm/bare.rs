//! The reference: plain TCP streams through the same links, read and thrown away.
//!
//! On near links senders connect to the receiver, and connecting does not count. Through a long one the receiver
//! connects, as `get` does, and it counts.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{link::Link, netns::Machine};

/// As which this program runs itself on a machine.
const SEND: &str = "--bare-send";
const RECEIVE: &str = "--bare-receive";
const SERVE: &str = "--bare-serve";
const FETCH: &str = "--bare-fetch";

/// Runs one end of the streams if these arguments ask for it: `--bare-send ADDR BYTES`, `--bare-receive ADDR STREAMS`,
/// `--bare-serve ADDR BYTES` or `--bare-fetch ADDR`.
pub(super) fn run(words: &[String]) -> Option<Result<()>> {
    match words {
        [side, address, bytes] if side == SEND => Some(send(address, bytes)),
        [side, address, streams] if side == RECEIVE => Some(receive(address, streams)),
        [side, address, bytes] if side == SERVE => Some(serve(address, bytes)),
        [side, address] if side == FETCH => Some(fetch(address)),
        _ => None,
    }
}

/// Seconds that `bytes` take from all senders together, in equal parts, to the last machine: from the first stream
/// accepted to the last byte read. Starting the programs does not count.
pub(super) fn measure(senders: &[Machine], receiver: &Machine, bytes: u64) -> Result<f64> {
    let program = env::current_exe()?;
    let mut receiving = receiver
        .command(&program)
        .args([RECEIVE, &format!("{}:0", receiver.ip), &senders.len().to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(receiving.stdout.take().context("piped")?);
    let mut address = String::new();
    said.read_line(&mut address)?;
    let part = (bytes / senders.len() as u64).to_string();
    let sending = senders
        .iter()
        .map(|sender| Ok(sender.command(&program).args([SEND, address.trim(), &part]).spawn()?))
        .collect::<Result<Vec<Child>>>()?;
    for mut child in sending {
        ensure!(child.wait()?.success(), "a bare stream could not be sent");
    }
    let mut seconds = String::new();
    said.read_line(&mut seconds)?;
    ensure!(receiving.wait()?.success(), "the bare streams could not be received");
    Ok(seconds.trim().parse()?)
}

/// Seconds that `bytes` take from the first machine to the last, through a link on the one between: from before the
/// receiver connects to the last byte read.
pub(super) fn measure_long(
    [sender, between, receiver]: &[Machine; 3],
    bytes: u64,
    rate: u32,
    delay: Duration,
) -> Result<f64> {
    let program = env::current_exe()?;
    let mut serving = sender
        .command(&program)
        .args([SERVE, &format!("{}:0", sender.ip), &bytes.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut address = String::new();
    BufReader::new(serving.stdout.take().context("piped")?).read_line(&mut address)?;
    let target: SocketAddr = address.trim().parse()?;
    let link = Link::start(between, target, rate, delay)?;
    let fetched = receiver.command(&program).args([FETCH, &link.address.to_string()]).output()?;
    ensure!(fetched.status.success(), "the bare stream could not be received");
    ensure!(serving.wait()?.success(), "the bare stream could not be sent");
    Ok(String::from_utf8(fetched.stdout)?.trim().parse()?)
}

fn send(address: &str, bytes: &str) -> Result<()> {
    write(TcpStream::connect(address)?, bytes.parse()?)
}

fn serve(address: &str, bytes: &str) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    write(listener.accept()?.0, bytes.parse()?)
}

fn fetch(address: &str) -> Result<()> {
    let started = Instant::now();
    read(TcpStream::connect(address)?)?;
    println!("{}", started.elapsed().as_secs_f64());
    Ok(())
}

fn read(mut stream: TcpStream) -> Result<()> {
    let mut buffer = vec![0; 1 << 18];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

fn write(mut stream: TcpStream, mut left: usize) -> Result<()> {
    let zeros = vec![0; 1 << 18];
    while left > 0 {
        left -= stream.write(&zeros[..left.min(zeros.len())])?;
    }
    Ok(())
}

fn receive(address: &str, streams: &str) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    let mut readers = Vec::new();
    let mut started = None;
    for _ in 0..streams.parse()? {
        let (stream, _) = listener.accept()?;
        started.get_or_insert_with(Instant::now);
        readers.push(thread::spawn(move || read(stream)));
    }
    for reader in readers {
        reader.join().ok().context("a reader does not panic")??;
    }
    println!("{}", started.context("at least one stream")?.elapsed().as_secs_f64());
    Ok(())
}
