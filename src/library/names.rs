//! Names: what `PUBLISHER/NAME` stands for beyond this machine.
//!
//! A publisher's index lists its repos; a record under the publisher's key points to the index, and the DHT holds it. Both
//! are made anew whenever what they say changes: after `seed`, `share`, `rm`, `card withdraw`, by `name publish`, and by a
//! daemon in time before the record ends. There is one of each for every DHT ([`Scope`]); private repos are in none. The
//! last index and record of the home's own are kept as plain documents, so that a sequence never falls. What other machines
//! with the same key publish stays in the index (`elsewhere`).
//!
//! The index is a hint: it says which release to fetch, and the card in there is verified like any other.

mod elsewhere;
mod renew;

pub(super) use self::elsewhere::published;
use self::renew::{Made, Published, announce_key, contradicted, is_kept, load, renew};
use super::{
    Library, Watch, blocking, clock,
    fetch::{Found, index_of_publisher},
    refs,
};
use crate::{
    card::{
        Identity, RepoName, TufId,
        index::{Index, Listed, Scope},
        ipns::{self, Record},
        name,
        reference::Publisher,
        tuf::Publisher as Lab,
    },
    config::{Audience, allows},
    limits, network,
    rpc::{Code, Failure, Name, NameLine, NameRepo, Names, Resolve},
    store::Store,
};

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
            Told::By(peers) => NameLine { peers, ..line_of(library, made).await? },
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
            let said =
                format!("the publisher's names were not published: {}", failure.in_one_line());
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
        return Ok(NameLine { peers, ..line_of(library, &made).await? });
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
        let line = record.map(|record| line(library, scope, &index, &record));
        lines.extend(line.transpose()?);
    }
    Ok(lines)
}

async fn line_of(library: &Library, made: &Made) -> Result<NameLine, Failure> {
    let (library, scope) = (library.clone(), made.scope);
    let (index, record) = (made.index.clone(), made.record.clone());
    blocking(move || line(&library, scope, &index, &record)).await
}

fn line(
    library: &Library,
    scope: Scope,
    index: &Index,
    record: &Record,
) -> Result<NameLine, Failure> {
    Ok(NameLine {
        contradicted: contradicted(library, index)?,
        scope: scope.as_str().to_owned(),
        index: index.to_block().cid().to_string(),
        sequence: record.sequence(),
        valid_until: record.valid_until().to_string(),
        ends_soon: record.is_expired(clock::after(limits::NAMES_WARN)?),
        repos: index.repos().count() as u64,
        peers: None,
    })
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

/// Says that a version is signed without asking what other machines with the same key published, where there may be any.
///
/// # Errors
/// As the store fails.
pub(super) fn warn_if_unasked(library: &Library, watch: &Watch) -> Result<(), Failure> {
    if library.inner.network.is_some() {
        return Ok(());
    }
    let key = announce_key(library)?;
    let online = !library.inner.config.network.bootstrap.is_empty();
    if online || load(library, &key, Scope::Lan)?.record.is_some() {
        watch.warn(
            "nobody was asked what other machines published with this key; start the daemon first if there are several",
        );
    }
    Ok(())
}

/// Whether a home that publishes for this lab has an index that such peers may see.
pub(super) fn has_published(
    store: &Store,
    own: Option<&Lab>,
    id: &TufId,
    audience: Audience,
) -> Result<bool, Failure> {
    if own.is_none_or(|own| own.id() != id) {
        return Ok(false);
    }
    for scope in Scope::ALL {
        if allows(scope.visibility(), audience) && is_kept(store, scope)? {
            return Ok(true);
        }
    }
    Ok(false)
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
