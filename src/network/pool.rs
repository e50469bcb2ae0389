//! A few threads for work that would hold up the event loop: hashing, and calls into the store.
//!
//! Each pool has its own threads and its own bounded queue, so that a slow disk never keeps a hash waiting. It
//! knows nothing of what it runs.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

type Job = (Box<dyn FnOnce() + Send>, OwnedSemaphorePermit);

/// The threads of a pool, to wait for their end.
pub(super) struct Threads(Receiver<()>);

impl Threads {
    /// Waits until the last handle is gone and all work is done, or for `longest`.
    pub(super) fn wait(self, longest: Duration) {
        // Nothing is ever sent: it ends when the last thread drops its end, or by the clock.
        let _ = self.0.recv_timeout(longest);
    }
}

/// A handle; clones share the threads, which end when the last handle is gone.
#[derive(Clone)]
pub(super) struct Pool {
    jobs: Sender<Job>,
    /// Room in the queue: taken before a job is queued, given back when it has run.
    room: Arc<Semaphore>,
}

impl Pool {
    /// Starts `threads` threads that share a queue of `queue` jobs, those that run included.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn new(name: &str, threads: usize, queue: usize) -> io::Result<(Self, Threads)> {
        let (jobs, receiver) = channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        let (running, ended) = channel::<()>();
        for _ in 0..threads {
            let (receiver, running) = (Arc::clone(&receiver), running.clone());
            std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                work(&receiver);
                drop(running);
            })?;
        }
        Ok((Self { jobs, room: Arc::new(Semaphore::new(queue)) }, Threads(ended)))
    }

    /// Queues work, waiting for room. Jobs start in the order of their calls.
    pub(super) async fn submit(&self, work: impl FnOnce() + Send + 'static) {
        let Ok(room) = Arc::clone(&self.room).acquire_owned().await else { return };
        // Fails only when every thread is gone, which takes the process with it.
        let _ = self.jobs.send((Box::new(work), room));
    }

    /// Runs work and waits for what it returns; `None` if it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, result) = oneshot::channel();
        self.submit(move || drop(answer.send(work()))).await;
        result.await.ok()
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, room)) = job else { return };
        // One job's panic must not take the thread from the others; its waiter sees `None`.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a job of the network's pool panicked");
        }
        drop(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_elsewhere_and_its_answer_comes_back() {
        let (pool, _) = Pool::new("test", 2, 4).unwrap();
        let here = std::thread::current().id();
        assert_ne!(pool.run(|| std::thread::current().id()).await, Some(here));
    }

    #[tokio::test]
    async fn a_panic_costs_only_its_own_job() {
        let (pool, _) = Pool::new("test", 1, 1).unwrap();
        assert_eq!(pool.run(|| if true { panic!("one") } else { 0 }).await, None);
        assert_eq!(pool.run(|| 2).await, Some(2));
    }

    #[tokio::test]
    async fn the_threads_end_with_the_last_handle_after_the_work() {
        let (pool, threads) = Pool::new("test", 2, 4).unwrap();
        let (did, done) = channel();
        pool.submit(move || did.send(()).unwrap()).await;
        drop(pool);
        threads.wait(Duration::from_secs(20));
        assert_eq!(done.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_next_caller_wait() {
        let (pool, _) = Pool::new("test", 1, 1).unwrap();
        let (release, gate) = channel::<()>();
        pool.submit(move || gate.recv().unwrap()).await;
        let second = pool.clone();
        let mut second = tokio::spawn(async move { second.run(|| 1).await });
        tokio::select! {
            biased;
            _ = &mut second => panic!("ran although the only thread is taken"),
            () = tokio::task::yield_now() => {}
        }
        release.send(()).unwrap();
        assert_eq!(second.await.unwrap(), Some(1));
    }
}
