//! What files carry, told by reading as little of them as possible: `card::content` over the disk.
//!
//! The judge asks for ranges; here they are read, of whole files and of those that are still arriving. What cannot be
//! read counts as code: nobody has seen that it is harmless. Of all that is found a person is told a handful of lines.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _, path::PathBuf};

use super::hash;
use crate::{
    card::content::{Examination, Finding, Pieces, Verdict, examine},
    limits,
    rpc::Failure,
};

/// A file of a repo: its path there, and where its bytes are.
#[derive(Debug, Clone)]
pub(super) struct Lies {
    /// Path in the repo.
    pub path: String,
    /// The file on the disk.
    pub on_disk: PathBuf,
}

/// The verdict on a file whose name alone tells it.
pub(super) fn by_name(path: &str) -> Option<Finding> {
    match examine(path, u64::MAX, &Pieces::default()) {
        Examination::Done(finding) => Some(finding),
        Examination::Needs(_) => None,
    }
}

/// Judges a file of which the ranges that are `here` can be read.
///
/// # Errors
/// As `read`.
pub(super) fn judge<B: AsRef<[u8]>, E>(
    path: &str,
    size: u64,
    here: impl Fn(&Range<u64>) -> bool,
    read: impl Fn(Range<u64>) -> Result<B, E>,
) -> Result<Examination, E> {
    let mut pieces = Pieces::default();
    loop {
        match examine(path, size, &pieces) {
            Examination::Needs(range) if here(&range) => {
                pieces.insert(range.start, read(range)?.as_ref());
            }
            examination => return Ok(examination),
        }
    }
}

/// Judges files that lie on the disk, several at once.
///
/// # Errors
/// Never of a file: what cannot be read has its verdict too.
pub(super) fn on_disk(files: &[Lies]) -> Result<Vec<Finding>, Failure> {
    hash::for_each(files, |file| {
        Ok(whole(file).unwrap_or_else(|why| Finding {
            path: file.path.clone(),
            verdict: Verdict::Code {
                what: "unreadable file",
                why: format!("it cannot be read: {why}"),
            },
            facts: None,
        }))
    })
}

fn whole(file: &Lies) -> io::Result<Finding> {
    if let Some(finding) = by_name(&file.path) {
        return Ok(finding);
    }
    let on_disk = File::open(&file.on_disk)?;
    let size = on_disk.metadata()?.len();
    let read = |range: Range<u64>| {
        // The judge asks for no more than `limits::CONTENT_READ_MAX`.
        let mut bytes = vec![0; (range.end - range.start) as usize];
        on_disk.read_exact_at(&mut bytes, range.start).map(|()| bytes)
    };
    match judge(&file.path, size, |_| true, read)? {
        Examination::Done(finding) => Ok(finding),
        Examination::Needs(range) => {
            Err(io::Error::other(format!("{range:?} was asked for, of {size} bytes")))
        }
    }
}

/// The first of these lines, and how many more there are.
pub(super) fn few(lines: &[String]) -> Vec<String> {
    let said = lines.iter().take(limits::CONTENT_WARNINGS);
    let mut said: Vec<String> = said.map(|line| format!("unsafe content: {line}")).collect();
    if let Some(more @ 1..) = lines.len().checked_sub(limits::CONTENT_WARNINGS) {
        said.push(format!("unsafe content: {more} more such files"));
    }
    said
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_judged_by_name_by_content_and_as_code_if_they_cannot_be_read() {
        let dir = tempfile::tempdir().expect("temp folder");
        fs::write(dir.path().join("notes"), "nothing but words\n").expect("write");
        fs::write(dir.path().join("weights"), b"\x80\x02}q\x00.").expect("write");
        let lies = |name: &str| Lies { path: name.to_owned(), on_disk: dir.path().join(name) };
        let names = ["not-there.pkl", "notes", "weights", "not-there.json"];
        let found = on_disk(&names.map(lies)).expect("judged");
        let plain: Vec<bool> = found.iter().map(|one| one.verdict == Verdict::Plain).collect();
        assert_eq!(plain, [false, true, false, false]);
        let Verdict::Code { why, .. } = &found[3].verdict else { panic!("{found:?}") };
        assert!(why.contains("cannot be read"), "{why}");
    }

    #[test]
    fn what_is_not_here_is_asked_for() {
        let read =
            |range: Range<u64>| Ok::<_, io::Error>(vec![b'a'; (range.end - range.start) as usize]);
        let size = 3 * limits::CONTENT_HEAD;
        let needs = judge("a.txt", size, |_| false, read).expect("judged");
        assert_eq!(needs, Examination::Needs(0..limits::CONTENT_HEAD));
        let done =
            judge("a.txt", size, |range| range.end <= limits::CONTENT_HEAD, read).expect("judged");
        assert!(matches!(done, Examination::Done(_)), "{done:?}");
    }

    #[test]
    fn a_person_is_told_a_handful_and_a_count() {
        let lines: Vec<String> = (0..limits::CONTENT_WARNINGS + 3).map(|n| n.to_string()).collect();
        let said = few(&lines);
        assert_eq!(said.len(), limits::CONTENT_WARNINGS + 1);
        assert!(said.last().expect("some").contains("3 more"));
        assert_eq!(few(&lines[..2]).len(), 2);
    }
}
