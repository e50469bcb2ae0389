//! Calls of `connect` that wait for their connection, and dial errors in words.

use std::collections::HashMap;

use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::Error;
use super::policy::without_peer;
use crate::limits;

/// Answers a caller of `connect`.
pub(super) type Reply = oneshot::Sender<Result<PeerId, Error>>;

/// Who waits for which dial.
#[derive(Default)]
pub(super) struct Connects(HashMap<ConnectionId, (Multiaddr, Reply)>);

impl Connects {
    /// Keeps a caller until its dial ends.
    pub(super) fn wait(&mut self, dial: ConnectionId, addr: Multiaddr, reply: Reply) {
        if self.0.len() >= limits::CONNECTS_MAX {
            let refused = Error::TooMany { what: "calls of connect", max: limits::CONNECTS_MAX };
            drop(reply.send(Err(refused)));
            return;
        }
        self.0.insert(dial, (addr, reply));
    }

    /// The address that was dialled by hand, if it was by hand; its caller is answered.
    pub(super) fn on_connected(&mut self, dial: ConnectionId, peer: PeerId) -> Option<Multiaddr> {
        let (addr, reply) = self.0.remove(&dial)?;
        drop(reply.send(Ok(peer)));
        Some(addr)
    }

    pub(super) fn on_failed(&mut self, dial: ConnectionId, error: &DialError) {
        if let Some((addr, reply)) = self.0.remove(&dial) {
            drop(reply.send(Err(dial_error(addr, error))));
        }
    }
}

/// Whether an address is of a kind that is spoken here: IP or name, then TCP or QUIC, then perhaps the peer.
///
/// # Errors
/// [`Error::UnsupportedAddr`].
pub(super) fn check_dialable(addr: &Multiaddr) -> Result<(), Error> {
    use Protocol as P;
    let bare = without_peer(addr);
    let parts: Vec<P<'_>> = bare.iter().collect();
    match parts.as_slice() {
        [P::Dnsaddr(_)]
        | [P::Ip4(_) | P::Ip6(_) | P::Dns(_) | P::Dns4(_) | P::Dns6(_), P::Tcp(_)]
        | [P::Ip4(_) | P::Ip6(_) | P::Dns(_) | P::Dns4(_) | P::Dns6(_), P::Udp(_), P::QuicV1] => {
            Ok(())
        }
        _ => Err(Error::UnsupportedAddr {
            addr: addr.clone(),
            reason: "only TCP and QUIC to an IP or a name are spoken".to_owned(),
        }),
    }
}

/// What to tell whoever asked for a dial.
pub(super) fn dial_error(addr: Multiaddr, error: &DialError) -> Error {
    let reason = match error {
        DialError::LocalPeerId { .. } => "that is this node itself".to_owned(),
        DialError::WrongPeerId { obtained, .. } => {
            format!("the peer there is {obtained}, not the one in the address")
        }
        DialError::Aborted => "the attempt was given up".to_owned(),
        DialError::NoAddresses => "no address to dial".to_owned(),
        DialError::DialPeerConditionFalse(_) => "it is being dialled already".to_owned(),
        DialError::Denied { cause } => root_cause(cause),
        DialError::Transport(attempts) => {
            let mut reasons: Vec<String> =
                attempts.iter().map(|(_, error)| root_cause(error)).collect();
            reasons.dedup();
            reasons.join("; ")
        }
    };
    Error::Dial { addr, reason }
}

/// What lies at the bottom of an error: the layers above only say that something below failed.
pub(super) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(below) = deepest.source() {
        deepest = below;
    }
    // `io::Error` keeps a custom error inside without giving it out as its source.
    if let Some(inner) = deepest.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
        && inner.source().is_some()
    {
        return root_cause(inner);
    }
    // Some say it in several lines.
    deepest.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
