//! What the Hub's clients are told when there is no answer: they go by the status and by `X-Error-Code`, and show
//! `X-Error-Message`. The body is a JSON object.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::json;

use crate::{
    card::CommitId,
    dag::name::escape,
    library::hub::Miss,
    rpc::{Code, Failure},
};

/// Characters of a message in a header.
const MESSAGE_MAX: usize = 400;

/// What Python's client knows a repo by that was taken down; it compares the text.
const DISABLED: &str = "Access to this resource is disabled.";

/// Why a request has no answer.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    code: Option<&'static str>,
    message: String,
    /// What stands in the header instead of the message.
    said: Option<&'static str>,
    /// The version that was looked into; with it clients remember that an entry is absent.
    commit: Option<CommitId>,
    /// The methods that the path is for.
    allow: Option<&'static str>,
}

impl Error {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, code: None, message: message.into(), said: None, commit: None, allow: None }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Of a path that is for these methods alone.
    pub(super) fn method(allow: &'static str) -> Self {
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("only {allow}"));
        Self { allow: Some(allow), ..error }
    }

    fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    pub(super) fn no_repo(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message).code("RepoNotFound")
    }

    /// Of a version that is there.
    pub(super) fn no_entry(commit: CommitId, path: &str) -> Self {
        let message = format!("{} is not in this version", escape(path));
        let error = Self::new(StatusCode::NOT_FOUND, message).code("EntryNotFound");
        Self { commit: Some(commit), ..error }
    }

    /// The same for a Xet client, which shows no text, takes 507 for a reason to try again for minutes, and gives up at a 413.
    pub(super) fn for_uploader(mut self) -> Self {
        if self.status == StatusCode::NOT_FOUND {
            // Before each upload it asks for more than it needs.
            tracing::debug!("a client that uploads asked for what there is not");
        } else {
            tracing::warn!(status = %self.status, "an upload was refused: {}", self.message);
        }
        if self.status == StatusCode::INSUFFICIENT_STORAGE {
            self.status = StatusCode::PAYLOAD_TOO_LARGE;
        }
        self
    }

    /// Of a commit nothing is refused but one that follows on an older state.
    pub(super) fn of_commit(failure: Failure) -> Self {
        match failure.code {
            Code::Refused => Self::new(StatusCode::PRECONDITION_FAILED, failure.message),
            _ => failure.into(),
        }
    }

    pub(super) fn response(&self) -> Response {
        let body = json!({ "error": self.message }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-error-message", visible(self.said.unwrap_or(&self.message)));
        if let Some(code) = self.code {
            headers.insert("x-error-code", HeaderValue::from_static(code));
        }
        if let Some(commit) = self.commit {
            headers.insert("x-repo-commit", visible(&commit.to_string()));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

/// Text as a header can carry it: visible ASCII, not too long.
pub(super) fn visible(text: &str) -> HeaderValue {
    let visible = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let text: String = text.chars().take(MESSAGE_MAX).map(visible).collect();
    HeaderValue::try_from(text).expect("visible ASCII is a header's value")
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let status = match failure.code {
            Code::Usage => StatusCode::BAD_REQUEST,
            Code::Refused | Code::Permission => StatusCode::FORBIDDEN,
            // What is sought was known to be somewhere, and nobody who has it was found.
            Code::NotFound | Code::Network => StatusCode::GATEWAY_TIMEOUT,
            Code::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Code::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            Code::Failure => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, failure.in_one_line())
    }
}

impl From<Miss> for Error {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Repo(message) => Self::no_repo(message),
            Miss::Revision(message) => {
                Self::new(StatusCode::NOT_FOUND, message).code("RevisionNotFound")
            }
            Miss::Withdrawn(message) => {
                let error = Self::new(StatusCode::FORBIDDEN, message);
                Self { said: Some(DISABLED), ..error }
            }
            Miss::Failed(failure) => failure.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_by_a_wrong_method_is_told_the_right_ones() {
        let response = Error::method("GET, HEAD").response();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
        assert!(!Error::bad("no").response().headers().contains_key(header::ALLOW));
    }
}
