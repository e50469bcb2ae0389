//! The names in a zip, by its directory at the end.
//!
//! APPNOTE 6.3.10, ZIP64 included. Readers differ in what they take for the directory when a file contradicts itself
//! (two ends, bytes before the first entry, counts that differ); such a zip is not listed but flawed. Not checked:
//! entries that stand in the file and not in its directory, which only readers of streams would see.

use crate::limits;

use super::pieces::{Stop, View, flaw, le};

const END: &[u8; 4] = b"PK\x05\x06";
/// Bytes of the end record, and of the longest comment behind it.
const END_LEN: u64 = 22;
const COMMENT_MAX: u64 = 65_535;
/// Bytes of the ZIP64 locator and of the ZIP64 end record in its only version.
const LOCATOR_LEN: u64 = 20;
const END64_LEN: u64 = 56;
const ENTRY_LEN: usize = 46;
const LOCAL_LEN: u64 = 30;
/// Bytes of extra fields that most writers stay below.
const EXTRA_USUAL: u64 = 64;

/// A file in a zip, as the directory says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// As some reader may see it.
    pub(super) name: String,
    /// As its own header must have it, too.
    listed: Vec<u8>,
    /// 0 stored, 8 deflated.
    pub(super) method: u64,
    /// Bytes as they lie in the zip.
    pub(super) packed: u64,
    /// Where its own header lies.
    offset: u64,
}

/// Calls `member` with each file; stops at the first that gives something.
pub(super) fn members<T>(
    view: &View<'_>,
    mut member: impl FnMut(Member) -> Option<T>,
) -> Result<Option<T>, Stop> {
    let Directory { start, len, entries } = directory(view)?;
    let bytes = view.range(start, len)?;
    let (mut at, mut count, mut first) = (0, 0, u64::MAX);
    while at < bytes.len() {
        let (entry, names, next) = entry(bytes, at)?;
        if entry.offset >= start || entry.packed > start - entry.offset {
            return flaw("has a zip entry that lies outside its files");
        }
        first = first.min(entry.offset);
        count += 1;
        at = next;
        for name in names {
            if let Some(found) = member(Member { name, ..entry.clone() }) {
                return Ok(Some(found));
            }
        }
    }
    if count != entries {
        return flaw(format!("has {count} zip entries and says {entries}"));
    }
    if count > 0 && first != 0 {
        return flaw("has something before its first zip entry");
    }
    Ok(None)
}

struct Directory {
    start: u64,
    len: u64,
    entries: u64,
}

fn directory(view: &View<'_>) -> Result<Directory, Stop> {
    let tail_len = view.size().min(END_LEN + COMMENT_MAX + LOCATOR_LEN + END64_LEN);
    let tail_at = view.size() - tail_len;
    let tail = view.range(tail_at, tail_len)?;
    let mut ends = tail.windows(END.len()).enumerate().filter(|(_, window)| window == END);
    let (Some((at, _)), None) = (ends.next(), ends.next()) else {
        return flaw("has no end of a zip directory, or several");
    };
    let end = &tail[at..];
    if (end.len() as u64) < END_LEN || le(end, 20, 2) != end.len() as u64 - END_LEN {
        return flaw("has a zip comment that does not reach its end");
    }
    let end_at = tail_at + at as u64;
    let small = Directory { entries: le(end, 10, 2), len: le(end, 12, 4), start: le(end, 16, 4) };
    if le(end, 4, 2) != 0 && le(end, 4, 2) != 0xffff || le(end, 8, 2) != small.entries {
        return flaw("is one part of several");
    }
    let is_64 =
        at >= LOCATOR_LEN as usize && tail[at - LOCATOR_LEN as usize..].starts_with(b"PK\x06\x07");
    let (found, found_end) = if is_64 {
        (directory_64(view, end_at, &small)?, end_at - LOCATOR_LEN - END64_LEN)
    } else {
        (small, end_at)
    };
    if found.start.checked_add(found.len) != Some(found_end) {
        return flaw("has something before or behind its zip directory");
    }
    if found.len > limits::ZIP_DIRECTORY_MAX || found.entries > limits::ZIP_ENTRIES_MAX {
        return flaw("has more zip entries than are listed");
    }
    Ok(found)
}

fn directory_64(view: &View<'_>, end_at: u64, small: &Directory) -> Result<Directory, Stop> {
    let Some(at) = end_at.checked_sub(LOCATOR_LEN + END64_LEN) else {
        return flaw("has no room for its ZIP64 end record");
    };
    let both = view.range(at, END64_LEN + LOCATOR_LEN)?;
    let (record, locator) = both.split_at(END64_LEN as usize);
    let plain = record.starts_with(b"PK\x06\x06") && le(record, 4, 8) == END64_LEN - 12;
    if !plain || le(locator, 8, 8) != at || le(record, 24, 8) != le(record, 32, 8) {
        return flaw("has a ZIP64 end record that contradicts itself");
    }
    let found =
        Directory { entries: le(record, 32, 8), len: le(record, 40, 8), start: le(record, 48, 8) };
    let agree = |small: u64, found: u64, none: u64| small == found || small == none;
    if !agree(small.entries, found.entries, 0xffff)
        || !agree(small.len, found.len, 0xffff_ffff)
        || !agree(small.start, found.start, 0xffff_ffff)
    {
        return flaw("has two zip directories");
    }
    Ok(found)
}

/// The entry at `at`, the names that readers may see, and where the next begins.
fn entry(bytes: &[u8], at: usize) -> Result<(Member, Vec<String>, usize), Stop> {
    let entry = &bytes[at..];
    if entry.len() < ENTRY_LEN || !entry.starts_with(b"PK\x01\x02") {
        return flaw("has a broken zip directory");
    }
    let len = |field: usize| le(entry, field, 2) as usize;
    let (name_len, extra_len, comment_len) = (len(28), len(30), len(32));
    let next = ENTRY_LEN + name_len + extra_len + comment_len;
    if entry.len() < next {
        return flaw("has a broken zip directory");
    }
    if le(entry, 8, 2) & 0x2001 != 0 {
        return flaw("is encrypted");
    }
    let name = &entry[ENTRY_LEN..ENTRY_LEN + name_len];
    let mut names = vec![String::from_utf8_lossy(name).into_owned()];
    let (mut packed, unpacked, mut offset) = (le(entry, 20, 4), le(entry, 24, 4), le(entry, 42, 4));
    let mut extra = &entry[ENTRY_LEN + name_len..][..extra_len];
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let Some((mut field, rest)) = rest.split_at_checked(le(head, 2, 2) as usize) else {
            return flaw("has a broken zip directory");
        };
        match le(head, 0, 2) {
            // ZIP64: only the numbers that did not fit, in this order.
            1 => {
                let mut wide = |number: u64| -> Result<u64, Stop> {
                    if number != 0xffff_ffff {
                        return Ok(number);
                    }
                    let Some((first, rest)) = field.split_at_checked(8) else {
                        return flaw("has a ZIP64 entry without its sizes");
                    };
                    field = rest;
                    Ok(le(first, 0, 8))
                };
                wide(unpacked)?;
                packed = wide(packed)?;
                offset = wide(offset)?;
            }
            // A Unicode name, which some readers prefer.
            0x7075 if field.len() > 5 => {
                names.push(String::from_utf8_lossy(&field[5..]).into_owned())
            }
            _ => {}
        }
        extra = rest;
    }
    if names.iter().any(|name| name.contains('\0')) {
        return flaw("has a zip entry whose name is cut short");
    }
    let method = le(entry, 10, 2);
    let listed = name.to_vec();
    Ok((Member { name: String::new(), listed, method, packed, offset }, names, at + next))
}

/// At most `len` of the first bytes of a member, as they lie in the zip.
pub(super) fn beginning<'a>(view: &View<'a>, member: &Member, len: u64) -> Result<&'a [u8], Stop> {
    // In one read: what stands between header and content is short.
    let more = member.listed.len() as u64 + EXTRA_USUAL + len;
    let local = view.ahead(member.offset, LOCAL_LEN, more)?;
    if !local.starts_with(b"PK\x03\x04") || le(local, 8, 2) != member.method {
        return flaw("has a zip entry that differs from its directory");
    }
    let (name_len, extra_len) = (le(local, 26, 2), le(local, 28, 2));
    let name = view.ahead(member.offset + LOCAL_LEN, name_len, len)?;
    if name != member.listed {
        return flaw("has a zip entry that differs from its directory");
    }
    view.range(member.offset + LOCAL_LEN + name_len + extra_len, len.min(member.packed))
}

#[cfg(test)]
mod tests;
