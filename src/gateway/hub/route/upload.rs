//! Addresses to which bytes of an upload are sent. We make them ([`address`]) and read them here; what they end in is LFS's or
//! Xet's.

use axum::http::Method;

use super::{Missed, only, single};
use crate::rpc::Kind;

/// Bytes of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct Upload {
    /// Of which kind of repo.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What the address was made for: a batch of files.
    pub batch: String,
    /// Which bytes.
    pub bytes: Bytes,
}

/// Which bytes of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) enum Bytes {
    /// `PUT …/lfs/{sha256}/{size}/{proof}`: a whole file.
    Lfs {
        /// 64 hex digits.
        oid: String,
        /// Bytes.
        size: u64,
        /// That we made the address, and until when.
        proof: String,
    },
    /// `POST` to the same address: the file is there.
    LfsDone,
    /// `POST …/v1/xorbs/default/{hash}`.
    Xorb {
        /// As Xet writes it.
        hash: String,
    },
    /// `POST …/v1/shards`: how files are made of xorbs.
    Shard,
    /// Whatever else a Xet client asks for, and does without.
    Else,
}

/// Where a batch of uploads for a repo is sent.
pub(in crate::gateway) fn address(kind: Kind, name: &str, batch: &str) -> String {
    format!("/_up/{}s/{name}/{batch}", kind.as_str())
}

/// Reads the pieces of such an address.
///
/// # Errors
/// [`Missed`].
pub(super) fn parse(
    method: &Method,
    [kind, name, batch]: [&str; 3],
    rest: &[&str],
) -> Result<Upload, Missed> {
    let kind = match kind {
        "models" => Kind::Model,
        "datasets" => Kind::Dataset,
        _ => return Err(Missed::Unknown),
    };
    let batch = single("the batch", batch)?;
    if !batch.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(Missed::Unknown);
    }
    let bytes = match *rest {
        ["lfs", oid, size, proof] => {
            only(method, "PUT, POST")?;
            let size = size.parse().map_err(|_| Missed::Unknown)?;
            let (oid, proof) = (single("the digest", oid)?, single("the proof", proof)?);
            if method == Method::POST { Bytes::LfsDone } else { Bytes::Lfs { oid, size, proof } }
        }
        ["v1", "xorbs", "default", hash] => {
            only(method, "POST")?;
            Bytes::Xorb { hash: single("the hash", hash)? }
        }
        ["v1", "shards"] => {
            only(method, "POST")?;
            Bytes::Shard
        }
        _ => Bytes::Else,
    };
    Ok(Upload { kind, name: single("the name", name)?, batch, bytes })
}

#[cfg(test)]
mod tests {
    use super::super::Route;
    use super::*;

    fn read(method: Method, path: &str) -> Result<Bytes, Missed> {
        match super::super::parse(&method, path)? {
            Route::Upload(upload) => {
                assert_eq!((upload.kind, &*upload.name, &*upload.batch), (Kind::Model, "m", "b1"));
                Ok(upload.bytes)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_address_makes_is_read_back() {
        let base = address(Kind::Model, "m", "b1");
        let lfs = read(Method::PUT, &format!("{base}/lfs/ab/12/cd"));
        let expected = Bytes::Lfs { oid: "ab".into(), size: 12, proof: "cd".into() };
        assert_eq!(lfs, Ok(expected));
        assert_eq!(read(Method::POST, &format!("{base}/lfs/ab/12/cd")), Ok(Bytes::LfsDone));
        let xorb = read(Method::POST, &format!("{base}/v1/xorbs/default/ff"));
        assert_eq!(xorb, Ok(Bytes::Xorb { hash: "ff".into() }));
        assert_eq!(read(Method::POST, &format!("{base}/v1/shards")), Ok(Bytes::Shard));
        assert_eq!(read(Method::POST, &format!("{base}/v2/shards")), Ok(Bytes::Else));
    }

    #[test]
    fn other_addresses_lead_nowhere() {
        for path in ["/_up/spaces/m/b1/v1/shards", "/_up/models/m/b%2F/v1/shards", "/_up/models/m"]
        {
            assert!(super::super::parse(&Method::POST, path).is_err(), "{path}");
        }
        let put = super::super::parse(&Method::GET, "/_up/models/m/b1/lfs/ab/12/cd");
        assert_eq!(put, Err(Missed::Method("PUT, POST")));
    }
}
