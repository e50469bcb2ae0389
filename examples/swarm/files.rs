//! What is shared, and the folder in which everything lies.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use tempfile::TempDir;

/// A folder that is gone when we are, even killed: a shell that no Ctrl-C reaches waits for our end.
pub(super) struct Folder {
    dir: TempDir,
    keeper: Child,
}

impl Folder {
    /// A new one in `parent`.
    pub(super) fn new(parent: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("swarm-").tempdir_in(parent)?;
        let keeper = Command::new("sh")
            // What still runs is being killed at the same time: a second, and it writes no more.
            .args(["-c", r#"trap "" INT TERM HUP; cat; sleep 1; exec rm -rf -- "$0""#])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self { dir, keeper })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // `wait` fails only for what was waited for already.
        drop(self.keeper.wait());
    }
}

/// A file of numbers that do not repeat, so that no chunk equals another. Returns when it is old enough for an index
/// to trust its times (two seconds).
pub(super) fn make(path: &Path, size: u64) -> Result<()> {
    let mut file = File::create(path)?;
    let mut number = 0x9E37_79B9_7F4A_7C15_u64;
    let mut chunk = Vec::with_capacity(1 << 20);
    for _ in 0..size >> 20 {
        chunk.clear();
        while chunk.len() < 1 << 20 {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            chunk.extend_from_slice(&number.to_le_bytes());
        }
        file.write_all(&chunk)?;
    }
    file.sync_all()?;
    thread::sleep(Duration::from_secs(3));
    Ok(())
}

/// Fails unless both files are the same, byte for byte.
pub(super) fn compare(original: &Path, arrived: &Path) -> Result<()> {
    let (mut one, mut other) = (File::open(original)?, File::open(arrived)?);
    let mut left = one.metadata()?.len();
    ensure!(left == other.metadata()?.len(), "{} is not as long", arrived.display());
    let mut buffers = [vec![0; 1 << 20], vec![0; 1 << 20]];
    while left > 0 {
        let [a, b] = buffers.each_mut().map(|buffer| &mut buffer[..left.min(1 << 20) as usize]);
        one.read_exact(a)?;
        other.read_exact(b)?;
        ensure!(a == b, "{} differs from the original", arrived.display());
        left -= a.len() as u64;
    }
    Ok(())
}
