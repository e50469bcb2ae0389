//! One file's verdict: its name first, then its content, then what only its name can tell.
//!
//! The order and the reasons are those of the table in [`super`].

use crate::limits;

use super::archive::{packed, packed_inside, tarred, unlisted, zipped};
use super::inflate::{Wrapper, inflate};
use super::magic::{Magic, magic};
use super::name::{Class, class};
use super::pieces::{Stop, View};
use super::{Facts, Verdict, gguf, npy, pickle, safetensors};

/// A verdict, and what a valid header says.
pub(super) type Judged = (Verdict, Option<Facts>);

/// Judges a file of the repo.
pub(super) fn judge(path: &str, view: &View<'_>) -> Result<Judged, Stop> {
    if let Class::Code { what, why } = class(path) {
        return Ok(plainly(code(what, why)));
    }
    let verdict = content(path, view)?;
    if verdict != Verdict::Plain {
        return Ok(plainly(verdict));
    }
    let magic = magic(view.head()?);
    if magic == Some(Magic::Gguf) || class(path) == Class::Gguf {
        return Ok(match flawed(gguf::check(view))? {
            Ok(facts) if facts.templates.is_empty() => (Verdict::Plain, Some(Facts::Gguf(facts))),
            Ok(facts) => (Verdict::Template, Some(Facts::Gguf(facts))),
            Err(why) => plainly(Verdict::Invalid { format: "GGUF", why }),
        });
    }
    match class(path) {
        Class::Safetensors => Ok(match flawed(safetensors::check(view))? {
            Ok(facts) => (Verdict::Plain, Some(Facts::Safetensors(facts))),
            Err(why) => plainly(Verdict::Invalid { format: "safetensors", why }),
        }),
        Class::Zip if magic != Some(Magic::Zip) => {
            Ok(plainly(code("archive", "it is named as a zip and does not begin as one")))
        }
        Class::Template => Ok(plainly(Verdict::Template)),
        Class::TokenizerConfig if contains(view, &[b"\"chat_template\""])? => {
            Ok(plainly(Verdict::Template))
        }
        Class::Yaml if contains(view, &[b"!!python/", b"yaml.org,2002:python/"])? => Ok(plainly(
            code("YAML with Python objects", "unsafe loaders build the objects it names"),
        )),
        _ => Ok(plainly(Verdict::Plain)),
    }
}

fn plainly(verdict: Verdict) -> Judged {
    (verdict, None)
}

pub(super) fn code(what: &'static str, why: impl Into<String>) -> Verdict {
    Verdict::Code { what, why: why.into() }
}

/// A flaw as a value of its own.
pub(super) fn flawed<T>(checked: Result<T, Stop>) -> Result<Result<T, String>, Stop> {
    match checked {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Flaw(why)) => Ok(Err(why)),
        Err(need) => Err(need),
    }
}

/// Whether any of `texts` stands in the file, as far as it is searched.
fn contains(view: &View<'_>, texts: &[&[u8]]) -> Result<bool, Stop> {
    let bytes = view.range(0, view.size().min(limits::CONFIG_FILE_MAX))?;
    Ok(texts.iter().any(|text| bytes.windows(text.len()).any(|window| window == *text)))
}

/// Judges by content alone, as far as the format is known by its content.
pub(super) fn content(path: &str, view: &View<'_>) -> Result<Verdict, Stop> {
    let head = view.head()?;
    let Some(magic) = magic(head) else { return pickled(path, view) };
    match magic {
        Magic::Executable(what) => Ok(code("program", format!("it is {what}"))),
        Magic::Archive(what) => Ok(unlisted(format!(
            "it is a {what} archive, which cannot be listed before it is fetched"
        ))),
        Magic::RData => Ok(code("R data", "R runs promises in it when it is read")),
        Magic::JavaObjects => Ok(code("Java objects", "reading them calls what they name")),
        Magic::Zip => match flawed(zipped(view))? {
            Ok(verdict) => Ok(verdict),
            Err(why) => Ok(unlisted(format!("it cannot be listed for certain: it {why}"))),
        },
        Magic::Tar => match flawed(tarred(view))? {
            Ok(verdict) => Ok(verdict),
            Err(why) => Ok(unlisted(format!("it is a tar and cannot be listed: it {why}"))),
        },
        Magic::Gzip => packed_inside(path, head, Wrapper::Gzip),
        Magic::Zlib => match inflate(head, Wrapper::Zlib) {
            Some(_) => packed_inside(path, head, Wrapper::Zlib),
            None => pickled(path, view),
        },
        Magic::Packed(what) => Ok(packed(path, what)),
        Magic::Hdf5 => Ok(hdf5(path, head)),
        Magic::Npy => match flawed(npy::has_objects(view, 0))? {
            Ok(false) => Ok(Verdict::Plain),
            Ok(true) => Ok(code("pickle", "it is an array of Python objects, which are pickled")),
            Err(why) => {
                Ok(code("pickle", format!("it is an array whose type cannot be told: it {why}")))
            }
        },
        Magic::Gguf => pickled(path, view),
    }
}

fn pickled(path: &str, view: &View<'_>) -> Result<Verdict, Stop> {
    match flawed(pickle::scan(view))? {
        Ok(pickle::Scan::No) => Ok(Verdict::Plain),
        Ok(pickle::Scan::Lines) if matches!(class(path), Class::Lines) => Ok(Verdict::Plain),
        Ok(pickle::Scan::Lines) => {
            Ok(code("pickle", "it may be one: an unpickler would take its beginning"))
        }
        Ok(pickle::Scan::Pickle(why)) => Ok(code("pickle", why)),
        Err(why) => Ok(code("pickle", format!("its beginning is valid as a pickle, and it {why}"))),
    }
}

fn hdf5(path: &str, head: &[u8]) -> Verdict {
    let has = |text: &[u8]| head.windows(text.len()).any(|window| window == text);
    let keras = has(b"keras_version") || has(b"model_config");
    match class(path) {
        Class::ScientificHdf5 if !keras => Verdict::Plain,
        _ => code("Keras model", "it is HDF5, which Keras loads, and Lambda layers in it run"),
    }
}
