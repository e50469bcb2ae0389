//! What lies in archives and compressed files: by names, and by the beginnings that can be had.
//!
//! Every file in a tar is seen, since one goes from header to header anyway. Of a zip, whose directory lists its files, those
//! are seen that lie in what was read, and those whose names do not say that they are data: of hundreds of thousands of
//! images no more than the first and the last blocks are fetched before the bulk.

use super::inflate::{Wrapper, inflate};
use super::judge::{code, content, flawed};
use super::magic::{Magic, magic};
use super::name::{Class, class, is_data};
use super::pieces::{Stop, View};
use super::{Pieces, Verdict, fact_text, tar, zip};

/// Bytes of a zip's file that are read to see what it begins with.
const MEMBER_HEAD: u64 = 4096;

pub(super) fn unlisted(why: String) -> Verdict {
    code("archive", why)
}

/// What gzip or zlib holds.
pub(super) fn packed_inside(path: &str, head: &[u8], wrapper: Wrapper) -> Result<Verdict, Stop> {
    let inner = match class(path) {
        Class::Packed(inner) => inner,
        _ => path,
    };
    if let Class::Code { what, why } = class(inner) {
        return Ok(code(what, why));
    }
    let Some(inflated) = inflate(head, wrapper) else {
        return Ok(unlisted("it says it is compressed and cannot be unpacked".into()));
    };
    match beginning(inner, &View::of_beginning(&inflated.pieces, inflated.size))? {
        Verdict::Code { what, why } => Ok(code(what, format!("compressed: {why}"))),
        other => Ok(other),
    }
}

/// What lies in another file, by its name and its beginning.
fn beginning(name: &str, view: &View<'_>) -> Result<Verdict, Stop> {
    let inside = magic(view.head()?);
    let nested = matches!(class(name), Class::Zip | Class::Tar | Class::Packed(_))
        || matches!(inside, Some(Magic::Zip | Magic::Tar | Magic::Gzip | Magic::Packed(_)));
    if nested {
        return Ok(unlisted(
            "it is a compressed archive, which cannot be listed before it is fetched".into(),
        ));
    }
    content(name, view)
}

/// What cannot be unpacked here, by the name without its suffix.
pub(super) fn packed(path: &str, how: &str) -> Verdict {
    match class(path) {
        Class::Chunk => Verdict::Plain,
        Class::Packed(inner) => match class(inner) {
            Class::Code { what, why } => code(what, why),
            Class::Zip | Class::Tar | Class::Packed(_) => unlisted(
                "it is a compressed archive, which cannot be listed before it is fetched".into(),
            ),
            _ => Verdict::Plain,
        },
        _ => unlisted(format!("it is compressed ({how}), and its name does not say so")),
    }
}

/// What a name inside an archive says.
fn member(name: &str) -> Option<Verdict> {
    let holds = |what: &str| code("archive", format!("it holds {}, {what}", fact_text(name)));
    match class(name) {
        Class::Code { what, .. } => Some(holds(what)),
        Class::Zip | Class::Tar | Class::Packed(_) => Some(holds("an archive or compressed data")),
        _ if name.to_ascii_lowercase().ends_with(".bin") => {
            Some(holds("which is a pickle in many models"))
        }
        _ => None,
    }
}

/// What the beginning of a file inside an archive says; `size`: of all of it.
fn begun(name: &str, bytes: &[u8], size: u64) -> Result<Option<Verdict>, Stop> {
    let mut pieces = Pieces::default();
    pieces.insert(0, bytes);
    held(name, &View::of_beginning(&pieces, size))
}

fn held(name: &str, view: &View<'_>) -> Result<Option<Verdict>, Stop> {
    let holds = |why: &str| format!("it holds {}: {why}", fact_text(name));
    Ok(match flawed(beginning(name, view))? {
        Ok(Verdict::Code { what, why }) => Some(code(what, holds(&why))),
        // Templates in archives are nobody's chat template.
        Ok(_) => None,
        Err(why) => Some(unlisted(holds(&format!("it {why}")))),
    })
}

pub(super) fn tarred(view: &View<'_>) -> Result<Verdict, Stop> {
    // torch's first format: a tar with these names.
    let old = ["sys_info", "pickle", "storages", "tensors"];
    let found = tar::members(view, |name, bytes, size| {
        if old.contains(&name.trim_start_matches("./")) {
            return Ok(Some(code(
                "pickle",
                "it is a tar of torch's first format, which is pickled",
            )));
        }
        match member(name) {
            None => begun(name, bytes, size),
            found => Ok(found),
        }
    })?;
    Ok(found.unwrap_or(Verdict::Plain))
}

pub(super) fn zipped(view: &View<'_>) -> Result<Verdict, Stop> {
    let mut unread = Vec::new();
    let found = zip::members(view, |entry| {
        let found = member(&entry.name);
        if found.is_none() && !entry.name.ends_with('/') {
            unread.push(entry);
        }
        found
    })?;
    if let Some(found) = found {
        return Ok(found);
    }
    // First what must be read: each range that is asked for has all judged from the start.
    let mut seen = Vec::new();
    for entry in &unread {
        match zip::beginning(view, entry, MEMBER_HEAD) {
            Ok(bytes) => seen.push((entry, bytes)),
            // Nothing reads it as anything else, and a block for each would be a good part of the whole.
            Err(Stop::Need(_)) if is_data(&entry.name) => {}
            Err(stop) => return Err(stop),
        }
    }
    for (entry, bytes) in seen {
        if let Some(found) = unpacked(entry, bytes)? {
            return Ok(found);
        }
    }
    Ok(Verdict::Plain)
}

/// What a zip's file says, of which so many bytes lie there.
fn unpacked(entry: &zip::Member, bytes: &[u8]) -> Result<Option<Verdict>, Stop> {
    if entry.method == 0 {
        return begun(&entry.name, bytes, entry.packed);
    }
    let inflated = (entry.method == 8).then(|| inflate(bytes, Wrapper::Raw)).flatten();
    match inflated {
        Some(inflated) => held(&entry.name, &View::of_beginning(&inflated.pieces, inflated.size)),
        None if is_data(&entry.name) => Ok(None),
        None => Ok(Some(unlisted(format!(
            "it holds {}, which cannot be unpacked",
            fact_text(&entry.name)
        )))),
    }
}
