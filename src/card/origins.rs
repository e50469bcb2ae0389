//! What a version was made from, how it was measured, and where its publisher is found: the predicate's fields
//! `lineage`, `evals` and `links` (provenance 7.3).
//!
//! All of it is the publisher's statement: a signature says who says so, never that it is so. Read leniently from a
//! verified card ([`Origins::of`]): an entry that does not fit is passed over and said, since a stranger's card is no
//! less signed for it. Written strictly ([`Origins::to_fields`]). What of it follows from a README says [`readme`].

mod evals;
mod lineage;
pub mod readme;

use crate::dag::Cid;
use crate::dag::block::DAG_JSON;
use crate::dag::name::escape;
use crate::limits;

use super::json::{self, Map, Value};
use super::statement::Statement;

pub use evals::{Dataset, Eval};
pub use lineage::{HubId, Origin, Relation};

/// The predicate's fields, in the order in which they are read.
pub const FIELDS: [&str; 3] = [LINEAGE, EVALS, LINKS];
const LINEAGE: &str = "lineage";
const EVALS: &str = "evals";
const LINKS: &str = "links";

/// Entries that are passed over and described; more are counted.
const DESCRIBED: usize = 5;

/// What cannot be stated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct Invalid {
    /// Which field of an entry.
    field: &'static str,
    /// What is wrong with it.
    problem: String,
}

impl Invalid {
    fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

/// What a publisher states besides the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins {
    /// What it was made from.
    pub lineage: Vec<Origin>,
    /// How it was measured, by the publisher's own word.
    pub evals: Vec<Eval>,
    /// Where the publisher says the same, as `https` addresses.
    pub links: Vec<String>,
}

impl Origins {
    /// What a statement says, and what of it was passed over, each in a line.
    pub fn of(statement: &Statement) -> (Self, Vec<String>) {
        let mut passed = Vec::new();
        let fields = &statement.other;
        let read = Self {
            lineage: entries(fields, LINEAGE, limits::LINEAGE_MAX, &mut passed, |value| {
                Origin::try_from(value.clone())
            }),
            evals: entries(fields, EVALS, limits::EVALS_MAX, &mut passed, |value| {
                Eval::try_from(value.clone())
            }),
            links: entries(fields, LINKS, limits::PUBLISHER_LINKS_MAX, &mut passed, |value| {
                let text = value.as_text().ok_or_else(|| Invalid::new("link", "is no text"))?;
                check_link(text).map(|()| text.to_owned())
            }),
        };
        (read, passed)
    }

    /// The predicate's fields; one with nothing to say is left out.
    ///
    /// # Errors
    /// [`Invalid`] for what no reader would take.
    pub fn to_fields(&self) -> Result<Map, Invalid> {
        for (field, found, max) in [
            (LINEAGE, self.lineage.len(), limits::LINEAGE_MAX),
            (EVALS, self.evals.len(), limits::EVALS_MAX),
            (LINKS, self.links.len(), limits::PUBLISHER_LINKS_MAX),
        ] {
            if found > max {
                return Err(Invalid::new(
                    field,
                    format!("has {found} entries, at most {max} are stated"),
                ));
            }
        }
        self.lineage.iter().try_for_each(Origin::check)?;
        self.evals.iter().try_for_each(Eval::check)?;
        self.links.iter().try_for_each(|link| check_link(link))?;
        let mut fields = Map::new();
        let mut put = |field: &str, entries: Vec<Value>| {
            if !entries.is_empty() {
                fields.insert(field.to_owned(), Value::List(entries));
            }
        };
        put(LINEAGE, self.lineage.iter().cloned().map(Value::from).collect());
        put(EVALS, self.evals.iter().cloned().map(Value::from).collect());
        put(LINKS, self.links.iter().map(|link| Value::from(link.as_str())).collect());
        Ok(fields)
    }
}

/// Of a statement's further fields those that [`Origins`] are written as, byte for byte.
pub fn stated(other: &Map) -> Map {
    let own = |(field, _): &(&String, &Value)| FIELDS.contains(&field.as_str());
    other.iter().filter(own).map(|(field, value)| (field.clone(), value.clone())).collect()
}

/// The entries of a field that fit.
fn entries<T>(
    fields: &Map,
    field: &str,
    max: usize,
    passed: &mut Vec<String>,
    read: impl Fn(&Value) -> Result<T, Invalid>,
) -> Vec<T> {
    let list = match fields.get(field) {
        None => return Vec::new(),
        Some(Value::List(list)) => list,
        Some(_) => {
            passed.push(format!("{field}: it is no list"));
            return Vec::new();
        }
    };
    let mut fit = Vec::new();
    let mut bad = 0;
    for (at, value) in list.iter().take(max).enumerate() {
        match read(value) {
            Ok(entry) => fit.push(entry),
            Err(why) => {
                bad += 1;
                if bad <= DESCRIBED {
                    passed.push(format!("{field}[{at}]: {why}"));
                }
            }
        }
    }
    if bad > DESCRIBED {
        passed.push(format!("{field}: {} more that do not fit", bad - DESCRIBED));
    }
    if list.len() > max {
        passed.push(format!("{field}: {} entries above {max}", list.len() - max));
    }
    fit
}

/// Refuses what is no `https` address of a host: nothing in it can end the text that it stands in.
///
/// # Errors
/// [`Invalid`].
pub fn check_link(link: &str) -> Result<(), Invalid> {
    let max = limits::PUBLISHER_LINK_MAX;
    let host = link.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
    let plain = |c: char| c.is_ascii_graphic() && !"\"'<>\\^`{|}".contains(c);
    // Nobody is sent to another host than the one that stands in front.
    let good = host.is_some_and(|host| !host.is_empty() && !host.contains('@'));
    if good && link.len() <= max && link.chars().all(plain) {
        return Ok(());
    }
    let shown = escape(&link.chars().take(80).collect::<String>());
    Err(Invalid::new(
        "link",
        format!("{shown:?} is no https address (https://HOST/…) of at most {max} bytes"),
    ))
}

/// One line of text of at most `max` bytes.
fn check_line(field: &'static str, text: &str, max: usize) -> Result<(), Invalid> {
    if text.is_empty() || text.len() > max || text.chars().any(char::is_control) {
        return Err(Invalid::new(field, format!("must be one line of at most {max} bytes")));
    }
    Ok(())
}

fn check_optional(field: &'static str, text: Option<&str>, max: usize) -> Result<(), Invalid> {
    text.map_or(Ok(()), |text| check_line(field, text, max))
}

/// An object; what nobody takes from it is passed over.
fn object(field: &'static str, value: Value) -> Result<Map, Invalid> {
    match value {
        Value::Map(map) => Ok(map),
        _ => Err(Invalid::new(field, "is no object")),
    }
}

/// A text that may be missing.
fn take_text(map: &mut Map, field: &'static str) -> Result<Option<String>, Invalid> {
    match map.remove(field) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(Invalid::new(field, "is no text")),
    }
}

/// A card's id that may be missing.
fn take_card(map: &mut Map) -> Result<Option<Cid>, Invalid> {
    let read = |text: String| {
        json::parse_cid(&text)
            .filter(|cid| cid.codec() == DAG_JSON)
            .ok_or_else(|| Invalid::new("card", "is no card id"))
    };
    take_text(map, "card")?.map(read).transpose()
}

fn put(map: &mut Map, field: &str, text: Option<String>) {
    map.extend(text.map(|text| (field.to_owned(), Value::Text(text))));
}

#[cfg(test)]
mod tests;
