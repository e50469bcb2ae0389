//! How far a repo may be announced, listed and served, and the one function that decides it.
//!
//! A block carries the widest visibility of the repos that hold it (the store computes that); everything that
//! leaves this node — HAVE, block, provider record, index entry, HTTP list — asks [`allows`] and nothing else.
//! Design section 4.

use serde::{Deserialize, Serialize};

/// How far a repo may go. The order is from narrow to wide.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Stays on this node: only the owner's own commands and local HTTP clients see it.
    Private,
    /// Peers on this LAN, peers given by hand, members of a swarm-key network.
    #[default]
    Lan,
    /// Everybody.
    Public,
}

/// Who would learn of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// The owner's own client: through the control socket, or through HTTP with the token of the home.
    Local,
    /// An HTTP client without the token.
    Http,
    /// A peer whose connection the preset `lan` would accept, one given by hand, or a swarm-key member.
    LanPeer,
    /// Any other peer.
    WanPeer,
    /// Provider records and indexes in the LAN's DHT.
    LanDht,
    /// Provider records and indexes in the public DHT.
    PublicDht,
}

/// Whether content of this visibility may be shown to this audience.
pub fn allows(visibility: Visibility, audience: Audience) -> bool {
    let needed = match audience {
        Audience::Local => Visibility::Private,
        Audience::Http | Audience::LanPeer | Audience::LanDht => Visibility::Lan,
        Audience::WanPeer | Audience::PublicDht => Visibility::Public,
    };
    visibility >= needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_content_is_shown_to_the_owner_alone() {
        let shown: Vec<_> = [
            Audience::Local,
            Audience::Http,
            Audience::LanPeer,
            Audience::WanPeer,
            Audience::LanDht,
            Audience::PublicDht,
        ]
        .into_iter()
        .filter(|audience| allows(Visibility::Private, *audience))
        .collect();
        assert_eq!(shown, [Audience::Local]);
    }

    #[test]
    fn lan_content_reaches_lan_peers_and_the_lan_dht_and_goes_no_further() {
        assert!(allows(Visibility::Lan, Audience::Http));
        assert!(allows(Visibility::Lan, Audience::LanPeer));
        assert!(allows(Visibility::Lan, Audience::LanDht));
        assert!(!allows(Visibility::Lan, Audience::WanPeer));
        assert!(!allows(Visibility::Lan, Audience::PublicDht));
    }

    #[test]
    fn public_content_reaches_everybody() {
        assert!(allows(Visibility::Public, Audience::WanPeer));
        assert!(allows(Visibility::Public, Audience::PublicDht));
    }
}
