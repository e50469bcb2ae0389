//! The keys of a home: the node's, which peers know it by, and the publisher's, which signs cards. They are separate
//! so that a machine can be lost without losing the name, and neither ever leaves its file. A third one, P-256, signs
//! companions of cards (`model.sig`); it is made when one is first asked for.
//!
//! All are PKCS#8 PEM files, 0600, that `openssl pkey` reads. A key is made where there is none; an unreadable or
//! damaged one is an error and is never replaced: the publisher key IS the publisher.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};

use crate::{
    card::oms,
    config::Home,
    rpc::{Code, Failure},
};

/// Both keys, and whether any was made just now.
#[derive(Debug)]
pub struct Keys {
    /// The node's identity.
    pub node: SigningKey,
    /// What signs cards.
    pub publisher: SigningKey,
    /// Whether any was made just now.
    pub made: bool,
}

/// Reads both keys, making what is missing.
///
/// # Errors
/// Permission (5) or failure (1), naming the file.
pub fn load(home: &Home) -> Result<Keys, Failure> {
    let dir = home.keys();
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|why| failed(&dir, &why))?;
    let (node, made_node) = load_or_make(&home.node_key())?;
    let (publisher, made_publisher) = load_or_make(&home.publisher_key())?;
    Ok(Keys { node, publisher, made: made_node || made_publisher })
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

/// Writes a key's file whole, or not at all.
fn put(path: &Path, text: &str) -> io::Result<()> {
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
    let code = match why.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::Permission,
        io::ErrorKind::StorageFull => Code::NoSpace,
        _ => Code::Failure,
    };
    Failure::new(code, format!("cannot use the key {}: {why}", path.display()))
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
        assert_eq!(first.publisher.to_bytes(), second.publisher.to_bytes());
        assert_ne!(first.publisher.to_bytes(), first.node.to_bytes());
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
