//! What a daemon offers on this machine: control for the command line on a Unix socket, metrics and health over HTTP.
//!
//! It stands above the node and only passes on: no decision about content or peers is made here. Control is mounted
//! on the socket alone, never on HTTP.

mod control;
mod http;
mod metrics;

use std::net::SocketAddr;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{node::Node, rpc::Failure};

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
        if let Some(listener) = listener {
            tasks.push(http::serve(listener, node, stop.clone()));
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
