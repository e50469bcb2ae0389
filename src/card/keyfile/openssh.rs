//! OpenSSH private key files. What kind of key it is stands before what is encrypted, so that is said first; crate
//! `ssh-key` decrypts and reads the rest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use ssh_key::private::KeypairData;
use ssh_key::{Kdf, PrivateKey};

use crate::card::did::PublisherId;
use crate::limits;

use super::wire::Reader;
use super::{Error, damaged, public};

const MAGIC: &[u8] = b"openssh-key-v1\0";

pub(super) fn private(bytes: &[u8], passphrase: Option<&[u8]>) -> Result<SigningKey, Error> {
    let expected = public_half(bytes)?;
    let mut key = PrivateKey::from_openssh(bytes.trim_ascii_start()).map_err(damaged)?;
    if key.is_encrypted() {
        if let Kdf::Bcrypt { rounds, .. } = key.kdf()
            && *rounds > limits::KEY_FILE_ROUNDS_MAX
        {
            return Err(Error::Rounds { rounds: *rounds });
        }
        let passphrase = passphrase.ok_or(Error::PassphraseNeeded)?;
        key = key.decrypt(passphrase).map_err(|error| match error {
            ssh_key::Error::Crypto => Error::WrongPassphrase,
            other => damaged(other),
        })?;
    }
    let KeypairData::Ed25519(pair) = key.key_data() else {
        return Err(damaged("its two halves are of different kinds"));
    };
    let key = SigningKey::from_bytes(&pair.private.to_bytes());
    if PublisherId::try_from(&key.verifying_key())? != expected {
        return Err(damaged("its two halves are of different keys"));
    }
    Ok(key)
}

/// The public key, which no passphrase protects.
fn public_half(bytes: &[u8]) -> Result<PublisherId, Error> {
    let text = std::str::from_utf8(bytes).map_err(damaged)?;
    let lines = text.trim().lines().map(str::trim);
    let body: String = lines.filter(|line| !line.starts_with("-----")).collect();
    let body = STANDARD.decode(body).map_err(damaged)?;
    let inside = body.strip_prefix(MAGIC).ok_or_else(|| damaged("it is not openssh-key-v1"))?;
    let mut reader = Reader(inside);
    let head = (reader.text(), reader.text(), reader.string(), reader.u32());
    let (Some(_cipher), Some(_kdf), Some(_options), Some(keys)) = head else {
        return Err(damaged("it ends early"));
    };
    if keys != 1 {
        return Err(damaged(format_args!("it has {keys} keys instead of one")));
    }
    public::from_blob(reader.string().ok_or_else(|| damaged("it ends early"))?)
}
