//! What the library keeps with a tree besides what the store knows of it.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::{dag::Cid, limits, store::Tree};

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
    /// What another tool calls it, from whose folder it was adopted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
    /// What came of comparing all files with what the card says of them; none if that is still to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statements: Option<Statements>,
    /// Cards over the same files that came too, or that the publisher's index lists: not the one that the version has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<Over>,
}

/// What another tool calls a version that it brought here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub(super) enum Adopted {
    /// A snapshot of a Hugging Face cache.
    Hub {
        /// `namespace/name`, or a name alone, on the hub that it came from.
        id: String,
        /// The hub's commit id, 40 hex digits: not one of ours.
        commit: String,
        /// The refs that pointed there when it was last looked at.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refs: Vec<String>,
    },
    /// A model of Ollama.
    Ollama {
        /// `registry/namespace/name:tag`.
        model: String,
    },
}

/// A card over files that another card stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Over {
    /// Its id.
    pub card: String,
    /// Its release, if that was fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Its version.
    pub version: String,
    /// Its place in the chain.
    pub seq: u64,
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
    /// The ids of the other cards over the same files.
    pub(super) fn over_too(&self) -> Vec<Cid> {
        self.over.iter().filter_map(|over| over.card.parse().ok()).collect()
    }

    /// Notes another card over the same files; of too many the newest stay.
    pub(super) fn add_over(&mut self, over: Over) {
        self.over.retain(|known| known.card != over.card);
        self.over.push(over);
        self.over.sort_by_key(|over| Reverse(over.seq));
        self.over.truncate(limits::CARDS_OVER);
    }

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
