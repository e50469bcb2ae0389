//! `import-sig`: signatures that others made over content that is here (OpenSSF Model Signing), kept beside it.
//!
//! They are somebody's word on the same bytes and change nothing of whose a version is: neither `status` nor `trust`.
//! Which key is whose, the user must know; a key is named by its fingerprint. What is taken in is refused or holds for
//! every file: as `model_signing verify` does, nothing may be missing or further. What is said of one afterwards was
//! checked when it is said: its signature always, its files when they are read (`verify`).

use std::{io, path::Path};

use super::{
    Library, Watch, blocking, files,
    import::Imported,
    refs, scan, sign,
    verify::{self, Examined},
    watch::Meter,
};
use crate::{
    card::{
        Manifest,
        oms::{self, Coverage, PublicKey, Signed},
        release::{CARD, MODEL},
    },
    dag::{Cid, name::escape},
    limits,
    rpc::{Code, Failure, ImportSig, ImportedSignature, SignatureLine, Stage, Target},
    store::Foreign,
};

/// Checks a signature with its key and against the files, and keeps it.
///
/// # Errors
/// Refused (4) for one that does not hold, or is over other files; usage (2) for a key that can't be read or none;
/// not found (3); as the disk says.
pub async fn import(
    library: &Library,
    wanted: ImportSig,
    watch: Watch,
) -> Result<ImportedSignature, Failure> {
    let library = library.clone();
    blocking(move || {
        let bundle = small(&wanted.file, limits::OMS_BUNDLE_MAX)?;
        let keys = keys(&library, &wanted)?;
        let refused = |why: &dyn std::fmt::Display| {
            let file = escape(&wanted.file.display().to_string());
            Failure::new(Code::Refused, format!("{file} is refused: {why}"))
        };
        // Before all the files are read.
        let signed = oms::verify(&bundle, &keys).map_err(|why| refused(&why))?;
        let (root, files) = files(&library, &wanted.target, &watch)?;
        let manifest = sign::manifest(&files)?;
        let coverage = covers(&signed, &manifest).map_err(|why| refused(&why))?;
        let fingerprint = signed.key.fingerprint();
        let kept = Foreign { bundle, key: signed.key.to_pem().into_bytes() };
        library.store().save_signature(&root, &fingerprint, &kept)?;
        Ok(ImportedSignature {
            root: root.to_string(),
            key: format!("sha256:{fingerprint}"),
            files: coverage.vouched.len() as u64,
            left_out: coverage.left_out,
        })
    })
    .await
}

/// What others signed over a root's files: their signatures hold, whatever the files are now.
pub(super) fn of_root(library: &Library, root: &Cid) -> Result<Vec<SignatureLine>, Failure> {
    Ok(kept(library, root)?.iter().map(|signed| line(signed, None)).collect())
}

/// The same, compared with the files as they were read.
pub(super) fn against(
    library: &Library,
    root: &Cid,
    files: &[Imported],
) -> Result<Vec<SignatureLine>, Failure> {
    let kept = kept(library, root)?;
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let manifest = sign::manifest(files)?;
    Ok(kept.iter().map(|signed| line(signed, Some(covers(signed, &manifest).is_ok()))).collect())
}

fn line(signed: &Signed, holds: Option<bool>) -> SignatureLine {
    SignatureLine {
        kind: "oms".to_owned(),
        key: format!("sha256:{}", signed.key.fingerprint()),
        files: signed.entries.len() as u64,
        holds,
    }
}

/// The signatures that are kept over a root; one that was changed since is left out.
fn kept(library: &Library, root: &Cid) -> Result<Vec<Signed>, Failure> {
    let mut kept = Vec::new();
    for Foreign { bundle, key } in library.store().signatures(Some(root))? {
        let key = std::str::from_utf8(&key).ok().and_then(|pem| PublicKey::from_pem(pem).ok());
        match key.map(|key| oms::verify(&bundle, &[key])) {
            Some(Ok(signed)) => kept.push(signed),
            _ => tracing::warn!(%root, "a signature that was kept does not hold any more"),
        }
    }
    Ok(kept)
}

/// Whether a signature is about exactly these files, but for those that its owner left out.
fn covers(signed: &Signed, manifest: &Manifest) -> Result<Coverage, String> {
    let coverage = signed.against(manifest).map_err(|why| why.to_string())?;
    match &coverage.unknown[..] {
        [] => Ok(coverage),
        [first, ..] => Err(format!(
            "it does not know {} of the files here, such as \"{}\"",
            coverage.unknown.len(),
            escape(first)
        )),
    }
}

/// The key that was given; else those that the content's card names, and those of signatures that are kept.
fn keys(library: &Library, wanted: &ImportSig) -> Result<Vec<PublicKey>, Failure> {
    if let Some(path) = &wanted.public_key {
        let pem = small(path, limits::PUBLIC_KEY_PEM_MAX)?;
        let key = std::str::from_utf8(&pem).ok().map(PublicKey::from_pem);
        return match key {
            Some(Ok(key)) => Ok(vec![key]),
            Some(Err(why)) => Err(wrong_key(path, &why)),
            None => Err(wrong_key(path, &"it is no text")),
        };
    }
    let mut keys: Vec<PublicKey> = Vec::new();
    if let Target::Reference(reference) = &wanted.target {
        let card = sign::card_of(library, &refs::newest(library, reference)?.tree)?;
        let named = card.iter().flat_map(|card| &card.statement().companion_keys);
        keys.extend(named.filter_map(|key| key.parse::<PublicKey>().ok()));
    }
    for Foreign { key, .. } in library.store().signatures(None)? {
        let key = std::str::from_utf8(&key).ok().and_then(|pem| PublicKey::from_pem(pem).ok());
        keys.extend(key.filter(|key| !keys.contains(key)));
    }
    if keys.is_empty() {
        return Err(Failure::new(
            Code::Usage,
            "whose signature is it? No key is known for it here",
        )
        .hint("--public-key FILE: the signer's public key in PEM"));
    }
    Ok(keys)
}

fn wrong_key(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        Code::Usage,
        format!("--public-key {}: {why}", escape(&path.display().to_string())),
    )
}

/// The files of what the signature is to be over, read where they lie, and their root.
fn files(
    library: &Library,
    target: &Target,
    watch: &Watch,
) -> Result<(Cid, Vec<Imported>), Failure> {
    let reference = match target {
        Target::Path(path) => {
            let is_release = path.join(CARD).is_file() && path.join(MODEL).exists();
            let path = if is_release { path.join(MODEL) } else { path.clone() };
            let read = verify::read_folder(&path, watch)?;
            return Ok((read.root, read.files));
        }
        Target::Reference(reference) => reference,
    };
    let held = refs::newest(library, reference)?;
    let meter = |bytes| Meter::new(watch, Stage::Verifying, "files", bytes);
    let Examined { files, changed, .. } = verify::examine(library, &held, meter)?;
    match changed.first() {
        None => Ok((held.tree.root, files)),
        Some(first) => {
            Err(Failure::new(Code::Refused, format!("{reference} is not here as it came: {first}"))
                .hint("modelswarm get fetches what is missing or changed"))
        }
    }
}

/// A file that is read whole.
fn small(path: &Path, max: usize) -> Result<Vec<u8>, Failure> {
    let bytes = files::read_at_most(path, max).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(Code::NotFound, format!("there is no {}", path.display()))
        }
        _ => scan::unreadable(path, &why),
    })?;
    if bytes.len() > max {
        let path = path.display();
        return Err(Failure::new(Code::Refused, format!("{path} has more than {max} bytes")));
    }
    Ok(bytes)
}
