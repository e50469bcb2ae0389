//! Two of ours on a socket pair, ours with the crate `yamux`, and with what breaks the protocol.

use futures::future::poll_fn;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::muxing::StreamMuxerExt as _;
use tokio::task::JoinHandle;
use yamux::{Connection as Theirs, Mode};

use super::super::testing::{Wire, wire};
use super::frame::{ACK, FIN, Header, Kind, RST, SYN};
use super::*;
use crate::limits::{self, MIB};

async fn pair() -> (Muxer<Wire>, Muxer<Wire>) {
    let (a, b) = wire().await;
    let dialler = Config::default().upgrade_outbound(a, PROTOCOL).await.unwrap();
    let listener = Config::default().upgrade_inbound(b, PROTOCOL).await.unwrap();
    (dialler, listener)
}

/// Keeps a muxer going, as the swarm's connection task does.
fn drive(mut muxer: Muxer<Wire>) -> JoinHandle<Error> {
    tokio::spawn(async move {
        poll_fn(|cx| muxer.poll_unpin(cx))
            .await
            .expect_err("poll ends only when the connection does")
    })
}

async fn open(muxer: &mut Muxer<Wire>) -> Stream {
    poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await.unwrap()
}

async fn take(muxer: &mut Muxer<Wire>) -> Stream {
    poll_fn(|cx| muxer.poll_inbound_unpin(cx)).await.unwrap()
}

fn numbers(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i % 251) as u8).collect()
}

#[tokio::test]
async fn megabytes_cross_one_stream_unharmed_and_end() {
    let (mut dialler, mut listener) = pair().await;
    let mut out = open(&mut dialler).await;
    let sent = numbers(20 * MIB);
    let copy = sent.clone();
    drive(dialler);
    let write = tokio::spawn(async move {
        out.write_all(&copy).await.unwrap();
        out.close().await.unwrap();
    });
    let mut inbound = take(&mut listener).await;
    drive(listener);
    let mut got = Vec::new();
    inbound.read_to_end(&mut got).await.unwrap();
    write.await.unwrap();
    assert!(got == sent);
}

#[tokio::test]
async fn both_sides_write_much_at_once_and_neither_waits_for_the_other() {
    let (mut dialler, mut listener) = pair().await;
    let out = open(&mut dialler).await;
    drive(dialler);
    let both = |stream: Stream| async move {
        let (mut reader, mut writer) = stream.split();
        let write = async {
            writer.write_all(&numbers(4 * MIB)).await.unwrap();
            writer.close().await.unwrap();
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(write, reader.read_to_end(&mut got));
        assert_eq!(read.unwrap(), 4 * MIB);
    };
    let one = tokio::spawn(both(out));
    let inbound = take(&mut listener).await;
    drive(listener);
    both(inbound).await;
    one.await.unwrap();
}

#[tokio::test]
async fn streams_nobody_has_taken_yet_are_kept_not_dropped() {
    let (mut dialler, mut listener) = pair().await;
    let mut streams = Vec::new();
    for i in 0..100_u8 {
        let mut stream = open(&mut dialler).await;
        stream.write_all(&[i]).await.unwrap();
        streams.push(stream);
    }
    let dialler = drive(dialler);
    for i in 0..100_u8 {
        let mut stream = take(&mut listener).await;
        let mut byte = [0];
        while stream.read(&mut byte).await.unwrap() == 0 {}
        assert_eq!(byte, [i]);
        if i == 50 {
            // All others arrive meanwhile.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    dialler.abort();
}

#[tokio::test]
async fn a_dropped_stream_is_reset_at_the_other_end_and_frees_its_place() {
    let (mut dialler, mut listener) = pair().await;
    let mut streams = Vec::new();
    for _ in 0..3 * limits::YAMUX_STREAMS {
        let mut stream = open(&mut dialler).await;
        stream.write_all(b"x").await.unwrap();
        let sent = poll_fn(|cx| {
            let _ = dialler.poll_unpin(cx)?;
            let taken = listener.poll_inbound_unpin(cx);
            if taken.is_pending() {
                cx.waker().wake_by_ref();
            }
            taken
        });
        let mut other = sent.await.unwrap();
        drop(stream);
        if streams.len() < 10 {
            streams.push(other);
            continue;
        }
        other.close().await.unwrap();
    }
    drive(dialler);
    drive(listener);
    for mut stream in streams {
        let mut got = Vec::new();
        assert!(stream.read_to_end(&mut got).await.is_err());
    }
}

#[tokio::test]
async fn what_was_written_on_a_stream_that_is_dropped_comes_before_its_end() {
    let (mut dialler, mut listener) = pair().await;
    let mut stream = open(&mut dialler).await;
    stream.write_all(b"last words").await.unwrap();
    drop(stream);
    drive(dialler);
    let mut other = take(&mut listener).await;
    drive(listener);
    let mut got = Vec::new();
    assert!(other.read_to_end(&mut got).await.is_err());
    assert_eq!(got, b"last words");
}

#[tokio::test]
async fn the_end_of_a_stream_comes_in_a_frame_without_data() {
    let (mut raw, b) = wire().await;
    let mut listener = Config::default().muxer(b, false);
    let mut stream = open(&mut listener).await;
    stream.write_all(b"hello").await.unwrap();
    stream.close().await.unwrap();
    drive(listener);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let mut bytes = [0; 12];
        raw.read_exact(&mut bytes).await.unwrap();
        let header = Header::decode(bytes).unwrap();
        if header.kind == Kind::Data {
            raw.read_exact(&mut vec![0; header.length as usize]).await.unwrap();
            seen.push((header.flags, header.length));
        }
    }
    assert_eq!(seen, [(SYN, 5), (FIN, 0)]);
}

#[tokio::test]
async fn a_closed_connection_is_an_error_for_whoever_polls_it_and_reads() {
    let (mut dialler, listener) = pair().await;
    let mut stream = open(&mut dialler).await;
    stream.write_all(b"x").await.unwrap();
    let dialler = drive(dialler);
    drop(listener);
    dialler.await.unwrap();
    assert!(stream.read(&mut [0]).await.is_err());
    assert!(stream.write(b"x").await.is_err());
}

/// The crate's side: echoes every stream, or opens one and has it echoed.
fn theirs(socket: Wire, mode: Mode) -> JoinHandle<()> {
    let mut config = yamux::Config::default();
    config.set_split_send_size(300_000);
    let mut theirs = Theirs::new(socket, config, mode);
    tokio::spawn(async move {
        while let Some(Ok(stream)) = poll_fn(|cx| theirs.poll_next_inbound(cx)).await {
            tokio::spawn(async move {
                let (reader, mut writer) = stream.split();
                futures::io::copy(reader, &mut writer).await.unwrap();
                writer.close().await.unwrap();
            });
        }
    })
}

#[tokio::test]
async fn the_crate_s_streams_are_ours_whoever_dials() {
    for dialler in [true, false] {
        let (a, b) = wire().await;
        let mut ours = Config::default().muxer(a, dialler);
        theirs(b, if dialler { Mode::Server } else { Mode::Client });
        let mut streams = Vec::new();
        for _ in 0..5 {
            streams.push(open(&mut ours).await);
        }
        drive(ours);
        let echoed = streams.into_iter().map(|stream| async move {
            let (mut reader, mut writer) = stream.split();
            let write = async {
                writer.write_all(&numbers(3 * MIB + 7)).await.unwrap();
                writer.close().await.unwrap();
            };
            let mut got = Vec::new();
            let (_, read) = tokio::join!(write, reader.read_to_end(&mut got));
            read.unwrap();
            assert!(got == numbers(3 * MIB + 7));
        });
        futures::future::join_all(echoed).await;
    }
}

#[tokio::test]
async fn a_stream_that_the_crate_opens_is_taken_and_answered() {
    let (a, b) = wire().await;
    let mut ours = Config::default().muxer(a, true);
    let client = tokio::spawn(async move {
        let mut theirs = Theirs::new(b, yamux::Config::default(), Mode::Server);
        let mut stream = poll_fn(|cx| theirs.poll_new_outbound(cx)).await.unwrap();
        tokio::spawn(async move { poll_fn(|cx| theirs.poll_next_inbound(cx)).await.map(drop) });
        stream.write_all(&numbers(2 * MIB)).await.unwrap();
        stream.close().await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        got
    });
    let mut stream = take(&mut ours).await;
    drive(ours);
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert!(got == numbers(2 * MIB));
    stream.write_all(b"thanks").await.unwrap();
    stream.close().await.unwrap();
    assert_eq!(client.await.unwrap(), b"thanks");
}

fn header(kind: Kind, flags: u16, stream: u32, length: usize) -> Vec<u8> {
    let length = u32::try_from(length).unwrap();
    Header { kind, flags, stream, length }.encode().to_vec()
}

/// What a listener says to a dialler that writes these bytes: why the connection is over.
async fn verdict(bytes: Vec<u8>) -> Error {
    let (mut raw, b) = wire().await;
    let listener = drive(Config::default().muxer(b, false));
    tokio::spawn(async move {
        drop(raw.write_all(&bytes).await);
        // What comes back is read, so that nothing waits for it.
        drop(raw.read_to_end(&mut Vec::new()).await);
    });
    listener.await.unwrap()
}

#[tokio::test]
async fn whoever_breaks_the_protocol_or_a_bound_loses_the_connection() {
    let much = limits::YAMUX_WINDOW + 1;
    let streams =
        (0..=limits::YAMUX_STREAMS as u32).map(|n| header(Kind::Window, SYN, 2 * n + 1, 0));
    let cases = [
        vec![9; 12],
        header(Kind::Data, SYN, 2, 0),
        header(Kind::Data, SYN, 0, 0),
        [header(Kind::Data, SYN, 1, 0), header(Kind::Data, SYN, 1, 0)].concat(),
        header(Kind::Data, SYN, 1, much),
        [header(Kind::Window, SYN, 1, 0), header(Kind::Window, 0, 1, u32::MAX as usize)].concat(),
        streams.collect::<Vec<_>>().concat(),
    ];
    for (n, case) in cases.into_iter().enumerate() {
        let why = verdict(case).await;
        assert!(matches!(why, Error::Protocol(_)), "case {n}: {why}");
    }
    let goodbye = verdict(header(Kind::GoAway, 0, 0, 0)).await;
    assert!(matches!(goodbye, Error::Closed));
}

#[tokio::test]
async fn data_of_streams_that_are_gone_is_forgotten_and_a_pong_that_nobody_asked_for_too() {
    let (mut raw, b) = wire().await;
    let mut listener = Config::default().muxer(b, false);
    let bytes = [
        header(Kind::Ping, ACK, 0, 77),
        header(Kind::Data, 0, 9, 5),
        b"never".to_vec(),
        header(Kind::Data, RST, 11, 0),
        header(Kind::Data, SYN | FIN, 1, 5),
        b"hello".to_vec(),
    ];
    raw.write_all(&bytes.concat()).await.unwrap();
    let mut stream = take(&mut listener).await;
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"hello");
}

#[tokio::test]
async fn a_frame_that_comes_in_pieces_opens_the_window_by_no_more_than_what_was_read() {
    let (mut raw, b) = wire().await;
    let mut listener = Config::default().muxer(b, false);
    let (window, half) = (limits::YAMUX_WINDOW, limits::YAMUX_WINDOW / 2);
    raw.write_all(&header(Kind::Data, SYN, 1, window)).await.unwrap();
    raw.write_all(&vec![7; half]).await.unwrap();
    let mut stream = take(&mut listener).await;
    drive(listener);
    let mut got = vec![0; half];
    stream.read_exact(&mut got).await.unwrap();
    raw.write_all(&vec![7; window - half]).await.unwrap();
    got.resize(window, 0);
    stream.read_exact(&mut got[half..]).await.unwrap();
    let (mut granted, mut answer) = (0, [0; 12]);
    while granted < window {
        raw.read_exact(&mut answer).await.unwrap();
        let header = Header::decode(answer).unwrap();
        granted += if header.kind == Kind::Window { header.length as usize } else { 0 };
    }
    assert_eq!(granted, window, "all was read, and no round trip is known");
}

#[tokio::test]
async fn pings_are_answered_and_many_do_not_fill_memory() {
    let (raw, b) = wire().await;
    drive(Config::default().muxer(b, false));
    let count = 100_000;
    let pings: Vec<u8> = (0..count).flat_map(|n| header(Kind::Ping, SYN, 0, n)).collect();
    // None is read before all are written, or the socket takes no more.
    let (written, pongs) = tokio::time::timeout(super::super::testing::PATIENCE, async {
        let (mut reader, mut writer) = raw.split();
        let write = tokio::spawn(async move { writer.write_all(&pings).await });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let mut pongs = vec![0; 12 * (count + 1)];
        reader.read_exact(&mut pongs).await.unwrap();
        (write.await.unwrap(), pongs)
    })
    .await
    .unwrap();
    written.unwrap();
    let pongs: Vec<_> =
        pongs.chunks(12).map(|bytes| Header::decode(bytes.try_into().unwrap()).unwrap()).collect();
    assert!(
        pongs.iter().filter(|pong| pong.has(ACK)).map(|pong| pong.length as usize).eq(0..count)
    );
}
