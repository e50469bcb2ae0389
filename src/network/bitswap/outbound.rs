//! A stream of ours to a peer: opened when there is something to say, opened again when it was reset.
//!
//! It is kept while there is something to say; to peers that are not ours an idle one is closed soon. A reset is normal,
//! never a fault.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::swarm::Stream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Link;
use crate::limits;

/// A stream that is opened when needed.
pub(super) struct Outbound {
    pub(super) link: Arc<Link>,
    stream: Option<Stream>,
    /// Whether what is written keeps to the rates.
    paced: bool,
}

/// What there is to do.
pub(super) enum Next<T> {
    /// To write this.
    Write(T),
    /// The peer has reset the stream: what was written on it last may be lost.
    Reset,
    /// Nothing more.
    End,
}

impl<T> From<Option<T>> for Next<T> {
    fn from(next: Option<T>) -> Self {
        next.map_or(Self::End, Self::Write)
    }
}

impl Outbound {
    pub(super) fn new(link: &Arc<Link>, paced: bool) -> Self {
        Self { link: Arc::clone(link), stream: None, paced }
    }

    /// Writes all parts one after the other. A stream that was open before and turns out to be dead is replaced once:
    /// true, and what was written on it before may be lost.
    pub(super) async fn write(&mut self, parts: &[Bytes]) -> io::Result<bool> {
        let mut replaced = false;
        if let Some(mut stream) = self.stream.take() {
            match write_parts(&self.link, &mut stream, parts, self.paced).await {
                Ok(()) => {
                    self.stream = Some(stream);
                    return Ok(false);
                }
                // It takes nothing on this stream, and will not on another.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
                Err(_) => replaced = true,
            }
        }
        let mut stream = self.link.open().await.map_err(io::Error::other)?;
        write_parts(&self.link, &mut stream, parts, self.paced).await?;
        self.stream = Some(stream);
        Ok(replaced)
    }

    /// Waits for the next thing to write; an open stream is closed when it has been idle long enough, and watched until
    /// then.
    pub(super) async fn next<T>(&mut self, queue: &mut mpsc::Receiver<T>) -> Next<T> {
        if let Ok(next) = queue.try_recv() {
            return Next::Write(next);
        }
        if let Some(mut stream) = self.stream.take() {
            drop(stream.flush().await);
            tokio::select! {
                biased;
                next = queue.recv() => {
                    self.stream = Some(stream);
                    return next.into();
                }
                () = reset(&mut stream) => return Next::Reset,
                () = sleep(self.link.stream_idle()) => {}
            }
            // The peer's side of the close takes its time, and nobody waits for it.
            drop(timeout(Duration::from_secs(1), stream.close()).await);
        }
        queue.recv().await.into()
    }
}

/// Ends when the peer resets the stream. It may close its side; what it says on ours nobody reads.
async fn reset(stream: &mut Stream) {
    if stream.read(&mut [0]).await.is_ok() {
        std::future::pending().await
    }
}

/// Writes parts in order; small ones travel together, large ones are not copied.
async fn write_parts(
    link: &Link,
    stream: &mut Stream,
    parts: &[Bytes],
    paced: bool,
) -> io::Result<()> {
    let mut small = Vec::new();
    for part in parts {
        if small.len() + part.len() <= limits::YAMUX_FRAME {
            small.extend_from_slice(part);
            continue;
        }
        write_all(link, stream, &small, paced).await?;
        small.clear();
        if part.len() <= limits::YAMUX_FRAME {
            small.extend_from_slice(part);
        } else {
            write_all(link, stream, part, paced).await?;
        }
    }
    write_all(link, stream, &small, paced).await
}

async fn write_all(
    link: &Link,
    stream: &mut Stream,
    mut bytes: &[u8],
    paced: bool,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let piece = if paced { link.pace.up.piece(bytes.len()) } else { bytes.len() };
        if paced {
            link.pace.up.take(piece).await;
        }
        let written = timeout(limits::STREAM_STALL, stream.write(&bytes[..piece])).await;
        let n = written.map_err(|_| io::ErrorKind::TimedOut)??;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        link.count_sent(n);
        bytes = &bytes[n..];
    }
    Ok(())
}
