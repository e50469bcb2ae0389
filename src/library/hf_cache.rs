//! The Hugging Face clients' cache, laid out from the library (`gateway.hf_cache`): what `get` brought is there for `hf
//! download`, `transformers` and the rest without another copy, and without any call when they are offline.
//!
//! ```text
//! models--NS--NAME/blobs/SHA256           shared with the library's file, or a link to it (`Store::lend`)
//! models--NS--NAME/snapshots/COMMIT/PATH  -> ../../blobs/SHA256
//! models--NS--NAME/refs/main              COMMIT, if this is what the endpoint calls main
//! .locks/models--NS--NAME/SHA256.lock     as the clients lock a blob while they write it
//! ```
//! NS and COMMIT are those of our endpoint: the publisher's alias or `z6Mk…` part, and the commit id; SHA256 is the ETag
//! that it gives. So a client finds what it would have downloaded. All of a version or nothing: a client takes a snapshot's
//! folder for whole. A blob's name is the publisher's word, so all files are compared with the card first. Nothing that is
//! there is replaced or deleted, but `refs/main`, which any client sets. Layout: `huggingface_hub` 0.20 to 2.4.

use std::{
    collections::BTreeMap,
    env, fs,
    fs::File,
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::mpsc;

use super::{
    Library, Watch, blocking,
    hash::Hasher,
    note::{Note, Statements},
    place,
    refs::{self, Held},
    sign, statements, trust, verify,
    watch::Meter,
};
use crate::{
    card::{
        CommitId, FileEntry, Verified,
        json::hex,
        reference::{Publisher, Revision, Target},
    },
    dag::name::escape,
    rpc::{Event, Failure, Progress, Stage},
    store::{self, FileId, Lent, TreeId, TreeState},
};

/// Lays out a version, if that is wanted; or says why it is not laid out. `progress`: of comparing its files with its card.
///
/// # Errors
/// As the store fails.
pub(super) async fn lay_out(
    library: &Library,
    id: TreeId,
    progress: impl Fn(&Progress),
) -> Result<Option<String>, Failure> {
    let setting = &library.inner.config.gateway.hf_cache;
    if setting.is_empty() {
        return Ok(None);
    }
    let cache = match setting.strip_prefix("~/").map(|rest| (rest, env::home_dir())) {
        None => PathBuf::from(setting),
        Some((rest, Some(home))) => home.join(rest),
        Some((_, None)) => return Ok(Some("this process has no home folder".into())),
    };
    // Dropped with this future, which stops the reading at its next step.
    let (events, mut said) = mpsc::channel(1);
    let (library, watch) = (library.clone(), Watch::new(events));
    let work = blocking(move || Ok(run(&library, id, &cache, &watch)?.err()));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            Some(event) = said.recv() => if let Event::Progress(it) = event { progress(&it) },
        }
    }
}

/// What can be said of one version in one line.
type Outcome = Result<(), String>;

fn run(library: &Library, id: TreeId, cache: &Path, watch: &Watch) -> Result<Outcome, Failure> {
    let Some(tree) = library.store().tree(id) else { return Ok(Ok(())) };
    let held = Held { id, tree };
    // Clients know what is signed; of a part they would take it for the whole.
    let Some(card) = sign::card_of(library, &held.tree)? else { return Ok(Ok(())) };
    if held.tree.state != TreeState::Whole || Note::of(&held.tree).partial {
        return Ok(Ok(()));
    }
    let namespace = trust::folder_name(library, card.publisher())?;
    let folder = place::hub_folder(held.tree.kind, &namespace, &card.statement().name);
    let mut repo = Repo {
        commit: CommitId::of(&held.tree.root).to_string(),
        locks: cache.join(".locks").join(&folder),
        folder: cache.join(&folder),
        new: Vec::new(),
    };
    let files = sign::signed_files(library, &card)?.into_files();
    if !repo.is_laid_out(&files) {
        if let Err(why) = compare(library, &held, watch)? {
            return Ok(Err(why));
        }
        let mut records = BTreeMap::new();
        for file in library.store().tree_files(id)? {
            let file = file?;
            records.extend(file.file.map(|record| (file.path, record)));
        }
        let done = repo.fill(library, &files, &records, watch);
        if !matches!(done, Ok(Ok(()))) {
            repo.take_back();
            return done;
        }
    }
    if is_main(library, &held, &card)? {
        return Ok(repo.set_main());
    }
    Ok(Ok(()))
}

/// Compares the files with the digests of their card, unless that was done.
fn compare(library: &Library, held: &Held, watch: &Watch) -> Result<Outcome, Failure> {
    if Note::of(&held.tree).statements == Some(Statements::Hold) {
        return Ok(Ok(()));
    }
    let meter = |bytes| Meter::new(watch, Stage::Verifying, "files", bytes);
    let examined = verify::examine(library, held, meter)?;
    statements::record(library, held, &examined)?;
    Ok(match examined.stated {
        Some(refuted) if refuted.is_empty() => Ok(()),
        Some(refuted) => {
            let first = refuted.first().map_or("", String::as_str);
            Err(format!("what its publisher states of the files DOES NOT HOLD: {first}"))
        }
        None => Err("files of it are changed or missing".into()),
    })
}

/// Whether the endpoint answers with this version when a client asks for `main`.
fn is_main(library: &Library, held: &Held, card: &Verified) -> Result<bool, Failure> {
    let target = Target::Repo {
        publisher: Publisher::Id(*card.publisher()),
        name: card.statement().name.clone(),
        revision: Revision::Head,
    };
    let known = refs::matching(library, &target)?;
    // Two cards that contradict each other are no `main`, and no reason not to lay out what was asked for.
    let newest = refs::pick(library, &target, known).ok().flatten();
    Ok(newest.is_some_and(|newest| newest.tree.root == held.tree.root))
}

/// A repo's folder in the cache.
struct Repo {
    folder: PathBuf,
    locks: PathBuf,
    commit: String,
    /// What was made here just now.
    new: Vec<PathBuf>,
}

impl Repo {
    fn snapshot(&self) -> PathBuf {
        self.folder.join("snapshots").join(&self.commit)
    }

    /// Whether the snapshot has every file by now, each at its size.
    fn is_laid_out(&self, files: &[FileEntry]) -> bool {
        let snapshot = self.snapshot();
        let is_there = |file: &FileEntry| {
            fs::metadata(snapshot.join(&file.path))
                .is_ok_and(|it| it.is_file() && it.len() == file.size)
        };
        files.iter().all(is_there)
    }

    fn fill(
        &mut self,
        library: &Library,
        files: &[FileEntry],
        records: &BTreeMap<String, FileId>,
        watch: &Watch,
    ) -> Result<Outcome, Failure> {
        for folder in [self.folder.join("blobs"), self.folder.join("snapshots"), self.locks.clone()]
        {
            if let Err(why) = fs::create_dir_all(&folder) {
                return Ok(Err(format!("{} can't be made: {why}", folder.display())));
            }
        }
        let meter = Meter::new(watch, Stage::Verifying, "blobs", 0);
        for file in files {
            watch.check()?;
            if let Err(why) = self.blob(library, file, records.get(&file.path), &meter)? {
                return Ok(Err(format!("{}: {why}", escape(&file.path))));
            }
        }
        let links = self.links(files);
        Ok(links.map_err(|why| format!("{} can't be written: {why}", self.folder.display())))
    }

    /// Puts a file's bytes where clients look for them; ones that are there already stay.
    fn blob(
        &mut self,
        library: &Library,
        file: &FileEntry,
        record: Option<&FileId>,
        meter: &Meter,
    ) -> Result<Outcome, Failure> {
        let name = hex(&file.sha256);
        let blob = self.folder.join("blobs").join(&name);
        let lock = self.locks.join(format!("{name}.lock"));
        // Held until this returns, as a client does that writes it.
        let _lock = match File::options().write(true).create(true).truncate(false).open(&lock) {
            Ok(file) if file.try_lock().is_ok() => file,
            Ok(_) => return Ok(Err("a client is fetching it just now".into())),
            Err(why) => return Ok(Err(format!("{} can't be locked: {why}", lock.display()))),
        };
        if blob.exists() {
            return equal(&blob, file, meter);
        }
        let Some(record) = record else {
            return Ok(Err("the library has it in its index alone".into()));
        };
        // Named as a client names what it has not finished.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let partial = format!("{name}.{:08x}{number:08x}.incomplete", std::process::id());
        let partial = self.folder.join("blobs").join(partial);
        match library.store().lend(*record, &blob, &partial) {
            Ok(Lent::Shared | Lent::Linked) => {
                self.new.push(blob);
                Ok(Ok(()))
            }
            Ok(Lent::Not(why)) => Ok(Err(why.to_owned())),
            Err(store::Error::Exists { .. }) => equal(&blob, file, meter),
            Err(
                why @ (store::Error::Io { .. }
                | store::Error::Denied { .. }
                | store::Error::NoSpace { .. }),
            ) => Ok(Err(why.to_string())),
            Err(why) => Err(why.into()),
        }
    }

    /// Makes the snapshot's folder of links: as a whole, unless a client has begun it.
    fn links(&mut self, files: &[FileEntry]) -> io::Result<()> {
        let snapshot = self.snapshot();
        let whole = !snapshot.exists();
        let made = match whole {
            true => self.folder.join(format!(".snapshot-{}-{}", self.commit, std::process::id())),
            false => snapshot.clone(),
        };
        if whole {
            // Left by a process of this number that was killed.
            if made.exists() {
                fs::remove_dir_all(&made)?;
            }
            self.new.push(made.clone());
        }
        for file in files {
            let link = made.join(&file.path);
            if link.exists() {
                continue;
            }
            fs::create_dir_all(link.parent().unwrap_or(&made))?;
            let up = "../".repeat(file.path.matches('/').count() + 2);
            match symlink(format!("{up}blobs/{}", hex(&file.sha256)), &link) {
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        if !whole {
            return Ok(());
        }
        self.new.pop();
        fs::rename(&made, &snapshot).or_else(|why| {
            fs::remove_dir_all(&made)?;
            // A client was faster, and goes on by itself.
            if snapshot.exists() { Ok(()) } else { Err(why) }
        })
    }

    fn set_main(&self) -> Outcome {
        let path = self.folder.join("refs/main");
        if fs::read_to_string(&path).is_ok_and(|commit| commit == self.commit) {
            return Ok(());
        }
        let write = || {
            fs::create_dir_all(self.folder.join("refs"))?;
            // Beside the folder of refs, where no client takes it for one.
            let partial = self.folder.join(format!(".main-{}", std::process::id()));
            fs::write(&partial, &self.commit)?;
            fs::rename(&partial, &path)
        };
        write().map_err(|why| format!("{} can't be written: {why}", path.display()))
    }

    /// Takes away what was made just now, since it is not the whole of a version.
    fn take_back(&mut self) {
        for path in self.new.drain(..) {
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if let Err(why) = removed {
                tracing::warn!(path = %path.display(), %why, "stays behind in the clients' cache");
            }
        }
    }
}

/// Whether a blob that is there is the one that belongs there.
fn equal(blob: &Path, file: &FileEntry, meter: &Meter) -> Result<Outcome, Failure> {
    let same = fs::metadata(blob).is_ok_and(|it| it.is_file() && it.len() == file.size)
        && Hasher::new(meter, true)?.read(blob, |_| Ok(()))?.sha256 == Some(file.sha256);
    Ok(match same {
        true => Ok(()),
        false => Err(format!("{} is there and holds something else", blob.display())),
    })
}
