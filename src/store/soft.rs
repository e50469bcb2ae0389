//! Small things kept for others: jobs (flushed); provider records, peers and names' records (written behind, lost
//! without harm).
//!
//! All opaque here, all bounded; what has a time ends with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::index::Value;
use super::{Error, Store, keys};
use crate::limits;

/// A small value that may be lost and that ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftEntry {
    /// What it is kept under.
    pub key: Vec<u8>,
    /// The value; `None` deletes.
    pub value: Option<Vec<u8>>,
    /// When it ends; whole seconds.
    pub expires: SystemTime,
}

/// One kind of [`SoftEntry`].
struct Table {
    /// First byte of its keys.
    prefix: u8,
    /// Entries at most.
    max: usize,
    /// Bytes of a key, and of a value.
    bytes: usize,
    /// What has too many of them.
    what: &'static str,
}

const PROVIDERS: Table = Table {
    prefix: keys::PROVIDER,
    max: limits::STORE_PROVIDER_RECORDS_MAX,
    bytes: limits::STORE_SOFT_BYTES,
    what: "bytes in a provider record",
};
const PEERS: Table = Table {
    prefix: keys::PEER,
    max: limits::STORE_PEERS_MAX,
    bytes: limits::STORE_SOFT_BYTES,
    what: "bytes in a peer's addresses",
};
const NAMES: Table = Table {
    prefix: keys::NAME,
    max: limits::STORE_NAMES_MAX,
    bytes: limits::STORE_NAME_BYTES,
    what: "bytes in a name's record",
};

impl Store {
    /// Keeps a job that a later run resumes, durably.
    ///
    /// # Errors
    /// [`Error::Full`] beyond [`limits::STORE_JOBS_MAX`] jobs or [`limits::STORE_JOB_BYTES`], and what the index says.
    pub fn save_job(&self, id: u64, json: &[u8]) -> Result<(), Error> {
        if json.len() > limits::STORE_JOB_BYTES {
            return Err(Error::Full { what: "bytes in a job", max: limits::STORE_JOB_BYTES });
        }
        let key = keys::numbered(keys::JOB, id);
        let jobs = self.0.index.scan(&[keys::JOB], None, limits::STORE_JOBS_MAX)?;
        if jobs.len() >= limits::STORE_JOBS_MAX && self.0.index.get(&key)?.is_none() {
            return Err(Error::Full { what: "unfinished jobs", max: limits::STORE_JOBS_MAX });
        }
        self.0.index.write(|batch| batch.put(&key, json))?;
        self.0.index.flush()
    }

    /// All jobs, by id.
    ///
    /// # Errors
    /// What the index says.
    pub fn jobs(&self) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let jobs = self.0.index.scan(&[keys::JOB], None, limits::STORE_JOBS_MAX)?;
        Ok(jobs.iter().map(|(key, json)| (keys::number_at(key, 1), json.to_vec())).collect())
    }

    /// Forgets a job, durably.
    ///
    /// # Errors
    /// What the index says.
    pub fn remove_job(&self, id: u64) -> Result<(), Error> {
        self.0.index.write(|batch| batch.remove(&keys::numbered(keys::JOB, id)))?;
        self.0.index.flush()
    }

    /// Keeps or deletes provider records; durable with the next flush of something else. Beyond
    /// [`limits::STORE_PROVIDER_RECORDS_MAX`] new ones are left out.
    ///
    /// # Errors
    /// [`Error::Full`] for an entry above [`limits::STORE_SOFT_BYTES`], and what the index says.
    pub fn save_provider_records(&self, entries: &[SoftEntry]) -> Result<(), Error> {
        self.save_soft(&PROVIDERS, entries)
    }

    /// The provider records that have not ended; those that have are deleted.
    ///
    /// # Errors
    /// What the index says.
    pub fn load_provider_records(&self, now: SystemTime) -> Result<Vec<SoftEntry>, Error> {
        self.load_soft(&PROVIDERS, now)
    }

    /// Keeps or deletes addresses of peers; as [`Store::save_provider_records`], [`limits::STORE_PEERS_MAX`].
    ///
    /// # Errors
    /// As there.
    pub fn save_peers(&self, entries: &[SoftEntry]) -> Result<(), Error> {
        self.save_soft(&PEERS, entries)
    }

    /// The peers that have not ended; those that have are deleted.
    ///
    /// # Errors
    /// What the index says.
    pub fn load_peers(&self, now: SystemTime) -> Result<Vec<SoftEntry>, Error> {
        self.load_soft(&PEERS, now)
    }

    /// Keeps or deletes names' records; as [`Store::save_provider_records`], [`limits::STORE_NAMES_MAX`] of at most
    /// [`limits::STORE_NAME_BYTES`].
    ///
    /// # Errors
    /// As there.
    pub fn save_names(&self, entries: &[SoftEntry]) -> Result<(), Error> {
        self.save_soft(&NAMES, entries)
    }

    /// The names' records that have not ended; those that have are deleted.
    ///
    /// # Errors
    /// What the index says.
    pub fn load_names(&self, now: SystemTime) -> Result<Vec<SoftEntry>, Error> {
        self.load_soft(&NAMES, now)
    }

    fn save_soft(&self, table: &Table, entries: &[SoftEntry]) -> Result<(), Error> {
        let &Table { prefix, max, what, bytes } = table;
        let too_long =
            |e: &SoftEntry| e.key.len().max(e.value.as_ref().map_or(0, Vec::len)) > bytes;
        if entries.iter().any(too_long) {
            return Err(Error::Full { what, max: bytes });
        }
        // Counted once a call: calls come in batches, every few seconds.
        let mut room = max.saturating_sub(self.0.index.scan(&[prefix], None, max)?.len());
        for step in entries.chunks(limits::STORE_BATCH_BLOCKS) {
            self.0.index.write(|batch| {
                for entry in step {
                    let key = keys::named(prefix, &entry.key);
                    let known = batch.get(&key)?.is_some();
                    match &entry.value {
                        None => {
                            batch.remove(&key)?;
                            room += usize::from(known);
                        }
                        Some(value) if known || room > 0 => {
                            let mut bytes = seconds(entry.expires).to_be_bytes().to_vec();
                            bytes.extend_from_slice(value);
                            batch.put(&key, bytes)?;
                            room -= usize::from(!known);
                        }
                        Some(_) => {}
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn load_soft(
        &self,
        &Table { prefix, max, .. }: &Table,
        now: SystemTime,
    ) -> Result<Vec<SoftEntry>, Error> {
        let now = seconds(now);
        let (ended, kept): (Vec<_>, Vec<_>) = self
            .0
            .index
            .scan(&[prefix], None, max)?
            .into_iter()
            .partition(|(_, value)| keys::number_at(value, 0) <= now);
        for step in ended.chunks(limits::STORE_BATCH_BLOCKS) {
            self.0.index.write(|batch| step.iter().try_for_each(|(key, _)| batch.remove(key)))?;
        }
        let entry = |(key, value): (Value, Value)| SoftEntry {
            key: key[1..].to_vec(),
            value: Some(value.get(8..).unwrap_or_default().to_vec()),
            expires: UNIX_EPOCH + Duration::from_secs(keys::number_at(&value, 0).min(1 << 40)),
        };
        Ok(kept.into_iter().map(entry).collect())
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
