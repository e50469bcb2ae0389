//! `verify`: every file read where it lies, never the index's inline copy; all digests recomputed; the signature
//! checked again.
//!
//! What lies on the disk is imported once more, without a store, and compared: the root, each file's CID, and what the
//! card says. Files of trees that others built by other rules are compared leaf by leaf.

mod foreign;

use std::{collections::HashMap, fs, io, path::Path};

use super::{
    Library, Watch, blocking,
    import::{self, Imported},
    labs, listing,
    note::Note,
    refs::{self, Held},
    scan::{self, Found, Scan, Selection},
    sign, signatures, statements,
    watch::Meter,
};
use crate::{
    card::{
        FileEntry, Manifest, TufId, Unverified, Verified as VerifiedCard, oms,
        release::{self, CARD, MODEL, MODEL_SIG, PUBLISHER},
        statement::{self, FILES_LIST, Files},
        tuf,
    },
    dag::{Cid, name::escape},
    limits,
    rpc::{Code, Failure, Stage, Target, Verified},
    store::{Look, TreeFile, TreeState},
};

/// Verifies a version of the library, or a folder or file anywhere.
///
/// # Errors
/// Not found (3); refused (4) for a release whose card is not valid; as the disk says. Files that are not what they
/// should be are no error here: the answer names them.
pub async fn verify(library: &Library, target: Target, watch: Watch) -> Result<Verified, Failure> {
    let library = library.clone();
    blocking(move || match target {
        Target::Reference(reference) => {
            let held = refs::newest(&library, &reference)?;
            version(&library, &held, &watch)
        }
        Target::Path(path) if path.join(CARD).is_file() && path.join(MODEL).exists() => {
            release_folder(&library, &path, &watch)
        }
        Target::Path(path) => folder(&library, &path, &watch),
    })
    .await
}

/// What was read, and what is wrong with it.
pub(super) struct Reading {
    /// The files.
    pub files: Vec<Imported>,
    /// The root that they make.
    pub root: Cid,
    bad: Vec<String>,
}

fn version(library: &Library, held: &Held, watch: &Watch) -> Result<Verified, Failure> {
    let meter = |bytes| Meter::new(watch, Stage::Verifying, "files", bytes);
    let examined = examine(library, held, meter)?;
    statements::record(library, held, &examined)?;
    let Examined { files, changed, stated } = examined;
    let card = sign::card_of(library, &held.tree)?;
    let bad = changed.into_iter().chain(stated.into_iter().flatten()).collect();
    answer(library, held.tree.root, &files, bad, card.as_ref())
}

/// A version as it lies on the disk.
pub(super) struct Examined {
    /// Its files.
    pub files: Vec<Imported>,
    /// Those that are not what they were when they came, each with why.
    pub changed: Vec<String>,
    /// What of its card does not hold for them; none if that can't be told, since files are missing or changed, or it
    /// has no card.
    pub stated: Option<Vec<String>>,
}

/// Reads every file of a version where it lies and compares them with its root and with its card.
///
/// # Errors
/// Failure (1) while it arrives; refused (4) for a damaged card; as the disk and the store fail.
pub(super) fn examine(
    library: &Library,
    held: &Held,
    meter: impl FnOnce(u64) -> Meter,
) -> Result<Examined, Failure> {
    let store = library.store();
    let tree = &held.tree;
    if tree.state == TreeState::Arriving {
        return Err(Failure::new(Code::Failure, format!("{} is still arriving", tree.root))
            .hint("modelswarm get fetches what is missing"));
    }
    let mut listed: HashMap<String, TreeFile> = HashMap::new();
    let mut scan = Scan::default();
    let mut bad = Vec::new();
    for file in store.tree_files(held.id)? {
        let file = file?;
        let source = listing::place_of(library, tree, &file)?;
        match fs::metadata(&source) {
            Ok(metadata) if metadata.is_file() => {
                scan.files.push(Found { path: file.path.clone(), source, size: metadata.len() });
            }
            Ok(_) => bad.push(format!("{}: no longer a file", escape(&file.path))),
            Err(why) => bad.push(format!("{}: {why}", escape(&file.path))),
        }
        listed.insert(file.path.clone(), file);
    }
    scan.empty = foreign::empty_folders(store, tree)?;
    let read = read(&scan, &meter(scan.bytes()))?;
    bad.extend(read.bad);
    let card = sign::card_of(library, tree)?;
    let whole = !Note::of(tree).partial && bad.is_empty();
    if !whole || read.root != tree.root {
        for (file, found) in read.files.iter().zip(&scan.files) {
            let Some(expected) = listed.get(&file.path) else { continue };
            if file.cid != expected.cid && !foreign::is_same(store, expected, &found.source, file)?
            {
                bad.push(format!("{}: its bytes have changed", escape(&file.path)));
            }
        }
    }
    let stated = match &card {
        Some(card) if whole && bad.is_empty() => {
            // The CIDs are those that the root names: files built by other rules have others than were read.
            let of_root = |file: &Imported| Imported {
                cid: listed.get(&file.path).map_or(file.cid, |listed| listed.cid),
                ..file.clone()
            };
            let files: Vec<Imported> = read.files.iter().map(of_root).collect();
            let list = sign::files_list(library, card)?;
            Some(against_card(card, list.as_deref(), &files)?)
        }
        _ => None,
    };
    if bad.is_empty() {
        renew(library, listed.values())?;
    }
    Ok(Examined { files: read.files, changed: bad, stated })
}

/// Records that no longer fit their files, though every byte is right, are renewed: the files were touched, or an edit
/// was undone.
fn renew<'a>(library: &Library, files: impl Iterator<Item = &'a TreeFile>) -> Result<(), Failure> {
    let store = library.store();
    for id in files.filter_map(|file| file.file) {
        if matches!(store.look(id)?, Look::Differs | Look::Unsettled) {
            store.recheck(id)?;
        }
    }
    Ok(())
}

fn folder(library: &Library, path: &Path, watch: &Watch) -> Result<Verified, Failure> {
    let read = read_folder(path, watch)?;
    let (card, _) = sign::known_card(library, &read.root)?;
    let mut bad = read.bad;
    match &card {
        Some(card) => {
            let list = sign::files_list(library, card)?;
            bad.extend(against_card(card, list.as_deref(), &read.files)?);
        }
        // The folder may be one that the library knows, changed since: then it is not what it was.
        None => bad.extend(changed_since(library, path, &read.files)?),
    }
    answer(library, read.root, &read.files, bad, card.as_ref())
}

/// A release as files: `model/` and the card beside it, as `ipfs get` writes it.
fn release_folder(library: &Library, path: &Path, watch: &Watch) -> Result<Verified, Failure> {
    let bundle_path = path.join(CARD);
    let refused =
        |why: String| Failure::new(Code::Refused, format!("{}: {why}", bundle_path.display()));
    let metadata =
        fs::metadata(&bundle_path).map_err(|why| scan::unreadable(&bundle_path, &why))?;
    if metadata.len() > limits::CARD_BUNDLE_MAX as u64 {
        return Err(refused("it is too large to be a card".into()));
    }
    let bundle = fs::read(&bundle_path).map_err(|why| scan::unreadable(&bundle_path, &why))?;
    let document = lab_document(path)?;
    let lab = |id: &TufId| {
        let came = tuf::Publisher::expect(id, document.as_ref()?).ok()?;
        labs::newest(library, id, came).ok()
    };
    let card = Unverified::from_bundle(bundle)
        .and_then(|card| card.verify_with(lab))
        .map_err(|why| refused(why.to_string()))?;
    let read = read_folder(&path.join(MODEL), watch)?;
    let mut bad = read.bad;
    let mut entries = vec![(CARD, Cid::default()), (MODEL, read.root)];
    if let (Files::List(list), true) = (&card.statement().files, path.join(FILES_LIST).is_file()) {
        entries.push((FILES_LIST, list.cid));
    }
    if document.is_some() {
        entries.push((PUBLISHER, Cid::default()));
    }
    if let Err(why) = release::check(entries, &card) {
        bad.push(why.to_string());
    }
    bad.extend(against_card(&card, None, &read.files)?);
    bad.extend(companion(&path.join(MODEL_SIG), &card, &read.files)?);
    answer(library, read.root, &read.files, bad, Some(&card))
}

/// The roots of a lab beside its card, if they are there.
fn lab_document(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let path = path.join(PUBLISHER);
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() <= limits::PUBLISHER_DOC_MAX as u64 => {
            fs::read(&path).map(Some).map_err(|why| scan::unreadable(&path, &why))
        }
        Ok(_) => Err(Failure::new(Code::Refused, format!("{} is too large", path.display()))),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(scan::unreadable(&path, &why)),
    }
}

/// What is wrong with a release's `model.sig`, if it has one. It is compared with the files as they were read.
fn companion(
    path: &Path,
    card: &VerifiedCard,
    files: &[Imported],
) -> Result<Option<String>, Failure> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(scan::unreadable(path, &why)),
    };
    if metadata.len() > limits::OMS_BUNDLE_MAX as u64 {
        return Ok(Some(format!("{MODEL_SIG} is too large to be one")));
    }
    let bytes = fs::read(path).map_err(|why| scan::unreadable(path, &why))?;
    let checked = oms::verify_companion(&bytes, card, &sign::manifest(files)?);
    Ok(checked.err().map(|why| why.to_string()))
}

/// Reads a folder or file anywhere.
pub(super) fn read_folder(path: &Path, watch: &Watch) -> Result<Reading, Failure> {
    let scan = scan::scan(path, &Selection::new(&[], &[])?, false)?;
    read(&scan, &Meter::new(watch, Stage::Verifying, "files", scan.bytes()))
}

fn read(scan: &Scan, meter: &Meter) -> Result<Reading, Failure> {
    let tree = import::import(scan, None, true, meter)?;
    // Nobody waits any more: what was read is not to be told.
    meter.add(0)?;
    Ok(Reading { files: tree.files, root: tree.built.cid, bad: Vec::new() })
}

/// What of the card does not hold for these files. `list`: its `files.jsonl`, if it has one and it is here.
fn against_card(
    card: &VerifiedCard,
    list: Option<&[u8]>,
    files: &[Imported],
) -> Result<Vec<String>, Failure> {
    let read = sign::manifest(files)?;
    Ok(match card.statement().manifest(list) {
        // That its list gives what it says of the tree was checked: equal files give the same.
        Ok(signed) => differences(&read, &signed),
        // Without its list there is what it says of the tree.
        Err(statement::Error::ListMissing) => {
            card.statement().check_against(&read).err().iter().map(ToString::to_string).collect()
        }
        Err(why) => vec![why.to_string()],
    })
}

fn differences(read: &Manifest, signed: &Manifest) -> Vec<String> {
    use crate::card::manifest::Difference as D;
    let line = |difference: &D| match difference {
        D::Changed { path } => {
            format!("{}: its bytes are not those that were signed", escape(path))
        }
        D::Missing { path } => format!("{}: missing", escape(path)),
        D::Extra { path } => format!("{}: was not signed", escape(path)),
        D::Renamed { from, to } => format!("{}: was signed as {}", escape(to), escape(from)),
    };
    let mut lines: Vec<String> = read.differences(signed).iter().map(line).collect();
    let cids: HashMap<&str, Cid> =
        signed.files().iter().map(|file| (file.path.as_str(), file.cid)).collect();
    let other = |file: &&FileEntry| cids.get(&file.path[..]).is_some_and(|cid| *cid != file.cid);
    if lines.is_empty() {
        let renamed = read.files().iter().filter(other);
        lines.extend(
            renamed.map(|file| {
                format!("{}: its CID is not the one that was signed", escape(&file.path))
            }),
        );
    }
    lines
}

/// Which files of a folder that the library serves in place are not what they were.
fn changed_since(
    library: &Library,
    path: &Path,
    files: &[Imported],
) -> Result<Vec<String>, Failure> {
    let store = library.store();
    let mut trees = store.trees_where(|tree| tree.location == path);
    trees.sort_by_key(|(_, tree)| (tree.seq, tree.created_at));
    let Some((id, _)) = trees.pop() else { return Ok(Vec::new()) };
    let now: HashMap<&str, Cid> = files.iter().map(|file| (file.path.as_str(), file.cid)).collect();
    let mut bad = Vec::new();
    for file in store.tree_files(id)? {
        let file = file?;
        match now.get(file.path.as_str()) {
            None => bad.push(format!("{}: missing", escape(&file.path))),
            Some(cid) if *cid != file.cid => {
                bad.push(format!("{}: its bytes have changed", escape(&file.path)));
            }
            Some(_) => {}
        }
    }
    Ok(bad)
}

fn answer(
    library: &Library,
    root: Cid,
    files: &[Imported],
    mut bad: Vec<String>,
    card: Option<&VerifiedCard>,
) -> Result<Verified, Failure> {
    bad.sort_unstable();
    bad.dedup();
    Ok(Verified {
        ok: bad.is_empty(),
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.size).sum(),
        root: root.to_string(),
        provenance: sign::provenance(library, card, false)?,
        signatures: signatures::against(library, &root, files)?,
        bad,
    })
}
