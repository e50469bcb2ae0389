//! `seed --copy`: the files' bytes into the home's library, as plain files, each checked against what was imported.

use std::{fs::File, os::unix::fs::FileExt as _, path::Path};

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
    store::{FileId, Leaf, Owner, Store, Target, TreeId},
};

/// Copies all files below `base`; their records, in the order of `files`.
pub(super) fn all(
    store: &Store,
    tree: TreeId,
    base: &Path,
    scan: &Scan,
    files: &[Imported],
    meter: &Meter,
) -> Result<Vec<FileId>, Failure> {
    for folder in &scan.empty {
        store.make_folder(base, folder)?;
    }
    let pairs: Vec<(&Found, &Imported)> = scan.files.iter().zip(files).collect();
    hash::for_each(&pairs, |(found, imported)| one(store, tree, base, found, imported, meter))
}

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
    let file = File::open(&found.source).map_err(|why| unreadable(&found.source, &why))?;
    let (arriving, _) = store.begin_file(tree, target)?;
    let mut builder = FileBuilder::new();
    let mut buffer = vec![0; limits::CHUNK];
    let mut offset = 0;
    while offset < imported.size {
        let len = limits::CHUNK.min((imported.size - offset) as usize);
        let chunk = &mut buffer[..len];
        file.read_exact_at(chunk, offset).map_err(|why| unreadable(&found.source, &why))?;
        let digest = sha256(chunk);
        builder.push(cid_v1(RAW, digest), len as u64, &mut |_| {});
        arriving.write(offset, chunk, Leaf::raw(block::multihash(digest)))?;
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
    let id = arriving.id();
    arriving.finish(true)?;
    Ok(id)
}
