//! What a licence must say before a repo goes to everybody: an SPDX expression, or a name whose text lies in the repo.
//!
//! Ids are compared without regard to case, since the Hub writes `apache-2.0` where SPDX writes `Apache-2.0`. Whether the
//! licence is the right one nobody checks here. The rule for visibility `public`; elsewhere a lack is a warning.

use spdx::{Expression, ParseMode, identifiers::LICENSES};

use super::json::{Map, Value};
use crate::config::Visibility;

/// Names of files at the top of a repo that are taken for the text of its licence, in lower case, without extension.
const TEXTS: [&str; 4] = ["license", "licence", "copying", "unlicense"];

/// What a licence lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// No word on it.
    #[error("it has no licence")]
    Licence,
    /// Nobody's word on anything.
    #[error("it is unsigned, and a licence is for its publisher to state")]
    Signature,
    /// A name that is no SPDX id, and no text of it.
    #[error("its licence {name:?} is no SPDX id, and no LICENSE file of the repo has its text")]
    Text {
        /// The name.
        name: String,
    },
}

/// Whether these licences, and the repo's files as (path, bytes), are enough for everybody to know what they may do.
///
/// # Errors
/// What is lacking.
pub fn check<'a>(
    licenses: &[&str],
    files: impl IntoIterator<Item = (&'a str, u64)>,
) -> Result<(), Lack> {
    if licenses.is_empty() {
        return Err(Lack::Licence);
    }
    let Some(name) = licenses.iter().find(|name| !is_spdx(name)) else { return Ok(()) };
    if files.into_iter().any(|(path, bytes)| bytes > 0 && is_text(path)) {
        return Ok(());
    }
    Err(Lack::Text { name: (*name).to_owned() })
}

/// The licences that a card states: its own, else those that its front matter lists.
pub fn stated<'a>(license: Option<&'a str>, metadata: &'a Map) -> Vec<&'a str> {
    match (license, metadata.get("license")) {
        (Some(one), _) => vec![one],
        (None, Some(Value::List(list))) => list.iter().filter_map(Value::as_text).collect(),
        (None, stated) => stated.and_then(Value::as_text).into_iter().collect(),
    }
}

/// Whether a repo of this visibility must not go without.
pub fn is_required(visibility: Visibility) -> bool {
    visibility == Visibility::Public
}

/// Whether the text is an SPDX id, such as `MIT`, or an expression of such, in any case.
pub fn is_spdx(text: &str) -> bool {
    LICENSES.iter().any(|license| license.name.eq_ignore_ascii_case(text))
        || Expression::parse_mode(text, ParseMode::LAX).is_ok()
}

/// Whether a file of this path is taken for the text of the repo's licence.
fn is_text(path: &str) -> bool {
    let name = path.to_ascii_lowercase();
    let stem = name.split_once('.').map_or(name.as_str(), |(stem, _)| stem);
    !name.contains('/') && TEXTS.contains(&stem)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spdx_ids_are_known_in_any_case_and_in_expressions() {
        for text in ["MIT", "mit", "apache-2.0", "Apache-2.0", "cc-by-nc-4.0", "MIT OR Apache-2.0"]
        {
            assert_eq!(check(&[text], []), Ok(()), "{text}");
        }
    }

    #[test]
    fn another_name_needs_its_text_at_the_top_of_the_repo() {
        for name in ["llama3", "other", "my own", "", "MIT OR", "MIT and my own"] {
            let lack = Err(Lack::Text { name: name.into() });
            let none = [("README.md", 1), ("docs/LICENSE", 1), ("licensed.bin", 1), ("LICENSE", 0)];
            assert_eq!(check(&[name], none), lack, "{name}");
            for text in ["LICENSE", "LICENSE.txt", "Licence.md", "COPYING"] {
                let files = [("README.md", 1), (text, 1)];
                assert_eq!(check(&[name], files), Ok(()), "{name}, {text}");
            }
        }
    }

    #[test]
    fn a_text_without_a_name_is_not_enough() {
        assert_eq!(check(&[], [("LICENSE", 1)]), Err(Lack::Licence));
    }

    #[test]
    fn each_of_several_must_be_known() {
        let several = Value::List(vec!["mit".into(), "apache-2.0".into()]);
        let metadata = Map::from([("license".to_owned(), several)]);
        assert_eq!(stated(None, &metadata), ["mit", "apache-2.0"]);
        assert_eq!(stated(Some("mit"), &metadata), ["mit"]);
        assert_eq!(check(&stated(None, &metadata), []), Ok(()));
        let lack = Lack::Text { name: "my own".into() };
        assert_eq!(check(&["mit", "my own"], []), Err(lack));
    }

    #[test]
    fn only_what_goes_to_everybody_must_have_one() {
        assert!(is_required(Visibility::Public));
        assert!(!is_required(Visibility::Lan) && !is_required(Visibility::Private));
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = check(&[&text], [(text.as_str(), 1)]).is_ok();
        }
    }
}
