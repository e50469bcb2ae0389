//! What follows from the findings of a repo for a publisher.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use crate::dag::name::escape;
use crate::limits;

use super::{Finding, Verdict};

/// What is let in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admitted {
    /// Files that can carry code or are invalid: a line each, to warn with.
    pub warnings: Vec<String>,
    /// Paths of files that hold templates: to be listed.
    pub templates: Vec<String>,
}

/// Whether files that bring code, or can't be checked, are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// They are, and said.
    Given,
    /// From those that the user trusts, which their publisher is not.
    FromTrusted,
    /// The user's rules take them from nobody.
    FromNobody,
}

/// Files that would be let in only by leave of the user. Its text names them and why; [`Refusal::hint`] the ways out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    files: Vec<String>,
    globs: Vec<String>,
    from_nobody: bool,
}

impl std::error::Error for Refusal {}

/// Decides about a repo by `findings` on all of its files that are asked for, harmless ones too: a glob must not take
/// them along. What is let in comes with warnings. Whether there is leave, `trust::Defaults::code` says.
///
/// # Errors
/// [`Refusal`] if there is code, or a header that is not valid, and no leave.
pub fn admit(findings: &[Finding], leave: Leave) -> Result<Admitted, Refusal> {
    let mut admitted = Admitted::default();
    let mut refused = Vec::new();
    for finding in findings {
        match &finding.verdict {
            Verdict::Plain => {}
            Verdict::Template => admitted.templates.push(finding.path.clone()),
            Verdict::Code { what, why } => {
                admitted.warnings.push(format!("{}: {what}: {why}", escape(&finding.path)));
                refused.push(&finding.path[..]);
            }
            Verdict::Invalid { format, why } => {
                admitted
                    .warnings
                    .push(format!("{}: invalid {format}: it {why}", escape(&finding.path)));
                refused.push(&finding.path[..]);
            }
        }
    }
    if refused.is_empty() || leave == Leave::Given {
        return Ok(admitted);
    }
    let others = findings.iter().map(|finding| &finding.path[..]);
    let globs = globs(&refused, others);
    Err(Refusal { files: admitted.warnings, globs, from_nobody: leave == Leave::FromNobody })
}

impl Refusal {
    /// A line for each file: its path and why.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// Globs for `--exclude` that together match every refused file, and no other file of the repo where that can be.
    pub fn globs(&self) -> &[String] {
        &self.globs
    }

    /// Both ways out, as flags to type.
    pub fn hint(&self) -> String {
        let mut hint = String::from("leave them out:");
        for glob in self.globs.iter().take(limits::REFUSAL_LISTED_MAX) {
            // Writing into a String cannot fail.
            let _ = write!(hint, " --exclude {}", quoted(glob));
        }
        if let Some(more @ 1..) = self.globs.len().checked_sub(limits::REFUSAL_LISTED_MAX) {
            let _ = write!(hint, " and {more} more");
        }
        hint.push_str(if self.from_nobody {
            "; or allow them this once: --allow-code"
        } else {
            "; or, if you trust the publisher with your machine: --allow-code"
        });
        hint
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.files.len();
        let s = if count == 1 { " that" } else { "s that" };
        let whose = if self.from_nobody {
            "and your trust.toml takes such files from nobody (code = \"deny\")"
        } else {
            "from a publisher you do not trust"
        };
        write!(f, "{count} file{s} can carry code or cannot be checked, {whose}")?;
        for file in self.files.iter().take(limits::REFUSAL_LISTED_MAX) {
            write!(f, "\n  {file}")?;
        }
        match self.files.len().checked_sub(limits::REFUSAL_LISTED_MAX) {
            Some(more @ 1..) => write!(f, "\n  and {more} more"),
            _ => Ok(()),
        }
    }
}

/// In single quotes for a shell, safe to print.
fn quoted(glob: &str) -> String {
    if glob.contains('\'') {
        format!("'{}'", glob.replace('\'', r"'\''"))
    } else {
        format!("'{glob}'")
    }
}

/// `*.ext` where all files of that extension are refused, or too many to name; else the paths themselves.
fn globs<'a>(refused: &[&str], all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    for extension in all.filter_map(extension) {
        *totals.entry(extension).or_default() += 1;
    }
    let mut by_extension: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut globs = BTreeSet::new();
    for path in refused {
        match extension(path) {
            Some(extension) => by_extension.entry(extension).or_default().push(path),
            None => drop(globs.insert(escaped(path))),
        }
    }
    for (extension, paths) in by_extension {
        let whole = totals.get(extension).is_none_or(|total| *total <= paths.len());
        if whole || paths.len() > limits::REFUSAL_LISTED_MAX {
            globs.insert(format!("*.{}", escaped(extension)));
        } else {
            globs.extend(paths.into_iter().map(escaped));
        }
    }
    globs.into_iter().collect()
}

/// What stands behind the last dot of a name, unless nothing stands before it.
fn extension(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (stem, extension) = name.rsplit_once('.')?;
    (!stem.is_empty() && !extension.is_empty()).then_some(extension)
}

/// A path as a glob that matches it alone.
fn escaped(path: &str) -> String {
    let mut glob = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '*' | '?' | '[' | ']' | '{' | '}' => glob.extend(['[', c, ']']),
            _ => glob.push(c),
        }
    }
    glob
}
