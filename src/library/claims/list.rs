//! `claims`: what is said of a root, by whom, and which cards stand over it.

use std::{fs::OpenOptions, io::Write as _, path::Path};

use bytes::Bytes;

use super::{
    ask,
    kept::{Circle, Found, cards_here, take_in},
};
use crate::{
    card::{
        Claim, Verified,
        claim::{self, Body},
        reference::Target,
        trust::Endorser,
    },
    dag::{Cid, name::escape},
    library::{Library, Watch, blocking, fetch::parse_peers, files, refs},
    rpc::{ClaimLine, Claims, ClaimsOf, Code, Failure, MeasuredLine, OfferedCard},
};

/// What is to be asked about: a root, or a card whose root is not known yet.
enum About {
    Root(Cid),
    Card(Cid),
}

/// Lists what is said of what a REF means; unless told otherwise, peers are asked too.
///
/// # Errors
/// Not found (3) for a name that is not here, or a card that nobody shows; failure (1) if the file to write is there.
pub async fn list(library: &Library, of: ClaimsOf, watch: &Watch) -> Result<Claims, Failure> {
    let about = {
        let (library, reference) = (library.clone(), of.reference.clone());
        blocking(move || about(&library, &reference)).await?
    };
    let (bundles, asked) =
        if of.offline { (Vec::new(), 0) } else { from_peers(library, &about, &of, watch).await? };
    let library = library.clone();
    blocking(move || {
        let root = match about {
            About::Root(root) => root,
            About::Card(card) => root_of(&library, &card, &bundles)?,
        };
        let here = cards_here(&library, &root)?.unwrap_or_default();
        let found = take_in(&library, &root, bundles)?.known;
        let circle = Circle::of(&library)?;
        let mut counting = claim::current(&found.claims);
        // Those of the user and of those whom the user knows before those of strangers.
        counting.sort_by_key(|claim| circle.standing(claim.endorser()));
        if let Some(path) = &of.export {
            write(path, &claim::to_jsonl(counting.iter().map(|claim| claim.bundle())))?;
        }
        Ok(Claims {
            root: root.to_string(),
            claims: counting.iter().map(|claim| line(claim, &circle)).collect(),
            cards: cards(&here, &found, &circle),
            asked: asked as u64,
            exported: of.export,
        })
    })
    .await
}

fn about(library: &Library, reference: &str) -> Result<About, Failure> {
    let parsed = refs::parse(reference)?;
    let found = refs::matching(library, &parsed.target)?;
    if let Some(held) = refs::pick(library, &parsed.target, found)? {
        return Ok(About::Root(held.tree.root));
    }
    match parsed.target {
        Target::Cid(cid) => Ok(About::Root(cid)),
        Target::Card(card) => Ok(About::Card(card)),
        _ => Err(Failure::new(Code::NotFound, format!("{reference} is not in the library"))
            .hint("name the CID of its files: modelswarm claims ROOT")),
    }
}

async fn from_peers(
    library: &Library,
    about: &About,
    of: &ClaimsOf,
    watch: &Watch,
) -> Result<(Vec<Bytes>, usize), Failure> {
    for (peer, address) in of.peers.iter().zip(parse_peers(&of.peers)?) {
        let Some(network) = &library.inner.network else { continue };
        if let Err(why) = network.connect(address).await {
            watch.warn(format!("{peer} was not reached: {why}"));
        }
    }
    let (About::Root(cid) | About::Card(cid)) = about;
    match ask(library, *cid, *cid).await {
        Ok(answers) => Ok(answers),
        // What is here is listed all the same.
        Err(failure) => {
            watch.warn(format!("peers were not asked: {failure}"));
            Ok((Vec::new(), 0))
        }
    }
}

/// The root that a card states, if a peer showed the card.
fn root_of(library: &Library, id: &Cid, bundles: &[Bytes]) -> Result<Cid, Failure> {
    let circle = Circle::of(library)?;
    let mut cards = bundles.iter().filter_map(|bundle| circle.card(bundle.clone()));
    let card = cards.find(|card| card.id() == id);
    card.map(|card| card.statement().root).ok_or_else(|| {
        Failure::new(
            Code::NotFound,
            format!("the card {id} is not here, and no peer that was asked has it"),
        )
        .hint("name the CID of its files, or a peer that has them with --peer MULTIADDR")
    })
}

pub(super) fn line(claim: &Claim, circle: &Circle) -> ClaimLine {
    let standing = circle.standing(claim.endorser());
    let of_this_kind = |endorser: &Endorser| {
        endorser.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind == claim.kind()))
    };
    let results = match claim.body() {
        Body::Eval { results, .. } => results.as_slice(),
        _ => &[],
    };
    ClaimLine {
        claim: claim.id().to_string(),
        endorser: claim.endorser().to_string(),
        alias: standing.as_ref().and_then(|one| one.alias()).map(ToString::to_string),
        trust: standing.as_ref().map_or("unknown", |one| one.as_str()).to_owned(),
        counts: circle
            .list()
            .endorser(&circle.speaks_as(claim.endorser()))
            .is_some_and(of_this_kind),
        kind: escape(claim.kind()).to_string(),
        properties: claim.properties().iter().map(|one| escape(one).to_string()).collect(),
        results: results
            .iter()
            .map(|one| MeasuredLine {
                dataset: escape(&one.dataset).to_string(),
                task: one.task.as_deref().map(|task| escape(task).to_string()),
                metric: escape(&one.metric).to_string(),
                value: one.value.clone(),
            })
            .collect(),
        holds: claim.holds(),
        made_at: claim.made_at().map(|at| at.to_string()),
        card: claim.subject().card().map(ToString::to_string),
        note: claim.note().map(|note| escape(note).to_string()),
    }
}

/// The cards over the root: those that are here, then those that somebody offered.
fn cards(here: &[Verified], found: &Found, circle: &Circle) -> Vec<OfferedCard> {
    let line = |card: &Verified, held: bool| {
        let statement = card.statement();
        let publisher = *card.publisher();
        let standing = circle.standing(&publisher);
        let alias = circle.list().alias_of(publisher).map(ToString::to_string);
        let trust = match standing {
            Some(standing) if standing.as_str() == "own" => "own",
            _ if alias.is_some() => "trusted",
            _ => "new",
        };
        OfferedCard {
            card: card.id().to_string(),
            publisher: publisher.to_string(),
            alias,
            trust: trust.to_owned(),
            name: statement.name.to_string(),
            version: statement.version.to_string(),
            seq: statement.seq,
            status: statement.status,
            created_at: statement.created_at.to_string(),
            held,
        }
    };
    let held = here.iter().map(|card| line(card, true));
    held.chain(found.cards.iter().map(|card| line(card, false))).collect()
}

/// Writes a file that must not be there.
fn write(path: &Path, lines: &[u8]) -> Result<(), Failure> {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    made.and_then(|mut file| file.write_all(lines).and_then(|()| file.sync_all())).map_err(|why| {
        Failure::new(files::code(&why), format!("cannot write {}: {why}", path.display()))
            .hint("name a file that is not there yet")
    })
}
