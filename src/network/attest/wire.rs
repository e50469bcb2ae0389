//! Questions and answers of `/modelswarm/attest/1` as bytes on a stream.
//!
//! A question is one CID in binary; an answer any number of bundles up to [`limits::ATTEST_BUNDLES`], then the end of
//! the stream. CID and bundles are each preceded by their length (unsigned varint). Every length is checked before
//! anything is allocated for it, and memory grows with what has come, not with what is announced.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use unsigned_varint::{decode, encode};

use super::super::pace::Direction;
use crate::dag::Cid;
use crate::limits::{self, KIB};

/// Bytes of the longest length: that of [`limits::ATTEST_BYTES`].
const LEN_MAX: usize = 4;

/// Bytes read at a time.
const PIECE: usize = 16 * KIB;

/// Reads the question that a stream carries.
pub(super) async fn read_question(
    stream: &mut (impl AsyncRead + Unpin),
    silence: Duration,
) -> io::Result<Cid> {
    let len = read_len(stream, limits::ATTEST_CID_MAX, silence).await?;
    let mut cid = vec![0; len.ok_or(io::ErrorKind::UnexpectedEof)?];
    moving(silence, stream.read_exact(&mut cid)).await?;
    Cid::try_from(cid.as_slice())
        .ok()
        // No bytes behind it: it is the CID, not one that begins with it.
        .filter(|read| read.to_bytes() == cid)
        .ok_or_else(|| malformed("it asks for what is no CID"))
}

/// Asks, and says that this is all.
pub(super) async fn write_question(
    stream: &mut (impl AsyncWrite + Unpin),
    cid: &Cid,
    silence: Duration,
) -> io::Result<()> {
    let cid = cid.to_bytes();
    let mut question = encode::usize(cid.len(), &mut encode::usize_buffer()).to_vec();
    question.extend(cid);
    moving(silence, async {
        stream.write_all(&question).await?;
        stream.close().await
    })
    .await
}

/// Reads an answer to its end. What came whole is in `bundles`, also if the rest fails to come.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for an answer beyond the bounds: what came of it is worth nothing.
pub(super) async fn read_answer(
    stream: &mut (impl AsyncRead + Unpin),
    pace: &Direction,
    silence: Duration,
    bundles: &mut Vec<Bytes>,
) -> io::Result<()> {
    let mut left = limits::ATTEST_BYTES;
    while let Some(len) = read_len(stream, left, silence).await? {
        if len == 0 || bundles.len() >= limits::ATTEST_BUNDLES {
            return Err(malformed("an empty bundle, or one too many"));
        }
        left -= len;
        let mut bundle = Vec::new();
        while bundle.len() < len {
            let start = bundle.len();
            bundle.resize(len.min(start + PIECE), 0);
            let read = moving(silence, stream.read(&mut bundle[start..])).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bundle.truncate(start + read);
            pace.take(read).await;
        }
        bundles.push(bundle.into());
    }
    Ok(())
}

/// Answers, and says that this is all.
pub(super) async fn write_answer(
    stream: &mut (impl AsyncWrite + Unpin),
    bundles: &[Bytes],
    pace: &Direction,
    silence: Duration,
) -> io::Result<()> {
    for bundle in bundles {
        let len = encode::usize(bundle.len(), &mut encode::usize_buffer()).to_vec();
        for part in [&len, &bundle[..]] {
            for piece in part.chunks(PIECE) {
                pace.take(piece.len()).await;
                moving(silence, stream.write_all(piece)).await?;
            }
        }
    }
    moving(silence, stream.close()).await
}

/// What of these may go into an answer: as many of the first as fit.
pub(super) fn cut(bundles: Vec<Bytes>) -> Vec<Bytes> {
    let mut left = limits::ATTEST_BYTES;
    let fits = bundles.into_iter().filter(|bundle| {
        let fits = !bundle.is_empty() && bundle.len() <= left;
        left -= if fits { bundle.len() } else { 0 };
        fits
    });
    fits.take(limits::ATTEST_BUNDLES).collect()
}

/// The length of what follows, at most `max`; `None` at the end of the stream.
async fn read_len(
    stream: &mut (impl AsyncRead + Unpin),
    max: usize,
    silence: Duration,
) -> io::Result<Option<usize>> {
    let mut bytes = [0; LEN_MAX];
    for end in 1..=LEN_MAX {
        if moving(silence, stream.read(&mut bytes[end - 1..end])).await? == 0 {
            return if end == 1 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        if decode::is_last(bytes[end - 1]) {
            let (len, _) = decode::usize(&bytes[..end]).map_err(|_| malformed("no length"))?;
            return (len <= max).then_some(Some(len)).ok_or_else(|| malformed("too long"));
        }
    }
    Err(malformed("too long"))
}

/// Waits for something to move, no longer than `silence`.
async fn moving<T>(silence: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(silence, work).await.map_err(|_| io::ErrorKind::TimedOut)?
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
