//! What the Hub's clients are told of a repo: one JSON object, alone or in a list.

use serde::Deserialize;
use serde_json::{Map as Object, Value as Json, json};

use super::git;
use crate::{
    card::{
        CommitId, Verified,
        json::{Map, Value, hex},
        manifest::{FileEntry, find},
    },
    config::Visibility,
    library::{
        Library,
        hub::{self, RepoId},
    },
    limits,
    rpc::Kind,
};

/// When nothing is known of it: clients want a time.
const UNKNOWN_TIME: &str = "1970-01-01T00:00:00Z";

/// A repo at a version; its card if that is here.
pub(super) fn repo(
    id: &RepoId,
    commit: CommitId,
    visibility: Visibility,
    card: Option<&Verified>,
) -> Object<String, Json> {
    let statement = card.map(Verified::statement);
    let time = statement.map_or(UNKNOWN_TIME.to_owned(), |it| it.created_at.to_string());
    let name = id.to_string();
    let mut object = Object::new();
    let mut put = |key: &str, value: Json| object.insert(key.to_owned(), value);
    put("_id", json!(commit.to_string()));
    put("id", json!(name));
    if id.kind == Kind::Model {
        put("modelId", json!(name));
    }
    put("author", json!(id.namespace));
    put("sha", json!(commit.to_string()));
    put("private", json!(visibility == Visibility::Private));
    put("gated", json!(false));
    put("disabled", json!(false));
    put("downloads", json!(0));
    put("likes", json!(0));
    put("lastModified", json!(time));
    put("createdAt", json!(time));
    put("tags", json!(statement.map(|it| tags(&it.metadata)).unwrap_or_default()));
    if let Some(statement) = statement {
        put("usedStorage", json!(statement.total_size));
        let card_data = statement.metadata.iter().map(|(key, value)| (key.clone(), plain(value)));
        put("cardData", Json::Object(card_data.collect()));
        for key in ["pipeline_tag", "library_name"] {
            if let Some(text) = statement.metadata.get(key).and_then(Value::as_text) {
                put(key, json!(text));
            }
        }
    }
    object
}

/// The files as a repo's info lists them; `full`: with sizes and digests.
pub(super) fn siblings(files: &[FileEntry], full: bool) -> Json {
    let sibling = |file: &FileEntry| {
        let mut object = json!({ "rfilename": file.path });
        if full {
            object["size"] = json!(file.size);
            object["blobId"] = json!(git::pointer_id(&file.sha256, file.size));
            object["lfs"] = lfs("sha256", file);
        }
        object
    };
    files.iter().map(sibling).collect()
}

/// What a model is by its `config.json`, if that is here: nothing is fetched for it.
pub(super) fn config(library: &Library, files: &[FileEntry]) -> Option<Json> {
    #[derive(Deserialize)]
    struct Config {
        model_type: Option<String>,
        architectures: Option<Vec<String>>,
    }
    let file = find(files, "config.json").filter(|file| file.size <= limits::INLINE_FILE)?;
    let config: Config = serde_json::from_slice(&hub::small(library, file)?).ok()?;
    let mut object = Object::new();
    object.extend(config.model_type.map(|it| ("model_type".to_owned(), json!(it))));
    object.extend(config.architectures.map(|it| ("architectures".to_owned(), json!(it))));
    (!object.is_empty()).then_some(Json::Object(object))
}

/// Every file is of the large kind, known by its digest; `key`: what the digest is called.
pub(super) fn lfs(key: &str, file: &FileEntry) -> Json {
    json!({
        key: hex(&file.sha256),
        "size": file.size,
        "pointerSize": git::pointer(&file.sha256, file.size).len(),
    })
}

/// What lists are filtered by: tags of the README, and licence, languages and so on as the Hub writes them.
fn tags(metadata: &Map) -> Vec<String> {
    let texts = |key: &str| -> Vec<&str> {
        match metadata.get(key) {
            Some(Value::List(list)) => list.iter().filter_map(Value::as_text).collect(),
            Some(value) => value.as_text().into_iter().collect(),
            None => Vec::new(),
        }
    };
    let mut tags: Vec<String> = Vec::new();
    for key in ["library_name", "pipeline_tag", "tags", "language"] {
        tags.extend(texts(key).into_iter().map(str::to_owned));
    }
    for (key, word) in [
        ("license", "license"),
        ("language", "language"),
        ("datasets", "dataset"),
        ("base_model", "base_model"),
    ] {
        tags.extend(texts(key).into_iter().map(|text| format!("{word}:{text}")));
    }
    let mut seen = std::collections::HashSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    tags
}

/// Signed metadata as plain JSON; a link as its CID.
fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(it) => json!(it),
        Value::Int(it) => i64::try_from(*it).map_or_else(|_| json!(it.to_string()), Json::from),
        Value::Text(it) => json!(it),
        Value::List(it) => it.iter().map(plain).collect(),
        Value::Map(it) => {
            Json::Object(it.iter().map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        Value::Link(cid) => json!(cid.to_string()),
    }
}
