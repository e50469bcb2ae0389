//! HEAD and GET of a file: its head is told from the card alone, its bytes come from wherever they are.

use std::ops::Range;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use futures::{FutureExt as _, Stream, future::BoxFuture, stream};

use super::{
    super::range::{self, Asked},
    error::{Error, visible},
};
use crate::{
    card::{json::hex, manifest::FileEntry},
    library::{
        Library,
        hub::{self, State},
        read::media_type,
    },
    limits,
    rpc::Failure,
};

/// The answer to a request for a file of this version.
pub(super) async fn answer(
    library: &Library,
    state: State,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let commit = state.version.commit();
    let entry = hub::file(library, &state.version, path).await?;
    let entry = entry.ok_or_else(|| Error::no_entry(commit, path))?;
    let etag = format!("\"{}\"", hex(&entry.sha256));
    let mut response = Response::new(Body::empty());
    let told = response.headers_mut();
    told.insert("x-repo-commit", visible(&commit.to_string()));
    told.insert(header::ETAG, visible(&etag));
    told.insert("x-linked-etag", visible(&etag));
    told.insert("x-linked-size", entry.size.into());
    told.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    told.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(&entry.path)));
    // Whatever a publisher wrote, a browser shows it and runs nothing.
    told.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    told.insert("content-security-policy", HeaderValue::from_static("sandbox; default-src 'none'"));
    if let Some(warning) = &state.warning {
        told.insert("x-hf-warning", visible(&format!("publisher; {warning}")));
    }
    let same =
        headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    if same {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    if method == Method::HEAD {
        response.headers_mut().insert(header::CONTENT_LENGTH, entry.size.into());
        return Ok(response);
    }
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    // A range of what the client has another version of would not fit to it.
    let of_another =
        headers.get(header::IF_RANGE).is_some_and(|of| of.as_bytes() != etag.as_bytes());
    let range = match range::parse(asked.filter(|_| !of_another), entry.size) {
        Asked::Whole => 0..entry.size,
        Asked::Part(part) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let stated = visible(&range::content_range(&part, entry.size));
            response.headers_mut().insert(header::CONTENT_RANGE, stated);
            part
        }
        Asked::Unsatisfiable => {
            let mut refused =
                Error::new(StatusCode::RANGE_NOT_SATISFIABLE, "the file ends before").response();
            let stated = visible(&range::unsatisfied(entry.size));
            refused.headers_mut().insert(header::CONTENT_RANGE, stated);
            return Ok(refused);
        }
    };
    response.headers_mut().insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    if range.is_empty() {
        return Ok(response);
    }
    *response.body_mut() = Body::from_stream(open(library, state, entry, range).await?);
    Ok(response)
}

type Opening = BoxFuture<'static, Result<hub::Body, Failure>>;

/// Where the bytes of an answer come from.
enum Source {
    Opening(Opening),
    Open(Box<hub::Body>),
    Ended,
}

/// The bytes. If it takes a while until there is a peer that has them, the answer begins without: the client sees that it
/// is being served, and waits on.
async fn open(
    library: &Library,
    state: State,
    entry: FileEntry,
    range: Range<u64>,
) -> Result<impl Stream<Item = Result<Bytes, Failure>> + use<>, Failure> {
    let library = library.clone();
    let mut opening = async move { hub::body(&library, &state, &entry, range).await }.boxed();
    let source = match tokio::time::timeout(limits::HUB_OPEN, &mut opening).await {
        Ok(body) => Source::Open(Box::new(body?)),
        Err(_) => Source::Opening(opening),
    };
    Ok(stream::unfold(source, |source| async move {
        let mut body = match source {
            Source::Ended => return None,
            Source::Open(body) => body,
            Source::Opening(opening) => match opening.await {
                Ok(body) => Box::new(body),
                Err(failure) => return Some(cut_off(failure)),
            },
        };
        match body.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Source::Open(body))),
            Ok(None) => None,
            Err(failure) => Some(cut_off(failure)),
        }
    }))
}

/// An answer that has begun and can't go on ends without its end, which tells the client that it is not whole.
fn cut_off(failure: Failure) -> (Result<Bytes, Failure>, Source) {
    tracing::warn!(%failure, "an HTTP answer was cut off");
    (Err(failure), Source::Ended)
}
