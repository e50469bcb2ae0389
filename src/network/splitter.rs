//! Large yamux frames in parts: what lies under `yamux`, so that frames of any size reach it in sizes it takes.
//!
//! `yamux` refuses data frames above 1 MiB and ends the connection, though the specification sets no bound; js-libp2p
//! writes a frame as large as the window we granted, and windows grow beyond that. So a large data frame is read here as
//! several: a header of our own making for each part, the body as it comes. SYN and ACK stay with the first part, FIN
//! and RST go with the last. Nothing else is touched, and nothing that is written. Windows are still yamux's to check:
//! parts count as the frame would have. Specification: yamux, "Framing".

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};

use crate::limits;

/// Bytes of a frame's header: version, type, flags (2), stream (4), length (4).
const HEADER: usize = 12;
/// Type of a frame that has a body.
const DATA: u8 = 0;
/// Flags that open or accept a stream.
const OPENING: u16 = 0x1 | 0x2;
/// Flags that end one.
const CLOSING: u16 = 0x4 | 0x8;

/// A connection whose large inbound frames come in parts.
pub(super) struct Splitter<C> {
    socket: C,
    header: [u8; HEADER],
    /// Bytes of the header read from the socket; whole, it is handed out.
    read: usize,
    /// Bytes of the header handed out.
    given: usize,
    /// Bytes of the body that follow this header.
    part: usize,
    /// Bytes of the frame beyond this part.
    rest: usize,
    /// What of the frame's flags belongs to its last part.
    closing: u16,
}

impl<C> Splitter<C> {
    pub(super) fn new(socket: C) -> Self {
        let header = [0; HEADER];
        Self { socket, header, read: 0, given: 0, part: 0, rest: 0, closing: 0 }
    }

    /// The next header if the frame goes on: the same stream, no flags but at its end.
    fn next_part(&mut self) {
        self.part = self.rest.min(limits::YAMUX_READ_FRAME);
        self.rest -= self.part;
        let flags = if self.rest == 0 { self.closing } else { 0 };
        self.set(flags);
        self.read = HEADER;
        self.given = 0;
    }

    /// Looks at a header that has just been read: makes it the first part's if the frame is large.
    fn begin(&mut self) {
        if self.header[1] != DATA {
            return;
        }
        let [.., a, b, c, d] = self.header;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        self.part = length.min(limits::YAMUX_READ_FRAME);
        self.rest = length - self.part;
        if self.rest > 0 {
            let flags = u16::from_be_bytes([self.header[2], self.header[3]]);
            self.closing = flags & CLOSING;
            self.set(flags & OPENING);
        }
    }

    fn set(&mut self, flags: u16) {
        self.header[2..4].copy_from_slice(&flags.to_be_bytes());
        let length = u32::try_from(self.part).expect("a part is far below 4 GiB");
        self.header[8..].copy_from_slice(&length.to_be_bytes());
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Splitter<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            if this.given < HEADER && this.read == HEADER {
                let count = buf.len().min(HEADER - this.given);
                buf[..count].copy_from_slice(&this.header[this.given..this.given + count]);
                this.given += count;
                return Poll::Ready(Ok(count));
            }
            if this.read == HEADER && this.part > 0 {
                let most = buf.len().min(this.part);
                let count = ready!(Pin::new(&mut this.socket).poll_read(cx, &mut buf[..most]))?;
                this.part -= count;
                return Poll::Ready(Ok(count));
            }
            if this.rest > 0 {
                this.next_part();
                continue;
            }
            if this.read == HEADER {
                (this.read, this.given) = (0, 0);
            }
            let free = &mut this.header[this.read..];
            let count = ready!(Pin::new(&mut this.socket).poll_read(cx, free))?;
            if count == 0 {
                // The end; inside a header it is the end of a broken connection, and yamux sees it as that.
                return Poll::Ready(Ok(0));
            }
            this.read += count;
            if this.read == HEADER {
                this.begin();
            }
        }
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Splitter<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;
    use futures::{AsyncReadExt as _, executor::block_on};
    use proptest::prelude::*;

    use super::*;

    const PART: usize = limits::YAMUX_READ_FRAME;

    fn frame(kind: u8, flags: u16, stream: u32, length: usize, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, kind];
        bytes.extend(flags.to_be_bytes());
        bytes.extend(stream.to_be_bytes());
        bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn data(flags: u16, stream: u32, body: &[u8]) -> Vec<u8> {
        frame(DATA, flags, stream, body.len(), body)
    }

    /// Everything that comes out, read in steps of `step` bytes from a socket that gives no more than that at once.
    fn through(bytes: &[u8], step: usize) -> Vec<u8> {
        struct Trickle(Cursor<Vec<u8>>, usize);
        impl AsyncRead for Trickle {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let most = self.1.min(buf.len());
                Pin::new(&mut self.0).poll_read(cx, &mut buf[..most])
            }
        }
        let mut splitter = Splitter::new(Trickle(Cursor::new(bytes.to_vec()), step));
        let mut out = Vec::new();
        let mut buf = vec![0; step];
        loop {
            let count = block_on(splitter.read(&mut buf)).unwrap();
            if count == 0 {
                return out;
            }
            out.extend(&buf[..count]);
        }
    }

    #[test]
    fn a_large_frame_comes_in_parts_that_open_first_and_close_last() {
        let body: Vec<u8> = (0..2 * PART + 7).map(|at| at as u8).collect();
        let all = 0x1 | 0x2 | 0x4 | 0x8;
        let expected = [
            data(0x1 | 0x2, 9, &body[..PART]),
            data(0, 9, &body[PART..2 * PART]),
            data(0x4 | 0x8, 9, &body[2 * PART..]),
        ];
        assert_eq!(through(&data(all, 9, &body), 4096), expected.concat());
    }

    #[test]
    fn small_frames_and_frames_without_a_body_pass_as_they_are() {
        let body = vec![7; PART];
        let bytes = [
            data(0x4, 1, &body),
            // A window update's length is no body's.
            frame(1, 0, 1, 0xffff_ffff, &[]),
            frame(2, 1, 0, 42, &[]),
            data(0, 3, b""),
            data(0x1, 5, b"hello"),
        ]
        .concat();
        assert_eq!(through(&bytes, 1), bytes);
        assert_eq!(through(&bytes, 100_000), bytes);
    }

    #[test]
    fn a_connection_that_ends_anywhere_just_ends() {
        let bytes = data(0, 1, &vec![1; PART + 10]);
        for end in [0, 5, HEADER, HEADER + 100, HEADER + PART, HEADER + PART + 5] {
            let out = through(&bytes[..end], 64);
            assert!(out.len() <= end + HEADER);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_steps_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1usize..64,
        ) {
            through(&bytes, step);
        }
    }
}
