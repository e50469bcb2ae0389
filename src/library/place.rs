//! What the home's library calls the folders of its repos. Design: the command line's contract, "`get`".

use std::path::{Path, PathBuf};

use crate::{
    card::{CommitId, Verified},
    dag::Cid,
    rpc::Kind,
};

/// Where a signed version lies: `models/<publisher>/<name>@<start of the commit id>`.
pub(super) fn repo_folder(library: &Path, publisher: &str, card: &Verified) -> PathBuf {
    let statement = card.statement();
    let kind = match statement.kind {
        Kind::Model => "models",
        Kind::Dataset => "datasets",
    };
    let state = format!("{}@{}", statement.name, CommitId::of(&statement.root).short());
    library.join(kind).join(publisher).join(state)
}

/// Where unsigned content lies: `roots/<root>`.
pub(super) fn root_folder(library: &Path, root: &Cid) -> PathBuf {
    library.join("roots").join(root.to_string())
}
