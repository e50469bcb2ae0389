//! Cards: making a new version's, and what is known of those that are here.
//!
//! A card read from the store is verified again: the word "verified" is said only of what was verified just now.

use bytes::Bytes;

use super::{
    Library, Watch, blocks, chain, clock,
    import::{Imported, Tree as ReadTree},
    labs, signer, trust,
    word::{self, Word},
};
use crate::{
    card::{
        self, Identity, Manifest, RepoName, Statement, Unverified, Verified, Version,
        envelope::Unsigned,
        json::Map,
        manifest::FileEntry,
        oms,
        policy::Trust,
        release::{CARD, MODEL, MODEL_SIG, PUBLISHER},
        statement::{FILES_LIST, Files, RootVersion, Status},
        tuf::Publisher,
    },
    dag::{
        Block, Cid, Entry,
        block::{RAW, sha256},
        build::{self, Built, FileBuilder},
    },
    limits,
    rpc::{self, Code, Failure, Kind, Provenance, ProvenanceStatus},
    store::{Repo, Tree},
};

/// What a new version says besides its files.
#[derive(Debug)]
pub(super) struct Draft {
    pub name: RepoName,
    pub kind: Kind,
    pub version: Version,
    pub seq: u64,
    pub prev: Option<Cid>,
    pub license: Option<String>,
    pub metadata: Map,
    /// Contradicting cards that it settles.
    pub resolves: Vec<Cid>,
    /// Lineage, results and links, as the predicate's fields.
    pub origins: Map,
    /// What signs `model.sig`, if there is to be one.
    pub companion: Option<oms::SigningKey>,
}

/// A signed release: its card, and the blocks that make up everything but the files.
#[derive(Debug)]
pub(super) struct Release {
    pub cid: Cid,
    pub card: Verified,
    /// The bytes of `model.sig`.
    pub companion: Option<Vec<u8>>,
    pub blocks: Vec<Block>,
}

/// Signs a version and builds its release.
pub(super) fn release(
    library: &Library,
    draft: Draft,
    tree: &ReadTree,
    watch: &Watch,
) -> Result<Release, Failure> {
    let (publisher, publisher_root) = publishing(library)?;
    let manifest = manifest(&tree.files)?;
    let mut statement = Statement {
        publisher,
        publisher_root,
        name: draft.name,
        kind: draft.kind,
        version: draft.version,
        seq: draft.seq,
        prev: draft.prev,
        created_at: clock::now()?,
        expires: None,
        status: Status::Active,
        license: draft.license,
        root: tree.built.cid,
        total_size: manifest.total_size(),
        file_count: manifest.files().len() as u64,
        tree: manifest.digests(),
        files: Files::Inline(manifest.clone()),
        metadata: draft.metadata,
        companion_keys: draft.companion.iter().map(|key| key.public().to_string()).collect(),
        resolves: draft.resolves,
        other: draft.origins,
        unread: Vec::new(),
    };
    let mut blocks = Vec::new();
    let mut entries = Vec::new();
    // An ssh-agent takes no longer message; where the key is elsewhere it may be in one.
    let most = match library.inner.publishing.key {
        Some(_) => limits::CARD_PAYLOAD_INLINE_MAX,
        None => limits::AGENT_PAYLOAD_MAX,
    };
    let inline = statement.fits_inline(most).map_err(|why| cannot_sign(&why))?;
    if !inline {
        let list = manifest.to_jsonl();
        let built = small_file(&list, &mut blocks);
        statement.files = Files::List(FileEntry {
            path: FILES_LIST.into(),
            size: built.size,
            sha256: sha256(&list),
            cid: built.cid,
        });
        entries.push(entry(FILES_LIST, &built));
    }
    let card = sign(library, statement, Some(watch))?;
    let companion = draft
        .companion
        .map(|key| oms::sign(&card.statement().name, &manifest, &key))
        .transpose()
        .map_err(|why| {
            Failure::new(Code::Usage, format!("model.sig cannot be made: {why}"))
                .hint("seed without --oms")
        })?;
    entries.extend(with_card(library, &card, &tree.built, companion.as_deref(), &mut blocks)?);
    let built = directory(entries, &mut blocks)?;
    Ok(Release { cid: built.cid, card, companion, blocks })
}

/// As whom a card is signed now, and under which version of a lab's root.
pub(super) fn publishing(library: &Library) -> Result<(Identity, Option<RootVersion>), Failure> {
    let lab = own_lab(library)?;
    let root = lab.as_ref().map(Publisher::head);
    let root = root.map(|root| RootVersion { version: root.version(), cid: *root.cid() });
    Ok((*library.publisher(), root))
}

/// The lab that is published for here, by its newest roots.
pub(super) fn own_lab(library: &Library) -> Result<Option<Publisher>, Failure> {
    library.publisher().as_lab().map_or(Ok(None), |id| labs::known(library, id))
}

/// Signs a statement as its publisher.
///
/// # Errors
/// Usage (2) for what no card may say; refused (4) if the lab does not take the key; as [`signer::sign`].
pub(super) fn sign(
    library: &Library,
    statement: Statement,
    watch: Option<&Watch>,
) -> Result<Verified, Failure> {
    let lab = own_lab(library)?;
    let key = library.inner.publishing.signer;
    if let Some(lab) = lab.as_ref().filter(|lab| !lab.allowed(&key, lab.head().version())) {
        return Err(Failure::new(
            Code::Refused,
            format!("{key} is no key for cards in the newest root of {}", lab.id()),
        )
        .hint(
            "sign with one that is: modelswarm key use FILE; modelswarm publisher show names them",
        ));
    }
    let unsigned = Unsigned::new(statement).map_err(|why| cannot_sign(&why))?;
    let what = || rpc::Unsigned::Card {
        payload: String::from_utf8_lossy(unsigned.payload()).into_owned(),
    };
    let [signature] = signer::sign(library, &key, [&unsigned.message()], what, watch)?;
    unsigned.with_signature(&key, &signature, lab.as_ref()).map_err(|why| {
        Failure::new(Code::Refused, format!("the card was not signed as it should be: {why}"))
    })
}

/// A release like another one, of these entries, with this card in the place of the one there.
pub(super) fn over(
    library: &Library,
    card: &Verified,
    beside: Vec<Entry>,
) -> Result<(Cid, Vec<Block>), Failure> {
    let mut blocks = Vec::new();
    let stays = |entry: &Entry| entry.name != CARD && entry.name != PUBLISHER;
    let mut entries: Vec<Entry> = beside.into_iter().filter(stays).collect();
    entries.push(entry(CARD, &small_file(card.bundle(), &mut blocks)));
    entries.extend(lab_entry(library, card, &mut blocks)?);
    let built = directory(entries, &mut blocks)?;
    Ok((built.cid, blocks))
}

/// The release of a card that exists: the same card over the same tree, with the companion that was kept with it, gives
/// the same release.
pub(super) fn rebuild(
    library: &Library,
    card: &Verified,
    tree: &ReadTree,
) -> Result<(Cid, Vec<Block>), Failure> {
    let companion = library.store().companion(card.id())?;
    let mut blocks = Vec::new();
    let mut entries = Vec::new();
    if let Files::List(_) = &card.statement().files {
        let list = manifest(&tree.files)?.to_jsonl();
        entries.push(entry(FILES_LIST, &small_file(&list, &mut blocks)));
    }
    entries.extend(with_card(library, card, &tree.built, companion.as_deref(), &mut blocks)?);
    let built = directory(entries, &mut blocks)?;
    Ok((built.cid, blocks))
}

fn with_card(
    library: &Library,
    card: &Verified,
    root: &Built,
    companion: Option<&[u8]>,
    blocks: &mut Vec<Block>,
) -> Result<Vec<Entry>, Failure> {
    let bundle = small_file(card.bundle(), blocks);
    let mut entries = vec![entry(CARD, &bundle), entry(MODEL, root)];
    entries.extend(companion.map(|bytes| entry(MODEL_SIG, &small_file(bytes, blocks))));
    entries.extend(lab_entry(library, card, blocks)?);
    Ok(entries)
}

/// The roots of a lab up to the one that its card is signed under: the same card gives the same release for ever.
fn lab_entry(
    library: &Library,
    card: &Verified,
    blocks: &mut Vec<Block>,
) -> Result<Option<Entry>, Failure> {
    let document = roots(library, card)?;
    Ok(document.map(|document| entry(PUBLISHER, &small_file(&document, blocks))))
}

/// The bytes of `publisher.json` as it lies beside a lab's card.
pub(super) fn roots(library: &Library, card: &Verified) -> Result<Option<Vec<u8>>, Failure> {
    let Some(root) = card.statement().publisher_root else { return Ok(None) };
    let lab = labs::lab_of(library, card)?;
    let document = lab.and_then(|lab| lab.document_at(root.version)).ok_or_else(|| {
        Failure::new(Code::Failure, format!("the publisher.json of {} is lost", card.publisher()))
            .hint("fetch its release again, or put the file back: modelswarm publisher use FILE")
    })?;
    Ok(Some(document))
}

/// The release's own node.
fn directory(entries: Vec<Entry>, blocks: &mut Vec<Block>) -> Result<Built, Failure> {
    build::directory(entries, &mut |node| blocks.push(node)).map_err(|why| cannot_sign(&why))
}

fn entry(name: &str, built: &Built) -> Entry {
    Entry { name: name.into(), cid: built.cid, tsize: built.tsize }
}

/// A file of a release as blocks: it lies in the index, in no file of its own.
fn small_file(bytes: &[u8], blocks: &mut Vec<Block>) -> Built {
    let mut builder = FileBuilder::new();
    for chunk in bytes.chunks(limits::CHUNK) {
        let leaf = Block::new(RAW, chunk.to_vec());
        builder.push(*leaf.cid(), chunk.len() as u64, &mut |node| blocks.push(node));
        blocks.push(leaf);
    }
    builder.finish(&mut |node| blocks.push(node))
}

/// The signed list of files; each must have been read with its own digest.
pub(super) fn manifest(files: &[Imported]) -> Result<Manifest, Failure> {
    let entries = files.iter().map(|file| {
        let sha256 = file.sha256.ok_or_else(|| {
            Failure::new(Code::Failure, format!("{} was read without its digest", file.path))
        })?;
        Ok(FileEntry { path: file.path.clone(), size: file.size, sha256, cid: file.cid })
    });
    let entries: Result<Vec<FileEntry>, Failure> = entries.collect();
    Manifest::new(entries?).map_err(|why| cannot_sign(&why))
}

fn cannot_sign(why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::Usage, format!("the card cannot be made: {why}"))
}

/// A card of the library, verified again.
pub(super) fn card_by_id(library: &Library, id: &Cid) -> Result<Option<Verified>, Failure> {
    let Some(bundle) = library.store().card(id)? else { return Ok(None) };
    let damaged = |why: String| {
        Failure::new(Code::Refused, format!("the card {id} of this library is damaged: {why}"))
            .hint("fetch its release again: modelswarm get CID")
    };
    let card = verify(library, bundle).map_err(|why| damaged(why.to_string()))?;
    if card.id() != id {
        return Err(damaged(format!("it is {}", card.id())));
    }
    Ok(Some(card))
}

/// A card that its bundle proves; a lab's, by what is known of the lab here.
///
/// # Errors
/// Refused (4), saying why it proves none.
pub(super) fn verify(library: &Library, bundle: impl Into<Bytes>) -> Result<Verified, Failure> {
    let card = Unverified::from_bundle(bundle)
        .map_err(|why| Failure::new(Code::Refused, why.to_string()))?;
    verify_opened(library, card)
}

/// The same of a bundle in the right outer form.
///
/// # Errors
/// As [`verify`].
pub(super) fn verify_opened(library: &Library, card: Unverified) -> Result<Verified, Failure> {
    let mut lookup = Ok(());
    let lab = |id: &card::TufId| {
        labs::known(library, id).unwrap_or_else(|failure| {
            lookup = Err(failure);
            None
        })
    };
    let verified = card.verify_with(lab);
    lookup?;
    verified.map_err(|why| Failure::new(Code::Refused, why.to_string()))
}

/// The bytes of the list of files that lies beside a card; none if the card lists them itself, or it is not here.
pub(super) fn files_list(library: &Library, card: &Verified) -> Result<Option<Vec<u8>>, Failure> {
    match &card.statement().files {
        Files::Inline(_) => Ok(None),
        Files::List(list) => {
            blocks::small_file(library.store(), list.cid, limits::FETCH_SMALL_FILE)
        }
    }
}

/// The signed list of files.
///
/// # Errors
/// Refused (4) if the list beside the card is not here, or is another one.
pub(super) fn signed_files(library: &Library, card: &Verified) -> Result<Manifest, Failure> {
    let list = files_list(library, card)?;
    card.statement().manifest(list.as_deref()).map_err(|why| {
        Failure::new(Code::Refused, format!("the card {} is not usable: {why}", card.id()))
    })
}

/// The card of a version, verified again.
pub(super) fn card_of(library: &Library, tree: &Tree) -> Result<Option<Verified>, Failure> {
    let Some(id) = &tree.card else { return Ok(None) };
    let card = card_by_id(library, id)?;
    if card.as_ref().is_some_and(|card| card.statement().root != tree.root) {
        return Err(Failure::new(
            Code::Refused,
            format!("the card {id} is not over {}", tree.root),
        ));
    }
    Ok(card)
}

/// The newest card that the library holds over a root, and its release.
pub(super) fn known_card(
    library: &Library,
    root: &Cid,
) -> Result<(Option<Verified>, Option<Cid>), Failure> {
    let over = library.store().trees_where(|tree| tree.root == *root && tree.card.is_some());
    let mut trees: Vec<Tree> = over.into_iter().map(|(_, tree)| tree).collect();
    trees.sort_by_key(|tree| tree.seq);
    // One that was not accepted stands behind all that were.
    let mut newest = trees.last();
    for tree in trees.iter().rev() {
        if chain::is_accepted(library, tree)? {
            newest = Some(tree);
            break;
        }
    }
    match newest {
        None => Ok((None, None)),
        Some(tree) => Ok((card_of(library, tree)?, tree.release)),
    }
}

/// Whose content it is: cryptography's word and the user's, apart.
pub(super) fn provenance(
    library: &Library,
    card: Option<&Verified>,
    named: bool,
) -> Result<Provenance, Failure> {
    let Some(card) = card else {
        return Ok(Provenance {
            status: ProvenanceStatus::Unsigned,
            trust: None,
            publisher: None,
            alias: None,
            stated: None,
            remarks: Vec::new(),
        });
    };
    let publisher = *card.publisher();
    let Word { stated, remarks } = word::on(library, card)?;
    let trust = trust::of(library, Some(card), named)?;
    let alias = match &trust {
        Trust::Trusted(alias) => Some(alias.as_str().to_owned()),
        Trust::Own => library.alias(),
        Trust::Named | Trust::New => None,
    };
    Ok(Provenance {
        status: ProvenanceStatus::Verified,
        trust: Some(trust.as_str().to_owned()),
        publisher: Some(publisher.to_string()),
        alias,
        stated,
        remarks,
    })
}

/// The signed statement, as JSON.
pub(super) fn statement(card: &Verified) -> Result<serde_json::Value, Failure> {
    serde_json::from_slice(card.payload())
        .map_err(|why| Failure::new(Code::Failure, format!("a verified card is no JSON: {why}")))
}

/// The signed predicate, as JSON.
pub(super) fn predicate(card: &Verified) -> Result<serde_json::Value, Failure> {
    Ok(statement(card)?.get("predicate").cloned().unwrap_or_default())
}

/// Who else's key this library knows a repo of the same name by: names are not unique, and a familiar one proves nothing.
pub(super) fn namesakes(library: &Library, card: &Verified) -> Result<Vec<String>, Failure> {
    let statement = card.statement();
    let publisher = statement.publisher.to_string();
    let is_other =
        |repo: &Repo| repo.name == statement.name.as_str() && repo.publisher != publisher;
    let namesakes = library.store().trees_where(|tree| tree.repo.as_ref().is_some_and(is_other));
    let mut others: Vec<String> =
        namesakes.into_iter().filter_map(|(_, tree)| Some(tree.repo?.publisher)).collect();
    others.sort_unstable();
    others.dedup();
    Ok(others)
}
