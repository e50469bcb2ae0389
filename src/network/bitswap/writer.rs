//! The two tasks that write to a peer: wants and presences on one stream, blocks on another.
//!
//! Both streams are opened when there is something to say and kept while there is; to peers that are not ours an
//! idle one is closed soon. The next response is loaded from the store while the current one is written. A reset is
//! normal: the stream is opened again, and a response that was not written whole is handed back to the exchange.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::AsyncWriteExt as _;
use libp2p::swarm::Stream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::super::blocks::Blocks;
use super::{Link, StreamEvent};
use crate::config::Audience;
use crate::dag::Cid;
use crate::exchange::message::{Prefix, encode_payload_heads};
use crate::limits;

/// A peer's two queues; dropped, both tasks end.
pub(in super::super) struct Writer {
    control: mpsc::Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
    serve: mpsc::Sender<Vec<Cid>>,
    recalled: Recalled,
}

/// Blocks on their way to the peer that it has cancelled since. Clones share it.
#[derive(Clone, Default)]
struct Recalled(Arc<Mutex<HashSet<Cid>>>);

impl Recalled {
    fn add(&self, cids: Vec<Cid>) {
        let mut recalled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those written just before they were recalled stay; no more can be on their way than this.
        if recalled.len() >= limits::FOREIGN_WANTS {
            recalled.clear();
        }
        recalled.extend(cids);
    }

    /// These were written all the same.
    fn forget(&self, cids: &[Cid]) {
        let mut recalled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cids.iter().for_each(|cid| _ = recalled.remove(cid));
    }

    /// Whether this one was recalled; asked once, it is forgotten.
    fn take(&self, cid: &Cid) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(cid)
    }
}

/// A response on its way from the store.
#[derive(Default)]
struct Response {
    blocks: Vec<(Cid, Bytes)>,
    /// The store has these no more.
    missing: Vec<Cid>,
    recalled: Vec<Cid>,
}

impl Response {
    /// Drops what was recalled since.
    fn sort_out(&mut self, recalled: &Recalled) {
        let dropped = self.blocks.extract_if(.., |(cid, _)| recalled.take(cid));
        self.recalled.extend(dropped.map(|(cid, _)| cid));
    }
}

impl Writer {
    /// Starts the tasks of a peer. `audience`: whom it counts as, so what it may be sent.
    pub(in super::super) fn spawn(
        link: &Arc<Link>,
        events: mpsc::Sender<StreamEvent>,
        blocks: Blocks,
        audience: Audience,
    ) -> Self {
        let (control, frames) = mpsc::channel(limits::CONTROL_QUEUE);
        let (serve, requests) = mpsc::channel(limits::SERVE_QUEUE);
        let (loaded, responses) = mpsc::channel(1);
        let waiting = Arc::new(AtomicUsize::new(0));
        let recalled = Recalled::default();
        tokio::spawn(control_stream(
            Outbound::new(link),
            frames,
            Arc::clone(&waiting),
            events.clone(),
        ));
        tokio::spawn(load(requests, blocks, audience, recalled.clone(), loaded));
        tokio::spawn(response_stream(Outbound::new(link), responses, recalled.clone(), events));
        Self { control, waiting, serve, recalled }
    }

    /// Queues frames for the control stream. False: the peer takes nothing, and the queue is full.
    pub(in super::super) fn send(&self, frames: Vec<Bytes>) -> bool {
        frames.into_iter().all(|frame| {
            let len = frame.len();
            self.waiting.fetch_add(len, Ordering::Relaxed) + len <= limits::CONTROL_QUEUE_BYTES
                && self.control.try_send(frame).is_ok()
        })
    }

    /// Drops these of queued responses, as far as they are not written yet.
    pub(in super::super) fn recall(&self, cids: Vec<Cid>) {
        self.recalled.add(cids);
    }

    /// Queues a response. False: the queue is full.
    pub(in super::super) fn serve(&self, cids: Vec<Cid>) -> bool {
        self.serve.try_send(cids).is_ok()
    }
}

/// A stream that is opened when needed.
struct Outbound {
    link: Arc<Link>,
    stream: Option<Stream>,
}

impl Outbound {
    fn new(link: &Arc<Link>) -> Self {
        Self { link: Arc::clone(link), stream: None }
    }

    /// Writes all parts one after the other. A stream that was open before and turns out to be dead is replaced once:
    /// true, and what was written on it before may be lost.
    async fn write(&mut self, parts: &[Bytes]) -> io::Result<bool> {
        let mut replaced = false;
        if let Some(mut stream) = self.stream.take() {
            if write_parts(&self.link, &mut stream, parts).await.is_ok() {
                self.stream = Some(stream);
                return Ok(false);
            }
            replaced = true;
        }
        let mut stream = self.link.open().await.map_err(io::Error::other)?;
        write_parts(&self.link, &mut stream, parts).await?;
        self.stream = Some(stream);
        Ok(replaced)
    }

    /// Waits for the next thing to write; an open stream is closed when it has been idle long enough.
    async fn next<T>(&mut self, queue: &mut mpsc::Receiver<T>) -> Option<T> {
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

/// Writes parts in order; small ones travel together, large ones are not copied.
async fn write_parts(link: &Link, stream: &mut Stream, parts: &[Bytes]) -> io::Result<()> {
    let mut small = Vec::new();
    for part in parts {
        if small.len() + part.len() <= limits::YAMUX_FRAME {
            small.extend_from_slice(part);
            continue;
        }
        write_all(link, stream, &small).await?;
        small.clear();
        if part.len() <= limits::YAMUX_FRAME {
            small.extend_from_slice(part);
        } else {
            write_all(link, stream, part).await?;
        }
    }
    write_all(link, stream, &small).await
}

async fn write_all(link: &Link, stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = timeout(limits::STREAM_STALL, stream.write(bytes)).await;
        let n = written.map_err(|_| io::ErrorKind::TimedOut)??;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        link.count_sent(n);
        bytes = &bytes[n..];
    }
    Ok(())
}

async fn control_stream(
    mut out: Outbound,
    mut frames: mpsc::Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    events: mpsc::Sender<StreamEvent>,
) {
    let source = out.link.source;
    let mut failures = 0;
    while let Some(frame) = out.next(&mut frames).await {
        waiting.fetch_sub(frame.len(), Ordering::Relaxed);
        match out.write(&[frame]).await {
            Ok(false) => failures = 0,
            Ok(true) => drop(events.send(StreamEvent::WantsLost { source }).await),
            Err(error) => {
                tracing::debug!(peer = %out.link.peer, %error, "cannot write wants");
                failures += 1;
                if failures == limits::CONTROL_FAILURES {
                    drop(events.send(StreamEvent::Stuck { source }).await);
                    return;
                }
                sleep(failures * limits::CONTROL_RETRY).await;
                // What waits is older than the full list that the exchange sends now.
                while let Ok(stale) = frames.try_recv() {
                    waiting.fetch_sub(stale.len(), Ordering::Relaxed);
                }
                drop(events.send(StreamEvent::WantsLost { source }).await);
            }
        }
    }
}

async fn load(
    mut requests: mpsc::Receiver<Vec<Cid>>,
    blocks: Blocks,
    audience: Audience,
    recalled: Recalled,
    loaded: mpsc::Sender<Response>,
) {
    while let Some(cids) = requests.recv().await {
        let mut response = Response::default();
        let (gone, wanted): (Vec<Cid>, _) = cids.into_iter().partition(|cid| recalled.take(cid));
        response.recalled = gone;
        for (cid, data) in blocks.load(wanted, audience).await {
            match data {
                Some(data) => response.blocks.push((cid, data)),
                None => response.missing.push(cid),
            }
        }
        if loaded.send(response).await.is_err() {
            return;
        }
    }
}

async fn response_stream(
    mut out: Outbound,
    mut responses: mpsc::Receiver<Response>,
    recalled: Recalled,
    events: mpsc::Sender<StreamEvent>,
) {
    let source = out.link.source;
    while let Some(mut response) = out.next(&mut responses).await {
        response.sort_out(&recalled);
        for (cids, retry) in [(response.missing, false), (response.recalled, true)] {
            if !cids.is_empty() {
                drop(events.send(StreamEvent::Unsent { source, cids, retry }).await);
            }
        }
        let (cids, datas): (Vec<Cid>, Vec<Bytes>) = response.blocks.into_iter().unzip();
        if cids.is_empty() {
            continue;
        }
        let sizes: Vec<_> = cids
            .iter()
            .zip(&datas)
            .map(|(cid, data)| (Prefix::from_cid(cid), data.len()))
            .collect();
        let bytes = datas.iter().map(Bytes::len).sum();
        let heads = encode_payload_heads(&sizes).heads;
        let parts: Vec<Bytes> =
            heads.into_iter().zip(datas).flat_map(|(head, data)| [head, data]).collect();
        let event = match out.write(&parts).await {
            Ok(_) => {
                recalled.forget(&cids);
                StreamEvent::Sent { source, cids, bytes }
            }
            Err(error) => {
                tracing::debug!(peer = %out.link.peer, %error, "response not written");
                if error.kind() == io::ErrorKind::TimedOut {
                    // It keeps memory from others; if it still wants the blocks it will connect again.
                    drop(events.send(StreamEvent::Stuck { source }).await);
                }
                StreamEvent::Unsent { source, cids, retry: true }
            }
        };
        drop(events.send(event).await);
    }
}
