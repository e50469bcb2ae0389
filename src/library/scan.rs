//! From a path to the list of files that would be seeded: what belongs to a repo, what is left out, what is refused.
//!
//! Nothing is hashed and nothing but the folder's entries is read. The order is by path bytes, so that the same folder
//! gives the same list. Names are checked here with the one check for every tree (`dag::name`). Design section 4,
//! "Names in ANY tree" and "Links on import".

mod links;
mod rules;

use std::{
    fs, io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use self::links::Links;
pub(super) use self::rules::Selection;
use crate::{
    dag::name,
    limits,
    rpc::{Code, Failure},
};

/// The files of a repo to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Scan {
    /// Files, by path.
    pub files: Vec<Found>,
    /// Folders that hold nothing at all, by path: they are part of the tree too.
    pub empty: Vec<String>,
    /// What was left out, relative to the folder; folders end in `/`.
    pub left_out: Vec<String>,
}

/// One file of a repo to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Path inside the repo, `/` between its parts.
    pub path: String,
    /// Where its bytes are: a link's target, not the link.
    pub source: PathBuf,
    /// Bytes, as far as is known before it is read.
    pub size: u64,
}

impl Scan {
    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// Lists the files under `path`; a single file is listed under its own name.
///
/// # Errors
/// Usage (2) for links, devices, sockets and names that are refused, naming the way out; permission (5) for what can't
/// be read; failure (1) for anything else the disk says, and for more files than a repo may have.
pub(super) fn scan(path: &Path, selection: &Selection, follow: bool) -> Result<Scan, Failure> {
    let metadata = fs::metadata(path).map_err(|why| unreadable(path, &why))?;
    let mut scan = Scan::default();
    if metadata.is_file() {
        let name = path.file_name().ok_or_else(|| refused(path, "it has no name"))?;
        let name = text(path, name)?;
        name::check_name(&name).map_err(|why| refused(path, &why.to_string()))?;
        let source = fs::canonicalize(path).map_err(|why| unreadable(path, &why))?;
        scan.files.push(Found { path: name, source, size: metadata.len() });
        return Ok(scan);
    }
    if !metadata.is_dir() {
        return Err(refused(path, "it is neither a file nor a folder"));
    }
    let mut walker = Walker { selection, links: Links::new(path, follow)?, scan: &mut scan };
    walker.folder(path, "", 0)?;
    if scan.files.iter().any(|file| file.path == rules::RELEASE_CARD) {
        return Err(Failure::new(
            Code::Usage,
            format!("{} holds a {}, which marks a release", path.display(), rules::RELEASE_CARD),
        )
        .hint("seed the folder `model` inside the release, or rename the file"));
    }
    if scan.files.is_empty() {
        return Err(Failure::new(Code::Usage, format!("{} holds no file to seed", path.display()))
            .hint("check --include and --exclude"));
    }
    scan.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    scan.empty.sort_unstable();
    scan.left_out.sort_unstable();
    Ok(scan)
}

struct Walker<'a> {
    selection: &'a Selection,
    links: Links,
    scan: &'a mut Scan,
}

impl Walker<'_> {
    /// Lists one folder; true if anything in it belongs to the repo.
    fn folder(&mut self, dir: &Path, prefix: &str, depth: usize) -> Result<(), Failure> {
        if depth > limits::FOLDER_DEPTH_MAX {
            return Err(refused(
                dir,
                &format!("folders are nested deeper than {}", limits::FOLDER_DEPTH_MAX),
            ));
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).map_err(|why| unreadable(dir, &why))? {
            names.push(entry.map_err(|why| unreadable(dir, &why))?.file_name());
        }
        if names.is_empty() && !prefix.is_empty() && self.selection.takes_all() {
            self.scan.empty.push(prefix.trim_end_matches('/').to_owned());
        }
        names.sort_unstable();
        let mut twins = name::Twins::default();
        for name in names {
            let source = dir.join(&name);
            let name = text(&source, &name)?;
            let path = format!("{prefix}{name}");
            self.entry(source, path, &name, &mut twins, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        source: PathBuf,
        path: String,
        name: &str,
        twins: &mut name::Twins,
        depth: usize,
    ) -> Result<(), Failure> {
        let kind =
            fs::symlink_metadata(&source).map_err(|why| unreadable(&source, &why))?.file_type();
        if rules::left_out(&path, kind.is_dir()) {
            self.scan.left_out.push(if kind.is_dir() { format!("{path}/") } else { path });
            return Ok(());
        }
        if !kind.is_dir() && !self.selection.takes(&path) {
            return Ok(());
        }
        let checked = name::check_name(name).and_then(|()| twins.insert(name));
        checked.map_err(|why| refused(&source, &why.to_string()))?;
        let source = if kind.is_symlink() { self.links.resolve(&source)? } else { source };
        let metadata = fs::metadata(&source).map_err(|why| unreadable(&source, &why))?;
        if metadata.is_dir() {
            if !kind.is_symlink() {
                return self.folder(&source, &format!("{path}/"), depth + 1);
            }
            self.links.enter(&source)?;
            self.folder(&source, &format!("{path}/"), depth + 1)?;
            self.links.leave();
            return Ok(());
        }
        if !metadata.is_file() {
            let what = if metadata.file_type().is_socket() {
                "a socket"
            } else if metadata.file_type().is_fifo() {
                "a pipe"
            } else {
                "a device"
            };
            return Err(Failure::new(
                Code::Usage,
                format!("{} is {what}; only files and folders can be seeded", source.display()),
            )
            .hint(format!("leave it out: --exclude '{path}'")));
        }
        if self.scan.files.len() >= limits::REPO_FILES_MAX {
            return Err(refused(
                &source,
                &format!("a repo holds at most {} files", limits::REPO_FILES_MAX),
            ));
        }
        self.scan.files.push(Found { path, source, size: metadata.len() });
        Ok(())
    }
}

fn text(source: &Path, name: &std::ffi::OsStr) -> Result<String, Failure> {
    name.to_str()
        .map(str::to_owned)
        .ok_or_else(|| refused(source, "its name is not UTF-8, and others could not read it"))
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::new(Code::Usage, format!("{:?} can't be seeded: {why}", path))
        .hint("rename it, or leave it out with --exclude")
}

pub(super) fn unreadable(path: &Path, why: &io::Error) -> Failure {
    match why.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::new(Code::Permission, format!("{} may not be read: {why}", path.display()))
                .hint("give the user that runs modelswarm the right to read it")
        }
        io::ErrorKind::NotFound => {
            Failure::new(Code::Failure, format!("{} does not exist", path.display()))
        }
        _ => Failure::new(Code::Failure, format!("{} can't be read: {why}", path.display())),
    }
}

#[cfg(test)]
mod tests;
