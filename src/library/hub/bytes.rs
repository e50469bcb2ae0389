//! The bytes of a file of a version, for an HTTP body.
//!
//! They come from the tree under the card's root, each block proven. What the card says of the file is compared too: its CID
//! and size before the first byte, and its digest before the last one goes out, unless that was done when the version came
//! here. So a body that is not what was signed never ends well.

use std::ops::Range;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::State;
use crate::{
    card::{
        content::{Examination, Pieces, admit, examine},
        manifest::FileEntry,
        policy::Trust,
    },
    library::{
        Library, Watch, blocking, content,
        read::{self, Chunks, File},
        trust,
    },
    limits,
    rpc::{Cat, Code, Failure},
    store,
};

/// A stretch of a file, on its way out.
#[derive(Debug)]
pub struct Body {
    chunks: Chunks,
    /// What its end is compared with.
    stated: Option<Stated>,
}

#[derive(Debug)]
struct Stated {
    path: String,
    left: u64,
    hasher: Sha256,
    sha256: [u8; 32],
}

/// These bytes of a file that the card lists.
///
/// # Errors
/// As `get`; refused (4) if the tree holds another file than the card says, and for code by somebody the user does not
/// trust; no space (7) if what is to be fetched would leave less than the reserve.
pub async fn body(
    library: &Library,
    state: &State,
    entry: &FileEntry,
    range: Range<u64>,
) -> Result<Body, Failure> {
    let root = state.version.root();
    let cat = Cat {
        reference: format!("{root}:{}", entry.path),
        offset: 0,
        length: None,
        peers: Vec::new(),
        publisher: None,
        timeout: limits::HUB_BODY.as_secs(),
    };
    // Nobody reads what it says on the way; while the other end is held it goes on.
    let (events, _held) = mpsc::channel(1);
    let file = read::open(library, &cat, &Watch::new(events)).await?;
    if *file.cid() != entry.cid || file.size() != entry.size {
        return Err(Failure::new(
            Code::Refused,
            format!("{} is not the file that the card lists: it has another CID", entry.path),
        ));
    }
    if !state.whole {
        let what = format!("content of {}", cat.reference);
        library.inner.seen.once(what, || look(library, state, &file, entry)).await?;
        spare_the_disk(library, range.end - range.start).await?;
    }
    let whole = range == (0..entry.size);
    let stated = (whole && !state.compared).then(|| Stated {
        path: entry.path.clone(),
        left: entry.size,
        hasher: Sha256::new(),
        sha256: entry.sha256,
    });
    Ok(Body { chunks: file.read(range), stated })
}

impl Body {
    /// The next bytes, never none; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// As [`body`]; refused (4), instead of the last bytes, if they do not have the digest that is signed.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(bytes) = self.chunks.next().await? else { return Ok(None) };
        let Some(stated) = &mut self.stated else { return Ok(Some(bytes)) };
        stated.hasher.update(&bytes);
        stated.left = stated.left.saturating_sub(bytes.len() as u64);
        if stated.left == 0 && stated.hasher.clone().finalize()[..] != stated.sha256[..] {
            return Err(Failure::new(
                Code::Refused,
                format!("{} does not have the sha256 that its publisher signed", stated.path),
            ));
        }
        Ok(Some(bytes))
    }
}

/// Looks whether a file carries code, if it is by somebody whom the user does not trust: as little of it as tells is read.
async fn look(
    library: &Library,
    state: &State,
    file: &File,
    entry: &FileEntry,
) -> Result<(), Failure> {
    let trust = trust::of(library, state.version.card(), false)?;
    if matches!(trust, Trust::Own | Trust::Trusted(_)) {
        return Ok(());
    }
    let mut pieces = Pieces::default();
    let finding = match content::by_name(&entry.path) {
        Some(finding) => finding,
        None => loop {
            match examine(&entry.path, entry.size, &pieces) {
                Examination::Done(finding) => break finding,
                Examination::Needs(range) => {
                    let start = range.start;
                    let mut chunks = file.read(range);
                    let mut piece = Vec::new();
                    while let Some(bytes) = chunks.next().await? {
                        piece.extend_from_slice(&bytes);
                    }
                    pieces.insert(start, &piece);
                }
            }
        },
    };
    admit(&[finding], &trust, false).map(drop).map_err(|refusal| {
        Failure::new(Code::Refused, content::few(refusal.files()).join("; ")).hint(
            "it is let in from publishers that you trust (modelswarm trust add), or by hand: modelswarm get --allow-code",
        )
    })
}

/// Refuses to fetch what would not leave the reserve free.
async fn spare_the_disk(library: &Library, needed: u64) -> Result<(), Failure> {
    let reserve = library.inner.config.gateway.reserve;
    let place = library.inner.home.library();
    let free = blocking(move || Ok(store::free_space(&place)?)).await?;
    if free < needed.saturating_add(reserve) {
        return Err(Failure::new(
            Code::NoSpace,
            format!("{free} bytes are free, {needed} may be needed, and {reserve} stay free (gateway.reserve)"),
        )
        .hint("modelswarm gc drops what was only read; modelswarm rm REF forgets a repo"));
    }
    Ok(())
}
