//! What the library keeps with a tree besides what the store knows of it.

use serde::{Deserialize, Serialize};

use crate::store::Tree;

/// A tree's note.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    /// The name of unsigned content, which belongs to no publisher's repo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether only some of the tree's files were asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// What led here, the publisher's index above all: announced with the tree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named_by: Vec<String>,
    /// Of which repo it is a state that is not signed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<Draft>,
    /// What came of comparing all files with what the card says of them; none if that is still to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statements: Option<Statements>,
}

/// A state of one of the user's own repos, as somebody committed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Draft {
    /// The repo's name.
    pub name: String,
    /// Place among its drafts, from 1.
    pub number: u64,
    /// What it was committed with.
    pub title: String,
    /// When, RFC 3339.
    pub at: String,
}

/// Whether a publisher's statements of the files hold. The signature does either way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Statements {
    /// Every digest is the stated one.
    Hold,
    /// What does not, in few lines.
    DoNotHold(Vec<String>),
}

impl Note {
    /// The note of a tree; what can't be read is as good as none.
    pub(super) fn of(tree: &Tree) -> Self {
        tree.note.as_deref().and_then(|note| serde_json::from_str(note).ok()).unwrap_or_default()
    }

    /// The note as the store keeps it; none if there is nothing to say.
    pub(super) fn to_text(&self) -> Option<String> {
        (*self != Self::default())
            .then(|| serde_json::to_string(self).expect("a note is plain data with text keys"))
    }
}
