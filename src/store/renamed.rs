//! Files of the library that were given other names, by links or renames: their records follow, so that whoever reads them goes
//! on and nothing is hashed a second time.

use std::path::PathBuf;
use std::time::SystemTime;

use super::files::{self, FileRecord, FileStat, FileState};
use super::{Error, FileId, Owner, Store, codec, keys};
use crate::limits;

impl Store {
    /// Takes down where files of the library are from now on, which may be where they were: a link that was made or removed
    /// changes ctime. Not durable before [`Store::save_tree`] or [`Store::flush`]: the old names must be there till then.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a file that is not the one in the record any more, or not the library's;
    /// [`Error::UnknownFile`], [`Error::NotUnicode`], and what index and disk say.
    pub fn renamed(&self, files: &[(FileId, PathBuf)]) -> Result<(), Error> {
        for step in files.chunks(limits::STORE_BATCH_BLOCKS) {
            let mut changed = Vec::with_capacity(step.len());
            for (id, path) in step {
                let record = self.file(*id)?.ok_or(Error::UnknownFile(*id))?;
                if record.owner != Owner::Library || record.state != FileState::Whole {
                    return Err(Error::Invalid { why: "it is no whole file of the library" });
                }
                let file = files::open_plain(path).map_err(|e| Error::io(path, e))?;
                let stat = FileStat::of(&file).map_err(|e| Error::io(path, e))?;
                if stat != (FileStat { ctime: stat.ctime, ..record.stat }) {
                    return Err(Error::Invalid { why: "it has changed since it was hashed" });
                }
                let hashed_at = files::nanos(SystemTime::now());
                changed.push((*id, FileRecord { path: path.clone(), stat, hashed_at, ..record }));
            }
            self.0.index.write(|batch| {
                for (id, record) in &changed {
                    let key = keys::numbered(keys::FILE, id.0);
                    let before = batch.get(&key)?.and_then(|it| codec::decode::<FileRecord>(&it));
                    let Some(before) = before else { continue };
                    let old = keys::named(keys::PATH, files::text(&before.path)?.as_bytes());
                    if batch.get(&old)?.is_some_and(|it| keys::number_at(&it, 0) == id.0) {
                        batch.remove(&old)?;
                    }
                    let new = keys::named(keys::PATH, files::text(&record.path)?.as_bytes());
                    batch.put(&new, id.0.to_be_bytes().to_vec())?;
                    batch.put(&key, codec::encode(record))?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
