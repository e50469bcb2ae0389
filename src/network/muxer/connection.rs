//! The socket under the streams: frames in, frames out. Both go on while either can.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};

use super::Error;
use super::frame::{FIN, HEADER, Header, Kind};
use super::state::State;
use crate::limits;

/// What streams and their connection share.
pub(super) type Shared = Arc<Mutex<State>>;

/// Takes the lock; nobody holds it for long.
pub(super) fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection. Dropped, all its streams are over.
pub(super) struct Connection<C> {
    socket: C,
    pub(super) shared: Shared,
    /// What is being sent, and how much of it was.
    sending: Vec<u8>,
    sent: usize,
    flushed: bool,
    header: [u8; HEADER],
    /// Bytes of the header that have come; whole, a body follows.
    read: usize,
    body: Body,
    /// A part of the body, as long as the largest that is handed over at once.
    part: Vec<u8>,
    filled: usize,
}

/// What is left of a frame's data.
#[derive(Default)]
struct Body {
    stream: u32,
    left: usize,
    finishes: bool,
}

impl<C> Connection<C> {
    pub(super) fn new(socket: C, state: State) -> Self {
        Self {
            socket,
            shared: Arc::new(Mutex::new(state)),
            sending: Vec::new(),
            sent: 0,
            flushed: true,
            header: [0; HEADER],
            read: 0,
            body: Body::default(),
            part: Vec::new(),
            filled: 0,
        }
    }
}

impl<C> Drop for Connection<C> {
    fn drop(&mut self) {
        lock(&self.shared).end();
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Connection<C> {
    /// Moves frames both ways as far as the socket goes. Ready only when the connection is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        lock(&self.shared).driver = Some(cx.waker().clone());
        loop {
            if let Err(error) = self.send(cx) {
                return Poll::Ready(self.end(error));
            }
            if lock(&self.shared).is_choked() {
                // The socket takes nothing, and says when it does.
                return Poll::Pending;
            }
            match self.receive(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(self.end(error)),
                Poll::Pending => break,
            }
        }
        // What was read may have to be answered.
        match self.send(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(self.end(error)),
        }
    }

    /// Sends what there is, then says goodbye.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        lock(&self.shared).end();
        self.send(cx)?;
        if self.sent < self.sending.len() {
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_close(cx).map_err(Error::Io)
    }

    fn end(&mut self, error: Error) -> Error {
        lock(&self.shared).end();
        error
    }

    /// Sends until there is nothing more to send or the socket takes no more.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        loop {
            if self.sent == self.sending.len() {
                self.sending.clear();
                self.sent = 0;
                if !lock(&self.shared).next_frame(&mut self.sending) {
                    break;
                }
            }
            let left = &self.sending[self.sent..];
            match Pin::new(&mut self.socket).poll_write(cx, left).map_err(Error::Io)? {
                Poll::Ready(0) => return Err(Error::Io(io::ErrorKind::WriteZero.into())),
                Poll::Ready(n) => self.sent += n,
                Poll::Pending => return Ok(()),
            }
            self.flushed = false;
        }
        if !self.flushed {
            self.flushed = Pin::new(&mut self.socket).poll_flush(cx).map_err(Error::Io)?.is_ready();
        }
        Ok(())
    }

    /// Reads one header, or one part of a body.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while self.read < HEADER {
            let space = &mut self.header[self.read..];
            match Pin::new(&mut self.socket).poll_read(cx, space).map_err(Error::Io)? {
                Poll::Ready(0) => return Poll::Ready(Err(Error::Closed)),
                Poll::Ready(n) => self.read += n,
                Poll::Pending => return Poll::Pending,
            }
            if self.read == HEADER {
                let header = Header::decode(self.header);
                let header = header.ok_or(Error::Protocol("no frame of yamux"))?;
                let left = lock(&self.shared).on_header(header)?;
                let finishes = left > 0 && header.has(FIN) && header.kind == Kind::Data;
                self.body = Body { stream: header.stream, left, finishes };
            }
        }
        while self.body.left > 0 {
            let most = self.body.left.min(limits::YAMUX_FRAME - self.filled);
            if self.part.len() < self.filled + most {
                self.part.resize(self.filled + most, 0);
            }
            let space = &mut self.part[self.filled..self.filled + most];
            match Pin::new(&mut self.socket).poll_read(cx, space).map_err(Error::Io)? {
                Poll::Ready(0) => return Poll::Ready(Err(Error::Closed)),
                Poll::Ready(n) => {
                    self.filled += n;
                    self.body.left -= n;
                }
                Poll::Pending => return Poll::Pending,
            }
            if self.body.left == 0 || self.filled == limits::YAMUX_FRAME {
                let mut state = lock(&self.shared);
                state.on_data(self.body.stream, &mut self.part, self.filled);
                self.filled = 0;
                if self.body.left > 0 {
                    return Poll::Ready(Ok(()));
                }
            }
        }
        if std::mem::take(&mut self.body.finishes) {
            lock(&self.shared).on_finished(self.body.stream);
        }
        self.read = 0;
        Poll::Ready(Ok(()))
    }
}
