//! LZ4 frames, decompressed into as many bytes as they must have.
//!
//! `lz4_flex` has a decoder of its own, which sets up buffers of the block size that a frame announces: up to 8 MiB for a
//! frame of a few bytes, again for each. Here blocks go straight to where their bytes belong. Not: the checksums in a
//! frame, since the SHA-256 of the whole file is compared in the end; dictionaries; skippable and legacy frames.
//!
//! Invariant: nothing is allocated, and nothing is written beyond the bytes that were asked for.

use lz4_flex::block::{decompress_into, decompress_into_with_dict};

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();

// The first byte behind the magic: the version, and what a frame has.
const VERSION_MASK: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const RESERVED: u8 = 1 << 1;
const DICTIONARY: u8 = 1;

/// The bit of a block's size that says it is stored as it is.
const STORED: u32 = 1 << 31;

/// How far back blocks may refer.
const WINDOW: usize = 64 * 1024;

/// Fills `out` from a frame; `None` if it is none, or does not have exactly that many bytes. What stands behind the frame
/// is not looked at.
pub(super) fn decompress(frame: &[u8], out: &mut [u8]) -> Option<()> {
    let rest = frame.strip_prefix(&MAGIC)?;
    let (&[flags, _block_size], rest) = rest.split_first_chunk()?;
    if flags & VERSION_MASK != VERSION || flags & (RESERVED | DICTIONARY) != 0 {
        return None;
    }
    // The content size and the header's checksum.
    let skipped = if flags & CONTENT_SIZE == 0 { 1 } else { 9 };
    let mut rest = rest.get(skipped..)?;
    let mut filled = 0;
    loop {
        let (size, behind) = rest.split_first_chunk()?;
        let size = u32::from_le_bytes(*size);
        if size == 0 {
            return (filled == out.len()).then_some(());
        }
        let (block, behind) = behind.split_at_checked(usize::try_from(size & !STORED).ok()?)?;
        rest = behind.get(if flags & BLOCK_CHECKSUMS == 0 { 0 } else { 4 }..)?;
        let (before, free) = out.split_at_mut(filled);
        filled += if size & STORED != 0 {
            free.get_mut(..block.len())?.copy_from_slice(block);
            block.len()
        } else if flags & INDEPENDENT != 0 || before.is_empty() {
            decompress_into(block, free).ok()?
        } else {
            let window = &before[before.len().saturating_sub(WINDOW)..];
            decompress_into_with_dict(block, free, window).ok()?
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
    use proptest::prelude::*;

    use super::*;

    fn compressed(data: &[u8], info: FrameInfo) -> Vec<u8> {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// Compressible, with repeats that are further away than a block is long.
    fn data() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::collection::vec(any::<u8>(), 1..2000);
        (piece, 1..80_usize, any::<bool>()).prop_map(|(piece, times, noisy)| {
            let mut data = piece.repeat(times);
            if noisy {
                // So that no match is longer than a part of the piece.
                data.iter_mut().step_by(251).enumerate().for_each(|(i, byte)| *byte ^= i as u8);
            }
            data
        })
    }

    fn info() -> impl Strategy<Value = FrameInfo> {
        let sizes = vec![BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB];
        (prop::sample::select(sizes), any::<[bool; 3]>()).prop_map(|(size, [linked, sums, sum])| {
            FrameInfo::new()
                .block_size(size)
                .block_mode(if linked { BlockMode::Linked } else { BlockMode::Independent })
                .block_checksums(sums)
                .content_checksum(sum)
        })
    }

    #[test]
    fn what_is_no_frame_of_that_length_is_refused() {
        let frame = compressed(b"some bytes", FrameInfo::new().content_size(Some(10)));
        let mut out = [0; 10];
        decompress(&frame, &mut out).unwrap();
        assert_eq!(&out, b"some bytes");
        assert_eq!(decompress(&frame, &mut [0; 9]), None);
        assert_eq!(decompress(&frame, &mut [0; 11]), None);
        for len in 0..frame.len() {
            assert_eq!(decompress(&frame[..len], &mut [0; 10]), None, "{len}");
        }
        // Magic, version, what is reserved, a dictionary.
        for (at, bit) in [(0, 1), (4, 0x80), (4, 0x40), (4, RESERVED), (4, DICTIONARY)] {
            let mut frame = frame.clone();
            frame[at] ^= bit;
            assert_eq!(decompress(&frame, &mut [0; 10]), None, "{at} {bit}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_bytes_that_were_asked_for() {
        let frame = compressed(&[0; 1 << 20], FrameInfo::new());
        assert_eq!(decompress(&frame, &mut [0; 1000]), None);
        assert_eq!(decompress(&frame, &mut []), None);
    }

    proptest! {
        #[test]
        fn frames_of_every_kind_come_back(data in data(), info in info()) {
            let frame = compressed(&data, info);
            let mut out = vec![0; data.len()];
            prop_assert!(decompress(&frame, &mut out).is_some());
            prop_assert!(out == data);
        }

        #[test]
        fn damaged_frames_never_panic_and_agree_with_the_other_decoder(
            data in data(),
            info in info(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut frame = compressed(&data, info);
            *at.get_mut(&mut frame) = byte;
            let mut out = vec![0; data.len()];
            let ours = decompress(&frame, &mut out).is_some();
            let mut theirs = Vec::new();
            // It checks more, thus what it takes must be taken here.
            let read = FrameDecoder::new(&frame[..]).take(1 << 20).read_to_end(&mut theirs);
            if read.is_ok() && theirs.len() == data.len() {
                prop_assert!(ours && out == theirs);
            }
        }

        #[test]
        fn any_bytes_never_panic(
            flags in any::<u8>(),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            len in 0..300_usize,
        ) {
            let mut out = vec![0; len];
            decompress(&bytes, &mut out);
            let frame = [&MAGIC[..], &[flags & !3 & 0x7f | VERSION], &bytes].concat();
            decompress(&frame, &mut out);
        }
    }
}
