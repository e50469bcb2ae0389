//! A signed version: the head before it, what is new against that, its card and its release.
//!
//! Nothing is signed behind a card that this key signed before, even one whose version was forgotten since.

use std::{fs, time::SystemTime};

use super::{Import, folder};
use crate::{
    card::{
        self, RepoName, Verified, Version, frontmatter,
        index::{Index, Listed},
        json::{Map, Value},
        oms,
        policy::{self, Branch, Intent, Next},
        statement::{Status, license},
    },
    dag::{Cid, name::escape},
    library::{
        Library, Watch, blocks, chain, keep, keys, labs, names,
        note::{Note, Statements},
        origins, place,
        scan::Scan,
        sign, trust,
    },
    limits,
    rpc::{Code, Failure, Seeded},
    store::{Repo, Tree, TreeId, TreeState},
};

/// The version that the import turned out to be.
struct Settled {
    id: TreeId,
    release: Cid,
    card: Verified,
    unchanged: bool,
}

impl Import<'_> {
    /// The next version of the repo, or the last one if nothing changed.
    pub(super) fn signed(
        &self,
        version: Option<Version>,
    ) -> Result<(Seeded, TreeId, Tree), Failure> {
        let library = self.library;
        let versions = versions(library, &self.name);
        let head = head(library, &self.name, &versions, self.seed.onto.as_deref())?;
        let Settled { id, release, card, unchanged } =
            self.against(head.as_ref(), &versions, version)?;
        let statement = card.statement();
        let publisher = trust::folder_name(library, card.publisher())?;
        let own_folder = place::repo_folder(&library.inner.home.library(), &publisher, &card);
        let (location, files) = self.settle(id, own_folder)?;
        let (publisher, name) = (statement.publisher.to_string(), self.name.to_string());
        let before = head.as_ref().and_then(|(_, held)| held.as_ref());
        // What was signed just now was read just now.
        let statements = match before.filter(|_| unchanged) {
            Some((_, before)) => Note::of(before).statements,
            None => (!unchanged).then_some(Statements::Hold),
        };
        let note = Note { statements, ..Note::default() };
        let tree = Tree {
            root: statement.root,
            release: Some(release),
            card: Some(*card.id()),
            repo: Some(Repo { publisher: publisher.clone(), name }),
            kind: statement.kind,
            version: Some(statement.version.to_string()),
            seq: Some(statement.seq),
            visibility: self.visibility(before),
            pinned: true,
            location,
            owner: self.owner(),
            state: TreeState::Whole,
            created_at: SystemTime::now(),
            note: note.to_text(),
        };
        library.store().save_card(card.id(), card.bundle())?;
        library.store().save_tree(id, &tree, &files)?;
        chain::accept(library, &card)?;
        let seeded = Seeded {
            version: tree.version.clone(),
            release: Some(release.to_string()),
            card: Some(card.id().to_string()),
            publisher: Some(publisher),
            unchanged,
            ..self.describe(&tree, &files)
        };
        Ok((seeded, id, tree))
    }

    /// The head's release again if nothing changed against it, else a newly signed one.
    fn against(
        &self,
        head: Option<&Head>,
        versions: &[(TreeId, Tree)],
        version: Option<Version>,
    ) -> Result<Settled, Failure> {
        let (library, read) = (self.library, &self.read);
        let metadata = metadata(&self.scan, self.watch);
        let flag = self.seed.license.as_deref();
        let license = license(flag, &metadata).map_err(|why| {
            Failure::new(Code::Usage, why.to_string()).hint("give one of both, or make them agree")
        })?;
        let licenses = card::license::stated(license.as_deref(), &metadata);
        self.check_license(&licenses, head.and_then(|(_, held)| held.as_ref()))?;
        let before = head.map(|(card, _)| card);
        let chosen = self.seed.onto.is_some();
        // Who did not choose is told first of what only the index says.
        let listed = self.published.as_deref().filter(|_| chosen);
        let resolves =
            before.map_or(Ok(Vec::new()), |card| contradicting(library, card, versions, listed))?;
        let kind = self.seed.kind.or(before.map(|card| card.statement().kind)).unwrap_or_default();
        let companion = self.companion(before)?;
        let said = origins::Said {
            metadata: &metadata,
            results: results(&self.scan, self.watch),
            bases: &self.seed.bases,
            links: &self.seed.links,
            root: read.built.cid,
        };
        let origins = origins::fields(library, &said, before, self.watch)?;
        let intent = Intent {
            root: read.built.cid,
            kind,
            license: license.clone(),
            companion_keys: companion.iter().map(|key| key.public().to_string()).collect(),
            version,
            status: Status::Active,
            resolves: resolves.clone(),
            origins: origins.clone(),
            renew: before.map_or(Ok(false), |card| labs::is_overtaken(library, card))?,
        };
        let used = |version: &Version| {
            versions.iter().any(|(_, tree)| tree.version.as_deref() == Some(version.as_str()))
        };
        let next = policy::next(before, &intent, used).map_err(|why| {
            Failure::new(Code::Usage, why.to_string()).hint("choose another with --version")
        })?;
        match (next, head) {
            (Next::Unchanged, Some((card, held))) => {
                let (release, blocks) = sign::rebuild(library, card, read)?;
                let id = held.as_ref().map_or(self.reserved, |(id, _)| *id);
                blocks::add_nodes(library.store(), id, &blocks)?;
                Ok(Settled { id, release, card: card.clone(), unchanged: true })
            }
            (Next::Unchanged, None) => unreachable!("only against a head can nothing have changed"),
            (Next::Sign { seq, prev, version }, _) => {
                if let Some(published) = self.published.as_deref().filter(|_| !chosen) {
                    not_behind(library, &self.name, before, versions, published)?;
                }
                names::warn_if_unasked(library, self.watch)?;
                self.warn_of_lost_bytes(head.and_then(|(_, held)| held.as_ref()));
                let name = self.name.clone();
                let draft = sign::Draft {
                    name,
                    kind,
                    version,
                    seq,
                    prev,
                    license,
                    metadata,
                    resolves,
                    origins,
                    companion,
                };
                let made = sign::release(library, draft, read, self.watch)?;
                if let Some(companion) = &made.companion {
                    library.store().save_companion(made.card.id(), companion)?;
                }
                blocks::add_nodes(library.store(), self.reserved, &made.blocks)?;
                let (id, release) = (self.reserved, made.cid);
                Ok(Settled { id, release, card: made.card, unchanged: false })
            }
        }
    }

    /// What goes to everybody must say what everybody may do with it.
    fn check_license(
        &self,
        licenses: &[&str],
        before: Option<&(TreeId, Tree)>,
    ) -> Result<(), Failure> {
        let files = self.read.files.iter().map(|file| (file.path.as_str(), file.size));
        match card::license::check(licenses, files) {
            Err(lack) if card::license::is_required(self.visibility(before)) => {
                Err(keep::lacks_license(self.name.as_str(), &lack))
            }
            Err(lack) => {
                self.watch.warn(format!("{}: {lack}; give it one with --license", self.name));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The key for `model.sig`: as asked, else that of the version before, so that `--oms` is said once.
    fn companion(&self, before: Option<&Verified>) -> Result<Option<oms::SigningKey>, Failure> {
        let home = &self.library.inner.home;
        if self.seed.oms {
            return keys::companion(home).map(Some);
        }
        let named = before.map_or(&[][..], |card| &card.statement().companion_keys[..]);
        if named.is_empty() {
            return Ok(None);
        }
        let key =
            keys::held_companion(home)?.filter(|key| named.contains(&key.public().to_string()));
        if key.is_none() {
            self.watch.warn(format!(
                "the version before had a model.sig by a key that is not in {}: this one has none; --oms makes one with a key of this home",
                home.oms_key().display()
            ));
        }
        Ok(key)
    }

    /// A folder seeded in place serves only what it holds now.
    fn warn_of_lost_bytes(&self, before: Option<&(TreeId, Tree)>) {
        let Some((_, before)) = before else { return };
        let in_files = self.library.store().inline_max() < limits::BLOCK_MAX;
        let changed = before.root != self.read.built.cid;
        if changed && before.location == folder(&self.seed.path) && in_files {
            self.watch.warn(format!(
                "files that changed since version {} can no longer be served as they were",
                before.version.as_deref().unwrap_or("?")
            ));
        }
    }
}

/// All versions of the user's own repo of this name.
pub(in crate::library) fn versions(library: &Library, name: &RepoName) -> Vec<(TreeId, Tree)> {
    let publisher = library.publisher().to_string();
    library.store().trees_where(|tree| {
        let repo = tree.repo.as_ref();
        repo.is_some_and(|repo| repo.publisher == publisher && repo.name == name.as_str())
    })
}

pub(in crate::library) type Head = (Verified, Option<(TreeId, Tree)>);

/// The newest card that this key signed for the name, even if its version was forgotten since: signing behind it
/// would make two cards of one `seq`.
pub(in crate::library) fn head(
    library: &Library,
    name: &RepoName,
    versions: &[(TreeId, Tree)],
    onto: Option<&str>,
) -> Result<Option<Head>, Failure> {
    if let Some(onto) = onto {
        return chosen(library, name, versions, onto).map(Some);
    }
    let newest = versions.iter().max_by_key(|(_, tree)| tree.seq);
    let mark = library.store().mark(&library.publisher().to_string(), name.as_str())?;
    if let Some(fork) = mark.as_ref().and_then(|mark| mark.contradictions().into_iter().next()) {
        return Err(Failure::new(
            Code::Refused,
            format!(
                "this key signed version {} of {name} more than once: {}",
                fork.seq,
                both(&fork.cards)
            ),
        )
        .hint("choose the one to go on from with --onto CARD; the new card settles between them"));
    }
    let held =
        newest.filter(|(_, tree)| mark.as_ref().is_none_or(|mark| tree.seq >= Some(mark.seq)));
    if let Some((id, tree)) = held {
        let card = sign::card_of(library, tree)?.ok_or_else(|| lost_card(name))?;
        return Ok(Some((card, Some((*id, tree.clone())))));
    }
    let Some(mark) = mark else { return Ok(None) };
    let card = sign::card_by_id(library, &mark.card)?.ok_or_else(|| lost_card(name))?;
    Ok(Some((card, None)))
}

/// Refuses to sign after `head` what another machine with the same key has signed and published already, or beside what it
/// published for a place below.
///
/// # Errors
/// Refused (4).
pub(in crate::library) fn not_behind(
    library: &Library,
    name: &RepoName,
    head: Option<&Verified>,
    versions: &[(TreeId, Tree)],
    published: &Index,
) -> Result<(), Failure> {
    let Some(listed) = published.versions(name).first() else { return Ok(()) };
    let known = head.map_or(0, |head| head.statement().seq);
    if listed.seq < known || head.is_some_and(|head| *head.id() == listed.card) {
        let Some((ours, theirs)) = contradicted(library, head, versions, published.versions(name))?
        else {
            return Ok(());
        };
        return Err(Failure::new(
            Code::Refused,
            format!(
                "another machine with this key published another card for version {} of {name} than this one: {} and {ours}",
                theirs.seq, theirs.card
            ),
        )
        .hint(format!(
            "look at that release: modelswarm get {}; and choose the card to go on from with --onto CARD: the new card settles between them",
            theirs.release
        )));
    }
    let here = match head {
        Some(head) => format!("here {} is the newest", head.statement().version),
        None => "here no version is known".to_owned(),
    };
    Err(Failure::new(
        Code::Refused,
        format!(
            "another machine with this key published version {} of {name}, and {here}: a card signed now would contradict it",
            listed.version
        ),
    )
    .hint(format!(
        "fetch that release first: modelswarm get {}; or say what to sign after with --onto CARD",
        listed.release
    )))
}

/// The lowest place for which the index lists another card than the one here, which none of the chain up to `head` settles:
/// the one here, and what is listed.
pub(in crate::library) fn contradicted<'a>(
    library: &Library,
    head: Option<&Verified>,
    versions: &[(TreeId, Tree)],
    listed: &'a [Listed],
) -> Result<Option<(Cid, &'a Listed)>, Failure> {
    for listed in listed.iter().rev() {
        let mut here =
            versions.iter().map(|(_, tree)| tree).filter(|it| it.seq == Some(listed.seq));
        let Some(ours) = here.clone().find_map(|tree| tree.card) else { continue };
        if here.any(|tree| tree.card == Some(listed.card)) {
            continue;
        }
        let chain =
            head.map_or(Ok(Branch::default()), |it| chain::below(library, it, listed.seq))?;
        let ours = *chain.at(listed.seq).unwrap_or(&ours);
        if ours != listed.card && !chain.settles(&listed.card) {
            return Ok(Some((ours, listed)));
        }
    }
    Ok(None)
}

/// The card that the user chose to sign after.
fn chosen(
    library: &Library,
    name: &RepoName,
    versions: &[(TreeId, Tree)],
    onto: &str,
) -> Result<Head, Failure> {
    let wrong = |why: String| Failure::new(Code::Usage, format!("--onto {onto}: {why}"));
    let id: Cid = onto.parse().map_err(|_| {
        wrong("it is no card id".into()).hint("modelswarm card log shows those of a repo")
    })?;
    let card = sign::card_by_id(library, &id)?.ok_or_else(|| {
        wrong("that card is not here".into()).hint("fetch its release first: modelswarm get CID")
    })?;
    if card.publisher() != library.publisher() || card.statement().name != *name {
        let statement = card.statement();
        return Err(wrong(format!("it is of {}/{}", statement.publisher, statement.name)));
    }
    let mark = library.store().mark(&library.publisher().to_string(), name.as_str())?;
    let seq = card.statement().seq;
    if let Some(mark) = mark.filter(|mark| mark.seq > seq) {
        return Err(wrong(format!(
            "it is version {seq}, and this key signed version {} after it: {}",
            mark.seq, mark.card
        )));
    }
    let held = versions.iter().find(|(_, tree)| tree.card == Some(id)).cloned();
    Ok((card, held))
}

/// The cards that one after `head` settles between: of each place that is claimed more than once, as far as is known here or
/// `published`, that chain's own and the others; none if nothing contradicts it.
fn contradicting(
    library: &Library,
    head: &Verified,
    versions: &[(TreeId, Tree)],
    published: Option<&Index>,
) -> Result<Vec<Cid>, Failure> {
    let forks = chain::contradicting(library, head)?;
    let mut cards: Vec<Cid> = forks.into_iter().flat_map(|fork| fork.cards).collect();
    let listed = published.map_or(&[][..], |index| index.versions(&head.statement().name));
    if let Some((ours, theirs)) = contradicted(library, Some(head), versions, listed)? {
        let new = [ours, theirs.card].into_iter().filter(|card| !cards.contains(card));
        let new: Vec<Cid> = new.collect();
        cards.extend(new);
    }
    Ok(cards)
}

fn both(cards: &[Cid]) -> String {
    cards.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

fn lost_card(name: &RepoName) -> Failure {
    Failure::new(
        Code::Failure,
        format!(
            "the newest card of {name} was signed here, and is lost: a new one would contradict it"
        ),
    )
    .hint("put the home's store/records folder back from a backup, or seed under another --name")
}

/// The README's front matter; what can't be read is said and left out.
fn metadata(scan: &Scan, watch: &Watch) -> Map {
    let Some(readme) = scan.files.iter().find(|file| file.path == "README.md") else {
        watch.warn("there is no README.md: the card has no metadata");
        return Map::new();
    };
    if readme.size > limits::README_MAX {
        watch.warn(format!(
            "README.md is larger than {} bytes: the card has no metadata",
            limits::README_MAX
        ));
        return Map::new();
    }
    let read = fs::read(&readme.source).map_err(|why| why.to_string());
    match read.and_then(|bytes| frontmatter::metadata(&bytes).map_err(|why| why.to_string())) {
        Ok(Some(metadata)) => metadata,
        Ok(None) => {
            watch.warn("README.md has no front matter: the card has no metadata");
            Map::new()
        }
        Err(why) => {
            watch.warn(format!(
                "README.md's front matter can't be used ({why}): the card has no metadata"
            ));
            Map::new()
        }
    }
}

/// Lists of evaluation results, as the Hub keeps them beside a README; what can't be read is said and left out.
fn results(scan: &Scan, watch: &Watch) -> Vec<Vec<Value>> {
    let lists = scan.files.iter().filter(|file| {
        file.path
            .strip_prefix(".eval_results/")
            .is_some_and(|name| name.ends_with(".yaml") && !name.contains('/'))
    });
    let mut results = Vec::new();
    for file in lists.take(limits::RESULT_FILES) {
        let read = if file.size > limits::FRONT_MATTER_MAX as u64 {
            Err("it is too large".to_owned())
        } else {
            fs::read(&file.source).map_err(|why| why.to_string())
        };
        match read.and_then(|bytes| frontmatter::list(&bytes).map_err(|why| why.to_string())) {
            Ok(list) => results.push(list),
            Err(why) => watch.warn(format!("{} can't be used: {why}", escape(&file.path))),
        }
    }
    results
}
