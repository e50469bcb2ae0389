//! What is asked for, where it goes, and what of it is there already; said before anything is written.

mod compare;
mod sorted;
mod version;

use std::{collections::HashSet, path::PathBuf, sync::PoisonError, time::SystemTime};

use self::{
    compare::Verdict,
    sorted::{Sorted, declare, sort},
    version::Version,
};
use super::{jobs::Outcome, origin::Origin, place::Place, source::Source, subject::find_subject};
use crate::{
    card::{Verified, release::CARD, statement::Statement},
    config::Visibility,
    dag::{
        Block, Cid,
        walk::{Found, Leaf, Size, Walk},
    },
    library::{
        Library, blocking, blocks, content::Lies, note::Note, place::repo_folder, scan::Selection,
        trust,
    },
    limits,
    rpc::{Code, Failure, Get},
    store::{
        self, FileId, Owner, Repo as StoredRepo, Reservation, Tree, TreeFile, TreeId, TreeState,
    },
};

/// The folder of a signed version in the home's library: the one where it lies, which was named when it came; else one
/// named by what the publisher is called today.
pub(super) fn library_folder(library: &Library, card: &Verified) -> Result<PathBuf, Failure> {
    let statement = card.statement();
    let repo = repo_of(statement);
    let held = library.store().trees_where(|tree| {
        tree.owner == Owner::Library
            && tree.root == statement.root
            && tree.repo.as_ref() == Some(&repo)
    });
    if let Some((_, tree)) = held.into_iter().next() {
        return Ok(tree.location);
    }
    let publisher = trust::folder_name(library, card.publisher())?;
    Ok(repo_folder(&library.inner.home.library(), &publisher, card))
}

pub(super) fn repo_of(statement: &Statement) -> StoredRepo {
    let (publisher, name) = (statement.publisher.to_string(), statement.name.to_string());
    StoredRepo { publisher, name }
}

/// How far what comes may go: no further than the same files or the same repo here, else as configured.
pub(super) fn visibility(
    library: &Library,
    trees: &[(TreeId, Tree)],
    root: &Cid,
    repo: Option<&StoredRepo>,
) -> Visibility {
    let same = |tree: &&Tree| tree.root == *root || repo.is_some() && tree.repo.as_ref() == repo;
    let here = trees.iter().map(|(_, tree)| tree).filter(same).map(|tree| tree.visibility);
    here.min().unwrap_or(library.inner.config.seed.fetched)
}

/// A file that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// Path inside the repo.
    pub path: String,
    /// Path below the place's base.
    pub on_disk: String,
    /// Bytes; a hint only where the tree does not say.
    pub size: Size,
    /// The file's root.
    pub cid: Cid,
    /// Its leaves, in order.
    pub leaves: Vec<Leaf>,
    /// Its record, once it lies whole in its place.
    pub file: Option<FileId>,
    /// Whether its place must be replaced.
    pub replace: bool,
}

/// What a fetch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To keep the files: pinned, and a version of the library once they are there.
    Keep,
    /// To read from them: what comes stays until `gc`, and is there for a later `get`.
    Read,
}

/// What one fetch does.
pub(super) struct Plan {
    id: TreeId,
    /// Spares what is written from gc until the tree is saved.
    _reservation: Option<Reservation>,
    /// Where it all goes.
    pub place: Place,
    /// What was asked for.
    pub files: Vec<Planned>,
    /// The walk, which knows how to read leaves.
    pub walk: Walk,
    purpose: Purpose,
    /// The tree as an earlier fetch left it.
    known: Option<Tree>,
    /// Whether that one's card goes on standing for the files.
    keeps_card: bool,
    partial: bool,
    visibility: Visibility,
    nodes: Vec<Block>,
    folders: Vec<String>,
}

impl Plan {
    /// Walks the tree, names the files, looks at what is in their places.
    ///
    /// # Errors
    /// Failure (1) if a place is taken by something else and `--force` was not given; refused (4) for a hostile
    /// tree; not found (3) if the REF's path is not in it; as [`Source::arrived`].
    pub(super) async fn make(
        library: &Library,
        get: &Get,
        purpose: Purpose,
        origin: &Origin,
        source: &mut Source,
    ) -> Result<Self, Failure> {
        let selection = Selection::new(&get.include, &get.exclude)?;
        let (subject, on_the_way) = find_subject(origin, source).await?;
        let path = origin.path.clone().unwrap_or_default();
        let mut walk = {
            let (selection, path) = (selection.clone(), path.clone());
            Walk::new(subject)?.select(move |walked| {
                let whole = [path.as_str(), walked].into_iter().filter(|part| !part.is_empty());
                selection.takes(&whole.collect::<Vec<_>>().join("/"))
            })
        };
        let (found, mut nodes) = source.walk(&mut walk).await?;
        nodes.extend(on_the_way);
        let is_file = !found.iter().any(|found| matches!(found, Found::Directory { .. }));
        let repo = match &origin.card {
            None => None,
            Some(card) => {
                let (of, card) = (library.clone(), card.clone());
                Some(blocking(move || library_folder(&of, &card)).await?)
            }
        };
        let place = Place::new(
            get.output.as_deref(),
            &library.inner.home.library(),
            repo,
            &origin.root,
            &path,
            is_file,
        );
        let mut sorted = sort(found, &place);
        if let Some(card) = &origin.card {
            declare(&mut sorted.files, &card.statement().files);
        }
        if origin.card.is_none() && sorted.files.iter().any(|file| file.path == CARD) {
            return Err(Failure::new(
                Code::Refused,
                format!("{} holds a {CARD} at its top but is no release", origin.root),
            ));
        }
        if sorted.files.is_empty() {
            return Err(Failure::new(
                Code::NotFound,
                format!("{} holds no file that was asked for", get.reference),
            )
            .hint("check --include and --exclude; `get REF --dry-run` tells what there is"));
        }
        let mut plan = Self::in_store(library, origin, place, sorted, walk, nodes).await?;
        plan.purpose = purpose;
        plan.partial |= !path.is_empty();
        plan.look(library, get).await?;
        Ok(plan)
    }

    /// Finds the tree in the store if a fetch began it before, else reserves one.
    async fn in_store(
        library: &Library,
        origin: &Origin,
        place: Place,
        sorted: Sorted,
        walk: Walk,
        nodes: Vec<Block>,
    ) -> Result<Self, Failure> {
        let store = library.store().clone();
        let (root, base) = (origin.root, place.base.clone());
        let (of, card) = (library.clone(), origin.card.clone());
        let (known, keeps_card, reservation, visibility) = blocking(move || {
            let id = card.as_ref().map(|card| *card.id());
            let trees = store.trees();
            let repo = card.as_ref().map(|card| repo_of(card.statement()));
            let visibility = visibility(&of, &trees, &root, repo.as_ref());
            let known = trees
                .into_iter()
                .filter(|(_, tree)| tree.root == root && tree.location == base)
                .max_by_key(|(_, tree)| (tree.card == id, tree.seq));
            let reservation = if known.is_none() { Some(store.reserve()?) } else { None };
            let keeps_card = match (&known, &card) {
                (Some((_, tree)), Some(card)) => version::stays(&of, tree, card)?,
                _ => false,
            };
            Ok((known, keeps_card, reservation, visibility))
        })
        .await?;
        let id = match (&known, &reservation) {
            (Some((id, _)), _) => *id,
            (None, Some(reservation)) => reservation.id(),
            (None, None) => unreachable!("one of both was made above"),
        };
        let known = known.map(|(_, tree)| tree);
        Ok(Self {
            id,
            _reservation: reservation,
            place,
            files: sorted.files,
            walk,
            purpose: Purpose::Keep,
            partial: sorted.partial,
            visibility: known.as_ref().map_or(visibility, |tree| tree.visibility),
            known,
            keeps_card,
            nodes,
            folders: sorted.folders,
        })
    }

    /// Looks at what is in the files' places: adopts equal files, refuses others.
    async fn look(&mut self, library: &Library, get: &Get) -> Result<(), Failure> {
        let (library, id) = (library.clone(), self.id);
        let (base, owner) = (self.place.base.clone(), self.place.owner);
        let files = std::mem::take(&mut self.files);
        let (files, verdicts) = blocking(move || {
            let verdicts = compare::all(&library, id, &base, owner, &files)?;
            Ok((files, verdicts))
        })
        .await?;
        self.files = files;
        let mut taken = Vec::new();
        for (file, verdict) in self.files.iter_mut().zip(verdicts) {
            match verdict {
                Verdict::Absent => {}
                Verdict::Equal(record) => file.file = Some(record),
                Verdict::Other if get.force => file.replace = true,
                Verdict::Other => taken.push(file.on_disk.clone()),
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        let more =
            if taken.len() > 3 { format!(" and {} more", taken.len() - 3) } else { String::new() };
        taken.truncate(3);
        Err(Failure::new(
            Code::Failure,
            format!(
                "{} already holds something else: {}{more}",
                self.place.base.display(),
                taken.join(", ")
            ),
        )
        .hint("--force replaces it; -o DIR puts the files elsewhere"))
    }

    /// Makes the plan durable: from here on an interrupted fetch goes on.
    pub(super) async fn begin(
        &mut self,
        library: &Library,
        origin: &Origin,
    ) -> Result<(), Failure> {
        self.check_space()?;
        let (library, store) = (library.clone(), library.store().clone());
        // What is only read leaves a version that is there as it is.
        let saved = self.purpose == Purpose::Keep || self.known.is_none();
        let tree = Tree { state: TreeState::Arriving, ..self.tree(origin) };
        let (id, files) = (self.id, self.tree_files());
        let mut nodes = std::mem::take(&mut self.nodes);
        nodes.extend(origin.blocks.iter().cloned());
        let (card, companion) = (origin.card.clone(), origin.companion.clone());
        let later = origin.later.clone();
        let (base, folders) = (self.place.base.clone(), std::mem::take(&mut self.folders));
        blocking(move || {
            blocks::add_nodes(&store, id, &nodes)?;
            if let Some(card) = card {
                store.save_card(card.id(), card.bundle())?;
                if let Some(companion) = companion {
                    store.save_companion(card.id(), &companion)?;
                }
            }
            if let Some(later) = later {
                store.save_card(later.id(), later.bundle())?;
            }
            for folder in folders {
                store.make_folder(&base, &folder)?;
            }
            if saved { save(&library, id, &tree, files) } else { Ok(()) }
        })
        .await
    }

    /// Every file is in its place: the tree is whole.
    pub(super) async fn complete(
        &mut self,
        library: &Library,
        origin: &Origin,
    ) -> Result<(), Failure> {
        let library = library.clone();
        let mut tree = self.tree(origin);
        // Readers may have brought all of it by now.
        let all_here = !self.partial && self.files.iter().all(|file| file.file.is_some());
        if all_here && !Note::of(&tree).partial {
            tree.state = TreeState::Whole;
        }
        let (id, files) = (self.id, self.tree_files());
        blocking(move || save(&library, id, &tree, files)).await
    }

    /// The tree as it is once everything is there.
    pub(super) fn tree(&self, origin: &Origin) -> Tree {
        if let (Purpose::Read, Some(known)) = (self.purpose, &self.known) {
            return known.clone();
        }
        let named_by = origin.named_by.iter().map(ToString::to_string).collect();
        let Version { release, card, repo, kind, version, seq } = match &self.known {
            Some(known) if self.keeps_card => Version::of(known),
            _ => Version::new(origin),
        };
        // Of one card and the files under its root it was said once for all.
        let known = self.known.as_ref().filter(|known| known.card == card);
        let statements = known.and_then(|known| Note::of(known).statements);
        let over = version::over(self.known.as_ref(), origin, card);
        Tree {
            root: origin.root,
            release,
            card,
            repo,
            kind,
            version,
            seq,
            visibility: self.visibility,
            pinned: self.purpose == Purpose::Keep,
            location: self.place.base.clone(),
            owner: self.place.owner,
            state: TreeState::Whole,
            created_at: SystemTime::now(),
            note: Note { partial: self.partial, named_by, statements, over, ..Note::default() }
                .to_text(),
        }
    }

    fn tree_files(&self) -> Vec<TreeFile> {
        let asked = self.files.iter().map(|file| TreeFile {
            path: file.path.clone(),
            size: file.size.expected(),
            cid: file.cid,
            file: file.file,
        });
        asked.collect()
    }

    fn check_space(&self) -> Result<(), Failure> {
        // A partial is sparse: what is not read takes no room.
        let needed = if self.purpose == Purpose::Keep { self.to_fetch() } else { 0 };
        let free = store::free_space(&self.place.base)?;
        if self._reservation.is_some() && needed + limits::SPACE_RESERVE > free {
            return Err(Failure::new(
                Code::NoSpace,
                format!(
                    "{} has {free} bytes free; {needed} are needed, and {} stay free for the index",
                    self.place.base.display(),
                    limits::SPACE_RESERVE
                ),
            )
            .hint(
                "free some space, choose another place with -o DIR, or fetch less with --include",
            ));
        }
        Ok(())
    }

    /// Bytes that are not in their place.
    fn to_fetch(&self) -> u64 {
        let missing = self.files.iter().filter(|file| file.file.is_none());
        missing.map(|file| file.size.expected()).sum()
    }

    /// The tree's id in the store.
    pub(super) fn id(&self) -> TreeId {
        self.id
    }

    /// Where all files lie once they are there.
    pub(super) fn lying(&self) -> Vec<Lies> {
        let lies = |file: &Planned| Lies {
            path: file.path.clone(),
            on_disk: self.place.base.join(&file.on_disk),
        };
        self.files.iter().map(lies).collect()
    }

    /// What the fetch ends with if all goes well.
    pub(super) fn outcome(&self, origin: &Origin) -> Outcome {
        Outcome {
            release: origin.release,
            root: origin.root,
            path: self.answer(),
            files: self.files.len() as u64,
            bytes: self.files.iter().map(|file| file.size.expected()).sum(),
            to_fetch: self.to_fetch(),
            card: origin.card.clone(),
            templates: Vec::new(),
            named: origin.named,
        }
    }

    fn answer(&self) -> PathBuf {
        self.place.answer()
    }
}

/// Saves the tree with these files and those of its list that are others: what earlier fetches put there, and what
/// others that are under way have put there since this one began.
fn save(
    library: &Library,
    id: TreeId,
    tree: &Tree,
    mut files: Vec<TreeFile>,
) -> Result<(), Failure> {
    let store = library.store();
    let _one_at_a_time = library.inner.listing.lock().unwrap_or_else(PoisonError::into_inner);
    if store.tree(id).is_some() {
        let asked: HashSet<String> = files.iter().map(|file| file.path.clone()).collect();
        for file in store.tree_files(id)? {
            let file = file?;
            if !asked.contains(&file.path) {
                files.push(file);
            }
        }
    }
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(store.save_tree(id, tree, &files)?)
}
