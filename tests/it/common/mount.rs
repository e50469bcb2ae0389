//! File systems made for one test. Only root may mount: for others there is none, and the test did nothing.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::not_run;

/// A file system of its own; unmounted when dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// One in memory, of so many MiB. `None` where this user may not mount.
    pub(crate) fn tmpfs(at: PathBuf, mib: usize) -> Option<Self> {
        Self::of(at, &["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
    }

    /// One whose files can share their bytes: btrfs, in a sparse file beside it. `None` also where its tools or the
    /// kernel's driver are not there.
    pub(crate) fn btrfs(at: PathBuf) -> Option<Self> {
        let image = at.with_extension("image");
        File::create(&image).and_then(|file| file.set_len(1 << 30)).expect("a sparse file");
        let mut make = Command::new("mkfs.btrfs");
        make.arg("-q").arg(&image).stdout(Stdio::null()).stderr(Stdio::null());
        let made = make.status();
        if !made.is_ok_and(|status| status.success()) {
            not_run("mkfs.btrfs fails or is not there");
            return None;
        }
        let image = image.to_str().expect("temporary paths are UTF-8");
        Self::of(at, &["-t", "btrfs", "-o", "loop", image])
    }

    fn of(at: PathBuf, args: &[&str]) -> Option<Self> {
        fs::create_dir_all(&at).expect("make");
        let mounted = Command::new("mount").args(args).arg(&at).stderr(Stdio::null()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            not_run(&format!("this user may not mount, or not this: mount {}", args.join(" ")));
            return None;
        }
        Some(Self(at))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.0.display()
        );
    }
}
