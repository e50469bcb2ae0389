//! Bitswap messages as bytes, the broken ones too, and what the daemon's messages say.
//!
//! What is well formed is made by the program's own encoder; only what it would never write is put together here.
//! Format: Bitswap 1.2.0, as `exchange::message` names its fields.

use bytes::BytesMut;
use modelswarm::{
    dag::{Block, Cid},
    exchange::{
        Decoded, Decoder,
        message::{
            Control, Entry, Prefix, Presence, WantKind, Wantlist, encode_control,
            encode_payload_heads,
        },
    },
};

/// An unsigned varint.
pub(super) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// The value of a whole varint.
pub(super) fn value(varint: &[u8]) -> usize {
    varint.iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f))
}

/// A length-delimited protobuf field.
pub(super) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], &varint(content.len() as u64)[..], content].concat()
}

/// A message with its length before it.
pub(super) fn frame(message: &[u8]) -> Vec<u8> {
    [&varint(message.len() as u64)[..], message].concat()
}

/// A message of wants for bytes that may be no CID: blocks, with DONT_HAVE asked for.
pub(super) fn wants_of_bytes(cids: &[Vec<u8>]) -> Vec<u8> {
    entries(cids, [5 << 3, 1])
}

/// A message that takes wants back.
pub(super) fn cancels(cids: &[Vec<u8>]) -> Vec<u8> {
    entries(cids, [3 << 3, 1])
}

/// One message, however many there are; the program itself would split it.
fn entries(cids: &[Vec<u8>], flag: [u8; 2]) -> Vec<u8> {
    let entry = |cid: &Vec<u8>| field(1, &[&field(1, cid)[..], &flag].concat());
    frame(&field(1, &cids.iter().flat_map(entry).collect::<Vec<u8>>()))
}

/// A message of at most 1,024 wants.
pub(super) fn wants(kind: WantKind, cids: &[Cid]) -> Vec<u8> {
    let entry =
        |cid: &Cid| Entry { cid: *cid, kind, priority: 1, cancel: false, send_dont_have: true };
    let entries = cids.iter().map(entry).collect();
    let wantlist = Some(Wantlist { full: false, entries });
    encode_control(&Control { wantlist, ..Control::default() }).concat()
}

/// A message that says HAVE.
pub(super) fn have(cid: &Cid) -> Vec<u8> {
    let presences = vec![(*cid, Presence::Have)];
    encode_control(&Control { presences, ..Control::default() }).concat()
}

/// What comes before this many bytes of a block: a frame that carries it alone, up to its data.
pub(super) fn head(cid: &Cid, len: usize) -> Vec<u8> {
    encode_payload_heads(&[(Prefix::from_cid(cid), len)]).heads.concat()
}

/// A message with a block.
pub(super) fn block(block: &Block) -> Vec<u8> {
    [&head(block.cid(), block.data().len())[..], block.data()].concat()
}

/// What further bytes of a stream say.
pub(super) fn decode(decoder: &mut Decoder, mut bytes: &[u8]) -> Vec<Decoded> {
    let mut decoded = Vec::new();
    loop {
        decoded.extend(std::iter::from_fn(|| decoder.next()));
        if let Some(len) = decoder.awaiting() {
            decoder.admit(BytesMut::zeroed(len)).expect("the daemon writes Bitswap");
            continue;
        }
        if bytes.is_empty() {
            return decoded;
        }
        let space = decoder.space();
        let n = space.len().min(bytes.len());
        space[..n].copy_from_slice(&bytes[..n]);
        bytes = &bytes[n..];
        decoder.filled(n).expect("the daemon writes Bitswap");
    }
}

/// The blocks among them.
pub(super) fn blocks(decoded: &[Decoded]) -> Vec<Block> {
    let block = |one: &Decoded| match one {
        Decoded::Payload { prefix, data } => {
            let cid = prefix.rebuild(&modelswarm::dag::block::sha256(data));
            Some(Block::verify(cid, data.clone()).expect("just hashed"))
        }
        Decoded::Control(_) => None,
    };
    decoded.iter().filter_map(block).collect()
}

/// The wants among them.
pub(super) fn wanted(decoded: &[Decoded]) -> Vec<Entry> {
    let entries = |one: &Decoded| match one {
        Decoded::Control(Control { wantlist: Some(list), .. }) => list.entries.clone(),
        _ => Vec::new(),
    };
    decoded.iter().flat_map(entries).filter(|entry| !entry.cancel).collect()
}

/// Of what the message says HAVE or DONT_HAVE.
pub(super) fn presences(decoded: &Decoded) -> Vec<(Cid, Presence)> {
    match decoded {
        Decoded::Control(control) => control.presences.clone(),
        Decoded::Payload { .. } => Vec::new(),
    }
}
