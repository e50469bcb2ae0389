//! `rm`, `gc`, `pin`, `unpin`, `share`, `repair`: what is kept and how far it goes.

use super::{
    output::{Screen, count, print_text, size},
    seed::reach,
};
use crate::rpc::{Collected, Rebuilt, Removed, Request, Shared};

pub(super) fn print_removed(answer: &Removed) {
    let mut text = format!("  forgot {}\n", count(answer.forgotten.len() as u64, "version"));
    if answer.deleted_files > 0 {
        text += &format!(
            "  deleted {} of the library, {}\n",
            count(answer.deleted_files, "file"),
            size(answer.deleted_bytes)
        );
    }
    if answer.kept_user_files > 0 {
        text +=
            &format!("  {} of yours left where they are\n", count(answer.kept_user_files, "file"));
    }
    print_text(&text);
}

pub(super) fn print_collected(answer: &Collected) {
    let mut text = format!(
        "  dropped {}, deleted {}, {} freed\n",
        count(answer.blocks, "block"),
        count(answer.files, "file"),
        size(answer.bytes)
    );
    if answer.damaged_indexes > 0 {
        let indexes = count_of_indexes(answer.damaged_indexes);
        text += &format!("  deleted {indexes} that repair had moved aside\n");
    }
    print_text(&text);
}

/// Indexes that a repair moved aside, in words.
pub(super) fn count_of_indexes(indexes: u64) -> String {
    match indexes {
        1 => "1 damaged index".into(),
        more => format!("{more} damaged indexes"),
    }
}

pub(super) fn print_shared(answer: &Shared, request: &Request) {
    let text = match request {
        Request::Pin { .. } => format!("  {} is kept\n", answer.name),
        Request::Unpin { .. } => format!("  {} may be dropped by gc\n", answer.name),
        _ => format!("  {} is visible on: {}\n", answer.name, reach(answer.visibility)),
    };
    print_text(&text);
}

pub(super) fn print_rebuilt(answer: &Rebuilt, screen: &Screen) {
    print_text(&format!(
        "  {} back in the index: {}, {}\n",
        count(answer.repos, "version"),
        count(answer.files, "file"),
        count(answer.blocks, "block")
    ));
    if answer.damaged_indexes > 0 {
        screen.hint(&format!(
            "{}, {}, lies beside the new one; `modelswarm gc` deletes it",
            count_of_indexes(answer.damaged_indexes),
            size(answer.damaged_index_bytes)
        ));
    }
    for lost in &answer.lost {
        screen.warning(lost);
    }
}
