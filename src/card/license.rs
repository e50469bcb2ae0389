//! What a licence must say before a repo goes to everybody: an SPDX expression, or a name whose text lies in the repo.
//!
//! Ids are compared without regard to case, since the Hub writes `apache-2.0` where SPDX writes `Apache-2.0`. Whether the
//! licence is the right one nobody checks here. The rule for visibility `public`; elsewhere a lack is a warning.

use spdx::{Expression, ParseMode, identifiers::LICENSES};

use crate::config::Visibility;

/// Names of files at the top of a repo that are taken for the text of its licence, in lower case, without extension.
const TEXTS: [&str; 4] = ["license", "licence", "copying", "unlicense"];

/// What a licence lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// No word on it.
    #[error("it has no licence")]
    Licence,
    /// A name that is no SPDX id, and no text of it.
    #[error("its licence {name:?} is no SPDX id, and no LICENSE file of the repo has its text")]
    Text {
        /// The name.
        name: String,
    },
}

/// Whether this licence and these paths of the repo's files are enough for everybody to know what they may do.
///
/// # Errors
/// What is lacking.
pub fn check<'a>(
    license: Option<&str>,
    paths: impl IntoIterator<Item = &'a str>,
) -> Result<(), Lack> {
    let name = license.ok_or(Lack::Licence)?;
    if is_spdx(name) || paths.into_iter().any(is_text) {
        return Ok(());
    }
    Err(Lack::Text { name: name.to_owned() })
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
            assert_eq!(check(Some(text), []), Ok(()), "{text}");
        }
    }

    #[test]
    fn another_name_needs_its_text_at_the_top_of_the_repo() {
        for name in ["llama3", "other", "my own", "", "MIT OR", "MIT and my own"] {
            let lack = Err(Lack::Text { name: name.into() });
            assert_eq!(
                check(Some(name), ["README.md", "docs/LICENSE", "licensed.bin"]),
                lack,
                "{name}"
            );
            for text in ["LICENSE", "LICENSE.txt", "Licence.md", "COPYING"] {
                assert_eq!(check(Some(name), ["README.md", text]), Ok(()), "{name}, {text}");
            }
        }
    }

    #[test]
    fn a_text_without_a_name_is_not_enough() {
        assert_eq!(check(None, ["LICENSE"]), Err(Lack::Licence));
    }

    #[test]
    fn only_what_goes_to_everybody_must_have_one() {
        assert!(is_required(Visibility::Public));
        assert!(!is_required(Visibility::Lan) && !is_required(Visibility::Private));
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = check(Some(&text), [text.as_str()]).is_ok();
        }
    }
}
