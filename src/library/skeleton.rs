//! `card init`: a README.md to start from, written beside the files that it tells of.
//!
//! The one command that writes into the user's folder without `get`, and the one that needs neither home nor node. What
//! is there already stays, unless the user says otherwise; a link in its place is replaced, never followed.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use super::{
    content::{self, Lies},
    scan::{self, Selection},
};
use crate::{
    card::content::skeleton::{Config, Repo, readme},
    limits,
    rpc::{CardInitialised, Code, Failure, Kind},
};

/// Its name.
const README: &str = "README.md";

/// What `config.json` is called.
const CONFIG: &str = "config.json";

/// Writes the README of the folder `dir`, under the folder's name if none is given.
///
/// # Errors
/// Failure (1) if there is one and `force` is not set; usage (2) if it is no folder that can be seeded; as the disk says.
pub fn write(
    dir: &Path,
    name: Option<&str>,
    kind: Kind,
    force: bool,
) -> Result<CardInitialised, Failure> {
    let dir = fs::canonicalize(dir).map_err(|why| scan::unreadable(dir, &why))?;
    if !dir.is_dir() {
        let why = format!("{} is not a folder", dir.display());
        return Err(Failure::new(Code::Usage, why).hint("name the folder that is to be seeded"));
    }
    let path = dir.join(README);
    if !force && path.symlink_metadata().is_ok() {
        return Err(exists(&path));
    }
    let text = compose(&dir, name, kind)?;
    put(&path, text.as_bytes(), force)?;
    Ok(CardInitialised { path, bytes: text.len() as u64 })
}

fn compose(dir: &Path, name: Option<&str>, kind: Kind) -> Result<String, Failure> {
    let scan = scan::scan(dir, &Selection::new(&[], &[])?, false)?;
    let others: Vec<_> = scan.files.into_iter().filter(|file| file.path != README).collect();
    let lies = |file: &scan::Found| Lies { path: file.path.clone(), on_disk: file.source.clone() };
    let findings = content::on_disk(&others.iter().map(lies).collect::<Vec<_>>())?;
    let config = others
        .iter()
        .find(|file| file.path == CONFIG && file.size <= limits::CONFIG_FILE_MAX)
        .and_then(|file| Config::parse(&fs::read(&file.source).ok()?));
    let files: Vec<(String, u64)> = others.into_iter().map(|file| (file.path, file.size)).collect();
    let folder = dir.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.map(str::to_owned).or(folder).unwrap_or_default();
    Ok(readme(&Repo {
        name: &name,
        kind,
        files: &files,
        findings: &findings,
        config: config.as_ref(),
    }))
}

/// Puts a whole file in its place, or none.
fn put(path: &Path, bytes: &[u8], replace: bool) -> Result<(), Failure> {
    let failed = |why: io::Error| match why.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        io::ErrorKind::PermissionDenied => {
            Failure::new(Code::Permission, format!("{} may not be written: {why}", path.display()))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Failure::new(Code::NoSpace, format!("{} cannot be written: {why}", path.display()))
        }
        _ => Failure::new(Code::Failure, format!("{} cannot be written: {why}", path.display())),
    };
    // Where none may be replaced the name itself is what nobody else may take; else one that `seed` leaves out.
    let beside = path.with_file_name(format!(".{README}.{}.partial", std::process::id()));
    let target = if replace { beside.as_path() } else { path };
    let mut file = OpenOptions::new().write(true).create_new(true).open(target).map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| if replace { fs::rename(target, path) } else { Ok(()) });
    if placed.is_err()
        && let Err(why) = fs::remove_file(target)
    {
        tracing::warn!(%why, "{} stays behind", target.display());
    }
    placed.map_err(failed)
}

fn exists(path: &Path) -> Failure {
    Failure::new(Code::Failure, format!("{} is there already", path.display()))
        .hint("--force replaces it")
}
