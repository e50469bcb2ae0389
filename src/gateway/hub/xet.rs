//! What the Hugging Face client's Xet upload sends, read: shards, which say of what chunks files are made, and xorbs,
//! which hold the chunks.
//!
//! Not: the HTTP of it, where uploads are kept, writing either format, and whether hashes are right: Xet's own (keyed
//! BLAKE3 over trees of chunks) are taken for names, so whoever has assembled a file compares its SHA-256 and its size
//! with those of the commit. Chunks may be used any number of times, thus a small upload can mean a file of any size:
//! [`File::bytes`] tells before the first byte is written.
//!
//! Invariants: what is read of an upload is bounded by its own bytes, and memory by them and by constants; a segment
//! yields exactly the bytes that the shard announced for it, never more, or an error; a [`XetHash`] is written in one way
//! only and that one is safe as a file name.

use std::{
    fmt,
    io::{self, Read, Seek},
    str::FromStr,
};

mod frame;
mod shard;
#[cfg(test)]
mod tests;
mod xorb;

pub(super) use self::shard::{File, Segment, parse};
use self::xorb::Xorb;

/// Xorbs that are held open at a time. Files that share chunks with others go to and fro between a few.
const OPEN_MAX: usize = 8;

/// The name of a xorb or file, as Xet's hashes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct XetHash([u8; 32]);

impl XetHash {
    /// From the bytes as they stand in a shard.
    const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Not 64 digits of lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a Xet hash has 64 digits of lower-case hex")]
pub(super) struct NoHash;

impl FromStr for XetHash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| NoHash)?;
        let mut bytes = [0; 32];
        let (pairs, _) = digits.as_chunks::<2>();
        for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Ok(Self(swapped(bytes)))
    }
}

impl fmt::Display for XetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        swapped(self.0).iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Only the digits that are printed, so that a hash has one form.
fn digit(digit: u8) -> Result<u8, NoHash> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NoHash),
    }
}

/// Xet prints hashes as four numbers, which are little-endian in memory and in shards: each 8 bytes the other way round.
fn swapped(mut bytes: [u8; 32]) -> [u8; 32] {
    let (words, _) = bytes.as_chunks_mut::<8>();
    words.iter_mut().for_each(|word| word.reverse());
    bytes
}

/// Why an upload cannot be read. All but [`Read`](Self::Read) and [`Sink`](Self::Sink) are the uploader's fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// No shard, or one beyond the bounds.
    #[error("the shard {0}")]
    Shard(&'static str),
    /// A chunk that is wanted or stands before one that is.
    #[error("chunk {index} of the xorb {xorb} {why}")]
    Chunk {
        /// Which xorb.
        xorb: XetHash,
        /// Which of its chunks, from 0.
        index: u32,
        /// Continues the sentence.
        why: &'static str,
    },
    /// The shard wants a chunk that the xorb does not have.
    #[error("the xorb {xorb} ends after {has} chunks, and chunk {index} is wanted")]
    Missing {
        /// Which xorb.
        xorb: XetHash,
        /// The chunk, from 0.
        index: u32,
        /// How many there are.
        has: u32,
    },
    /// The shard and the xorb contradict each other.
    #[error(
        "chunks {first} to {last} of the xorb {xorb} do not have the {bytes} bytes that the shard says"
    )]
    Length {
        /// Which xorb.
        xorb: XetHash,
        /// The first chunk of the segment.
        first: u32,
        /// The last one.
        last: u32,
        /// How many bytes were announced.
        bytes: u32,
    },
    /// A xorb cannot be opened or read.
    #[error("cannot read the xorb {xorb}")]
    Read {
        /// Which xorb.
        xorb: XetHash,
        /// Why.
        source: io::Error,
    },
    /// The bytes could not be handed on.
    #[error("cannot write what was uploaded")]
    Sink(#[source] io::Error),
}

/// Hands a file's bytes on in order, and returns their number. `open` opens a xorb by its name; a few stay open at a time,
/// and one may be opened again.
///
/// # Errors
/// [`Error`]; part of the file may have been handed on by then.
pub(super) fn assemble<R: Read + Seek>(
    file: &File,
    mut open: impl FnMut(&XetHash) -> io::Result<R>,
    sink: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<u64, Error> {
    let mut opened: Vec<Xorb<R>> = Vec::new();
    for segment in &file.segments {
        let name = segment.xorb;
        let mut xorb = match opened.iter().position(|xorb| xorb.name() == name) {
            Some(at) => opened.remove(at),
            None => {
                let reader = open(&name);
                let xorb = reader.and_then(|reader| Xorb::new(name, reader));
                xorb.map_err(|source| Error::Read { xorb: name, source })?
            }
        };
        xorb.segment(segment, sink)?;
        // The one that was not used for longest is in front.
        if opened.len() == OPEN_MAX {
            opened.remove(0);
        }
        opened.push(xorb);
    }
    Ok(file.bytes())
}
