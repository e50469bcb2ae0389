//! The streams of a connection, as yamux has them: what frames mean, and which are to be sent. No I/O.
//!
//! A stream's handle and its connection meet here, under one lock. Bounds: streams and windows by [`limits`]; frames
//! without data that wait to be sent, by the connection, which reads no further while there are many; data to be sent,
//! one frame for each stream.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Error;
use super::frame::{ACK, FIN, HEADER, Header, Kind, RST, SYN};
use super::window::{Growth, Window};
use crate::limits;

/// Time between measurements of the round trip.
const MEASURE_EVERY: Duration = Duration::from_secs(2);

/// Everything of a connection but its socket.
pub(super) struct State {
    /// The next stream that we open: odd for the dialler, even for the listener.
    next: u32,
    streams: HashMap<u32, Entry>,
    /// Streams of the peer that nobody took yet.
    inbound: VecDeque<u32>,
    /// Streams of ours that the peer did not accept yet.
    unaccepted: usize,
    /// Frames without data.
    control: VecDeque<Header>,
    /// Streams that have data to send, or their end; each once.
    turns: VecDeque<u32>,
    /// Buffers of data that was read, for what comes next.
    spare: Vec<Vec<u8>>,
    growth: Growth,
    /// As it was measured last.
    round_trip: Option<Duration>,
    ping: Ping,
    ended: bool,
    /// Who drives the connection, who waits for a stream of the peer, who opens one.
    pub(super) driver: Option<Waker>,
    pub(super) taker: Option<Waker>,
    opener: Option<Waker>,
}

struct Ping {
    id: u32,
    /// Of one that is not answered.
    sent: Option<Instant>,
    /// When the next is due.
    next: Instant,
}

/// One stream.
struct Entry {
    window: Window,
    received: VecDeque<Vec<u8>>,
    /// Bytes of the first of these that were read.
    read: usize,
    /// Bytes that the peer sent and nobody read; of a frame all, from its header on.
    unread: usize,
    /// Bytes that the peer takes.
    credit: u32,
    /// The next frame of data, with room for its header in front; empty, there is none.
    outgoing: Vec<u8>,
    /// Nothing of it was sent yet.
    new: bool,
    /// Opened by us and not accepted yet.
    unaccepted: bool,
    /// It waits for its turn.
    queued: bool,
    /// We send no more after what is outgoing.
    closing: bool,
    /// The peer was told so.
    closed: bool,
    /// It is reset after what is outgoing.
    resetting: bool,
    /// The peer sends no more.
    finished: bool,
    reset: bool,
    /// Its handle is there.
    held: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            window: Window::new(now),
            received: VecDeque::new(),
            read: 0,
            unread: 0,
            credit: limits::YAMUX_WINDOW as u32,
            outgoing: Vec::new(),
            new: false,
            unaccepted: false,
            queued: false,
            closing: false,
            closed: false,
            resetting: false,
            finished: false,
            reset: false,
            held: true,
            reader: None,
            writer: None,
        }
    }

    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

impl State {
    pub(super) fn new(dialler: bool, growth: Growth) -> Self {
        let now = Instant::now();
        let mut state = Self {
            next: if dialler { 1 } else { 2 },
            streams: HashMap::new(),
            inbound: VecDeque::new(),
            unaccepted: 0,
            control: VecDeque::new(),
            turns: VecDeque::new(),
            spare: Vec::new(),
            growth,
            round_trip: None,
            ping: Ping { id: 0, sent: None, next: now },
            ended: false,
            driver: None,
            taker: None,
            opener: None,
        };
        state.measure(now);
        state
    }

    // ---- the connection

    /// Whether frames must be sent before more are read.
    pub(super) fn is_choked(&self) -> bool {
        self.control.len() >= limits::YAMUX_CONTROL
    }

    /// Takes in a header; how many bytes of data follow it.
    pub(super) fn on_header(&mut self, header: Header) -> Result<usize, Error> {
        match header.kind {
            Kind::Data | Kind::Window => self.on_stream_header(header),
            Kind::Ping if header.has(SYN) => {
                self.control.push_back(Header { flags: ACK, ..header });
                Ok(0)
            }
            Kind::Ping => {
                if let Some(sent) = self.ping.sent.take_if(|_| header.length == self.ping.id) {
                    let took = sent.elapsed();
                    self.round_trip = Some(took);
                }
                Ok(0)
            }
            Kind::GoAway => Err(Error::Closed),
        }
    }

    fn on_stream_header(&mut self, header: Header) -> Result<usize, Error> {
        if header.has(SYN) {
            self.accept(header.stream)?;
        }
        let data = if header.kind == Kind::Data { header.length as usize } else { 0 };
        // What was on its way to a stream that is gone is read and forgotten.
        let Some(entry) = self.streams.get_mut(&header.stream) else { return Ok(data) };
        if header.has(ACK) && std::mem::take(&mut entry.unaccepted) {
            self.unaccepted -= 1;
            self.opener.take().into_iter().for_each(Waker::wake);
        }
        if header.kind == Kind::Window {
            let credit = entry.credit.checked_add(header.length);
            entry.credit = credit.ok_or(Error::Protocol("a window beyond all bounds"))?;
            entry.writer.take().into_iter().for_each(Waker::wake);
        } else if !entry.window.receive(data) {
            return Err(Error::Protocol("more data than its window"));
        }
        entry.unread += data;
        if header.has(RST) {
            entry.reset = true;
            entry.outgoing = Vec::new();
            entry.wake();
            self.remove_if_over(header.stream);
        } else if header.has(FIN) && data == 0 {
            self.on_finished(header.stream);
        }
        Ok(data)
    }

    /// The peer opens a stream.
    fn accept(&mut self, id: u32) -> Result<(), Error> {
        if id == 0 || id % 2 == self.next % 2 || self.streams.contains_key(&id) {
            return Err(Error::Protocol("a stream that it may not open"));
        }
        if self.streams.len() >= limits::YAMUX_STREAMS {
            return Err(Error::Protocol("more streams than allowed"));
        }
        self.streams.insert(id, Entry::new(Instant::now()));
        let accept = Header { kind: Kind::Window, flags: ACK, stream: id, length: 0 };
        self.control.push_back(accept);
        self.inbound.push_back(id);
        self.taker.take().into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Data of a stream has come; small pieces are put together, or they would take many times their size.
    pub(super) fn on_data(&mut self, id: u32, data: &mut Vec<u8>, len: usize) {
        let Some(entry) = self.streams.get_mut(&id).filter(|entry| entry.held && !entry.reset)
        else {
            return;
        };
        let small = len < limits::YAMUX_FRAME / 4;
        match entry.received.back_mut() {
            Some(last) if small && last.len() + len <= limits::YAMUX_FRAME => {
                last.extend_from_slice(&data[..len]);
            }
            _ if small => entry.received.push_back(data[..len].to_vec()),
            _ => {
                data.truncate(len);
                let next = self.spare.pop().unwrap_or_default();
                entry.received.push_back(std::mem::replace(data, next));
            }
        }
        entry.reader.take().into_iter().for_each(Waker::wake);
    }

    /// The peer sends no more on a stream.
    pub(super) fn on_finished(&mut self, id: u32) {
        if let Some(entry) = self.streams.get_mut(&id) {
            entry.finished = true;
            entry.reader.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Puts what is to be sent next into an empty buffer. False: nothing is.
    pub(super) fn next_frame(&mut self, frame: &mut Vec<u8>) -> bool {
        for header in self.control.drain(..) {
            frame.extend_from_slice(&header.encode());
        }
        while frame.is_empty()
            && let Some(id) = self.turns.pop_front()
        {
            let Some(entry) = self.streams.get_mut(&id) else { continue };
            entry.queued = false;
            // The end has a frame of its own: js-libp2p drops data that comes with it.
            let ends = entry.outgoing.is_empty();
            if ends {
                if !entry.closing || entry.closed {
                    continue;
                }
                entry.outgoing.resize(HEADER, 0);
            }
            *frame = std::mem::take(&mut entry.outgoing);
            let length = u32::try_from(frame.len() - HEADER).expect("a frame is short");
            let syn = if std::mem::take(&mut entry.new) { SYN } else { 0 };
            let fin = if ends { FIN } else { 0 };
            let header = Header { kind: Kind::Data, flags: syn | fin, stream: id, length };
            frame[..HEADER].copy_from_slice(&header.encode());
            entry.closed = ends;
            if entry.closing && !ends {
                entry.queued = true;
                self.turns.push_front(id);
            }
            entry.writer.take().into_iter().for_each(Waker::wake);
            if entry.resetting {
                self.reset(id);
            }
            self.remove_if_over(id);
        }
        !frame.is_empty()
    }

    /// The connection is over, and every stream of it.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.streams.values_mut().for_each(Entry::wake);
        let waiting = [self.taker.take(), self.opener.take(), self.driver.take()];
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    // ---- streams

    /// A stream that the peer opened.
    pub(super) fn take_inbound(&mut self) -> Option<u32> {
        self.inbound.pop_front()
    }

    /// A new stream of ours; the peer hears of it with its first data.
    pub(super) fn open(&mut self, cx: &Context<'_>) -> Poll<Result<u32, Error>> {
        if self.ended {
            return Poll::Ready(Err(Error::Closed));
        }
        if self.streams.len() >= limits::YAMUX_STREAMS || self.next > u32::MAX - 2 {
            return Poll::Ready(Err(Error::TooManyStreams));
        }
        if self.unaccepted >= limits::YAMUX_UNACCEPTED {
            self.opener = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let id = self.next;
        self.next += 2;
        self.unaccepted += 1;
        let entry = Entry { new: true, unaccepted: true, ..Entry::new(Instant::now()) };
        self.streams.insert(id, entry);
        Poll::Ready(Ok(id))
    }

    pub(super) fn read(
        &mut self,
        id: u32,
        cx: &Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let entry = self.streams.get_mut(&id).expect("there while its handle is");
        let Some(first) = entry.received.front() else {
            if entry.finished {
                return Poll::Ready(Ok(0));
            }
            if entry.reset || self.ended {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            entry.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let count = buffer.len().min(first.len() - entry.read);
        buffer[..count].copy_from_slice(&first[entry.read..entry.read + count]);
        entry.read += count;
        entry.unread -= count;
        if entry.read == first.len() {
            let first = entry.received.pop_front();
            let large = first.filter(|buffer| buffer.len() >= limits::YAMUX_FRAME / 4);
            self.spare.extend(large.filter(|_| self.spare.len() < limits::YAMUX_SPARE));
            entry.read = 0;
        }
        if !entry.finished && !entry.reset {
            let (now, counts) = (Instant::now(), (count, entry.unread));
            let more = entry.window.read(now, counts, self.round_trip, &mut self.growth);
            if let Some(length) = more {
                let more = Header { kind: Kind::Window, flags: 0, stream: id, length };
                self.control.push_back(more);
                self.measure(now);
                self.drive();
            }
        }
        Poll::Ready(Ok(count))
    }

    pub(super) fn write(
        &mut self,
        id: u32,
        cx: &Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let entry = self.streams.get_mut(&id).expect("there while its handle is");
        if entry.reset || entry.closing || self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = limits::YAMUX_FRAME - entry.outgoing.len().max(HEADER);
        let count = data.len().min(room).min(entry.credit as usize);
        if count == 0 && !data.is_empty() {
            entry.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if entry.outgoing.is_empty() {
            entry.outgoing.reserve_exact(HEADER + count);
            entry.outgoing.resize(HEADER, 0);
        }
        entry.outgoing.extend_from_slice(&data[..count]);
        entry.credit -= u32::try_from(count).expect("below the credit");
        self.queue(id);
        Poll::Ready(Ok(count))
    }

    /// We send no more on a stream.
    pub(super) fn close(&mut self, id: u32) {
        if let Some(entry) = self.streams.get_mut(&id)
            && !entry.closing
            && !entry.reset
        {
            entry.closing = true;
            self.queue(id);
        }
    }

    /// The handle of a stream is gone. One that was not closed is reset after all that was written, unless the peer has
    /// sent all it had: then it is closed.
    pub(super) fn release(&mut self, id: u32) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        entry.held = false;
        entry.received = VecDeque::new();
        if entry.finished {
            self.close(id);
        } else if !entry.closing && !entry.reset {
            entry.resetting = !entry.outgoing.is_empty();
            if !entry.resetting {
                self.reset(id);
            }
        }
        self.remove_if_over(id);
    }

    /// Ends a stream at once. The peer hears of it if it ever heard of the stream.
    fn reset(&mut self, id: u32) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        entry.reset = true;
        if !entry.new {
            let reset = Header { kind: Kind::Data, flags: RST, stream: id, length: 0 };
            self.control.push_back(reset);
            self.drive();
        }
    }

    fn remove_if_over(&mut self, id: u32) {
        let over = |entry: &Entry| !entry.held && (entry.reset || entry.closed || self.ended);
        if !self.streams.get(&id).is_some_and(over) {
            return;
        }
        if let Some(entry) = self.streams.remove(&id) {
            entry.window.end(&mut self.growth);
            if entry.unaccepted {
                self.unaccepted -= 1;
                self.opener.take().into_iter().for_each(Waker::wake);
            }
        }
    }

    /// Gives a stream its turn to send.
    fn queue(&mut self, id: u32) {
        if let Some(entry) = self.streams.get_mut(&id)
            && !std::mem::replace(&mut entry.queued, true)
        {
            self.turns.push_back(id);
        }
        self.drive();
    }

    fn drive(&mut self) {
        self.driver.take().into_iter().for_each(Waker::wake);
    }

    /// Asks for the round trip, if it is time.
    fn measure(&mut self, now: Instant) {
        if now >= self.ping.next && self.ping.sent.is_none() {
            self.ping = Ping { id: self.ping.id + 1, sent: Some(now), next: now + MEASURE_EVERY };
            let ping = Header { kind: Kind::Ping, flags: SYN, stream: 0, length: self.ping.id };
            self.control.push_back(ping);
        }
    }
}
