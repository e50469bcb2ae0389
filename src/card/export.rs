//! What a person needs to check a card without this software: the files that `card export` writes.
//!
//! The bundle as it is, the publisher's key as OpenSSL reads it, and `VERIFY.md` with the few lines to type. Those
//! lines take the names of files from the signed JSON when they run: nothing that a publisher chose freely stands in
//! them, only texts of closed alphabets (names of repos, versions, did:keys, CIDs, hex, numbers). Nothing is exported
//! that does not hold. Design section 5; provenance sections 2 and 7.1.

use bytes::Bytes;

use super::claim::{self, CLAIMS, Claim};
use super::envelope::Verified;
use super::json::hex;
use super::keyfile;
use super::oms::{self, PublicKey};
use super::release::{CARD, MODEL_SIG, PUBLISHER};
use super::statement::{self, FILES_LIST, Files};
use crate::dag::Cid;
use crate::dag::block::sha256;

/// The publisher's key in PEM.
pub const PUBLISHER_PEM: &str = "publisher.pem";
/// The companion's key in PEM.
pub const COMPANION_PEM: &str = "companion.pem";
/// How to check without us.
pub const VERIFY: &str = "VERIFY.md";

const TEXT: &str = include_str!("export/verify.md");
const COMPANION: &str = include_str!("export/companion.md");
const LAB: &str = include_str!("export/lab.md");
const OTHERS: &str = include_str!("export/claims.md");

/// How the lines of `VERIFY.md` get at the files of a card that lists them itself.
const INLINE_ENTRIES: &str = r#"subjects = json.load(open(sys.argv[1] + "/payload", "rb"))["subject"][1:]
files = [(subject["digest"]["sha256"], subject["name"]) for subject in subjects]"#;

/// The same for a card that names a list.
const LIST_ENTRIES: &str = r#"lines = map(json.loads, open("files.jsonl", "rb"))
files = [(file["sha256"], file["name"]) for file in lines]"#;

/// That the list is the one that the card names.
const LIST: &str = r#"python3 -c 'import json, sys
subject = json.load(open(sys.argv[1] + "/payload", "rb"))["subject"][1]
print(subject["digest"]["sha256"], " files.jsonl")
' "$t" | sha256sum --check --strict
"#;

/// Why a card cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The list of files is missing or another one.
    #[error(transparent)]
    Files(#[from] statement::Error),
    /// The companion does not hold.
    #[error(transparent)]
    Companion(#[from] oms::Error),
    /// A claim is about something else.
    #[error("the claim {0} is not about this card's files")]
    Claim(Box<Cid>),
}

/// The files to write, by name: the card, the key that signed it and `VERIFY.md`; `files.jsonl` if the card names one,
/// `model.sig` and its key if the release has one, of a lab's card its `publisher.json`, `claims.jsonl` if there are claims.
///
/// # Errors
/// [`Error::Files`], [`Error::Companion`] and [`Error::Claim`]: what does not hold is not exported.
pub fn files(
    card: &Verified,
    files_list: Option<Bytes>,
    model_sig: Option<Bytes>,
    publisher: Option<Bytes>,
    claims: &[Claim],
) -> Result<Vec<(&'static str, Bytes)>, Error> {
    let manifest = card.statement().manifest(files_list.as_deref())?;
    let companion = match &model_sig {
        Some(model_sig) => Some(oms::verify_companion(model_sig, card, &manifest)?),
        None => None,
    };
    let root = &card.statement().root;
    if let Some(other) = claims.iter().find(|claim| !claim.subject().is_of(root, Some(card))) {
        return Err(Error::Claim(Box::new(*other.id())));
    }
    let mut files = vec![
        (CARD, card.bundle().clone()),
        (PUBLISHER_PEM, keyfile::to_pem(card.signer()).into()),
        (VERIFY, verify_md(card, companion.as_ref(), claims.len()).into()),
    ];
    if let (Files::List(_), Some(list)) = (&card.statement().files, files_list) {
        files.push((FILES_LIST, list));
    }
    if let (Some(key), Some(model_sig)) = (companion, model_sig) {
        files.push((MODEL_SIG, model_sig));
        files.push((COMPANION_PEM, key.to_pem().into()));
    }
    files.extend(publisher.map(|document| (PUBLISHER, document)));
    if !claims.is_empty() {
        files.push((CLAIMS, claim::to_jsonl(claims.iter().map(Claim::bundle)).into()));
    }
    Ok(files)
}

fn verify_md(card: &Verified, companion: Option<&PublicKey>, claims: usize) -> String {
    let statement = card.statement();
    let (list, entries) = match &statement.files {
        Files::Inline(_) => ("", INLINE_ENTRIES),
        Files::List(_) => (LIST, LIST_ENTRIES),
    };
    let companion = companion.map_or(String::new(), |key| fill(COMPANION, &[("key", key)]));
    let count = if claims == 1 { "a claim".to_owned() } else { format!("{claims} claims") };
    let root = &statement.root;
    let others = match claims {
        0 => String::new(),
        _ => fill(OTHERS, &[("count", &count), ("root", root)]),
    };
    let lab = statement.publisher_root.map_or(String::new(), |root| {
        let key = hex(card.signer().as_bytes());
        fill(
            LAB,
            &[
                ("publisher", &statement.publisher),
                ("version_of_root", &root.version),
                ("key_in_hex", &key),
            ],
        )
    });
    fill(
        TEXT,
        &[
            ("name", &statement.name),
            ("version", &statement.version),
            ("publisher", &statement.publisher),
            ("signer", card.signer()),
            ("card", card.id()),
            ("files", &statement.file_count),
            ("bytes", &statement.total_size),
            ("root", &statement.root),
            ("payload", &hex(&sha256(card.payload()))),
            ("list", &list),
            ("entries", &entries),
            ("companion", &companion),
            ("lab", &lab),
            ("others", &others),
        ],
    )
}

fn fill(text: &str, values: &[(&str, &dyn std::fmt::Display)]) -> String {
    let mut text = text.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("{{{{{name}}}}}"), &value.to_string());
    }
    text
}

#[cfg(test)]
mod tests;
