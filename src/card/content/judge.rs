//! One file's verdict: its name first, then its content, then what only its name can tell.
//!
//! The order and the reasons are those of the table in [`super`].

use crate::limits;

use super::inflate::{Wrapper, inflate};
use super::magic::{Magic, magic};
use super::name::{Class, class};
use super::pieces::{Stop, View};
use super::{Facts, Verdict, fact_text, gguf, npy, pickle, safetensors, tar, zip};

/// Bytes of a zip member that are read to see what it begins with.
const MEMBER_HEAD: u64 = 4096;

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

fn code(what: &'static str, why: impl Into<String>) -> Verdict {
    Verdict::Code { what, why: why.into() }
}

/// A flaw as a value of its own.
fn flawed<T>(checked: Result<T, Stop>) -> Result<Result<T, String>, Stop> {
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
fn content(path: &str, view: &View<'_>) -> Result<Verdict, Stop> {
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

fn unlisted(why: String) -> Verdict {
    code("archive", why)
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

/// What gzip or zlib holds.
fn packed_inside(path: &str, head: &[u8], wrapper: Wrapper) -> Result<Verdict, Stop> {
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
    let view = View::of_beginning(&inflated.pieces, inflated.size);
    let inside = magic(view.head()?);
    let nested = matches!(class(inner), Class::Zip | Class::Tar | Class::Packed(_))
        || matches!(inside, Some(Magic::Zip | Magic::Tar | Magic::Gzip | Magic::Packed(_)));
    if nested {
        return Ok(unlisted(
            "it is a compressed archive, which cannot be listed before it is fetched".into(),
        ));
    }
    if matches!(class(inner), Class::Safetensors | Class::Gguf) {
        return Ok(Verdict::Plain);
    }
    match content(inner, &view)? {
        Verdict::Code { what, why } => Ok(code(what, format!("compressed: {why}"))),
        other => Ok(other),
    }
}

/// What cannot be unpacked here, by the name without its suffix.
fn packed(path: &str, how: &str) -> Verdict {
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

fn hdf5(path: &str, head: &[u8]) -> Verdict {
    let has = |text: &[u8]| head.windows(text.len()).any(|window| window == text);
    let keras = has(b"keras_version") || has(b"model_config");
    match class(path) {
        Class::ScientificHdf5 if !keras => Verdict::Plain,
        _ => code("Keras model", "it is HDF5, which Keras loads, and Lambda layers in it run"),
    }
}

/// What a name inside an archive says, where content cannot be seen.
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

fn tarred(view: &View<'_>) -> Result<Verdict, Stop> {
    // torch's first format: a tar with these names.
    let old = ["sys_info", "pickle", "storages", "tensors"];
    let found = tar::members(view, |name| {
        let is_old = old.contains(&name.trim_start_matches("./"));
        let old =
            is_old.then(|| code("pickle", "it is a tar of torch's first format, which is pickled"));
        old.or_else(|| member(name))
    })?;
    Ok(found.unwrap_or(Verdict::Plain))
}

fn zipped(view: &View<'_>) -> Result<Verdict, Stop> {
    let mut arrays = Vec::new();
    let found = zip::members(view, |entry| {
        let found = member(&entry.name);
        if entry.name.ends_with(".npy") {
            if arrays.len() >= limits::CONTENT_READS_MAX {
                return found
                    .or_else(|| Some(unlisted("it holds more arrays than are looked at".into())));
            }
            arrays.push(entry);
        }
        found
    })?;
    if let Some(found) = found {
        return Ok(found);
    }
    for array in &arrays {
        if let Some(found) = array_inside(view, array)? {
            return Ok(found);
        }
    }
    Ok(Verdict::Plain)
}

/// Why an array in a zip counts as code, if it does.
fn array_inside(view: &View<'_>, entry: &zip::Member) -> Result<Option<Verdict>, Stop> {
    let bytes = zip::beginning(view, entry, MEMBER_HEAD)?;
    let name = fact_text(&entry.name);
    let inflated = (entry.method == 8).then(|| inflate(bytes, Wrapper::Raw)).flatten();
    let mut stored = super::Pieces::default();
    let inner = match &inflated {
        Some(inflated) => View::of_beginning(&inflated.pieces, inflated.size),
        None if entry.method == 0 => {
            stored.insert(0, bytes);
            View::of_beginning(&stored, entry.packed)
        }
        None => return Ok(Some(unlisted(format!("it holds {name}, which cannot be unpacked")))),
    };
    if magic(inner.head()?) != Some(Magic::Npy) {
        // numpy gives such a member back as bytes.
        return Ok(None);
    }
    match npy::has_objects(&inner, 0) {
        Ok(false) => Ok(None),
        _ => Ok(Some(code(
            "pickle",
            format!("it holds {name}, an array of Python objects, which are pickled"),
        ))),
    }
}
