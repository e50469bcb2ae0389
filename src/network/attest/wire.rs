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

#[cfg(test)]
mod tests {
    use futures::io::Cursor;
    use proptest::prelude::{Strategy, any};

    use super::*;
    use crate::dag::Block;
    use crate::dag::block::RAW;
    use crate::limits::MIB;
    use crate::network::testing::{PATIENCE, wire};

    /// An answer with these lengths written before these bundles.
    fn framed(bundles: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Vec<u8> {
        let mut out = Vec::new();
        for (len, bundle) in bundles {
            out.extend_from_slice(encode::u64(len, &mut encode::u64_buffer()));
            out.extend(bundle);
        }
        out
    }

    /// Bundles of these sizes, truly framed.
    fn sized(sizes: &[usize]) -> Vec<u8> {
        framed(sizes.iter().map(|size| (*size as u64, vec![7; *size])))
    }

    async fn read(bytes: &[u8]) -> (Vec<Bytes>, Result<(), io::ErrorKind>) {
        let mut bundles = Vec::new();
        let pace = Direction::default();
        let read = read_answer(&mut Cursor::new(bytes), &pace, PATIENCE, &mut bundles).await;
        (bundles, read.map_err(|error| error.kind()))
    }

    async fn question(bytes: &[u8]) -> Result<Cid, io::ErrorKind> {
        let read = read_question(&mut Cursor::new(bytes), PATIENCE).await;
        read.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn what_is_asked_and_answered_comes_over_as_it_is() {
        let cid = *Block::new(RAW, &b"a card"[..]).cid();
        let mut bytes = Vec::new();
        write_question(&mut bytes, &cid, PATIENCE).await.unwrap();
        assert_eq!((bytes[0], bytes.len()), (36, 37), "length and CID");
        assert_eq!(question(&bytes).await, Ok(cid));

        let bundles = [vec![1; 300_000], vec![2], vec![3; 20_000]].map(Bytes::from);
        let mut bytes = Vec::new();
        write_answer(&mut bytes, &bundles, &Direction::default(), PATIENCE).await.unwrap();
        assert_eq!(read(&bytes).await, (bundles.to_vec(), Ok(())));
        assert_eq!(read(&[]).await, (Vec::new(), Ok(())), "an empty answer is an answer");
    }

    #[tokio::test]
    async fn a_question_that_is_no_cid_or_too_long_is_refused() {
        let cid = Block::new(RAW, &b"a card"[..]).cid().to_bytes();
        let refused = Err(io::ErrorKind::InvalidData);
        let long = [&cid[..], &[0]].concat();
        for bytes in [
            framed([(0, Vec::new())]),
            framed([(36, vec![0xff; 36])]),
            framed([(long.len() as u64, long)]),
            framed([(limits::ATTEST_CID_MAX as u64 + 1, vec![1; 200])]),
            framed([(1 << 60, cid.clone())]),
            [&[0xa4, 0][..], &cid].concat(),
        ] {
            assert_eq!(question(&bytes).await, refused, "{bytes:?}");
        }
        assert_eq!(question(&[]).await, Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(question(&framed([(36, vec![1])])).await, Err(io::ErrorKind::UnexpectedEof));
    }

    #[tokio::test]
    async fn an_answer_beyond_the_bounds_is_refused_and_one_at_the_bounds_is_not() {
        let refused = Err(io::ErrorKind::InvalidData);
        let most = sized(&[10; limits::ATTEST_BUNDLES]);
        assert_eq!(read(&most).await.0.len(), limits::ATTEST_BUNDLES);
        assert_eq!(read(&most).await.1, Ok(()));
        assert_eq!(read(&sized(&[10; limits::ATTEST_BUNDLES + 1])).await.1, refused);
        assert_eq!(read(&sized(&[limits::ATTEST_BYTES])).await.1, Ok(()));
        assert_eq!(read(&sized(&[limits::ATTEST_BYTES + 1])).await.1, refused);
        assert_eq!(read(&sized(&[3 * MIB, MIB, 1])).await.1, refused, "together");
        assert_eq!(read(&sized(&[1, 0])).await.1, refused, "an empty bundle");
        for len in [1 << 60, u64::MAX, 1 << 28] {
            assert_eq!(read(&framed([(len, vec![1])])).await.1, refused, "{len}");
        }
        assert_eq!(read(&[0x81, 0, 1]).await.1, refused, "a length in more bytes than it needs");
    }

    #[tokio::test]
    async fn what_came_whole_before_an_answer_broke_off_is_kept() {
        let mut bytes = sized(&[5, 6]);
        bytes.pop();
        let (bundles, read) = read(&bytes).await;
        assert_eq!((bundles.len(), read), (1, Err(io::ErrorKind::UnexpectedEof)));
    }

    #[tokio::test]
    async fn a_stream_on_which_nothing_moves_is_given_up() {
        let ((mut silent, mut waiting), soon) = (wire().await, Duration::from_millis(20));
        let silence = |read: io::Result<()>| read.unwrap_err().kind();
        let asked = read_question(&mut waiting, soon).await.map(drop);
        assert_eq!(silence(asked), io::ErrorKind::TimedOut);
        silent.write_all(&[100, 1, 2]).await.unwrap();
        let pace = Direction::default();
        let read = read_answer(&mut waiting, &pace, soon, &mut Vec::new()).await;
        assert_eq!(silence(read), io::ErrorKind::TimedOut);
        // Nobody reads: the buffers on the way fill.
        let bundles = vec![Bytes::from(vec![0; limits::ATTEST_BYTES]); 8];
        let written = write_answer(&mut waiting, &bundles, &pace, soon).await;
        assert_eq!(silence(written), io::ErrorKind::TimedOut);
    }

    #[test]
    fn an_answer_is_cut_to_what_its_reader_takes() {
        let sizes = |bundles: Vec<Bytes>| bundles.iter().map(Bytes::len).collect::<Vec<_>>();
        let of = |sizes: &[usize]| sizes.iter().map(|size| vec![0; *size].into()).collect();
        assert_eq!(sizes(cut(of(&[1; 100]))), [1; limits::ATTEST_BUNDLES]);
        let large = limits::ATTEST_BYTES - 1;
        assert_eq!(sizes(cut(of(&[0, large + 2, large, 2, 1, 1]))), [large, 1]);
    }

    /// Lengths that are true, and ones that are not.
    fn hostile() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
        let bundle = proptest::collection::vec(any::<u8>(), 0..40);
        let framed = (any::<Option<u64>>(), bundle)
            .prop_map(|(lie, bundle)| (lie.unwrap_or(bundle.len() as u64), bundle));
        proptest::collection::vec(framed, 0..100)
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics_or_brings_more_than_came(answer in hostile(), junk: Vec<u8>) {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_time().build().unwrap();
            for bytes in [framed(answer), junk] {
                let (bundles, _) = runtime.block_on(read(&bytes));
                assert!(bundles.len() <= limits::ATTEST_BUNDLES);
                assert!(bundles.iter().map(Bytes::len).sum::<usize>() <= bytes.len());
                let _ = runtime.block_on(question(&bytes));
            }
        }
    }
}
