//! The token of a home: what proves to its HTTP endpoint that a client is the owner's. It is made when first asked for, lies
//! in a file that only the owner reads, and never leaves this machine by us.

use std::{fs::DirBuilder, io, os::unix::fs::DirBuilderExt as _};

use rand::{RngExt as _, distr::Alphanumeric};

use super::{files, keys};
use crate::{
    config::Home,
    rpc::{Code, Failure},
};

/// What the Hub's tokens begin with; llama.cpp sends no others.
const START: &str = "hf_";
/// Letters and digits behind it.
const LENGTH: usize = 40;

/// The token; made where there is none.
///
/// # Errors
/// Permission (5) or failure (1), naming the file; failure (1) for a file that holds something else.
pub fn load(home: &Home) -> Result<String, Failure> {
    let path = home.token_file();
    let failed = |why: &io::Error| {
        Failure::new(files::code(why), format!("cannot use the token {}: {why}", path.display()))
    };
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|why| failed(&why))?;
    }
    let token = {
        let random = rand::rng().sample_iter(Alphanumeric).take(LENGTH).map(char::from);
        START.chars().chain(random).collect::<String>()
    };
    match keys::put(&path, &token) {
        Ok(()) => return Ok(token),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
        Err(why) => return Err(failed(&why)),
    }
    let bytes = files::read_at_most(&path, START.len() + LENGTH + 1).map_err(|why| failed(&why))?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end();
    let is_token = text.strip_prefix(START).is_some_and(|rest| {
        rest.len() == LENGTH && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if is_token {
        return Ok(text.to_owned());
    }
    Err(Failure::new(Code::Failure, format!("{} does not hold a token", path.display()))
        .hint("delete it, and the next start of the daemon makes a new one"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_home_has_one_token_that_only_its_owner_reads() {
        let dir = tempfile::tempdir().expect("temp folder");
        let home = Home::single(dir.path());
        let token = load(&home).expect("made");
        assert_eq!((token.len(), &token[..3]), (43, "hf_"));
        assert_eq!(load(&home).expect("kept"), token);
        let mode = fs::metadata(home.token_file()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_token_is_not_taken_for_one_and_is_left_alone() {
        let dir = tempfile::tempdir().expect("temp folder");
        let home = Home::single(dir.path());
        for text in ["", "hf_", "hf_too short", &format!("hf_{}x", "a".repeat(40))] {
            fs::write(home.token_file(), text).expect("write");
            assert_eq!(load(&home).map_err(|why| why.code), Err(Code::Failure), "{text}");
            assert_eq!(fs::read_to_string(home.token_file()).expect("there"), text);
        }
    }
}
