//! The handle of a stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};

use super::connection::{Shared, lock};

/// A stream. Dropped before it was closed, it is reset.
pub(in super::super) struct Stream {
    id: u32,
    shared: Shared,
}

impl Stream {
    pub(super) fn new(id: u32, shared: &Shared) -> Self {
        Self { id, shared: Shared::clone(shared) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        lock(&self.shared).release(self.id);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        lock(&self.shared).read(self.id, cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.shared).write(self.id, cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection sends what it has without being asked.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.shared).close(self.id);
        Poll::Ready(Ok(()))
    }
}
