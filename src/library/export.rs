//! `card export`: what others' tools check a card with, as files in a folder that the user named.
//!
//! What is written, and that all of it holds, is `card::export`'s. Nothing that lies there already is replaced.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use bytes::Bytes;

use super::{Library, claims, files, keep::name_of, refs, sign};
use crate::{
    card::{Verified, export},
    rpc::{Code, ExportedCard, Failure},
};

/// Writes the card of a version, its publisher's key and `VERIFY.md` into a folder, which is made if it is not there;
/// its list of files and its companion too, if it has them, and what endorsers that the user knows say of it.
///
/// # Errors
/// Not found (3) for a version that is not here; usage (2) if it has no card; failure (1) if one of the files is there
/// with other bytes, before anything is written; refused (4) if what is here does not hold; as the disk fails.
pub fn export_card(
    library: &Library,
    reference: &str,
    output: &Path,
) -> Result<ExportedCard, Failure> {
    let held = refs::newest(library, reference)?;
    let card = sign::card_of(library, &held.tree)?.ok_or_else(|| {
        Failure::new(Code::Usage, format!("{} is unsigned: it has no card", name_of(&held.tree)))
    })?;
    let files_list = sign::files_list(library, &card)?.map(Bytes::from);
    let companion = library.store().companion(card.id())?.map(Bytes::from);
    let claims = claims::to_export(library, &card)?;
    let roots = sign::roots(library, &card)?.map(Bytes::from);
    let files = export::files(&card, files_list, companion, roots, &claims).map_err(|why| {
        Failure::new(Code::Refused, format!("the card {} is not exported: {why}", card.id()))
            .hint("fetch its release again: modelswarm get CID")
    })?;
    write(output, &files)?;
    Ok(exported(&card, output, &files))
}

fn exported(card: &Verified, output: &Path, files: &[(&'static str, Bytes)]) -> ExportedCard {
    let statement = card.statement();
    ExportedCard {
        card: card.id().to_string(),
        publisher: statement.publisher.to_string(),
        name: statement.name.to_string(),
        version: statement.version.to_string(),
        path: output.to_owned(),
        files: files.iter().map(|(name, _)| (*name).to_owned()).collect(),
    }
}

/// Writes all files, or none if one of them is another one there.
fn write(output: &Path, files: &[(&'static str, Bytes)]) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for (name, bytes) in files {
        let path = output.join(name);
        match fs::symlink_metadata(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => missing.push((path, bytes)),
            Err(why) => return Err(failed(&path, &why)),
            Ok(metadata) if metadata.is_file() && metadata.len() == bytes.len() as u64 => {
                if fs::read(&path).map_err(|why| failed(&path, &why))? != **bytes {
                    return Err(taken(&path));
                }
            }
            Ok(_) => return Err(taken(&path)),
        }
    }
    fs::create_dir_all(output).map_err(|why| failed(output, &why))?;
    for (path, bytes) in missing {
        // Never through a link, nor over a file that appeared meanwhile.
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        let written = made.and_then(|mut file| {
            let written = file.write_all(bytes).and_then(|()| file.sync_all());
            // Half a file would stand in the way of the next attempt.
            if written.is_err() {
                fs::remove_file(&path)?;
            }
            written
        });
        written.map_err(|why| failed(&path, &why))?;
    }
    Ok(())
}

fn taken(path: &Path) -> Failure {
    Failure::new(Code::Failure, format!("{} is already there, and another one", path.display()))
        .hint("-o DIR of another folder, or move it away")
}

fn failed(path: &Path, why: &io::Error) -> Failure {
    Failure::new(files::code(why), format!("cannot write {}: {why}", path.display()))
}
