//! The local HTTP endpoint: `/healthz` and `/metrics`.

use std::{io, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::metrics;
use crate::{
    node::Node,
    rpc::{Code, Failure},
};

/// Requests under way have this long to end when the daemon stops.
const GRACE: Duration = Duration::from_secs(2);

/// Binds the address of the setting `gateway.http`; `None` if it is `off`.
pub(super) async fn bind(setting: &str) -> Result<Option<TcpListener>, Failure> {
    if setting == "off" {
        return Ok(None);
    }
    match TcpListener::bind(setting).await {
        Ok(listener) => Ok(Some(listener)),
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => Err(Failure::new(
            Code::Failure,
            format!("the HTTP address {setting} is taken by another program"),
        )
        .hint("choose another with --http ADDR, or --http off")),
        Err(why) => Err(Failure::new(
            Code::Usage,
            format!("cannot listen on the HTTP address {setting}: {why}"),
        )
        .hint("--http takes ADDRESS:PORT, e.g. 127.0.0.1:8642, or off")),
    }
}

/// Serves until told to stop.
pub(super) fn serve(listener: TcpListener, node: Node, stop: CancellationToken) -> JoinHandle<()> {
    let router = Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(export))
        .with_state(node);
    tokio::spawn(async move {
        let stopped = stop.clone();
        let server = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stopped.cancelled().await });
        let cut_off = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = server => if let Err(why) = served {
                tracing::error!(%why, "the HTTP server ended");
            },
            () = cut_off => {}
        }
    })
}

async fn health(State(node): State<Node>) -> Response {
    if node.is_well() {
        (StatusCode::OK, "ok\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the network has stopped\n").into_response()
    }
}

async fn export(State(node): State<Node>) -> Response {
    match metrics::export(&node).await {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(failure) => (StatusCode::SERVICE_UNAVAILABLE, format!("{failure}\n")).into_response(),
    }
}
