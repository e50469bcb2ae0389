//! Hostile, odd and ordinary bytes.

use proptest::prelude::*;

use super::*;
use crate::dag::block::{DAG_PB, Multihash, RAW, cid_v1, multihash, sha256};
use crate::exchange::message::{encode_control, encode_payload_heads};
use crate::exchange::wire::{put_field, put_varint};

/// Decodes all of `bytes`, given in pieces of at most `piece`.
fn decode(bytes: &[u8], piece: usize) -> (Vec<Decoded>, Result<bool, Malformed>) {
    let mut decoder = Decoder::new();
    let mut all = Vec::new();
    let mut rest = bytes;
    let result = (|| {
        loop {
            if let Some(len) = decoder.awaiting() {
                assert!(len <= limits::BLOCK_MAX);
                decoder.admit(BytesMut::new())?;
                continue;
            }
            if rest.is_empty() {
                return Ok(decoder.at_boundary());
            }
            let space = decoder.space();
            assert!(!space.is_empty());
            let n = piece.min(space.len()).min(rest.len());
            space[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            decoder.filled(n)?;
        }
    })();
    while let Some(decoded) = decoder.next() {
        all.push(decoded);
    }
    assert!(all.len() <= bytes.len());
    (all, result)
}

fn good(bytes: &[u8]) -> Vec<Decoded> {
    let (all, result) = decode(bytes, usize::MAX);
    assert_eq!(result, Ok(true));
    all
}

fn bad(bytes: &[u8]) -> Malformed {
    decode(bytes, usize::MAX).1.expect_err("this is no message")
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, body.len() as u64);
    out.extend_from_slice(body);
    out
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_field(&mut out, number, bytes);
    out
}

fn a_cid(n: u64) -> Cid {
    cid_v1(RAW, sha256(&n.to_le_bytes()))
}

/// A message with one entry of this CID and these further fields.
fn want(cid: &[u8], more: &[u8]) -> Vec<u8> {
    frame(&field(1, &field(1, &[field(1, cid), more.to_vec()].concat())))
}

/// A message with one payload of these fields.
fn payload(fields: &[Vec<u8>]) -> Vec<u8> {
    frame(&field(3, &fields.concat()))
}

fn entries(decoded: &[Decoded]) -> Vec<Entry> {
    let controls = decoded.iter().filter_map(|d| match d {
        Decoded::Control(control) => control.wantlist.clone(),
        Decoded::Payload { .. } => None,
    });
    controls.flat_map(|list| list.entries).collect()
}

const PREFIX: [u8; 4] = [1, 0x55, 0x12, 32];

#[test]
fn a_message_as_the_spec_writes_it_is_understood() {
    // CIDv1 raw sha2-256 of 32 zero bytes for a digest
    let cid = [&[0x01, 0x55, 0x12, 0x20][..], &[0; 32]].concat();
    let entry = [&[0x0a, 36][..], &cid, &[0x10, 7, 0x20, 1, 0x28, 1]].concat();
    let presence = [&[0x0a, 36][..], &cid, &[0x10, 1]].concat();
    let body = [
        &[0x0a, entry.len() as u8 + 4, 0x0a, entry.len() as u8][..],
        &entry,
        &[0x10, 1],
        &[0x1a, 11, 0x0a, 4, 1, 0x55, 0x12, 32, 0x12, 3, b'a', b'b', b'c'],
        &[0x22, presence.len() as u8],
        &presence,
        &[0x28, 5],
    ]
    .concat();
    let cid = cid_v1(RAW, [0; 32]);
    let kind = WantKind::Have;
    let entries = vec![Entry { cid, kind, priority: 7, cancel: false, send_dont_have: true }];
    assert_eq!(
        good(&frame(&body)),
        [
            Decoded::Payload { prefix: Prefix::from_cid(&cid), data: Bytes::from_static(b"abc") },
            Decoded::Control(Control {
                wantlist: Some(Wantlist { full: true, entries }),
                presences: vec![(cid, Presence::DontHave)],
                pending_bytes: 5,
            })
        ]
    );
}

#[test]
fn payload_bytes_land_in_the_buffer_that_was_admitted() {
    let cid = a_cid(1);
    let data = vec![7; 100_000];
    let heads = encode_payload_heads(&[(Prefix::from_cid(&cid), data.len())]);
    let mut decoder = Decoder::new();
    let head = &heads.heads[0];
    decoder.space()[..head.len()].copy_from_slice(head);
    decoder.filled(head.len()).expect("a head");
    assert_eq!(decoder.awaiting(), Some(data.len()));
    assert!(decoder.space().is_empty());
    let buffer = BytesMut::zeroed(data.len());
    let at = buffer.as_ptr();
    decoder.admit(buffer).expect("a buffer");
    assert_eq!(decoder.awaiting(), None);
    assert_eq!(decoder.space().len(), data.len());
    decoder.space().copy_from_slice(&data);
    decoder.filled(data.len()).expect("the data");
    match decoder.next() {
        Some(Decoded::Payload { data, .. }) => assert_eq!(data.as_ptr(), at),
        other => panic!("{other:?}"),
    }
    assert!(decoder.at_boundary());
}

#[test]
fn a_buffer_used_before_is_cut_to_the_payload() {
    let bytes = payload(&[field(1, &PREFIX), field(2, b"abc")]);
    let mut decoder = Decoder::new();
    decoder.space()[..bytes.len()].copy_from_slice(&bytes);
    decoder.filled(bytes.len()).expect("a message");
    decoder.admit(BytesMut::from(&[9; 50][..])).expect("a buffer");
    let data = Bytes::from_static(b"abc");
    let prefix = Prefix::decode(&PREFIX).expect("a prefix");
    assert_eq!(decoder.next(), Some(Decoded::Payload { prefix, data }));
}

#[test]
fn a_message_above_the_limit_is_refused_by_its_length_alone() {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, limits::MESSAGE_MAX as u64 + 1);
    assert_eq!(bad(&bytes), Malformed::MessageTooLong { len: limits::MESSAGE_MAX as u64 + 1 });
}

#[test]
fn a_block_above_the_limit_is_refused_before_its_buffer_is_asked_for() {
    let len = limits::BLOCK_MAX as u64 + 1;
    let mut inner = field(1, &PREFIX);
    inner.push(0x12);
    put_varint(&mut inner, len);
    let mut bytes = Vec::new();
    put_varint(&mut bytes, 3 << 20);
    bytes.push(0x1a);
    put_varint(&mut bytes, inner.len() as u64 + len);
    bytes.extend_from_slice(&inner);
    assert_eq!(bad(&bytes), Malformed::BlockTooLong { len });
    assert_eq!(bad(&bytes).fault(), super::super::Fault::Oversized);
}

#[test]
fn a_cid_above_the_limit_is_refused() {
    let bytes = want(&[1; limits::CID_MAX + 1], &[]);
    assert_eq!(bad(&bytes), Malformed::CidTooLong { len: limits::CID_MAX as u64 + 1 });
}

#[test]
fn identity_cids_and_digests_that_no_block_here_has_are_left_out_silently() {
    let identity = [&[1, 0x55, 0, 5][..], b"hello"].concat();
    assert_eq!(good(&want(&identity, &[])), []);
    let long = [&[1, 0x55, 0x14, 100][..], &[3; 100]].concat();
    assert_eq!(good(&want(&long, &[])), []);
}

#[test]
fn garbage_in_the_place_of_a_cid_is_refused() {
    for garbage in [&b""[..], b"x", &[0x12, 0x20, 1], &[0; 36], &[1, 0x55, 0x12, 0x21, 0]] {
        assert_eq!(bad(&want(garbage, &[])), Malformed::Cid, "{garbage:?}");
    }
    assert_eq!(bad(&frame(&field(1, &field(1, &[0x10, 1])))), Malformed::Cid);
    assert_eq!(bad(&frame(&field(4, &[]))), Malformed::Cid);
}

#[test]
fn version_0_cids_are_understood() {
    let cid = Cid::new_v0(multihash([4; 32])).expect("a CIDv0");
    assert_eq!(entries(&good(&want(&cid.to_bytes(), &[])))[0].cid, cid);
    let prefix = Prefix::decode(&[0, 0x70, 0x12, 32]).expect("a prefix");
    assert_eq!(prefix, Prefix::from_cid(&cid));
    assert_eq!(prefix.rebuild(&[4; 32]), cid);
}

#[test]
fn unknown_fields_of_all_types_are_skipped() {
    let strange = [
        field(9, &[1; 300]),
        vec![10 << 3, 0xff, 1],
        [vec![11 << 3 | 1], vec![0; 8]].concat(),
        [vec![12 << 3 | 5], vec![0; 4]].concat(),
    ]
    .concat();
    let cid = a_cid(1);
    let bytes = [
        frame(&strange),
        want(&cid.to_bytes(), &strange),
        payload(&[strange.clone(), field(1, &PREFIX), strange.clone(), field(2, b"x")]),
    ]
    .concat();
    let decoded = good(&bytes);
    assert_eq!(entries(&decoded)[0].cid, cid);
    assert_eq!(decoded.len(), 2);
}

#[test]
fn blocks_of_bitswap_1_0_are_skipped_without_a_buffer() {
    let bytes = [frame(&field(2, &[1; 100_000])), want(&a_cid(1).to_bytes(), &[])].concat();
    assert_eq!(entries(&good(&bytes)).len(), 1);
}

#[test]
fn data_may_come_before_its_prefix_and_may_be_missing() {
    let prefix = Prefix::decode(&PREFIX).expect("a prefix");
    let bytes = payload(&[field(2, b"abc"), field(1, &PREFIX)]);
    let data = Bytes::from_static(b"abc");
    assert_eq!(good(&bytes), [Decoded::Payload { prefix, data }]);
    let data = Bytes::new();
    assert_eq!(good(&payload(&[field(1, &PREFIX)])), [Decoded::Payload { prefix, data }]);
}

#[test]
fn payloads_that_make_no_sense_are_refused() {
    assert_eq!(bad(&payload(&[field(2, b"abc")])), Malformed::Prefix);
    assert_eq!(bad(&payload(&[field(1, &[1, 0x55])])), Malformed::Prefix);
    assert_eq!(bad(&payload(&[field(1, &[1, 0x55, 0x12, 32, 0])])), Malformed::Prefix);
    assert_eq!(bad(&payload(&[field(1, &[2, 0x55, 0x12, 32])])), Malformed::Prefix);
    assert_eq!(bad(&payload(&[field(1, &[0, 0x55, 0x12, 32])])), Malformed::Prefix);
    assert_eq!(bad(&payload(&[field(1, &[1, 0x55, 0x13, 64])])), Malformed::Hash { code: 0x13 });
    let twice = payload(&[field(1, &PREFIX), field(2, b"a"), field(2, b"b")]);
    assert_eq!(bad(&twice), Malformed::Repeated);
}

#[test]
fn fields_that_end_outside_their_message_are_refused() {
    assert_eq!(bad(&[2, 0x0a, 9]), Malformed::Truncated);
    assert_eq!(bad(&[1, 0x0a, 0]), Malformed::Truncated);
    assert_eq!(bad(&[2, 0x28, 0x80, 1]), Malformed::Truncated);
    assert_eq!(bad(&[2, 0x71, 0, 0]), Malformed::Truncated);
}

#[test]
fn varints_and_wire_types_that_do_not_exist_are_refused() {
    assert_eq!(bad(&[0xff; 10]), Malformed::Varint);
    assert_eq!(bad(&frame(&[&[0x28][..], &[0xff; 11]].concat())), Malformed::Varint);
    assert_eq!(bad(&frame(&[0x73, 0])), Malformed::WireType { wire_type: 3 });
    assert_eq!(bad(&frame(&[0x08, 0])), Malformed::WireType { wire_type: 0 });
    assert_eq!(bad(&frame(&[0x02, 0])), Malformed::WireType { wire_type: 2 });
}

#[test]
fn negative_priorities_survive() {
    let cid = a_cid(1);
    let kind = WantKind::Block;
    let entry = Entry { cid, kind, priority: -7, cancel: false, send_dont_have: false };
    let list = Wantlist { full: false, entries: vec![entry.clone()] };
    let control = Control { wantlist: Some(list), presences: Vec::new(), pending_bytes: -1 };
    let frames = encode_control(&control);
    assert_eq!(good(&frames.concat()), [Decoded::Control(control)]);
}

#[test]
fn wants_beyond_the_cap_are_dropped_and_cancels_are_not() {
    let mut list = Vec::new();
    for i in 0..limits::MESSAGE_WANTS as u64 + 50 {
        list.extend(field(1, &field(1, &a_cid(i).to_bytes())));
    }
    for i in 0..2000 {
        list.extend(field(1, &[field(1, &a_cid(i).to_bytes()), vec![0x18, 1]].concat()));
    }
    let entries = entries(&good(&frame(&field(1, &list))));
    assert_eq!(entries.iter().filter(|e| !e.cancel).count(), limits::MESSAGE_WANTS);
    assert_eq!(entries.iter().filter(|e| e.cancel).count(), 2000);
}

#[test]
fn a_stream_that_ends_inside_a_message_is_not_at_a_boundary() {
    let bytes = want(&a_cid(1).to_bytes(), &[]);
    let (_, result) = decode(&bytes[..bytes.len() - 1], usize::MAX);
    assert_eq!(result, Ok(false));
    assert_eq!(decode(&[0x80], 1).1, Ok(false));
}

#[test]
fn what_came_before_the_fault_is_still_there_and_nothing_after() {
    let bytes = [want(&a_cid(1).to_bytes(), &[]), vec![0xff; 10], want(&a_cid(2).to_bytes(), &[])];
    let (decoded, result) = decode(&bytes.concat(), usize::MAX);
    assert_eq!(result, Err(Malformed::Varint));
    assert_eq!(entries(&decoded).len(), 1);
}

#[test]
fn empty_messages_say_nothing() {
    assert_eq!(good(&[0; 5000]), []);
}

fn any_cid() -> impl Strategy<Value = Cid> {
    (any::<[u8; 32]>(), 0..4).prop_map(|(digest, kind)| match kind {
        0 => Cid::new_v0(multihash(digest)).expect("a CIDv0"),
        1 => cid_v1(DAG_PB, digest),
        2 => Cid::new_v1(RAW, Multihash::wrap(0x13, &[digest, digest].concat()).expect("fits")),
        _ => cid_v1(RAW, digest),
    })
}

fn any_control() -> impl Strategy<Value = Control> {
    let entry = (any_cid(), any::<bool>(), any::<i32>(), any::<bool>(), any::<bool>()).prop_map(
        |(cid, have, priority, cancel, send_dont_have)| {
            let kind = if have { WantKind::Have } else { WantKind::Block };
            Entry { cid, kind, priority, cancel, send_dont_have }
        },
    );
    let list = (any::<bool>(), prop::collection::vec(entry, 0..20))
        .prop_map(|(full, entries)| Wantlist { full, entries });
    let presence = any::<bool>().prop_map(|h| if h { Presence::Have } else { Presence::DontHave });
    let presences = prop::collection::vec((any_cid(), presence), 0..20);
    (prop::option::of(list), presences, any::<i32>()).prop_map(
        |(wantlist, presences, pending_bytes)| Control { wantlist, presences, pending_bytes },
    )
}

/// Two controls are the same on the wire: an empty list that is not full is no list.
fn normal(mut control: Control) -> Control {
    if control.wantlist.as_ref().is_some_and(|l| !l.full && l.entries.is_empty()) {
        control.wantlist = None;
    }
    control
}

proptest! {
    #[test]
    fn any_bytes_never_panic_and_never_hold_more_than_the_limits(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        piece in 1_usize..500,
    ) {
        let (decoded, _) = decode(&bytes, piece);
        for decoded in decoded {
            if let Decoded::Control(control) = decoded {
                prop_assert!(entries(&[Decoded::Control(control)]).len() <= limits::MESSAGE_WANTS);
            }
        }
    }

    #[test]
    fn damaged_messages_never_panic(
        control in any_control(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encode_control(&control).concat();
        bytes.extend(payload(&[field(1, &PREFIX), field(2, b"some data")]));
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (decoded, _) = decode(&bytes, 7);
        prop_assert!(decoded.len() <= bytes.len());
    }

    #[test]
    fn control_comes_back_as_it_went(control in any_control(), piece in 1_usize..100) {
        let bytes = encode_control(&control).concat();
        let (decoded, result) = decode(&bytes, piece);
        prop_assert_eq!(result, Ok(true));
        let control = normal(control);
        let expected = if control.is_empty() { vec![] } else { vec![Decoded::Control(control)] };
        prop_assert_eq!(decoded, expected);
    }

    #[test]
    fn payloads_come_back_as_they_went_in_any_pieces(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20_000), 1..6),
        piece in 1_usize..10_000,
    ) {
        let heads: Vec<(Prefix, usize)> = blocks
            .iter()
            .map(|data| (Prefix::from_cid(&cid_v1(RAW, sha256(data))), data.len()))
            .collect();
        let heads = encode_payload_heads(&heads);
        let mut bytes = Vec::new();
        for (head, data) in heads.heads.iter().zip(&blocks) {
            bytes.extend_from_slice(head);
            bytes.extend_from_slice(data);
        }
        prop_assert_eq!(bytes.len(), heads.wire_len);
        let (decoded, result) = decode(&bytes, piece);
        prop_assert_eq!(result, Ok(true));
        let cids: Vec<Cid> = decoded
            .iter()
            .map(|d| match d {
                Decoded::Payload { prefix, data } => prefix.rebuild(&sha256(data)),
                Decoded::Control(_) => panic!("no control was sent"),
            })
            .collect();
        let sent: Vec<Cid> = blocks.iter().map(|data| cid_v1(RAW, sha256(data))).collect();
        prop_assert_eq!(cids, sent);
    }

    #[test]
    fn any_prefix_bytes_are_refused_or_come_back(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        if let Ok(prefix) = Prefix::decode(&bytes) {
            prop_assert_eq!(Prefix::decode(&prefix.encode()), Ok(prefix));
            prop_assert_eq!(Prefix::from_cid(&prefix.rebuild(&[0; 32])), prefix);
        }
    }
}

#[test]
fn big_controls_go_in_frames_that_nobody_cuts() {
    let entries: Vec<Entry> = (0..5000)
        .map(|i| Entry {
            cid: a_cid(i),
            kind: WantKind::Have,
            priority: i as i32,
            cancel: false,
            send_dont_have: true,
        })
        .collect();
    let presences = (0..3000).map(|i| (a_cid(i), Presence::DontHave)).collect();
    let list = Wantlist { full: true, entries: entries.clone() };
    let control = Control { wantlist: Some(list), presences, pending_bytes: 0 };
    let frames = encode_control(&control);
    let mut full = 0;
    let (mut back, mut presences) = (Vec::new(), 0);
    for frame in frames {
        assert!(frame.len() <= limits::CONTROL_FRAME);
        for decoded in good(&frame) {
            let Decoded::Control(control) = decoded else { panic!("no payload was sent") };
            let list = control.wantlist.unwrap_or_default();
            full += usize::from(list.full);
            assert!(!list.full || back.is_empty(), "a full list that is not the first");
            back.extend(list.entries);
            presences += control.presences.len();
        }
    }
    assert_eq!((full, presences), (1, 3000));
    assert_eq!(back, entries);
}

#[test]
fn blocks_share_a_frame_while_it_is_within_the_limit() {
    let prefix = Prefix::from_cid(&cid_v1(RAW, [0; 32]));
    let heads = encode_payload_heads(&[(prefix, limits::CHUNK); 5]);
    // three and two: the fourth head of 1 MiB would pass 4 MiB
    let mut at = 0;
    for frame in [3, 2] {
        let (len, used) = varint(&heads.heads[at]).expect("a varint").expect("whole");
        let heads = &heads.heads[at..at + frame];
        let body: usize = heads.iter().map(|h| h.len() + limits::CHUNK).sum();
        assert_eq!(len as usize, body - used);
        at += frame;
    }
}

#[test]
fn a_refused_payload_is_passed_over_and_what_follows_is_understood() {
    let big = vec![7; 3 * limits::DECODER_SCRATCH];
    let bytes = [
        payload(&[field(1, &PREFIX), field(2, &big)]),
        payload(&[field(2, b"x"), field(1, &PREFIX)]),
    ]
    .concat();
    for piece in [1, 100, usize::MAX] {
        let mut decoder = Decoder::new();
        let (mut rest, mut refused) = (&bytes[..], 0);
        while !rest.is_empty() || decoder.awaiting().is_some() {
            match decoder.awaiting() {
                Some(len) if len == big.len() => {
                    refused += 1;
                    decoder.refuse().expect("a good message");
                }
                Some(_) => decoder.admit(BytesMut::new()).expect("a good message"),
                None => {
                    let space = decoder.space();
                    let n = piece.min(space.len()).min(rest.len());
                    space[..n].copy_from_slice(&rest[..n]);
                    rest = &rest[n..];
                    decoder.filled(n).expect("a good message");
                }
            }
        }
        assert!(decoder.at_boundary());
        assert_eq!(refused, 1);
        let data = Bytes::from_static(b"x");
        let prefix = Prefix::from_cid(&a_cid(1));
        assert_eq!(decoder.next(), Some(Decoded::Payload { prefix, data }));
        assert_eq!(decoder.next(), None);
    }
}
