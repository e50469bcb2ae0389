//! Which files of a repo can carry code, told before the bulk of it is fetched.
//!
//! [`examine`] judges one file by its name, its size and a few ranges of it; [`admit`] decides what follows for a
//! publisher. A signature says who, never that a pickle is safe (provenance section 6, rows "Pickle/code in model" and
//! "safetensors abuse"). What a pickle would call is not looked up in lists of bad names: such lists leak. Sans-io: the
//! caller reads the ranges asked for. The headers of safetensors and GGUF also give [`Facts`] for a README
//! ([`skeleton`]).
//!
//! A name can make a file suspicious, never safe: a `.safetensors` that is a pickle is a pickle. In doubt a file counts
//! as code, but for what honest datasets are full of. The decisions, the first that fits:
//!
//! | what | verdict | why |
//! |---|---|---|
//! | name of pickles: `.pkl .pt .pth .ckpt .joblib .pdparams .skops` … | code | loaders of these names unpickle, whatever is inside today |
//! | sources, scripts, notebooks: `.py .sh .js .R .ipynb` …, `#!/` | code | `trust_remote_code`, dataset loading scripts, a double click |
//! | programs and libraries: ELF, PE, Mach-O, wasm, bytecode, `.so .dll .jar` | code | run as they are |
//! | `.pb .pbtxt`, `*.ckpt-*.meta` | code | TensorFlow's graphs read and write files; it calls them programs |
//! | `.h5 .hdf5 .keras`, HDF5 under any other name | code | Keras loads it by content; Lambda layers, and function names in its configuration, run. Where that stands in the file is the file's choice |
//! | HDF5 named `.h5ad .nc .mat .loom` … | plain unless it names a Keras model near its start | the sciences' own readers run nothing |
//! | `.rds .rda`, R data by content | code | promises run on reading (CVE-2024-27322) |
//! | `.plan .engine .trt` | code | TensorRT engines hold GPU code and load plugins |
//! | Java's serialized objects | code | reading them calls |
//! | pickle by content, protocols 0 to 5, any name | code | opcodes are followed; torch's legacy format and joblib are pickles |
//! | `.npy` with objects | code | they are a pickle; other arrays are plain |
//! | zip (torch, npz, wheels …) | by its members' names and, inflated if need be, their beginnings | the directory is at the end; a `.bin`, an archive or compressed data among them count as code, as does a zip that contradicts itself or has more members without a telling name than can be looked at; of those named as text or media only what the blocks hold that are read anyway |
//! | tar | by its members' names and beginnings | if its first block and some 60 single reads show them all; a longer one (WebDataset shards too) counts as code: what comes later may be a pickle, which its readers load by name |
//! | 7z, RAR, cabinet, ar, cpio, RPM, OLE …, `.tgz` | code | cannot be listed |
//! | gzip, zlib | by what inflates from the first block | an archive inside counts as code |
//! | bzip2, xz, Zstandard, LZ4, LZMA | by the name without `.xz` …; under a name that does not say so, code | no unpacking here for the sake of a few names; `.csv.bz2`, `.jsonl.zst` are plain; zarr chunks (only digits) too |
//! | YAML with `!!python/` | code | unsafe loaders build the objects it names |
//! | safetensors, GGUF | strictly checked: valid, or [`Verdict::Invalid`] | full coverage leaves no room for a second format |
//! | chat templates: `.jinja`, in `tokenizer_config.json`, in GGUF | template | listed, never refused: they run sandboxed in every loader, and all chat models have one |
//! | ONNX, TFLite, CoreML, OpenVINO | plain | only operations that the runtime has; custom ones need a library given by hand |
//! | JSON, CSV, text, parquet, arrow, HTML, images, unknown data | plain | data; `auto_map` in `config.json` only names `.py` files, which are judged themselves |
//!
//! Not seen: a zip behind other bytes in a file not named as one (torch and numpy read none such), members of a zip
//! that its directory leaves out, or that are named as text or media and lie deep in it, code in what only a compressed stream beyond its first block would show.

mod admit;
mod archive;
mod gguf;
mod inflate;
mod judge;
mod magic;
mod name;
mod npy;
mod pickle;
mod pieces;
mod safetensors;
pub mod skeleton;
mod tar;
mod zip;

use std::ops::Range;

use crate::dag::name::escape;
use crate::limits;

pub use admit::{Admitted, Leave, Refusal, admit};
pub use gguf::Facts as GgufFacts;
pub use pieces::Pieces;
pub use safetensors::Facts as SafetensorsFacts;

use pieces::{Stop, View};

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing in it runs.
    Plain,
    /// Holds a template that a sandbox runs: to be listed, never refused.
    Template,
    /// Can carry code.
    Code {
        /// The sort of thing, as `pickle`.
        what: &'static str,
        /// Why it counts as one; safe to print.
        why: String,
    },
    /// Claims to be a safe format, and its header is not valid.
    Invalid {
        /// `safetensors` or `GGUF`.
        format: &'static str,
        /// What is wrong with it, as the end of "it …"; safe to print.
        why: String,
    },
}

/// What a valid header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Facts {
    /// Of a safetensors file.
    Safetensors(SafetensorsFacts),
    /// Of a GGUF file.
    Gguf(GgufFacts),
}

/// What was found out about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its path in the repo.
    pub path: String,
    /// What it is.
    pub verdict: Verdict,
    /// What its header says, for a valid safetensors or GGUF file.
    pub facts: Option<Facts>,
}

/// How far the judging of a file got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Examination {
    /// It is judged.
    Done(Finding),
    /// These bytes of it must be [inserted](Pieces::insert) first. Never empty, never beyond its size, and after at
    /// most [`limits::CONTENT_READS_MAX`] ranges of together [`limits::CONTENT_READ_MAX`] bytes it is judged.
    Needs(Range<u64>),
}

/// Judges the file at `path`, `size` bytes long, by what was read of it. Starts with no pieces at all: many files are
/// judged by their names. Else the first range asked for is its beginning, up to [`limits::CONTENT_HEAD`].
pub fn examine(path: &str, size: u64, pieces: &Pieces) -> Examination {
    let view = View::of_file(pieces, size);
    let (verdict, facts) = match judge::judge(path, &view) {
        Ok(judged) => judged,
        Err(Stop::Need(range)) => return Examination::Needs(range),
        Err(Stop::Flaw(why)) => {
            (Verdict::Code { what: "unreadable file", why: format!("it {why}") }, None)
        }
    };
    Examination::Done(Finding { path: path.to_owned(), verdict, facts })
}

/// A text from a file as a fact: short, and with nothing in it that acts on a terminal.
fn fact_text(text: &str) -> String {
    let mut end = text.len().min(limits::FACT_TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    escape(&text[..end])
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
