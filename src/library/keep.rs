//! What is kept and how far it goes: `rm`, `gc`, `pin`, `unpin`, `share`.

use std::ops::ControlFlow;

use super::{
    Library, Watch, blocking, claims,
    fetch::forget_unfinished,
    names,
    note::Note,
    refs::{self, Held},
    sign,
};
use crate::{
    card::license::{self, Lack},
    config::{Audience, Visibility, allows},
    dag::Cid,
    rpc::{Code, Collected, Failure, Removed, Shared},
    store::{Owner, Tree, TreeFile},
};

/// Forgets what a REF means: all versions of a name, or the one that a CID or version names.
///
/// # Errors
/// Not found (3); as the store fails.
pub async fn remove(library: &Library, reference: &str, watch: &Watch) -> Result<Removed, Failure> {
    let held = {
        let (library, reference) = (library.clone(), reference.to_owned());
        blocking(move || refs::versions(&library, &reference)).await?
    };
    let removed = forget(library, held).await?;
    names::publish_after(library, Some(watch)).await;
    Ok(removed)
}

/// Forgets these versions, and tells the DHT.
///
/// # Errors
/// As the store fails.
pub(super) async fn forget(library: &Library, held: Vec<Held>) -> Result<Removed, Failure> {
    for one in &held {
        library.inner.fetches.stop(&one.tree.root).await;
    }
    let cids: Vec<Cid> = held.iter().flat_map(|held| findable(&held.tree)).collect();
    let removed = {
        let (store, library) = (library.store().clone(), library.clone());
        blocking(move || {
            for one in &held {
                forget_unfinished(&library, &one.tree.root)?;
            }
            let mut total = Removed {
                forgotten: Vec::new(),
                deleted_files: 0,
                deleted_bytes: 0,
                kept_user_files: 0,
            };
            for held in &held {
                let users = if held.tree.owner == Owner::User {
                    store.tree_files(held.id)?.count()
                } else {
                    0
                };
                let removed = store.remove_tree(held.id)?;
                total.forgotten.push(held.tree.root.to_string());
                total.deleted_files += removed.files;
                total.deleted_bytes += removed.file_bytes;
                total.kept_user_files += users as u64;
                claims::forget_strangers(&library, &held.tree.root)?;
            }
            let left = store.trees();
            for root in held.iter().map(|held| held.tree.root) {
                if left.iter().all(|(_, tree)| tree.root != root) {
                    store.remove_signatures(&root)?;
                }
            }
            Ok(total)
        })
        .await?
    };
    library.inner.seen.forget();
    if let Some(network) = &library.inner.network {
        network.withdraw(cids).await?;
    }
    Ok(removed)
}

/// Keeps what a REF means from gc, or lets gc have it.
///
/// # Errors
/// Not found (3); as the store fails.
pub async fn pin(library: &Library, reference: &str, pinned: bool) -> Result<Shared, Failure> {
    let (library, reference) = (library.clone(), reference.to_owned());
    blocking(move || {
        let held = refs::versions(&library, &reference)?;
        for one in &held {
            library.store().set_pinned(one.id, pinned)?;
        }
        let head = &held[held.len() - 1].tree;
        Ok(Shared {
            name: name_of(head),
            visibility: head.visibility,
            pinned,
            versions: held.len() as u64,
        })
    })
    .await
}

/// What goes to everybody must say what everybody may do with it: the card does, and so unsigned content does not.
fn check_licenses(library: &Library, held: &[Held]) -> Result<(), Failure> {
    for one in held {
        let card = sign::card_of(library, &one.tree)?;
        let lacks = |lack: Lack| lacks_license(&name_of(&one.tree), &lack);
        let Some(card) = &card else { return Err(lacks(Lack::Signature)) };
        let card = card.statement();
        let files: Result<Vec<TreeFile>, _> = library.store().tree_files(one.id)?.collect();
        let files = files?;
        let stated = license::stated(card.license.as_deref(), &card.metadata);
        license::check(&stated, files.iter().map(|file| (file.path.as_str(), file.size)))
            .map_err(lacks)?;
    }
    Ok(())
}

/// Nothing goes to everybody without a licence.
pub(super) fn lacks_license(name: &str, lack: &Lack) -> Failure {
    let failure = Failure::new(Code::Permission, format!("{name} can't be public: {lack}"));
    failure.hint(match lack {
        Lack::Signature => "seed it without --unsigned, and with --license ID",
        Lack::Licence | Lack::Text { .. } => {
            "seed it with --license ID, such as apache-2.0, or put the licence's text into a LICENSE file"
        }
    })
}

/// Sets how far what a REF means may go, and tells the DHT.
///
/// # Errors
/// Not found (3); as the store and the network fail.
pub async fn share(
    library: &Library,
    reference: &str,
    to: Visibility,
    watch: &Watch,
) -> Result<Shared, Failure> {
    let held = {
        let (library, reference) = (library.clone(), reference.to_owned());
        blocking(move || {
            let held = refs::versions(&library, &reference)?;
            if license::is_required(to) {
                check_licenses(&library, &held)?;
            }
            for one in &held {
                library.store().set_visibility(one.id, to)?;
            }
            Ok(held)
        })
        .await?
    };
    if to == Visibility::Public {
        watch.warn("the public network is not reached by this version: it goes as far as this LAN");
    }
    let cids = held.iter().flat_map(|held| findable(&held.tree)).collect();
    if let Some(network) = &library.inner.network {
        if allows(to, Audience::LanDht) {
            network.announce(cids).await?;
        } else {
            network.withdraw(cids).await?;
        }
    }
    names::publish_after(library, Some(watch)).await;
    let head = &held[held.len() - 1].tree;
    Ok(Shared {
        name: name_of(head),
        visibility: to,
        pinned: head.pinned,
        versions: held.len() as u64,
    })
}

/// Drops what no pin needs.
///
/// # Errors
/// As the store fails; interrupted (130) if nobody waits any more.
pub fn gc(library: &Library, watch: &Watch) -> Result<Collected, Failure> {
    let swept = library.store().gc(&mut |_| match watch.check() {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    })?;
    watch.check()?;
    Ok(Collected {
        blocks: swept.blocks,
        files: swept.files,
        bytes: swept.file_bytes + swept.aside.bytes,
        damaged_indexes: swept.aside.indexes,
    })
}

/// A version's name as a person knows it.
pub(super) fn name_of(tree: &Tree) -> String {
    match &tree.repo {
        Some(repo) => repo.name.clone(),
        None => {
            let note = Note::of(tree);
            let draft = note.draft.map(|draft| draft.name);
            note.name.or(draft).unwrap_or_else(|| tree.root.to_string())
        }
    }
}

/// The CIDs under which a version is looked for.
pub(super) fn findable(tree: &Tree) -> Vec<Cid> {
    tree.release.into_iter().chain([tree.root]).collect()
}

impl Library {
    /// Tells the DHT of everything that is kept and may be told.
    ///
    /// # Errors
    /// As the store and the network fail.
    pub async fn announce_all(&self) -> Result<(), Failure> {
        for (id, tree) in self.store().trees_where(|tree| tree.pinned) {
            self.announce(id, &tree).await?;
        }
        Ok(())
    }
}
