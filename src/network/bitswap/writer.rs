//! What writes to a peer: wants and presences on one stream, blocks ([`responses`]) on another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::outbound::{Next, Outbound};
use super::responses::{self, Recalled};
use super::{Link, StreamEvent};
use crate::config::Audience;
use crate::dag::Cid;
use crate::limits;
use crate::network::blocks::Blocks;

/// A peer's two queues; dropped, both tasks end.
pub(in super::super) struct Writer {
    control: mpsc::Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
    serve: mpsc::Sender<Vec<Cid>>,
    recalled: Recalled,
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
            Outbound::new(link, false),
            frames,
            Arc::clone(&waiting),
            events.clone(),
        ));
        tokio::spawn(responses::load(requests, blocks, audience, recalled.clone(), loaded));
        tokio::spawn(responses::write(
            Outbound::new(link, true),
            responses,
            recalled.clone(),
            events,
        ));
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

async fn control_stream(
    mut out: Outbound,
    mut frames: mpsc::Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    events: mpsc::Sender<StreamEvent>,
) {
    let source = out.link.source;
    let mut failures = 0;
    let mut lost = false;
    loop {
        let frame = match out.next(&mut frames).await {
            Next::Write(frame) => frame,
            // Told with the next frame: a peer that resets after every list is not to be sent one for each.
            Next::Reset => {
                lost = true;
                continue;
            }
            Next::End => return,
        };
        waiting.fetch_sub(frame.len(), Ordering::Relaxed);
        match out.write(&[frame]).await {
            Ok(replaced) if replaced || std::mem::take(&mut lost) => {
                drop(events.send(StreamEvent::WantsLost { source }).await);
            }
            Ok(_) => failures = 0,
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
                lost = false;
                drop(events.send(StreamEvent::WantsLost { source }).await);
            }
        }
    }
}
