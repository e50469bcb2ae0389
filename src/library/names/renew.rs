//! Index and record of the home's own for one DHT: what they should say now, signed anew where that differs from what was
//! published last, and kept.

use std::collections::BTreeMap;

use super::elsewhere::{Elsewhere, Standing};
use crate::{
    card::{
        Identity, PublisherId, RepoName, Verified,
        index::{self, Index, Scope},
        ipns::{self, Record, Unsigned},
        json::hex,
    },
    dag::{
        Block, Cid,
        block::{DAG_JSON, RAW},
    },
    library::{Library, Watch, blocks, chain, clock, seed, sign, signer},
    limits,
    rpc::{self, Code, Contradiction, Failure},
    store::{Store, Tree, TreeId},
};

/// What was last published for one DHT.
pub(super) struct Published {
    pub index: Index,
    pub record: Option<Record>,
    pub standing: Standing,
}

/// What stands for the publisher in one DHT.
pub(super) struct Made {
    pub scope: Scope,
    pub index: Index,
    pub record: Record,
    /// What leads there besides the record: of a lab its roots.
    pub beside: Vec<Block>,
}

/// Index and record of the home's own for one DHT, signed anew where that is needed. None: there is nothing to publish, and
/// never was. `elsewhere`: what other machines published since; it stays listed, and is signed over.
pub(super) fn renew(
    library: &Library,
    scope: Scope,
    elsewhere: Option<&Elsewhere>,
    watch: Option<&Watch>,
) -> Result<Option<Made>, Failure> {
    let key = announce_key(library)?;
    let Published { index: last, record: own, mut standing } = load(library, &key, scope)?;
    let theirs = elsewhere.and_then(|elsewhere| elsewhere.index.as_ref());
    // Of what was listed before, only the own: the rest is theirs to list.
    let before = match theirs {
        Some(theirs) => theirs.merged(&without(&last, |name| !standing.is_own(name))),
        None => last.clone(),
    };
    let (index, listed, tree) = current(library, scope, &before, &standing)?;
    let lab = sign::own_lab(library)?;
    let roots = lab.map(|lab| [Block::new(RAW, lab.to_document()), lab.first_block()]);
    let index = index.with_document(roots.as_ref().map(|[document, _]| *document.cid()));
    let beside: Vec<Block> = roots.into_iter().flatten().collect();
    let block = index.to_block();
    if let Some(tree) = tree {
        let mut new = Vec::new();
        for block in beside.iter().chain([&block]) {
            if library.store().held(block.cid().hash())?.is_none() {
                new.push(block.clone());
            }
        }
        blocks::add_nodes(library.store(), tree, &new)?;
    }
    let renewed_at = clock::after(limits::NAMES_RENEW)?;
    let stands =
        |record: &Record| record.index() == Some(*block.cid()) && !record.is_expired(renewed_at);
    // A lab may announce with another key by now.
    let others = elsewhere.map(|elsewhere| &elsewhere.record).filter(|it| *it.publisher() == key);
    let newest = others.into_iter().chain(&own).cloned();
    let newest = newest.reduce(|one, other| if other.is_newer_than(&one) { other } else { one });
    let record = match newest {
        Some(record) if stands(&record) => record,
        None if index.repos().next().is_none() => return Ok(None),
        before_record => {
            let sequence =
                before_record.as_ref().map_or(0, |record| record.sequence().saturating_add(1));
            match (signed(library, &key, &index, sequence, watch), own) {
                (Ok(record), _) => record,
                // Nobody is here to sign: what was signed before is told for as long as it holds, unless another machine
                // has signed since.
                (Err(failure), Some(own)) if watch.is_none() => {
                    tracing::warn!(%failure, "the names are told as they were");
                    let stands = before_record.is_some_and(|newest| newest.bytes() == own.bytes());
                    let made = Made { scope, index: last, record: own, beside };
                    return Ok(stands.then_some(made));
                }
                (Err(failure), _) => return Err(failure),
            }
        }
    };
    // The index first: a record without it would point to what nobody has. What of it is the own last: until then what is
    // gone from here counts as such.
    save(library, &document("index", scope), block.data())?;
    save(library, &name_document(library, &key, scope), record.bytes())?;
    standing.own = listed;
    standing.see(&record);
    if let Some(elsewhere) = elsewhere.filter(|elsewhere| elsewhere.index.is_some()) {
        standing.see(&elsewhere.record);
    }
    let standing = serde_json::to_vec(&standing).expect("plain data with text keys");
    save(library, &document("standing", scope), &standing)?;
    Ok(Some(Made { scope, index, record, beside }))
}

/// A record that points to this index, by the key or by whoever has it.
fn signed(
    library: &Library,
    key: &PublisherId,
    index: &Index,
    sequence: u64,
    watch: Option<&Watch>,
) -> Result<Record, Failure> {
    let failed =
        |why: ipns::Error| Failure::new(Code::Failure, format!("the name is not signed: {why}"));
    let valid_until = clock::after(limits::IPNS_LIFETIME)?;
    let unsigned =
        Unsigned::new(key, index, sequence, valid_until, limits::IPNS_TTL).map_err(failed)?;
    let messages = unsigned.to_sign();
    let what = || rpc::Unsigned::Name {
        publisher: index.publisher().to_string(),
        scope: index.scope().as_str().to_owned(),
        index: String::from_utf8_lossy(index.to_block().data()).into_owned(),
        sequence,
        valid_until: valid_until.to_string(),
    };
    let [v1, v2] = signer::sign(library, key, [&messages.v1, &messages.v2], what, watch)?;
    unsigned.with_signatures(&v1, &v2).map_err(failed)
}

/// The key under which the home's names are found: the publisher's own, or the one that announces for the lab.
pub(super) fn announce_key(library: &Library) -> Result<PublisherId, Failure> {
    let lab = sign::own_lab(library)?;
    Ok(lab.map_or(library.inner.publishing.signer, |lab| lab.head().content().announce))
}

/// Writes a document that is not so already.
fn save(library: &Library, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let store = library.store();
    if store.document(name)?.as_deref() != Some(bytes) {
        store.save_document(name, bytes)?;
    }
    Ok(())
}

/// An index without some of its repos.
fn without(index: &Index, leave_out: impl Fn(&RepoName) -> bool) -> Index {
    let gone: Vec<_> =
        index.repos().map(|(name, _)| name.clone()).filter(|name| leave_out(name)).collect();
    gone.iter().fold(index.clone(), |index, name| index.without(name))
}

/// The index as it should be now, after `before`, the repos in it that this home lists, and a tree of the library that its
/// block can be served with.
fn current(
    library: &Library,
    scope: Scope,
    before: &Index,
    standing: &Standing,
) -> Result<(Index, Vec<String>, Option<TreeId>), Failure> {
    let publisher = library.publisher().to_string();
    let mut trees = library.store().trees_where(|tree| {
        tree.repo.as_ref().is_some_and(|repo| repo.publisher == publisher)
            && scope.lists(tree.visibility)
            && tree.release.is_some()
    });
    trees.sort_by_key(|(_, tree)| tree.seq);
    let is_here = |name: &str| trees.iter().any(|(_, tree)| is_of(tree, name));
    let mut index = without(before, |name| standing.is_own(name) && !is_here(name.as_str()));
    for (_, tree) in &trees {
        let (Some(card), Some(release)) = (sign::card_of(library, tree)?, tree.release) else {
            continue;
        };
        match index.with(&card, release, tree.visibility) {
            Ok(next) => index = next,
            // A version that came to light again after newer ones were listed; or one in whose place another machine's is.
            Err(index::Error::Behind { .. }) => {
                if let Some(rejected) = rejected(library, &index, &card)? {
                    index = index.settled(&rejected, &card, release);
                }
            }
            Err(why) => tracing::warn!(%why, "a version is not listed in the index"),
        }
    }
    let own =
        index.repos().map(|(name, _)| name.to_string()).filter(|name| is_here(name)).collect();
    Ok((index, own, trees.pop().map(|(id, _)| id)))
}

/// The card that is listed in the place of this one, if the chain that was accepted here goes through this one and settles
/// between the two: who follows the index must find what leads to the newest.
fn rejected(library: &Library, index: &Index, card: &Verified) -> Result<Option<Cid>, Failure> {
    let statement = card.statement();
    let listed = index.versions(&statement.name).iter();
    let Some(listed) = listed.clone().find(|it| it.seq == statement.seq && it.card != *card.id())
    else {
        return Ok(None);
    };
    let mark = library.store().mark(&statement.publisher.to_string(), statement.name.as_str())?;
    let Some(head) = mark.map(|mark| sign::card_by_id(library, &mark.card)).transpose()?.flatten()
    else {
        return Ok(None);
    };
    let accepted = chain::below(library, &head, statement.seq)?;
    let ours = accepted.at(statement.seq) == Some(card.id());
    Ok((ours && accepted.settles(&listed.card)).then_some(listed.card))
}

/// What the index lists for places of which this home signed other cards, until one of the two machines settles it: the card
/// here, then the listed one.
pub(super) fn contradicted(
    library: &Library,
    index: &Index,
) -> Result<Vec<Contradiction>, Failure> {
    let publisher = library.publisher().to_string();
    let mut trees: BTreeMap<String, Vec<(TreeId, Tree)>> = BTreeMap::new();
    for (id, tree) in library.store().trees() {
        if let Some(repo) = tree.repo.as_ref().filter(|repo| repo.publisher == publisher) {
            trees.entry(repo.name.clone()).or_default().push((id, tree));
        }
    }
    let mut found = Vec::new();
    for (name, listed) in index.repos() {
        let Some(versions) = trees.get(name.as_str()) else { continue };
        // Of an honest chain no card is read.
        if seed::contradicted(library, None, versions, listed)?.is_none() {
            continue;
        }
        let mark = library.store().mark(&publisher, name.as_str())?;
        let head = mark.map(|mark| sign::card_by_id(library, &mark.card)).transpose()?.flatten();
        if let Some((ours, theirs)) = seed::contradicted(library, head.as_ref(), versions, listed)?
        {
            found.push(Contradiction {
                publisher: publisher.clone(),
                name: name.to_string(),
                seq: theirs.seq,
                cards: vec![ours.to_string(), theirs.card.to_string()],
            });
        }
    }
    Ok(found)
}

fn is_of(tree: &Tree, name: &str) -> bool {
    tree.repo.as_ref().is_some_and(|repo| repo.name == name)
}

/// The documents as they were last written. A damaged index is made anew; a damaged record is an error, since the sequence
/// that it had must not be used again.
pub(super) fn load(
    library: &Library,
    key: &PublisherId,
    scope: Scope,
) -> Result<Published, Failure> {
    let publisher = library.publisher();
    let store = library.store();
    let index = store
        .document(&document("index", scope))?
        .and_then(|bytes| Index::from_block(publisher, scope, &Block::new(DAG_JSON, bytes)).ok());
    let record = store.document(&name_document(library, key, scope))?.map(|bytes| {
        Record::verify(key, bytes).map_err(|why| {
            Failure::new(Code::Failure, format!("the home's own record of names is damaged: {why}"))
                .hint("put the home's store/records folder back from a backup")
        })
    });
    let index = index.unwrap_or_else(|| Index::new(*publisher, scope));
    let standing = store.document(&document("standing", scope))?;
    let standing = standing.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    // Before there was such a document, and where it is damaged: all that is listed is this home's.
    let record = record.transpose()?;
    let standing = standing.unwrap_or_else(|| Standing::of(&index, record.as_ref()));
    Ok(Published { index, record, standing })
}

/// Whether an index was ever made for this DHT.
pub(super) fn is_kept(store: &Store, scope: Scope) -> Result<bool, Failure> {
    Ok(store.document(&document("index", scope))?.is_some())
}

fn document(kind: &str, scope: Scope) -> String {
    format!("{kind}-{}", scope.as_str())
}

/// Where the record is kept. A lab may announce with one key after another, each with records of its own.
fn name_document(library: &Library, key: &PublisherId, scope: Scope) -> String {
    match library.publisher() {
        Identity::Key(_) => document("name", scope),
        Identity::Tuf(_) => {
            format!("{}-{}", document("name", scope), hex(key.as_bytes()))
        }
    }
}
