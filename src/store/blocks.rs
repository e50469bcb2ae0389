//! Blocks: which are held, their bytes, and how they come in.
//!
//! A block's bytes are inline in the index, in one or several files, or both. What leaves [`Store::read`] was either
//! verified when it was inlined, lies in a file that is provably unchanged since it was hashed (see `files`), lies in
//! a partial that only we write, or was hashed just now. A copy that fails is passed over, not forgotten: it is tried
//! again at the next read, so an undone edit heals. Files are opened for each read, not kept open: that costs
//! 3.5 µs a read (measured; a chunk in the page cache takes 45 µs), while an open descriptor would keep a deleted model's
//! space from its owner. A replaced file is seen at once.

use std::fs::File;

use bytes::Bytes;

use super::codec::{self, BlockRecord, Place};
use super::files::{FileRecord, FileStat, FileState, Suspect, hashes_to, open_plain};
use super::{Error, Held, Store, TreeId, disk, keys};
use crate::config::Visibility;
use crate::dag::{Block, Multihash};
use crate::limits;

/// A block to list: its bytes were hashed by the caller, they are not hashed again.
#[derive(Debug, Clone)]
pub struct NewBlock {
    /// The block's multihash.
    pub key: Multihash,
    /// Bytes of the block.
    pub len: u32,
    /// Where a leaf lies. `None`: a node, which lies in no file; its `data` is needed.
    pub place: Option<Place>,
    /// The block's bytes. Nodes are always kept inline, leaves up to [`super::Options::inline_max`].
    pub data: Option<Bytes>,
}

impl NewBlock {
    /// A node or another block that lies in no file.
    pub fn node(block: &Block) -> Self {
        let len = u32::try_from(block.data().len()).unwrap_or(u32::MAX);
        Self { key: *block.cid().hash(), len, place: None, data: Some(block.data().clone()) }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |why| Err(Error::Invalid { why });
        let len = u64::from(self.len);
        if len > limits::BLOCK_MAX as u64 {
            return wrong("it is larger than a block may be");
        }
        if self.data.as_ref().is_some_and(|data| data.len() as u64 != len) {
            return wrong("its length is not that of its bytes");
        }
        match &self.place {
            None if self.data.is_none() => wrong("it has neither bytes nor a place"),
            Some(place) if place.block_len() != len => wrong("its length is not that of its place"),
            Some(place) if place.head.len().max(place.tail.len()) > limits::STORE_ENVELOPE_MAX => {
                wrong("it has too much around the file's bytes; list it without a place")
            }
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Whether a block is listed and for whom. A block whose every copy fails is still listed: `read` gives `None`.
    ///
    /// # Errors
    /// What the index says.
    pub fn held(&self, key: &Multihash) -> Result<Option<Held>, Error> {
        let pending = self.0.pending().get(key).map(|p| (p.place.block_len(), p.tree));
        let record = self.block_record(key)?;
        let trees = self.0.trees();
        let holders = record.iter().flat_map(|record| &record.holders);
        let visibility: Option<Visibility> = holders
            .chain(pending.as_ref().map(|(_, tree)| tree))
            .filter_map(|id| Some(trees.get(id)?.visibility))
            .max();
        let len =
            record.as_ref().map(|record| u64::from(record.len)).or(pending.map(|(len, _)| len));
        Ok(len.zip(visibility).map(|(len, visibility)| Held { len, visibility }))
    }

    /// A block's bytes, true at this moment; `None` if it is not listed or no copy of it passes now.
    ///
    /// # Errors
    /// What the index says. A file that cannot be read is no error: other copies are tried, and it is suspect.
    pub fn read(&self, key: &Multihash) -> Result<Option<Bytes>, Error> {
        // Bound apart: the lock must not be held while the disk works.
        let pending = self.0.pending().get(key).cloned();
        if let Some(pending) = pending
            && let Some(bytes) = assemble(&pending.file, &pending.place)
        {
            return Ok(Some(bytes));
        }
        let Some(record) = self.block_record(key)? else { return Ok(None) };
        if record.inline
            && let Some(data) = self.0.index.get(&keys::of_block(keys::DATA, key))?
        {
            return Ok(Some(Bytes::from(data.to_vec())));
        }
        self.read_copies(key, record.place)
    }

    fn read_copies(&self, key: &Multihash, first: Option<Place>) -> Result<Option<Bytes>, Error> {
        if let Some(place) = &first
            && !self.0.suspects().contains_key(&place.file)
            && let Some(bytes) = self.read_copy(key, place)?
        {
            return Ok(Some(bytes));
        }
        let prefix = keys::of_block(keys::EXTENT, key);
        let copies = self.0.index.scan(&prefix, None, limits::STORE_COPIES_TRIED)?;
        let mut places = Vec::with_capacity(1 + copies.len());
        // Once more, after all others, if it has failed just now.
        places.extend(first.map(|place| (self.0.suspects().contains_key(&place.file), place)));
        for (extent, value) in &copies {
            let file = super::FileId(keys::number_at(extent, prefix.len()));
            let place = Place::decode(file, value).ok_or_else(|| self.0.undecodable())?;
            let suspect = self.0.suspects().get(&file).is_some_and(|s| *s != Suspect::Differs);
            places.push((suspect, place));
        }
        // Those that failed before come last; stable, so otherwise the oldest first.
        places.sort_by_key(|(suspect, _)| *suspect);
        for (_, place) in places {
            if let Some(bytes) = self.read_copy(key, &place)? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// One copy, checked; `None` if it does not pass.
    fn read_copy(&self, key: &Multihash, place: &Place) -> Result<Option<Bytes>, Error> {
        let id = place.file;
        let Some(record) = self.file(id)? else { return Ok(None) };
        if record.state == FileState::Arriving {
            if let Some(file) = self.0.open_partial(id) {
                return Ok(assemble(&file, place));
            }
            // Of an earlier run of ours, lying about since: believed only when hashed.
            let bytes = open_plain(&record.path).ok().and_then(|file| assemble(&file, place));
            return Ok(bytes.filter(|bytes| hashes_to(bytes, key)));
        }
        let suspect = |what| {
            self.0.suspect(id, what);
            Ok(None)
        };
        let Ok(file) = open_plain(&record.path) else { return suspect(Suspect::Missing) };
        let before = is_as_recorded(&file, &record);
        let Some(bytes) = assemble(&file, place) else { return suspect(Suspect::Bad) };
        let unchanged = before && is_as_recorded(&file, &record);
        let proven = unchanged && record.is_settled();
        if !proven && !hashes_to(&bytes, key) {
            return suspect(Suspect::Bad);
        }
        if proven {
            self.0.clear_suspect(id);
        } else if !unchanged {
            self.0.suspect(id, Suspect::Differs);
        }
        Ok(Some(bytes))
    }

    /// Lists blocks as held by `tree`, in bounded batches. Not durable before [`Store::save_tree`] or
    /// [`Store::flush`]; bytes of files must be on the disk by then, which for files of the user they are.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a block that contradicts itself, and what the index says.
    pub fn add_blocks(&self, tree: TreeId, blocks: &[NewBlock]) -> Result<(), Error> {
        let mut rest = blocks;
        while !rest.is_empty() {
            let (mut count, mut bytes) = (0, 0);
            for block in rest.iter().take(limits::STORE_BATCH_BLOCKS) {
                block.check()?;
                count += 1;
                bytes += block.data.as_ref().map_or(0, Bytes::len);
                if bytes >= limits::STORE_BATCH_BYTES {
                    break;
                }
            }
            let (step, later) = rest.split_at(count);
            self.0.index.write(|batch| {
                step.iter().try_for_each(|block| self.put_block(batch, tree, block))
            })?;
            rest = later;
        }
        Ok(())
    }

    pub(super) fn put_block(
        &self,
        batch: &mut super::index::Batch<'_>,
        tree: TreeId,
        block: &NewBlock,
    ) -> Result<(), Error> {
        let record_key = keys::of_block(keys::BLOCK, &block.key);
        let known = batch.get(&record_key)?.map(|bytes| self.decode_block(&bytes)).transpose()?;
        let is_new = known.is_none();
        let mut record = known.unwrap_or(BlockRecord {
            len: block.len,
            inline: false,
            holders: Vec::new(),
            place: None,
        });
        if record.len != block.len {
            return Err(Error::Invalid { why: "it is listed with another length" });
        }
        let mut changed = record.hold(tree) || is_new;
        if let Some(data) = &block.data
            && !record.inline
            && (block.place.is_none() || data.len() <= self.inline_max())
        {
            batch.put(&keys::of_block(keys::DATA, &block.key), data.as_ref())?;
            record.inline = true;
            changed = true;
        }
        if let Some(place) = &block.place {
            match &record.place {
                None => {
                    record.place = Some(place.clone());
                    changed = true;
                }
                // One place for each file: others in it are in its own list.
                Some(first) if first.file == place.file => {}
                Some(_) => {
                    let extent = keys::extent(&block.key, place.file);
                    if batch.get(&extent)?.is_none() {
                        batch.put(&extent, place.encode())?;
                    }
                }
            }
            let placed = codec::encode_placed(place, &block.key);
            batch.put(&keys::place(place.file, place.offset), placed)?;
        }
        if changed {
            batch.put(&record_key, record.encode())?;
        }
        Ok(())
    }

    /// Drops the place of a block in one file.
    pub(super) fn drop_place(
        &self,
        batch: &mut super::index::Batch<'_>,
        key: &Multihash,
        place: &Place,
    ) -> Result<(), Error> {
        batch.remove(&keys::place(place.file, place.offset))?;
        batch.remove(&keys::extent(key, place.file))?;
        let record_key = keys::of_block(keys::BLOCK, key);
        let Some(bytes) = batch.get(&record_key)? else { return Ok(()) };
        let mut record = self.decode_block(&bytes)?;
        if record.place.as_ref().is_some_and(|first| first.file == place.file) {
            record.place = None;
            batch.put(&record_key, record.encode())?;
        }
        Ok(())
    }

    pub(super) fn block_record(&self, key: &Multihash) -> Result<Option<BlockRecord>, Error> {
        let record = self.0.index.get(&keys::of_block(keys::BLOCK, key))?;
        record.map(|bytes| self.decode_block(&bytes)).transpose()
    }

    pub(super) fn decode_block(&self, bytes: &[u8]) -> Result<BlockRecord, Error> {
        BlockRecord::decode(bytes).ok_or_else(|| self.0.undecodable())
    }
}

fn is_as_recorded(file: &File, record: &FileRecord) -> bool {
    FileStat::of(file).is_ok_and(|now| now == record.stat)
}

/// Whether a file's bytes are, at this moment, those that its record was taken of: see `files`.
pub(super) fn proven(file: &File, record: &FileRecord) -> bool {
    record.state == FileState::Whole && record.is_settled() && is_as_recorded(file, record)
}

/// The block at a place; `None` if the file ends before or cannot be read.
fn assemble(file: &File, place: &Place) -> Option<Bytes> {
    let mut bytes = Vec::with_capacity(usize::try_from(place.block_len()).ok()?);
    bytes.extend_from_slice(&place.head);
    if !disk::read_at(file, &mut bytes, place.offset, place.len as usize).ok()? {
        return None;
    }
    bytes.extend_from_slice(&place.tail);
    Some(bytes.into())
}
