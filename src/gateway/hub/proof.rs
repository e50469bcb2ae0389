//! Proofs that we made an address that uploads are sent to, for this repo, batch and file, and until when: clients send no
//! token there.
//!
//! A proof is `END-MAC`: Unix seconds, and the HMAC-SHA256 of them and of what the address is for, under the endpoint's token.
//! Only who knows the token can make one. It holds for every method, since one address is written to and then asked about.

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::super::guard;
use crate::card::json::hex;

/// For how long a client may use an address: large uploads take hours. It asks for another when that is over.
const VALID: Duration = Duration::from_secs(24 * 3600);

fn now() -> Duration {
    // Before 1970 no proof is over, and one is as good as any.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// When a proof that is made now will end, in Unix seconds.
pub(super) fn end() -> u64 {
    (now() + VALID).as_secs()
}

/// That we made an address for these words, none of which has a line's end.
pub(super) fn make(token: &str, words: &[&str], end: u64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("a key of any length");
    mac.update(format!("modelswarm upload\n{end}\n{}", words.join("\n")).as_bytes());
    format!("{end}-{}", hex(&mac.finalize().into_bytes()))
}

/// Whether this is such a proof, and not over.
pub(super) fn holds(token: &str, words: &[&str], given: &str) -> bool {
    holds_at(token, words, given, now().as_secs())
}

fn holds_at(token: &str, words: &[&str], given: &str, now: u64) -> bool {
    let end = given.split_once('-').and_then(|(end, _)| end.parse().ok());
    end.is_some_and(|end| now < end && guard::same(&make(token, words, end), given))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 3] = ["model", "tiny", "b1"];

    #[test]
    fn one_holds_for_what_it_was_made_for_until_its_end() {
        let proof = make("hf_x", &WORDS, 1000);
        assert!(holds_at("hf_x", &WORDS, &proof, 999));
        assert!(!holds_at("hf_x", &WORDS, &proof, 1000), "over");
        assert!(!holds_at("hf_y", &WORDS, &proof, 999));
        for words in [&["dataset", "tiny", "b1"][..], &["model", "tiny", "b"], &["model", "tiny"]] {
            assert!(!holds_at("hf_x", words, &proof, 999), "{words:?}");
        }
        let later = proof.replacen("1000", "9999", 1);
        for forged in [&later, "", "1000", "1000-", &format!("0{proof}"), &format!("+{proof}")] {
            assert!(!holds_at("hf_x", &WORDS, forged, 999), "{forged}");
        }
        assert!(holds("hf_x", &WORDS, &make("hf_x", &WORDS, end())));
    }

    #[test]
    fn it_is_an_hmac_of_its_end_and_its_words() {
        // printf 'modelswarm upload\n1000\nmodel\ntiny\nb1' | openssl dgst -sha256 -hmac hf_x
        let mac = "ffd32af179d4ecfab1606fcdb215deabce49adaa46259f041204f13dd4bca6b2";
        assert_eq!(make("hf_x", &WORDS, 1000), format!("1000-{mac}"));
    }
}
