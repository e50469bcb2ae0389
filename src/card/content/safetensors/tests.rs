use super::*;
use crate::card::content::fixtures::{SAFETENSORS, bytes};
use crate::card::content::{Examination, Facts as AnyFacts, Pieces, Verdict, examine};
use proptest::prelude::*;
use safetensors::SafeTensors;

fn file(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

fn checked(bytes: &[u8]) -> Result<Facts, String> {
    let mut pieces = Pieces::default();
    pieces.insert(0, bytes);
    match check(&View::of_file(&pieces, bytes.len() as u64)) {
        Ok(facts) => Ok(facts),
        Err(Stop::Flaw(why)) => Err(why),
        Err(need) => panic!("{need:?}"),
    }
}

fn tensor(dtype: &str, shape: &str, from: u64, to: u64) -> String {
    format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
}

fn why(header: &str, data: usize) -> String {
    checked(&file(header, data)).unwrap_err()
}

#[test]
fn what_the_original_writes_is_valid_and_counted() {
    let facts = checked(&bytes(SAFETENSORS)).unwrap();
    let expected = BTreeMap::from([("F16", 6), ("F32", 3), ("I8", 0)]);
    assert_eq!(facts, Facts { tensors: 3, parameters: expected });
    assert_eq!(checked(&file("{}  ", 0)), Ok(Facts::default()));
    assert_eq!(checked(&file(r#"{"__metadata__":{"format":"pt"}}"#, 0)), Ok(Facts::default()));
}

#[test]
fn each_flaw_is_refused_and_named() {
    let one = tensor("U8", "[4]", 0, 4);
    assert!(checked(&file(&format!(r#"{{"a":{one}}}"#), 4)).is_ok());
    for (header, data, part) in [
        (format!(r#"{{"a":{one}}}"#), 5, "5 bytes of data, and its tensors cover 4"),
        (format!(r#"{{"a":{one}}}"#), 3, "3 bytes of data"),
        (format!(r#"{{"a":{one},"b":{}}}"#, tensor("U8", "[4]", 2, 6)), 6, "overlap"),
        (format!(r#"{{"a":{one},"b":{}}}"#, tensor("U8", "[4]", 0, 4)), 4, "overlap"),
        (format!(r#"{{"a":{one},"b":{}}}"#, tensor("U8", "[4]", 5, 9)), 9, "gap"),
        (format!(r#"{{"a":{}}}"#, tensor("U8", "[4]", 1, 5)), 5, "gap"),
        (format!(r#"{{"a":{one},"a":{}}}"#, tensor("U8", "[4]", 4, 8)), 8, "twice"),
        (format!(r#"{{"a":{one},"\u0061":{}}}"#, tensor("U8", "[4]", 4, 8)), 8, "twice"),
        (format!(r#"{{"a":{}}}"#, tensor("U7", "[4]", 0, 4)), 4, "unknown"),
        (format!(r#"{{"a":{}}}"#, tensor("F32", "[4]", 0, 4)), 4, "do not fit"),
        (format!(r#"{{"a":{}}}"#, tensor("F4", "[3]", 0, 1)), 1, "do not fit"),
        (format!(r#"{{"a":{}}}"#, tensor("U8", "[4]", 4, 0)), 4, "do not fit"),
        (
            format!(r#"{{"a":{}}}"#, tensor("U8", "[9223372036854775808,4]", 0, 4)),
            4,
            "beyond counting",
        ),
        (
            format!(r#"{{"a":{}}}"#, tensor("F64", "[4611686018427387904]", 0, 0)),
            0,
            "beyond counting",
        ),
        (format!(r#"{{"a":{}}}"#, tensor("U8", "[-1]", 0, 4)), 4, "broken header"),
        (format!(r#"{{"a":{}}}"#, tensor("U8", "[4.0]", 0, 4)), 4, "broken header"),
        (
            format!(r#"{{"a":{}}}"#, tensor("U8", &format!("[{}1]", "1,".repeat(64)), 0, 1)),
            1,
            "dimensions",
        ),
        (format!(r#"{{"{}":{one}}}"#, "n".repeat(4097)), 4, "too long"),
        (
            r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1}}"#.into(),
            4,
            "unknown field",
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"dtype":"I8"}}"#.into(),
            4,
            "duplicate",
        ),
        (r#"{"__metadata__":{"a":1}}"#.into(), 0, "a text"),
        (r#"{"__metadata__":{"a":"1","a":"2"}}"#.into(), 0, "twice"),
        (r#"{"__metadata__":{},"__metadata__":{}}"#.into(), 0, "twice"),
        (" {}".into(), 0, "does not begin"),
        ("[]".into(), 0, "does not begin"),
        ("{}{}".into(), 0, "broken header"),
        ("{\"a\":\"\u{1b}[31m".into(), 0, "broken header"),
        ("[".repeat(1000), 0, "does not begin"),
        (format!("{{\"a\":{}", "[".repeat(100_000)), 0, "broken header"),
    ] {
        let why = why(&header, data);
        assert!(why.contains(part), "{part}: {why}");
        assert!(!why.contains('\u{1b}'));
    }
    assert!(checked(b"{}").unwrap_err().contains("too short"));
    let mut lie = file("{}", 0);
    lie[0] = 3;
    assert!(checked(&lie).unwrap_err().contains("beyond its end"));
    lie[7] = 0x80;
    assert!(checked(&lie).unwrap_err().contains("at most"));
}

#[test]
fn a_header_longer_than_the_first_read_is_asked_for_and_no_more() {
    let header = format!("{{{}}}", " ".repeat(3 << 20));
    let bytes = file(&header, 0);
    let size = bytes.len() as u64;
    let mut pieces = Pieces::default();
    pieces.insert(0, &bytes[..1 << 20]);
    let Examination::Needs(range) = examine("m.safetensors", size, &pieces) else { panic!() };
    assert_eq!(range, 1 << 20..size);
    pieces.insert(range.start, &bytes[range.start as usize..]);
    let Examination::Done(finding) = examine("m.safetensors", size, &pieces) else { panic!() };
    assert_eq!(finding.verdict, Verdict::Plain);
    assert_eq!(finding.facts, Some(AnyFacts::Safetensors(Facts::default())));
    let mut pieces = Pieces::default();
    pieces.insert(
        0,
        &[&(limits::SAFETENSORS_HEADER_MAX + 1).to_le_bytes()[..], &vec![b' '; 1 << 20]].concat(),
    );
    let Examination::Done(finding) = examine("m.safetensors", 1 << 40, &pieces) else { panic!() };
    assert!(matches!(finding.verdict, Verdict::Invalid { format: "safetensors", .. }));
}

fn headers() -> impl Strategy<Value = (String, usize)> {
    let names = prop::sample::select(vec!["a", "b", "c", "__metadata__"]);
    let dtypes = prop::sample::select(vec!["U8", "F16", "F4", "F6_E2M3", "C64", "X"]);
    let shapes = prop::collection::vec(0u64..4, 0..3);
    let tensors = prop::collection::vec((names, dtypes, shapes, -1i64..2), 0..4);
    (tensors, 0usize..3).prop_map(|(tensors, more)| {
        let (mut at, mut parts) = (0i64, Vec::new());
        for (name, dtype, shape, shift) in tensors {
            let bits =
                DTYPES.iter().find(|(known, _)| *known == dtype).map_or(8, |(_, bits)| *bits);
            let len = (shape.iter().product::<u64>() * bits / 8) as i64;
            // Rarely wrong: most headers are to be valid.
            let shift = if len == 3 { shift } else { 0 };
            let from = (at + shift).max(0);
            parts.push(format!(
                r#""{name}":{}"#,
                tensor(dtype, &format!("{shape:?}"), from as u64, (from + len) as u64)
            ));
            at = from + len;
        }
        (format!("{{{}}}", parts.join(",")), at as usize + more / 2)
    })
}

proptest! {
    #[test]
    fn what_is_valid_here_is_valid_to_the_original(case in headers()) {
        let bytes = file(&case.0, case.1);
        if let Ok(facts) = checked(&bytes) {
            let theirs = SafeTensors::deserialize(&bytes);
            prop_assert!(theirs.is_ok(), "{}: {:?}", case.0, theirs.err());
            prop_assert_eq!(facts.tensors, theirs.unwrap().len() as u64);
        } else if SafeTensors::deserialize(&bytes).is_ok() {
            // Only where the original takes the last of two.
            let twice = ["a", "b", "c"].iter().any(|name| case.0.matches(&format!("\"{name}\":")).count() > 1);
            prop_assert!(twice, "{}: {:?}", case.0, checked(&bytes));
        }
    }

    #[test]
    fn a_damaged_file_that_passes_passes_the_original_too(at: prop::sample::Index, byte: u8) {
        let mut bytes = bytes(SAFETENSORS);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if checked(&bytes).is_ok() {
            prop_assert!(SafeTensors::deserialize(&bytes).is_ok());
        }
    }
}
