//! Names: what `PUBLISHER/NAME` stands for beyond this machine.
//!
//! A publisher's index lists its repos; a record under the publisher's key points to the index, and the DHT holds it. Both
//! are made anew whenever what they say changes: after `seed`, `share`, `rm`, `card withdraw`, by `name publish`, and by a
//! daemon in time before the record ends. There is one of each for every DHT ([`Scope`]); private repos are in none. The
//! last index and record of the home's own are kept as plain documents, so that a sequence never falls. What other machines
//! with the same key publish stays in the index ([`elsewhere`]).
//!
//! The index is a hint: it says which release to fetch, and the card in there is verified like any other.

mod elsewhere;

use std::time::{Duration, SystemTime};

pub(super) use self::elsewhere::published;
use self::elsewhere::{Elsewhere, Standing};
use super::{
    Library, Watch, blocking, blocks,
    fetch::{Found, index_of_publisher},
    refs, sign, signer,
};
use crate::{
    card::{
        Identity, PublisherId, RepoName,
        index::{self, Index, Listed, Scope},
        ipns::{self, Record, Unsigned},
        name,
        reference::Publisher,
        statement::Timestamp,
    },
    dag::{
        Block,
        block::{DAG_JSON, RAW},
    },
    limits, network,
    rpc::{self, Code, Failure, Name, NameLine, NameRepo, Names, Resolve},
    store::{Tree, TreeId},
};

/// What was last published for one DHT.
struct Published {
    index: Index,
    record: Option<Record>,
    standing: Standing,
}

/// What stands for the publisher in one DHT.
struct Made {
    scope: Scope,
    index: Index,
    record: Record,
    /// What leads there besides the record: of a lab its roots.
    beside: Vec<Block>,
}

/// Publishes what the home's own key shares: signs index and record anew where they differ from the last ones or end soon,
/// and tells the DHT.
///
/// # Errors
/// As the store and the network fail.
pub async fn publish(library: &Library, watch: Watch) -> Result<Names, Failure> {
    let made = sign_all(library, Some(&watch)).await?;
    let mut names = Vec::new();
    for made in &made {
        names.push(match tell(library, made).await? {
            Told::By(peers) => NameLine { peers, ..line(made.scope, &made.index, &made.record) },
            // Another machine was faster.
            Told::Older => again(library, made.scope, Some(&watch)).await?,
        });
    }
    let key = {
        let library = library.clone();
        blocking(move || announce_key(&library)).await?
    };
    let publisher = library.publisher().to_string();
    Ok(Names { name: ipns::name::text(&key), publisher, names })
}

/// Publishes after something changed; what goes wrong there does not undo what was done before. Signed at once, and told in
/// the background: peers that do not answer hold nobody up.
pub(super) async fn publish_after(library: &Library, watch: Option<&Watch>) {
    match sign_all(library, watch).await {
        Ok(made) => {
            let library = library.clone();
            tokio::spawn(async move {
                for made in made {
                    let told = match tell(&library, &made).await {
                        Ok(Told::Older) => again(&library, made.scope, None).await.map(drop),
                        told => told.map(drop),
                    };
                    if let Err(failure) = told {
                        tracing::warn!(%failure, "peers were not told of the publisher's names");
                    }
                }
            });
        }
        Err(failure) => {
            let said = format!("the publisher's names were not published: {failure}");
            match watch {
                Some(watch) => watch.warn(said),
                None => tracing::warn!("{said}"),
            }
        }
    }
}

/// Index and record of every DHT, signed anew where that is needed.
async fn sign_all(library: &Library, watch: Option<&Watch>) -> Result<Vec<Made>, Failure> {
    let _one_at_a_time = library.inner.naming.lock().await;
    let elsewhere = elsewhere::look(library).await?;
    let (library, watch) = (library.clone(), watch.cloned());
    let renew_all = move || {
        let made = Scope::ALL.into_iter().map(|scope| {
            // The public DHT comes with its preset.
            let elsewhere = elsewhere.as_ref().filter(|_| scope == Scope::Lan);
            renew(&library, scope, elsewhere, watch.as_ref())
        });
        made.filter_map(Result::transpose).collect()
    };
    blocking(renew_all).await
}

/// Signs once more, over the record that was newer, and tells the DHT.
async fn again(
    library: &Library,
    scope: Scope,
    watch: Option<&Watch>,
) -> Result<NameLine, Failure> {
    let made = sign_all(library, watch).await?.into_iter().find(|made| made.scope == scope);
    if let Some(made) = made
        && let Told::By(peers) = tell(library, &made).await?
    {
        return Ok(NameLine { peers, ..line(scope, &made.index, &made.record) });
    }
    Err(Failure::new(Code::Failure, "another machine has published with the same key since")
        .hint("publish again: modelswarm name publish"))
}

/// What came of telling the DHT of a record.
enum Told {
    /// The peers that took it, where there is a network.
    By(Option<u64>),
    /// A newer one is held.
    Older,
}

/// Tells the DHT.
async fn tell(library: &Library, made: &Made) -> Result<Told, Failure> {
    match (&library.inner.network, made.scope) {
        (Some(network), Scope::Lan) => {
            let blocks = made.beside.iter().cloned().chain([made.index.to_block()]);
            let mut cids = Vec::new();
            for block in blocks {
                cids.push(*block.cid());
                // No tree may be there to hold it.
                network.offer(block, made.scope.visibility()).await?;
            }
            network.announce(cids).await?;
            match network.publish_name(made.record.clone()).await {
                Ok(peers) => Ok(Told::By(Some(peers as u64))),
                Err(network::Error::OlderRecord { .. }) => Ok(Told::Older),
                Err(error) => Err(error.into()),
            }
        }
        // The public DHT comes with its preset.
        (None, _) | (_, Scope::Public) => Ok(Told::By(None)),
    }
}

/// Keeps the home's own names alive until dropped.
pub async fn keep_published(library: &Library) {
    loop {
        publish_after(library, None).await;
        tokio::time::sleep(limits::NAMES_RENEW_PAUSE).await;
    }
}

/// What a publisher's record and index say, out of the DHT.
///
/// # Errors
/// Usage (2) for a publisher that is none; not found (3) if no peer has its record; as the network fails.
pub async fn resolve(library: &Library, resolve: Resolve) -> Result<Name, Failure> {
    let publisher = {
        let (library, text) = (library.clone(), resolve.publisher.clone());
        blocking(move || publisher_of(&library, &text)).await?
    };
    let found = index_of_publisher(library, &publisher, &resolve).await?;
    let Found { index, record, .. } = found.ok_or_else(|| {
        Failure::new(
            Code::NotFound,
            format!("no peer that was asked has a record of the names of {publisher}"),
        )
        .hint("name a peer that may with --peer MULTIADDR or --bootstrap MULTIADDR")
    })?;
    Ok(Name {
        name: ipns::name::text(record.publisher()),
        publisher: publisher.to_string(),
        sequence: record.sequence(),
        valid_until: record.valid_until().to_string(),
        index: index.to_block().cid().to_string(),
        repos: repos(&index),
    })
}

/// The home's own names, as they were last published.
///
/// # Errors
/// As the store fails.
pub fn own(library: &Library) -> Result<Vec<NameLine>, Failure> {
    let mut lines = Vec::new();
    let key = announce_key(library)?;
    for scope in Scope::ALL {
        let Published { index, record, .. } = load(library, &key, scope)?;
        lines.extend(record.map(|record| line(scope, &index, &record)));
    }
    Ok(lines)
}

fn line(scope: Scope, index: &Index, record: &Record) -> NameLine {
    NameLine {
        scope: scope.as_str().to_owned(),
        index: index.to_block().cid().to_string(),
        sequence: record.sequence(),
        valid_until: record.valid_until().to_string(),
        ends_soon: record.is_expired(after(limits::NAMES_WARN)),
        repos: index.repos().count() as u64,
        peers: None,
    }
}

/// Index and record of the home's own for one DHT, signed anew where that is needed. None: there is nothing to publish, and
/// never was. `elsewhere`: what other machines published since; it stays listed, and is signed over.
fn renew(
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
    let stands = |record: &Record| {
        record.index() == Some(*block.cid()) && !record.is_expired(after(limits::NAMES_RENEW))
    };
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
    let valid_until = after(limits::IPNS_LIFETIME);
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
fn announce_key(library: &Library) -> Result<PublisherId, Failure> {
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
    let mut trees: Vec<(TreeId, Tree)> = library.store().trees()?;
    trees.retain(|(_, tree)| {
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
            // A version that came to light again after newer ones were listed.
            Err(index::Error::Behind { .. }) => {}
            Err(why) => tracing::warn!(%why, "a version is not listed in the index"),
        }
    }
    let own =
        index.repos().map(|(name, _)| name.to_string()).filter(|name| is_here(name)).collect();
    Ok((index, own, trees.pop().map(|(id, _)| id)))
}

fn is_of(tree: &Tree, name: &str) -> bool {
    tree.repo.as_ref().is_some_and(|repo| repo.name == name)
}

/// The documents as they were last written. A damaged index is made anew; a damaged record is an error, since the sequence
/// that it had must not be used again.
fn load(library: &Library, key: &PublisherId, scope: Scope) -> Result<Published, Failure> {
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

fn document(kind: &str, scope: Scope) -> String {
    format!("{kind}-{}", scope.as_str())
}

/// Where the record is kept. A lab may announce with one key after another, each with records of its own.
fn name_document(library: &Library, key: &PublisherId, scope: Scope) -> String {
    match library.publisher() {
        Identity::Key(_) => document("name", scope),
        Identity::Tuf(_) => {
            format!("{}-{}", document("name", scope), crate::card::json::hex(key.as_bytes()))
        }
    }
}

/// The time in so long.
fn after(span: Duration) -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix((now + span).as_secs() as i64)
        .unwrap_or_else(|_| Timestamp::from_unix(0).expect("1970 is a time"))
}

/// The lines of an index, for people.
fn repos(index: &Index) -> Vec<NameRepo> {
    let line = |(name, versions): (&RepoName, &[Listed])| {
        let head = versions.first()?;
        Some(NameRepo {
            name: name.to_string(),
            kind: head.kind,
            version: head.version.to_string(),
            seq: head.seq,
            status: head.status,
            card: head.card.to_string(),
            release: head.release.to_string(),
            root: head.root.to_string(),
            versions: versions.len() as u64,
        })
    };
    index.repos().filter_map(line).collect()
}

/// Who is meant by a publisher as written: an id or an alias.
///
/// # Errors
/// Usage (2) for what is neither; not found (3) for an alias that nobody has.
pub fn publisher_of(library: &Library, text: &str) -> Result<Identity, Failure> {
    match text.parse::<Identity>() {
        Ok(id) => Ok(id),
        Err(_) => {
            let alias = text.parse().map_err(|why: name::Error| {
                Failure::new(Code::Usage, format!("{text} is no publisher: {why}"))
            })?;
            refs::publisher_id(library, &Publisher::Alias(alias))
        }
    }
}
