//! What a file's name says of it: what loaders do with files of that name.
//!
//! A name can make a file suspicious, never safe: what looks harmless by name is still judged by content. The reasons
//! stand in the table of [`super`].

/// What a name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Class<'a> {
    /// Software runs or unpickles files of this name.
    Code {
        what: &'static str,
        why: &'static str,
    },
    /// An archive that is listed by its content.
    Zip,
    Tar,
    /// Compressed: the name without that suffix.
    Packed(&'a str),
    Safetensors,
    Gguf,
    /// Not code by itself; shown as a template.
    Template,
    /// JSON that may hold a chat template.
    TokenizerConfig,
    Yaml,
    /// HDF5 of a science whose readers run nothing.
    ScientificHdf5,
    /// A chunk of an array store (zarr): nothing but a number.
    Chunk,
    /// Read line by line, never unpickled.
    Lines,
    Other,
}

const PICKLE: Class<'static> = Class::Code {
    what: "pickle",
    why: "loaders of this name unpickle, and a pickle can run anything",
};
const SOURCE: Class<'static> =
    Class::Code { what: "source code", why: "interpreters and loaders run files of this name" };
const BINARY: Class<'static> =
    Class::Code { what: "machine code", why: "systems and loaders run files of this name" };
const GRAPH: Class<'static> = Class::Code {
    what: "TensorFlow graph",
    why: "its operations can read and write files; TensorFlow calls it a program",
};
const KERAS: Class<'static> = Class::Code {
    what: "Keras model",
    why: "its configuration names functions to call (Lambda layers)",
};
const R_DATA: Class<'static> =
    Class::Code { what: "R data", why: "R runs promises in it when it is read (CVE-2024-27322)" };
const ARCHIVE: Class<'static> =
    Class::Code { what: "archive", why: "what it holds cannot be listed before it is fetched" };
const NOTEBOOK: Class<'static> =
    Class::Code { what: "notebook", why: "its cells are code that readers run" };
const ENGINE: Class<'static> = Class::Code {
    what: "inference engine",
    why: "it holds machine code for a GPU and may load plugins",
};

/// What `path` says by its last part.
pub(super) fn class(path: &str) -> Class<'_> {
    let name = file_name(path);
    let lower = name.to_ascii_lowercase();
    match &lower[..] {
        "tokenizer_config.json" | "processor_config.json" | "preprocessor_config.json" => {
            return Class::TokenizerConfig;
        }
        "chat_template.json" => return Class::Template,
        "makefile" | "dockerfile" | "rakefile" | "jenkinsfile" => return SOURCE,
        _ if lower.contains(".so.") => return BINARY,
        _ if lower.ends_with(".ckpt.meta") || is_graph_meta(&lower) => return GRAPH,
        _ => {}
    }
    if !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Class::Chunk;
    }
    let Some((stem, extension)) = lower.rsplit_once('.') else { return Class::Other };
    match extension {
        "pkl" | "pickle" | "pck" | "pcl" | "dill" | "cloudpickle" | "joblib" | "pt" | "pth"
        | "ckpt" | "pdparams" | "pdopt" | "pdiparams" | "t7" | "skops" | "mar" | "ser" | "p" => {
            PICKLE
        }
        "py" | "pyw" | "pyx" | "pyz" | "pyc" | "pyo" | "sh" | "bash" | "zsh" | "fish" | "csh"
        | "ksh" | "bat" | "cmd" | "ps1" | "psm1" | "psd1" | "vbs" | "vbe" | "wsf" | "hta"
        | "js" | "mjs" | "cjs" | "jse" | "rb" | "pl" | "pm" | "php" | "lua" | "r" | "rmd"
        | "jl" | "scpt" | "applescript" | "command" | "desktop" | "lnk" | "ipy" => SOURCE,
        "so" | "dll" | "dylib" | "pyd" | "exe" | "com" | "scr" | "msi" | "sys" | "node"
        | "wasm" | "class" | "jar" | "war" | "elf" | "ko" | "cubin" | "ptx" | "hsaco" | "app"
        | "appimage" => BINARY,
        "pb" | "pbtxt" => GRAPH,
        "keras" | "h5" | "hdf5" => KERAS,
        "rds" | "rda" | "rdata" => R_DATA,
        "ipynb" => NOTEBOOK,
        "plan" | "engine" | "trt" => ENGINE,
        "7z" | "rar" | "cab" | "arj" | "ace" | "lzh" | "lha" | "tgz" | "tbz" | "tbz2" | "txz"
        | "tzst" | "tlz" | "cpio" | "deb" | "rpm" | "dmg" | "xar" | "squashfs" => ARCHIVE,
        "zip" | "npz" | "whl" | "egg" | "pt2" | "apk" => Class::Zip,
        "tar" => Class::Tar,
        "gz" | "gzip" | "bz2" | "xz" | "zst" | "zstd" | "lz4" | "lzma" | "br" | "z" | "snappy"
        | "sz" => Class::Packed(&name[..stem.len()]),
        "safetensors" => Class::Safetensors,
        "gguf" => Class::Gguf,
        "jinja" | "jinja2" | "j2" => Class::Template,
        "yaml" | "yml" => Class::Yaml,
        "h5ad" | "h5mu" | "loom" | "nc" | "nc4" | "mat" | "cool" | "mcool" => Class::ScientificHdf5,
        "csv" | "tsv" | "txt" | "json" | "jsonl" | "ndjson" | "md" | "xml" | "html" | "vec"
        | "fasta" | "fa" | "fastq" | "fq" | "conll" | "conllu" | "tab" | "vocab" | "merges"
        | "lst" | "list" | "log" | "srt" | "vtt" => Class::Lines,
        _ => Class::Other,
    }
}

/// Whether everybody who reads files of this name reads them as text, pictures, sound or tables.
pub(super) fn is_data(path: &str) -> bool {
    let lower = file_name(path).to_ascii_lowercase();
    let media = lower.rsplit_once('.').is_some_and(|(_, extension)| {
        matches!(
            extension,
            "jpg"
                | "jpeg"
                | "png"
                | "gif"
                | "webp"
                | "bmp"
                | "tif"
                | "tiff"
                | "ppm"
                | "pgm"
                | "svg"
                | "heic"
                | "avif"
                | "exr"
                | "wav"
                | "mp3"
                | "flac"
                | "ogg"
                | "opus"
                | "m4a"
                | "aac"
                | "mp4"
                | "mkv"
                | "webm"
                | "avi"
                | "mov"
                | "pdf"
                | "parquet"
                | "arrow"
                | "feather"
                | "safetensors"
        )
    });
    media || class(path) == Class::Lines
}

/// `model.ckpt-1000.meta`, as TensorFlow 1 names graphs.
fn is_graph_meta(lower: &str) -> bool {
    lower.ends_with(".meta") && lower.contains(".ckpt-")
}

/// The last part; Windows drops dots and spaces at its end.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path).trim_end_matches(['.', ' '])
}
