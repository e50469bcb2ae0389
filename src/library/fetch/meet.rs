//! Learning of a version without its files: its card, and what leads to it.
//!
//! A gateway's client asks for a list of files and their digests before it reads any, and the card answers both. From then on
//! the version is in the library as one whose files are still to come: it is not pinned, so `gc` drops it, and it is not
//! announced, since there is nothing to be had; whoever reads from it, or a `get`, goes on from there.

use std::{
    sync::{Arc, PoisonError},
    time::SystemTime,
};

use super::{
    jobs::Job,
    judge,
    origin::Origin,
    plan::{library_folder, repo_of, visibility},
    source::Source,
};
use crate::{
    card::Verified,
    library::{Library, blocking, blocks, chain, note::Note, sign},
    rpc::{Code, Failure, Get},
    store::{Owner, Tree, TreeFile, TreeState},
};

/// Brings the card that a REF means into the library, if `admit` lets it in.
///
/// # Errors
/// As `get`; refused (4) for what nobody signed; what `admit` says.
pub(in crate::library) async fn meet(
    library: &Library,
    get: &Get,
    admit: impl FnOnce(&Verified) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let job = Arc::new(Job::new(get.reference.clone()));
    let wanted = super::Wanted::find(library, get, &job).await?;
    let hints = wanted.hints.clone();
    let mut source = Source::open(library, &get.reference, get.timeout, hints, &job);
    let origin = Origin::find(library, wanted, &mut source).await?;
    let Some(card) = &origin.card else {
        return Err(Failure::new(Code::Refused, format!("nobody signed {}", get.reference)));
    };
    admit(card)?;
    judge(library, &origin).await?;
    let library = library.clone();
    blocking(move || keep(&library, &origin)).await
}

/// Keeps what was learned: the same version again changes nothing, a newer card over the same files takes their place.
fn keep(library: &Library, origin: &Origin) -> Result<(), Failure> {
    let Some(card) = &origin.card else { return Ok(()) };
    let store = library.store();
    // Two who met it at the same time keep it once.
    let _one_at_a_time = library.inner.listing.lock().unwrap_or_else(PoisonError::into_inner);
    let trees = store.trees();
    if trees.iter().any(|(_, tree)| tree.card == Some(*card.id())) {
        return chain::accept(library, card);
    }
    let statement = card.statement();
    let location = library_folder(library, card)?;
    let named_by = origin.named_by.iter().map(ToString::to_string).collect();
    let note = Note { named_by, ..Note::default() };
    let over = |tree: &Tree| Tree {
        release: origin.release,
        card: Some(*card.id()),
        repo: Some(repo_of(statement)),
        kind: statement.kind,
        version: Some(statement.version.to_string()),
        seq: Some(statement.seq),
        created_at: SystemTime::now(),
        note: Note { partial: Note::of(tree).partial, ..note.clone() }.to_text(),
        ..tree.clone()
    };
    let save_card = || -> Result<(), Failure> {
        store.save_card(card.id(), card.bundle())?;
        if let Some(companion) = &origin.companion {
            store.save_companion(card.id(), companion)?;
        }
        Ok(())
    };
    let there = |tree: &Tree| tree.root == origin.root && tree.location == location;
    if let Some((id, known)) = trees.iter().find(|(_, tree)| there(tree)) {
        blocks::add_nodes(store, *id, &origin.blocks)?;
        save_card()?;
        store.change_tree(*id, |tree| *tree = over(known))?;
        return chain::accept(library, card);
    }
    let repo = repo_of(statement);
    let visibility = visibility(library, &store.trees(), &origin.root, Some(&repo));
    let reservation = store.reserve()?;
    blocks::add_nodes(store, reservation.id(), &origin.blocks)?;
    save_card()?;
    let tree = over(&Tree {
        root: origin.root,
        release: None,
        card: None,
        repo: None,
        kind: statement.kind,
        version: None,
        seq: None,
        visibility,
        pinned: false,
        location,
        owner: Owner::Library,
        state: TreeState::Arriving,
        created_at: SystemTime::now(),
        note: None,
    });
    let manifest = sign::signed_files(library, card)?;
    let file = |file: &crate::card::manifest::FileEntry| TreeFile {
        path: file.path.clone(),
        size: file.size,
        cid: file.cid,
        file: None,
    };
    let files: Vec<TreeFile> = manifest.files().iter().map(file).collect();
    store.save_tree(reservation.id(), &tree, &files)?;
    chain::accept(library, card)
}
