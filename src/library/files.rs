//! Small files that are read or written whole, and what the disk's errors mean to a user.

use std::{
    fs::{self, File},
    io::{self, Read as _},
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

/// Puts a file in place whole, over one that is there.
///
/// # Errors
/// As the disk says.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("new");
    fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path))
}

/// The exit code for what could not be written.
pub(super) fn code(why: &io::Error) -> Code {
    match why.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::Permission,
        io::ErrorKind::StorageFull => Code::NoSpace,
        _ => Code::Failure,
    }
}
