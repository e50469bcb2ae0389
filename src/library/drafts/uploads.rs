//! What is uploaded for a repo, until a commit names it: files under their sha256, and the pieces they come in.
//!
//! A file is written under a name of its own and gets the name of its digest when all of it is here and has that digest.
//! Nothing here is listed anywhere. What a state named goes when the repo is signed, what none names when nobody has written
//! to the repo for [`limits::UPLOAD_KEPT`]: a client may have sent it for a commit that is still to come.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};

use super::Own;
use crate::{
    card::json::hex,
    dag::Cid,
    library::{Library, files, place},
    limits,
    rpc::{Code, Failure, Kind},
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

/// What the files on their way in are called by in this run of the daemon.
static RUN: LazyLock<String> = LazyLock::new(|| format!("{:016x}-", rand::random::<u64>()));

/// A file on its way in. Dropped before its end it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    place: PathBuf,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    size: u64,
    /// Bytes that were announced.
    most: u64,
    done: bool,
}

/// Begins to take in a file of so many bytes; blocks, as all of [`Upload`] does.
///
/// # Errors
/// Usage (2) beyond [`limits::UPLOAD_MAX`]; no space (7) if the disk's reserve would go; as the disk fails.
pub fn receive(library: &Library, own: &Own, size: u64) -> Result<Upload, Failure> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    if size > limits::UPLOAD_MAX {
        let message = format!("a file may have {} bytes at most", limits::UPLOAD_MAX);
        return Err(Failure::new(Code::Usage, message));
    }
    let folder = folder(library, own);
    let (incoming, place) = (folder.join("incoming"), folder.join("files"));
    fs::create_dir_all(&place).map_err(|why| failed(&place, &why))?;
    make_room(library, &incoming, size)?;
    let path = incoming.join(format!("{}{number}", *RUN));
    let file = File::create(&path).map_err(|why| failed(&path, &why))?;
    Ok(Upload { place, path, file, hasher: Sha256::new(), size: 0, most: size, done: false })
}

/// Makes a folder for what is to come, if there is room for so many bytes.
///
/// # Errors
/// No space (7) if the disk's reserve would go; as the disk fails.
fn make_room(library: &Library, folder: &Path, size: u64) -> Result<(), Failure> {
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
    /// As the disk fails; usage (2) beyond what was announced.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > self.most {
            let message = format!("more than the {} bytes came that were announced", self.most);
            return Err(Failure::new(Code::Usage, message));
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|why| failed(&self.path, &why))
    }

    /// All of it is here: the digest, under which it is kept, and whether it was not here before. `expected`: digest and size
    /// that the client announced.
    ///
    /// # Errors
    /// Usage (2) for another digest or size than expected: nothing is kept then; as the disk fails.
    pub fn finish(
        mut self,
        expected: Option<([u8; 32], u64)>,
    ) -> Result<([u8; 32], bool), Failure> {
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
        let is_new = !place.exists();
        fs::rename(&self.path, &place).map_err(|why| failed(&place, &why))?;
        self.done = true;
        Ok((sha256, is_new))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.done {
            remove(&self.path);
        }
    }
}

/// Where the pieces of one batch lie, from which its files are made.
pub fn batch(library: &Library, own: &Own, batch: &str) -> PathBuf {
    folder(library, own).join("pieces").join(batch)
}

/// Keeps a piece of a batch: whole or not at all, since a file that is made of it may be asked for at once.
///
/// # Errors
/// No space (7) if the disk's reserve would go; as the disk fails.
pub fn keep_piece(
    library: &Library,
    batch: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<(), Failure> {
    make_room(library, batch, bytes.len() as u64)?;
    let path = batch.join(name);
    files::replace(&path, bytes).map_err(|why| failed(&path, &why))
}

/// Notes that a batch gave a file with this digest.
///
/// # Errors
/// As the disk fails.
pub fn made(batch: &Path, sha256: &[u8; 32]) -> Result<(), Failure> {
    let path = batch.join(format!("{}.made", hex(sha256)));
    fs::write(&path, []).map_err(|why| failed(&path, &why))
}

/// Drops the pieces of the batches of which these files are all: a commit names them, so nothing more comes of those pieces. Of
/// a batch that gave others too there may be more to come.
pub(super) fn forget_batches(library: &Library, own: &Own, files: &[[u8; 32]]) {
    let Ok(batches) = fs::read_dir(folder(library, own).join("pieces")) else { return };
    for batch in batches.flatten() {
        let path = batch.path();
        let made: Vec<PathBuf> = files_in(&path).into_iter().filter(|file| is_made(file)).collect();
        let named = |made: &PathBuf| {
            let stem = made.file_stem().and_then(|stem| stem.to_str());
            files.iter().any(|file| stem == Some(hex(file).as_str()))
        };
        if !made.is_empty()
            && made.iter().all(named)
            && let Err(why) = fs::remove_dir_all(&path)
        {
            tracing::warn!(folder = %path.display(), %why, "pieces of uploads stay behind");
        }
    }
}

/// Whether this tells of a file that a batch gave.
fn is_made(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "made")
}

/// Drops files that no commit will name.
pub fn forget_files(library: &Library, own: &Own, files: &[[u8; 32]]) {
    for sha256 in files {
        remove(&object(library, own, sha256));
    }
}

/// Drops what an earlier daemon was taking in when it ended.
pub(super) fn forget_unfinished(library: &Library) {
    for own in repos(library) {
        for path in files_in(&folder(library, &own).join("incoming")) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            if !name.is_some_and(|name| name.starts_with(&*RUN)) {
                remove(&path);
            }
        }
    }
}

/// Drops the files that no state names, and all pieces, of a repo to which nothing was written for so long; `named`: the
/// digests that states name.
pub(super) fn forget_old(library: &Library, own: &Own, named: &HashSet<[u8; 32]>) {
    let folder = folder(library, own);
    let batches = fs::read_dir(folder.join("pieces")).into_iter().flatten().flatten();
    let pieces: Vec<PathBuf> = batches.flat_map(|batch| files_in(&batch.path())).collect();
    let files = files_in(&folder.join("files"));
    let is_recent = |path: &PathBuf| {
        let written = fs::metadata(path).and_then(|it| it.modified()).unwrap_or(SystemTime::now());
        written.elapsed().is_ok_and(|age| age < limits::UPLOAD_KEPT)
    };
    if files.iter().chain(&pieces).any(is_recent) {
        return;
    }
    let named: HashSet<PathBuf> = named.iter().map(|file| object(library, own, file)).collect();
    files.iter().filter(|file| !named.contains(*file)).chain(&pieces).for_each(|path| remove(path));
    tidy(library, own);
}

/// Removes the folders of a repo that are empty.
pub(super) fn tidy(library: &Library, own: &Own) {
    let folder = folder(library, own);
    let batches = fs::read_dir(folder.join("pieces")).into_iter().flatten().flatten();
    let inner = ["pieces", "incoming", "files"].map(|name| folder.join(name));
    for path in batches.map(|batch| batch.path()).chain(inner).chain([folder]) {
        // One that holds something stays, which is what is meant.
        let _ = fs::remove_dir(path);
    }
}

/// The repos for which anything lies here.
pub(super) fn repos(library: &Library) -> Vec<Own> {
    let mut repos = Vec::new();
    for kind in [Kind::Model, Kind::Dataset] {
        let folder = place::drafts_folder(&library.inner.home.library(), kind);
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if let Some(Ok(name)) = entry.file_name().to_str().map(str::parse) {
                repos.push(Own { kind, name });
            }
        }
    }
    repos
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

/// Removes a file, if it is there.
pub(in crate::library) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %why, "what was uploaded stays behind");
        }
        _ => {}
    }
}

/// What a failure of the disk means.
pub fn failed(path: &Path, why: &io::Error) -> Failure {
    Failure::new(files::code(why), format!("cannot write {}: {why}", path.display()))
}
