//! From a [`Statement`] to the bytes of a payload.

use super::read::PUBLISHER_ROOT;
use super::{Error, FILES_LIST, Files, LAYOUT, PREDICATE_TYPE, SCHEMA, STATEMENT_TYPE, Statement};
use crate::card::json::{self, Map, Value, hex};
use crate::card::manifest::FileEntry;
use crate::dag::Cid;

pub(super) fn payload(statement: &Statement) -> Result<Vec<u8>, Error> {
    if !statement.unread.is_empty() {
        return Err(Error::Unread { fields: statement.unread.join(", ") });
    }
    statement.check()?;
    let tree = object([
        ("name", statement.name.as_str().into()),
        ("uri", uri(&statement.root)),
        (
            "digest",
            object([
                ("sha256", digest(&statement.tree.oms)),
                ("dirHash1", digest(&statement.tree.dir_hash1)),
            ]),
        ),
    ]);
    let mut subject = vec![tree];
    match &statement.files {
        Files::Inline(manifest) => subject.extend(manifest.files().iter().map(file)),
        Files::List(list) => subject.push(file(list)),
    }
    let value = object([
        ("_type", STATEMENT_TYPE.into()),
        ("predicateType", PREDICATE_TYPE.into()),
        ("subject", Value::List(subject)),
        ("predicate", Value::Map(predicate(statement)?)),
    ]);
    Ok(json::encode(&value)?)
}

/// The predicate. Optional fields without a value are left out, but for `prev`: null says "the first".
fn predicate(statement: &Statement) -> Result<Map, Error> {
    let card_ids = |ids: &[Cid]| ids.iter().map(|id| id.to_string().as_str().into()).collect();
    let subjects = match statement.files {
        Files::Inline(_) => "inline",
        Files::List(_) => FILES_LIST,
    };
    let mut fields = vec![
        ("schema", SCHEMA.into()),
        ("publisher", statement.publisher.to_string().as_str().into()),
        ("name", statement.name.as_str().into()),
        ("kind", statement.kind.as_str().into()),
        ("version", statement.version.as_str().into()),
        ("seq", statement.seq.into()),
        // Text, not a link: pinning a card must not pin its ancestors.
        ("prev", statement.prev.map_or(Value::Null, |prev| Value::Text(prev.to_string()))),
        ("createdAt", Value::Text(statement.created_at.to_string())),
        ("status", statement.status.as_str().into()),
        ("root", Value::Link(statement.root)),
        ("layout", LAYOUT.into()),
        ("totalSize", statement.total_size.into()),
        ("fileCount", statement.file_count.into()),
        ("metadata", Value::Map(statement.metadata.clone())),
        ("subjects", subjects.into()),
    ];
    if let Some(root) = &statement.publisher_root {
        // Text, as all that must not be pinned along.
        let cid = Value::Text(root.cid.to_string());
        fields.push((PUBLISHER_ROOT, object([("cid", cid), ("version", root.version.into())])));
    }
    if let Some(expires) = statement.expires {
        fields.push(("expires", Value::Text(expires.to_string())));
    }
    if let Some(license) = &statement.license {
        fields.push(("license", license.as_str().into()));
    }
    if !statement.companion_keys.is_empty() {
        let keys = statement.companion_keys.iter().map(|key| key.as_str().into()).collect();
        fields.push(("companionKeys", Value::List(keys)));
    }
    if !statement.resolves.is_empty() {
        fields.push(("resolves", Value::List(card_ids(&statement.resolves))));
    }
    let mut map = statement.other.clone();
    for (key, value) in fields {
        if map.insert(key.to_owned(), value).is_some() {
            return Err(Error::field(format_args!("predicate.{key}"), "is given twice"));
        }
    }
    // One that this version reads, left out above, must not come in by the back door.
    for key in [PUBLISHER_ROOT, "expires", "license", "companionKeys", "resolves"] {
        if statement.other.contains_key(key) {
            return Err(Error::field(format_args!("predicate.{key}"), "is given twice"));
        }
    }
    Ok(map)
}

fn file(entry: &FileEntry) -> Value {
    object([
        ("name", entry.path.as_str().into()),
        ("uri", uri(&entry.cid)),
        ("digest", object([("sha256", digest(&entry.sha256))])),
        ("annotations", object([("size", entry.size.into())])),
    ])
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn uri(cid: &Cid) -> Value {
    Value::Text(format!("ipfs://{cid}"))
}

fn digest(digest: &[u8; 32]) -> Value {
    Value::Text(hex(digest))
}
