//! The blocks a peer is sent: loaded ahead from the store, dropped if it cancels them, written, and remembered for a
//! while, since those that were written before a reset may be lost.
//!
//! The next response is loaded while the current one is written. What was not written whole goes back to the exchange.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::StreamEvent;
use super::outbound::{Next, Outbound};
use crate::config::Audience;
use crate::dag::Cid;
use crate::exchange::SourceId;
use crate::exchange::message::{Prefix, encode_payload_heads};
use crate::limits;
use crate::network::blocks::Blocks;

/// Blocks on their way to the peer that it has cancelled since. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Recalled(Arc<Mutex<HashSet<Cid>>>);

impl Recalled {
    pub(super) fn add(&self, cids: Vec<Cid>) {
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
pub(super) struct Response {
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

/// What was written on a response stream a moment ago: reset, the peer may never have seen it. No more than its window
/// and the buffers on the way hold.
#[derive(Default)]
struct Written {
    responses: VecDeque<(Instant, Vec<Cid>, usize)>,
    bytes: usize,
}

impl Written {
    fn add(&mut self, cids: &[Cid], bytes: usize) {
        self.responses.push_back((Instant::now(), cids.to_vec(), bytes));
        self.bytes += bytes;
        while let Some((at, _, oldest)) = self.responses.front()
            && (self.bytes - oldest >= limits::UNCONFIRMED || at.elapsed() > limits::STREAM_STALL)
        {
            self.bytes -= oldest;
            self.responses.pop_front();
        }
    }

    fn take(&mut self) -> Vec<Cid> {
        self.bytes = 0;
        let recent =
            self.responses.drain(..).filter(|(at, ..)| at.elapsed() <= limits::STREAM_STALL);
        recent.flat_map(|(_, cids, _)| cids).collect()
    }
}

/// Loads responses as they are asked for, one ahead of the one that is written.
pub(super) async fn load(
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

/// Writes them.
pub(super) async fn write(
    mut out: Outbound,
    mut responses: mpsc::Receiver<Response>,
    recalled: Recalled,
    events: mpsc::Sender<StreamEvent>,
) {
    let source = out.link.source;
    let mut written = Written::default();
    loop {
        let mut response = match out.next(&mut responses).await {
            Next::Write(response) => response,
            Next::Reset => {
                lost(&mut written, source, &events).await;
                continue;
            }
            Next::End => return,
        };
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
        let outcome = out.write(&parts).await;
        if !matches!(outcome, Ok(false)) {
            lost(&mut written, source, &events).await;
        }
        let event = match outcome {
            Ok(_) => {
                recalled.forget(&cids);
                written.add(&cids, bytes);
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

/// Reports what the peer may never have seen.
async fn lost(written: &mut Written, source: SourceId, events: &mpsc::Sender<StreamEvent>) {
    let cids = written.take();
    if !cids.is_empty() {
        drop(events.send(StreamEvent::ResponsesLost { source, cids }).await);
    }
}
