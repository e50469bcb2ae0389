//! A peer made by hand: the project's transport, and above it bytes as the test wants them.
//!
//! No swarm and no protocol but `/ipfs/bitswap/1.2.0`, whose streams are negotiated here; whatever else the daemon asks
//! for is answered with "na". All calls block, for at most [`PATIENCE`]. Dropping a [`Connection`] closes it.
//!
//! Specs: multistream-select 1.0 (<https://github.com/multiformats/multistream-select>).

use std::{
    future::{Future, poll_fn},
    io,
    sync::mpsc as blocking,
    task::Poll,
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox},
        transport::{DialOpts, ListenerId, PortUse, TransportEvent},
    },
    identity::Keypair,
    multiaddr::Protocol,
};
use modelswarm::{
    dag::Block,
    exchange::{Decoded, Decoder},
    network,
};
use tokio::{
    runtime::{Handle, Runtime},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::bytes;
use crate::common::PATIENCE;

const MULTISTREAM: &str = "/multistream/1.0.0\n";
const BITSWAP: &str = "/ipfs/bitswap/1.2.0\n";

/// An identity, and the threads its connections run on.
pub(super) struct Peer {
    runtime: Runtime,
    identity: Keypair,
}

impl Peer {
    pub(super) fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        Self { runtime, identity: Keypair::generate_ed25519() }
    }

    pub(super) fn id(&self) -> String {
        self.identity.public().to_peer_id().to_string()
    }

    /// A new connection. That it stands does not mean that the other side keeps it.
    pub(super) fn dial(&self, addr: &str) -> io::Result<Connection> {
        let mut addr: Multiaddr = addr.parse().expect("a multiaddr");
        while let Some(Protocol::P2p(_)) = addr.iter().last() {
            addr.pop();
        }
        let mut transport = network::bare_transport(&self.identity).expect("a transport");
        let how = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let (_, muxer) = self.wait(async {
            let dial = transport.dial(addr, how).map_err(io::Error::other)?;
            dial.await
        })?;
        Ok(Connection::new(self.runtime.handle(), muxer))
    }

    /// Listens on loopback; the address with this peer's id, and whoever dials it.
    pub(super) fn listen(&self) -> (String, blocking::Receiver<Connection>) {
        let mut transport = network::bare_transport(&self.identity).expect("a transport");
        let handle = self.runtime.handle().clone();
        let entered = handle.enter();
        let any = "/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr");
        transport.listen_on(ListenerId::next(), any).expect("a free port");
        drop(entered);
        let (sender, connections) = blocking::channel();
        let (bound, addr) = oneshot::channel();
        let runtime = handle.clone();
        handle.spawn(async move {
            let mut bound = Some(bound);
            while let Some(event) = transport.next().await {
                match event {
                    TransportEvent::NewAddress { listen_addr, .. } => {
                        drop(bound.take().map(|bound| bound.send(listen_addr)));
                    }
                    TransportEvent::Incoming { upgrade, .. } => {
                        let (runtime, sender) = (runtime.clone(), sender.clone());
                        tokio::spawn(async move {
                            if let Ok((_, muxer)) = upgrade.await {
                                drop(sender.send(Connection::new(&runtime, muxer)));
                            }
                        });
                    }
                    _ => {}
                }
            }
        });
        let addr = self.wait(async { addr.await.map_err(io::Error::other) }).expect("an address");
        (format!("{addr}/p2p/{}", self.id()), connections)
    }

    fn wait<T>(&self, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        wait(self.runtime.handle(), what)
    }
}

fn wait<T>(runtime: &Handle, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    runtime.block_on(async {
        timeout(PATIENCE, what).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    })
}

/// A connection to the daemon.
pub(super) struct Connection {
    runtime: Handle,
    opens: mpsc::UnboundedSender<oneshot::Sender<SubstreamBox>>,
    inbound: mpsc::UnboundedReceiver<SubstreamBox>,
    driver: JoinHandle<()>,
}

impl Connection {
    fn new(runtime: &Handle, muxer: StreamMuxerBox) -> Self {
        let (opens, requests) = mpsc::unbounded_channel();
        let (sender, inbound) = mpsc::unbounded_channel();
        let driver = runtime.spawn(drive(muxer, requests, sender));
        Self { runtime: runtime.clone(), opens, inbound, driver }
    }

    /// Opens a Bitswap stream.
    pub(super) fn open(&self) -> io::Result<Stream> {
        let (request, answer) = oneshot::channel();
        let closed = |_| io::Error::from(io::ErrorKind::NotConnected);
        drop(self.opens.send(request));
        let inner = wait(&self.runtime, async {
            let mut stream = answer.await.map_err(closed)?;
            say(&mut stream, MULTISTREAM).await?;
            say(&mut stream, BITSWAP).await?;
            for expected in [MULTISTREAM, BITSWAP] {
                let line = hear(&mut stream).await?;
                assert_eq!(line, expected, "the daemon speaks Bitswap");
            }
            Ok(stream)
        })?;
        Ok(Stream { runtime: self.runtime.clone(), inner })
    }

    /// The next Bitswap stream that the daemon opens.
    pub(super) fn accept(&mut self) -> io::Result<Stream> {
        let next = async { self.inbound.recv().await.ok_or(io::ErrorKind::NotConnected.into()) };
        let inner = wait(&self.runtime, next)?;
        Ok(Stream { runtime: self.runtime.clone(), inner })
    }

    /// All that the daemon says from now on, on whatever stream; ends with the connection.
    pub(super) fn heard(&mut self) -> blocking::Receiver<Decoded> {
        let (sender, heard) = blocking::channel();
        let (_, none) = mpsc::unbounded_channel();
        let mut inbound = std::mem::replace(&mut self.inbound, none);
        self.runtime.spawn(async move {
            while let Some(mut stream) = inbound.recv().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut decoder = Decoder::new();
                    let mut chunk = vec![0; 64 * 1024];
                    while let Ok(n @ 1..) = stream.read(&mut chunk).await {
                        for decoded in bytes::decode(&mut decoder, &chunk[..n]) {
                            drop(sender.send(decoded));
                        }
                    }
                });
            }
        });
        heard
    }

    /// Waits until the connection is gone: false if it stays.
    pub(super) fn ends(&mut self) -> bool {
        let Self { runtime, driver, .. } = self;
        runtime.block_on(async { timeout(PATIENCE, driver).await.is_ok() })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.driver.is_finished()
    }
}

/// A Bitswap stream. Dropping one that was not read or written to its end resets it.
pub(super) struct Stream {
    runtime: Handle,
    inner: SubstreamBox,
}

impl Stream {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        wait(&self.runtime, async {
            self.inner.write_all(bytes).await?;
            self.inner.flush().await
        })
    }

    /// Exactly this many bytes.
    pub(super) fn read(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; n];
        wait(&self.runtime, self.inner.read_exact(&mut bytes))?;
        Ok(bytes)
    }

    /// The one block of the next message.
    pub(super) fn block(&mut self) -> io::Result<Block> {
        let mut blocks = self.blocks()?;
        assert_eq!(blocks.len(), 1, "a message of one block");
        Ok(blocks.remove(0))
    }

    /// The blocks of the next message.
    pub(super) fn blocks(&mut self) -> io::Result<Vec<Block>> {
        let mut frame = Vec::new();
        while frame.last().is_none_or(|byte| byte & 0x80 != 0) {
            frame.extend(self.read(1)?);
        }
        let len = bytes::value(&frame);
        frame.extend(self.read(len)?);
        Ok(bytes::blocks(&bytes::decode(&mut Decoder::new(), &frame)))
    }
}

/// Moves a connection's bytes until it ends or nobody holds it.
async fn drive(
    mut muxer: StreamMuxerBox,
    mut requests: mpsc::UnboundedReceiver<oneshot::Sender<SubstreamBox>>,
    inbound: mpsc::UnboundedSender<SubstreamBox>,
) {
    let mut opening: Option<oneshot::Sender<SubstreamBox>> = None;
    poll_fn(|cx| {
        loop {
            while let Poll::Ready(event) = muxer.poll_unpin(cx) {
                if event.is_err() {
                    return Poll::Ready(());
                }
            }
            match muxer.poll_inbound_unpin(cx) {
                Poll::Ready(Ok(stream)) => {
                    tokio::spawn(answer(stream, inbound.clone()));
                    continue;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if opening.is_none() {
                match requests.poll_recv(cx) {
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Ready(request) => opening = request,
                    Poll::Pending => return Poll::Pending,
                }
            }
            match muxer.poll_outbound_unpin(cx) {
                Poll::Ready(Ok(stream)) => drop(opening.take().map(|one| one.send(stream))),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

/// Agrees to Bitswap and to nothing else.
async fn answer(mut stream: SubstreamBox, inbound: mpsc::UnboundedSender<SubstreamBox>) {
    while let Ok(line) = hear(&mut stream).await {
        let agreed = line == BITSWAP;
        let reply = if agreed || line == MULTISTREAM { line.as_str() } else { "na\n" };
        if say(&mut stream, reply).await.is_err() {
            return;
        }
        if agreed {
            drop(inbound.send(stream));
            return;
        }
    }
}

async fn say(stream: &mut SubstreamBox, line: &str) -> io::Result<()> {
    let mut bytes = vec![u8::try_from(line.len()).expect("lines are short")];
    bytes.extend(line.as_bytes());
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn hear(stream: &mut SubstreamBox) -> io::Result<String> {
    let mut len = [0];
    stream.read_exact(&mut len).await?;
    let mut line = vec![0; len[0].into()];
    stream.read_exact(&mut line).await?;
    String::from_utf8(line).map_err(io::Error::other)
}
