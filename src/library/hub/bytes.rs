//! The bytes of a file of a version, for an HTTP body.
//!
//! They come from the tree under the card's root, each block proven. What the card says of the file is compared too: its CID
//! and size before the first byte, and its digest before the last one goes out, unless that was done when the version came
//! here. So a body that is not what was signed never ends well.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{
    State,
    room::{self, Reading},
};
use crate::{
    card::{
        content::{Examination, Leave, Pieces, admit, examine},
        manifest::FileEntry,
    },
    dag::{Cid, block::RAW},
    library::{
        Library, Watch, blocks, content,
        fetch::Hold,
        read::{self, Chunks, File},
        trust,
    },
    limits,
    rpc::{Cat, Code, Failure},
};

/// A stretch of a file, on its way out.
#[derive(Debug)]
pub struct Body {
    chunks: Chunks,
    /// What its end is compared with.
    stated: Option<Stated>,
    _reading: Reading,
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
    let reading = Reading::begin(library, state.version.root());
    let leave = if state.whole {
        Leave::Given
    } else {
        trust::leave(library, state.version.card(), false, false)?
    };
    let file = if state.whole || state.files <= limits::HUB_TREE_FILES {
        let timeout = limits::HUB_BODY.as_secs();
        let then = if leave == Leave::Given && !state.whole && range.start == 0 {
            likely_next(state.version.known_files().unwrap_or_default(), entry)
        } else {
            Arc::default()
        };
        let mut file = read::listed(library, state.version.root(), entry, then, timeout);
        if !state.whole {
            linger(library, file.hold()?);
        }
        file
    } else {
        by_itself(library, state, entry).await?
    };
    if !state.whole {
        let what = format!("content of {}:{}", state.version.root(), entry.path);
        library.inner.seen.once(what, || look(&file, entry, leave)).await?;
        room::make(library, range.end - range.start).await?;
    }
    let whole = range == (0..entry.size);
    // Of a file that is one raw block the CID is the digest.
    let proven = state.compared
        || (entry.cid.codec() == RAW && entry.cid.hash().digest() == entry.sha256.as_slice());
    let stated = (whole && !proven).then(|| Stated {
        path: entry.path.clone(),
        left: entry.size,
        hasher: Sha256::new(),
        sha256: entry.sha256,
    });
    Ok(Body { chunks: file.read(range), stated, _reading: reading })
}

/// All bytes of a small file that the card lists, from this machine alone; none if they are not all here and right. Blocks.
pub fn small(library: &Library, entry: &FileEntry) -> Option<Vec<u8>> {
    let max = usize::try_from(entry.size).ok()?;
    match blocks::small_file(library.store(), entry.cid, max) {
        Ok(bytes) => bytes
            .filter(|bytes| bytes.len() == max && Sha256::digest(bytes)[..] == entry.sha256[..]),
        Err(failure) => {
            tracing::debug!(path = %entry.path, %failure, "a file can't be read here");
            None
        }
    }
}

/// A file of a tree of so many files that it would take long to look at them all.
async fn by_itself(library: &Library, state: &State, entry: &FileEntry) -> Result<File, Failure> {
    let cat = Cat {
        reference: format!("{}:{}", state.version.root(), entry.path),
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
    Ok(file)
}

/// The small files after one: clients take a repo's files in the order of its list.
fn likely_next(files: &[FileEntry], entry: &FileEntry) -> Arc<[Cid]> {
    let after = files.partition_point(|file| file.path <= entry.path);
    let small = files[after..].iter().filter(|file| file.size <= limits::READ_AHEAD_FILE);
    let mut bytes = 0;
    let few = small.take(limits::READ_AHEAD_LEAVES).take_while(|file| {
        bytes += file.size;
        bytes <= limits::READ_AHEAD_FILES
    });
    few.map(|file| file.cid).collect()
}

/// Keeps what serves the readers of a tree for a while: its clients take one file after another.
fn linger(library: &Library, hold: Hold) {
    let ended = library.inner.ended.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(limits::HUB_LINGER) => {}
            () = ended.cancelled() => {}
        }
        drop(hold);
    });
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
async fn look(file: &File, entry: &FileEntry, leave: Leave) -> Result<(), Failure> {
    if leave == Leave::Given {
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
    admit(&[finding], leave).map(drop).map_err(|refusal| {
        Failure::new(Code::Refused, content::few(refusal.files()).join("; ")).hint(
            "it is let in from publishers that you trust (modelswarm trust add), or by hand: modelswarm get --allow-code",
        )
    })
}
