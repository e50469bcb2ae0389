//! Settings of the network: which preset, where to listen, whom to know from the start.
//!
//! Plain values and their checks. It opens nothing: `network` binds and dials. What the presets mean is design
//! section 6; the names of the settings are those of `config.toml`'s `[network]` table.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::{Deserialize, Serialize};

use crate::limits;

/// How far this node looks for peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// This LAN: mDNS, the LAN DHT, private address ranges.
    #[default]
    Lan,
    /// Only peers given by hand or learned from them; listens on loopback unless told otherwise. Tests and CI.
    Isolated,
    /// The IPFS network. Parsed so that its place is clear; a node refuses to start with it yet.
    Public,
}

impl Preset {
    /// The name users type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Isolated => "isolated",
            Self::Public => "public",
        }
    }

    /// Where a daemon listens when nothing was said.
    pub fn default_listen(self) -> Vec<String> {
        let port = limits::P2P_PORT;
        match self {
            Self::Isolated => {
                vec![
                    format!("/ip4/127.0.0.1/tcp/{port}"),
                    format!("/ip4/127.0.0.1/udp/{port}/quic-v1"),
                ]
            }
            Self::Lan | Self::Public => vec![
                format!("/ip4/0.0.0.0/tcp/{port}"),
                format!("/ip4/0.0.0.0/udp/{port}/quic-v1"),
                format!("/ip6/::/tcp/{port}"),
                format!("/ip6/::/udp/{port}/quic-v1"),
            ],
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        [Self::Lan, Self::Isolated, Self::Public]
            .into_iter()
            .find(|preset| preset.name() == text)
            .ok_or_else(|| Invalid::Preset { value: text.to_owned() })
    }
}

/// The `[network]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How far this node looks for peers.
    pub preset: Preset,
    /// Multiaddrs to listen on; empty: [`Preset::default_listen`].
    pub listen: Vec<String>,
    /// Peers to know from the start, each with `/p2p/<peer id>`; dialled again for as long as the node runs.
    pub bootstrap: Vec<String>,
    /// Address ranges that count as this LAN beside the private ones, such as `203.0.113.0/24`.
    pub lan_ranges: Vec<Range>,
    /// Whether peers on this LAN are looked for by mDNS: `lan` does unless told not to, `isolated` never.
    pub mdns: Option<bool>,
    /// Connections held at once, both directions together.
    pub max_connections: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            listen: Vec::new(),
            bootstrap: Vec::new(),
            lan_ranges: Vec::new(),
            mdns: None,
            max_connections: limits::CONNECTIONS_DEFAULT,
        }
    }
}

impl Settings {
    /// Checks what the types alone do not.
    ///
    /// # Errors
    /// [`Invalid`], naming the setting's value and what to write instead.
    pub fn check(&self) -> Result<(), Invalid> {
        for text in &self.listen {
            parse_multiaddr(text)?;
        }
        for text in &self.bootstrap {
            if !matches!(parse_multiaddr(text)?.iter().last(), Some(Protocol::P2p(_))) {
                return Err(Invalid::BootstrapWithoutPeer { value: text.clone() });
            }
        }
        if self.preset == Preset::Isolated && self.mdns == Some(true) {
            return Err(Invalid::MdnsIsolated);
        }
        if !(1..=limits::CONNECTIONS_MAX).contains(&self.max_connections) {
            return Err(Invalid::MaxConnections { value: self.max_connections });
        }
        Ok(())
    }

    /// Whether mDNS runs.
    pub fn mdns(&self) -> bool {
        self.preset == Preset::Lan && self.mdns.unwrap_or(true)
    }
}

/// Parses a multiaddr as a user types it.
///
/// # Errors
/// [`Invalid::Multiaddr`] with an example of the right form.
pub fn parse_multiaddr(text: &str) -> Result<Multiaddr, Invalid> {
    text.parse().map_err(|error: libp2p::multiaddr::Error| Invalid::Multiaddr {
        value: text.to_owned(),
        reason: error.to_string(),
    })
}

/// An IP range in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Range {
    base: IpAddr,
    prefix: u8,
}

impl Range {
    /// The range of `prefix` leading bits of `base`; a longer prefix than the family has is cut to it.
    pub fn new(base: IpAddr, prefix: u8) -> Self {
        let bits = if base.is_ipv4() { 32 } else { 128 };
        Self { base, prefix: prefix.min(bits) }
    }

    /// Whether the address lies in it. IPv4-mapped IPv6 addresses count as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.base, ip.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                u32::from(base) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                u128::from(base) & mask == u128::from(ip) & mask
            }
            _ => false,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl From<Range> for String {
    fn from(range: Range) -> Self {
        range.to_string()
    }
}

impl TryFrom<String> for Range {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl FromStr for Range {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::Range { value: text.to_owned() };
        let (base, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let base: IpAddr = base.parse().map_err(|_| invalid())?;
        let prefix: u8 = prefix.parse().map_err(|_| invalid())?;
        if prefix > if base.is_ipv4() { 32 } else { 128 } {
            return Err(invalid());
        }
        Ok(Self { base, prefix })
    }
}

/// Whether an address is one of a LAN by itself: loopback, link-local or of a private range.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// The unspecified address of either family: "every interface" when listening, nothing when dialling.
pub fn is_unspecified(ip: IpAddr) -> bool {
    ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED) || ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}

/// Why a setting is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not a preset.
    #[error("network preset `{value}` does not exist; use lan, isolated or public")]
    Preset {
        /// What was given.
        value: String,
    },
    /// Not a multiaddr.
    #[error("`{value}` is not a multiaddr ({reason}); write it like /ip4/192.168.1.20/tcp/8643")]
    Multiaddr {
        /// What was given.
        value: String,
        /// What the parser says.
        reason: String,
    },
    /// A bootstrap peer is known by its id.
    #[error("bootstrap address `{value}` names no peer; end it with /p2p/<peer id>")]
    BootstrapWithoutPeer {
        /// What was given.
        value: String,
    },
    /// Not an IP range.
    #[error("`{value}` is not an address range; write it like 203.0.113.0/24")]
    Range {
        /// What was given.
        value: String,
    },
    /// mDNS would make an isolated node visible.
    #[error("network.mdns cannot be on with the preset isolated; use --network lan")]
    MdnsIsolated,
    /// Out of bounds.
    #[error("network.max_connections = {value} is not within 1 to {max}", max = limits::CONNECTIONS_MAX)]
    MaxConnections {
        /// What was given.
        value: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        let range: Range = "203.0.113.0/24".parse().unwrap();
        assert!(range.contains(ip("203.0.113.7")));
        assert!(range.contains(ip("::ffff:203.0.113.7")));
        assert!(!range.contains(ip("203.0.114.7")));
        let all: Range = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains(ip("8.8.8.8")));
        assert!(!all.contains(ip("2001:db8::1")));
        let v6: Range = "2001:db8::/32".parse().unwrap();
        assert!(v6.contains(ip("2001:db8:1::9")));
        assert!(!v6.contains(ip("2001:db9::9")));
    }

    #[test]
    fn broken_ranges_are_refused_by_name() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1", "::/129"] {
            assert_eq!(text.parse::<Range>(), Err(Invalid::Range { value: text.into() }));
        }
    }

    #[test]
    fn private_addresses_are_told_from_those_of_the_internet() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.9.9",
            "169.254.1.1",
            "::1",
            "fe80::1",
            "fd00::1",
        ] {
            assert!(is_private(ip(text)), "{text}");
        }
        for text in ["8.8.8.8", "172.32.0.1", "192.169.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_private(ip(text)), "{text}");
        }
    }

    #[test]
    fn settings_are_checked_one_by_one() {
        assert_eq!(Settings::default().check(), Ok(()));
        let bad = Settings { listen: vec!["tcp:1".into()], ..Settings::default() };
        assert!(matches!(bad.check(), Err(Invalid::Multiaddr { .. })));
        let bad = Settings { bootstrap: vec!["/ip4/10.0.0.1/tcp/1".into()], ..Settings::default() };
        assert!(matches!(bad.check(), Err(Invalid::BootstrapWithoutPeer { .. })));
        let bad = Settings { preset: Preset::Isolated, mdns: Some(true), ..Settings::default() };
        assert_eq!(bad.check(), Err(Invalid::MdnsIsolated));
        let bad = Settings { max_connections: 0, ..Settings::default() };
        assert_eq!(bad.check(), Err(Invalid::MaxConnections { value: 0 }));
    }

    #[test]
    fn every_preset_parses_from_its_own_name() {
        for preset in [Preset::Lan, Preset::Isolated, Preset::Public] {
            assert_eq!(preset.to_string().parse(), Ok(preset));
            for listen in preset.default_listen() {
                parse_multiaddr(&listen).unwrap();
            }
        }
    }

    #[test]
    fn an_isolated_node_never_runs_mdns() {
        assert!(Settings::default().mdns());
        assert!(!Settings { preset: Preset::Isolated, ..Settings::default() }.mdns());
        assert!(!Settings { mdns: Some(false), ..Settings::default() }.mdns());
    }
}
