//! What a piece of work and the one who asked for it know of each other: how far it is, and whether anybody still
//! waits. Cloned into threads; dropping the other end stops the work at its next step.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::limits;
use crate::rpc::{Code, Event, Failure, Progress, Reply, Stage, ToSign};

/// Progress is said at most this often: a person can't read faster, and a socket need not carry more.
const INTERVAL: Duration = Duration::from_millis(200);

/// The work's end of the line to whoever asked for it.
#[derive(Debug, Clone)]
pub struct Watch {
    events: mpsc::Sender<Event>,
    replies: Option<Replies>,
    last: Arc<Mutex<Option<Instant>>>,
}

/// What the one who asked for the work says meanwhile; one question at a time.
type Replies = Arc<tokio::sync::Mutex<mpsc::Receiver<Reply>>>;

impl Watch {
    /// Says what happens to `events`; closing its receiver stops the work.
    pub fn new(events: mpsc::Sender<Event>) -> Self {
        Self { events, replies: None, last: Arc::default() }
    }

    /// The same for one who answers: who may be asked for signatures.
    #[must_use]
    pub fn with_replies(mut self, replies: mpsc::Receiver<Reply>) -> Self {
        self.replies = Some(Arc::new(tokio::sync::Mutex::new(replies)));
        self
    }

    /// Asks the other end for a signature and waits for it; from a thread that may block.
    ///
    /// # Errors
    /// Permission (5) if the other end is none that answers; interrupted (130) if it is gone; failure (1) if it says
    /// nothing for long.
    pub(super) fn sign(&self, to_sign: ToSign) -> Result<Reply, Failure> {
        let Some(replies) = &self.replies else {
            return Err(Failure::new(
                Code::Permission,
                format!("the key {} is not held here, and nobody is there to sign", to_sign.key),
            ));
        };
        let key = to_sign.key.clone();
        let silent = || {
            Failure::new(Code::Failure, format!("nobody signed as {key} in time"))
                .hint("the same command tries again")
        };
        tokio::runtime::Handle::current().block_on(async {
            let mut replies = replies.lock().await;
            self.events.send(Event::Sign { to_sign }).await.map_err(|_| stopped())?;
            let reply = tokio::time::timeout(limits::SIGN_WAIT, replies.recv()).await;
            reply.map_err(|_| silent())?.ok_or_else(stopped)
        })
    }

    /// Says how far the work is, unless it was said a moment ago.
    pub fn progress(&self, progress: impl FnOnce() -> Progress) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < INTERVAL) {
            return;
        }
        *last = Some(Instant::now());
        drop(last);
        // A reader that lags misses this step and sees the next.
        if self.events.try_send(Event::Progress(progress())).is_err() {
            tracing::trace!("progress was not read in time");
        }
    }

    /// Hands over bytes of a file, in pieces, as fast as they are taken.
    ///
    /// # Errors
    /// Interrupted (130) if the other end is gone.
    pub async fn bytes(&self, mut bytes: Bytes) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let data = bytes.split_to(bytes.len().min(limits::READ_PIECE));
            let len = data.len();
            self.events.send(Event::Bytes { len, data }).await.map_err(|_| stopped())?;
        }
        Ok(())
    }

    /// Says something the user should know though the work goes on.
    pub fn warn(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::warn!("{message}");
        if self.events.try_send(Event::Warning { message }).is_err() {
            tracing::debug!("nobody read the last warning");
        }
    }

    /// Stops work that nobody waits for.
    ///
    /// # Errors
    /// Interrupted (130) if the other end is gone.
    pub fn check(&self) -> Result<(), Failure> {
        if self.events.is_closed() {
            return Err(stopped());
        }
        Ok(())
    }

    /// Resolves when nobody waits any more.
    pub async fn abandoned(&self) {
        self.events.closed().await;
    }
}

/// Why work that nobody waits for ends.
pub(super) fn stopped() -> Failure {
    Failure::new(Code::Interrupted, "interrupted")
}

/// Bytes done out of a known total, counted from several threads.
#[derive(Debug)]
pub(super) struct Meter {
    watch: Watch,
    stage: Stage,
    name: String,
    done: AtomicU64,
    total: u64,
}

impl Meter {
    /// A meter at zero.
    pub(super) fn new(watch: &Watch, stage: Stage, name: impl Into<String>, total: u64) -> Self {
        Self { watch: watch.clone(), stage, name: name.into(), done: AtomicU64::new(0), total }
    }

    /// Counts `bytes` and says so.
    ///
    /// # Errors
    /// Interrupted (130) if nobody waits any more.
    pub(super) fn add(&self, bytes: u64) -> Result<(), Failure> {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.watch.progress(|| Progress {
            stage: self.stage,
            name: self.name.clone(),
            bytes: done,
            total: Some(self.total),
            peers: 0,
        });
        self.watch.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_nobody_waits_for_is_stopped() {
        let (events, receiver) = mpsc::channel(4);
        let watch = Watch::new(events);
        assert!(watch.check().is_ok());
        drop(receiver);
        assert_eq!(watch.check().map_err(|failure| failure.code), Err(Code::Interrupted));
    }

    #[test]
    fn progress_is_not_said_more_often_than_it_can_be_read() {
        let (events, mut receiver) = mpsc::channel(64);
        let watch = Watch::new(events);
        let meter = Meter::new(&watch, Stage::Hashing, "a", 100);
        for _ in 0..50 {
            meter.add(1).expect("watched");
        }
        let mut said = 0;
        while receiver.try_recv().is_ok() {
            said += 1;
        }
        assert!((1..50).contains(&said), "said {said} times");
    }
}
