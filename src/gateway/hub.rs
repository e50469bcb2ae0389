//! The API of the Hugging Face Hub, as far as its clients need it to find and read repos.
//!
//! [`route`] says what a request asks for, [`library::hub`](crate::library::hub) what there is, and a file each turns that
//! into the JSON and headers that clients go by. Every file is told to be of the large kind (LFS), known by the sha256 of
//! the card, so that nothing a client keeps for ever depends on bytes that are not here yet; and no answer offers Xet, so
//! that files come over plain HTTP.

mod cas;
mod error;
mod file;
mod git;
mod info;
mod lfs;
mod list;
mod ollama;
mod proof;
mod route;
mod tree;
mod write;
mod xet;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State as Extracted},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use serde_json::{Value as Json, json};

use self::{
    error::{Error, visible},
    route::{Bytes, Missed, Query, Route, Upload},
};
use super::http::Shared;
use crate::{
    config::Audience,
    library::{
        Library, blocking,
        hub::{self, History, Past, RepoId, State},
    },
    limits,
};

/// An answer that refuses a request before it is looked at.
pub(super) fn refused(status: StatusCode, why: &str) -> Response {
    Error::new(status, why).response()
}

/// Whether a request is for the address of an upload, which proves by itself that it may be sent there.
pub(super) fn is_upload(method: &Method, path: &str) -> bool {
    matches!(route::parse(method, path), Ok(Route::Upload(_)))
}

/// Answers a request for anything of the Hub's.
pub(super) async fn answer(
    Extracted(shared): Extracted<Arc<Shared>>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let id = head.headers.get("x-request-id").cloned();
    let asked = Asked::new(&shared, head);
    let mut response = match asked.answer(body).await {
        Ok(response) => response,
        Err(error) => error.response(),
    };
    if let Some(id) = id {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// A request, with what every answer needs.
struct Asked<'a> {
    shared: &'a Shared,
    library: &'a Library,
    head: Parts,
    query: Query,
    audience: Audience,
}

impl<'a> Asked<'a> {
    fn new(shared: &'a Shared, head: Parts) -> Self {
        let query = route::query(head.uri.query().unwrap_or_default());
        let audience = shared.audience(&head.headers);
        Self { shared, library: shared.node.library(), head, query, audience }
    }

    async fn answer(&self, body: Body) -> Result<Response, Error> {
        let route = route::parse(&self.head.method, self.head.uri.path()).map_err(missed)?;
        if self.query.overflows() {
            return Err(Error::bad("the query is too long"));
        }
        match route {
            Route::File { repo, revision, path } => {
                let state = self.state(&repo, &revision).await?;
                let (method, headers) = (&self.head.method, &self.head.headers);
                file::answer(self.library, state, &path, method, headers).await
            }
            Route::Info { repo, revision } => self.info(&repo, revision.as_deref()).await,
            Route::Tree { repo, revision, directory } => {
                self.tree(&repo, &revision, &directory).await
            }
            Route::PathsInfo { repo, revision } => self.paths_info(&repo, &revision, body).await,
            Route::Refs { repo } => self.refs(&repo).await,
            Route::Commits { repo, revision } => self.commits(&repo, &revision).await,
            Route::AuthCheck { repo } => {
                self.state(&repo, "main").await?;
                Ok(answer_json(&json!({})))
            }
            Route::List { kind } => list::answer(self, kind).await,
            Route::WhoAmI => self.who_am_i(),
            Route::Manifest { repo, tag } => {
                let state = self.state(&repo, "main").await?;
                ollama::manifest(self.library, state, &tag).await
            }
            Route::Blob { repo, digest } => {
                let state = self.state(&repo, "main").await?;
                let (method, headers) = (&self.head.method, &self.head.headers);
                ollama::blob(self.library, state, &digest, method, headers).await
            }
            Route::Create => self.create(body).await,
            Route::Delete => self.delete(body).await,
            Route::ValidateYaml => self.validate_yaml(body).await,
            Route::Preupload { repo, revision } => self.preupload(&repo, &revision, body).await,
            Route::Commit { repo, revision } => self.commit(&repo, &revision, body).await,
            Route::Branch { repo, name } => {
                self.own_main(&repo, &name)?;
                Ok(answer_json(&json!({})))
            }
            Route::Tag { repo, .. } => {
                self.own(&repo)?;
                Err(Error::bad(
                    "versions are named when they are signed: modelswarm seed --version",
                ))
            }
            Route::XetToken { repo, revision, write: true } => self.xet_token(&repo, &revision),
            Route::XetToken { write: false, .. } => {
                Err(Error::new(StatusCode::NOT_FOUND, "files are read at /resolve/"))
            }
            Route::LfsBatch { repo } => self.lfs_batch(&repo, body).await,
            Route::Upload(upload) => self.upload(upload, body).await.map_err(Error::for_uploader),
            Route::OtherKind { id: None } => Ok(answer_json(&json!([]))),
            Route::OtherKind { id: Some(id) } => {
                Err(Error::no_repo(format!("{id}: only models and datasets are shared here")))
            }
        }
    }

    /// Takes in bytes at an address that an earlier answer gave.
    async fn upload(&self, upload: Upload, body: Body) -> Result<Response, Error> {
        let Upload { kind, name, batch, bytes } = upload;
        let own = self.of_address(kind, &name)?;
        match bytes {
            Bytes::Lfs { oid, size, proof } => {
                self.lfs_object(&own, &batch, (&oid, size, &proof), body).await
            }
            Bytes::LfsDone => Ok(answer_json(&json!({}))),
            Bytes::Xorb { hash } => self.xorb(&own, &batch, &hash, body).await,
            Bytes::Shard => self.shard(&own, &batch, body).await,
            Bytes::Else => Err(Error::new(StatusCode::NOT_FOUND, "not needed here")),
        }
    }

    async fn state(&self, repo: &RepoId, revision: &str) -> Result<State, Error> {
        Ok(hub::state(self.library, repo, revision, self.audience).await?)
    }

    async fn info(&self, repo: &RepoId, revision: Option<&str>) -> Result<Response, Error> {
        let state = self.state(repo, revision.unwrap_or("main")).await?;
        let full = self.query.flag("blobs");
        let (library, repo, told) = (self.library.clone(), repo.clone(), state.clone());
        let object = blocking(move || {
            let version = &told.version;
            let mut object = info::repo(&repo, version.commit(), told.visibility, version.card());
            let files = version.files(&library)?;
            if let Some(config) = info::config(&library, files) {
                object.insert("config".to_owned(), config);
            }
            let siblings = info::siblings(files, full);
            object.insert("siblings".to_owned(), siblings);
            Ok(Json::Object(object))
        });
        Ok(of_version(&state, &object.await?))
    }

    async fn tree(
        &self,
        repo: &RepoId,
        revision: &str,
        directory: &str,
    ) -> Result<Response, Error> {
        let state = self.state(repo, revision).await?;
        let (recursive, expand) = (self.query.flag("recursive"), self.query.flag("expand"));
        let (library, version, below) =
            (self.library.clone(), state.version.clone(), directory.to_owned());
        let page = self.page(limits::HUB_PAGE_MAX)?;
        let entries = blocking(move || {
            let listing = tree::Listing::new(version.files(&library)?, &version, expand);
            let entries = listing.below(&below, recursive).map(|all| page.of(all));
            Ok(entries.map(|(page, next)| {
                (page.into_iter().map(|entry| listing.json(entry)).collect(), next)
            }))
        });
        let entries = entries.await?;
        let (page, next) =
            entries.ok_or_else(|| Error::no_entry(state.version.commit(), directory))?;
        Ok(self.with_next(of_version(&state, &Json::Array(page)), next))
    }

    async fn paths_info(
        &self,
        repo: &RepoId,
        revision: &str,
        body: Body,
    ) -> Result<Response, Error> {
        let state = self.state(repo, revision).await?;
        let body = write::whole(body, limits::HTTP_BODY).await?;
        let (paths, expand) = wanted_paths(&self.head, &body)?;
        let (library, version) = (self.library.clone(), state.version.clone());
        let entries = blocking(move || {
            let listing = tree::Listing::new(version.files(&library)?, &version, expand);
            Ok(paths.iter().filter_map(|path| listing.at(path.trim_end_matches('/'))).collect())
        });
        Ok(of_version(&state, &Json::Array(entries.await?)))
    }

    async fn refs(&self, repo: &RepoId) -> Result<Response, Error> {
        let state = self.state(repo, "main").await?;
        let tags = hub::tags(self.library, repo, self.audience).await?;
        let tag = |(name, commit): &(String, crate::card::CommitId)| json!({ "name": name, "ref": format!("refs/tags/{name}"), "targetCommit": commit.to_string() });
        let refs = json!({
            "branches": [{
                "name": "main",
                "ref": "refs/heads/main",
                "targetCommit": state.version.commit().to_string(),
            }],
            "tags": tags.iter().map(tag).collect::<Vec<_>>(),
            "converts": [],
            "pullRequests": [],
        });
        Ok(of_version(&state, &refs))
    }

    async fn commits(&self, repo: &RepoId, revision: &str) -> Result<Response, Error> {
        let state = self.state(repo, revision).await?;
        let (library, told) = (self.library.clone(), state.clone());
        let id = repo.clone();
        let (audience, most) = (self.audience, limits::HUB_PAGE);
        let history = blocking(move || hub::history(&library, &id, &told, audience, most)).await?;
        let History { past, whole } = history;
        let count = past.len();
        let line = |past: &Past| {
            json!({
                "id": past.commit.to_string(),
                "title": past.title,
                "message": "",
                "date": past.made_at,
                "authors": [{ "user": repo.namespace, "avatar": "" }],
            })
        };
        let (page, next) = self.page(limits::HUB_PAGE)?.of(past);
        let page = page.iter().map(line).collect();
        let mut response = self.with_next(of_version(&state, &Json::Array(page)), next);
        if whole {
            response.headers_mut().insert("x-total-count", count.into());
        }
        Ok(response)
    }

    fn who_am_i(&self) -> Result<Response, Error> {
        if self.audience != Audience::Local {
            let why = "Invalid credentials in Authorization header";
            return Err(Error::new(StatusCode::UNAUTHORIZED, why));
        }
        let part = self.library.publisher().part();
        let name = self.library.alias().unwrap_or_else(|| part.clone());
        Ok(answer_json(&json!({
            "type": "user",
            "id": part,
            "name": name,
            "fullname": name,
            "email": null,
            "isPro": false,
            "orgs": [],
            "auth": {
                "type": "access_token",
                "accessToken": {
                    "displayName": "modelswarm",
                    "role": "write",
                    "createdAt": "1970-01-01T00:00:00.000Z",
                },
            },
        })))
    }

    /// The part of a list that the query asks for; so long if it does not say.
    fn page(&self, by_itself: usize) -> Result<Page, Error> {
        let number = |name: &str| -> Result<Option<usize>, Error> {
            let text = self.query.first(name);
            let number = text.map(str::parse).transpose();
            number.map_err(|_| Error::bad(format!("{name} is not a number")))
        };
        let from = number("cursor")?.unwrap_or(0);
        let most = number("limit")?.unwrap_or(by_itself).clamp(1, limits::HUB_PAGE_MAX);
        Ok(Page { from, most })
    }

    /// Says where the next page is: the same request with another cursor, at the host that was asked.
    fn with_next(&self, mut response: Response, next: Option<usize>) -> Response {
        let Some(next) = next else { return response };
        let others = self.query.pairs().filter(|(name, _)| *name != "cursor");
        let mut query: Vec<String> =
            others.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        query.push(format!("cursor={next}"));
        let (endpoint, path) = (self.endpoint(), self.head.uri.path());
        let link = format!("<{endpoint}{path}?{}>; rel=\"next\"", query.join("&"));
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// Part of a list.
#[derive(Debug, Clone, Copy)]
struct Page {
    from: usize,
    most: usize,
}

impl Page {
    /// It, and where the next one begins.
    fn of<T>(self, all: Vec<T>) -> (Vec<T>, Option<usize>) {
        let next = self.from.saturating_add(self.most);
        let more = next < all.len();
        (all.into_iter().skip(self.from).take(self.most).collect(), more.then_some(next))
    }
}

fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The paths of a `paths-info`, as a form or as JSON, and whether more is asked of them.
fn wanted_paths(head: &Parts, body: &[u8]) -> Result<(Vec<String>, bool), Error> {
    let too_many = || Error::bad(format!("at most {} paths at a time", limits::HUB_PATHS));
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/json")) {
        #[derive(serde::Deserialize)]
        struct Wanted {
            paths: Vec<String>,
            #[serde(default)]
            expand: bool,
        }
        let wanted: Wanted = serde_json::from_slice(body)
            .map_err(|why| Error::bad(format!("the list of paths is not understood: {why}")))?;
        if wanted.paths.len() > limits::HUB_PATHS {
            return Err(too_many());
        }
        return Ok((wanted.paths, wanted.expand));
    }
    let form =
        std::str::from_utf8(body).map_err(|_| Error::bad("the list of paths is not UTF-8"))?;
    // And `expand`.
    let form = route::form(form, limits::HUB_PATHS + 1);
    let paths: Vec<String> = form.all("paths").map(str::to_owned).collect();
    if form.overflows() || paths.len() > limits::HUB_PATHS {
        return Err(too_many());
    }
    Ok((paths, form.flag("expand")))
}

/// A JSON answer.
fn answer_json(value: &Json) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A JSON answer from a version.
fn of_version(state: &State, value: &Json) -> Response {
    let mut response = answer_json(value);
    let headers = response.headers_mut();
    headers.insert("x-repo-commit", visible(&state.version.commit().to_string()));
    if let Some(warning) = &state.warning {
        headers.insert("x-hf-warning", visible(&format!("publisher; {warning}")));
    }
    response
}

fn missed(missed: Missed) -> Error {
    match missed {
        Missed::Unknown => Error::new(StatusCode::NOT_FOUND, "there is nothing at this path"),
        Missed::Method(allow) => Error::method(allow),
        Missed::Bad(why) => Error::bad(why),
        Missed::BadRepo(why) => Error::no_repo(why),
    }
}
