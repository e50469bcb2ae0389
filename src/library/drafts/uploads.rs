//! What is uploaded for a repo, until a commit names it: files under their sha256, and the pieces they come in.
//!
//! A file is written under a name of its own and gets the name of its digest when all of it is here and has that digest.
//! Nothing here is listed anywhere: what no commit names goes with the drafts.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use sha2::{Digest as _, Sha256};

use super::Own;
use crate::{
    card::json::hex,
    dag::Cid,
    library::{Library, files, place},
    limits,
    rpc::{Code, Failure},
    store,
};

/// Where what is uploaded for a repo lies.
pub fn folder(library: &Library, own: &Own) -> PathBuf {
    place::draft_folder(&library.inner.home.library(), own.kind, &own.name)
}

/// Where a file with this digest lies, if it was uploaded.
pub(in crate::library) fn object(library: &Library, own: &Own, sha256: &[u8; 32]) -> PathBuf {
    folder(library, own).join("files").join(hex(sha256))
}

/// The list of files of a state.
pub(super) fn list(library: &Library, own: &Own, root: &Cid) -> PathBuf {
    folder(library, own).join(format!("{root}.jsonl"))
}

/// Whether a file with this digest was uploaded and waits for a commit.
pub fn has(library: &Library, own: &Own, sha256: &[u8; 32]) -> bool {
    object(library, own, sha256).is_file()
}

/// A file on its way in. Dropped before its end it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    place: PathBuf,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    size: u64,
    done: bool,
}

/// Begins to take in a file of about so many bytes; blocks, as all of [`Upload`] does.
///
/// # Errors
/// No space (7) if the disk's reserve would go; as the disk fails.
pub fn receive(library: &Library, own: &Own, size: u64) -> Result<Upload, Failure> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = folder(library, own);
    let (incoming, place) = (folder.join("incoming"), folder.join("files"));
    fs::create_dir_all(&place).map_err(|why| failed(&place, &why))?;
    make_room(library, &incoming, size)?;
    // A number may have been used by a daemon that was killed, whose file nobody needs.
    let path = incoming.join(number.to_string());
    let file = File::create(&path).map_err(|why| failed(&path, &why))?;
    Ok(Upload { place, path, file, hasher: Sha256::new(), size: 0, done: false })
}

/// Makes a folder for what is to come, if there is room for so many bytes.
///
/// # Errors
/// No space (7) if the disk's reserve would go; as the disk fails.
pub fn make_room(library: &Library, folder: &Path, size: u64) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|why| failed(folder, &why))?;
    let free = store::free_space(folder)?;
    let reserve = library.inner.config.gateway.reserve;
    if free < size.saturating_add(reserve) {
        return Err(Failure::new(
            Code::NoSpace,
            format!(
                "{free} bytes are free, {size} are to come, and {reserve} stay free (gateway.reserve)"
            ),
        ));
    }
    Ok(())
}

impl Upload {
    /// The next bytes.
    ///
    /// # Errors
    /// As the disk fails; usage (2) beyond [`limits::UPLOAD_MAX`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > limits::UPLOAD_MAX {
            let message = format!("a file may have {} bytes at most", limits::UPLOAD_MAX);
            return Err(Failure::new(Code::Usage, message));
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|why| failed(&self.path, &why))
    }

    /// All of it is here: the digest, under which it is kept. `expected`: digest and size that the client announced.
    ///
    /// # Errors
    /// Usage (2) for another digest or size than expected: nothing is kept then; as the disk fails.
    pub fn finish(mut self, expected: Option<([u8; 32], u64)>) -> Result<[u8; 32], Failure> {
        let sha256: [u8; 32] = self.hasher.finalize_reset().into();
        if let Some((stated, size)) = expected
            && (stated, size) != (sha256, self.size)
        {
            return Err(Failure::new(
                Code::Usage,
                format!(
                    "{} bytes came, with the sha256 {}; {size} with {} were announced",
                    self.size,
                    hex(&sha256),
                    hex(&stated)
                ),
            ));
        }
        let place = self.place.join(hex(&sha256));
        self.file.sync_data().map_err(|why| failed(&self.path, &why))?;
        fs::rename(&self.path, &place).map_err(|why| failed(&place, &why))?;
        self.done = true;
        Ok(sha256)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.done
            && let Err(why) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %why, "an upload that failed stays behind");
        }
    }
}

/// Where the pieces of one batch lie, from which its files are made.
pub fn batch(library: &Library, own: &Own, batch: &str) -> PathBuf {
    folder(library, own).join("pieces").join(batch)
}

/// Notes that a batch gave a file with this digest.
///
/// # Errors
/// As the disk fails.
pub fn made(batch: &Path, sha256: &[u8; 32]) -> Result<(), Failure> {
    let path = batch.join(format!("{}.made", hex(sha256)));
    fs::write(&path, []).map_err(|why| failed(&path, &why))
}

/// Drops the pieces of the batches that gave any of these files: a commit names them, so nothing more comes of those pieces.
pub(super) fn forget_batches(library: &Library, own: &Own, files: &[[u8; 32]]) {
    let Ok(batches) = fs::read_dir(folder(library, own).join("pieces")) else { return };
    for batch in batches.flatten() {
        let path = batch.path();
        let gave = |sha256: &[u8; 32]| path.join(format!("{}.made", hex(sha256))).exists();
        if files.iter().any(gave)
            && let Err(why) = fs::remove_dir_all(&path)
        {
            tracing::warn!(folder = %path.display(), %why, "pieces of uploads stay behind");
        }
    }
}

/// What a failure of the disk means.
pub fn failed(path: &Path, why: &io::Error) -> Failure {
    Failure::new(files::code(why), format!("cannot write {}: {why}", path.display()))
}
