//! `seed --copy`: the files' bytes into the home's library, as plain files, each checked against what was imported.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::{
    dag::{
        FileBuilder,
        block::{self, RAW, cid_v1, sha256},
    },
    library::{
        hash,
        import::Imported,
        scan::{Found, Scan, unreadable},
        watch::Meter,
    },
    limits,
    rpc::{Code, Failure},
    store::{self, Arriving, FileId, Leaf, Owner, Store, Target, TreeId},
};

/// Copies all files below `base`; their records, in the order of `files`. A copy that fails leaves nothing behind.
pub(super) fn all(
    store: &Store,
    tree: TreeId,
    base: &Path,
    scan: &Scan,
    files: &[Imported],
    meter: &Meter,
) -> Result<Vec<FileId>, Failure> {
    let needed = scan.bytes() + limits::SPACE_RESERVE;
    let free = store::free_space(base)?;
    if needed > free {
        return Err(Failure::new(
            Code::NoSpace,
            format!("{} has {free} bytes free; the copy needs {needed}", base.display()),
        )
        .hint("seed in place, without --copy, or free some space"));
    }
    for folder in &scan.empty {
        store.make_folder(base, folder)?;
    }
    let made = Mutex::new(Vec::new());
    let pairs: Vec<(&Found, &Imported)> = scan.files.iter().zip(files).collect();
    let copied = hash::for_each(&pairs, |(found, imported)| {
        let place = base.join(&found.path);
        let new = !place.exists();
        let id = one(store, tree, base, found, imported, meter)?;
        if new {
            made.lock().unwrap_or_else(PoisonError::into_inner).push(place);
        }
        Ok(id)
    });
    if copied.is_err() {
        for place in made.into_inner().unwrap_or_else(PoisonError::into_inner) {
            if let Err(why) = fs::remove_file(&place) {
                tracing::warn!(path = %place.display(), %why, "a copy that is not needed stays behind");
            }
        }
    }
    copied
}

/// Copies one file; a failed one leaves no partial.
fn one(
    store: &Store,
    tree: TreeId,
    base: &Path,
    found: &Found,
    imported: &Imported,
    meter: &Meter,
) -> Result<FileId, Failure> {
    let target = Target {
        base: base.to_owned(),
        path: found.path.clone(),
        size: imported.size,
        owner: Owner::Library,
    };
    let (arriving, _) = store.begin_file(tree, target)?;
    match write(&arriving, found, imported, meter) {
        Ok(()) => {
            let id = arriving.id();
            arriving.finish(true)?;
            Ok(id)
        }
        Err(failure) => {
            arriving.discard()?;
            Err(failure)
        }
    }
}

fn write(
    arriving: &Arriving,
    found: &Found,
    imported: &Imported,
    meter: &Meter,
) -> Result<(), Failure> {
    let file = File::open(&found.source).map_err(|why| unreadable(&found.source, &why))?;
    // Where the copy shares the source's bytes they are read once, too: in the copy.
    let shared = arriving.share_all(&file)?;
    let mut builder = FileBuilder::new();
    let mut buffer = vec![0; limits::CHUNK];
    let mut offset = 0;
    while offset < imported.size {
        let len = limits::CHUNK.min((imported.size - offset) as usize);
        let read;
        let chunk = if shared {
            read = arriving.read_at(offset, len)?;
            &read[..]
        } else {
            let chunk = &mut buffer[..len];
            file.read_exact_at(chunk, offset).map_err(|why| unreadable(&found.source, &why))?;
            chunk
        };
        let digest = sha256(chunk);
        builder.push(cid_v1(RAW, digest), len as u64, &mut |_| {});
        let leaf = Leaf::raw(block::multihash(digest));
        if shared {
            arriving.found(offset, chunk, leaf)?;
        } else {
            arriving.write(offset, chunk, leaf)?;
        }
        offset += len as u64;
        meter.add(0)?;
    }
    if builder.finish(&mut |_| {}).cid != imported.cid {
        return Err(Failure::new(
            Code::Failure,
            format!("{} changed while it was copied", found.source.display()),
        )
        .hint("wait until it is written, then try again"));
    }
    Ok(())
}
