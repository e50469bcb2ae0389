//! Bytes that this machine has already: shared with the file they lie in where the file system can, else read and
//! written.
//!
//! Sharing (reflink) moves no byte and takes no room. It is tried only on file systems known to share: on others the
//! kernel copies through the page cache, measured at 100 to 140 MB/s where reading and writing past it
//! (`WriteMode::DontCache`) makes 550 MB/s (ext4, 1 GiB, Linux 6.18). A range is shared only from a file
//! that `fstat` proves unchanged before and after, which is what a read believes without hashing; all else goes by
//! [`Store::read`], which hashes. Design section 4.

use std::fs::File;
use std::io;

use rustix::io::Errno;

use super::super::blocks::proven;
use super::super::codec::Place;
use super::super::files::open_plain;
use super::super::{Error, Store};
use super::{Arriving, Leaf};
use crate::dag::Multihash;

/// linux/magic.h and, for those outside of the kernel tree, statfs(2): btrfs, XFS, bcachefs, ZFS.
const SHARING: [u32; 4] = [0x9123_683E, 0x5846_5342, 0xCA45_1A4E, 0x2FC1_2FC1];

impl Arriving {
    /// Takes a block from another copy that the store has; `false` if it has none that passes now.
    ///
    /// # Errors
    /// As [`Arriving::write`].
    pub fn copy(&self, offset: u64, leaf: Leaf) -> Result<bool, Error> {
        if self.share(offset, &leaf)? {
            return Ok(true);
        }
        let Some(block) = self.store.read(&leaf.key)? else { return Ok(false) };
        let around = leaf.head.len() + leaf.tail.len();
        if block.len() < around {
            return Err(Error::Invalid { why: "it is shorter than what is around it" });
        }
        let bytes = block.slice(leaf.head.len()..block.len() - leaf.tail.len());
        self.write(offset, &bytes, leaf).map(|()| true)
    }

    /// Makes this file share all bytes of `source`, where the file system can; nothing of it is listed by that. Its
    /// bytes are those that `source` has now: hash them here.
    ///
    /// # Errors
    /// [`Error::NoSpace`], and what the disk says.
    pub fn share_all(&self, source: &File) -> Result<bool, Error> {
        let fails = |e: io::Error| Error::io(&self.folder.join(&self.target.path), e);
        match rustix::fs::ioctl_ficlone(&self.file, source) {
            Ok(()) => {}
            Err(e @ (Errno::NOSPC | Errno::DQUOT)) => return Err(fails(e.into())),
            Err(_) => return Ok(false),
        }
        // It has the source's length now, which may have grown.
        self.file.set_len(self.target.size).map(|()| true).map_err(fails)
    }

    /// Shares the range that the first copy of a block lies in.
    fn share(&self, offset: u64, leaf: &Leaf) -> Result<bool, Error> {
        if !shares(&self.file) {
            return Ok(false);
        }
        let Some(from) = self.store.first_place(&leaf.key)? else { return Ok(false) };
        let place = self.place(offset, from.len as usize, leaf)?;
        // A block may be a raw leaf in one file and a wrapped one in another.
        let alike = (&from.head, &from.tail) == (&leaf.head, &leaf.tail);
        let inline = place.block_len() <= self.store.inline_max() as u64;
        if !alike || inline {
            return Ok(false);
        }
        let Some(record) = self.store.file(from.file)? else { return Ok(false) };
        let Ok(source) = open_plain(&record.path) else { return Ok(false) };
        if !proven(&source, &record) {
            return Ok(false);
        }
        let copied = copy_range(&source, &from, &self.file, offset)
            .map_err(|e| Error::io(&self.folder.join(&self.target.path), e))?;
        // What was copied from a file that changed meanwhile is written over, or asked from peers.
        if !copied || !proven(&source, &record) {
            return Ok(false);
        }
        self.have(leaf.key, place, None).map(|()| true)
    }
}

impl Store {
    /// The file and range that a read of this block would try first.
    fn first_place(&self, key: &Multihash) -> Result<Option<Place>, Error> {
        Ok(self.block_record(key)?.and_then(|record| record.place))
    }
}

/// Whether the file lies where copies may share.
fn shares(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|stat| SHARING.contains(&(stat.f_type as u32)))
}

/// Lets the kernel copy a range; `false` if it can't from there to here, or the source ends before.
fn copy_range(from: &File, place: &Place, to: &File, mut offset: u64) -> io::Result<bool> {
    let (mut at, mut left) = (place.offset, place.len as usize);
    while left > 0 {
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut offset), left) {
            Ok(0) => return Ok(false),
            Ok(n) => left -= n,
            Err(Errno::INTR) => {}
            Err(e @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => return Err(e.into()),
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}
