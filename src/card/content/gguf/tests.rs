use super::*;
use crate::card::content::fixtures::{GGUF, GGUF_TEMPLATES, bytes};
use crate::card::content::{Examination, Pieces, examine};

fn checked_at(bytes: &[u8], size: u64) -> Result<Facts, String> {
    let mut pieces = Pieces::default();
    pieces.insert(0, bytes);
    match check(&View::of_file(&pieces, size)) {
        Ok(facts) => Ok(facts),
        Err(Stop::Flaw(why)) => Err(why),
        Err(Stop::Need(range)) => Err(format!("needs {range:?}")),
    }
}

fn checked(bytes: &[u8]) -> Result<Facts, String> {
    checked_at(bytes, bytes.len() as u64)
}

#[derive(Default)]
struct Made {
    keys: Vec<Vec<u8>>,
    tensors: Vec<(&'static str, Vec<u64>, u32, u64)>,
    data: usize,
}

fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

fn key(name: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&string(name.as_bytes())[..], &kind.to_le_bytes(), value].concat()
}

fn array(kind: u32, count: u64, items: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes(), items].concat()
}

impl Made {
    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        out.extend(self.keys.concat());
        for (name, dims, kind, offset) in &self.tensors {
            out.extend(string(name.as_bytes()));
            out.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(32) + self.data, 0);
        out
    }

    fn check(&self) -> Result<Facts, String> {
        checked(&self.bytes())
    }
}

fn with_keys(keys: &[Vec<u8>]) -> Made {
    Made { keys: keys.to_vec(), ..Made::default() }
}

#[test]
fn what_gguf_py_writes_is_valid_and_its_facts_are_read() {
    let facts = checked(&bytes(GGUF)).unwrap();
    let expected = Facts {
        architecture: Some("llama".into()),
        name: Some("Tiny".into()),
        file_type: Some("Q8_0".into()),
        context_length: Some(2048),
        tensors: 2,
        parameters: BTreeMap::from([("F32".into(), 64), ("Q8_0".into(), 64)]),
        templates: Vec::new(),
    };
    assert_eq!(facts, expected);
    assert_eq!(checked(&bytes(GGUF_TEMPLATES)).unwrap().templates, ["tool_use", "default"]);
}

#[test]
fn headers_of_other_versions_and_orders_are_refused() {
    let file = bytes(GGUF);
    for (byte, part) in [(0, "version 0"), (1, "version 1"), (4, "version 4")] {
        let mut file = file.clone();
        file[4] = byte;
        assert!(checked(&file).unwrap_err().contains(part));
    }
    let mut two = file.clone();
    two[4] = 2;
    assert!(checked(&two).is_ok());
    let mut big = file;
    big[4..8].copy_from_slice(&[0, 0, 0, 3]);
    assert!(checked(&big).unwrap_err().contains("big-endian"));
}

#[test]
fn counts_and_lengths_that_the_file_cannot_hold_are_refused_before_use() {
    let file = bytes(GGUF);
    for at in [8, 16] {
        for number in [1u64 << 63, u64::MAX, 1 << 40, 1000] {
            let mut file = file.clone();
            file[at..at + 8].copy_from_slice(&number.to_le_bytes());
            assert!(checked(&file).unwrap_err().contains("announces"), "{number}");
        }
    }
    for (key, part) in [
        (key("a", 9, &array(0, u64::MAX, b"")), "announces"),
        (key("a", 9, &array(10, 1 << 61, b"")), "announces"),
        (key("a", 9, &array(8, 1 << 61, b"")), "announces"),
        (key("a", 9, &array(9, 1 << 61, b"")), "announces"),
        (key("a", 8, &u64::MAX.to_le_bytes()), "ends inside"),
        (key("a", 8, &1000u64.to_le_bytes()), "ends before"),
        (key("a", 13, &[0; 8]), "unknown type 13"),
        (key("a", 9, &array(13, 1, &[0; 8])), "unknown type 13"),
        (key("a", 7, &[2]), "neither"),
        (key("general.alignment", 4, &[0; 4]), "alignment of 0"),
        (key("general.alignment", 4, &[3, 0, 0, 0]), "alignment of 3"),
        (key("general.alignment", 4, &[0, 0, 0, 0x80]), "alignment of 2147483648"),
        (key("general.alignment", 10, &[32, 0, 0, 0, 0, 0, 0, 0]), "no uint32"),
        (key("general.name", 8, &string(b"\xff")), "not UTF-8"),
        (key(&"k".repeat(70_000), 0, &[0]), "key of 70000 bytes"),
    ] {
        let why = with_keys(&[key]).check().unwrap_err();
        assert!(why.contains(part), "{part}: {why}");
    }
    let twice = key("a", 0, &[0]);
    assert!(with_keys(&[twice.clone(), twice]).check().unwrap_err().contains("twice"));
    let nested = |levels: usize| {
        let inner = array(0, 0, b"");
        (1..levels).fold(inner, |inner, _| array(9, 1, &inner))
    };
    assert!(with_keys(&[key("a", 9, &nested(limits::GGUF_DEPTH_MAX))]).check().is_ok());
    assert!(
        with_keys(&[key("a", 9, &nested(100_000))]).check().unwrap_err().contains("too deeply")
    );
}

#[test]
fn tensors_lie_inside_the_file_and_apart() {
    let check = |tensors: &[(&'static str, Vec<u64>, u32, u64)], data| {
        Made { tensors: tensors.to_vec(), data, ..Made::default() }.check()
    };
    let f32s = |name, count, offset| (name, vec![count], 0u32, offset);
    assert!(check(&[f32s("a", 8, 0), f32s("b", 8, 32)], 64).is_ok());
    assert!(check(&[f32s("b", 8, 32), f32s("a", 8, 0)], 64).is_ok());
    for (tensors, data, part) in [
        (vec![f32s("a", 8, 0), f32s("a", 8, 32)], 64, "twice"),
        (vec![f32s("a", 9, 0), f32s("b", 8, 32)], 64, "overlap"),
        (vec![f32s("a", 8, 0), f32s("b", 8, 0)], 32, "overlap"),
        (vec![f32s("a", 8, 0), f32s("b", 9, 32)], 64, "beyond the file"),
        (vec![f32s("a", 8, 1 << 63)], 32, "beyond the file"),
        (vec![f32s("a", 1 << 61, 0)], 32, "beyond the file"),
        (vec![f32s("a", 1 << 62, 0)], 32, "beyond counting"),
        (vec![f32s("a", 8, 8)], 64, "not aligned"),
        (vec![f32s("a", 8, 0)], 64, "32 bytes behind"),
        (vec![("a", vec![u64::MAX, 2], 0, 0)], 64, "beyond counting"),
        (vec![("a", vec![1; 5], 0, 0)], 64, "dimensions"),
        (vec![("a", vec![31], 8, 0)], 34, "whole blocks"),
        (vec![("a", vec![8], 999, 1 << 20)], 64, "beyond the file"),
        (vec![], 32, "behind its last"),
    ] {
        let why = check(&tensors, data).unwrap_err();
        assert!(why.contains(part), "{part}: {why}");
    }
    let newer = check(&[("a", vec![8], 999, 0)], 640).unwrap();
    assert_eq!(newer.parameters, BTreeMap::from([("type 999".into(), 8)]));
}

#[test]
fn a_long_header_is_read_in_few_steps_and_large_arrays_are_passed_over() {
    let words = string(&[b'w'; 40]).repeat(200_000);
    let numbers = vec![0; 40 << 20];
    let file = with_keys(&[
        key("tokenizer.ggml.scores", 9, &array(0, numbers.len() as u64, &numbers)),
        key("tokenizer.ggml.tokens", 9, &array(8, 200_000, &words)),
        key("general.architecture", 8, &string(b"x")),
    ])
    .bytes();
    let mut pieces = Pieces::default();
    let (mut reads, mut total) = (0, 0);
    loop {
        match examine("m.gguf", file.len() as u64, &pieces) {
            Examination::Done(finding) => {
                assert!(finding.facts.is_some(), "{finding:?}");
                break;
            }
            Examination::Needs(range) => {
                reads += 1;
                total += range.end - range.start;
                pieces.insert(range.start, &file[range.start as usize..range.end as usize]);
            }
        }
    }
    assert!(reads <= 6 && total < 20 << 20, "{reads} reads of {total} bytes");
}
