//! Small files that are read or written whole, and what the disk's errors mean to a user.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
};

use crate::rpc::Code;

/// What a file holds, but never much more than `max` bytes: one byte more tells that it is larger.
///
/// # Errors
/// As the disk says.
pub fn read_at_most(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a file in place whole, over one that is there. Two may do so at the same time, in other processes too: each has a name
/// of its own until it is whole, and leaves nothing under it.
///
/// # Errors
/// As the disk says.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.new", rand::random::<u64>()));
    let partial = path.with_file_name(name);
    let mut file = File::create_new(&partial)?;
    let replaced = file.write_all(bytes).and_then(|()| fs::rename(&partial, path));
    if replaced.is_err() {
        // Half a file under such a name means nothing to anybody, so one that can't be removed is no harm.
        let _ = fs::remove_file(&partial);
    }
    replaced
}

/// The exit code for what could not be written.
pub(super) fn code(why: &io::Error) -> Code {
    match why.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::Permission,
        io::ErrorKind::StorageFull => Code::NoSpace,
        _ => Code::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_many_replace_at_once_is_whole_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("piece");
        std::thread::scope(|scope| {
            for byte in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..100 {
                        replace(path, &[byte; 9999]).expect("replaced");
                        let read = fs::read(path).expect("there");
                        assert!(read.len() == 9999 && read.iter().all(|it| *it == read[0]));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn one_that_cannot_be_put_in_place_leaves_nothing() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("folder");
        fs::create_dir(&path).expect("made");
        assert!(replace(&path, b"bytes").is_err());
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }
}
