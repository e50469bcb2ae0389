//! A stream of ours to a peer: opened when there is something to say, opened again when it was reset.
//!
//! It is kept while there is something to say; to peers that are not ours an idle one is closed soon. A reset is normal,
//! never a fault.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::AsyncWriteExt as _;
use libp2p::swarm::Stream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Link;
use crate::limits;

/// A stream that is opened when needed.
pub(super) struct Outbound {
    pub(super) link: Arc<Link>,
    stream: Option<Stream>,
    /// Whether what is written keeps to the rates.
    paced: bool,
    /// Bytes handed to the muxer at a time. It takes ten such frames ahead, and what it has taken can no longer be
    /// recalled nor put behind others: so few on a slow link, whole frames on a fast one.
    frame: usize,
}

/// Time that a frame should take on the link.
const FRAME_TIME: Duration = Duration::from_millis(1);
/// The smallest frame.
const FRAME_MIN: usize = 4 * limits::KIB;
/// Before the link's rate is known.
const FRAME_START: usize = 16 * limits::KIB;

impl Outbound {
    pub(super) fn new(link: &Arc<Link>, paced: bool) -> Self {
        Self { link: Arc::clone(link), stream: None, paced, frame: FRAME_START }
    }

    /// Writes all parts one after the other. A stream that was open before and turns out to be dead is replaced once:
    /// true, and what was written on it before may be lost.
    pub(super) async fn write(&mut self, parts: &[Bytes]) -> io::Result<bool> {
        let mut replaced = false;
        if let Some(mut stream) = self.stream.take() {
            match self.write_parts(&mut stream, parts).await {
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
        self.write_parts(&mut stream, parts).await?;
        self.stream = Some(stream);
        Ok(replaced)
    }

    /// Writes parts in order; small ones travel together, large ones are not copied.
    async fn write_parts(&mut self, stream: &mut Stream, parts: &[Bytes]) -> io::Result<()> {
        let begun = Instant::now();
        let mut small = Vec::new();
        for part in parts {
            if small.len() + part.len() <= limits::YAMUX_FRAME {
                small.extend_from_slice(part);
                continue;
            }
            self.write_all(stream, &small).await?;
            small.clear();
            if part.len() <= limits::YAMUX_FRAME {
                small.extend_from_slice(part);
            } else {
                self.write_all(stream, part).await?;
            }
        }
        self.write_all(stream, &small).await?;
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        // Less than this may lie in buffers all of it, and tells nothing of the link.
        if bytes >= limits::CHUNK / 2 {
            let rate = bytes as f64 / begun.elapsed().as_secs_f64().max(1e-6);
            let frame = (rate * FRAME_TIME.as_secs_f64()) as usize;
            self.frame = frame.clamp(FRAME_MIN, limits::YAMUX_FRAME);
        }
        Ok(())
    }

    async fn write_all(&mut self, stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut piece = bytes.len().min(self.frame);
            if self.paced {
                piece = self.link.pace.up.piece(piece);
                self.link.pace.up.take(piece).await;
            }
            let written = timeout(limits::STREAM_STALL, stream.write(&bytes[..piece])).await;
            let n = written.map_err(|_| io::ErrorKind::TimedOut)??;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.link.count_sent(n);
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Waits for the next thing to write; an open stream is closed when it has been idle long enough.
    pub(super) async fn next<T>(&mut self, queue: &mut mpsc::Receiver<T>) -> Option<T> {
        if let Ok(next) = queue.try_recv() {
            return Some(next);
        }
        if let Some(mut stream) = self.stream.take() {
            drop(stream.flush().await);
            if let Ok(next) = timeout(self.link.stream_idle(), queue.recv()).await {
                self.stream = Some(stream);
                return next;
            }
            // The peer's side of the close takes its time, and nobody waits for it.
            drop(timeout(Duration::from_secs(1), stream.close()).await);
        }
        queue.recv().await
    }
}
