//! The file or folder that a REF means, by its path.

use super::{origin::Origin, source::Source};
use crate::{
    dag::{
        Block, Cid,
        resolve::{self, Resolve},
    },
    rpc::{Code, Failure},
};

/// Follows the REF's path: in the files, then among the release's own entries.
pub(super) async fn find_subject(
    origin: &Origin,
    source: &mut Source,
) -> Result<(Cid, Vec<Block>), Failure> {
    let Some(path) = &origin.path else { return Ok((origin.root, Vec::new())) };
    let refused = |why: &resolve::Error| {
        let code = match why {
            resolve::Error::NotFound { .. } | resolve::Error::NotDirectory { .. } => Code::NotFound,
            _ => Code::Refused,
        };
        Failure::new(code, why.to_string())
    };
    let mut resolve = Resolve::new(origin.root, path).map_err(|why| refused(&why))?;
    let mut nodes = Vec::new();
    while let Some(cid) = resolve.wanted() {
        let block = source.block(cid).await?;
        if let Err(why) = resolve.supply(&block) {
            let extra = origin.extras.iter().find(|(name, _)| name == path);
            return match (&why, extra) {
                (resolve::Error::NotFound { .. }, Some((_, cid))) => Ok((*cid, nodes)),
                _ => Err(refused(&why)),
            };
        }
        nodes.push(block);
    }
    let end = resolve.end().expect("a path that wants no more block has come to its end");
    Ok((end, nodes))
}
