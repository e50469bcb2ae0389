//! The parts of a file that were read, and what else must be read to judge it.
//!
//! A judge is a function over a [`View`]. It asks for bytes as if all were there; where they are not, it stops with
//! the range it needs and is run again from its start once that range was read. So judges keep no state, and do no I/O.
//!
//! Invariants: a judge gets no more than [`limits::CONTENT_READ_MAX`] bytes in [`limits::CONTENT_READS_MAX`] ranges,
//! whatever the file's own numbers say; nothing outside the file is ever asked for.

use std::ops::Range;

use crate::limits;

/// What was read of one file.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    pieces: Vec<(u64, Vec<u8>)>,
    reads: usize,
}

impl Pieces {
    /// Adds the bytes at `offset`. They must be exactly the range that was asked for; what is beyond the bounds on a
    /// file is dropped.
    pub fn insert(&mut self, offset: u64, bytes: &[u8]) {
        self.reads += 1;
        if self.reads > limits::CONTENT_READS_MAX
            || self.held().saturating_add(bytes.len() as u64) > limits::CONTENT_READ_MAX
        {
            return;
        }
        match self
            .pieces
            .iter_mut()
            .find(|(at, held)| at.checked_add(held.len() as u64) == Some(offset))
        {
            Some((_, held)) => held.extend_from_slice(bytes),
            None => self.pieces.push((offset, bytes.to_vec())),
        }
    }

    /// Bytes held.
    pub(super) fn held(&self) -> u64 {
        self.pieces.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }
}

/// Why a judge stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// It must see these bytes first.
    Need(Range<u64>),
    /// The content contradicts itself, or more would have to be read than is allowed. Ends a sentence: "it …".
    Flaw(String),
}

/// Stops with a flaw.
pub(super) fn flaw<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Flaw(why.into()))
}

/// A file, or the beginning of what is packed in one.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pieces: &'a Pieces,
    size: u64,
    /// Whether more can be read than is held.
    whole: bool,
}

impl<'a> View<'a> {
    /// A file of so many bytes.
    pub(super) fn of_file(pieces: &'a Pieces, size: u64) -> Self {
        Self { pieces, size, whole: true }
    }

    /// The beginning of something of which no more can be read, `size` bytes long.
    pub(super) fn of_beginning(pieces: &'a Pieces, size: u64) -> Self {
        Self { pieces, size, whole: false }
    }

    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// As many of the first [`limits::CONTENT_HEAD`] bytes as are to be had.
    pub(super) fn head(&self) -> Result<&'a [u8], Stop> {
        match self.range(0, self.size.min(limits::CONTENT_HEAD)) {
            Err(_) if !self.whole => Ok(self.pieces.pieces.first().map_or(&[], |(_, bytes)| bytes)),
            other => other,
        }
    }

    /// Exactly `len` bytes at `offset`.
    pub(super) fn range(&self, offset: u64, len: u64) -> Result<&'a [u8], Stop> {
        self.ahead(offset, len, 0)
    }

    /// As [`Self::range`]; if it must be read, `more` bytes behind it are read along.
    pub(super) fn ahead(&self, offset: u64, len: u64, more: u64) -> Result<&'a [u8], Stop> {
        let end = offset.checked_add(len).filter(|end| *end <= self.size);
        let Some(end) = end else { return flaw("ends before what it announces") };
        if len == 0 {
            return Ok(&[]);
        }
        let mut from = offset;
        for (at, bytes) in &self.pieces.pieces {
            let held = *at..*at + bytes.len() as u64;
            if held.start <= offset && end <= held.end {
                // Both ends lie inside a buffer, so they fit in memory.
                return Ok(&bytes[(offset - at) as usize..(end - at) as usize]);
            }
            if held.contains(&from) {
                from = held.end;
            }
        }
        let to = end.saturating_add(more).min(self.size);
        let held = self.pieces.held().saturating_add(to - from);
        if !self.whole {
            return flaw("cannot be seen far enough inside what holds it");
        }
        if held > limits::CONTENT_READ_MAX || self.pieces.reads >= limits::CONTENT_READS_MAX {
            return flaw("would have to be read too far to be judged");
        }
        Err(Stop::Need(from..to))
    }

    /// Bytes read so far: to read as much again makes few reads of a long header.
    pub(super) fn held(&self) -> u64 {
        self.pieces.held()
    }

    /// The bytes held from `offset` on, perhaps none.
    pub(super) fn held_from(&self, offset: u64) -> &'a [u8] {
        let found = self
            .pieces
            .pieces
            .iter()
            .find(|(at, bytes)| (*at..*at + bytes.len() as u64).contains(&offset));
        found.map_or(&[], |(at, bytes)| &bytes[(offset - at) as usize..])
    }
}

/// A little-endian number at `at`; the caller has checked that it lies inside.
pub(super) fn le(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_asked_for_and_neighbours_grow_together() {
        let mut pieces = Pieces::default();
        assert_eq!(View::of_file(&pieces, 10).range(0, 4), Err(Stop::Need(0..4)));
        pieces.insert(0, b"abcd");
        assert_eq!(View::of_file(&pieces, 10).range(2, 4), Err(Stop::Need(4..6)));
        assert_eq!(View::of_file(&pieces, 10).ahead(2, 4, 99), Err(Stop::Need(4..10)));
        pieces.insert(4, b"ef");
        assert_eq!(View::of_file(&pieces, 10).range(2, 4), Ok(&b"cdef"[..]));
        assert_eq!(View::of_file(&pieces, 10).held_from(5), b"f");
    }

    #[test]
    fn nothing_outside_the_file_or_beyond_the_bounds_is_asked_for() {
        let mut pieces = Pieces::default();
        let max = limits::CONTENT_READ_MAX;
        assert!(matches!(View::of_file(&pieces, 10).range(9, 2), Err(Stop::Flaw(_))));
        assert!(matches!(View::of_file(&pieces, u64::MAX).range(u64::MAX, 2), Err(Stop::Flaw(_))));
        assert!(matches!(View::of_file(&pieces, u64::MAX).range(0, max), Err(Stop::Need(_))));
        assert!(matches!(View::of_file(&pieces, u64::MAX).range(0, max + 1), Err(Stop::Flaw(_))));
        assert!(matches!(View::of_beginning(&pieces, 10).range(0, 1), Err(Stop::Flaw(_))));
        for at in 0..=limits::CONTENT_READS_MAX as u64 {
            pieces.insert(2 * at, b"x");
        }
        assert_eq!(pieces.held(), limits::CONTENT_READS_MAX as u64);
        assert!(matches!(View::of_file(&pieces, 1000).range(999, 1), Err(Stop::Flaw(_))));
    }
}
