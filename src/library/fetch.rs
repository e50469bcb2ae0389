//! `get`: from a REF to files in their place, every byte verified.
//!
//! The steps, each a file: a [`jobs`] registry, so that two calls for one thing share the work; [`origin`], what the
//! REF leads to and who vouches for it — a release's card is verified before the bulk moves; [`plan`], what is asked
//! for, where it goes, what is there already; [`admission`], whether code is let in from them; [`transfer`], leaves into
//! files; all through [`source`], which knows the store and the peers. Interrupted at any point, the same call goes on where it stopped: what was written is found
//! again by `store`; a daemon goes on by itself ([`unfinished`]). Somebody who only reads ([`reading`]) changes the order
//! in which a fetch brings things, or has one that brings just what is read. Design section 4.

mod admission;
mod fresh;
mod jobs;
mod lookup;
mod meet;
mod origin;
mod place;
mod plan;
mod readers;
mod reading;
mod resolve;
mod roots;
mod source;
mod subject;
mod transfer;
mod unfinished;

use std::{sync::Arc, time::Instant};

use tokio::task::JoinHandle;

use self::{
    admission::Terms,
    jobs::{Follower, Job, Key, Outcome},
    origin::{Origin, Wanted},
    plan::{Plan, Purpose},
    source::Source,
    unfinished::Unfinished,
};
use super::{
    Library, Watch, blocking, chain, claims, content, hf_cache, labs, policy, sign, trust, watch,
    word,
};
use crate::card::Verified;
use crate::dag::Cid;
use crate::limits;
use crate::network::Multiaddr;
use crate::rpc::{Code, Failure, Fetched, Get, Progress, Stage};

pub(super) use self::fresh::Fresh;
pub(super) use self::jobs::Fetches;
pub(super) use self::meet::meet;
pub(super) use self::reading::{Hold, Opened, Reader, Subject, open as open_reading, open_listed};
pub(super) use self::resolve::{Found, index_at, index_of_publisher};
pub(super) use self::unfinished::forget as forget_unfinished;
pub use self::unfinished::resume;

/// Fetches what a REF means, or joins the fetch of it that is under way.
///
/// # Errors
/// Not found (3), refused (4), network (6), no space (7), as the command line's contract says.
pub async fn get(library: &Library, get: Get, watch: Watch) -> Result<Fetched, Failure> {
    let started = Instant::now();
    let job = begin(library, &get)?;
    let (outcome, fetched_bytes) = follow(&job, &watch).await?;
    let provenance = {
        let (library, named) = (library.clone(), get.publisher.is_some() || outcome.named);
        let card = outcome.card.clone();
        blocking(move || sign::provenance(&library, card.as_ref(), named)).await?
    };
    Ok(Fetched {
        release: outcome.release.map(|cid| cid.to_string()),
        root: outcome.root.to_string(),
        path: outcome.path,
        files: outcome.files,
        bytes: outcome.bytes,
        fetched_bytes: if get.dry_run { outcome.to_fetch } else { fetched_bytes },
        seconds: started.elapsed().as_secs_f64(),
        provenance,
        templates: outcome.templates,
        dry_run: get.dry_run.then_some(true),
    })
}

/// Starts the fetch, or joins it if it is under way.
fn begin(library: &Library, get: &Get) -> Result<Follower, Failure> {
    let peers = parse_peers(&get.peers)?;
    let job = library.inner.fetches.join_or_start(Key::of(get), || {
        let library = library.clone();
        let get = get.clone();
        move |job| async move { run(library, get, job).await }
    });
    for peer in peers {
        job.add_peer(peer)?;
    }
    Ok(job)
}

pub(super) fn parse_peers(peers: &[String]) -> Result<Vec<Multiaddr>, Failure> {
    let parse = |peer: &String| {
        peer.parse().map_err(|why| {
            Failure::new(Code::Usage, format!("--peer '{peer}' is not a multiaddr: {why}"))
                .hint("multiaddrs look like /ip4/192.168.1.7/tcp/8643/p2p/12D3KooW…")
        })
    };
    peers.iter().map(parse).collect()
}

/// Tells the one who asked how far the job is, until its end.
async fn follow(job: &Follower, watch: &Watch) -> Result<(Outcome, u64), Failure> {
    let mut state = job.state();
    let before = state.borrow().fetched;
    let mut warned = 0;
    loop {
        {
            let now = state.borrow_and_update();
            for warning in now.warnings.iter().skip(warned) {
                watch.warn(warning.clone());
            }
            warned = now.warnings.len();
            watch.progress(|| Progress {
                stage: if now.total.is_some() { Stage::Fetching } else { Stage::Finding },
                name: now.name.clone(),
                bytes: now.bytes,
                total: now.total,
                peers: now.peers,
            });
            if let Some(outcome) = &now.outcome {
                let fetched = now.fetched.saturating_sub(before);
                return outcome.clone().map(|outcome| (outcome, fetched));
            }
        }
        tokio::select! {
            changed = state.changed() => if changed.is_err() {
                return Err(watch::stopped());
            },
            () = watch.abandoned() => return Err(watch::stopped()),
        }
    }
}

async fn run(library: Library, get: Get, job: Arc<Job>) -> Result<Outcome, Failure> {
    let wanted = Wanted::find(&library, &get, &job).await?;
    let hints = wanted.hints.clone();
    let mut source = Source::open(&library, &get.reference, get.timeout, hints, &job);
    let origin = Origin::find(&library, wanted, &mut source).await?;
    job.update(|state| state.root = Some(origin.root));
    if let Some(card) = &origin.card {
        warn_of_namesakes(&library, card, &job).await?;
    }
    warn_of_unread_rules(&library, &job).await?;
    let said = judge(&library, &origin).await?;
    said.iter().for_each(|remark| job.warn(remark.clone()));
    let heard = listen(&library, &origin, &job, said).await?;
    let mut plan = Plan::make(&library, &get, Purpose::Keep, &origin, &mut source).await?;
    let mut outcome = plan.outcome(&origin);
    let terms = Terms::of(&library, &get, &origin).await?;
    if get.dry_run {
        terms.foresee(&plan).into_iter().for_each(|warning| job.warn(warning));
        end_of(heard).await;
        return Ok(outcome);
    }
    plan.begin(&library, &origin).await?;
    library.inner.fetches.supersede(&origin.root).await;
    let _noted = Unfinished::note(&library, &get, &origin.root).await?;
    let gate = terms.gate(&library, &get, plan.id(), plan.tree(&origin)).await?;
    let admitted = transfer::run(&library, &mut plan, &mut source, &job, gate).await?;
    plan.complete(&library, &origin).await?;
    if let (false, Some(network), true) =
        (origin.named_by.is_empty(), &library.inner.network, library.inner.serving)
    {
        network.announce(origin.named_by.clone()).await?;
    }
    if let Some(card) = &origin.card {
        let (library, card) = (library.clone(), card.clone());
        blocking(move || chain::accept(&library, &card)).await?;
    }
    let admitted = match admitted {
        Some(admitted) => admitted,
        None => terms.look(plan.lying()).await?,
    };
    content::few(&admitted.warnings).into_iter().for_each(|warning| job.warn(warning));
    let comparing = |progress: &Progress| {
        let name = format!("comparing {} with its card", progress.name);
        job.update(|state| {
            (state.name, state.bytes, state.total) = (name, progress.bytes, progress.total);
            state.peers = 0;
        });
    };
    if let Some(why) = hf_cache::lay_out(&library, plan.id(), comparing).await? {
        job.warn(format!("not laid out for Hugging Face clients (gateway.hf_cache): {why}"));
    }
    outcome.templates = admitted.templates;
    end_of(heard).await;
    claims::look_around(&library, origin.root);
    Ok(outcome)
}

/// Asks peers meanwhile what endorsers whom the user listed say of it: what they deny is said, once.
async fn listen(
    library: &Library,
    origin: &Origin,
    job: &Arc<Job>,
    said: Vec<String>,
) -> Result<Option<JoinHandle<()>>, Failure> {
    let (card, root, named) = (origin.card.clone(), origin.root, origin.named);
    let cids: Vec<Cid> = origin.release.into_iter().chain([root]).collect();
    let denied = move |library: &Library| {
        let card = card.as_ref();
        let subject = policy::Subject { card, root: &root, cids: &cids, named, admission: None };
        // Whether it may be used was decided before, by what was known then.
        let loud = policy::enforce(library, &subject)
            .unwrap_or_else(|failure| vec![failure.message.clone()]);
        Ok(loud.into_iter().filter(|one| !said.contains(one)).collect())
    };
    let job = Arc::clone(job);
    claims::listen(library, root, denied, move |one| job.warn(one)).await
}

/// Waits for what peers say, a little.
async fn end_of(heard: Option<JoinHandle<()>>) {
    if let Some(heard) = heard
        && tokio::time::timeout(limits::CLAIMS_WAIT, heard).await.is_err()
    {
        tracing::debug!("peers did not say in time what endorsers claim");
    }
}

/// Refuses what follows from no accepted card or what the user's rules refuse; what is to be said of it otherwise.
async fn judge(library: &Library, origin: &Origin) -> Result<Vec<String>, Failure> {
    let required = {
        let (library, card) = (library.clone(), origin.card.clone());
        blocking(move || policy::requires_claims(&library, card.as_ref())).await?
    };
    if required {
        claims::gather(library, origin.root).await?;
    }
    let root = origin.root;
    let (library, card) = (library.clone(), origin.card.clone());
    let later = origin.later.clone();
    let (asked, named) = (origin.asked, origin.named);
    let cids: Vec<Cid> = origin.release.into_iter().chain([origin.root]).collect();
    blocking(move || {
        let card = card.as_ref();
        let admission = card.map(|card| chain::check(&library, card, asked)).transpose()?;
        let admission = admission.as_ref();
        let subject = policy::Subject { card, root: &root, cids: &cids, named, admission };
        let mut remarks = policy::enforce(&library, &subject)?;
        let Some((card, admission)) = card.zip(admission) else { return Ok(remarks) };
        remarks.extend(word::remarks(&library, card, admission, later.as_ref())?);
        remarks.extend(labs::overdue(&library, card)?);
        Ok(remarks)
    })
    .await
}

/// A rule that is not known is none: whoever wrote it believes that it holds.
async fn warn_of_unread_rules(library: &Library, job: &Job) -> Result<(), Failure> {
    let library = library.clone();
    let places = blocking(move || trust::unread(&library)).await?;
    trust::unread_warning(&places).into_iter().for_each(|warning| job.warn(warning));
    Ok(())
}

/// A name that another key used before is said loudly: it may be somebody's try to be taken for them.
async fn warn_of_namesakes(library: &Library, card: &Verified, job: &Job) -> Result<(), Failure> {
    let others = {
        let (library, card) = (library.clone(), card.clone());
        blocking(move || sign::namesakes(&library, &card)).await?
    };
    if !others.is_empty() {
        job.warn(format!(
            "ANOTHER PUBLISHER: {} is signed by {}; the {} you have is by {}",
            card.statement().name,
            card.publisher(),
            card.statement().name,
            others.join(", ")
        ));
    }
    Ok(())
}
