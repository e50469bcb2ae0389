//! The keys of a home: the node's, which peers know it by, and the publisher's, which signs cards. They are separate
//! so that a machine can be lost without losing the name, and neither ever leaves its file. A third one, P-256, signs
//! companions of cards (`model.sig`); it is made when one is first asked for.
//!
//! The publisher's may also be elsewhere, in a file or an ssh-agent (`publisher.toml`): then a daemon never sees it, and
//! commands sign. With a lab's `lab.json` beside it the key signs for that lab.
//!
//! All are PKCS#8 PEM files, 0600, that `openssl pkey` reads. A key is made where there is none; an unreadable or
//! damaged one is an error and is never replaced: the publisher key IS the publisher.

mod choose;

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};

use serde::{Deserialize, Serialize};

use super::files;
use crate::{
    card::{Identity, PublisherId, oms, tuf::Publisher},
    config::Home,
    rpc::{Code, Failure},
};

pub(super) use choose::replace;
pub use choose::{export, import, join, leave, make as make_file, point_to, shown, use_home};

/// Both keys, and whether any was made just now.
#[derive(Debug)]
pub struct Keys {
    /// The node's identity.
    pub node: SigningKey,
    /// Who publishes here.
    pub publisher: Publishing,
    /// Whether any was made just now.
    pub made: bool,
}

/// Who publishes here.
#[derive(Debug)]
pub struct Publishing {
    /// Whose cards are made: the key's own, or the lab's that it signs for.
    pub identity: Identity,
    /// The key that signs them.
    pub signer: PublisherId,
    /// That key itself, if the home holds it; else whoever asks for a signature gives it.
    pub key: Option<SigningKey>,
    /// The lab that the key signs for.
    pub lab: Option<Publisher>,
}

/// Where a publisher's key is that the home does not hold: `keys/publisher.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    /// Which key.
    pub id: PublisherId,
    /// Its file; none: it is in an ssh-agent.
    pub file: Option<PathBuf>,
}

/// Reads both keys, making what is missing.
///
/// # Errors
/// Permission (5) or failure (1), naming the file.
pub fn load(home: &Home) -> Result<Keys, Failure> {
    let dir = home.keys();
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|why| failed(&dir, &why))?;
    let (node, made_node) = load_or_make(&home.node_key())?;
    let (signer, key, made) = match elsewhere(home)? {
        Some(Elsewhere { id, .. }) => (id, None, false),
        None => {
            let (key, made) = load_or_make(&home.publisher_key())?;
            let id = PublisherId::try_from(&key.verifying_key()).map_err(|why| {
                let path = home.publisher_key();
                Failure::new(Code::Failure, format!("{} is unusable: {why}", path.display()))
            })?;
            (id, Some(key), made)
        }
    };
    let lab = lab(home)?;
    let identity = lab.as_ref().map_or(Identity::Key(signer), |lab| Identity::Tuf(*lab.id()));
    let publisher = Publishing { identity, signer, key, lab };
    Ok(Keys { node, publisher, made: made_node || made })
}

/// As whom this home publishes.
///
/// # Errors
/// As [`load`].
pub fn identity(home: &Home) -> Result<Identity, Failure> {
    Ok(load(home)?.publisher.identity)
}

/// Where the publisher's key is, if not in this home.
///
/// # Errors
/// Failure (1) for a note that cannot be read.
pub fn elsewhere(home: &Home) -> Result<Option<Elsewhere>, Failure> {
    let path = home.publisher_note();
    read(&path)?
        .map(|text| {
            toml::from_str(&text).map_err(|why| {
                Failure::new(Code::Failure, format!("{} is damaged: {why}", path.display()))
                    .hint("say anew where the key is: modelswarm key use FILE")
            })
        })
        .transpose()
}

/// The lab that this home publishes for.
fn lab(home: &Home) -> Result<Option<Publisher>, Failure> {
    let path = home.lab_document();
    read(&path)?
        .map(|text| {
            Publisher::from_document(text.as_bytes()).map_err(|why| {
                Failure::new(Code::Failure, format!("{}: {why}", path.display())).hint(
                    "put the lab's publisher.json in its place: modelswarm publisher use FILE",
                )
            })
        })
        .transpose()
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(failed(path, &why)),
    }
}

fn load_or_make(path: &Path) -> Result<(SigningKey, bool), Failure> {
    match fs::read_to_string(path) {
        Ok(text) => SigningKey::from_pkcs8_pem(&text).map(|key| (key, false)).map_err(|why| {
            Failure::new(
                Code::Failure,
                format!("{} is not an ed25519 key in PKCS#8 PEM form: {why}", path.display()),
            )
            .hint("put your backup of it in its place; a new key would be another publisher")
        }),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok((make(path)?, true)),
        Err(why) => Err(failed(path, &why)),
    }
}

/// Makes a key and puts it in place whole: a half-written key would lock the user out for good.
fn make(path: &Path) -> Result<SigningKey, Failure> {
    let key = SigningKey::from_bytes(&rand::random());
    let text = key.to_pkcs8_pem(LineEnding::LF).map_err(|why| {
        Failure::new(Code::Failure, format!("cannot write {}: {why}", path.display()))
    })?;
    match put(path, &text) {
        Ok(()) => Ok(key),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {
            load_or_make(path).map(|(key, _)| key)
        }
        Err(why) => Err(failed(path, &why)),
    }
}

/// The companion key, made if there is none.
///
/// # Errors
/// As [`load`].
pub fn companion(home: &Home) -> Result<oms::SigningKey, Failure> {
    if let Some(key) = held_companion(home)? {
        return Ok(key);
    }
    let key = loop {
        if let Some(key) = oms::SigningKey::from_random(&rand::random()) {
            break key;
        }
    };
    let path = home.oms_key();
    match put(&path, &key.to_pem()) {
        Ok(()) => Ok(key),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {
            held_companion(home)?.ok_or_else(|| failed(&path, &why))
        }
        Err(why) => Err(failed(&path, &why)),
    }
}

/// The companion key, if there is one.
///
/// # Errors
/// As [`load`].
pub fn held_companion(home: &Home) -> Result<Option<oms::SigningKey>, Failure> {
    let path = home.oms_key();
    match fs::read_to_string(&path) {
        Ok(text) => oms::SigningKey::from_pem(&text).map(Some).map_err(|why| {
            Failure::new(Code::Failure, format!("{}: {why}", path.display()))
                .hint("put your backup of it in its place, or move it away: the next --oms makes a new one")
        }),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(failed(&path, &why)),
    }
}

/// Writes a secret's file whole, or not at all; one that is there stays, and is the error.
pub(super) fn put(path: &Path, text: &str) -> io::Result<()> {
    let partial = path.with_extension("new");
    if partial.exists() {
        fs::remove_file(&partial)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // A link, unlike a rename, never replaces a key that another process made meanwhile.
    fs::hard_link(&partial, path)?;
    fs::remove_file(&partial)
}

fn failed(path: &Path, why: &io::Error) -> Failure {
    Failure::new(files::code(why), format!("cannot use the key {}: {why}", path.display()))
        .hint("use another home with --home DIR, or mend the rights of this one")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_are_made_once_and_found_again() {
        let dir = tempfile::tempdir().expect("temp dir");
        let home = Home::single(dir.path());
        let first = load(&home).expect("made");
        let second = load(&home).expect("found");
        assert!(first.made && !second.made);
        assert_eq!(first.publisher.signer, second.publisher.signer);
        let key = first.publisher.key.expect("held");
        assert_ne!(key.to_bytes(), first.node.to_bytes());
        let mode = fs::metadata(home.publisher_key()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_an_error_and_stays_as_it_is() {
        let dir = tempfile::tempdir().expect("temp dir");
        let home = Home::single(dir.path());
        load(&home).expect("made");
        fs::write(home.publisher_key(), "garbage").expect("written");
        assert!(load(&home).is_err());
        assert_eq!(fs::read_to_string(home.publisher_key()).expect("there"), "garbage");
    }
}
