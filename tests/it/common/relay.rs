//! A far link on loopback: bytes are passed on in flights, so that round trips can be counted.
//!
//! What either side says is held until both have been silent for a while, which is when each waits for the other; then all
//! of it goes over at once. That is one flight: half a round trip of a link that is longer than all else. A machine that is
//! busy makes a flight of two at most (somebody was silent though not done), so the least of several counts is exact.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long both sides say nothing before what was said goes over.
const SILENCE: Duration = Duration::from_millis(200);

/// A relay to one daemon.
pub(crate) struct Relay {
    addr: String,
    flights: Arc<AtomicUsize>,
}

impl Relay {
    /// A relay to the TCP address of a daemon, `/ip4/127.0.0.1/tcp/PORT/p2p/ID`.
    pub(crate) fn to(addr: &str) -> Self {
        let parts: Vec<&str> = addr.split('/').collect();
        let port: u16 = parts[4].parse().expect("a port");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("bound").port();
        let flights = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&flights);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = TcpStream::connect(("127.0.0.1", port)).expect("the daemon listens");
                let counted = Arc::clone(&counted);
                thread::spawn(move || pass([near, far], &counted));
            }
        });
        Self { addr: format!("/ip4/127.0.0.1/tcp/{own}/p2p/{}", parts[6]), flights }
    }

    /// Where it is reached, with the daemon's id.
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    /// Flights so far.
    pub(crate) fn flights(&self) -> usize {
        self.flights.load(Ordering::SeqCst)
    }
}

fn pass(mut ends: [TcpStream; 2], flights: &AtomicUsize) {
    for end in &ends {
        end.set_nonblocking(true).expect("a socket");
    }
    let mut held = [Vec::new(), Vec::new()];
    let mut heard = Instant::now();
    let mut chunk = vec![0; 1 << 16];
    loop {
        for (end, held) in ends.iter_mut().zip(&mut held) {
            match end.read(&mut chunk) {
                Ok(0) => return,
                Ok(n) => {
                    held.extend_from_slice(&chunk[..n]);
                    heard = Instant::now();
                }
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        if heard.elapsed() < SILENCE || held.iter().all(Vec::is_empty) {
            thread::sleep(Duration::from_millis(2));
            continue;
        }
        flights.fetch_add(1, Ordering::SeqCst);
        for (from, to) in [(0, 1), (1, 0)] {
            let bytes = std::mem::take(&mut held[from]);
            ends[to].set_nonblocking(false).expect("a socket");
            if ends[to].write_all(&bytes).is_err() {
                return;
            }
            ends[to].set_nonblocking(true).expect("a socket");
        }
        heard = Instant::now();
    }
}
