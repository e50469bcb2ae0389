//! Shards: of which chunks of which xorbs files are made.
//!
//! Read are the header and the section of files. Not: the verification entries in it, the section of xorbs behind it, and
//! lookup tables and footer, which the client leaves out of uploads (its footer size is 0 then) and keeps in its cache.
//!
//! Invariants: every count is held against the bytes that are there before anything is allocated for it; a [`Segment`]
//! has at least one chunk.

use std::ops::Range;

use super::{Error, XetHash, swapped};

/// What every shard begins with: `HFRepoMetaData`, a zero, and 17 bytes that no text file has.
const TAG: [u8; 32] =
    *b"HFRepoMetaData\0\x55\x69\x67\x45\x6a\x7b\x81\x57\x83\xa5\xbd\xd9\x5c\xcd\xd1\x4a\xa9";

/// The only version there is.
const VERSION: u64 = 2;

/// Bytes of the header, and of every record behind it.
const RECORD: usize = 48;

/// Where a hash would stand, once there are no more files.
const END: [u8; 32] = [0xff; 32];

/// Flag of a file: there is a verification entry for each segment.
const VERIFIED: u32 = 1 << 31;

/// Flag of a file: its SHA-256 follows.
const WITH_SHA256: u32 = 1 << 30;

/// Most files of a shard.
const FILES_MAX: usize = 100_000;

/// Most segments of all its files. The client ends a shard at 64 MiB, which holds a third of them.
const SEGMENTS_MAX: usize = 4_000_000;

type Record = [u8; RECORD];

/// A file that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct File {
    /// What Xet calls it; not compared with its bytes.
    pub(in crate::gateway) hash: XetHash,
    /// Its bytes, in order.
    pub(in crate::gateway) segments: Vec<Segment>,
    /// The digest of its bytes, by which a commit names it; not compared with them either.
    pub(in crate::gateway) sha256: Option<[u8; 32]>,
}

impl File {
    /// How many bytes it has.
    pub(in crate::gateway) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.bytes)).sum()
    }
}

/// Chunks of a xorb that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct Segment {
    /// Which xorb.
    pub(in crate::gateway) xorb: XetHash,
    /// How many bytes they have together, decompressed.
    pub(in crate::gateway) bytes: u32,
    /// Which chunks.
    pub(in crate::gateway) chunks: Range<u32>,
}

/// Reads a shard's files. One that was uploaded under several paths is there once.
///
/// # Errors
/// [`Error::Shard`].
pub(in crate::gateway) fn parse(bytes: &[u8]) -> Result<Vec<File>, Error> {
    let mut rest = bytes;
    let header = next(&mut rest)?;
    if digest(header) != TAG {
        return Err(Error::Shard("does not begin as shards do"));
    }
    if header[32..40] != VERSION.to_le_bytes() {
        return Err(Error::Shard("has a version other than 2"));
    }
    let mut files = Vec::new();
    let mut segments_left = SEGMENTS_MAX;
    loop {
        let head = next(&mut rest)?;
        if digest(head) == END {
            return Ok(files);
        }
        if files.len() == FILES_MAX {
            return Err(Error::Shard("has more than 100,000 files"));
        }
        files.push(file(head, &mut rest, &mut segments_left)?);
    }
}

/// What follows the head of a file.
fn file(head: &Record, rest: &mut &[u8], segments_left: &mut usize) -> Result<File, Error> {
    let flags = number(head, 32);
    let count = usize::try_from(number(head, 36)).unwrap_or(usize::MAX);
    *segments_left =
        segments_left.checked_sub(count).ok_or(Error::Shard("has more than 4,000,000 segments"))?;
    let segments = records(rest, count)?.iter().map(segment).collect::<Result<_, _>>()?;
    if flags & VERIFIED != 0 {
        records(rest, count)?;
    }
    let sha256 = if flags & WITH_SHA256 == 0 {
        None
    } else {
        // Kept in the form of Xet's hashes, although it is none.
        Some(swapped(digest(next(rest)?)))
    };
    Ok(File { hash: XetHash::new(digest(head)), segments, sha256 })
}

fn segment(record: &Record) -> Result<Segment, Error> {
    let chunks = number(record, 40)..number(record, 44);
    if chunks.is_empty() {
        return Err(Error::Shard("has a segment without chunks"));
    }
    Ok(Segment { xorb: XetHash::new(digest(record)), bytes: number(record, 36), chunks })
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<&'a Record, Error> {
    let (record, behind) = rest.split_first_chunk().ok_or(CUT)?;
    *rest = behind;
    Ok(record)
}

/// That many records, if they are there.
fn records<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [Record], Error> {
    let (all, _) = rest.as_chunks();
    let records = all.get(..count).ok_or(CUT)?;
    // Cannot overflow: these are there.
    *rest = &rest[count * RECORD..];
    Ok(records)
}

const CUT: Error = Error::Shard("is cut off");

/// The hash that a record begins with.
fn digest(record: &Record) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(&record[..32]);
    digest
}

fn number(record: &Record, at: usize) -> u32 {
    u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHARD: &[u8] = include_bytes!("testdata/tiny.shard");

    fn header(footer: u64) -> Vec<u8> {
        [&TAG[..], &VERSION.to_le_bytes(), &footer.to_le_bytes()].concat()
    }

    /// A hash of one byte repeated, and four numbers.
    fn record(hash: u8, numbers: [u32; 4]) -> Vec<u8> {
        let mut record = vec![hash; 32];
        numbers.iter().for_each(|number| record.extend(number.to_le_bytes()));
        record
    }

    fn end() -> Vec<u8> {
        record(0xff, [0; 4])
    }

    fn shard(records: &[Vec<u8>]) -> Vec<u8> {
        [header(0), records.concat()].concat()
    }

    fn why(bytes: &[u8]) -> String {
        parse(bytes).unwrap_err().to_string()
    }

    #[test]
    fn files_are_read_with_and_without_what_may_follow_their_segments() {
        let segments = [record(7, [9, 100, 0, 3]), record(8, [0, 5, 2, 3])];
        let read = [
            Segment { xorb: XetHash::new([7; 32]), bytes: 100, chunks: 0..3 },
            Segment { xorb: XetHash::new([8; 32]), bytes: 5, chunks: 2..3 },
        ];
        let verification = || vec![record(0, [0; 4]), record(0xff, [0; 4])];
        let digest: Vec<u8> = (0..48).collect();
        for flags in [0, VERIFIED, WITH_SHA256, VERIFIED | WITH_SHA256, VERIFIED | 1] {
            let mut records = vec![record(1, [flags, 2, 0, 0])];
            records.extend_from_slice(&segments);
            let mut sha256 = None;
            if flags & VERIFIED != 0 {
                records.extend(verification());
            }
            if flags & WITH_SHA256 != 0 {
                records.push(digest.clone());
                let word = |from: u8| (from..from + 8).rev();
                let bytes: Vec<u8> = [0, 8, 16, 24].into_iter().flat_map(word).collect();
                sha256 = Some(bytes.try_into().unwrap());
            }
            // An empty one behind it.
            records.extend([record(2, [0; 4]), end()]);
            let files = parse(&shard(&records)).unwrap();
            let hash = XetHash::new([1; 32]);
            assert_eq!(files[0], File { hash, segments: read.to_vec(), sha256 }, "{flags}");
            assert_eq!((files.len(), files[0].bytes(), files[1].bytes()), (2, 105, 0));
        }
    }

    #[test]
    fn what_follows_the_files_is_not_looked_at() {
        let bare = shard(&[end()]);
        assert_eq!(parse(&bare).unwrap(), []);
        let with_footer = [header(200), end(), vec![0xab; 1000]].concat();
        assert_eq!(parse(&with_footer).unwrap(), []);
    }

    #[test]
    fn counts_beyond_the_input_or_the_bounds_are_refused() {
        let head = |flags, count| shard(&[record(1, [flags, count, 0, 0]), end()]);
        assert_eq!(why(&head(0, 2)), "the shard is cut off");
        assert_eq!(why(&head(0, 4_000_000)), "the shard is cut off");
        assert_eq!(why(&head(0, 4_000_001)), "the shard has more than 4,000,000 segments");
        assert_eq!(why(&head(VERIFIED, u32::MAX)), "the shard has more than 4,000,000 segments");
        let one = record(7, [0, 1, 0, 1]);
        let cut = shard(&[record(1, [VERIFIED, 1, 0, 0]), one]);
        assert_eq!(why(&cut), "the shard is cut off");
        let mut many = vec![record(1, [0; 4]); FILES_MAX];
        many.push(end());
        assert_eq!(parse(&shard(&many)).unwrap().len(), FILES_MAX);
        many.push(end());
        many[FILES_MAX] = record(1, [0; 4]);
        assert_eq!(why(&shard(&many)), "the shard has more than 100,000 files");
    }

    #[test]
    fn the_bound_of_segments_is_for_all_files_together() {
        let count = 40_000_u32;
        let records = vec![record(7, [0, 1, 0, 1]); count as usize].concat();
        let file = [record(1, [0, count, 0, 0]), records].concat();
        let mut left = 2 * count as usize - 1;
        let mut rest = &file[RECORD..];
        let head = *file.first_chunk().unwrap();
        assert_eq!(super::file(&head, &mut rest, &mut left).unwrap().segments.len(), 40_000);
        assert!(rest.is_empty());
        let error = super::file(&head, &mut &file[RECORD..], &mut left).unwrap_err();
        assert_eq!(error.to_string(), "the shard has more than 4,000,000 segments");
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        assert_eq!(why(b""), "the shard is cut off");
        assert_eq!(why(&header(0)), "the shard is cut off");
        assert_eq!(why(&[0; 100]), "the shard does not begin as shards do");
        let mut other = shard(&[end()]);
        other[32] = 3;
        assert_eq!(why(&other), "the shard has a version other than 2");
        for (from, to) in [(0, 0), (5, 5), (5, 4)] {
            let head = record(1, [0, 1, 0, 0]);
            let bytes = shard(&[head, record(7, [0, 1, from, to]), end()]);
            assert_eq!(why(&bytes), "the shard has a segment without chunks");
        }
        let files = SHARD.windows(32).position(|window| window == END).unwrap();
        for len in 0..files {
            assert!(parse(&SHARD[..len]).is_err(), "{len}");
        }
    }

    /// Takes no more memory than a few times the input.
    fn bounded(bytes: &[u8]) {
        let Ok(files) = parse(bytes) else { return };
        let segments: usize = files.iter().map(|file| file.segments.capacity()).sum();
        // A vector that grows may have twice the room it needs.
        assert!(segments * RECORD <= bytes.len());
        assert!(files.capacity() * RECORD <= 2 * bytes.len() + 4 * RECORD);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic_nor_allocate_beyond_the_input(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            footer in any::<u64>(),
        ) {
            bounded(&bytes);
            bounded(&[header(footer), bytes].concat());
        }

        #[test]
        fn nor_do_records_of_any_shape(
            records in prop::collection::vec(
                (prop_oneof![Just(0xff_u8), any::<u8>()], prop::array::uniform4(prop_oneof![
                    0..4_u32, any::<u32>(), Just(VERIFIED), Just(WITH_SHA256),
                ])),
                0..30,
            ),
        ) {
            let records: Vec<_> = records.into_iter().map(|(hash, n)| record(hash, n)).collect();
            bounded(&shard(&records));
        }

        #[test]
        fn nor_does_a_damaged_shard(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = SHARD.to_vec();
            *at.get_mut(&mut bytes) = byte;
            bounded(&bytes);
        }
    }
}
