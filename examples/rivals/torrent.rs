//! What BitTorrent needs besides its programs: a torrent of a file (BEP 3) and a tracker (BEP 3, BEP 23) for it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Bytes of a piece, as of a chunk of ours.
const PIECE: usize = 1 << 20;
/// Seconds after which a peer may ask again.
const INTERVAL: u32 = 5;

/// Writes a torrent of one file, without a tracker.
pub(super) fn make(file: &Path, torrent: &Path) -> Result<()> {
    let name = file.file_name().and_then(|name| name.to_str()).context("made by us")?;
    let source = File::open(file)?;
    let length = source.metadata()?.len();
    let mut pieces = Vec::new();
    let mut piece = Vec::with_capacity(PIECE);
    while (&source).take(PIECE as u64).read_to_end(&mut piece)? > 0 {
        pieces.extend_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, &piece).as_ref());
        piece.clear();
    }
    // Keys of a dictionary are in order.
    let mut text = format!("d4:infod6:lengthi{length}e4:name{}:{name}", name.len()).into_bytes();
    write!(text, "12:piece lengthi{PIECE}e6:pieces{}:", pieces.len())?;
    text.extend_from_slice(&pieces);
    text.extend_from_slice(b"ee");
    Ok(fs::write(torrent, text)?)
}

/// A tracker for one torrent, on a thread that lasts as long as the program.
pub(super) struct Tracker {
    url: String,
    peers: Arc<Mutex<Vec<Peer>>>,
}

/// One that announced itself, on loopback.
struct Peer {
    port: u16,
    whole: bool,
}

impl Tracker {
    /// Starts it.
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/announce", listener.local_addr()?);
        let peers = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&peers);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Err(why) = answer(stream, &known) {
                    eprintln!("warning: the tracker could not answer: {why}");
                }
            }
        });
        Ok(Self { url, peers })
    }

    /// What peers are to be told.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Forgets all peers.
    pub(super) fn forget(&self) {
        lock(&self.peers).clear();
    }

    /// Whether one that has the whole file is known.
    pub(super) fn has_seeder(&self) -> bool {
        lock(&self.peers).iter().any(|peer| peer.whole)
    }
}

fn lock(peers: &Mutex<Vec<Peer>>) -> MutexGuard<'_, Vec<Peer>> {
    peers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one announcement with all other peers.
fn answer(stream: TcpStream, peers: &Mutex<Vec<Peer>>) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(&stream).take(8 << 10).lines();
    let request = lines.next().context("no request")??;
    // The rest of it is read so that closing does not reset the connection.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let query = request.split(' ').nth(1).and_then(|path| path.split_once('?'));
    let (_, query) = query.context("no query")?;
    let field = |name| {
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)
    };
    let port: u16 = field("port").context("no port")?.1.parse()?;
    let whole = field("left").is_some_and(|(_, left)| left == "0");
    let mut known = lock(peers);
    known.retain(|peer| peer.port != port);
    let others: Vec<u8> = known
        .iter()
        .flat_map(|peer| [[127, 0, 0, 1].as_slice(), &peer.port.to_be_bytes()].concat())
        .collect();
    if field("event").is_none_or(|(_, event)| event != "stopped") {
        known.push(Peer { port, whole });
    }
    drop(known);
    let mut body = format!("d8:intervali{INTERVAL}e5:peers{}:", others.len()).into_bytes();
    body.extend_from_slice(&others);
    body.push(b'e');
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    (&stream).write_all(&[head.as_bytes(), &body].concat())?;
    Ok(())
}
