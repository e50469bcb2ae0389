//! Where the node listens: what the user said, else the preset's default; and the default port's substitute, once
//! found, for good.

use libp2p::multiaddr::Protocol;

use crate::{
    config::Config,
    library,
    network::{self, Error, Keypair, Multiaddr, Network},
    node::Role,
    rpc::{Code, Failure},
    store::Store,
};

/// Document in the store that keeps the substitute of the default port.
const PORT: &str = "listen-port";

/// Starts the network as the role needs it.
pub(super) async fn start(
    identity: Keypair,
    config: &Config,
    role: Role,
    store: &Store,
    attestations: network::Attestations,
) -> Result<Network, Failure> {
    let by_hand = parse("--listen", &config.network.listen)?;
    let bootstrap = parse("--bootstrap", &config.network.bootstrap)?;
    let options = |listen: Vec<Multiaddr>| network::Options {
        identity: identity.clone(),
        settings: config.network.clone(),
        rates: config.rates,
        listen,
        bootstrap: bootstrap.clone(),
        attestations: attestations.clone(),
    };
    if !by_hand.is_empty() || role != Role::Daemon {
        return Ok(network::spawn(options(by_hand), store.clone()).await?);
    }
    let kept = kept_port(store).await?;
    let defaults = parse("network.listen", &config.network.preset.default_listen())?;
    let first = match kept {
        Some(port) => with_port(&defaults, port),
        None => defaults.clone(),
    };
    match network::spawn(options(first), store.clone()).await {
        Err(Error::ListenTaken { addr }) => {
            tracing::warn!(%addr, "the port is taken; a free one is used, and kept from now on");
            let network = network::spawn(options(with_port(&defaults, 0)), store.clone()).await?;
            keep_port(store, &network).await?;
            Ok(network)
        }
        started => Ok(started?),
    }
}

fn parse(flag: &str, addresses: &[String]) -> Result<Vec<Multiaddr>, Failure> {
    addresses.iter().map(|address| address_of(flag, address)).collect()
}

/// A multiaddr as typed.
pub(super) fn address_of(flag: &str, address: &str) -> Result<Multiaddr, Failure> {
    address.parse().map_err(|why| {
        Failure::new(Code::Usage, format!("{flag} '{address}' is not a multiaddr: {why}"))
            .hint("multiaddrs look like /ip4/192.168.1.7/tcp/8643/p2p/12D3KooW…")
    })
}

fn with_port(addresses: &[Multiaddr], port: u16) -> Vec<Multiaddr> {
    addresses
        .iter()
        .map(|address| {
            address
                .iter()
                .map(|part| match part {
                    Protocol::Tcp(_) => Protocol::Tcp(port),
                    Protocol::Udp(_) => Protocol::Udp(port),
                    other => other,
                })
                .collect()
        })
        .collect()
}

async fn kept_port(store: &Store) -> Result<Option<u16>, Failure> {
    let store = store.clone();
    let document = library::blocking(move || Ok(store.document(PORT)?)).await?;
    Ok(document.and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse().ok()))
}

async fn keep_port(store: &Store, network: &Network) -> Result<(), Failure> {
    let addresses = network.listen_addrs().await?;
    let port = addresses.iter().flat_map(Multiaddr::iter).find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    let Some(port) = port else { return Ok(()) };
    let store = store.clone();
    library::blocking(move || Ok(store.save_document(PORT, port.to_string().as_bytes())?)).await
}
