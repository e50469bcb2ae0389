//! What a daemon offers on this machine: control for the command line on a Unix socket; over HTTP the API of the Hugging
//! Face Hub, metrics and health.
//!
//! It stands above the node and only passes on: no decision about content or peers is made here. Control is mounted
//! on the socket alone, never on HTTP.

mod control;
mod guard;
mod http;
mod hub;
mod metrics;
mod range;

use std::net::SocketAddr;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    library::{blocking, token},
    node::Node,
    rpc::Failure,
};

/// The running servers of a daemon.
#[derive(Debug)]
pub struct Gateway {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    http: Option<SocketAddr>,
}

impl Gateway {
    /// Starts both servers over the node.
    ///
    /// # Errors
    /// Failure (1) if the HTTP port or the socket is taken, naming the flag; usage (2) for an address that is none.
    pub async fn start(node: Node) -> Result<Self, Failure> {
        let stop = CancellationToken::new();
        let listener = http::bind(&node.config().gateway.http).await?;
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let mut tasks = vec![control::serve(node.clone(), stop.clone())?];
        if let Some((listener, address)) = listener.zip(address) {
            let home = node.home().clone();
            let token = blocking(move || token::load(&home)).await?;
            let shared = http::Shared { node, token, address };
            tasks.push(http::serve(listener, shared, stop.clone()));
        }
        Ok(Self { stop, tasks, http: address })
    }

    /// Where HTTP is served, if it is.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Stops taking requests; those under way are cut off, which stops their work.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            if task.await.is_err() {
                tracing::error!("a server of the gateway ended with a panic");
            }
        }
    }
}
