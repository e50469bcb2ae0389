use super::*;
use crate::card::content::{Pieces, Verdict};
use proptest::prelude::*;

fn scanned(bytes: &[u8]) -> Scan {
    let mut pieces = Pieces::default();
    loop {
        match scan(&View::of_file(&pieces, bytes.len() as u64)) {
            Ok(scan) => return scan,
            Err(Stop::Need(range)) => {
                pieces.insert(range.start, &bytes[range.start as usize..range.end as usize]);
            }
            Err(Stop::Flaw(why)) => return Scan::Pickle(why),
        }
    }
}

fn is_pickle(bytes: &[u8]) -> bool {
    matches!(scanned(bytes), Scan::Pickle(_))
}

#[test]
fn every_way_to_act_is_found_in_every_protocol() {
    for bytes in [
        &b"cos\nsystem\n(S'id'\ntR."[..],
        b"cos\nsystem\n(S'id'\nlR.",
        b"(S'id'\nios\nsystem\n.",
        b"(cos\nsystem\nS'id'\no.",
        b"cos\nsystem\n)\x81.",
        b"cos\nsystem\n)}\x92.",
        b"csys\nmodules\nS'os'\nNs.",
        b"csys\nmodules\n(S'os'\nNu.",
        b"csys\npath\nS'/tmp'\na.",
        b"csys\npath\n(S'/tmp'\ne.",
        b"cos\nsystem\n}b.",
        b"cantigravity\nx\n.",
        b"S'os'\nS'system'\n\x93(S'id'\ntR.",
        b"\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
        b"\x80\x04\x95\0\0\0\0\0\0\0\0\x8c\x02os\x8c\x06system\x93",
        // Through the memo, and after a whole pickle that is harmless.
        b"cos\nsystem\np0\n0g0\n(S'id'\ntR.",
        b"cos\nsystem\nq\x010h\x01(S'id'\ntR.",
        b"N.cos\nsystem\n(S'id'\ntR.",
        // A header of protocol 0 or 1 is read, too, and one may stand anywhere.
        b"\x80\x00cos\nsystem\n(S'id'\ntR.",
        b"\x80\x01N.",
        b"(\x80\x02cos\nsystem\n.",
        // It has run when it breaks off.
        b"cos\nsystem\n(S'id'\ntR\xff\xff",
        b"I\0!\n0cos\nsystem\n(S'id'\ntR.",
        // The last byte of all ends a line.
        b"(S'id'\nios\nsystem\xff",
        b"\x80\x02cos\nsystem\n\xff",
        b"\x82\x01)R.",
        b"NQ)R.",
    ] {
        assert!(is_pickle(bytes), "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_no_unpickler_gets_through_is_no_pickle() {
    for bytes in [
        &b""[..],
        b".",
        b"N",
        b"\x80",
        b"\x80\x06N.",
        b"\x80\x02\0\0",
        b"\x80\x02X\xff\xff\xff\xffab.",
        b"(dp0\nVa\np1\nI1\ns.",
        b"cos path\nsystem\n)R.",
        b"c\nsystem\n)R.",
        b"N)R.",
        b"cos\nsystem\nR.",
        b"cos\nsystem\ntR.",
        b"S os\n",
        b"Iabc def\n",
        b"T\xff\xff\xff\xff",
        b"Psome id\n.",
        b"Version 1.0\nVery\n.",
        b"click\ncolorama\ncryptography\ncython\nnumpy\nrequests\n",
        b"(c) 2024 A. Nonymous\n",
        b"{\"a\": 1}\n",
    ] {
        assert_eq!(scanned(bytes), Scan::No, "{}", bytes.escape_ascii());
    }
}

#[test]
fn code_behind_a_long_argument_is_found() {
    let far =
        |head: &[u8], len: usize| [head, &vec![b'a'; len], b"0cos\nsystem\n(S'id'\ntR."].concat();
    assert!(is_pickle(&far(b"X\0\0\x30\0", 3 << 20)));
    assert!(is_pickle(&far(b"\x8e\0\0\x30\0\0\0\0\0", 3 << 20)));
    let line = [&b"I"[..], &vec![b'1'; 3 << 20], b"\n0cos\nsystem\n(S'id'\ntR."].concat();
    assert!(is_pickle(&line));
    // The name itself lies where nothing is held yet: a read brings 4 KiB and the byte asked for.
    let at = limits::CONTENT_HEAD as usize - 5 - 2;
    let mut bytes = far(b"X\0\0\0\0", at);
    bytes[1..5].copy_from_slice(&(at as u32).to_le_bytes());
    assert!(is_pickle(&bytes));
}

#[test]
fn a_valid_safetensors_that_is_also_a_pickle_is_found() {
    // The header's length reads as BINUNICODE of 138 bytes; that ends in a metadata text, from where SHORT_BINSTRING
    // leads in steps of 128 bytes through the header into a tensor.
    let len = 0x8a58;
    let (start, end) = (
        r#"{"__metadata__":{"x":""#,
        r#""},"a":{"dtype":"U8","shape":[999],"data_offsets":[0,999]}}"#,
    );
    let mut bytes = [&(len as u64).to_le_bytes()[..], &vec![b'z'; len], &[b'N'; 999]].concat();
    bytes[8..8 + start.len()].copy_from_slice(start.as_bytes());
    bytes[8 + len - end.len()..8 + len].copy_from_slice(end.as_bytes());
    let mut at = 5 + 138;
    while at < 8 + len {
        bytes[at..at + 2].copy_from_slice(b"U~");
        at += 128;
    }
    let sort = |bytes: &[u8]| crate::card::content::tests::judged("m.safetensors", bytes).0.verdict;
    assert_eq!(sort(&bytes), Verdict::Plain);
    let evil = b"cos\nsystem\n(S'id'\ntR.";
    bytes[at..at + evil.len()].copy_from_slice(evil);
    let expected = Verdict::Code { what: "pickle", why: "it imports os.system".into() };
    assert_eq!(sort(&bytes), expected);
}

#[test]
fn what_a_list_of_words_may_be_too_stays_undecided() {
    let words = b"cat\ndog\ncow\nhen\nbird\nsnake\n";
    assert_eq!(scanned(words), Scan::Lines);
    assert_eq!(scanned(b"cgc\ncallbacks\ncrunpy\nrun_path\na\xff"), Scan::Lines);
    assert!(is_pickle(b"cgc\ncallbacks\ncrunpy\nrun_path\na."));
    let sort = |path| crate::card::content::tests::judged(path, words).0.verdict;
    assert_eq!(sort("vocab.txt"), Verdict::Plain);
    assert!(matches!(sort("model.bin"), Verdict::Code { what: "pickle", .. }));
}

#[test]
fn lines_that_all_begin_with_v_stay_undecided() {
    let lines = "V0001,1,2\n".repeat(200_000);
    assert_eq!(scanned(lines.as_bytes()), Scan::Lines);
    assert_eq!(scanned(&[b'V'; 2 << 20]), Scan::Lines);
    assert!(is_pickle(&b"N0".repeat(limits::PICKLE_OPS_MAX)));
}

proptest! {
    /// Junk that an unpickler takes before the call must not hide it.
    #[test]
    fn harmless_opcodes_before_a_call_do_not_hide_it(
        junk in prop::collection::vec(prop::sample::select(vec![
            &b"N0"[..], b"(1", b"]0", b"}0", b"K\x010", b"I5\n0", b"Vx y\n0", b"S'a b'\n0", b"X\x02\0\0\0zz0", b"M..0",
            b"J....0", b"G........0", b"NN\x860", b"(NNt0", b"(NNd0", b"(l0", b"N20 "[..3].as_ref(), b"]Na0", b"}NNs0",
            b"]p7\n0", b"]q\x020", b"](Ne0", b"\x88\x89\x8700"[..2].as_ref(), b"L5L\n0", b"F1.5\n0", b"U\x01a0", b"\x95........",
        ]), 0..40),
    ) {
        let bytes = [&junk.concat()[..], b"cos\nsystem\n(S'id'\ntR."].concat();
        prop_assert!(is_pickle(&bytes), "{}", bytes.escape_ascii());
    }
}
