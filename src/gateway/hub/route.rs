//! What a request to the Hugging Face compatible endpoint asks for, by its method and path.
//!
//! The raw path is split at its slashes first and each piece percent-decoded once after that, so an escaped slash stays
//! inside its piece and nothing decoded is decoded again. Not: whether a repo, revision or file exists, what a revision
//! means (`refs/heads/main` stays as sent), who may ask.
//!
//! A path may be about a repo with an owner or about one without: `/api/models/a/refs` about `a/refs` or about `a`. Every repo
//! here has an owner, so that is what it is about if it is a path then; a repo may be called like any word of a path.
//!
//! Invariants of a [`Route`]: a [`RepoId`] follows the Hub's rules for ids; file paths, directories and revisions are relative, have no empty, `.` or `..` part, no
//! backslash and no control character.

use axum::http::Method;
use percent_encoding::percent_decode_str;

use crate::{library::hub::RepoId, rpc::Kind};

use self::id::repo;

mod id;
mod query;
mod upload;

pub(super) use self::query::{Query, form, query};
pub(super) use self::upload::{Bytes, Upload, address};

/// Longest raw path in bytes: the longest path of a file with every byte escaped, and what stands before it.
const PATH_MAX: usize = 4 * 4096;

/// The header `Allow` where something is read.
const READ: &str = "GET, HEAD";

/// Why a request is no [`Route`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missed {
    /// No such path: 404.
    Unknown,
    /// The path exists for these methods, the value of the header `Allow`: 405.
    Method(&'static str),
    /// A path that nobody may ask for, and why: 400.
    Bad(String),
    /// No repo can be called so, and why: 404.
    BadRepo(String),
}

/// What is asked for. Revisions, paths, tags and digests are decoded, and as sent otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `GET /api/{kind}s/{id}[/revision/{revision}]`: about a repo.
    Info { repo: RepoId, revision: Option<String> },
    /// `GET …/tree/{revision}[/{directory}]`: a directory; `""` is the top, no slash at either end.
    Tree { repo: RepoId, revision: String, directory: String },
    /// `POST …/paths-info/{revision}`: about some paths.
    PathsInfo { repo: RepoId, revision: String },
    /// `GET …/refs`: branches and tags.
    Refs { repo: RepoId },
    /// `GET …/commits/{revision}`: the history.
    Commits { repo: RepoId, revision: String },
    /// `GET …/auth-check`: whether the repo may be read.
    AuthCheck { repo: RepoId },
    /// `GET /api/{kind}s`: the repos.
    List { kind: Kind },
    /// `GET /api/whoami-v2`: the user.
    WhoAmI,
    /// `GET /{prefix}{id}/resolve/{revision}/{path}`, or `raw`: a file's bytes.
    File { repo: RepoId, revision: String, path: String },
    /// `POST /api/repos/create`.
    Create,
    /// `DELETE /api/repos/delete`.
    Delete,
    /// `POST /api/validate-yaml`: whether front matter is sound.
    ValidateYaml,
    /// `POST …/preupload/{revision}`: how files are to be sent.
    Preupload { repo: RepoId, revision: String },
    /// `POST …/commit/{revision}`.
    Commit { repo: RepoId, revision: String },
    /// `POST …/branch/{name}`.
    Branch { repo: RepoId, name: String },
    /// `POST …/tag/{revision}`.
    Tag { repo: RepoId, revision: String },
    /// `GET …/xet-{read|write}-token/{revision}`.
    XetToken { repo: RepoId, revision: String, write: bool },
    /// `POST /{prefix}{id}.git/info/lfs/objects/batch`: where LFS files are to be sent.
    LfsBatch { repo: RepoId },
    /// `GET /v2/{namespace}/{name}/manifests/{tag}`: what Ollama and old llama.cpp pull.
    Manifest { repo: RepoId, tag: String },
    /// `GET /v2/{namespace}/{name}/blobs/{digest}`: a layer of it.
    Blob { repo: RepoId, digest: String },
    /// `/_up/{kind}/{name}/{batch}/…`: bytes of an upload, at an address that an answer of ours gave.
    Upload(Upload),
    /// A route of the Hub for a kind that has no repos here; no id: the list of all.
    OtherKind { id: Option<String> },
}

impl Route {
    /// The repo that is asked for.
    pub(super) fn repo(&self) -> Option<&RepoId> {
        match self {
            Self::Info { repo, .. }
            | Self::Tree { repo, .. }
            | Self::PathsInfo { repo, .. }
            | Self::Refs { repo }
            | Self::Commits { repo, .. }
            | Self::AuthCheck { repo }
            | Self::File { repo, .. }
            | Self::Preupload { repo, .. }
            | Self::Commit { repo, .. }
            | Self::Branch { repo, .. }
            | Self::Tag { repo, .. }
            | Self::XetToken { repo, .. }
            | Self::LfsBatch { repo }
            | Self::Manifest { repo, .. }
            | Self::Blob { repo, .. } => Some(repo),
            Self::List { .. }
            | Self::WhoAmI
            | Self::Create
            | Self::Delete
            | Self::ValidateYaml
            | Self::Upload(_)
            | Self::OtherKind { .. } => None,
        }
    }
}

/// Reads a request's method and its raw path, without the query.
///
/// # Errors
/// [`Missed`].
pub(super) fn parse(method: &Method, path: &str) -> Result<Route, Missed> {
    if path.len() > PATH_MAX {
        let len = path.len();
        return Err(Missed::Bad(format!("the path has {len} bytes, at most {PATH_MAX} are read")));
    }
    let pieces: Vec<&str> = path.strip_prefix('/').ok_or(Missed::Unknown)?.split('/').collect();
    match pieces[..] {
        ["api", "whoami-v2"] => only(method, READ).map(|()| Route::WhoAmI),
        ["api", "validate-yaml"] => only(method, "POST").map(|()| Route::ValidateYaml),
        ["api", "repos", "create"] => only(method, "POST").map(|()| Route::Create),
        ["api", "repos", "delete"] => only(method, "DELETE").map(|()| Route::Delete),
        ["api", "models", ref rest @ ..] => api(method, Kind::Model, rest),
        ["api", "datasets", ref rest @ ..] => api(method, Kind::Dataset, rest),
        // Read as models, since only the id is of use.
        ["api", "spaces" | "kernels", ref rest @ ..] => api(method, Kind::Model, rest).map(other),
        ["api", ..] => Err(Missed::Unknown),
        ["v2", namespace, name, "manifests", tag] => {
            only(method, READ)?;
            let repo = repo(Kind::Model, Some(namespace), name)?;
            Ok(Route::Manifest { repo, tag: single("the tag", tag)? })
        }
        ["v2", namespace, name, "blobs", digest] => {
            only(method, READ)?;
            let repo = repo(Kind::Model, Some(namespace), name)?;
            Ok(Route::Blob { repo, digest: single("the digest", digest)? })
        }
        ["v2", ..] => Err(Missed::Unknown),
        ["_up", kind, name, batch, ref rest @ ..] => {
            upload::parse(method, [kind, name, batch], rest).map(Route::Upload)
        }
        ["datasets", ref rest @ ..] => content(method, Kind::Dataset, rest),
        ["spaces" | "kernels", ref rest @ ..] => content(method, Kind::Model, rest).map(other),
        ref rest => content(method, Kind::Model, rest),
    }
}

fn other(route: Route) -> Route {
    Route::OtherKind { id: route.repo().map(RepoId::to_string) }
}

/// What follows `/api/{kind}s`.
fn api(method: &Method, kind: Kind, pieces: &[&str]) -> Result<Route, Missed> {
    if pieces.is_empty() {
        return only(method, READ).map(|()| Route::List { kind });
    }
    first_known(pieces, |id| about(method, kind, id))
}

/// What follows the id there.
fn about(method: &Method, kind: Kind, (namespace, name, rest): Id) -> Result<Route, Missed> {
    let repo_for = |methods| {
        only(method, methods)?;
        repo(kind, namespace, name)
    };
    let revision = |raw| inside("the revision", raw);
    Ok(match *rest {
        [] => Route::Info { repo: repo_for(READ)?, revision: None },
        ["revision", raw] => Route::Info { repo: repo_for(READ)?, revision: Some(revision(raw)?) },
        ["tree", raw, ref below @ ..] => Route::Tree {
            repo: repo_for(READ)?,
            revision: revision(raw)?,
            directory: directory(&below.join("/"))?,
        },
        ["paths-info", raw] => {
            Route::PathsInfo { repo: repo_for("POST")?, revision: revision(raw)? }
        }
        ["refs"] => Route::Refs { repo: repo_for(READ)? },
        ["commits", raw] => Route::Commits { repo: repo_for(READ)?, revision: revision(raw)? },
        ["auth-check"] => Route::AuthCheck { repo: repo_for(READ)? },
        ["preupload", raw] => {
            Route::Preupload { repo: repo_for("POST")?, revision: revision(raw)? }
        }
        ["commit", raw] => Route::Commit { repo: repo_for("POST")?, revision: revision(raw)? },
        ["branch", raw] => {
            Route::Branch { repo: repo_for("POST")?, name: inside("the branch", raw)? }
        }
        ["tag", raw] => Route::Tag { repo: repo_for("POST")?, revision: revision(raw)? },
        [word @ ("xet-read-token" | "xet-write-token"), raw] => Route::XetToken {
            repo: repo_for(READ)?,
            revision: revision(raw)?,
            write: word == "xet-write-token",
        },
        _ => return Err(Missed::Unknown),
    })
}

/// What follows the prefix of a kind outside the API: files, and LFS beside them.
fn content(method: &Method, kind: Kind, pieces: &[&str]) -> Result<Route, Missed> {
    if let [ref owner @ .., last, "info", "lfs", "objects", "batch"] = *pieces
        && let Some(name) = last.strip_suffix(".git")
        && let [] | [_] = *owner
    {
        only(method, "POST")?;
        let namespace = owner.first().copied().filter(|namespace| !namespace.is_empty());
        return Ok(Route::LfsBatch { repo: repo(kind, namespace, name)? });
    }
    first_known(pieces, |(namespace, name, rest)| {
        let ["resolve" | "raw", revision, ref path @ ..] = *rest else {
            return Err(Missed::Unknown);
        };
        if path.is_empty() {
            return Err(Missed::Unknown);
        }
        only(method, READ)?;
        Ok(Route::File {
            repo: repo(kind, namespace, name)?,
            revision: inside("the revision", revision)?,
            path: inside("the path", &path.join("/"))?,
        })
    })
}

/// Whether `method` is one of those that `Allow` would list.
fn only(method: &Method, allow: &'static str) -> Result<(), Missed> {
    let allowed = allow.split(", ").any(|allowed| allowed == method.as_str());
    if allowed { Ok(()) } else { Err(Missed::Method(allow)) }
}

type Id<'a, 'b> = (Option<&'a str>, &'a str, &'b [&'a str]);

/// Reads what begins with a repo's id: its namespace, its name, and the rest. As one with an owner, then as one without.
fn first_known<'a, 'b>(
    pieces: &'b [&'a str],
    read: impl Fn(Id<'a, 'b>) -> Result<Route, Missed>,
) -> Result<Route, Missed> {
    match pieces {
        // The crate hf-hub writes the id of a repo without an owner with one that is empty.
        ["", name, rest @ ..] => return read((None, name, rest)),
        [namespace, name, rest @ ..] => match read((Some(namespace), name, rest)) {
            Err(Missed::Unknown) => {}
            found => return found,
        },
        _ => {}
    }
    match pieces {
        [name, rest @ ..] => read((None, name, rest)),
        [] => Err(Missed::Unknown),
    }
}

fn decode(raw: &str) -> Result<String, Missed> {
    match percent_decode_str(raw).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(Missed::Bad("the path is not UTF-8 once its %XX are decoded".to_owned())),
    }
}

/// A piece that is one word.
fn single(what: &str, raw: &str) -> Result<String, Missed> {
    let text = inside(what, raw)?;
    if text.contains('/') {
        return Err(Missed::Bad(format!("{what} has a slash")));
    }
    Ok(text)
}

/// A directory, with a slash at its end or without: as it is given, escaped or not, users write `sub/`.
fn directory(raw: &str) -> Result<String, Missed> {
    let text = decode(raw)?;
    match text.strip_suffix('/').unwrap_or(&text) {
        "" => Ok(String::new()),
        path => checked("the directory", path.to_owned()),
    }
}

/// A path inside a repo, or a revision, which is written like one.
fn inside(what: &str, raw: &str) -> Result<String, Missed> {
    checked(what, decode(raw)?)
}

fn checked(what: &str, text: String) -> Result<String, Missed> {
    let why = if text.contains(char::is_control) {
        "has a control character"
    } else if text.contains('\\') {
        "has a backslash"
    } else if text.split('/').any(str::is_empty) {
        "is empty or has an empty part"
    } else if text.split('/').any(|part| matches!(part, "." | "..")) {
        "has a part '.' or '..'"
    } else {
        return Ok(text);
    };
    Err(Missed::Bad(format!("{what} {why}")))
}

#[cfg(test)]
mod tests;
