//! The operating system's side: small files written atomically, folders resolved beneath a base, positional writes.
//!
//! Nothing here knows of blocks or of the index. Names that came from elsewhere are only ever used one component at
//! a time, relative to the descriptor of the folder above and with `O_NOFOLLOW`: no name can lead out of the base,
//! and a symlink that somebody puts there is refused, not followed. Design section 4.

use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, SeekFrom};
use rustix::io::{Errno, ReadWriteFlags};

use super::Error;

/// `RWF_DONTCACHE` (Linux 6.14): write back at once and leave the page cache. rustix has no name for it yet.
const RWF_DONTCACHE: u32 = 0x80;

/// How chunks of arriving files are written. Measured (`experiments.md` A.0, E): buffered writes of a fresh file are
/// 2 to 5 times slower than the same with [`WriteMode::DontCache`] where the page cache is expensive to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteMode {
    /// `RWF_DONTCACHE`, and plain buffered writes where kernel or file system do not know it.
    #[default]
    DontCache,
    /// Plain buffered writes: what was fetched stays in the page cache.
    Buffered,
}

/// Whole contents of a small file, `None` if there is none.
pub(super) fn read_small(path: &Path, max: usize) -> Result<Option<Vec<u8>>, Error> {
    let length = match fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(path, e)),
    };
    if length > max as u64 {
        return Err(Error::Full { what: "bytes in a plain record", max });
    }
    fs::read(path).map(Some).map_err(|e| Error::io(path, e))
}

/// Replaces a file's contents: all or nothing, and durable when this returns.
pub(crate) fn write_small(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_file(path, |file| io::Write::write_all(file, bytes))
}

/// As [`write_small`], for contents that are produced piece by piece.
pub(super) fn write_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Error> {
    // Two may write one file at the same time: each has a name of its own until it is whole.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let new = path.with_file_name(name);
    let result = File::create(&new)
        .and_then(|mut file| write(&mut file).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path))
        .map_err(|e| Error::io(path, e));
    if result.is_err() {
        // Half a file under the name `.new` means nothing to anybody; leaving it is harmless, so errors are too.
        let _ = fs::remove_file(&new);
    }
    result?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Removes a file, durably. Returns whether it was there.
pub(super) fn remove_small(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(path.parent().unwrap_or(Path::new("."))).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| Error::io(path, e))
}

/// The name of the network file system that `path` lies on, if it is one.
pub(super) fn network_file_system(path: &Path) -> Result<Option<&'static str>, Error> {
    let stat = rustix::fs::statfs(path).map_err(|e| Error::io(path, e))?;
    // The kernel's magic numbers have 32 bits; the field's type differs between platforms.
    Ok(network_magic(stat.f_type as u32))
}

/// linux/magic.h and, for those outside of the kernel tree, statfs(2).
fn network_magic(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B => "SMB",
        0xFF53_4D42 | 0xFE53_4D42 => "SMB (CIFS)",
        0x0BD0_0BD0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x00C3_6400 => "CephFS",
        0x1983_0326 => "BeeGFS",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x0102_1997 => "9P",
        _ => return None,
    })
}

/// Bytes this user may still write where `path` is or will be (its nearest ancestor that exists).
///
/// # Errors
/// [`Error::Io`] or [`Error::Denied`] when the file system does not say.
pub fn free_space(path: &Path) -> Result<u64, Error> {
    let mut at = path;
    loop {
        match rustix::fs::statvfs(at) {
            Ok(stat) => return Ok(stat.f_bavail.saturating_mul(stat.f_frsize)),
            Err(Errno::NOENT) => match at.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => at = parent,
                _ => at = Path::new("."),
            },
            Err(e) => return Err(Error::io(at, e)),
        }
    }
}

/// A folder beneath a base, by descriptor, and the last component of the path that led there.
#[derive(Debug)]
pub(super) struct Beneath {
    folder: OwnedFd,
    /// The folder as text: for messages and records.
    pub(super) path: PathBuf,
    pub(super) name: String,
}

/// Splits a relative path into components that are safe to use one by one.
fn components<'a>(base: &Path, path: &'a str) -> Result<Vec<&'a str>, Error> {
    let refuse = |why| Error::Unsafe { path: base.join(path), why };
    let parts: Vec<&str> = path.split('/').collect();
    for part in &parts {
        match *part {
            "" => return Err(refuse("a part of the name is empty")),
            "." | ".." => return Err(refuse("the name would leave its folder")),
            part if part.contains('\0') => return Err(refuse("the name contains NUL")),
            part if part.len() > 255 => {
                return Err(refuse("a part of the name has more than 255 bytes"));
            }
            _ => {}
        }
    }
    Ok(parts)
}

impl Beneath {
    /// Opens the folder of `path` beneath `base` without following a symlink below `base`. `make`: missing folders
    /// are made, `base` included. `None`: not made, and not there.
    pub(super) fn open(base: &Path, path: &str, make: bool) -> Result<Option<Self>, Error> {
        let mut parts = components(base, path)?;
        let name = parts.pop().expect("split gives at least one part").to_owned();
        if make {
            fs::create_dir_all(base).map_err(|e| Error::io(base, e))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = base.to_path_buf();
        let mut folder = match rustix::fs::openat(CWD, base, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(|e| Error::io(base, e))?,
        };
        for part in parts {
            at.push(part);
            if make {
                match rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o777)) {
                    Ok(()) => rustix::fs::fsync(&folder).map_err(|e| Error::io(&at, e))?,
                    Err(Errno::EXIST) => {}
                    Err(e) => return Err(Error::io(&at, e)),
                }
            }
            folder =
                match rustix::fs::openat(&folder, part, flags | OFlags::NOFOLLOW, Mode::empty()) {
                    Ok(next) => next,
                    Err(Errno::NOENT) => return Ok(None),
                    Err(Errno::LOOP | Errno::NOTDIR) => {
                        let why = "a part of the path is a symlink or not a folder";
                        return Err(Error::Unsafe { path: at, why });
                    }
                    Err(e) => return Err(Error::io(&at, e)),
                };
        }
        Ok(Some(Self { folder, path: at, name }))
    }

    /// The path of `name` in this folder.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens `name` to read and write it if it is a plain file of this user with one name; `None` if it is not there.
    pub(super) fn open_own(&self, name: &str) -> Result<Option<File>, Error> {
        use std::os::unix::fs::MetadataExt as _;
        let path = self.join(name);
        let refuse = |why| Error::Unsafe { path: path.clone(), why };
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.folder, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => {
                return Err(refuse("it is not a plain file"));
            }
            Err(e) => return Err(Error::io(&path, e)),
        };
        let meta = file.metadata().map_err(|e| Error::io(&path, e))?;
        if !meta.is_file() {
            return Err(refuse("it is not a plain file"));
        }
        if meta.nlink() != 1 || meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(refuse("it has another owner or a second name"));
        }
        Ok(Some(file))
    }

    /// Makes a new file `name`; it must not be there.
    pub(super) fn create(&self, name: &str) -> Result<File, Error> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.folder, name, flags, Mode::from_raw_mode(0o666))
            .map(File::from)
            .map_err(|e| Error::io(&self.join(name), e))
    }

    /// Renames within the folder. Without `replace` a file of the new name is left alone: [`Error::Exists`].
    pub(super) fn rename(&self, from: &str, to: &str, replace: bool) -> Result<(), Error> {
        let folder = &self.folder;
        let path = self.join(to);
        let result = if replace {
            // What is replaced must be a file: over a folder the kernel refuses by itself, a symlink is replaced, not
            // followed.
            rustix::fs::renameat(folder, from, folder, to)
        } else {
            match rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
                // A file system without RENAME_NOREPLACE: a second name fails if the first is taken, too.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    rustix::fs::linkat(folder, from, folder, to, AtFlags::empty())
                        .and_then(|()| rustix::fs::unlinkat(folder, from, AtFlags::empty()))
                }
                other => other,
            }
        };
        match result {
            Err(Errno::EXIST) => Err(Error::Exists { path }),
            other => other.map_err(|e| Error::io(&path, e)),
        }
    }

    /// Removes the file `name`; a folder or something that is not there is left. Returns whether it went.
    pub(super) fn unlink(&self, name: &str) -> Result<bool, Error> {
        match rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::ISDIR) => Ok(false),
            Err(e) => Err(Error::io(&self.join(name), e)),
        }
    }

    /// Removes the folder `name` if it is empty. Returns whether it went.
    pub(super) fn remove_empty(&self, name: &str) -> bool {
        rustix::fs::unlinkat(&self.folder, name, AtFlags::REMOVEDIR).is_ok()
    }

    /// Makes the names in the folder durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        rustix::fs::fsync(&self.folder).map_err(|e| Error::io(&self.path, e))
    }
}

/// Writes at positions of one file, without a shared cursor.
#[derive(Debug)]
pub(super) struct Writer {
    dont_cache: AtomicBool,
}

impl Writer {
    pub(super) fn new(mode: WriteMode) -> Self {
        Self { dont_cache: AtomicBool::new(mode == WriteMode::DontCache) }
    }

    /// Writes all of `bytes` at `offset`.
    pub(super) fn write_at(
        &self,
        file: &File,
        mut bytes: &[u8],
        mut offset: u64,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let dont_cache = self.dont_cache.load(Ordering::Relaxed);
            let written = if dont_cache {
                let flags = ReadWriteFlags::from_bits_retain(RWF_DONTCACHE);
                rustix::io::pwritev2(file, &[IoSlice::new(bytes)], offset, flags)
            } else {
                rustix::io::pwrite(file, bytes, offset)
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    bytes = &bytes[n..];
                    offset += n as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) if dont_cache => {
                    self.dont_cache.store(false, Ordering::Relaxed);
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

/// Appends `len` bytes at `offset` to `buffer`. Returns whether they were all there.
pub(super) fn read_at(
    file: impl AsFd,
    buffer: &mut Vec<u8>,
    mut offset: u64,
    len: usize,
) -> io::Result<bool> {
    let end = buffer.len() + len;
    buffer.reserve_exact(len);
    while buffer.len() < end {
        let before = buffer.len();
        // The spare room may be larger than what is wanted: what was read too much is cut off below.
        match rustix::io::pread(&file, rustix::buffer::spare_capacity(buffer), offset) {
            Ok(0) => return Ok(false),
            Ok(n) => {
                offset += n as u64;
                buffer.truncate((before + n).min(end));
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(true)
}

/// The ranges of a sparse file that hold data.
pub(super) fn data_ranges(file: &File, size: u64) -> io::Result<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            // No SEEK_DATA here: everything may be data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(e) => return Err(e.into()),
        };
        let end = match rustix::fs::seek(file, SeekFrom::Hole(start)) {
            Ok(end) => end.min(size),
            Err(_) => size,
        };
        if start < end {
            ranges.push(start..end);
        }
        at = end.max(start + 1);
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_magic_and_local_ones_are_not_refused() {
        assert_eq!(network_magic(0x6969), Some("NFS"));
        assert_eq!(network_magic(0xFF53_4D42), Some("SMB (CIFS)"));
        assert_eq!(network_magic(0x0BD0_0BD0), Some("Lustre"));
        for local in [0xEF53_u32, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0x6573_5546] {
            assert_eq!(network_magic(local), None);
        }
    }

    #[test]
    fn the_free_space_of_a_path_that_is_not_there_yet_is_its_ancestors() {
        let dir = tempfile::tempdir().expect("temp");
        assert!(free_space(&dir.path().join("a/b/c")).expect("free") > 0);
    }

    #[test]
    fn a_small_file_that_many_write_at_once_is_whole_for_whoever_reads_it() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("record");
        write_small(&path, &[7; 4096]).expect("written");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        write_small(&path, &[7; 4096]).expect("written");
                    }
                });
            }
            for _ in 0..2000 {
                let read = read_small(&path, 4096).expect("read").expect("there");
                assert_eq!(read.len(), 4096);
            }
        });
    }

    #[test]
    fn data_ranges_of_a_sparse_file_leave_its_holes_out() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("sparse");
        let file = File::options().read(true).write(true).create_new(true).open(path).expect("new");
        file.set_len(64 << 20).expect("length");
        let writer = Writer::new(WriteMode::DontCache);
        writer.write_at(&file, &[7; 1 << 20], 16 << 20).expect("write");
        let ranges = data_ranges(&file, 64 << 20).expect("ranges");
        assert_eq!(ranges, std::slice::from_ref(&((16 << 20)..(17 << 20))));
    }

    #[test]
    fn a_full_disk_is_said_as_such() {
        let full = File::options().write(true).open("/dev/full").expect("open");
        for mode in [WriteMode::DontCache, WriteMode::Buffered] {
            let error = Writer::new(mode).write_at(&full, b"x", 0).expect_err("full");
            assert!(matches!(Error::io(Path::new("a"), error), Error::NoSpace { .. }));
        }
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("small");
        write_small(&path, b"one").expect("write");
        let failed = write_file(&path, |_| Err(io::ErrorKind::StorageFull.into()));
        assert!(failed.is_err());
        assert_eq!(read_small(&path, 10).expect("read").as_deref(), Some(&b"one"[..]));
        assert_eq!(fs::read_dir(dir.path()).expect("dir").count(), 1, "nothing is left over");
    }
}
