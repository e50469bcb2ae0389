//! From the bytes of a payload to a [`Statement`].

use super::fields::Fields;
use super::{
    Error, FILES_LIST, Files, Kind, LAYOUT, PREDICATE_TYPE, RootVersion, SCHEMA, STATEMENT_TYPE,
    Statement, Status,
};
use crate::card::identity::Identity;
use crate::card::json::{self, Value};
use crate::card::manifest::{FileEntry, Manifest, TreeDigests};
use crate::dag::Cid;
use crate::limits;

/// The field that names the version of a lab's root.
pub(super) const PUBLISHER_ROOT: &str = "publisherRoot";

pub(super) fn statement(payload: &[u8]) -> Result<Statement, Error> {
    let value = json::decode(payload, limits::CARD_PAYLOAD_MAX)?;
    let mut top = Fields::new("", value)?;
    top.exactly("_type", STATEMENT_TYPE)?;
    top.exactly("predicateType", PREDICATE_TYPE)?;
    let mut predicate = top.object("predicate")?;
    // First, so that a newer card is refused for being newer and not for some field.
    if predicate.uint("schema")? != SCHEMA {
        return Err(Error::field("predicate.schema", "is not 1; a newer modelswarm may read it"));
    }
    let mut unread = Vec::new();
    let mut subjects = top.list("subject")?.into_iter().enumerate();
    let (_, tree) = subjects.next().ok_or_else(|| Error::field("subject", "has no tree"))?;
    let tree = Tree::read(tree, &mut unread)?;
    let entries = subjects.map(|(at, value)| file(at, value, &mut unread));
    let files = files(&mut predicate, entries.collect::<Result<_, _>>()?)?;
    top.note_rest(&mut unread);
    let statement = self::predicate(predicate, tree.digests, files, unread)?;
    if tree.name != statement.name.as_str() {
        return Err(Error::field("subject[0].name", "is not the predicate's name"));
    }
    if tree.root != statement.root {
        return Err(Error::field("subject[0].uri", "is not the predicate's root"));
    }
    statement.check()?;
    Ok(statement)
}

/// What the subjects behind the tree are.
fn files(predicate: &mut Fields, entries: Vec<FileEntry>) -> Result<Files, Error> {
    match predicate.text("subjects")?.as_str() {
        "inline" => {
            if let Some(at) = entries.windows(2).position(|pair| pair[0].path >= pair[1].path) {
                let place = format!("subject[{}].name", at + 2);
                return Err(Error::field(place, "is out of order"));
            }
            Ok(Files::Inline(Manifest::new(entries)?))
        }
        FILES_LIST => match <[FileEntry; 1]>::try_from(entries) {
            Ok([list]) => Ok(Files::List(list)),
            Err(_) => Err(Error::field("subject", "must be the tree and files.jsonl")),
        },
        _ => Err(Error::field("predicate.subjects", "must be inline or files.jsonl")),
    }
}

fn predicate(
    mut fields: Fields,
    tree: TreeDigests,
    files: Files,
    unread: Vec<String>,
) -> Result<Statement, Error> {
    fields.exactly("layout", LAYOUT)?;
    let kind = match fields.text("kind")?.as_str() {
        "model" => Kind::Model,
        "dataset" => Kind::Dataset,
        _ => return Err(Error::field("predicate.kind", "must be model or dataset")),
    };
    let status = match fields.text("status")?.as_str() {
        "active" => Status::Active,
        "deprecated" => Status::Deprecated,
        "withdrawn" => Status::Withdrawn,
        _ => {
            let problem = "must be active, deprecated or withdrawn";
            return Err(Error::field("predicate.status", problem));
        }
    };
    let prev = match fields.take("prev")? {
        Value::Null => None,
        value => Some(card_id("predicate.prev", &value)?),
    };
    let expires = match fields.optional("expires") {
        None => None,
        Some(value) => {
            let text = value.as_text().unwrap_or_default();
            Some(text.parse().map_err(|error| Error::field("predicate.expires", error))?)
        }
    };
    let license = match fields.optional("license") {
        None => None,
        Some(Value::Text(license)) => Some(license),
        Some(_) => return Err(Error::field("predicate.license", "must be a string")),
    };
    let companion_keys = fields.list("companionKeys")?.into_iter().map(|key| match key {
        Value::Text(key) => Ok(key),
        _ => Err(Error::field("predicate.companionKeys", "must be a list of strings")),
    });
    let resolves = fields.list("resolves")?;
    let resolves = resolves.iter().map(|id| card_id("predicate.resolves", id));
    Ok(Statement {
        publisher: publisher(&mut fields)?,
        publisher_root: publisher_root(&mut fields)?,
        name: fields.parsed("name")?,
        kind,
        version: fields.parsed("version")?,
        seq: fields.uint("seq")?,
        prev,
        created_at: fields.parsed("createdAt")?,
        expires,
        status,
        license,
        root: fields.link("root")?,
        total_size: fields.uint("totalSize")?,
        file_count: fields.uint("fileCount")?,
        tree,
        files,
        metadata: fields.object("metadata")?.rest(),
        companion_keys: companion_keys.collect::<Result<_, _>>()?,
        resolves: resolves.collect::<Result<_, _>>()?,
        other: fields.rest(),
        unread,
    })
}

/// A publisher may be typed without `did:key:`; in a card it has one text.
fn publisher(fields: &mut Fields) -> Result<Identity, Error> {
    let text = fields.text("publisher")?;
    let id: Identity = text.parse().map_err(|error| Error::field("predicate.publisher", error))?;
    if id.to_string() == text {
        Ok(id)
    } else {
        Err(Error::field("predicate.publisher", "must start with did:key: or tuf:"))
    }
}

fn publisher_root(fields: &mut Fields) -> Result<Option<RootVersion>, Error> {
    if !fields.has(PUBLISHER_ROOT) {
        return Ok(None);
    }
    let mut root = fields.object(PUBLISHER_ROOT)?;
    let read = RootVersion { version: root.uint("version")?, cid: root.cid("cid")? };
    match root.rest().keys().next() {
        None => Ok(Some(read)),
        Some(_) => Err(Error::field(fields.at(PUBLISHER_ROOT), "must be version and cid")),
    }
}

fn card_id(place: &str, value: &Value) -> Result<Cid, Error> {
    value
        .as_text()
        .and_then(json::parse_cid)
        .filter(|cid| cid.codec() == crate::dag::block::DAG_JSON)
        .ok_or_else(|| Error::field(place, "must be a card id"))
}

/// The first subject.
struct Tree {
    name: String,
    root: Cid,
    digests: TreeDigests,
}

impl Tree {
    fn read(value: Value, unread: &mut Vec<String>) -> Result<Self, Error> {
        let mut fields = Fields::new("subject[0]", value)?;
        let mut digest = fields.object("digest")?;
        let tree = Self {
            name: fields.text("name")?,
            root: fields.uri("uri")?,
            digests: TreeDigests {
                oms: digest.digest("sha256")?,
                dir_hash1: digest.digest("dirHash1")?,
            },
        };
        digest.note_rest(unread);
        fields.note_rest(unread);
        Ok(tree)
    }
}

fn file(at: usize, value: Value, unread: &mut Vec<String>) -> Result<FileEntry, Error> {
    let mut fields = Fields::new(format!("subject[{at}]"), value)?;
    let mut digest = fields.object("digest")?;
    let mut annotations = fields.object("annotations")?;
    let entry = FileEntry {
        path: fields.text("name")?,
        size: annotations.uint("size")?,
        sha256: digest.digest("sha256")?,
        cid: fields.uri("uri")?,
    };
    digest.note_rest(unread);
    annotations.note_rest(unread);
    fields.note_rest(unread);
    Ok(entry)
}
