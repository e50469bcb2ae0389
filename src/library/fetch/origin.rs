//! What a REF leads to, and who vouches for it.
//!
//! A directory with a top-level `card.sigstore.json` is a release: its card is verified here, before the bulk of the
//! bytes moves, or the fetch is refused. A bare root is unsigned, unless the library already holds a verified card for
//! it. Design section 5.

use std::sync::Arc;

use super::{
    jobs::Job,
    lookup::{self, Lookup},
    source::Source,
};
use crate::{
    card::{
        Identity, Unverified, Verified, envelope, oms,
        policy::Asked,
        reference::{Publisher, Target},
        release::{self, CARD, MODEL_SIG, PUBLISHER},
        statement::FILES_LIST,
        tuf,
    },
    dag::{
        Block, Cid, Entry,
        unixfs::{self, Node},
    },
    library::{Library, blocking, keep::findable, labs, refs, sign},
    limits,
    rpc::{Code, Failure, Get},
};

/// What a REF names, before anything was fetched.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// A release, a root, or a file or directory of one.
    pub cid: Cid,
    /// A path below it.
    pub path: Option<String>,
    /// What providers are looked for.
    pub hints: Vec<Cid>,
    /// The only publisher whose card will do.
    pub publisher: Option<Identity>,
    /// Whether that key itself was written by the user.
    pub named: bool,
    /// What the publisher's index says of the name, if it was asked.
    lookup: Option<Lookup>,
}

impl Wanted {
    /// Reads the REF. Card ids and names by themselves mean what the library knows; of `PUBLISHER/NAME` the publisher's
    /// index is asked.
    ///
    /// # Errors
    /// Usage (2); not found (3) for names that nobody knows; as [`lookup::look_up`].
    pub(super) async fn find(
        library: &Library,
        get: &Get,
        job: &Arc<Job>,
    ) -> Result<Self, Failure> {
        let lookup = lookup::look_up(library, get, job).await?;
        let (library, get) = (library.clone(), get.clone());
        blocking(move || Self::read(&library, &get, lookup)).await
    }

    fn read(library: &Library, get: &Get, lookup: Option<Lookup>) -> Result<Self, Failure> {
        let reference = refs::parse(&get.reference)?;
        let asked: Option<Identity> = match &get.publisher {
            None => None,
            Some(text) => Some(text.parse().map_err(|why: crate::card::identity::Error| {
                Failure::new(Code::Usage, format!("--publisher {text}: {why}"))
            })?),
        };
        let (publisher, named) = match &reference.target {
            Target::Repo { publisher, .. } => {
                let id = refs::publisher_id(library, publisher)?;
                (Some(id), matches!(publisher, Publisher::Id(_)))
            }
            _ => (None, false),
        };
        if let (Some(asked), Some(publisher)) = (&asked, &publisher)
            && asked != publisher
        {
            return Err(Failure::new(
                Code::Refused,
                format!("{} is {publisher}'s, not {asked}'s", get.reference),
            ));
        }
        let known = refs::known(library, &reference.target)?;
        let known = refs::pick(library, &reference.target, known)?;
        let (cid, hints) = match (&lookup, &reference.target, known) {
            (Some(Lookup { listed, .. }), ..) => {
                (listed.release, vec![listed.release, listed.root])
            }
            (None, Target::Cid(cid), known) => {
                let mut hints = vec![*cid];
                hints.extend(known.iter().flat_map(|held| findable(&held.tree)));
                (*cid, hints)
            }
            (None, _, Some(held)) => {
                (held.tree.release.unwrap_or(held.tree.root), findable(&held.tree))
            }
            (None, Target::Card(card), None) => {
                return Err(Failure::new(
                    Code::NotFound,
                    format!("the card {card} is not known here, and nobody whom you trust lists it"),
                )
                .hint("say whose it is: modelswarm get PUBLISHER/NAME@CARD; or trust its publisher: modelswarm trust add"));
            }
            (None, _, None) => {
                return Err(Failure::new(
                    Code::NotFound,
                    format!("{} is not known here, and no peer has its publisher's index", get.reference),
                )
                .hint("ask its publisher for the release CID: modelswarm get CID; or name a peer with --peer MULTIADDR"));
            }
        };
        let named = named || asked.is_some();
        let publisher = asked.or(publisher);
        Ok(Self { cid, path: reference.path, hints, publisher, named, lookup })
    }
}

/// Where a fetch starts from: a root, and its card if it has one.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The release, if the REF led to one.
    pub release: Option<Cid>,
    /// The files.
    pub root: Cid,
    /// Entries of the release beside the files.
    pub extras: Vec<(String, Cid)>,
    /// The verified card over the root.
    pub card: Option<Verified>,
    /// A later card over the same files, as the publisher's index lists it.
    pub later: Option<Verified>,
    /// Its companion (`model.sig`), checked against it.
    pub companion: Option<Vec<u8>>,
    /// Blocks of the release itself, to be kept with the files.
    pub blocks: Vec<Block>,
    /// As in the REF.
    pub path: Option<String>,
    /// Whether the publisher's key was written by the user.
    pub named: bool,
    /// How far the REF said which version is meant.
    pub asked: Asked,
    /// What led here, the publisher's index above all: served on with the files.
    pub named_by: Vec<Cid>,
}

impl Origin {
    /// Fetches the first block and, for a release, its card; verifies it.
    ///
    /// # Errors
    /// Refused (4) for a release that is not valid, or is not the asked publisher's; as [`Source::arrived`].
    pub(super) async fn find(
        library: &Library,
        wanted: Wanted,
        source: &mut Source,
    ) -> Result<Self, Failure> {
        let first = source.block(wanted.cid).await?;
        let entries = match unixfs::decode(&first) {
            Ok(Node::Directory(entries)) if entries.iter().any(|entry| entry.name == CARD) => {
                entries
            }
            _ => return Self::bare(library, wanted, first).await,
        };
        // All of them in one round trip, the first node of the files too: which of them count, the card says.
        let beside: Vec<Cid> =
            entries.iter().take(limits::RELEASE_ENTRIES).map(|entry| entry.cid).collect();
        source.prefetch(&beside).await?;
        let (card, mut blocks) = verified(library, source, &wanted.cid, &entries).await?;
        let refused = |why: String| refused(&wanted.cid, &why);
        let names = entries.iter().map(|entry| (entry.name.as_str(), entry.cid));
        let release = release::check(names, &card).map_err(|why| refused(why.to_string()))?;
        expect_publisher(&wanted, Some(&card))?;
        if let Some(lookup) = &wanted.lookup {
            lookup.check(&card)?;
            lookup.fill(library, source).await?;
            blocks.extend(lookup.blocks.iter().cloned());
        }
        let extras: Vec<(String, Cid)> = entries
            .iter()
            .filter(|entry| entry.cid != release.root)
            .map(|entry| (entry.name.clone(), entry.cid))
            .collect();
        let (mut files_list, mut companion) = (None, None);
        for (name, cid) in &extras {
            let (bytes, nodes) = source.small_file(*cid, limits::FETCH_SMALL_FILE).await?;
            blocks.extend(nodes);
            match name.as_str() {
                FILES_LIST => files_list = Some(bytes),
                MODEL_SIG => companion = Some(bytes),
                _ => {}
            }
        }
        // It would pass on under the publisher's name: one that the card's key did not make is refused.
        if let Some(companion) = &companion {
            let manifest = card.statement().manifest(files_list.as_deref());
            let manifest = manifest.map_err(|why| refused(why.to_string()))?;
            oms::verify_companion(companion, &card, &manifest)
                .map_err(|why| refused(why.to_string()))?;
        }
        blocks.push(first);
        Ok(Self {
            release: Some(wanted.cid),
            root: release.root,
            extras,
            card: Some(card),
            later: wanted.lookup.as_ref().and_then(|lookup| lookup.later.clone()),
            companion,
            blocks,
            path: wanted.path,
            named: wanted.named,
            asked: wanted.lookup.as_ref().map_or(Asked::Id, |lookup| lookup.asked),
            named_by: lookup_cids(wanted.lookup.as_ref()),
        })
    }

    /// A root, file or directory by itself.
    async fn bare(library: &Library, wanted: Wanted, first: Block) -> Result<Self, Failure> {
        let root = wanted.cid;
        let library = library.clone();
        let (card, release) = blocking(move || sign::known_card(&library, &root)).await?;
        expect_publisher(&wanted, card.as_ref())?;
        Ok(Self {
            release,
            root,
            extras: Vec::new(),
            card,
            later: None,
            companion: None,
            blocks: vec![first],
            path: wanted.path,
            named: wanted.named,
            asked: Asked::Id,
            named_by: Vec::new(),
        })
    }
}

fn lookup_cids(lookup: Option<&Lookup>) -> Vec<Cid> {
    let blocks = lookup.into_iter().flat_map(|lookup| &lookup.blocks);
    blocks.map(|block| *block.cid()).collect()
}

/// The card of a release, verified, and nothing else of it.
///
/// # Errors
/// Refused (4) for what is no release or bears no valid card; as [`Source::block`].
pub(super) async fn card_of_release(
    library: &Library,
    source: &mut Source,
    release: Cid,
) -> Result<Verified, Failure> {
    let first = source.block(release).await?;
    let Ok(Node::Directory(entries)) = unixfs::decode(&first) else {
        return Err(refused(&release, &"it is no directory"));
    };
    Ok(verified(library, source, &release, &entries).await?.0)
}

/// The card of a release with these entries, and the blocks that it came in. A lab's is verified by the longest chain of
/// roots that is known, which may be the one beside it; that is kept from then on.
async fn verified(
    library: &Library,
    source: &mut Source,
    release: &Cid,
    entries: &[Entry],
) -> Result<(Verified, Vec<Block>), Failure> {
    let entry = |name| entries.iter().find(|entry| entry.name == name);
    let bundle = entry(CARD).ok_or_else(|| refused(release, &"it has no card"))?;
    let (bundle, mut blocks) = source.small_file(bundle.cid, limits::CARD_BUNDLE_MAX).await?;
    let unverified = Unverified::from_bundle(bundle).map_err(|why| refused(release, &why))?;
    let Some(document) = entry(PUBLISHER) else {
        let verified = {
            let library = library.clone();
            blocking(move || sign::verify_opened(&library, unverified)).await
        };
        return Ok((verified.map_err(|why| refused(release, &why))?, blocks));
    };
    let (document, _) = source.small_file(document.cid, limits::PUBLISHER_DOC_MAX).await?;
    let lab = tuf::Publisher::from_document(&document).map_err(|why| refused(release, &why))?;
    // By the roots beside it: that they are not behind those which are known is looked at next.
    let beside = lab.clone();
    let card = unverified
        .verify_with(|id| (beside.id() == id).then_some(beside))
        .map_err(|why: envelope::Error| refused(release, &why))?;
    if card.publisher().as_lab() != Some(lab.id()) {
        return Err(refused(release, &"its publisher.json is not its publisher's"));
    }
    blocks.push(lab.first_block());
    let library = library.clone();
    blocking(move || labs::learn(&library, lab)).await?;
    Ok((card, blocks))
}

fn refused(release: &Cid, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::Refused, format!("the release {release} is refused: {why}"))
        .hint("it was changed, or is not what it says; nothing of it was put in place")
}

fn expect_publisher(wanted: &Wanted, card: Option<&Verified>) -> Result<(), Failure> {
    let Some(asked) = &wanted.publisher else { return Ok(()) };
    let why = match card {
        Some(card) if card.publisher() == asked => return Ok(()),
        Some(card) => format!("it is {}'s, not {asked}'s", card.publisher()),
        None => format!("nobody signed it, and {asked} was asked for"),
    };
    Err(Failure::new(Code::Refused, format!("{} is refused: {why}", wanted.cid)))
}
