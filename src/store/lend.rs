//! A second name for a file's bytes, outside the library: shared by the file system, or a link.
//!
//! Sharing (reflink) gives another file with the same bytes, of whoever's file it is: no write to the one shows in the other.
//! A hard link is the same file. So only the library's own are linked, and made read-only before: whoever opens the link to
//! write is refused. Both are left undone for a file that is not as it was hashed. Linking and unlinking change ctime, so the
//! record is taken anew after our own link (design section 4) and, as that of any file that is young, not trusted before the
//! next re-hash; when somebody removes the link later, the file is re-hashed once more.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use super::files::{self, FileRecord, FileStat, FileState};
use super::{Error, FileId, Owner, Store, codec, keys};

/// How [`Store::lend`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lent {
    /// There is another file, which shares its bytes with ours on the disk.
    Shared,
    /// Our file has another name.
    Linked,
    /// Neither can be done, and nothing is there.
    Not(&'static str),
}

impl Store {
    /// Gives a whole file's bytes a name in another folder, `to`, without a second copy. `partial`: a name beside it for
    /// what is not whole yet. Neither may be there.
    ///
    /// # Errors
    /// [`Error::Exists`] if `to` is there by now, [`Error::UnknownFile`], and what index and disk say.
    pub fn lend(&self, id: FileId, to: &Path, partial: &Path) -> Result<Lent, Error> {
        let record = self.file(id)?.ok_or(Error::UnknownFile(id))?;
        if record.state != FileState::Whole {
            return Ok(Lent::Not("it is still arriving"));
        }
        let Ok(file) = files::open_plain(&record.path) else {
            return Ok(Lent::Not("it is missing"));
        };
        let is_same = || FileStat::of(&file).is_ok_and(|now| now == record.stat);
        if !is_same() {
            return Ok(Lent::Not("it has changed since it came"));
        }
        if shared(&file, partial)? {
            let lent = match is_same() {
                true => name(partial, to).map(|()| Lent::Shared),
                false => Ok(Lent::Not("it changes just now")),
            };
            fs::remove_file(partial).map_err(|e| Error::io(partial, e))?;
            return lent;
        }
        if record.owner != Owner::Library || !record.path.starts_with(&self.0.options.library) {
            return Ok(Lent::Not(
                "the file system shares no bytes between files, and a file of yours is never linked",
            ));
        }
        self.link(id, &record, &file, to)
    }

    fn link(&self, id: FileId, record: &FileRecord, file: &File, to: &Path) -> Result<Lent, Error> {
        let failed = |e| Error::io(&record.path, e);
        let mode = file.metadata().map_err(failed)?.mode();
        file.set_permissions(Permissions::from_mode(mode & !0o222)).map_err(failed)?;
        let linked = match fs::hard_link(&record.path, to) {
            Ok(()) => Ok(Lent::Linked),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::Exists { path: to.to_path_buf() })
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::CrossesDevices) => {
                Ok(Lent::Not("it lies on another file system, and shares no bytes with that one"))
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
                ) =>
            {
                Ok(Lent::Not("the file system refuses a link to it"))
            }
            Err(e) => Err(Error::io(to, e)),
        };
        // Whatever came of it: its rights have changed.
        let now = FileStat::of(file).map_err(failed)?;
        if now != (FileStat { ctime: now.ctime, ..record.stat }) {
            return self.unlinked(to, linked?, "it changes just now");
        }
        self.0.index.write(|batch| {
            let key = keys::numbered(keys::FILE, id.0);
            if let Some(mut held) = batch.get(&key)?.and_then(|r| codec::decode::<FileRecord>(&r))
                && held.stat == record.stat
            {
                (held.stat, held.hashed_at) = (now, files::nanos(SystemTime::now()));
                batch.put(&key, codec::encode(&held))?;
            }
            Ok(())
        })?;
        let linked = linked?;
        // The path may have been another file's by then.
        let is_it =
            || fs::symlink_metadata(to).is_ok_and(|it| (it.dev(), it.ino()) == (now.dev, now.ino));
        if linked == Lent::Linked && !is_it() {
            return self.unlinked(to, linked, "another file took its place just now");
        }
        Ok(linked)
    }

    /// Takes back a link that was made a moment ago.
    fn unlinked(&self, to: &Path, linked: Lent, why: &'static str) -> Result<Lent, Error> {
        if linked == Lent::Linked {
            fs::remove_file(to).map_err(|e| Error::io(to, e))?;
        }
        Ok(Lent::Not(why))
    }
}

/// Makes a new file that shares all bytes of this one; `false`, and no file, where that can't be.
fn shared(from: &File, partial: &Path) -> Result<bool, Error> {
    let failed = |e| Error::io(partial, e);
    let file = File::options().write(true).create_new(true).open(partial).map_err(failed)?;
    let cloned = rustix::fs::ioctl_ficlone(&file, from).is_ok();
    if !cloned {
        fs::remove_file(partial).map_err(failed)?;
    }
    Ok(cloned)
}

/// Gives a file its second, final name, over none that is there.
fn name(partial: &Path, to: &Path) -> Result<(), Error> {
    fs::hard_link(partial, to).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: to.to_path_buf() },
        _ => Error::io(to, e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Look, NewFile, Options};

    /// A store with one file of this owner; the file, its id and where it lies.
    fn store(owner: Owner) -> (tempfile::TempDir, Store, FileId) {
        let dir = tempfile::tempdir().expect("temp dir");
        let library = dir.path().join("library");
        fs::create_dir_all(&library).expect("made");
        let path = library.join("a");
        fs::write(&path, b"bytes").expect("written");
        let store = Store::open(&dir.path().join("store"), Options::new(&library)).expect("opened");
        let tree = store.reserve().expect("reserved");
        let stat = FileStat::of(&File::open(&path).expect("opened")).expect("stat");
        let new = NewFile { path, owner, stat, hashed_at: SystemTime::now() };
        let id = store.add_files(tree.id(), &[new]).expect("added")[0];
        (dir, store, id)
    }

    #[test]
    fn the_library_s_own_file_is_lent_without_a_copy_and_its_record_still_holds() {
        let (dir, store, id) = store(Owner::Library);
        let (to, partial) = (dir.path().join("to"), dir.path().join("partial"));
        match store.lend(id, &to, &partial).expect("lent") {
            Lent::Linked => {
                let own = fs::metadata(dir.path().join("library/a")).expect("there");
                let lent = fs::metadata(&to).expect("there");
                assert_eq!((lent.ino(), lent.mode() & 0o222), (own.ino(), 0));
            }
            Lent::Shared => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read(&to).expect("read"), b"bytes");
        assert!(!partial.exists());
        assert!(matches!(store.look(id).expect("a look"), Look::Same | Look::Unsettled));
        assert!(matches!(store.lend(id, &to, &partial), Err(Error::Exists { .. })));
        assert!(!partial.exists());
        assert!(matches!(store.look(id).expect("a look"), Look::Same | Look::Unsettled));
    }

    #[test]
    fn a_user_s_file_is_never_linked_and_a_changed_one_is_not_lent_at_all() {
        let (dir, store, id) = store(Owner::User);
        let (to, partial) = (dir.path().join("to"), dir.path().join("partial"));
        let lent = store.lend(id, &to, &partial).expect("asked");
        let own = fs::metadata(dir.path().join("library/a")).expect("there");
        assert_eq!((own.nlink(), own.mode() & 0o200), (1, 0o200), "{lent:?}");
        assert_eq!(matches!(lent, Lent::Not(_)), !to.exists(), "{lent:?}");
        let (dir, store, id) = self::store(Owner::Library);
        let (to, partial) = (dir.path().join("to"), dir.path().join("partial"));
        fs::write(dir.path().join("library/a"), b"other").expect("written");
        assert!(matches!(store.lend(id, &to, &partial), Ok(Lent::Not(_))));
        assert!(!to.exists() && !partial.exists());
    }
}
