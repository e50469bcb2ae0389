//! Bytes to messages: incremental, bounded, without copying payloads.
//!
//! A [`Decoder`] belongs to one inbound stream, on which many frames follow one another. It walks the protobuf field by
//! field, so what it holds does not grow with the frame: [`limits::DECODER_SCRATCH`] bytes it has not understood yet,
//! the message's wants and presences up to their caps, and one payload's buffer. That buffer is the caller's to give:
//!
//! ```text
//! loop {
//!     while let Some(decoded) = decoder.next() { … }
//!     if let Some(len) = decoder.awaiting() {          // nothing allocated yet: wait for memory here
//!         decoder.admit(BytesMut::zeroed(len))?;       // or a buffer used before; or `decoder.refuse()?`
//!         continue;
//!     }
//!     match stream.read(decoder.space()).await? {      // straight into the payload's buffer, if inside one
//!         0 => break,                                  // clean if decoder.at_boundary()
//!         n => decoder.filled(n)?,
//!     }
//! }
//! ```
//!
//! What it is lenient about, since the spec or the field is: unknown fields are skipped; blocks of Bitswap 1.0 (field
//! 2) are skipped too, as no 1.2.0 peer sends them; data may come before its prefix; missing data is an empty block;
//! identity CIDs and digests above 64 bytes are left out silently (boxo #1117); wants beyond the cap are dropped. Every
//! other oddity is [`Malformed`], after which the decoder stays broken: close the stream.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::dag::Cid;
use crate::limits;

use super::message::{Control, Entry, Prefix, Presence, WantKind, Wantlist};
use super::wire::{Malformed, parse_cid, varint};

/// What a [`Decoder`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// One block, as soon as it is whole. Its CID: [`Prefix::rebuild`] with the hash of `data`.
    Payload {
        /// All of the CID but the digest.
        prefix: Prefix,
        /// The buffer that was admitted for it.
        data: Bytes,
    },
    /// All else of a message, at its end; left out if empty.
    Control(Control),
}

/// An inbound stream's bytes on their way to becoming messages.
pub struct Decoder {
    scratch: Box<[u8]>,
    /// `scratch[start..end]` is read and not understood.
    start: usize,
    end: usize,
    /// The messages inside one another that we are in, outermost first. Each one's `left` counts its own bytes still to
    /// come, those of the inner ones included.
    nesting: Vec<Level>,
    state: State,
    control: Control,
    wants: usize,
    cancels: usize,
    broken: Option<Malformed>,
    decoded: VecDeque<Decoded>,
}

struct Level {
    left: usize,
    kind: Kind,
}

enum Kind {
    Message,
    Wantlist,
    Entry { cid: Option<Option<Cid>>, entry: Flags },
    Payload { prefix: Option<Prefix>, data: Data },
    Presence { cid: Option<Option<Cid>>, presence: Presence },
}

/// A payload's bytes.
#[derive(PartialEq)]
enum Data {
    Missing,
    Refused,
    Here(Bytes),
}

/// An [`Entry`] less its CID.
#[derive(Default)]
struct Flags {
    priority: i32,
    cancel: bool,
    have: bool,
    send_dont_have: bool,
}

enum State {
    /// At the start of a field, or of a frame if there is no nesting.
    Field,
    /// Bytes nobody needs.
    Skip(usize),
    /// A payload's length is known, its buffer not given.
    Await(usize),
    /// `filled` of the buffer's bytes are there.
    Data { buffer: BytesMut, filled: usize },
}

/// A field's value; of length-delimited ones only the length.
enum Value {
    Varint(u64),
    Len(usize),
    Fixed,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self {
            scratch: vec![0; limits::DECODER_SCRATCH].into_boxed_slice(),
            start: 0,
            end: 0,
            nesting: Vec::with_capacity(3),
            state: State::Field,
            control: Control::default(),
            wants: 0,
            cancels: 0,
            broken: None,
            decoded: VecDeque::new(),
        }
    }

    /// Where to read next: the rest of the payload's buffer, or the scratch. Empty only while a payload is
    /// [awaiting](Self::awaiting) its buffer.
    pub fn space(&mut self) -> &mut [u8] {
        match &mut self.state {
            State::Data { buffer, filled } => &mut buffer[*filled..],
            State::Await(_) => &mut [],
            State::Field | State::Skip(_) => {
                if self.start > 0 {
                    self.scratch.copy_within(self.start..self.end, 0);
                    self.end -= self.start;
                    self.start = 0;
                }
                &mut self.scratch[self.end..]
            }
        }
    }

    /// Takes in the first `n` bytes of [`Self::space`].
    ///
    /// # Errors
    /// [`Malformed`], now and ever after: what was decoded before is still there to take, then close the stream.
    ///
    /// # Panics
    /// If `n` is more than there was space.
    pub fn filled(&mut self, n: usize) -> Result<(), Malformed> {
        assert!(n <= self.space().len(), "more bytes than there was space for");
        match &mut self.state {
            State::Data { filled, .. } => {
                *filled += n;
                self.passed(n);
            }
            _ => self.end += n,
        }
        self.run()
    }

    /// The length of the next payload, while it has no buffer: wait for memory, then [`Self::admit`] it.
    pub fn awaiting(&self) -> Option<usize> {
        match self.state {
            State::Await(len) if self.broken.is_none() => Some(len),
            _ => None,
        }
    }

    /// Gives the awaited payload its buffer, which is cut or grown to the payload's length. Does nothing if none is
    /// awaited.
    ///
    /// # Errors
    /// As [`Self::filled`], since what was read ahead is understood now.
    pub fn admit(&mut self, mut buffer: BytesMut) -> Result<(), Malformed> {
        if let State::Await(len) = self.state {
            buffer.resize(len, 0);
            let ahead = len.min(self.end - self.start);
            buffer[..ahead].copy_from_slice(&self.scratch[self.start..self.start + ahead]);
            self.state = State::Data { buffer, filled: ahead };
            self.start += ahead;
            self.passed(ahead);
        }
        self.run()
    }

    /// Passes over the awaited payload: no buffer, and nothing is decoded of it. Does nothing if none is awaited.
    ///
    /// # Errors
    /// As [`Self::filled`], since what was read ahead is understood now.
    pub fn refuse(&mut self) -> Result<(), Malformed> {
        if let State::Await(len) = self.state {
            self.state = State::Skip(len);
            if let Some(Level { kind: Kind::Payload { data, .. }, .. }) = self.nesting.last_mut() {
                *data = Data::Refused;
            }
        }
        self.run()
    }

    /// What was decoded, in the order it came.
    #[expect(clippy::should_implement_trait, reason = "not an iterator: more may come later")]
    pub fn next(&mut self) -> Option<Decoded> {
        self.decoded.pop_front()
    }

    /// Wants, cancels and presences that are held for the message that is coming in.
    pub fn held(&self) -> usize {
        self.wants + self.cancels + self.control.presences.len()
    }

    /// Whether the stream may end here: between two messages.
    pub fn at_boundary(&self) -> bool {
        self.nesting.is_empty() && self.start == self.end && self.broken.is_none()
    }

    /// Understands as much as there is.
    fn run(&mut self) -> Result<(), Malformed> {
        while self.broken.is_none() {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(malformed) => self.broken = Some(malformed),
            }
        }
        self.broken.map_or(Ok(()), Err)
    }

    /// One step; false if it needs more bytes or a buffer.
    fn step(&mut self) -> Result<bool, Malformed> {
        match &mut self.state {
            State::Await(_) => Ok(false),
            State::Data { buffer, filled } if *filled < buffer.len() => Ok(false),
            State::Data { buffer, .. } => {
                let bytes = std::mem::take(buffer).freeze();
                self.state = State::Field;
                if let Some(Level { kind: Kind::Payload { data, .. }, .. }) =
                    self.nesting.last_mut()
                {
                    *data = Data::Here(bytes);
                }
                Ok(true)
            }
            State::Skip(left) => {
                let n = (*left).min(self.end - self.start);
                *left -= n;
                if *left == 0 {
                    self.state = State::Field;
                } else if n == 0 {
                    return Ok(false);
                }
                self.consume(n);
                Ok(true)
            }
            State::Field => match self.nesting.last() {
                None => self.frame(),
                Some(level) if level.left == 0 => {
                    let level = self.nesting.pop().expect("just seen");
                    self.leave(level.kind)?;
                    Ok(true)
                }
                Some(_) => self.field(),
            },
        }
    }

    /// `n` bytes of every open message have passed.
    fn passed(&mut self, n: usize) {
        for level in &mut self.nesting {
            level.left -= n;
        }
    }

    fn consume(&mut self, n: usize) {
        self.start += n;
        self.passed(n);
    }

    /// A frame's length.
    fn frame(&mut self) -> Result<bool, Malformed> {
        let Some((len, used)) = varint(&self.scratch[self.start..self.end])? else {
            return Ok(false);
        };
        if len > limits::MESSAGE_MAX as u64 {
            return Err(Malformed::MessageTooLong { len });
        }
        self.consume(used);
        self.nesting.push(Level { left: len as usize, kind: Kind::Message });
        Ok(true)
    }

    /// One field: its tag and value if all of it is here, of a long one only the head.
    fn field(&mut self) -> Result<bool, Malformed> {
        let left = self.nesting.last().map_or(0, |level| level.left);
        let there = self.end - self.start;
        let bytes = &self.scratch[self.start..self.start + there.min(left)];
        let missing = if there >= left { Err(Malformed::Truncated) } else { Ok(false) };

        let Some((tag, tag_len)) = varint(bytes)? else { return missing };
        let number = tag >> 3;
        let wire_type = (tag & 7) as u8;
        let rest = &bytes[tag_len..];
        let (value, head) = match wire_type {
            0 | 2 => {
                let Some((value, used)) = varint(rest)? else { return missing };
                let head = tag_len + used;
                if wire_type == 0 {
                    (Value::Varint(value), head)
                } else if value > (left - head) as u64 {
                    return Err(Malformed::Truncated);
                } else {
                    (Value::Len(value as usize), head)
                }
            }
            1 | 5 => {
                let size = if wire_type == 1 { 8 } else { 4 };
                if left < tag_len + size {
                    return Err(Malformed::Truncated);
                } else if rest.len() < size {
                    return Ok(false);
                }
                (Value::Fixed, tag_len + size)
            }
            _ => return Err(Malformed::WireType { wire_type }),
        };
        if number == 0 {
            return Err(Malformed::WireType { wire_type });
        }
        self.take(number, wire_type, value, head)
    }

    /// Acts on a field whose head is `head` bytes long and whole; false if its (short) content is not here yet.
    fn take(
        &mut self,
        number: u64,
        wire_type: u8,
        value: Value,
        head: usize,
    ) -> Result<bool, Malformed> {
        let content = &self.scratch[self.start + head..self.end];
        let level = &mut self.nesting.last_mut().expect("fields are inside a message").kind;
        let mut enter = None;
        let mut used = head;
        match (level, number, value) {
            (Kind::Message, 1, Value::Len(len)) => enter = Some((len, Kind::Wantlist)),
            (Kind::Message, 3, Value::Len(len)) => {
                enter = Some((len, Kind::Payload { prefix: None, data: Data::Missing }));
            }
            (Kind::Message, 4, Value::Len(len)) => {
                enter = Some((len, Kind::Presence { cid: None, presence: Presence::Have }));
            }
            (Kind::Message, 5, Value::Varint(n)) => self.control.pending_bytes = n as i32,
            (Kind::Wantlist, 1, Value::Len(len)) => {
                enter = Some((len, Kind::Entry { cid: None, entry: Flags::default() }));
            }
            (Kind::Wantlist, 2, Value::Varint(n)) => wantlist(&mut self.control).full = n != 0,
            (Kind::Entry { cid, .. } | Kind::Presence { cid, .. }, 1, Value::Len(len)) => {
                if len > limits::CID_MAX {
                    return Err(Malformed::CidTooLong { len: len as u64 });
                }
                let Some(bytes) = content.get(..len) else { return Ok(false) };
                *cid = Some(parse_cid(bytes)?);
                used += len;
            }
            (Kind::Entry { entry, .. }, 2, Value::Varint(n)) => entry.priority = n as i32,
            (Kind::Entry { entry, .. }, 3, Value::Varint(n)) => entry.cancel = n != 0,
            (Kind::Entry { entry, .. }, 4, Value::Varint(n)) => entry.have = n == 1,
            (Kind::Entry { entry, .. }, 5, Value::Varint(n)) => entry.send_dont_have = n != 0,
            (Kind::Presence { presence, .. }, 2, Value::Varint(n)) => {
                *presence = if n == 0 { Presence::Have } else { Presence::DontHave };
            }
            (Kind::Payload { prefix, .. }, 1, Value::Len(len)) => {
                if prefix.is_some() {
                    return Err(Malformed::Repeated);
                } else if len > limits::CID_MAX {
                    return Err(Malformed::Prefix);
                }
                let Some(bytes) = content.get(..len) else { return Ok(false) };
                *prefix = Some(Prefix::decode(bytes)?);
                used += len;
            }
            (Kind::Payload { data, .. }, 2, Value::Len(len)) => {
                if *data != Data::Missing {
                    return Err(Malformed::Repeated);
                } else if len > limits::BLOCK_MAX {
                    return Err(Malformed::BlockTooLong { len: len as u64 });
                }
                self.state = State::Await(len);
            }
            (level, number, value) if !is_known(level, number) => {
                if let Value::Len(len) = value {
                    self.state = State::Skip(len);
                }
            }
            _ => return Err(Malformed::WireType { wire_type }),
        }
        self.consume(used);
        if let Some((left, kind)) = enter {
            self.nesting.push(Level { left, kind });
        }
        Ok(true)
    }

    /// A message inside the frame, or the frame, is over.
    fn leave(&mut self, kind: Kind) -> Result<(), Malformed> {
        match kind {
            Kind::Wantlist => {}
            Kind::Entry { cid, entry } => {
                let Some(cid) = cid.ok_or(Malformed::Cid)? else { return Ok(()) };
                let (count, cap) = if entry.cancel {
                    (&mut self.cancels, limits::MESSAGE_CANCELS)
                } else {
                    (&mut self.wants, limits::MESSAGE_WANTS)
                };
                if *count < cap {
                    *count += 1;
                    wantlist(&mut self.control).entries.push(Entry {
                        cid,
                        kind: if entry.have { WantKind::Have } else { WantKind::Block },
                        priority: entry.priority,
                        cancel: entry.cancel,
                        send_dont_have: entry.send_dont_have,
                    });
                }
            }
            Kind::Presence { cid, presence } => {
                let Some(cid) = cid.ok_or(Malformed::Cid)? else { return Ok(()) };
                if self.control.presences.len() < limits::MESSAGE_PRESENCES {
                    self.control.presences.push((cid, presence));
                }
            }
            Kind::Payload { prefix, data } => {
                let prefix = prefix.ok_or(Malformed::Prefix)?;
                let data = match data {
                    Data::Here(data) => data,
                    Data::Missing => Bytes::new(),
                    Data::Refused => return Ok(()),
                };
                self.decoded.push_back(Decoded::Payload { prefix, data });
            }
            Kind::Message => {
                (self.wants, self.cancels) = (0, 0);
                let control = std::mem::take(&mut self.control);
                if !control.is_empty() {
                    self.decoded.push_back(Decoded::Control(control));
                }
            }
        }
        Ok(())
    }
}

fn wantlist(control: &mut Control) -> &mut Wantlist {
    control.wantlist.get_or_insert_default()
}

/// Whether we give the field a meaning, so that a wrong wire type is an error. Field 2 of a message (blocks of Bitswap
/// 1.0) is not among them: skipped.
fn is_known(kind: &Kind, number: u64) -> bool {
    match kind {
        Kind::Message => matches!(number, 1 | 3 | 4 | 5),
        Kind::Wantlist | Kind::Payload { .. } | Kind::Presence { .. } => matches!(number, 1 | 2),
        Kind::Entry { .. } => matches!(number, 1..=5),
    }
}

#[cfg(test)]
mod tests;
