//! One process holds a store: an exclusive `flock` on `store/lock`, which also says who that is.
//!
//! The lock goes with the process, however it ends; what is written in the file is for people only.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::Error;
use crate::limits;

/// The held lock. Dropping it lets the next process in.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the store in `dir`.
    pub(super) fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| Error::io(&path, e))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(holder(dir, &mut file)),
            Err(e) => return Err(Error::io(&path, e)),
        }
        let text = format!("{}\n{}\n", std::process::id(), command_line());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|e| Error::io(&path, e))?;
        Ok(Self { _file: file })
    }
}

fn holder(dir: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    // Only for the message: what cannot be read is left out.
    let _ = file.take(2 * limits::STORE_LOCK_COMMAND_BYTES as u64).read_to_string(&mut text);
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    let command = lines.next().unwrap_or("starting up").to_owned();
    Error::Held { dir: dir.to_path_buf(), pid, command }
}

/// This process' command line on one line, without control characters, bounded.
fn command_line() -> String {
    let mut text = String::new();
    for (n, arg) in std::env::args_os().enumerate() {
        if n > 0 {
            text.push(' ');
        }
        text.extend(arg.to_string_lossy().chars().map(|c| if c.is_control() { ' ' } else { c }));
        if text.len() > limits::STORE_LOCK_COMMAND_BYTES {
            break;
        }
    }
    super::shortened(&text, limits::STORE_LOCK_COMMAND_BYTES).to_owned()
}
