//! Bitswap 1.2.0 messages: the words, and their bytes going out (coming in: [`super::decoder`]).
//!
//! A frame is an unsigned varint length and a protobuf message (Bitswap spec, "Wire format"). Written by hand, since a
//! generated coder would copy every block: here a payload's head is made apart from its data, and the shell writes
//! `head, data, head, data …` vectored.
//!
//! Field numbers, as [`super::decoder`] reads them too: message {1 wantlist, 2 blocks (1.0.0), 3 payload, 4 presences,
//! 5 pendingBytes}; wantlist {1 entries, 2 full}; entry {1 CID, 2 priority, 3 cancel, 4 type, 5 sendDontHave}; payload
//! {1 prefix, 2 data}; presence {1 CID, 2 type}.

use bytes::Bytes;
use cid::Version;

use crate::dag::Cid;
use crate::dag::block::{DAG_PB, SHA2_256, cid_v1, multihash};
use crate::limits;

use super::wire::{Malformed, put_field, put_varint, varint};

/// What is wanted of a CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WantKind {
    /// The block itself.
    Block,
    /// To know whether the peer has it.
    Have,
}

/// One line of a wantlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub cid: Cid,
    /// The block or only its presence.
    pub kind: WantKind,
    /// Higher first.
    pub priority: i32,
    /// Takes an earlier want back; all but `cid` is then without meaning.
    pub cancel: bool,
    /// Asks for DONT_HAVE in place of silence.
    pub send_dont_have: bool,
}

/// Wants of the sender.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wantlist {
    /// Replaces all wants sent before; otherwise a patch to them.
    pub full: bool,
    /// Wants and cancels. A CID that occurs twice: block beats have, cancel beats both.
    pub entries: Vec<Entry>,
}

/// What the sender says of a CID that was wanted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// It has the block.
    Have,
    /// It has not.
    DontHave,
}

/// A message less its payload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    /// Wants and cancels.
    pub wantlist: Option<Wantlist>,
    /// Answers to wants.
    pub presences: Vec<(Cid, Presence)>,
    /// Bytes the sender still has queued for us. Informative.
    pub pending_bytes: i32,
}

impl Control {
    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.presences.is_empty()
            && self.pending_bytes == 0
            && self.wantlist.as_ref().is_none_or(|list| !list.full && list.entries.is_empty())
    }
}

/// A CID less its digest: what goes over the wire before a block's data, so that the receiver must hash.
///
/// Decoded ones are always sha2-256 of 32 bytes, and dag-pb if of version 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    version: Version,
    codec: u64,
    hash_code: u64,
    hash_len: u64,
}

impl Prefix {
    /// The prefix of a CID: of the one that was wanted, not of the one a block is stored under.
    pub fn from_cid(cid: &Cid) -> Self {
        let hash = cid.hash();
        Self {
            version: cid.version(),
            codec: cid.codec(),
            hash_code: hash.code(),
            hash_len: u64::from(hash.size()),
        }
    }

    /// The CID of the block whose bytes have this SHA2-256 digest.
    pub fn rebuild(&self, digest: &[u8; 32]) -> Cid {
        match self.version {
            Version::V0 => Cid::new_v0(multihash(*digest)).expect("a 32 byte sha2-256"),
            Version::V1 => cid_v1(self.codec, *digest),
        }
    }

    /// Four varints: version, codec, hash function, digest length.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8);
        for value in [self.version.into(), self.codec, self.hash_code, self.hash_len] {
            put_varint(&mut out, value);
        }
        out
    }

    /// Reads a prefix back.
    ///
    /// # Errors
    /// [`Malformed::Prefix`] for anything but four varints that make sense, [`Malformed::Hash`] for a hash other than
    /// 32 bytes of SHA2-256: we never ask for those, so nobody has a reason to send them.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        let mut field = || -> Result<u64, Malformed> {
            let (value, used) = varint(rest)?.ok_or(Malformed::Prefix)?;
            rest = &rest[used..];
            Ok(value)
        };
        let (version, codec, hash_code, hash_len) = (field()?, field()?, field()?, field()?);
        if hash_code != SHA2_256 || hash_len != 32 {
            return Err(Malformed::Hash { code: hash_code });
        }
        let version = match version {
            0 if codec == DAG_PB => Version::V0,
            1 => Version::V1,
            _ => return Err(Malformed::Prefix),
        };
        if !rest.is_empty() {
            return Err(Malformed::Prefix);
        }
        Ok(Self { version, codec, hash_code, hash_len })
    }
}

/// The frames of a message without payload, each with its length prefix.
///
/// Each stays below [`limits::CONTROL_FRAME`] and carries at most [`limits::MESSAGE_WANTS`] entries and as many
/// presences, so a receiver that drops the surplus (Kubo, Helia, we) drops nothing. Only the first frame of a full
/// wantlist says so; the others patch it. Empty for an empty control.
pub fn encode_control(control: &Control) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut frame = Frame::default();
    if let Some(list) = &control.wantlist {
        frame.full = list.full;
        for entry in &list.entries {
            let bytes = encode_entry(entry);
            if frame.entry_count == limits::MESSAGE_WANTS || !frame.fits(bytes.len()) {
                frames.push(std::mem::take(&mut frame).finish());
            }
            put_field(&mut frame.entries, 1, &bytes);
            frame.entry_count += 1;
        }
    }
    for (cid, presence) in &control.presences {
        let mut bytes = Vec::with_capacity(48);
        put_field(&mut bytes, 1, &cid.to_bytes());
        if *presence == Presence::DontHave {
            bytes.extend_from_slice(&[2 << 3, 1]);
        }
        if frame.presence_count == limits::MESSAGE_WANTS || !frame.fits(bytes.len()) {
            frames.push(std::mem::take(&mut frame).finish());
        }
        put_field(&mut frame.presences, 4, &bytes);
        frame.presence_count += 1;
    }
    frame.pending_bytes = control.pending_bytes;
    if !frame.is_empty() {
        frames.push(frame.finish());
    }
    frames
}

/// What goes before each block's data. Written in turn, `heads[0], data 0, heads[1], data 1 …`, they are whole frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadHeads {
    /// As many as blocks. The first one, and every one that starts a further frame, begins with the frame's length.
    pub heads: Vec<Bytes>,
    /// Bytes of all heads and all data together.
    pub wire_len: usize,
}

/// The heads for blocks of these prefixes and lengths, which must each be at most [`limits::BLOCK_MAX`].
///
/// They share one frame while it stays below [`limits::MESSAGE_MAX`]; what an [`super::Output::Serve`] names always
/// does.
pub fn encode_payload_heads(blocks: &[(Prefix, usize)]) -> PayloadHeads {
    let mut heads: Vec<Vec<u8>> = blocks.iter().map(|(p, len)| payload_head(p, *len)).collect();
    let size = |i: usize, heads: &[Vec<u8>]| heads[i].len() + blocks[i].1;
    let mut start = 0;
    while start < blocks.len() {
        let mut total = size(start, &heads);
        let mut end = start + 1;
        while end < blocks.len() && total + size(end, &heads) <= limits::MESSAGE_MAX {
            total += size(end, &heads);
            end += 1;
        }
        let mut head = Vec::with_capacity(heads[start].len() + 5);
        put_varint(&mut head, total as u64);
        head.append(&mut heads[start]);
        heads[start] = head;
        start = end;
    }
    let wire_len = (0..blocks.len()).map(|i| size(i, &heads)).sum();
    PayloadHeads { heads: heads.into_iter().map(Bytes::from).collect(), wire_len }
}

/// One frame of wants and presences in the making.
#[derive(Default)]
struct Frame {
    full: bool,
    entries: Vec<u8>,
    entry_count: usize,
    presences: Vec<u8>,
    presence_count: usize,
    pending_bytes: i32,
}

impl Frame {
    /// Room for tags, lengths, `full` and `pendingBytes`.
    const OVERHEAD: usize = 48;

    fn is_empty(&self) -> bool {
        !self.full && self.entry_count == 0 && self.presence_count == 0 && self.pending_bytes == 0
    }

    fn fits(&self, more: usize) -> bool {
        self.entries.len() + self.presences.len() + more + Self::OVERHEAD <= limits::CONTROL_FRAME
    }

    fn finish(mut self) -> Bytes {
        let mut body = Vec::with_capacity(self.entries.len() + self.presences.len() + 32);
        if self.full {
            self.entries.extend_from_slice(&[2 << 3, 1]);
        }
        if !self.entries.is_empty() {
            put_field(&mut body, 1, &self.entries);
        }
        body.append(&mut self.presences);
        if self.pending_bytes != 0 {
            body.push(5 << 3);
            // protobuf's int32: a negative one is sign-extended to ten bytes
            put_varint(&mut body, i64::from(self.pending_bytes) as u64);
        }
        let mut out = Vec::with_capacity(body.len() + 4);
        put_varint(&mut out, body.len() as u64);
        out.append(&mut body);
        out.into()
    }
}

fn encode_entry(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(56);
    put_field(&mut out, 1, &entry.cid.to_bytes());
    if entry.priority != 0 {
        out.push(2 << 3);
        put_varint(&mut out, i64::from(entry.priority) as u64);
    }
    if entry.cancel {
        out.extend_from_slice(&[3 << 3, 1]);
    }
    if entry.kind == WantKind::Have {
        out.extend_from_slice(&[4 << 3, 1]);
    }
    if entry.send_dont_have {
        out.extend_from_slice(&[5 << 3, 1]);
    }
    out
}

/// A payload field up to its data: tag, length, prefix, tag and length of the data.
fn payload_head(prefix: &Prefix, len: usize) -> Vec<u8> {
    let mut inner = Vec::with_capacity(16);
    put_field(&mut inner, 1, &prefix.encode());
    inner.push(2 << 3 | 2);
    put_varint(&mut inner, len as u64);
    let mut out = Vec::with_capacity(24);
    out.push(3 << 3 | 2);
    put_varint(&mut out, (inner.len() + len) as u64);
    out.append(&mut inner);
    out
}
