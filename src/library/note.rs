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
