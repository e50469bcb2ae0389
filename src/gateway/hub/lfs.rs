//! Git LFS, its `basic` transfer: where a client is to send large files, and the files themselves. The address that a file is
//! sent to carries a proof that we made it for these bytes, since clients send no token there.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use rand::{RngExt as _, distr::Alphanumeric};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Asked, Error, answer_json, proof, route, write};
use crate::{
    library::{
        blocking,
        drafts::{self, Own},
        hub::RepoId,
    },
    limits,
    rpc::Kind,
};

#[derive(Deserialize)]
struct Batch {
    operation: String,
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    size: u64,
}

/// Letters and digits of what tells one batch of uploads from another.
const BATCH_LENGTH: usize = 20;

/// A name for a batch of uploads.
pub(super) fn new_batch() -> String {
    rand::rng().sample_iter(Alphanumeric).take(BATCH_LENGTH).map(char::from).collect()
}

impl Asked<'_> {
    /// That we made an address, for this and until then.
    pub(super) fn proof(&self, own: &Own, batch: &str, what: &str, end: u64) -> String {
        let words = [own.kind.as_str(), own.name.as_str(), batch, what];
        proof::make(&self.shared.token, &words, end)
    }

    /// Whether that was given.
    pub(super) fn proves(&self, own: &Own, batch: &str, what: &str, given: &str) -> bool {
        let words = [own.kind.as_str(), own.name.as_str(), batch, what];
        proof::holds(&self.shared.token, &words, given)
    }

    /// Says where the files of a batch are to be sent; those that are here need not be.
    pub(super) async fn lfs_batch(&self, repo: &RepoId, body: Body) -> Result<Response, Error> {
        let own = self.own(repo)?;
        let asked: Batch = self.json(body).await?;
        let _writing = drafts::writing(self.library, &own);
        if asked.operation != "upload" {
            return Err(Error::bad("only uploads come this way; files are read at /resolve/"));
        }
        if asked.objects.len() > limits::HUB_PATHS {
            return Err(Error::bad(format!("at most {} files at a time", limits::HUB_PATHS)));
        }
        let batch = new_batch();
        let base =
            format!("{}{}", self.endpoint(), route::address(own.kind, own.name.as_str(), &batch));
        let end = proof::end();
        let mut objects = Vec::with_capacity(asked.objects.len());
        for Object { oid, size } in asked.objects {
            let digest = write::parse_oid(&oid)?;
            let here = {
                let (library, own) = (self.library.clone(), own.clone());
                blocking(move || Ok(drafts::has(&library, &own, &digest))).await?
            };
            let mut object = json!({ "oid": oid, "size": size, "authenticated": true });
            if !here {
                let proof = self.proof(&own, &batch, &format!("{oid} {size}"), end);
                let href = format!("{base}/lfs/{oid}/{size}/{proof}");
                let action = json!({ "href": href, "header": {} });
                object["actions"] = json!({ "upload": action, "verify": action });
            }
            objects.push(object);
        }
        let mut response = answer_json(&json!({ "transfer": "basic", "objects": objects }));
        let kind = HeaderValue::from_static("application/vnd.git-lfs+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        Ok(response)
    }

    /// Takes in a file.
    pub(super) async fn lfs_object(
        &self,
        own: &Own,
        batch: &str,
        (oid, size, proof): (&str, u64, &str),
        body: Body,
    ) -> Result<Response, Error> {
        if !self.proves(own, batch, &format!("{oid} {size}"), proof) {
            let why = "this address was not made here, or is no longer good; ask for another";
            return Err(Error::new(StatusCode::FORBIDDEN, why));
        }
        let expected = (write::parse_oid(oid)?, size);
        let _writing = drafts::writing(self.library, own);
        let upload = write::take(self, own, size, body).await?;
        blocking(move || upload.finish(Some(expected))).await?;
        Ok(answer_json(&Json::Object(serde_json::Map::new())))
    }

    /// The repo that an address of ours is for; that it may be written to was said when the address was made.
    pub(super) fn of_address(&self, kind: Kind, name: &str) -> Result<Own, Error> {
        Ok(drafts::own(self.library, kind, None, name)?)
    }
}
