//! The statement that is signed: one subject with the root digest, and a predicate with every file.
//!
//! Read into typed structs after the signature was checked, never before; a duplicate of a field that is read is
//! refused, fields that are not are passed over, as in-toto asks. Order is not asked of others: OMS 5.2.1 wants code
//! points, `model_signing` 1.1.1 writes the order of path parts ("a/c" before "a-b"); the root digest is over the
//! order that was written, as its own verifier computes it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Entry, Error, PublicKey, Signed};
use crate::card::json::{hex, parse_hex, shortened};
use crate::card::manifest::{self, FileEntry, Manifest, OMS_IGNORED, check_path};
use crate::card::name::RepoName;
use crate::card::statement::STATEMENT_TYPE;
use crate::limits;

const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";
const METHOD: &str = "files";
const HASH: &str = "sha256";
/// Bytes of a listed file besides its name.
const RESOURCE_LEN: usize = r#"{"algorithm":"sha256","digest":"","name":""},"#.len() + 64;

/// Fields in bytewise order of their names, the order of the card's JSON.
#[derive(Serialize, Deserialize)]
struct Statement<'a> {
    #[serde(rename = "_type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    predicate: Predicate<'a>,
    #[serde(rename = "predicateType", borrow)]
    predicate_type: Cow<'a, str>,
    #[serde(borrow)]
    subject: [Subject<'a>; 1],
}

#[derive(Serialize, Deserialize)]
struct Predicate<'a> {
    #[serde(borrow)]
    resources: Vec<Resource<'a>>,
    #[serde(borrow)]
    serialization: Serialization<'a>,
}

#[derive(Serialize, Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    algorithm: Cow<'a, str>,
    #[serde(borrow)]
    digest: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct Serialization<'a> {
    /// Whether links were followed; what they led to was hashed as a file, so it changes nothing here.
    allow_symlinks: bool,
    #[serde(borrow)]
    hash_type: Cow<'a, str>,
    #[serde(borrow, default)]
    ignore_paths: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    method: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct Subject<'a> {
    #[serde(borrow)]
    digest: DigestSet<'a>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct DigestSet<'a> {
    #[serde(borrow)]
    sha256: Cow<'a, str>,
}

/// What kind of statement it is, before anything is asked of its form.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "_type", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "predicateType", borrow)]
    predicate_type: Cow<'a, str>,
}

/// The payload of a companion.
pub(super) fn write(name: &RepoName, manifest: &Manifest) -> Result<Vec<u8>, Error> {
    let files: Vec<&FileEntry> = manifest.files().iter().filter(|file| is_signed(file)).collect();
    if files.is_empty() {
        return Err(Error::Nothing);
    }
    // Base64 makes 4 bytes of 3; counted before anything is allocated for a dataset of a million files.
    let len = files.iter().map(|file| file.path.len() + RESOURCE_LEN).sum::<usize>() / 3 * 4;
    if len > limits::OMS_BUNDLE_MAX {
        return Err(Error::TooLarge { len });
    }
    let resource = |file: &&FileEntry| Resource {
        algorithm: HASH.into(),
        digest: hex(&file.sha256).into(),
        name: file.path.clone().into(),
    };
    let statement = Statement {
        kind: STATEMENT_TYPE.into(),
        predicate: Predicate {
            resources: files.iter().map(resource).collect(),
            serialization: Serialization {
                allow_symlinks: false,
                hash_type: HASH.into(),
                ignore_paths: OMS_IGNORED.map(Cow::from).to_vec(),
                method: METHOD.into(),
            },
        },
        predicate_type: PREDICATE_TYPE.into(),
        subject: [Subject {
            digest: DigestSet { sha256: hex(&manifest.digests().oms).into() },
            name: name.as_str().into(),
        }],
    };
    Ok(serde_json::to_vec(&statement).expect("strings and lists always serialise"))
}

fn is_signed(file: &FileEntry) -> bool {
    let top = file.path.split('/').next().unwrap_or_default();
    !OMS_IGNORED.contains(&top)
}

/// Reads what `key` signed.
pub(super) fn read(payload: &[u8], key: PublicKey) -> Result<Signed, Error> {
    let refused = |why: String| Error::Statement(shortened(&why));
    let head: Head<'_> = serde_json::from_slice(payload).map_err(|why| refused(why.to_string()))?;
    for (field, found, expected) in [
        ("_type", head.kind, STATEMENT_TYPE),
        ("predicateType", head.predicate_type, PREDICATE_TYPE),
    ] {
        if found != expected {
            return Err(refused(format!("its {field} is {:?}", shortened(&found))));
        }
    }
    let statement: Statement<'_> =
        serde_json::from_slice(payload).map_err(|why| refused(why.to_string()))?;
    let Predicate { resources, serialization } = statement.predicate;
    match &*serialization.method {
        METHOD => {}
        "shards" => return Err(Error::Shards),
        other => return Err(refused(format!("its method is {:?}", shortened(other)))),
    }
    let [subject] = &statement.subject;
    let root: [u8; 32] = parse_hex(&subject.digest.sha256)
        .ok_or_else(|| refused("its root digest is not 64 lower-case hex digits".to_owned()))?;
    let entries = entries(&resources, &serialization.hash_type, &root)?;
    Ok(Signed { key, entries, ignore_paths: ignored(serialization.ignore_paths)?, root })
}

/// The listed files, sorted; their digests must give the root in the order in which they stand.
fn entries(resources: &[Resource<'_>], hash: &str, root: &[u8; 32]) -> Result<Vec<Entry>, Error> {
    if resources.is_empty() {
        return Err(Error::Statement("it lists no files".to_owned()));
    }
    let mut digests = Sha256::new();
    let mut entries = Vec::with_capacity(resources.len());
    for Resource { algorithm, digest, name } in resources {
        if let Some(hash) = [hash, algorithm].into_iter().find(|name| *name != HASH) {
            return Err(Error::Hash { hash: shortened(hash) });
        }
        check_path(name)?;
        let sha256: [u8; 32] = parse_hex(digest).ok_or_else(|| {
            let why =
                format!("the digest of {:?} is not 64 lower-case hex digits", shortened(name));
            Error::Statement(why)
        })?;
        digests.update(sha256);
        entries.push(Entry { path: name.clone().into_owned(), sha256 });
    }
    if <[u8; 32]>::from(digests.finalize()) != *root {
        return Err(Error::Root);
    }
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    match entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
        Some(pair) => Err(manifest::Error::Twice { path: pair[0].path.clone() }.into()),
        None => Ok(entries),
    }
}

fn ignored(paths: Vec<Cow<'_, str>>) -> Result<Vec<String>, Error> {
    if paths.len() > limits::OMS_IGNORED_MAX {
        return Err(Error::Statement(format!(
            "it names {} paths as left out, at most {} are read",
            paths.len(),
            limits::OMS_IGNORED_MAX
        )));
    }
    let checked = paths.into_iter().map(|path| {
        check_path(&path)?;
        Ok(path.into_owned())
    });
    checked.collect()
}
