//! Xorbs: the chunks themselves, one behind the other, each with a header of 8 bytes that says how it is compressed.
//!
//! A xorb stays on disk, up to 64 MiB of it, and is read chunk by chunk. Not: its hash, and the footer that a stored xorb
//! may have (uploads have none), which ends the chunks.
//!
//! Invariants: a chunk takes as much memory as its header announces, at most [`CHUNK_MAX`], after the xorb was found to
//! hold what it takes compressed; nothing is decompressed beyond that.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Error, Segment, XetHash, frame};

/// Most bytes of a chunk. The format ends chunks at 128 KiB; clients may be built with other constants.
const CHUNK_MAX: usize = 256 * 1024;

/// Most bytes that one takes compressed. Chunks that would grow are stored as they are, yet that is the writer's choice.
const STORED_MAX: usize = CHUNK_MAX + 4096;

/// Most chunks of a xorb. The format has no limit; clients begin a new xorb after 8192.
const CHUNKS_MAX: usize = 32_768;

/// Bytes of a chunk's header: version, compressed length (3), scheme, length (3).
const HEADER: usize = 8;

/// What a footer begins with, where a header would stand.
const FOOTER: &[u8] = b"XETBLOB";

/// A xorb that is being read.
pub(super) struct Xorb<R> {
    name: XetHash,
    reader: R,
    len: u64,
    /// Where the chunks begin that were passed so far, and the one behind them, if there is one.
    starts: Vec<u64>,
    /// A chunk as it is stored, as it decompresses, and as it was; kept to be used again.
    stored: Vec<u8>,
    grouped: Vec<u8>,
    plain: Vec<u8>,
}

/// How a chunk is stored.
#[derive(Debug, Clone, Copy)]
enum Scheme {
    /// As it is.
    Plain,
    /// An LZ4 frame.
    Lz4,
    /// The first bytes of each four, then the second, and so on, in an LZ4 frame.
    Grouped,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    scheme: Scheme,
    stored: usize,
    plain: usize,
}

impl<R: Read + Seek> Xorb<R> {
    /// # Errors
    /// Its length cannot be told.
    pub(super) fn new(name: XetHash, mut reader: R) -> io::Result<Self> {
        let len = reader.seek(SeekFrom::End(0))?;
        let (stored, grouped, plain) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { name, reader, len, starts: vec![0], stored, grouped, plain })
    }

    pub(super) fn name(&self) -> XetHash {
        self.name
    }

    /// Hands on the bytes of a segment, which is one of this xorb, chunk by chunk.
    ///
    /// # Errors
    /// [`Error`], and the bytes before may have been handed on; of a chunk that is too long for the segment nothing is.
    pub(super) fn segment(
        &mut self,
        segment: &Segment,
        sink: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Error> {
        let length = || Error::Length {
            xorb: segment.xorb,
            first: segment.chunks.start,
            last: segment.chunks.end.saturating_sub(1),
            bytes: segment.bytes,
        };
        let mut left = usize::try_from(segment.bytes).map_err(|_| length())?;
        for index in segment.chunks.clone() {
            let (at, header) = self.header(index)?;
            left = left.checked_sub(header.plain).ok_or_else(length)?;
            sink(self.chunk(index, at, header)?).map_err(Error::Sink)?;
        }
        if left == 0 { Ok(()) } else { Err(length()) }
    }

    /// The header of a chunk, and where it stands. Chunks before it that were not passed yet are.
    fn header(&mut self, index: u32) -> Result<(u64, Header), Error> {
        let wanted = usize::try_from(index).unwrap_or(usize::MAX);
        loop {
            // At least one start is known, that of the first chunk.
            let last = self.starts.len() - 1;
            let passing = wanted.min(last);
            // At most `CHUNKS_MAX`.
            let number = passing as u32;
            let at = self.starts[passing];
            let Some(header) = self.header_at(number, at)? else {
                return Err(Error::Missing { xorb: self.name, index, has: number });
            };
            if passing == last {
                if self.starts.len() > CHUNKS_MAX {
                    return Err(self.wrong(number, "is one more than are read"));
                }
                self.starts.push(at + (HEADER + header.stored) as u64);
            }
            if passing == wanted {
                return Ok((at, header));
            }
        }
    }

    /// `None` where the chunks end.
    fn header_at(&mut self, index: u32, at: u64) -> Result<Option<Header>, Error> {
        let Some(behind) = self.len.checked_sub(at + HEADER as u64) else { return Ok(None) };
        let mut bytes = [0; HEADER];
        self.read(at, &mut bytes)?;
        if bytes.starts_with(FOOTER) {
            return Ok(None);
        }
        let [version, s0, s1, s2, scheme, p0, p1, p2] = bytes;
        let [stored, plain] = [[s0, s1, s2, 0], [p0, p1, p2, 0]];
        let [stored, plain] = [stored, plain].map(|length| u32::from_le_bytes(length) as usize);
        let wrong = |why| Err(self.wrong(index, why));
        if version != 0 {
            return wrong("has a header of a version other than 0");
        }
        let scheme = match scheme {
            0 if stored == plain => Scheme::Plain,
            0 => return wrong("is stored as it is, and has another length"),
            1 => Scheme::Lz4,
            2 => Scheme::Grouped,
            _ => return wrong("is compressed in an unknown way"),
        };
        if plain > CHUNK_MAX {
            return wrong("is longer than 256 KiB; the format allows 128 KiB");
        }
        if stored > STORED_MAX {
            return wrong("is longer than 256 KiB while it is compressed");
        }
        if stored as u64 > behind {
            return wrong("is cut off");
        }
        Ok(Some(Header { scheme, stored, plain }))
    }

    /// The bytes of the chunk with this header, which stands there.
    fn chunk(&mut self, index: u32, at: u64, header: Header) -> Result<&[u8], Error> {
        let mut stored = std::mem::take(&mut self.stored);
        stored.resize(header.stored, 0);
        let read = self.read(at + HEADER as u64, &mut stored);
        self.stored = stored;
        read?;
        if let Scheme::Plain = header.scheme {
            return Ok(&self.stored);
        }
        self.plain.resize(header.plain, 0);
        let done = if let Scheme::Grouped = header.scheme {
            self.grouped.resize(header.plain, 0);
            let done = frame::decompress(&self.stored, &mut self.grouped);
            ungroup(&self.grouped, &mut self.plain);
            done
        } else {
            frame::decompress(&self.stored, &mut self.plain)
        };
        done.ok_or_else(|| self.wrong(index, "does not decompress to the length in its header"))?;
        Ok(&self.plain)
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let read =
            self.reader.seek(SeekFrom::Start(at)).and_then(|_| self.reader.read_exact(bytes));
        read.map_err(|source| Error::Read { xorb: self.name, source })
    }

    fn wrong(&self, index: u32, why: &'static str) -> Error {
        Error::Chunk { xorb: self.name, index, why }
    }
}

/// Puts the bytes of each four together again; both are equally long. If that is no multiple of four, the first groups
/// have one byte more.
fn ungroup(grouped: &[u8], plain: &mut [u8]) {
    let mut next = grouped.iter();
    for first in 0..4 {
        for (byte, from) in plain.iter_mut().skip(first).step_by(4).zip(&mut next) {
            *byte = *from;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use lz4_flex::frame::FrameEncoder;
    use proptest::prelude::*;

    use super::*;

    const XORB: &[u8] = include_bytes!("testdata/tiny.xorb");

    const NAME: XetHash = XetHash::new([0; 32]);

    fn raw(version: u8, scheme: u8, len: usize, stored: &[u8]) -> Vec<u8> {
        let three = |len: usize| (len as u32).to_le_bytes()[..3].to_vec();
        [vec![version], three(stored.len()), vec![scheme], three(len), stored.to_vec()].concat()
    }

    fn plain(bytes: &[u8]) -> Vec<u8> {
        raw(0, 0, bytes.len(), bytes)
    }

    fn lz4(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = FrameEncoder::new(Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn grouped(bytes: &[u8]) -> Vec<u8> {
        (0..4).flat_map(|first| bytes.iter().skip(first).step_by(4)).copied().collect()
    }

    fn read(xorb: &[u8], chunks: std::ops::Range<u32>, bytes: u32) -> Result<Vec<u8>, Error> {
        let mut xorb = Xorb::new(NAME, Cursor::new(xorb)).unwrap();
        let mut all = Vec::new();
        let result = xorb.segment(&Segment { xorb: NAME, bytes, chunks }, &mut |chunk| {
            all.extend_from_slice(chunk);
            Ok(())
        });
        for held in [&xorb.stored, &xorb.grouped, &xorb.plain] {
            assert!(held.capacity() <= 2 * STORED_MAX);
        }
        assert!(xorb.stored.capacity() <= 2 * xorb.reader.get_ref().len() + 8);
        assert!(xorb.starts.len() <= xorb.reader.get_ref().len() / HEADER + 1);
        assert!(all.len() <= bytes as usize);
        result.map(|()| all)
    }

    fn why(xorb: &[u8], chunks: std::ops::Range<u32>, bytes: u32) -> String {
        let error = read(xorb, chunks, bytes).unwrap_err().to_string();
        error.replace(&NAME.to_string(), "X")
    }

    #[test]
    fn chunks_of_each_scheme_are_read_from_anywhere() {
        for len in [0, 1, 2, 3, 4, 5, 6, 7, 1000, 70_000, CHUNK_MAX] {
            let bytes: Vec<u8> = (0..len).map(|i| (i / 7) as u8).collect();
            let size = len as u32;
            let chunks = [
                plain(b"before"),
                plain(&bytes),
                raw(0, 1, len, &lz4(&bytes)),
                raw(0, 2, len, &lz4(&grouped(&bytes))),
                plain(b"behind"),
            ];
            let xorb = chunks.concat();
            for chunk in 1..4 {
                assert!(read(&xorb, chunk..chunk + 1, size).unwrap() == bytes, "{len} {chunk}");
            }
            let all = [b"before", &bytes[..], &bytes, &bytes, b"behind"].concat();
            assert!(read(&xorb, 0..5, all.len() as u32).unwrap() == all, "{len}");
            assert_eq!(read(&xorb, 4..5, 6).unwrap(), b"behind");
        }
    }

    #[test]
    fn a_xorb_that_is_open_goes_back_and_forth() {
        let letters: Vec<_> = (b'a'..=b'z').map(|letter| plain(&[letter])).collect();
        let mut xorb = Xorb::new(NAME, Cursor::new(letters.concat())).unwrap();
        let mut word = Vec::new();
        for chunk in [7, 4, 11, 11, 14] {
            let segment = Segment { xorb: NAME, bytes: 1, chunks: chunk..chunk + 1 };
            let mut sink = |bytes: &[u8]| word.write_all(bytes);
            xorb.segment(&segment, &mut sink).unwrap();
        }
        assert_eq!(word, b"hello");
        assert_eq!(xorb.starts.len(), 16);
    }

    #[test]
    fn a_footer_is_no_chunk() {
        let footers: [&[u8]; 4] = [b"", b"XETB", b"XETBLOB", b"XETBLOB\x01\0\0\0 and more of it"];
        for footer in footers {
            let xorb = [&plain(b"one"), &plain(b"two"), footer].concat();
            assert_eq!(read(&xorb, 0..2, 6).unwrap(), b"onetwo");
            let missing = "the xorb X ends after 2 chunks, and chunk";
            assert_eq!(why(&xorb, 0..3, 9), format!("{missing} 2 is wanted"));
            assert_eq!(why(&xorb, 5..6, 3), format!("{missing} 5 is wanted"));
            assert_eq!(
                why(&xorb, u32::MAX - 1..u32::MAX, 3),
                format!("{missing} 4294967294 is wanted")
            );
        }
    }

    #[test]
    fn the_shard_and_the_xorb_must_agree_on_the_length() {
        let xorb = [plain(b"one"), raw(0, 1, 5, &lz4(b"three"))].concat();
        assert_eq!(read(&xorb, 0..2, 8).unwrap(), b"onethree");
        for bytes in [0, 2, 3, 7, 9, u32::MAX] {
            let said = format!(
                "chunks 0 to 1 of the xorb X do not have the {bytes} bytes that the shard says"
            );
            assert_eq!(why(&xorb, 0..2, bytes), said);
        }
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let frame = lz4(&[0; 1000]);
        let large = [0; STORED_MAX + 1];
        for (chunk, said) in [
            (raw(1, 0, 3, b"one"), "has a header of a version other than 0"),
            (raw(0, 0, 4, b"one"), "is stored as it is, and has another length"),
            (raw(0, 3, 3, b"one"), "is compressed in an unknown way"),
            (raw(0, 99, 3, b"one"), "is compressed in an unknown way"),
            (raw(0, 1, CHUNK_MAX + 1, &frame), "is longer than 256 KiB; the format allows 128 KiB"),
            (plain(&large), "is longer than 256 KiB; the format allows 128 KiB"),
            (raw(0, 1, 3, &large), "is longer than 256 KiB while it is compressed"),
            (plain(b"one")[..10].to_vec(), "is cut off"),
            (raw(0, 1, 999, &frame), "does not decompress to the length in its header"),
            (raw(0, 1, 1001, &frame), "does not decompress to the length in its header"),
            (raw(0, 2, 999, &frame), "does not decompress to the length in its header"),
            (raw(0, 1, 4, b"four"), "does not decompress to the length in its header"),
        ] {
            let xorb = [plain(b"before"), chunk].concat();
            assert_eq!(why(&xorb, 1..2, u32::MAX), format!("chunk 1 of the xorb X {said}"));
        }
    }

    #[test]
    fn chunks_are_counted() {
        let count = CHUNKS_MAX as u32;
        let xorb = plain(b"").repeat(CHUNKS_MAX + 1);
        assert_eq!(read(&xorb, count - 1..count, 0).unwrap(), b"");
        let said = "chunk 32768 of the xorb X is one more than are read";
        assert_eq!(why(&xorb, count..count + 1, 0), said);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic_nor_allocate_beyond_the_input(
            bytes in prop::collection::vec(prop_oneof![0..3_u8, any::<u8>()], 0..300),
            from in 0..5_u32,
            count in 1..5_u32,
            size in 0..1000_u32,
        ) {
            let _ = read(&bytes, from..from + count, size);
        }

        #[test]
        fn nor_does_a_damaged_xorb(
            // Mostly in headers and where frames begin.
            (start, by) in (prop::sample::select(vec![0, 3008, 4333, 14_463, 17_471, 18_019]), 0..40_usize),
            byte in any::<u8>(),
        ) {
            let mut bytes = XORB.to_vec();
            bytes[start + by] = byte;
            let _ = read(&bytes, 0..6, u32::MAX);
        }

        #[test]
        fn bytes_are_grouped_and_put_together_again(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            let mut out = vec![0; bytes.len()];
            ungroup(&grouped(&bytes), &mut out);
            prop_assert_eq!(out, bytes);
        }
    }
}
