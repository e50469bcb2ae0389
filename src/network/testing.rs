//! What the tests of this layer share: a socket pair, nodes on loopback.

use libp2p::tcp::tokio::TcpStream;
use tokio::net::{TcpListener, TcpStream as Socket};

/// One end of a connected pair of sockets.
pub(super) type Wire = TcpStream;

/// Two sockets on loopback, connected to each other.
pub(super) async fn wire() -> (Wire, Wire) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let (dialled, accepted) = tokio::join!(Socket::connect(address), listener.accept());
    (TcpStream(dialled.expect("connects")), TcpStream(accepted.expect("accepts").0))
}
