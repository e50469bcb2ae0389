//! Files to digests on all cores: each byte is read once, and hashed for its chunk and, where a card wants it, for its
//! file.
//!
//! A file's own digest is one long chain, its chunks' are not: while one core carries the chain of a file, others
//! take its chunks. Files are spread over a few reading threads, which only read; hashing is done in one pool of as
//! many threads as there are cores, so neither many small files nor a single large one leaves a core idle. Memory is
//! bounded by `HASH_FILES` times two batches.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::SystemTime,
};

use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};
use sha2::{Digest as _, Sha256};

use super::{scan::unreadable, watch::Meter};
use crate::{
    dag::block::sha256,
    limits,
    rpc::{Code, Failure},
    store::FileStat,
};

/// A digest.
pub(super) type Digest = [u8; 32];

/// One chunk of a file as it was read.
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its bytes.
    pub data: &'a [u8],
    /// Their SHA2-256.
    pub digest: Digest,
}

/// What the reader of a file is told.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// The file is read from its start. Comes again if it changed meanwhile: what was told before is void.
    Begin {
        /// The file as it is before its first byte is read.
        stat: FileStat,
        /// When reading began.
        started: SystemTime,
    },
    /// The next chunks, in order.
    Chunks(Vec<Chunk<'a>>),
}

/// A file as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hashed {
    /// Its size.
    pub size: u64,
    /// SHA2-256 of all its bytes, if it was asked for.
    pub sha256: Option<Digest>,
}

/// Hashes files with all cores.
#[derive(Debug)]
pub(super) struct Hasher<'a> {
    pool: ThreadPool,
    meter: &'a Meter,
    /// Whether each file's own digest is wanted besides its chunks'.
    whole: bool,
}

impl<'a> Hasher<'a> {
    pub(super) fn new(meter: &'a Meter, whole: bool) -> Result<Self, Failure> {
        let pool = ThreadPoolBuilder::new()
            .thread_name(|index| format!("hash-{index}"))
            .build()
            .map_err(|why| Failure::new(Code::Failure, format!("cannot start threads: {why}")))?;
        Ok(Self { pool, meter, whole })
    }

    /// Reads and hashes one file, telling `step` of it in order.
    ///
    /// # Errors
    /// What `step` fails with; permission (5) or failure (1) if the file can't be read or never holds still;
    /// interrupted (130) if nobody waits any more.
    pub(super) fn read(
        &self,
        path: &Path,
        mut step: impl FnMut(Step<'_>) -> Result<(), Failure>,
    ) -> Result<Hashed, Failure> {
        for _ in 0..limits::HASH_ATTEMPTS {
            let file = File::open(path).map_err(|why| unreadable(path, &why))?;
            let stat = |file: &File| FileStat::of(file).map_err(|why| unreadable(path, &why));
            let before = stat(&file)?;
            let started = SystemTime::now();
            step(Step::Begin { stat: before, started })?;
            let hashed = self.read_once(&file, path, &mut step)?;
            if stat(&file)? == before && hashed.size == before.size {
                return Ok(hashed);
            }
        }
        Err(Failure::new(Code::Failure, format!("{} changes while it is read", path.display()))
            .hint("wait until it is written, then try again"))
    }

    fn read_once(
        &self,
        file: &File,
        path: &Path,
        step: &mut impl FnMut(Step<'_>) -> Result<(), Failure>,
    ) -> Result<Hashed, Failure> {
        let fill = |buffer: &mut Vec<u8>, offset: u64| {
            fill(file, buffer, offset).map_err(|why| unreadable(path, &why))
        };
        let mut chain = self.whole.then(Sha256::new);
        let mut current = Vec::new();
        let mut ahead = Vec::new();
        let mut offset = 0;
        fill(&mut current, 0)?;
        // One chunk or less: its digest is the file's own, and no other thread is worth waking.
        if current.len() <= limits::CHUNK {
            let digest = sha256(&current);
            if !current.is_empty() {
                step(Step::Chunks(vec![Chunk { offset: 0, data: &current, digest }]))?;
            }
            self.meter.add(current.len() as u64)?;
            return Ok(Hashed { size: current.len() as u64, sha256: self.whole.then_some(digest) });
        }
        while !current.is_empty() {
            let next = offset + current.len() as u64;
            let mut digests: Vec<Digest> = Vec::new();
            let read = self.pool.in_place_scope(|scope| {
                if let Some(chain) = &mut chain {
                    scope.spawn(|_| chain.update(&current));
                }
                scope.spawn(|_| {
                    current.par_chunks(limits::CHUNK).map(sha256).collect_into_vec(&mut digests);
                });
                fill(&mut ahead, next)
            });
            read?;
            let chunks = current.chunks(limits::CHUNK).zip(digests).enumerate();
            let chunks = chunks.map(|(index, (data, digest))| Chunk {
                offset: offset + (index * limits::CHUNK) as u64,
                data,
                digest,
            });
            step(Step::Chunks(chunks.collect()))?;
            self.meter.add(current.len() as u64)?;
            offset = next;
            std::mem::swap(&mut current, &mut ahead);
        }
        Ok(Hashed { size: offset, sha256: chain.map(|chain| chain.finalize().into()) })
    }
}

/// Fills the buffer with one batch from `offset`; shorter only at the file's end.
fn fill(file: &File, buffer: &mut Vec<u8>, offset: u64) -> io::Result<()> {
    let left = file.metadata()?.len().saturating_sub(offset);
    let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(limits::HASH_BATCH);
    buffer.resize(wanted, 0);
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    buffer.truncate(filled);
    Ok(())
}

/// Runs `work` for every item on a few threads, the first failure ending it all; results are in the items' order.
pub(super) fn for_each<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let failed = Mutex::new(None);
    let threads = limits::HASH_FILES.min(items.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    match work(item) {
                        Ok(result) => lock(&results).push((index, result)),
                        Err(failure) => {
                            next.store(items.len(), Ordering::Relaxed);
                            lock(&failed).get_or_insert(failure);
                        }
                    }
                }
            });
        }
    });
    if let Some(failure) = lock(&failed).take() {
        return Err(failure);
    }
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::sync::mpsc;

    use super::*;
    use crate::{library::watch::Watch, rpc::Stage};

    fn read(len: usize, whole: bool) -> (Vec<(u64, Digest)>, Hashed, Vec<u8>) {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..len).map(|at| (at / 977) as u8).collect();
        fs::write(&path, &bytes).expect("written");
        let (events, _receiver) = mpsc::channel(64);
        let meter = Meter::new(&Watch::new(events), Stage::Hashing, "f", len as u64);
        let hasher = Hasher::new(&meter, whole).expect("threads");
        let mut chunks = Vec::new();
        let hashed = hasher
            .read(&path, |step| {
                match step {
                    Step::Begin { .. } => chunks.clear(),
                    Step::Chunks(next) => {
                        chunks.extend(next.iter().map(|chunk| (chunk.offset, chunk.digest)));
                    }
                }
                Ok(())
            })
            .expect("read");
        (chunks, hashed, bytes)
    }

    #[test]
    fn every_chunk_and_the_file_get_their_own_digest_at_all_sizes() {
        let chunk = limits::CHUNK;
        let batch = limits::HASH_BATCH;
        for len in [0, 1, chunk - 1, chunk, chunk + 1, batch, batch + 1, 2 * batch + chunk + 7] {
            let (chunks, hashed, bytes) = read(len, true);
            let expected: Vec<_> = bytes
                .chunks(chunk)
                .enumerate()
                .map(|(index, data)| ((index * chunk) as u64, sha256(data)))
                .collect();
            assert_eq!(chunks, expected, "chunks of {len} bytes");
            assert_eq!(hashed.sha256, Some(sha256(&bytes)), "digest of {len} bytes");
            assert_eq!(hashed.size, len as u64);
        }
    }

    #[test]
    fn the_files_own_digest_is_left_out_when_nobody_wants_it() {
        assert_eq!(read(limits::CHUNK * 3, false).1.sha256, None);
    }

    #[test]
    fn results_keep_the_order_and_the_first_failure_ends_the_work() {
        let items: Vec<u32> = (0..100).collect();
        assert_eq!(for_each(&items, |item| Ok(item * 2)).expect("works")[99], 198);
        let failure = for_each(&items, |item| match item {
            7 => Err(Failure::new(Code::Failure, "seven")),
            _ => Ok(()),
        });
        assert_eq!(failure.expect_err("seven fails").message, "seven");
    }
}
