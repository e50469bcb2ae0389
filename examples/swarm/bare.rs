//! The reference: plain TCP streams through the same links, read and thrown away.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use super::netns::Machine;

/// As which this program runs itself on a machine.
const SEND: &str = "--bare-send";
const RECEIVE: &str = "--bare-receive";

/// Runs one end of the streams if these arguments ask for it: `--bare-send ADDR BYTES` or
/// `--bare-receive ADDR STREAMS`.
pub(super) fn run(words: &[String]) -> Option<Result<()>> {
    match words {
        [side, address, bytes] if side == SEND => Some(send(address, bytes)),
        [side, address, streams] if side == RECEIVE => Some(receive(address, streams)),
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

fn send(address: &str, bytes: &str) -> Result<()> {
    let mut left: usize = bytes.parse()?;
    let mut stream = TcpStream::connect(address)?;
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
        let (mut stream, _) = listener.accept()?;
        started.get_or_insert_with(Instant::now);
        readers.push(thread::spawn(move || -> Result<()> {
            let mut buffer = vec![0; 1 << 18];
            while stream.read(&mut buffer)? > 0 {}
            Ok(())
        }));
    }
    for reader in readers {
        reader.join().ok().context("a reader does not panic")??;
    }
    println!("{}", started.context("at least one stream")?.elapsed().as_secs_f64());
    Ok(())
}
