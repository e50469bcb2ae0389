//! The names in a tar and what its members begin with, by going from header to header.
//!
//! POSIX ustar, GNU long names, pax headers and the headers of version 7, told by their checksum. Only as many hops as
//! [`crate::limits::CONTENT_READS_MAX`] allows: a tar of more files than its first block and those hops show cannot be
//! listed before it is fetched.

use super::pieces::{Stop, View, flaw, le};

/// Bytes of a header and of the units of content.
const BLOCK: u64 = 512;
/// Bytes of a long name or pax header that are looked at.
const EXTENSION_MAX: u64 = 64 * 1024;
/// Bytes of a member that are looked at: they come with its header.
const MEMBER_HEAD: u64 = 4096;

/// Whether these bytes are a tar header: their own checksum says so.
pub(super) fn is_header(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(..BLOCK as usize) else { return false };
    let bytes = header.iter().enumerate();
    let bytes = bytes.map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    let sum: i64 = bytes.clone().map(i64::from).sum();
    // Old tars added signed bytes, and readers take both.
    let signed: i64 = bytes.map(|byte| i64::from(byte as i8)).sum();
    let said = octal(&header[148..156]).and_then(|said| i64::try_from(said).ok());
    said.is_some_and(|said| said != 0 && (said == sum || said == signed))
}

/// Calls `member` with each file's name, its first bytes and how many it has; stops at the first that gives something.
pub(super) fn members<T>(
    view: &View<'_>,
    mut member: impl FnMut(&str, &[u8], u64) -> Result<Option<T>, Stop>,
) -> Result<Option<T>, Stop> {
    let mut at = 0;
    let mut long_name = None;
    while at < view.size() {
        let header = view.ahead(at, BLOCK, MEMBER_HEAD)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if !is_header(header) {
            return flaw("has a broken tar header, so its names cannot be listed");
        }
        let Some(size) = size(&header[124..136]) else {
            return flaw("has a tar header without a size, so its names cannot be listed");
        };
        let content = at + BLOCK;
        match header[156] {
            b'L' => long_name = Some(text(view.range(content, size.min(EXTENSION_MAX))?)),
            b'x' | b'X' | b'g' => {
                let records = view.range(content, size.min(EXTENSION_MAX))?;
                // They move the next header for some readers only.
                if [&b" size="[..], b"GNU.sparse"].iter().any(|key| has(records, key)) {
                    return flaw("has tar members whose sizes are said twice");
                }
                long_name = path_record(records).or(long_name);
            }
            b'K' => {}
            b'S' | b'M' => return flaw("has sparse or split tar members, which cannot be listed"),
            // Only some readers pass over the content of what has none.
            b'1'..=b'6' if size > 0 => {
                return flaw("has tar entries with content where none may be");
            }
            b'5' => long_name = None,
            _ => {
                let name = long_name.take().unwrap_or_else(|| short_name(header));
                let begins = view.range(content, size.min(MEMBER_HEAD))?;
                if let Some(found) = member(&name, begins, size)? {
                    return Ok(Some(found));
                }
            }
        }
        let next = size.checked_next_multiple_of(BLOCK).and_then(|size| content.checked_add(size));
        let Some(next) = next.filter(|next| *next <= view.size().saturating_add(BLOCK)) else {
            return flaw("has a tar member that ends beyond the file");
        };
        at = next;
    }
    Ok(None)
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn short_name(header: &[u8]) -> String {
    let name = text(&header[..100]);
    // ustar has the folder apart; GNU has times there.
    match &header[257..265] == b"ustar\x0000" && header[345] != 0 {
        true => format!("{}/{name}", text(&header[345..500])),
        false => name,
    }
}

fn has(bytes: &[u8], key: &[u8]) -> bool {
    bytes.windows(key.len()).any(|window| window == key)
}

/// `path` of a pax header.
fn path_record(records: &[u8]) -> Option<String> {
    let key = b" path=";
    let at = records.windows(key.len()).position(|window| window == key)?;
    records[at + key.len()..].split(|byte| *byte == b'\n').next().map(text)
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(|c| c == ' ' || c == '\0');
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// Octal, or GNU's base 256.
fn size(field: &[u8]) -> Option<u64> {
    if field[0] == 0x80 {
        let mut number = field[4..12].to_vec();
        number.reverse();
        return (field[1..4] == [0; 3]).then(|| le(&number, 0, 8));
    }
    octal(field)
}

#[cfg(test)]
pub(super) mod tests;
