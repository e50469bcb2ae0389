//! What the home's library calls the folders of its repos. Design: the command line's contract, "`get`".

use std::path::{Path, PathBuf};

use crate::{
    card::{CommitId, RepoName, Verified},
    dag::Cid,
    rpc::Kind,
};

/// Where a signed version lies: `models/<publisher>/<name>@<start of the commit id>`.
pub(super) fn repo_folder(library: &Path, publisher: &str, card: &Verified) -> PathBuf {
    let statement = card.statement();
    version_folder(library, statement.kind, publisher, &statement.name, &statement.root)
}

/// The same of a version that is to be signed.
pub(super) fn version_folder(
    library: &Path,
    kind: Kind,
    publisher: &str,
    name: &RepoName,
    root: &Cid,
) -> PathBuf {
    let state = format!("{name}@{}", CommitId::of(root).short());
    library.join(kind_folder(kind)).join(publisher).join(state)
}

/// Where what is uploaded for a repo lies until it is signed: `drafts/models/<name>`.
pub(super) fn draft_folder(library: &Path, kind: Kind, name: &RepoName) -> PathBuf {
    drafts_folder(library, kind).join(name.as_str())
}

/// Where the drafts of all repos of a kind lie.
pub(super) fn drafts_folder(library: &Path, kind: Kind) -> PathBuf {
    library.join("drafts").join(kind_folder(kind))
}

/// What the Hugging Face clients' cache calls a repo's folder.
pub(super) fn hub_folder(kind: Kind, namespace: &str, name: &RepoName) -> String {
    format!("{}--{namespace}--{name}", kind_folder(kind))
}

fn kind_folder(kind: Kind) -> &'static str {
    match kind {
        Kind::Model => "models",
        Kind::Dataset => "datasets",
    }
}

/// Where unsigned content lies: `roots/<root>`.
pub(super) fn root_folder(library: &Path, root: &Cid) -> PathBuf {
    library.join("roots").join(root.to_string())
}
