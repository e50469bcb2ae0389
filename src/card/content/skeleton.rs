//! A README to start from: what the files themselves say, and places for what only the publisher knows.
//!
//! For `card init`. Sections as in the Hub's template (provenance section 4), the few that nobody should leave out.
//! Facts come from headers and configuration, never from names alone where a header says it. The licence is left out
//! on purpose, with a comment: a made-up placeholder would be signed as one. Nothing from a file reaches the front
//! matter, and what reaches the text is escaped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::card::statement::Kind;
use crate::limits;

use super::{Facts, Finding, Verdict, fact_text};

/// What `config.json` says of a model, as far as a README tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Classes, as `LlamaForCausalLM`.
    pub architectures: Vec<String>,
    /// The family, as `llama`.
    pub model_type: Option<String>,
}

impl Config {
    /// Reads `config.json`; nothing if it is too large or says neither.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() as u64 > limits::CONFIG_FILE_MAX {
            return None;
        }
        let config: Self = serde_json::from_slice(bytes).ok()?;
        (config != Self::default()).then_some(config)
    }
}

/// What is known of a repo.
#[derive(Debug, Clone, Copy)]
pub struct Repo<'a> {
    /// Its name, without the publisher's.
    pub name: &'a str,
    /// Model or dataset.
    pub kind: Kind,
    /// Path and bytes of every file.
    pub files: &'a [(String, u64)],
    /// What was found out about them.
    pub findings: &'a [Finding],
    /// Its `config.json`.
    pub config: Option<&'a Config>,
}

/// The README's text: YAML front matter, then Markdown.
pub fn readme(repo: &Repo<'_>) -> String {
    let mut out = front_matter(repo);
    let _ = write!(out, "\n# {}\n\n", text(repo.name));
    out.push_str("<!-- Written by `modelswarm card init` from the files. Replace what stands in [brackets]. -->\n\n");
    let _ = writeln!(out, "[What this {} is, in two sentences.]\n", repo.kind.as_str());
    match repo.kind {
        Kind::Model => model_details(repo, &mut out),
        Kind::Dataset => dataset_details(repo, &mut out),
    }
    files_table(repo, &mut out);
    out.push_str("## How to use\n\n");
    usage(repo, &mut out);
    out.push_str("## Intended use and limitations\n\n[What it is for, what it is not for, known failures and biases.]\n\n");
    match repo.kind {
        Kind::Model => out.push_str("## Training and evaluation\n\n[Data, procedure, results, and how to repeat them.]\n"),
        Kind::Dataset => out.push_str("## Source and collection\n\n[Where the data come from, how they were collected and cleaned, personal data in them.]\n"),
    }
    out
}

fn front_matter(repo: &Repo<'_>) -> String {
    let mut out = String::from(
        "---\n# license: apache-2.0   (an SPDX id; required before it is shared with everybody)\n# language: [en]\n",
    );
    if repo.kind == Kind::Model {
        out.push_str("# base_model: owner/name\n# pipeline_tag: text-generation\n");
        if has(repo, "modules.json") && has(repo, "config_sentence_transformers.json") {
            out.push_str("library_name: sentence-transformers\n");
        } else if repo.config.is_some_and(|config| !config.architectures.is_empty()) {
            out.push_str("library_name: transformers\n");
        }
    }
    let formats = ["safetensors", "gguf", "onnx", "parquet"];
    let found: Vec<_> =
        formats.into_iter().filter(|format| any_ends(repo, &format!(".{format}"))).collect();
    let _ = write!(out, "tags: [{}]\n---\n", found.join(", "));
    out
}

fn model_details(repo: &Repo<'_>, out: &mut String) {
    out.push_str("## Model details\n\n| | |\n|---|---|\n");
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "| {name} | {value} |");
        }
    };
    let ggufs = || {
        repo.findings.iter().filter_map(|finding| match &finding.facts {
            Some(Facts::Gguf(facts)) => Some(facts),
            _ => None,
        })
    };
    let classes = repo
        .config
        .map(|config| config.architectures.iter().map(|class| code(class)).collect::<Vec<_>>());
    row("Architecture", &classes.unwrap_or_default().join(", "));
    let family = repo.config.and_then(|config| config.model_type.as_deref());
    let family = family.or_else(|| ggufs().find_map(|facts| facts.architecture.as_deref()));
    row("Model type", &family.map(code).unwrap_or_default());
    let context = ggufs().filter_map(|facts| facts.context_length).max();
    row(
        "Context length",
        &context.map(|tokens| format!("{} tokens", grouped(tokens))).unwrap_or_default(),
    );
    row("Tokenizer", &tokenizer(repo));
    let template = repo.findings.iter().any(|finding| finding.verdict == Verdict::Template);
    row("Chat template", if template { "yes" } else { "" });
    out.push('\n');
    weights_table(repo, out);
}

/// What a set of files (one, or all shards of one) holds.
#[derive(Default)]
struct Weights {
    tensors: u64,
    parameters: BTreeMap<String, u64>,
    file_type: Option<String>,
}

fn weights_table(repo: &Repo<'_>, out: &mut String) {
    let mut sets: BTreeMap<String, Weights> = BTreeMap::new();
    for finding in repo.findings {
        let Some(facts) = &finding.facts else { continue };
        let set = sets.entry(set_of(&finding.path)).or_default();
        let (tensors, parameters): (u64, Vec<(&str, u64)>) = match facts {
            Facts::Safetensors(facts) => {
                (facts.tensors, facts.parameters.iter().map(|(kind, n)| (*kind, *n)).collect())
            }
            Facts::Gguf(facts) => {
                set.file_type = facts.file_type.clone().or(set.file_type.take());
                (facts.tensors, facts.parameters.iter().map(|(kind, n)| (&kind[..], *n)).collect())
            }
        };
        set.tensors = set.tensors.saturating_add(tensors);
        for (kind, count) in parameters {
            let sum = set.parameters.entry(kind.to_owned()).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    if sets.is_empty() {
        return;
    }
    out.push_str("| Weights | Parameters | Types | Tensors |\n|---|---|---|---|\n");
    for (name, weights) in sets.iter().take(limits::SKELETON_FILES_MAX) {
        let total = weights.parameters.values().fold(0u64, |sum, count| sum.saturating_add(*count));
        let mut kinds: Vec<_> =
            weights.parameters.iter().filter(|(_, count)| **count > 0).collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let kinds: Vec<_> = kinds
            .into_iter()
            .map(|(kind, count)| format!("{} ({})", text(kind), short(*count)))
            .collect();
        let file_type =
            weights.file_type.as_ref().map(|kind| format!("{}: ", text(kind))).unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} | {} ({}) | {file_type}{} | {} |",
            code(name),
            short(total),
            grouped(total),
            kinds.join(", "),
            grouped(weights.tensors)
        );
    }
    out.push('\n');
}

/// `model-00001-of-00004.safetensors` and its like, as one.
fn set_of(path: &str) -> String {
    let digits = |text: &str| text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = path.rsplit_once('.').and_then(|(stem, extension)| {
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (base, number) = rest.rsplit_once('-')?;
        (digits(count) && digits(number)).then(|| format!("{base}-*-of-{count}.{extension}"))
    });
    parts.unwrap_or_else(|| path.to_owned())
}

fn tokenizer(repo: &Repo<'_>) -> String {
    let known = [
        ("tokenizer.json", "`tokenizer.json`"),
        ("tokenizer.model", "`tokenizer.model` (SentencePiece)"),
        ("spiece.model", "`spiece.model` (SentencePiece)"),
        ("tekken.json", "`tekken.json`"),
        ("vocab.txt", "`vocab.txt` (WordPiece)"),
        ("merges.txt", "`merges.txt` (BPE)"),
    ];
    let found = known.into_iter().filter(|(name, _)| has(repo, name)).map(|(_, what)| what);
    found.collect::<Vec<_>>().join(", ")
}

fn dataset_details(repo: &Repo<'_>, out: &mut String) {
    out.push_str("## Dataset details\n\n| Format | Files | Size |\n|---|---|---|\n");
    let mut formats: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (path, size) in repo.files {
        let name = path.rsplit('/').next().unwrap_or(path);
        let format = name
            .split_once('.')
            .filter(|(stem, _)| !stem.is_empty())
            .map_or("", |(_, format)| format);
        let entry = formats.entry(format).or_default();
        *entry = (entry.0 + 1, entry.1.saturating_add(*size));
    }
    let mut formats: Vec<_> = formats.into_iter().collect();
    formats.sort_by_key(|(_, (_, bytes))| std::cmp::Reverse(*bytes));
    for (format, (files, bytes)) in formats.into_iter().take(limits::FACT_LIST_MAX) {
        let format = if format.is_empty() { "(none)".into() } else { code(format) };
        let _ = writeln!(out, "| {format} | {} | {} |", grouped(files), size(bytes));
    }
    out.push_str("\n[Fields of a record, splits, languages.]\n\n");
}

fn files_table(repo: &Repo<'_>, out: &mut String) {
    let total = repo.files.iter().fold(0u64, |sum, (_, size)| sum.saturating_add(*size));
    let s = if repo.files.len() == 1 { "" } else { "s" };
    let _ = writeln!(
        out,
        "## Files\n\n{} file{s}, {}.\n\n| File | Size | |\n|---|---|---|",
        grouped(repo.files.len() as u64),
        size(total)
    );
    let notes: BTreeMap<&str, &Verdict> =
        repo.findings.iter().map(|finding| (&finding.path[..], &finding.verdict)).collect();
    for (path, bytes) in repo.files.iter().take(limits::SKELETON_FILES_MAX) {
        let note = match notes.get(&path[..]) {
            Some(Verdict::Code { what, .. }) => format!("can carry code ({what})"),
            Some(Verdict::Invalid { format, .. }) => format!("not valid {format}"),
            Some(Verdict::Template) => "template".into(),
            Some(Verdict::Plain) | None => String::new(),
        };
        let _ = writeln!(out, "| {} | {} | {note} |", code(path), size(*bytes));
    }
    if let Some(more @ 1..) = repo.files.len().checked_sub(limits::SKELETON_FILES_MAX) {
        let _ = writeln!(out, "| … and {} more | | |", grouped(more as u64));
    }
    out.push('\n');
}

fn usage(repo: &Repo<'_>, out: &mut String) {
    let name = plain(repo.name);
    let _ = writeln!(out, "```sh\nmodelswarm get PUBLISHER/{name} -o {name}\n```\n");
    let python = match repo.kind {
        Kind::Dataset => {
            Some(format!("from datasets import load_dataset\n\ndata = load_dataset(\"./{name}\")"))
        }
        Kind::Model if has(repo, "modules.json") => Some(format!(
            "from sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer(\"./{name}\")"
        )),
        Kind::Model if repo.config.is_some_and(|config| !config.architectures.is_empty()) => {
            Some(format!(
                "from transformers import AutoModel\n\nmodel = AutoModel.from_pretrained(\"./{name}\")"
            ))
        }
        Kind::Model => None,
    };
    if let Some(python) = python {
        let _ = writeln!(out, "```python\n{python}\n```\n");
    }
    if let Some((path, _)) = repo.files.iter().find(|(path, _)| path.ends_with(".gguf")) {
        let _ = writeln!(out, "```sh\nllama-cli -m '{name}/{}'\n```\n", plain(path));
    }
}

fn has(repo: &Repo<'_>, name: &str) -> bool {
    repo.files.iter().any(|(path, _)| path == name)
}

fn any_ends(repo: &Repo<'_>, end: &str) -> bool {
    repo.files.iter().any(|(path, _)| path.ends_with(end))
}

/// Running text: nothing in it is Markdown or HTML.
fn text(raw: &str) -> String {
    let mut out = String::new();
    for c in fact_text(raw).chars() {
        if c.is_ascii_punctuation() && !matches!(c, '-' | '.' | '_' | ':' | ',') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A code span that may stand in a table.
fn code(raw: &str) -> String {
    format!("`{}`", fact_text(raw).replace('`', "'").replace('|', "\\|"))
}

/// Inside a fenced block, where it must neither end a text nor the block.
fn plain(raw: &str) -> String {
    fact_text(raw).replace(['`', '\'', '"', '\\'], "_")
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Three figures and a letter, as models are named: `7.24B`.
fn short(number: u64) -> String {
    let units = [(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")];
    match units.into_iter().find(|(unit, _)| number >= *unit) {
        Some((unit, letter)) => format!("{}{letter}", figures(number, unit)),
        None => number.to_string(),
    }
}

/// Bytes in powers of 1,000, as file managers and the Hub count.
fn size(bytes: u64) -> String {
    let units =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{} {name}", figures(bytes, unit)),
        None => format!("{bytes} B"),
    }
}

fn figures(number: u64, unit: u64) -> String {
    let (whole, hundredths) = (number / unit, number % unit / (unit / 100));
    match whole {
        100.. => whole.to_string(),
        10.. => format!("{whole}.{}", hundredths / 10),
        _ => format!("{whole}.{hundredths:02}"),
    }
}

#[cfg(test)]
mod tests;
