//! What is written: repos made, files announced, commits. Everything here needs the token, and a repo of the user's own.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::sync::Semaphore;

use super::{super::http, Asked, Error, answer_json, git};
use crate::{
    card::{CommitId, frontmatter, json::parse_hex},
    config::Audience,
    library::{
        blocking,
        drafts::{self, Change, Commit, Own, Upload},
        hub::{self, RepoId, Standing, Version},
    },
    limits,
    rpc::Kind,
};

/// Commits whose lines are read at a time.
static COMMITS: Semaphore = Semaphore::const_new(limits::COMMITS_AT_ONCE);

/// A repo as `repos/create` and `repos/delete` name it.
#[derive(Deserialize)]
struct Named {
    name: String,
    organization: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    private: Option<bool>,
    visibility: Option<String>,
}

#[derive(Deserialize)]
struct Announced {
    files: Vec<AnnouncedFile>,
}

#[derive(Deserialize)]
struct AnnouncedFile {
    path: String,
    size: u64,
}

/// A line of a commit.
#[derive(Deserialize)]
#[serde(tag = "key", content = "value", rename_all = "camelCase")]
enum Line {
    #[serde(rename_all = "camelCase")]
    Header {
        summary: Option<String>,
        parent_commit: Option<String>,
    },
    File {
        path: String,
        content: String,
        encoding: Option<String>,
    },
    LfsFile {
        path: String,
        oid: String,
    },
    DeletedFile {
        path: String,
    },
    DeletedFolder {
        path: String,
    },
}

impl Asked<'_> {
    /// Refuses whoever does not bear the token.
    pub(super) fn writes(&self) -> Result<(), Error> {
        if self.audience == Audience::Local {
            return Ok(());
        }
        let why = "Invalid credentials in Authorization header: modelswarm token prints the token of this endpoint";
        Err(Error::new(StatusCode::UNAUTHORIZED, why))
    }

    /// The user's own repo that is written to.
    pub(super) fn own(&self, repo: &RepoId) -> Result<Own, Error> {
        self.writes()?;
        Ok(drafts::own(self.library, repo.kind, repo.namespace.as_deref(), &repo.name)?)
    }

    /// The same at its one branch.
    pub(super) fn own_main(&self, repo: &RepoId, revision: &str) -> Result<Own, Error> {
        let own = self.own(repo)?;
        match revision.strip_prefix("refs/heads/").unwrap_or(revision) {
            "main" | "HEAD" => Ok(own),
            _ => Err(Error::bad("repos here have one branch, main")),
        }
    }

    pub(super) async fn create(&self, body: Body) -> Result<Response, Error> {
        self.writes()?;
        let (named, own) = self.named(body).await?;
        let private = named.private.or(named.visibility.as_deref().map(|word| word == "private"));
        let is_new = {
            let (library, own) = (self.library.clone(), own.clone());
            blocking(move || drafts::create(&library, &own, private)).await?
        };
        let namespace = named.organization.unwrap_or_else(|| self.namespace());
        let id = RepoId { kind: own.kind, namespace: Some(namespace), name: own.name.to_string() };
        let mut response = answer_json(&json!({
            "url": format!("{}/{}{id}", self.endpoint(), id.path_prefix()),
            "name": id.to_string(),
            "id": id.to_string(),
        }));
        if !is_new {
            *response.status_mut() = StatusCode::CONFLICT;
        }
        Ok(response)
    }

    pub(super) async fn delete(&self, body: Body) -> Result<Response, Error> {
        self.writes()?;
        let (_, own) = self.named(body).await?;
        let Standing { signed, unsigned } = {
            let (library, own) = (self.library.clone(), own.clone());
            blocking(move || Ok(hub::standing(&library, &own))).await?
        };
        if !signed && !unsigned {
            return Err(Error::no_repo(format!("there is no {}", own.name)));
        }
        // What was asked to be gone must not be signed in a moment.
        drafts::abandon(self.library, &own).await?;
        if signed {
            let name = &own.name;
            let also = if unsigned { "what was not signed yet is gone; " } else { "" };
            let why = format!(
                "{also}{name} has signed versions, which are not deleted this way: modelswarm rm {name} forgets them here, \
                 modelswarm card withdraw {name} tells others not to use them"
            );
            return Err(Error::new(StatusCode::CONFLICT, why));
        }
        Ok(answer_json(&json!({})))
    }

    async fn named(&self, body: Body) -> Result<(Named, Own), Error> {
        let named: Named = self.json(body).await?;
        let kind = match named.kind.as_deref() {
            None | Some("model") => Kind::Model,
            Some("dataset") => Kind::Dataset,
            Some(other) => {
                return Err(Error::bad(format!("there are no repos of the type {other}")));
            }
        };
        // Some clients put both into the name.
        let (namespace, name) = match named.name.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (named.organization.as_deref(), named.name.as_str()),
        };
        let own = drafts::own(self.library, kind, namespace, name)?;
        let organization = namespace.map(str::to_owned);
        Ok((Named { organization, ..named }, own))
    }

    /// What clients know the user's own repos by.
    fn namespace(&self) -> String {
        self.library.alias().unwrap_or_else(|| self.library.publisher().part())
    }

    pub(super) async fn validate_yaml(&self, body: Body) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Readme {
            content: String,
        }
        self.writes()?;
        let readme: Readme = self.json(body).await?;
        let warnings = match frontmatter::metadata(readme.content.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(why) => {
                vec![json!({ "message": format!("the card will have no metadata: {why}") })]
            }
        };
        Ok(answer_json(&json!({ "errors": [], "warnings": warnings })))
    }

    /// Says of each file how it is to be sent, and what is at its path now.
    pub(super) async fn preupload(
        &self,
        repo: &RepoId,
        revision: &str,
        body: Body,
    ) -> Result<Response, Error> {
        let own = self.own_main(repo, revision)?;
        let announced: Announced = self.json(body).await?;
        let _writing = drafts::writing(self.library, &own);
        if announced.files.len() > limits::HUB_PATHS {
            return Err(Error::bad(format!("at most {} files at a time", limits::HUB_PATHS)));
        }
        let state = hub::state(self.library, repo, "main", Audience::Local).await.ok();
        let mut answers: Vec<Json> = Vec::with_capacity(announced.files.len());
        for file in announced.files {
            let mode = if is_inline(&file) { "regular" } else { "lfs" };
            let mut answer =
                json!({ "path": file.path, "uploadMode": mode, "shouldIgnore": false });
            if let Some(state) = &state
                && let Some(oid) = self.oid(&state.version, &file.path, mode).await?
            {
                answer["oid"] = json!(oid);
            }
            answers.push(answer);
        }
        Ok(answer_json(&json!({ "files": answers })))
    }

    /// What a client knows the file at a path by that it would send in this way; none, so that it is sent, if it can't be read
    /// here.
    async fn oid(
        &self,
        version: &Arc<Version>,
        path: &str,
        mode: &str,
    ) -> Result<Option<String>, Error> {
        let entry = hub::file(self.library, version, path).await?;
        let Some(entry) = entry else { return Ok(None) };
        if mode == "lfs" {
            return Ok(Some(crate::card::json::hex(&entry.sha256)));
        }
        if entry.size > limits::INLINE_FILE {
            return Ok(None);
        }
        let library = self.library.clone();
        let bytes = blocking(move || Ok(hub::small(&library, &entry))).await?;
        Ok(bytes.map(|bytes| git::blob_id(&bytes)))
    }

    pub(super) async fn commit(
        &self,
        repo: &RepoId,
        revision: &str,
        body: Body,
    ) -> Result<Response, Error> {
        let own = self.own_main(repo, revision)?;
        if self.query.flag("create_pr") {
            return Err(Error::new(StatusCode::FORBIDDEN, "there are no pull requests here"));
        }
        let _writing = drafts::writing(self.library, &own);
        let _place = COMMITS.acquire().await;
        let mut inline = Vec::new();
        let made = match self.read_commit(&own, body, &mut inline).await {
            Ok(commit) => {
                drafts::commit(self.library, &own, commit).await.map_err(Error::of_commit)
            }
            Err(error) => Err(error),
        };
        if made.is_err() {
            let (library, own) = (self.library.clone(), own.clone());
            let forget = move || {
                drafts::forget_files(&library, &own, &inline);
                Ok(())
            };
            blocking(forget).await?;
        }
        let made = made?;
        Ok(answer_json(&json!({
            "success": true,
            "commitOid": made.to_string(),
            "commitUrl": format!("{}/{}{repo}/commit/{made}", self.endpoint(), repo.path_prefix()),
            "hookOutput": "",
        })))
    }

    /// `inline`: gets the files that came with it and were not here.
    async fn read_commit(
        &self,
        own: &Own,
        body: Body,
        inline: &mut Vec<[u8; 32]>,
    ) -> Result<Commit, Error> {
        let mut commit = Commit { title: String::new(), parent: None, changes: Vec::new() };
        let mut lines = Lines { body, buffer: Vec::new() };
        while let Some(line) = lines.next().await? {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if commit.changes.len() >= limits::COMMIT_CHANGES {
                let most = limits::COMMIT_CHANGES;
                return Err(Error::bad(format!("at most {most} changes in one commit")));
            }
            let line: Line = serde_json::from_slice(&line).map_err(|why| {
                Error::bad(format!("a line of the commit is not understood: {why}"))
            })?;
            let change = match line {
                Line::Header { summary, parent_commit } => {
                    commit.title = summary.unwrap_or_default();
                    commit.parent = parent_commit.as_deref().map(parse_commit).transpose()?;
                    continue;
                }
                Line::File { path, content, encoding } => {
                    let bytes = match encoding.as_deref() {
                        Some("base64") => BASE64.decode(&content).map_err(|why| {
                            Error::bad(format!("the content of {path} is not base64: {why}"))
                        })?,
                        None | Some("utf-8") => content.into_bytes(),
                        Some(other) => return Err(Error::bad(format!("{other} is no encoding"))),
                    };
                    let (library, own) = (self.library.clone(), own.clone());
                    let taken = blocking(move || {
                        let mut upload = drafts::receive(&library, &own, bytes.len() as u64)?;
                        upload.write(&bytes)?;
                        upload.finish(None)
                    });
                    let (sha256, is_new) = taken.await?;
                    if is_new {
                        inline.push(sha256);
                    }
                    Change::Put { path, sha256 }
                }
                Line::LfsFile { path, oid } => Change::Put { path, sha256: parse_oid(&oid)? },
                Line::DeletedFile { path } => Change::Delete { path },
                Line::DeletedFolder { path } => {
                    Change::DeleteFolder { path: path.trim_end_matches('/').to_owned() }
                }
            };
            commit.changes.push(change);
        }
        Ok(commit)
    }

    /// The endpoint as the client wrote it.
    pub(super) fn endpoint(&self) -> String {
        let host = http::host(&self.head.uri, &self.head.headers);
        let host = host.map_or_else(|| self.shared.address.to_string(), str::to_owned);
        format!("http://{host}")
    }

    pub(super) async fn json<T: for<'de> Deserialize<'de>>(&self, body: Body) -> Result<T, Error> {
        let body = whole(body, limits::HTTP_BODY).await?;
        serde_json::from_slice(&body)
            .map_err(|why| Error::bad(format!("the request is not understood: {why}")))
    }
}

/// Small files go into the commit itself. Tables never: their client deletes them before it commits.
fn is_inline(file: &AnnouncedFile) -> bool {
    file.size <= limits::INLINE_FILE && !file.path.ends_with(".parquet")
}

fn parse_commit(text: &str) -> Result<CommitId, Error> {
    text.parse().map_err(|_| Error::bad("parentCommit is no commit id of 40 hex digits"))
}

pub(super) fn parse_oid(text: &str) -> Result<[u8; 32], Error> {
    parse_hex(text).ok_or_else(|| Error::bad("the oid of a file is its sha256, 64 hex digits"))
}

/// The lines of a body as they come, each bounded.
struct Lines {
    body: Body,
    buffer: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let mut looked = 0;
        loop {
            if let Some(at) = self.buffer[looked..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(looked + at + 1);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            looked = self.buffer.len();
            if looked > limits::COMMIT_LINE {
                let why = "a file in the commit itself is too large; send it by LFS or Xet";
                return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, why));
            }
            match piece(&mut self.body).await? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(std::mem::take(&mut self.buffer))),
            }
        }
    }
}

/// The next bytes of a body, from a client that does send some.
pub(super) async fn piece(body: &mut Body) -> Result<Option<Bytes>, Error> {
    let silent = || Error::new(StatusCode::REQUEST_TIMEOUT, "nothing came for a while");
    loop {
        let next = tokio::time::timeout(limits::UPLOAD_STALL, body.frame()).await;
        let Some(frame) = next.map_err(|_| silent())? else { return Ok(None) };
        let frame = frame.map_err(|why| Error::bad(format!("the upload broke off: {why}")))?;
        // Trailers say nothing that we need.
        if let Ok(bytes) = frame.into_data() {
            return Ok(Some(bytes));
        }
    }
}

/// All of a body of at most so many bytes.
pub(super) async fn whole(mut body: Body, most: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = piece(&mut body).await? {
        if bytes.len() + piece.len() > most {
            let why = format!("the request has more than {most} bytes");
            return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, why));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Takes in a file as it comes; `size`: bytes that are announced.
pub(super) async fn take(
    asked: &Asked<'_>,
    own: &Own,
    size: u64,
    mut body: Body,
) -> Result<Upload, Error> {
    let (library, of) = (asked.library.clone(), own.clone());
    let mut upload = blocking(move || drafts::receive(&library, &of, size)).await?;
    let mut buffer = Vec::new();
    loop {
        let next = piece(&mut body).await?;
        let ended = next.is_none();
        buffer.extend_from_slice(&next.unwrap_or_default());
        if buffer.len() >= limits::CHUNK || ended && !buffer.is_empty() {
            let bytes = std::mem::take(&mut buffer);
            upload = blocking(move || {
                upload.write(&bytes)?;
                Ok(upload)
            })
            .await?;
        }
        if ended {
            return Ok(upload);
        }
    }
}
