//! `card show | log | diff`: what the cards that are here say; `card withdraw | deprecate`: a publisher's later word on a
//! version, which is the next card of the chain over the same files.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use super::{
    Library, Watch, blocking, blocks, chain, clock,
    keep::name_of,
    names,
    refs::{self, Held},
    seed, sign, word,
};
use crate::{
    card::{
        Manifest, Verified, Version,
        index::Index,
        json::{Map, Value},
        origins::Origins,
        policy::Mark,
        statement::Status,
    },
    dag::{
        Cid, Entry,
        name::escape,
        unixfs::{self, Node},
    },
    limits,
    rpc::{CardDiff, CardLine, CardLog, CardShown, Code, Failure, FieldChange, Restate},
    store::{Tree, TreeFile, TreeId},
};

/// The signed statement of what a REF stands for.
///
/// # Errors
/// Not found (3) if nobody signed it; refused (4) for a damaged card.
pub fn show(library: &Library, reference: &str) -> Result<CardShown, Failure> {
    let (card, held) = signed(library, reference)?;
    let (Origins { lineage, evals, links }, passed_over) = Origins::of(card.statement());
    Ok(CardShown {
        card: card.id().to_string(),
        release: held.tree.release.map(|release| release.to_string()),
        provenance: sign::provenance(library, Some(&card), false)?,
        statement: sign::statement(&card)?,
        lineage,
        evals,
        links,
        passed_over,
    })
}

/// All versions of a repo that are known here, the newest first.
///
/// # Errors
/// As [`show`].
pub fn log(library: &Library, reference: &str) -> Result<CardLog, Failure> {
    let (card, held) = signed(library, reference)?;
    let statement = card.statement();
    let (publisher, name) = (statement.publisher.to_string(), statement.name.to_string());
    let mark = library.store().mark(&publisher, &name)?;
    let trees = versions(library, &publisher, &name);
    let mut ids: Vec<Cid> = trees.iter().filter_map(|tree| tree.card).collect();
    let contradictions =
        mark.iter().flat_map(|mark| chain::of_mark(&publisher, &name, mark)).collect();
    if let Some(mark) = &mark {
        ids.push(mark.card);
        ids.extend(mark.contradictions().into_iter().flat_map(|fork| fork.cards));
    }
    let mut known: BTreeMap<Cid, Verified> = BTreeMap::new();
    while let Some(id) = ids.pop() {
        if known.contains_key(&id) || known.len() >= limits::CHAIN_WALK {
            continue;
        }
        let Some(card) = sign::card_by_id(library, &id)? else { continue };
        ids.extend(card.statement().prev);
        known.insert(id, card);
    }
    let chain = accepted(mark.as_ref(), &known);
    let mut cards: Vec<&Verified> = known.values().collect();
    cards.sort_by_key(|card| Reverse(card.statement().seq));
    let head = cards.iter().find(|card| chain.contains(card.id())).map(|card| *card.id());
    let versions = cards.into_iter().map(|card| {
        let statement = card.statement();
        let release =
            trees.iter().find(|tree| tree.card == Some(*card.id())).and_then(|tree| tree.release);
        CardLine {
            seq: statement.seq,
            version: statement.version.to_string(),
            card: card.id().to_string(),
            release: release.map(|release| release.to_string()),
            root: statement.root.to_string(),
            status: statement.status,
            created_at: statement.created_at.to_string(),
            accepted: chain.contains(card.id()),
            head: head == Some(*card.id()),
        }
    });
    Ok(CardLog {
        name: name_of(&held.tree),
        kind: statement.kind,
        publisher,
        versions: versions.collect(),
        contradictions,
    })
}

/// The cards of the chain that ends at the mark, without the last one where two claim its place.
fn accepted(mark: Option<&Mark>, known: &BTreeMap<Cid, Verified>) -> BTreeSet<Cid> {
    let mut chain = BTreeSet::new();
    let Some(mark) = mark else { return chain };
    let mut at = known.get(&mark.card);
    while let Some(card) = at {
        if card.statement().seq <= mark.head() {
            chain.insert(*card.id());
        }
        at = card.statement().prev.and_then(|prev| known.get(&prev));
    }
    chain
}

/// What differs between the cards of two REFs.
///
/// # Errors
/// As [`show`].
pub fn diff(library: &Library, from: &str, to: &str) -> Result<CardDiff, Failure> {
    let ((from, _), (to, _)) = (signed(library, from)?, signed(library, to)?);
    let old = sign::signed_files(library, &from)?;
    let new = sign::signed_files(library, &to)?;
    let digests = |manifest: &Manifest| -> BTreeMap<String, [u8; 32]> {
        manifest.files().iter().map(|file| (file.path.clone(), file.sha256)).collect()
    };
    let (old, new) = (digests(&old), digests(&new));
    let only = |one: &BTreeMap<String, [u8; 32]>, other: &BTreeMap<String, [u8; 32]>| {
        one.keys().filter(|path| !other.contains_key(*path)).cloned().collect()
    };
    let changed = |(path, digest): (&String, &[u8; 32])| {
        new.get(path).is_some_and(|other| other != digest).then(|| path.clone())
    };
    Ok(CardDiff {
        from: from.id().to_string(),
        to: to.id().to_string(),
        added: only(&new, &old),
        removed: only(&old, &new),
        changed: old.iter().filter_map(changed).collect(),
        fields: fields(&sign::predicate(&from)?, &sign::predicate(&to)?),
    })
}

fn fields(from: &serde_json::Value, to: &serde_json::Value) -> Vec<FieldChange> {
    let keys = |value: &serde_json::Value| -> BTreeSet<String> {
        value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
    };
    let all = &keys(from) | &keys(to);
    let changed = all.into_iter().filter(|field| from.get(field) != to.get(field));
    changed
        .map(|field| FieldChange {
            from: from.get(&field).cloned(),
            to: to.get(&field).cloned(),
            field,
        })
        .collect()
}

/// Signs the user's later word on a version. Over another version than the newest that takes two cards: its state, and
/// then the newest again, which stays what the repo's name stands for.
///
/// # Errors
/// Permission (5) for a repo of another publisher; as [`show`].
pub async fn restate(
    library: &Library,
    restate: Restate,
    watch: Watch,
) -> Result<CardLog, Failure> {
    let _one_at_a_time = library.inner.importing.lock().await;
    let published = names::published(library).await?;
    let (log, made) = {
        let (library, watch) = (library.clone(), watch.clone());
        blocking(move || {
            let made = restate_now(&library, &restate, &published, &watch)?;
            Ok((log(&library, &restate.reference)?, made))
        })
        .await?
    };
    for (id, tree) in made {
        library.announce(id, &tree).await?;
    }
    names::publish_after(library, Some(&watch)).await;
    Ok(log)
}

fn restate_now(
    library: &Library,
    restate: &Restate,
    published: &Index,
    watch: &Watch,
) -> Result<Vec<(TreeId, Tree)>, Failure> {
    let (card, held) = signed(library, &restate.reference)?;
    if !library.is_own(card.publisher()) {
        return Err(Failure::new(
            Code::Permission,
            format!(
                "{} is {}'s, and only its key can say that",
                restate.reference,
                card.publisher()
            ),
        )
        .hint("modelswarm rm forgets it here"));
    }
    let name = card.statement().name.clone();
    let replaced_by = restate.replaced_by.as_deref();
    let replaced_by = replaced_by.map(|text| instead(library, &card, text)).transpose()?;
    let said = word::newest(library, &card)?;
    let words = [("reason", &restate.reason), ("replacedBy", &replaced_by)];
    let same = words.iter().all(|(field, text)| {
        said.statement().other.get(*field).and_then(Value::as_text) == text.as_deref()
    });
    if same && said.statement().status == restate.status {
        let word = match restate.status {
            Status::Withdrawn => "withdrawn",
            Status::Deprecated => "deprecated",
            Status::Active => "in use",
        };
        let version = &card.statement().version;
        watch
            .warn(format!("{name}@{version} is already {word}, in these words: nothing is signed"));
        return Ok(Vec::new());
    }
    // As `seed` does: never behind a card that this key signed, nor on a fork.
    let versions = seed::versions(library, &name);
    let (head, newest) = seed::head(library, &name, &versions, None)?
        .expect("a version of the repo is held, so it has a head");
    seed::not_behind(library, &name, Some(&head), &versions, published)?;
    names::warn_if_unasked(library, watch)?;
    let again = head.id() != card.id() && head.statement().root != card.statement().root;
    let newest = if again { Some(newest.ok_or_else(|| forgotten(&head))?) } else { None };
    let mut other = card.statement().other.clone();
    for (field, text) in words {
        other.remove(field);
        other.extend(text.iter().map(|text| (field.to_owned(), Value::Text(text.clone()))));
    }
    let mut made = Vec::new();
    let said = next(library, &head, &card, &held, (restate.status, other), watch)?;
    made.push(said.1);
    if let Some((id, tree)) = newest {
        let statement = head.statement();
        let (status, other) = (statement.status, statement.other.clone());
        made.push(next(library, &said.0, &head, &Held { id, tree }, (status, other), watch)?.1);
    }
    tracing::debug!(%name, cards = made.len(), "stated anew");
    Ok(made)
}

/// What is to be used instead, as it is signed: a CID, or the card of a version of the same repo.
fn instead(library: &Library, card: &Verified, text: &str) -> Result<String, Failure> {
    if text.parse::<Cid>().is_ok() {
        return Ok(text.to_owned());
    }
    let statement = card.statement();
    let (publisher, name) = (statement.publisher.to_string(), statement.name.to_string());
    let version = text.strip_prefix(&format!("{name}@")).unwrap_or(text);
    let trees = versions(library, &publisher, &name);
    let found = trees.iter().find(|tree| tree.version.as_deref() == Some(version));
    found.and_then(|tree| tree.card).map(|card| card.to_string()).ok_or_else(|| {
        Failure::new(
            Code::Usage,
            format!("--replaced-by {}: it is no CID and no version of {name}", escape(text)),
        )
        .hint("give the id of a card, the CID of a release, or a version of the same repo: modelswarm card log shows them")
    })
}

/// Signs a card after `before` that states the files of `card` anew.
fn next(
    library: &Library,
    before: &Verified,
    card: &Verified,
    held: &Held,
    (status, other): (Status, Map),
    watch: &Watch,
) -> Result<(Verified, (TreeId, Tree)), Failure> {
    let mut statement = card.statement().clone();
    statement.seq = before.statement().seq + 1;
    statement.prev = Some(*before.id());
    statement.version = Version::of_seq(statement.seq);
    statement.created_at = clock::now()?;
    statement.status = status;
    statement.other = other;
    statement.resolves = Vec::new();
    (statement.publisher, statement.publisher_root) = sign::publishing(library)?;
    let signed = sign::sign(library, statement, Some(watch))?;
    let store = library.store();
    let reservation = store.reserve()?;
    let (release, nodes) = sign::over(library, &signed, beside(library, &held.tree)?)?;
    blocks::add_nodes(store, reservation.id(), &nodes)?;
    let tree = Tree {
        release: Some(release),
        card: Some(*signed.id()),
        version: Some(signed.statement().version.to_string()),
        seq: Some(signed.statement().seq),
        created_at: SystemTime::now(),
        ..held.tree.clone()
    };
    let files: Result<Vec<TreeFile>, _> = store.tree_files(held.id)?.collect();
    store.save_card(signed.id(), signed.bundle())?;
    if let Some(companion) = store.companion(card.id())? {
        store.save_companion(signed.id(), &companion)?;
    }
    store.save_tree(reservation.id(), &tree, &files?)?;
    chain::accept(library, &signed)?;
    Ok((signed, (reservation.id(), tree)))
}

/// The entries of a release.
fn beside(library: &Library, tree: &Tree) -> Result<Vec<Entry>, Failure> {
    let lost = || {
        Failure::new(Code::Failure, format!("the release of {} is not here any more", tree.root))
            .hint("seed its folder again")
    };
    let release = tree.release.ok_or_else(lost)?;
    let block = blocks::held(library.store(), release)?.ok_or_else(lost)?;
    match unixfs::decode(&block) {
        Ok(Node::Directory(entries)) => Ok(entries),
        _ => Err(lost()),
    }
}

fn forgotten(head: &Verified) -> Failure {
    let version = &head.statement().version;
    Failure::new(
        Code::Failure,
        format!("the newest version, {version}, is not here to be stated again"),
    )
    .hint("seed its folder again first")
}

/// What a REF stands for, with its card, verified just now.
pub(super) fn signed(library: &Library, reference: &str) -> Result<(Verified, Held), Failure> {
    let held = refs::newest(library, reference)?;
    let card = sign::card_of(library, &held.tree)?.ok_or_else(|| {
        Failure::new(Code::NotFound, format!("nobody signed {reference}: it has no card"))
            .hint("of your own files: modelswarm seed, without --unsigned")
    })?;
    Ok((card, held))
}

fn versions(library: &Library, publisher: &str, name: &str) -> Vec<Tree> {
    let of_repo = library.store().trees_where(|tree| {
        let repo = tree.repo.as_ref();
        repo.is_some_and(|repo| repo.publisher == publisher && repo.name == name)
    });
    of_repo.into_iter().map(|(_, tree)| tree).collect()
}
