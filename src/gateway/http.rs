//! The local HTTP endpoint: connections, who may ask, and which part answers.
//!
//! Every request passes the [`guard`](super::guard) first, whatever it is for: a page in the user's browser can neither read
//! nor change anything here. Beyond loopback every request must bear the token as well, or be sent to the address of an upload,
//! which bears a proof. A connection is bounded in the time it may be silent while we wait for it, on its way in and on its way
//! out, and there are so many at a time.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::HttpBody as _,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use super::{guard, hub, metrics};
use crate::{
    config::Audience,
    limits,
    node::Node,
    rpc::{Code, Failure},
};

/// Requests under way have this long to end when the daemon stops.
const GRACE: Duration = Duration::from_secs(2);

/// What every request is answered from.
#[derive(Debug)]
pub(super) struct Shared {
    /// The node.
    pub node: Node,
    /// What proves the home's owner.
    pub token: String,
    /// Where it is served.
    pub address: SocketAddr,
}

impl Shared {
    /// As whom a client asks that sent this `Authorization`.
    pub(super) fn audience(&self, headers: &HeaderMap) -> Audience {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match guard::bearer(given) {
            Some(given) if guard::same(&self.token, given) => Audience::Local,
            _ => Audience::Http,
        }
    }
}

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
pub(super) fn serve(
    listener: TcpListener,
    shared: Shared,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let shared = Arc::new(shared);
    let router = Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(export))
        .fallback(hub::answer)
        .layer(middleware::from_fn_with_state(shared.clone(), answer))
        .with_state(shared);
    tokio::spawn(accept(listener, router, stop))
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = async {
                let place = places.clone().acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            (place, Ok((stream, _))) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    converse(stream, router, stop).await;
                    drop(place);
                });
            }
            (_, Err(why)) => {
                // Out of descriptors, most likely: others will be closed meanwhile.
                tracing::warn!(%why, "cannot accept HTTP clients");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn converse(stream: TcpStream, router: Router, stop: CancellationToken) {
    if let Err(why) = stream.set_nodelay(true) {
        tracing::debug!(%why, "an HTTP client went away at once");
    }
    let mut stream = TimeoutStream::new(stream);
    // Who takes nothing of an answer holds memory and a place.
    stream.set_write_timeout(Some(limits::HTTP_STALL));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEAD)
        .max_buf_size(limits::HTTP_HEAD_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = ended {
        tracing::debug!(%why, "an HTTP client went away");
    }
}

/// A header's text. One that stands twice, or is no text, is none that we understand; the guard refuses an empty one.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    Some(if values.next().is_some() { "" } else { value.to_str().unwrap_or("") })
}

/// The host that a request is for, as the client wrote it. A proxy's request has the whole address in its first line, and that is
/// what counts then, whatever the header says.
pub(super) fn host<'a>(target: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    target.authority().map_or_else(|| text(headers, "host"), |at| Some(at.as_str()))
}

/// Answers a request. One that is refused before its body was read ends the connection, which is said: a client that took it
/// for open would lose its next request there.
async fn answer(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let has_body = !request.body().is_end_stream();
    let mut response = admit(&shared, request, next).await;
    if has_body && !response.status().is_success() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Lets a request pass, or says why not.
async fn admit(shared: &Shared, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name: &str| text(headers, name);
    let host = host(request.uri(), headers);
    let hosts = &shared.node.config().gateway.hosts;
    let site = text("sec-fetch-site");
    let port = shared.address.port();
    if let Err(refusal) = guard::admit(host, text("origin"), site, port, hosts) {
        return hub::refused(StatusCode::FORBIDDEN, &refusal.to_string());
    }
    // The address of an upload bears a proof of its own, and clients send no token to it.
    let is_upload = hub::is_upload(request.method(), request.uri().path());
    let needs_token = !shared.address.ip().is_loopback() && !is_upload;
    if needs_token && shared.audience(headers) != Audience::Local {
        let why = "beyond loopback every request needs the token: modelswarm token prints it";
        return hub::refused(StatusCode::UNAUTHORIZED, why);
    }
    next.run(request).await
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    if shared.node.is_well() {
        (StatusCode::OK, "ok\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the network has stopped\n").into_response()
    }
}

async fn export(State(shared): State<Arc<Shared>>) -> Response {
    match metrics::export(&shared.node).await {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(failure) => (StatusCode::SERVICE_UNAVAILABLE, format!("{failure}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_the_first_line_counts_whatever_the_header_says() {
        let mut headers = HeaderMap::new();
        let whole = Uri::from_static("http://evil.example:1/api/models");
        let path = Uri::from_static("/api/models");
        assert_eq!(host(&path, &headers), None);
        headers.append(header::HOST, "localhost".parse().expect("a header"));
        assert_eq!(host(&path, &headers), Some("localhost"));
        assert_eq!(host(&whole, &headers), Some("evil.example:1"));
        headers.append(header::HOST, "localhost".parse().expect("a header"));
        assert_eq!(host(&path, &headers), Some(""), "none that we understand");
    }
}
