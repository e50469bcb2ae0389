//! One inbound stream: bytes to messages, payloads hashed off this thread.
//!
//! Room in memory is taken before a payload's buffer is there, and goes on with the block. Hashing runs while the
//! next payload is read. Between messages a stream may rest as long as it likes; within one it must move.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::AsyncReadExt as _;
use libp2p::swarm::Stream;
use tokio::time::timeout;

use super::super::memory::Permit;
use super::{Inbound, Link, StreamEvent};
use crate::dag::block::sha256;
use crate::dag::{Block, Cid};
use crate::exchange::message::Prefix;
use crate::exchange::{Decoded, Decoder, Fault};
use crate::limits;

/// Reads a stream to its end and reports what it carries.
pub(super) async fn run(inbound: Arc<Inbound>, link: Arc<Link>, mut stream: Stream) {
    if !link.wait_known().await {
        return;
    }
    if let Err(fault) = read(&inbound, &link, &mut stream).await {
        tracing::debug!(peer = %link.peer, %fault, "closing a Bitswap stream");
        let fault = StreamEvent::Fault { source: link.source, fault };
        // Fails only when the node is stopping.
        drop(inbound.events.send(fault).await);
    }
}

async fn read(inbound: &Arc<Inbound>, link: &Arc<Link>, stream: &mut Stream) -> Result<(), Fault> {
    let mut decoder = Decoder::new();
    let (mut permit, mut place) = (None, None);
    let mut broken = None;
    let mut told = Instant::now();
    let mut motion = Motion::new();
    loop {
        while let Some(decoded) = decoder.next() {
            match decoded {
                Decoded::Payload { prefix, data } => {
                    // A payload without data takes no buffer, so no room was asked for.
                    let room = match permit.take() {
                        None => link.budget.take(data.len()).await,
                        room => room,
                    };
                    match room {
                        Some(permit) => hash(inbound, link, prefix, data, permit).await,
                        None => refused(inbound, link).await,
                    }
                }
                Decoded::Control(control) => {
                    let place = place.take();
                    let event = StreamEvent::Control { source: link.source, control, place };
                    drop(inbound.events.send(event).await);
                }
            }
        }
        if let Some(malformed) = broken {
            return Err(malformed);
        }
        if let Some(len) = decoder.awaiting() {
            permit = link.budget.take(len).await;
            let run = if permit.is_some() {
                decoder.admit(link.budget.buffer(len))
            } else {
                refused(inbound, link).await;
                decoder.refuse()
            };
            broken = run.err().map(|malformed| malformed.fault());
            motion = Motion::new();
            continue;
        }
        if place.is_none() && decoder.held() > limits::SHORT_LIST {
            place = Some(link.budget.take_list().await.ok_or(Fault::Stalled)?);
            motion = Motion::new();
        }
        let between = decoder.at_boundary();
        let space = decoder.space();
        let piece = link.pace.down.piece(space.len());
        let reading = stream.read(&mut space[..piece]);
        let read = if between {
            let read = reading.await;
            motion = Motion::new();
            read
        } else {
            timeout(motion.left(), reading).await.map_err(|_| Fault::Stalled)?
        };
        match read {
            // A stream that ends or is reset, wherever that is, is no fault: links break.
            Ok(0) | Err(_) => return Ok(()),
            Ok(n) => {
                link.count_received(n);
                motion.moved(n);
                if permit.is_some() && link.pace.down.take(n).await {
                    motion = Motion::new();
                }
                if permit.is_some() && told.elapsed() >= limits::PROGRESS_EVERY {
                    told = Instant::now();
                    // Only a hint: with a full queue there is progress enough.
                    drop(inbound.events.try_send(StreamEvent::Progress { source: link.source }));
                }
                broken = decoder.filled(n).err().map(|malformed| malformed.fault());
            }
        }
    }
}

/// How a message moves: it has [`limits::STREAM_STALL`] for each [`limits::STREAM_STEP`]. Begun anew whenever it was we who
/// kept it waiting.
struct Motion {
    since: Instant,
    bytes: usize,
}

impl Motion {
    fn new() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    fn moved(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= limits::STREAM_STEP {
            *self = Self::new();
        }
    }

    fn left(&self) -> Duration {
        limits::STREAM_STALL.saturating_sub(self.since.elapsed())
    }
}

async fn refused(inbound: &Inbound, link: &Link) {
    drop(inbound.events.send(StreamEvent::Refused { source: link.source }).await);
}

/// Hashes a payload on the pool, lets those who wait for it take it to its place, and reports the block it is.
async fn hash(
    inbound: &Arc<Inbound>,
    link: &Link,
    prefix: Prefix,
    data: bytes::Bytes,
    permit: Permit,
) {
    let (events, source) = (inbound.events.clone(), link.source);
    let landings = inbound.landings.clone();
    let job = move || {
        let event = match block(&prefix, data) {
            Some(block) => {
                landings.land(&block);
                StreamEvent::Block { source, block, permit }
            }
            None => StreamEvent::Fault { source, fault: Fault::Malformed },
        };
        drop(events.blocking_send(event));
    };
    inbound.hashing.submit(job).await;
}

/// The block that bytes under a prefix are.
fn block(prefix: &Prefix, data: bytes::Bytes) -> Option<Block> {
    let shape: Cid = prefix.rebuild(&[0; 32]);
    if shape.version() == cid::Version::V1 {
        return Some(Block::new(shape.codec(), data));
    }
    let cid = prefix.rebuild(&sha256(&data));
    Block::verify(cid, data).ok()
}
