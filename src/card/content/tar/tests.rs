use super::*;
use crate::card::content::fixtures::{TAR_GNU_LONG, TAR_PAX_LONG, TAR_PLAIN, bytes};
use crate::card::content::tests::judged;
use crate::card::content::{Pieces, Verdict};

fn listed(bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut pieces = Pieces::default();
    pieces.insert(0, bytes);
    let mut names = Vec::new();
    let view = View::of_file(&pieces, bytes.len() as u64);
    match members(&view, |name, _, _| {
        names.push(name.to_owned());
        Ok(None::<()>)
    }) {
        Ok(_) => Ok(names),
        Err(Stop::Flaw(why)) => Err(why),
        Err(need) => panic!("{need:?}"),
    }
}

/// A member as version 7 wrote it.
pub(in crate::card::content) fn old(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[156] = kind;
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    header.extend(content);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

#[test]
fn names_of_every_length_are_listed() {
    assert_eq!(listed(&bytes(TAR_PLAIN)).unwrap(), ["1.jpg", "1.json"]);
    for fixture in [TAR_GNU_LONG, TAR_PAX_LONG] {
        let names = listed(&bytes(fixture)).unwrap();
        assert!(names.len() == 2 && names[1].ends_with("ddd/model.pkl"), "{names:?}");
    }
    assert_eq!(listed(&[old("a", 0, b"x"), old("b", b'0', b"")].concat()).unwrap(), ["a", "b"]);
}

#[test]
fn what_readers_see_differently_is_not_listed() {
    for (kind, content) in
        [(b'x', &b"20 size=1\n"[..]), (b'g', b"25 GNU.sparse.major=1\n"), (b'S', b""), (b'5', b"x")]
    {
        assert!(listed(&old("a", kind, content)).is_err(), "{kind}");
    }
    let mut broken = [old("a", b'0', b"x"), old("b.pkl", b'0', b"x")].concat();
    broken[1024] ^= 1;
    assert!(listed(&broken).unwrap_err().contains("broken"));
    let mut long = old("a", b'0', b"x");
    long[124..135].copy_from_slice(b"77777777777");
    assert!(listed(&long).is_err());
}

#[test]
fn a_tar_too_long_to_be_seen_whole_counts_as_code() {
    let member = |at: usize| old(&format!("{at}.jpg"), b'0', &[1; 300_000]);
    let few: Vec<u8> = (0..20).flat_map(member).collect();
    assert_eq!(judged("shard.tar", &few).0.verdict, Verdict::Plain);
    let last = [&few[..], &old("x.pkl", b'0', b"N.")].concat();
    let Verdict::Code { why, .. } = judged("shard.tar", &last).0.verdict else { panic!() };
    assert!(why.contains("x.pkl"), "{why}");
    let many: Vec<u8> = (0..80).flat_map(member).collect();
    let Verdict::Code { why, .. } = judged("shard.tar", &many).0.verdict else { panic!() };
    assert!(why.contains("too far"), "{why}");
    assert!(matches!(
        judged("old.bin", &old("pickle", b'0', b"x")).0.verdict,
        Verdict::Code { what: "pickle", .. }
    ));
}
