//! What others say of content: `endorse` and `claims`, and what a peer is told that asks (`answer`).
//!
//! Claims are `card::claim`'s and are verified whenever they are read; this makes them, keeps them by the root that they
//! are about (`kept`), and asks peers for more. They count by the user's trust list alone, in `policy`. Cards that somebody
//! offered for a root are kept beside them and listed: no fetch takes its provenance from them. Design section 5.

mod answer;
mod kept;
mod list;

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;

use self::kept::{Circle, Standing, take_in};
use super::{Library, Watch, blocking, clock, files, refs, sign, signer, trust};
use crate::{
    card::{
        Claim, Identity, Verified,
        claim::{self, Body, Draft, Measured, Subject, Unsigned},
    },
    dag::{Cid, name::escape},
    limits,
    rpc::{self, ClaimKind, Code, Endorse, Endorsed, Failure, ImportedClaims},
};

pub use answer::answerer;
pub(super) use kept::forget_strangers;
pub use list::list;

/// Signs a claim with the home's key and keeps it.
///
/// # Errors
/// Not found (3) for a REF that is not here; usage (2) for a claim that says nothing; as the store fails.
pub fn endorse(library: &Library, endorse: &Endorse, watch: &Watch) -> Result<Endorsed, Failure> {
    let held = refs::newest(library, &endorse.reference)?;
    let card = sign::card_of(library, &held.tree)?;
    let subject = match &card {
        Some(card) => Subject::of_card(card),
        None => Subject::of_root(&held.tree.root),
    };
    let body = body(endorse)?;
    let now = clock::now()?;
    let signer = library.inner.publishing.signer;
    let kept = kept::load(library.store(), &Circle::of(library)?, &held.tree.root)?;
    let unsigned = |supersedes| {
        let note = endorse.note.clone();
        let draft =
            Draft { subject: subject.clone(), body: body.clone(), made_at: now, supersedes, note };
        Unsigned::new(&draft, &signer).map_err(|why| {
            Failure::new(Code::Usage, format!("the claim cannot be made: {why}"))
                .hint("modelswarm endorse --help shows what a claim needs")
        })
    };
    let first = unsigned(Vec::new())?;
    let before = claim::current(&kept.claims).into_iter();
    let replaced: Vec<Cid> =
        before.filter(|old| old.gives_way_to(&first)).map(|old| *old.id()).collect();
    let unsigned = if replaced.is_empty() { first } else { unsigned(replaced.clone())? };
    let what = || rpc::Unsigned::Claim {
        payload: String::from_utf8_lossy(unsigned.payload()).into_owned(),
    };
    let [signature] = signer::sign(library, &signer, [&unsigned.message()], what, Some(watch))?;
    let made = unsigned.with_signature(&signature).map_err(|why| {
        Failure::new(Code::Refused, format!("the claim was not signed as it should be: {why}"))
    })?;
    take_in(library, &held.tree.root, vec![made.bundle().clone()])?;
    Ok(Endorsed {
        claim: made.id().to_string(),
        card: card.map(|card| card.id().to_string()),
        root: held.tree.root.to_string(),
        kind: made.kind().to_owned(),
        endorser: made.endorser().to_string(),
        holds: made.holds(),
        properties: made.properties().to_vec(),
        replaces: replaced.iter().map(ToString::to_string).collect(),
        visibility: held.tree.visibility,
    })
}

/// What the arguments claim.
///
/// # Errors
/// Usage (2) for what says nothing, or what its kind cannot say.
pub fn body(endorse: &Endorse) -> Result<Body, Failure> {
    let Endorse { properties, fail, .. } = endorse;
    let usage = |why: &str, hint: &str| Err(Failure::new(Code::Usage, why).hint(hint));
    let measured = endorse.dataset.is_some() || endorse.metric.is_some() || endorse.value.is_some();
    let kind = endorse.kind.unwrap_or(match (measured, fail) {
        (true, _) => ClaimKind::Eval,
        (false, true) => ClaimKind::TestResult,
        (false, false) => ClaimKind::Svr,
    });
    if measured && kind != ClaimKind::Eval {
        return usage(
            "a claim of this kind has no room for a measured value",
            "--kind eval, or leave out --dataset, --metric and --value",
        );
    }
    if kind != ClaimKind::Eval && properties.is_empty() {
        return usage("what is claimed is missing", "--property PICKLE_FREE, for one");
    }
    match kind {
        ClaimKind::Svr if *fail => usage(
            "an SVR can only say what holds: readers would take the property as verified",
            "leave out --kind, or --kind test-result: it says FAILED",
        ),
        ClaimKind::Svr => Ok(Body::Svr { properties: properties.clone() }),
        ClaimKind::TestResult => Ok(Body::TestResult { holds: !fail, tests: properties.clone() }),
        ClaimKind::Eval => {
            let (Some(dataset), Some(metric), Some(value)) =
                (&endorse.dataset, &endorse.metric, &endorse.value)
            else {
                return usage(
                    "an evaluation needs a dataset, a metric and a value",
                    "--dataset Idavidrein/gpqa --metric accuracy --value 0.412",
                );
            };
            let measured = Measured {
                dataset: dataset.clone(),
                task: endorse.task.clone(),
                metric: metric.clone(),
                value: value.clone(),
            };
            let properties = properties.clone();
            Ok(Body::Eval { holds: !fail, properties, results: vec![measured] })
        }
    }
}

/// Why a claim that holds is not kept.
const NOT_KEPT: &str = "its endorser is blocked, or unknown to you and its files not here, or there are enough of such, or it is not about the card that it names";

/// Takes in the claims of a `claims.jsonl`, whatever they are about.
///
/// # Errors
/// Failure (1) or permission (5) for a file that is not read; refused (4) if nothing in it is a claim that holds.
pub fn import(library: &Library, path: &Path) -> Result<ImportedClaims, Failure> {
    let shown = path.display();
    let unread = |why: &std::io::Error| {
        let code = match why.kind() {
            std::io::ErrorKind::PermissionDenied => Code::Permission,
            _ => Code::Failure,
        };
        Failure::new(code, format!("cannot read {shown}: {why}"))
    };
    let bytes = files::read_at_most(path, limits::CLAIMS_FILE_MAX).map_err(|why| unread(&why))?;
    let refused = |why: &dyn std::fmt::Display| {
        Failure::new(Code::Refused, format!("{shown}: {why}")).hint(
            "each line is to be one claim, as `modelswarm claims REF --export FILE` writes them",
        )
    };
    let lines = claim::from_jsonl(&Bytes::from(bytes)).map_err(|why| refused(&why))?;
    let mut imported = ImportedClaims { claims: lines.len() as u64, kept: 0, refused: Vec::new() };
    let mut by_root: BTreeMap<Cid, Vec<(usize, Claim)>> = BTreeMap::new();
    for (number, bundle) in lines {
        match claim::verify(bundle) {
            Ok(claim) => {
                by_root.entry(*claim.subject().root()).or_default().push((number, claim));
            }
            Err(why) => {
                imported.refused.push(format!("line {number}: {}", escape(&why.to_string())));
            }
        }
    }
    for (root, claims) in by_root {
        let bundles = claims.iter().map(|(_, claim)| claim.bundle().clone()).collect();
        let taken = take_in(library, &root, bundles)?;
        for (number, claim) in claims {
            if taken.kept.contains(claim.id()) {
                imported.kept += 1;
            } else {
                imported.refused.push(format!("line {number}: not kept: {NOT_KEPT}"));
            }
        }
    }
    match imported.refused.first() {
        Some(why) if imported.kept == 0 => Err(refused(why)),
        _ => Ok(imported),
    }
}

/// The claims about a tree that are kept and count, and about its card as that is, each with as whom its endorser speaks:
/// what is decided by.
pub(super) fn known(
    library: &Library,
    root: &Cid,
    card: Option<&Verified>,
) -> Result<Vec<(Identity, Claim)>, Failure> {
    let circle = Circle::of(library)?;
    let kept = kept::load(library.store(), &circle, root)?;
    let current = claim::current(kept.about(root, card)).into_iter();
    Ok(current.map(|claim| (circle.speaks_as(claim.endorser()), claim)).collect())
}

/// Asks peers for claims about a root and keeps what may be kept, before something is decided by them. How many are known.
pub(super) async fn gather(library: &Library, root: Cid) -> Result<usize, Failure> {
    let (bundles, _) = ask(library, root, root).await?;
    let library = library.clone();
    Ok(blocking(move || take_in(&library, &root, bundles)).await?.known.claims.len())
}

/// Asks peers for claims while something is fetched, if the user listed anybody whose claims count: what they deny is said,
/// besides what was `said` before. None: nobody is listed, or asked by now.
///
/// # Errors
/// As the trust list cannot be read.
pub(super) async fn listen(
    library: &Library,
    root: Cid,
    denied: impl Fn(&Library) -> Result<Vec<String>, Failure> + Send + 'static,
    say: impl Fn(String) + Send + 'static,
) -> Result<Option<tokio::task::JoinHandle<()>>, Failure> {
    let list = {
        let library = library.clone();
        blocking(move || trust::load(&library.inner.home)).await?
    };
    let Some(network) = library.inner.network.clone().filter(|_| !list.endorsers().is_empty())
    else {
        return Ok(None);
    };
    let library = library.clone();
    let listening = async move {
        let answers = network.attestations_within(root, root, limits::CLAIMS_WAIT).await?;
        let bundles = answers.into_iter().flat_map(|(_, bundles)| bundles).collect();
        let heard = move || {
            take_in(&library, &root, bundles)?;
            denied(&library)
        };
        blocking(heard).await
    };
    Ok(Some(tokio::spawn(async move {
        match listening.await {
            Ok(denied) => denied.into_iter().for_each(say),
            Err(failure) => tracing::debug!(%root, %failure, "peers were not asked for claims"),
        }
    })))
}

/// What endorsers whom the user listed, or who are the user, say of a tree and its card.
pub(super) fn of_listed(
    library: &Library,
    root: &Cid,
    card: Option<&Verified>,
) -> Result<Vec<rpc::ClaimLine>, Failure> {
    let circle = Circle::of(library)?;
    let kept = kept::load(library.store(), &circle, root)?;
    let lines = claim::current(kept.about(root, card)).into_iter();
    Ok(lines.map(|claim| list::line(&claim, &circle)).filter(|line| line.counts).collect())
}

/// Asks peers, after a fetch, what they know about what was fetched, and keeps it; nobody waits for that.
pub(super) fn look_around(library: &Library, root: Cid) {
    if !library.inner.serving {
        return;
    }
    let library = library.clone();
    tokio::spawn(async move {
        match gather(&library, root).await {
            Ok(claims) => tracing::debug!(%root, claims, "asked peers for claims"),
            Err(failure) => tracing::debug!(%root, %failure, "peers were not asked for claims"),
        }
    });
}

/// The bundles that peers answer with, unverified, and how many peers answered.
async fn ask(library: &Library, root: Cid, about: Cid) -> Result<(Vec<Bytes>, usize), Failure> {
    let Some(network) = &library.inner.network else { return Ok((Vec::new(), 0)) };
    let answers = network.attestations(root, about).await?;
    let peers = answers.len();
    Ok((answers.into_iter().flat_map(|(_, bundles)| bundles).collect(), peers))
}

/// The claims that go with an exported card: those of endorsers that the user knows.
pub(super) fn to_export(library: &Library, card: &Verified) -> Result<Vec<Claim>, Failure> {
    let circle = Circle::of(library)?;
    let kept = kept::load(library.store(), &circle, &card.statement().root)?;
    let current = claim::current(kept.about(&card.statement().root, Some(card)));
    let known = |claim: &Claim| {
        circle.standing(claim.endorser()).is_some_and(|standing| standing != Standing::Unknown)
    };
    Ok(current.into_iter().filter(known).collect())
}
