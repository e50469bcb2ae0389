//! The write side of Xet's storage, as far as its client needs it to publish: pieces of files (xorbs) come first, then how
//! files are made of them (shards), and the files are made at once. Each batch of uploads has an address of its own, so a client
//! never counts on pieces that it sent for another; a commit that names any of its files ends the batch.

use std::{fs::File, io, path::PathBuf};

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::Response,
};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{
    super::guard,
    Asked, Error, answer_json,
    error::visible,
    lfs, proof, route, write,
    xet::{self, XetHash},
};
use crate::{
    library::{
        Library, blocking,
        drafts::{self, Own},
        hub::RepoId,
    },
    limits,
    rpc::{Code, Failure},
};

/// Xorbs and shards are whole in memory.
static PIECES_AT_ONCE: Semaphore = Semaphore::const_new(limits::PIECES_AT_ONCE);

/// What the proof of an address is for.
const PIECES: &str = "pieces";

impl Asked<'_> {
    /// Where the pieces of the files of a batch are to be sent.
    pub(super) fn xet_token(&self, repo: &RepoId, revision: &str) -> Result<Response, Error> {
        let own = self.own_main(repo, revision)?;
        let _writing = drafts::writing(self.library, &own);
        let batch = lfs::new_batch();
        let address = route::address(own.kind, own.name.as_str(), &batch);
        let url = format!("{}{address}", self.endpoint());
        let end = proof::end();
        let token = self.proof(&own, &batch, PIECES, end);
        let mut response = answer_json(&json!({ "casUrl": url, "exp": end, "accessToken": token }));
        let headers = response.headers_mut();
        headers.insert("x-xet-cas-url", visible(&url));
        headers.insert("x-xet-token-expiration", end.into());
        headers.insert("x-xet-access-token", visible(&token));
        Ok(response)
    }

    /// Whether a request for pieces of a batch bears its token.
    fn may_send(&self, own: &Own, batch: &str) -> Result<(), Error> {
        let given = self.head.headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        match guard::bearer(given) {
            Some(given) if self.proves(own, batch, PIECES, given) => Ok(()),
            _ => Err(Error::new(StatusCode::UNAUTHORIZED, "this is not the token of this address")),
        }
    }

    /// Takes in a piece.
    pub(super) async fn xorb(
        &self,
        own: &Own,
        batch: &str,
        hash: &str,
        body: Body,
    ) -> Result<Response, Error> {
        self.may_send(own, batch)?;
        let _writing = drafts::writing(self.library, own);
        let hash: XetHash =
            hash.parse().map_err(|why| Error::bad(format!("the xorb's name: {why}")))?;
        let folder = drafts::batch(self.library, own, batch);
        let _place = PIECES_AT_ONCE.acquire().await;
        let bytes = write::whole(body, limits::XORB_MAX).await?;
        let library = self.library.clone();
        let keep = move || drafts::keep_piece(&library, &folder, &hash.to_string(), &bytes);
        blocking(keep).await?;
        Ok(answer_json(&json!({ "was_inserted": true })))
    }

    /// Makes the files that a shard describes.
    pub(super) async fn shard(
        &self,
        own: &Own,
        batch: &str,
        body: Body,
    ) -> Result<Response, Error> {
        self.may_send(own, batch)?;
        let _writing = drafts::writing(self.library, own);
        let _place = PIECES_AT_ONCE.acquire().await;
        let bytes = write::whole(body, limits::SHARD_MAX).await?;
        let (library, own) = (self.library.clone(), own.clone());
        let folder = drafts::batch(&library, &own, batch);
        blocking(move || make(&library, &own, folder, &bytes)).await?;
        Ok(answer_json(&json!({ "result": 1 })))
    }
}

fn make(library: &Library, own: &Own, folder: PathBuf, shard: &[u8]) -> Result<(), Failure> {
    let refused =
        |why: xet::Error| Failure::new(Code::Usage, format!("the shard is refused: {why}"));
    for file in xet::parse(shard).map_err(refused)? {
        let size = file.bytes();
        let mut upload = drafts::receive(library, own, size)?;
        let mut failure = None;
        let open =
            |hash: &XetHash| File::open(folder.join(hash.to_string())).map(io::BufReader::new);
        let assembled = xet::assemble(&file, open, &mut |bytes| {
            upload.write(bytes).map_err(|why| {
                let text = why.message.clone();
                failure = Some(why);
                io::Error::other(text)
            })
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        assembled.map_err(refused)?;
        let (sha256, _) = upload.finish(file.sha256.map(|sha256| (sha256, size)))?;
        drafts::made(&folder, &sha256)?;
    }
    Ok(())
}
