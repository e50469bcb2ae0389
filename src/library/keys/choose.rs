//! Which key publishes here: made, brought in, or left where it is. No key is ever overwritten or deleted: one that another
//! takes the place of is moved aside.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{EncodePrivateKey as _, spki::der::pem::LineEnding},
};

use super::{Elsewhere, elsewhere, failed, load, put};
use crate::{
    card::{PublisherId, ipns, keyfile, tuf::Publisher},
    config::Home,
    library::files,
    rpc::{Code, Failure, KeyExported, KeyHeld, KeyMade, KeyShown},
};

/// Who publishes here.
///
/// # Errors
/// As [`load`].
pub fn shown(home: &Home) -> Result<KeyShown, Failure> {
    let publishing = load(home)?.publisher;
    let (held, file) = match elsewhere(home)? {
        None => (KeyHeld::Home, Some(home.publisher_key())),
        Some(Elsewhere { file: Some(file), .. }) => (KeyHeld::File, Some(file)),
        Some(Elsewhere { file: None, .. }) => (KeyHeld::Agent, None),
    };
    Ok(KeyShown {
        publisher: publishing.identity.to_string(),
        key: publishing.signer.to_string(),
        name: ipns::name::text(&publishing.signer),
        held,
        file,
        aside: None,
    })
}

/// Makes a key in a file of its own.
///
/// # Errors
/// Failure (1) if something is there, or as the disk says.
pub fn make(path: &Path) -> Result<KeyMade, Failure> {
    if path.symlink_metadata().is_ok() {
        return Err(Failure::new(Code::Failure, format!("{} exists", path.display()))
            .hint("name another file; a key is never overwritten"));
    }
    let key = SigningKey::from_bytes(&rand::random());
    write(path, &key)?;
    Ok(KeyMade { key: id_of(&key)?.to_string(), file: path.to_owned() })
}

/// Makes this the home's own key: the daemon signs with it.
///
/// # Errors
/// As the disk says.
pub fn import(home: &Home, key: &SigningKey) -> Result<KeyShown, Failure> {
    // The home and its keys are there first, so that what was made is what is moved aside.
    let held = load(home)?.publisher;
    let id = id_of(key)?;
    let mut aside = None;
    if held.key.is_none() || held.signer != id {
        aside = move_aside(home)?;
        write(&home.publisher_key(), key)?;
    }
    forget(&home.publisher_note())?;
    Ok(KeyShown { aside, ..shown(home)? })
}

/// Publishes with a key that stays where it is; commands sign with it.
///
/// # Errors
/// As the disk says.
pub fn point_to(home: &Home, note: &Elsewhere) -> Result<KeyShown, Failure> {
    load(home)?;
    let path = home.publisher_note();
    let text = toml::to_string(note).map_err(|why| {
        Failure::new(Code::Failure, format!("cannot write {}: {why}", path.display()))
    })?;
    replace(&path, text.as_bytes())?;
    shown(home)
}

/// Publishes with the key in the home again.
///
/// # Errors
/// As the disk says.
pub fn use_home(home: &Home) -> Result<KeyShown, Failure> {
    forget(&home.publisher_note())?;
    shown(home)
}

/// Publishes for a lab from now on.
///
/// # Errors
/// Refused (4) if the home's key signs no cards of it; as the disk says.
pub fn join(home: &Home, lab: &Publisher) -> Result<KeyShown, Failure> {
    let signer = load(home)?.publisher.signer;
    if !lab.allowed(&signer, lab.head().version()) {
        return Err(Failure::new(
            Code::Refused,
            format!("{signer}, which signs here, is no key for cards of {}", lab.id()),
        )
        .hint("modelswarm publisher add-key FILE --role card KEY; or sign with one that is: modelswarm key use FILE"));
    }
    replace(&home.lab_document(), &lab.to_document())?;
    shown(home)
}

/// Publishes as the key itself again.
///
/// # Errors
/// As the disk says.
pub fn leave(home: &Home) -> Result<KeyShown, Failure> {
    forget(&home.lab_document())?;
    shown(home)
}

/// The public half, as tools of others read it.
///
/// # Errors
/// As [`load`].
pub fn export(home: &Home) -> Result<KeyExported, Failure> {
    let signer = load(home)?.publisher.signer;
    Ok(KeyExported {
        pem: keyfile::to_pem(&signer),
        ssh: keyfile::to_ssh_line(&signer, "modelswarm"),
    })
}

fn id_of(key: &SigningKey) -> Result<PublisherId, Failure> {
    PublisherId::try_from(&key.verifying_key())
        .map_err(|why| Failure::new(Code::Failure, format!("the key is unusable: {why}")))
}

fn write(path: &Path, key: &SigningKey) -> Result<(), Failure> {
    let text = key.to_pkcs8_pem(LineEnding::LF).map_err(|why| {
        Failure::new(Code::Failure, format!("cannot write {}: {why}", path.display()))
    })?;
    put(path, &text).map_err(|why| failed(path, &why))
}

/// Moves the home's key out of the way, under a name that tells which it is.
fn move_aside(home: &Home) -> Result<Option<PathBuf>, Failure> {
    let path = home.publisher_key();
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let (key, _) = super::load_or_make(&path)?;
    let aside = home.keys().join(format!("publisher-{}.key", id_of(&key)?.part()));
    fs::rename(&path, &aside).map_err(|why| failed(&path, &why))?;
    Ok(Some(aside))
}

/// Puts a file in place whole, over one that is there: for notes and documents, which can be made again.
pub(in crate::library) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    files::replace(path, bytes).map_err(|why| failed(path, &why))
}

fn forget(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(failed(path, &why)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().expect("temp dir");
        let home = Home::single(dir.path());
        (dir, home)
    }

    #[test]
    fn a_key_that_another_takes_the_place_of_is_moved_aside() {
        let (_dir, home) = home();
        let before = shown(&home).expect("made");
        let key = SigningKey::from_bytes(&[7; 32]);
        let after = import(&home, &key).expect("brought in");
        assert_ne!(after.key, before.key);
        let aside = after.aside.expect("moved");
        let (kept, _) = super::super::load_or_make(&aside).expect("there");
        assert_eq!(id_of(&kept).expect("usable").to_string(), before.key);
        let again = import(&home, &key).expect("the same again");
        assert_eq!((again.key, again.aside), (after.key, None));
    }

    #[test]
    fn a_key_elsewhere_is_named_and_not_held() {
        let (_dir, home) = home();
        let own = shown(&home).expect("made").key;
        let id = id_of(&SigningKey::from_bytes(&[7; 32])).expect("usable");
        let agent = point_to(&home, &Elsewhere { id, file: None }).expect("noted");
        assert_eq!((agent.held, agent.key), (KeyHeld::Agent, id.to_string()));
        assert!(load(&home).expect("loaded").publisher.key.is_none());
        assert_eq!(use_home(&home).expect("back").key, own);
    }

    #[test]
    fn a_key_file_is_never_overwritten() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("my.key");
        make(&path).expect("made");
        let bytes = fs::read(&path).expect("there");
        assert!(make(&path).is_err());
        assert_eq!(fs::read(&path).expect("there"), bytes);
    }
}
