//! Whether a stream is a Python pickle, by following its opcodes.
//!
//! Conservative in one direction: every stream that CPython's unpickler would let import or call something is found,
//! also one that breaks off afterwards, since it runs while it is read. To spare texts and raw numbers, what CPython
//! would refuse before that point is no pickle: unknown opcodes, an empty stack, a missing mark, a call of what cannot
//! be called. Protocols 0 to 5, `Lib/pickletools.py` of CPython 3.14. What a pickle would call is not judged: lists of
//! bad names leak (provenance section 6).

use crate::limits;

use super::pieces::{Stop, View};

/// Bytes that are read along when a scan follows a long argument.
const AHEAD: u64 = 4096;
/// Valid opcodes after which a stream with a pickle's header counts as one, wherever it ends.
const HEADED_OPS: usize = 64;

/// What a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scan {
    /// No unpickler gets anywhere with it.
    No,
    /// A pickle: what was seen that says so.
    Pickle(String),
    /// What a text may be, too: all lines begin with V as far as was read, or names in a row are added to each other.
    Lines,
}

/// What the unpickler's stack holds, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Mark,
    /// A number, text or collection: cannot be called.
    Data,
    /// Imported.
    Global,
    /// Made by a call, or from the memo.
    Any,
}

/// Why a scan ends.
enum End {
    /// The unpickler would fail here.
    Fails,
    Pickle(String),
    Stop(Stop),
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Follows the stream that begins the file.
pub(super) fn scan(view: &View<'_>) -> Result<Scan, Stop> {
    let mut machine = Machine {
        view,
        at: 0,
        stack: Vec::new(),
        headed: false,
        imports: None,
        live: false,
        words: false,
        lines_only: true,
    };
    for ops in 0..limits::PICKLE_OPS_MAX {
        if machine.at >= view.size() {
            return Ok(machine.failed());
        }
        match machine.step() {
            Ok(()) if machine.headed && ops >= HEADED_OPS => {
                return Ok(Scan::Pickle("it goes on as a valid pickle".into()));
            }
            Ok(()) => {}
            Err(End::Fails) => return Ok(machine.failed()),
            Err(End::Pickle(why)) => return Ok(Scan::Pickle(why)),
            Err(End::Stop(_)) if machine.lines_only && machine.at > 0 => return Ok(Scan::Lines),
            Err(End::Stop(stop)) => return Err(stop),
        }
        if machine.lines_only && machine.at >= limits::CONTENT_HEAD {
            return Ok(Scan::Lines);
        }
    }
    if machine.lines_only {
        return Ok(Scan::Lines);
    }
    Ok(Scan::Pickle("it goes on as a valid pickle".into()))
}

struct Machine<'a> {
    view: &'a View<'a>,
    at: u64,
    stack: Vec<Item>,
    /// Begins with PROTO.
    headed: bool,
    /// What it imports.
    imports: Option<String>,
    /// It has made or imported something; only then can its memo hold what can be called.
    live: bool,
    /// Names were put into names.
    words: bool,
    /// No opcode but UNICODE so far.
    lines_only: bool,
}

impl<'a> Machine<'a> {
    /// What it is if the unpickler fails now.
    fn failed(&self) -> Scan {
        if self.words { Scan::Lines } else { Scan::No }
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], End> {
        if len > self.view.size().saturating_sub(self.at) {
            return Err(End::Fails);
        }
        let bytes = self.view.ahead(self.at, len, AHEAD)?;
        self.at += len;
        Ok(bytes)
    }

    /// An argument with its length before it, in so many bytes. It is skipped, not read.
    fn skip(&mut self, width: usize, signed: bool) -> Result<(), End> {
        let len = super::pieces::le(self.take(width as u64)?, 0, width);
        let negative = signed && width == 4 && len > i32::MAX as u64;
        if negative || len > self.view.size() - self.at {
            return Err(End::Fails);
        }
        self.at += len;
        Ok(())
    }

    /// An argument up to the line's end, without it.
    fn line(&mut self) -> Result<&'a [u8], End> {
        let mut held = self.view.held_from(self.at);
        let is_end = |byte: &u8| *byte == b'\n';
        let last = |held: &[u8], at: u64| at + held.len() as u64 >= self.view.size();
        if !held.iter().any(is_end) && !last(held, self.at) {
            self.view.ahead(self.at, held.len() as u64 + 1, limits::CONTENT_HEAD)?;
            held = self.view.held_from(self.at);
        }
        // At the file's end CPython takes the last byte for the line's end, whatever it is.
        let end = held.iter().position(is_end).or(held.len().checked_sub(1)).ok_or(End::Fails)?;
        self.at += end as u64 + 1;
        Ok(&held[..end])
    }

    /// A number written out.
    fn number(&mut self) -> Result<(), End> {
        let held = self.view.held_from(self.at);
        let digits =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"+-_. \t\r\x0b\x0c".contains(byte);
        // A line of text must not make a far line's end be looked for. C ends a number at a zero, whatever follows.
        if held.iter().take_while(|byte| !matches!(byte, b'\n' | 0)).any(|byte| !digits(byte)) {
            return Err(End::Fails);
        }
        self.line().map(|_| self.stack.push(Item::Data))
    }

    fn pop(&mut self) -> Result<Item, End> {
        self.stack.pop().ok_or(End::Fails)
    }

    /// Takes everything down to the topmost mark.
    fn pop_mark(&mut self) -> Result<Vec<Item>, End> {
        let mark = self.stack.iter().rposition(|item| *item == Item::Mark).ok_or(End::Fails)?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    /// Pushes what is imported, made or looked up.
    fn push_live(&mut self, item: Item) -> Result<(), End> {
        self.live = true;
        self.push(item)
    }

    /// Pushes what the memo holds.
    fn recall(&mut self) -> Result<(), End> {
        self.push(if self.live { Item::Any } else { Item::Data })
    }

    /// The two lines of GLOBAL and INST.
    fn import(&mut self) -> Result<(), End> {
        // A line of text must not make a far line's end be looked for; nothing may be held of it yet.
        let held = self.view.held_from(self.at);
        let begun = held.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if !held.is_empty() && !is_name(begun) {
            return Err(End::Fails);
        }
        let (module, name) = (self.line()?, self.line()?);
        if !is_name(module) || !is_name(name) {
            return Err(End::Fails);
        }
        let text = |bytes| super::fact_text(&String::from_utf8_lossy(bytes));
        self.imported(format!("it imports {}.{}", text(module), text(name)))
    }

    fn imported(&mut self, why: String) -> Result<(), End> {
        if self.headed {
            return Err(End::Pickle(why));
        }
        self.imports.get_or_insert(why);
        Ok(())
    }

    /// It calls or changes something: what, if it says.
    fn acts(&mut self) -> End {
        End::Pickle(self.imports.take().unwrap_or_else(|| "it calls what it names".into()))
    }

    /// An opcode that puts `operands` into what lies below them.
    fn change(&mut self, operands: &[Item]) -> Result<(), End> {
        match self.stack.last().ok_or(End::Fails)? {
            Item::Data | Item::Mark => Ok(()),
            // A list of words can look so: c, b and a begin some.
            Item::Global if operands.iter().all(|item| *item == Item::Global) => {
                self.words = true;
                Ok(())
            }
            Item::Global | Item::Any => Err(self.acts()),
        }
    }

    fn change_one(&mut self, operands: usize) -> Result<(), End> {
        let operands: Vec<Item> = (0..operands).map(|_| self.pop()).collect::<Result<_, _>>()?;
        self.change(&operands)
    }

    fn change_many(&mut self) -> Result<(), End> {
        let operands = self.pop_mark()?;
        self.change(&operands)
    }

    fn push(&mut self, item: Item) -> Result<(), End> {
        self.stack.push(item);
        Ok(())
    }

    fn step(&mut self) -> Result<(), End> {
        let first = self.at == 0;
        let op = self.take(1)?[0];
        if op != b'V' {
            self.lines_only = false;
        }
        match op {
            0x80 => {
                let protocol = self.take(1)?[0];
                self.headed |= first && protocol <= 5;
                if protocol > 5 { Err(End::Fails) } else { Ok(()) }
            }
            b'(' => self.push(Item::Mark),
            b'.' => self.stopped(),
            b'0' => self.pop().map(|_| ()),
            b'1' => self.pop_mark().map(|_| ()),
            b'2' => {
                let top = *self.stack.last().ok_or(End::Fails)?;
                self.push(top)
            }
            b'N' | b')' | b']' | b'}' | 0x88 | 0x89 | 0x8f => self.push(Item::Data),
            b'F' | b'I' | b'L' => self.number(),
            b'G' => self.data(8),
            b'J' => self.data(4),
            b'K' => self.data(1),
            b'M' => self.data(2),
            b'S' => {
                let quoted = matches!(self.take(1)?, [b'\'' | b'"']);
                if !quoted {
                    return Err(End::Fails);
                }
                self.line()?;
                self.push(Item::Data)
            }
            b'V' => {
                self.line()?;
                self.push(Item::Data)
            }
            b'C' | b'U' | 0x8a | 0x8c => self.sized(1, false),
            b'B' | b'X' => self.sized(4, false),
            b'T' | 0x8b => self.sized(4, true),
            0x8d | 0x8e | 0x96 => self.sized(8, false),
            b'g' => {
                self.number()?;
                self.stack.pop();
                self.recall()
            }
            b'h' => self.take(1).and_then(|_| self.recall()),
            b'j' => self.take(4).and_then(|_| self.recall()),
            b'p' => {
                self.number()?;
                self.pop()?;
                self.memoized()
            }
            b'q' => self.take(1).and_then(|_| self.memoized()),
            b'r' => self.take(4).and_then(|_| self.memoized()),
            0x94 => self.memoized(),
            0x95 => self.take(8).map(|_| ()),
            b'l' | b'd' | b't' | 0x91 => {
                self.pop_mark()?;
                self.push(Item::Data)
            }
            0x85 => self.tuple(1),
            0x86 => self.tuple(2),
            0x87 => self.tuple(3),
            b'a' | b'b' => self.change_one(1),
            b's' => self.change_one(2),
            b'e' | b'u' | 0x90 => self.change_many(),
            b'c' => {
                self.import()?;
                self.push_live(Item::Global)
            }
            0x93 => {
                self.pop()?;
                self.pop()?;
                self.imported("it imports what it names".into())?;
                self.push_live(Item::Global)
            }
            b'i' => {
                self.import()?;
                self.pop_mark()?;
                Err(self.acts())
            }
            b'o' => {
                let callable = self.pop_mark()?.first().copied();
                let acts = matches!(callable, Some(Item::Global | Item::Any));
                if acts { Err(self.acts()) } else { Err(End::Fails) }
            }
            b'R' | 0x81 => self.call(1),
            0x92 => self.call(2),
            0x82 => self.take(1).and_then(|_| self.push_live(Item::Any)),
            0x83 => self.take(2).and_then(|_| self.push_live(Item::Any)),
            0x84 => self.take(4).and_then(|_| self.push_live(Item::Any)),
            b'Q' => {
                self.pop()?;
                self.push_live(Item::Any)
            }
            0x97 => self.push_live(Item::Any),
            0x98 => self.stack.last().map(|_| ()).ok_or(End::Fails),
            // PERSID hands a text to a loader's own function: a plain unpickler has none, and torch's takes no text.
            _ => Err(End::Fails),
        }
    }

    fn data(&mut self, len: u64) -> Result<(), End> {
        self.take(len)?;
        self.push(Item::Data)
    }

    fn sized(&mut self, width: usize, signed: bool) -> Result<(), End> {
        self.skip(width, signed)?;
        self.push(Item::Data)
    }

    fn memoized(&mut self) -> Result<(), End> {
        self.stack.last().map(|_| ()).ok_or(End::Fails)
    }

    fn tuple(&mut self, items: usize) -> Result<(), End> {
        for _ in 0..items {
            self.pop()?;
        }
        self.push(Item::Data)
    }

    /// Calls what lies below `operands` operands.
    fn call(&mut self, operands: usize) -> Result<(), End> {
        for _ in 0..operands {
            self.pop()?;
        }
        match self.pop()? {
            Item::Global | Item::Any => Err(self.acts()),
            Item::Data | Item::Mark => Err(End::Fails),
        }
    }

    /// STOP: what follows may be the next pickle.
    fn stopped(&mut self) -> Result<(), End> {
        self.pop()?;
        if self.headed {
            return Err(End::Pickle("it is a whole pickle".into()));
        }
        if self.imports.is_some() {
            return Err(self.acts());
        }
        self.stack.clear();
        Ok(())
    }
}

/// Whether it can be a module's or an attribute's name.
fn is_name(bytes: &[u8]) -> bool {
    let named =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"._-<>".contains(byte) || !byte.is_ascii();
    (1..=512).contains(&bytes.len()) && bytes.iter().all(named)
}

#[cfg(test)]
mod tests;
