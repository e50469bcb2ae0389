//! `testdata/tiny.*` is what hf_xet 1.8.0 sent when `upload_folder` of huggingface_hub 2.4.0 was given five files: those
//! that [`made`] makes again, the noise twice, which is once in the shard then. To record others, answer the requests and
//! keep the bodies of `/v1/xorbs/…` and `/v1/shards`; files are cut in parallel, so their order in the xorb, and with it
//! its name, differs each time.

use std::{
    collections::HashMap,
    fs,
    io::{Cursor, Seek, SeekFrom},
};

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

const SHARD: &[u8] = include_bytes!("testdata/tiny.shard");
const XORB: &[u8] = include_bytes!("testdata/tiny.xorb");
const XORB_NAME: &str = "5fd1b4fcec0aabdebae4d3ccc0d0c4ea23fa023bc07624d9b8657eeeb8817cd5";

/// What was uploaded, by Xet's hash. The chunks are: noise, floats, words, noise again, 128 KiB of zeros, the last zeros.
fn made() -> HashMap<&'static str, Vec<u8>> {
    let mut state = 1_u64;
    let noise = (0..3000).map(|_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    // In the arithmetic of Python, and three bytes more so that it is no multiple of four.
    let floats = (0..1500).map(|i| (1.0 + f64::from(i) / 1500.0) as f32);
    let floats = floats.flat_map(f32::to_le_bytes).chain(*b"xyz");
    let words: String = (0..2000).map(|i| format!("{i} bottles of milk, ")).collect();
    HashMap::from([
        ("0d894b8272729097", noise.collect()),
        ("0ab45411eab265aa", floats.collect()),
        ("4acc57b0dc2eda35", words.into_bytes()),
        ("3d7bd4178bc2851b", vec![0; 300_000]),
    ])
}

fn assembled(
    file: &File,
    open: impl FnMut(&XetHash) -> io::Result<Cursor<Vec<u8>>>,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let count = assemble(file, open, &mut |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    })?;
    assert_eq!((count, count), (bytes.len() as u64, file.bytes()));
    Ok(bytes)
}

fn file(segments: &[(u8, u32, std::ops::Range<u32>)]) -> File {
    let segment = |(xorb, bytes, chunks): &(u8, u32, std::ops::Range<u32>)| Segment {
        xorb: XetHash([*xorb; 32]),
        bytes: *bytes,
        chunks: chunks.clone(),
    };
    let segments = segments.iter().map(segment).collect();
    File { hash: XetHash([0; 32]), segments, sha256: None }
}

/// The letters of the alphabet, a chunk each; in capitals if the name says so.
fn letters(name: &XetHash) -> io::Result<Cursor<Vec<u8>>> {
    let first = if name.0[0] == 1 { b'A' } else { b'a' };
    Ok(Cursor::new((0..26).flat_map(|i| [0, 1, 0, 0, 0, 1, 0, 0, first + i]).collect()))
}

#[test]
fn what_the_real_client_sent_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(XORB_NAME), XORB).unwrap();
    let mut made = made();
    let files = parse(SHARD).unwrap();
    assert_eq!(files.len(), 4);
    for file in files {
        let mut bytes = Vec::new();
        let open = |name: &XetHash| fs::File::open(dir.path().join(name.to_string()));
        let mut sink = |chunk: &[u8]| {
            bytes.extend_from_slice(chunk);
            Ok(())
        };
        assert_eq!(assemble(&file, open, &mut sink).unwrap(), file.bytes());
        let name = file.hash.to_string();
        assert_eq!(file.sha256, Some(Sha256::digest(&bytes).into()), "{name}");
        assert!(made.remove(&name[..16]).unwrap() == bytes, "{name}");
    }
    assert!(made.is_empty());
}

#[test]
fn hashes_are_written_as_four_numbers() {
    let hash = XetHash(std::array::from_fn(|i| i as u8));
    let text = "07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918";
    assert_eq!(hash.to_string(), text);
    assert_eq!(text.parse(), Ok(hash));
    let upper = text.to_uppercase();
    let long = format!("{text}0");
    let wide = format!("{}é", &text[..62]);
    for text in ["", ".", "..", &text[1..], &long, &upper, &wide, &text.replace("07", "+7")] {
        assert_eq!(text.parse::<XetHash>(), Err(NoHash), "{text}");
    }
}

#[test]
fn segments_are_put_one_behind_the_other() {
    let file = file(&[(1, 1, 7..8), (0, 4, 4..8), (1, 2, 0..2), (0, 1, 25..26)]);
    let mut opened = Vec::new();
    let bytes = assembled(&file, |name| {
        opened.push(*name);
        letters(name)
    });
    assert_eq!(bytes.unwrap(), b"HefghABz");
    assert_eq!(opened, [XetHash([1; 32]), XetHash([0; 32])]);
    assert_eq!(assembled(&self::file(&[]), letters).unwrap(), b"");
}

#[test]
fn the_xorbs_used_last_stay_open() {
    let segments =
        |names: &[u8]| file(&names.iter().map(|name| (*name, 1, 0..1)).collect::<Vec<_>>());
    let opened = |names: &[u8]| {
        let mut count = 0;
        let counted = |name: &XetHash| {
            count += 1;
            letters(name)
        };
        assert_eq!(assembled(&segments(names), counted).unwrap().len(), names.len());
        count
    };
    assert_eq!(opened(&[0, 1, 2, 3, 4, 5, 6, 7, 7, 0, 3, 5]), 8);
    // 0 was used again, thus 1 is closed for 8.
    assert_eq!(opened(&[0, 1, 2, 3, 4, 5, 6, 7, 0, 8, 0]), 9);
    assert_eq!(opened(&[0, 1, 2, 3, 4, 5, 6, 7, 0, 8, 1]), 10);
}

#[test]
fn errors_name_the_xorb() {
    let name = "01".repeat(32);
    let file = file(&[(1, 3, 24..27)]);
    let error = assembled(&file, letters).unwrap_err();
    let said = format!("the xorb {name} ends after 26 chunks, and chunk 26 is wanted");
    assert_eq!(error.to_string(), said);
    let error = assembled(&file, |_| Err(io::ErrorKind::NotFound.into())).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read the xorb {name}"));
    let full = || Err(io::ErrorKind::StorageFull.into());
    let error = assemble(&file, letters, &mut |_| full()).unwrap_err();
    assert!(matches!(error, Error::Sink(_)), "{error}");
}

#[test]
fn a_xorb_that_shrinks_while_it_is_read_is_an_error() {
    struct Shrinking(Cursor<Vec<u8>>);
    impl Read for Shrinking {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
    }
    impl Seek for Shrinking {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }
    let file = file(&[(1, 1, 0..1)]);
    let open = |name: &XetHash| letters(name).map(Shrinking);
    let error = assemble(&file, open, &mut |_| Ok(())).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
}

proptest! {
    #[test]
    fn every_hash_comes_back(bytes in any::<[u8; 32]>()) {
        let text = XetHash(bytes).to_string();
        prop_assert_eq!(text.len(), 64);
        prop_assert_eq!(text.parse(), Ok(XetHash(bytes)));
    }

    #[test]
    fn any_text_never_panics_as_a_hash(text in "\\PC{0,70}|[0-9a-fA-F]{60,66}") {
        if let Ok(hash) = text.parse::<XetHash>() {
            prop_assert_eq!(hash.to_string(), text);
        }
    }
}
