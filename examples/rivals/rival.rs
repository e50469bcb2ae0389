//! Who takes part: how each is found, started and judged. What one does lies in `direct` and `bittorrent`.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    bare::Sender,
    bittorrent, direct,
    program::{Daemon, Program},
    torrent::Tracker,
};

/// How long a seeder may take until it is ready: BitTorrent's hash the file first.
const PATIENCE: Duration = Duration::from_secs(120);

/// A way to move a file.
pub(super) struct Rival {
    pub(super) name: &'static str,
    /// How much faster `modelswarm` must be; 0 where the table has a rule of its own.
    pub(super) bar: f64,
    /// What to type on a machine that does not have it.
    pub(super) install: &'static str,
    /// Its program.
    find: fn(&Stage<'_>) -> Option<PathBuf>,
    /// Starts its seeder, waits until that is ready, and prepares the receiver.
    start: fn(&Stage<'_>, &Path) -> Result<Ready>,
}

/// First `modelswarm`, then those it is compared with.
pub(super) const ALL: [Rival; 7] = [
    Rival {
        name: "modelswarm",
        bar: 0.0,
        install: "",
        find: |_| Some(PathBuf::new()),
        start: direct::modelswarm,
    },
    Rival {
        name: "bare stream",
        bar: 0.85,
        install: "",
        find: |_| Some(PathBuf::new()),
        start: direct::bare_stream,
    },
    Rival {
        name: "libtorrent",
        bar: 1.8,
        install: "python3 -m venv DIR && DIR/bin/pip install libtorrent, then --tools DIR/bin",
        find: bittorrent::python,
        start: bittorrent::libtorrent,
    },
    Rival {
        name: "rsync",
        bar: 0.0,
        install: "apt-get install rsync",
        find: |stage| stage.tool("rsync"),
        start: direct::rsync,
    },
    Rival {
        name: "sendme",
        bar: 5.0,
        install: "cargo install --locked sendme",
        find: |stage| stage.tool("sendme"),
        start: direct::sendme,
    },
    Rival {
        name: "rqbit",
        bar: 3.0,
        install: "cargo install --locked rqbit",
        find: |stage| stage.tool("rqbit"),
        start: bittorrent::rqbit,
    },
    Rival {
        name: "aria2",
        bar: 4.0,
        install: "apt-get install aria2",
        find: |stage| stage.tool("aria2c"),
        start: bittorrent::aria2,
    },
];

impl Rival {
    /// Its program, if this machine has it.
    pub(super) fn program(&self, stage: &Stage<'_>) -> Option<PathBuf> {
        (self.find)(stage)
    }

    /// Seeds the file and prepares the receiver, which is not started yet.
    pub(super) fn start(&self, stage: &Stage<'_>, program: &Path) -> Result<Ready> {
        fs::create_dir_all(stage.seeding())?;
        fs::create_dir_all(stage.receiving())?;
        (self.start)(stage, program)
    }
}

/// What all of them work with.
pub(super) struct Stage<'a> {
    pub(super) program: &'a Program,
    /// Folders to look for rivals in, before those of `PATH`.
    pub(super) tools: &'a [PathBuf],
    /// The file, alone in its folder.
    pub(super) original: PathBuf,
    /// A torrent of it, without a tracker.
    pub(super) torrent: PathBuf,
    pub(super) tracker: Tracker,
    /// One transfer's, made and deleted for it.
    pub(super) folder: PathBuf,
}

impl Stage<'_> {
    /// The folder of the original.
    pub(super) fn source(&self) -> &Path {
        self.original.parent().unwrap_or(&self.original)
    }

    /// Where a seeder may keep things.
    pub(super) fn seeding(&self) -> PathBuf {
        self.folder.join("seeding")
    }

    /// Everything that a receiver writes: the file and whatever else.
    pub(super) fn receiving(&self) -> PathBuf {
        self.folder.join("receiving")
    }

    /// Files of that name, in the order in which they are preferred.
    pub(super) fn candidates(&self, name: &str) -> Vec<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = self.tools.iter().cloned().chain(env::split_paths(&path));
        folders.map(|folder| folder.join(name)).filter(|file| file.is_file()).collect()
    }

    fn tool(&self, name: &str) -> Option<PathBuf> {
        self.candidates(name).into_iter().next()
    }

    /// A command of a rival, with one of these folders for its home and its place.
    pub(super) fn command(&self, program: &Path, home: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(home).env("HOME", home).stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            // The user's own settings would be measured, not the defaults.
            let name = name.to_string_lossy();
            if ["XDG_", "RUST_", "IROH_", "RQBIT_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(&*name);
            }
        }
        command
    }

    /// Starts a rival's seeder, what it says going to a file.
    pub(super) fn seed(&self, mut command: Command) -> Result<Seeder> {
        let log = self.folder.join("seeder.log");
        command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let program = command.get_program().to_string_lossy().into_owned();
        Ok(Seeder::Rival(command.spawn().context(program)?))
    }

    /// What the seeder said so far.
    pub(super) fn seeder_said(&self) -> String {
        fs::read_to_string(self.folder.join("seeder.log")).unwrap_or_default()
    }

    /// Asks until there is an answer.
    pub(super) fn wait<T>(&self, mut answer: impl FnMut() -> Option<T>) -> Result<T> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(answer) = answer() {
                return Ok(answer);
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("its seeder does not get ready: {}", self.seeder_said().trim())
    }
}

/// A seeder that serves, and the receiver's command still to be started.
pub(super) struct Ready {
    pub(super) seeder: Seeder,
    pub(super) receive: Command,
    /// The file that will be there.
    pub(super) arrives: PathBuf,
}

/// The process that seeds; it ends with this value.
pub(super) enum Seeder {
    Own(Daemon),
    Bare(Sender),
    Rival(Child),
}

impl Seeder {
    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Own(daemon) => daemon.pid(),
            Self::Bare(sender) => sender.process.id(),
            Self::Rival(child) => child.id(),
        }
    }
}

impl Drop for Seeder {
    fn drop(&mut self) {
        // The other two do it themselves.
        let Self::Rival(child) = self else { return };
        if let Err(why) = child.kill().and_then(|()| child.wait()) {
            eprintln!("warning: process {} could not be ended: {why}", child.id());
        }
    }
}
