//! Making, signing and verifying a card over 10,000 files, beyond the hashing of the files themselves; and what the user's
//! rules take to decide when they name 10,000 publishers.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use ed25519_dalek::SigningKey;
use modelswarm::{
    card::{
        FileEntry, Manifest, PublisherId, RepoName, Statement, Unverified, envelope,
        json::Map,
        statement::{FILES_LIST, Files, Kind, Status},
        trust::{CardFacts, Facts, TrustList, decide},
    },
    dag::block::{DAG_PB, RAW, cid_v1, sha256},
};

use super::table::{Table, Times};

const FILES: u32 = 10_000;
/// The bar, in milliseconds.
const BAR: f64 = 50.0;
const PUBLISHERS: u32 = 10_000;
/// The bar of one decision, in milliseconds.
const DECISION_BAR: f64 = 1.0;

pub(super) fn measure(table: &mut Table, repeat: usize) -> Result<()> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let files: Vec<FileEntry> = (0..FILES).map(file).collect();
    let [mut made, mut verified, mut both] = <[Times; 3]>::default();
    for _ in 0..repeat.max(5) {
        let files = files.clone();
        let started = Instant::now();
        let (bundle, list) = make(files, &key)?;
        let signed = started.elapsed().as_secs_f64();
        let card = Unverified::from_bundle(bundle)?.verify()?;
        let manifest = card.statement().manifest(Some(&list))?;
        // What `verify` compares: the files as they were read, with those that were signed.
        let read = Manifest::new(manifest.files().to_vec())?;
        ensure!(read.differences(&manifest).is_empty(), "they are the same files");
        let all = started.elapsed().as_secs_f64();
        made.add(signed);
        verified.add(all - signed);
        both.add(all);
    }
    table.milliseconds("card of 10,000 files: made and signed", &made, BAR);
    table.milliseconds("card of 10,000 files: verified, files compared", &verified, BAR);
    table.milliseconds("card of 10,000 files: both", &both, BAR);
    decisions(table, repeat)
}

/// One decision by a list of 10,000 publishers, each with an endorser and a requirement.
fn decisions(table: &mut Table, repeat: usize) -> Result<()> {
    let keys: Vec<PublisherId> = (0..PUBLISHERS).map(publisher).collect::<Result<_>>()?;
    let entry = |(n, key): (usize, &PublisherId)| {
        format!(
            "[[publisher]]\nalias = \"p{n}\"\nid = \"{key}\"\n[[endorser]]\nalias = \"e{n}\"\nid = \"{key}\"\n\
             [[require]]\npublisher = \"p{n}\"\nany_of = [\"e{n}\"]\n"
        )
    };
    let list = TrustList::from_toml(&keys.iter().enumerate().map(entry).collect::<String>())?;
    let repo: RepoName = "many".parse()?;
    let id = cid_v1(RAW, sha256(b"card"));
    let mut times = Times::default();
    for _ in 0..repeat.max(5) {
        let started = Instant::now();
        for key in &keys {
            let signers = [*key];
            let card = CardFacts {
                id,
                publisher: key.into(),
                signers: &signers,
                repo: &repo,
                own: false,
                named: false,
                behind: None,
                explicit: false,
            };
            let facts = Facts {
                card: Some(card),
                cids: &[id],
                size: None,
                code: &[],
                allow_code: false,
                claims: &[],
            };
            ensure!(!decide(&list, &facts).allowed(), "the claim that is required is not there");
        }
        times.add(started.elapsed().as_secs_f64() / f64::from(PUBLISHERS));
    }
    table.milliseconds("policy decision, 10,000 publishers known", &times, DECISION_BAR);
    Ok(())
}

fn publisher(n: u32) -> Result<PublisherId> {
    let key = SigningKey::from_bytes(&sha256(&n.to_be_bytes()));
    Ok(PublisherId::try_from(&key.verifying_key())?)
}

fn file(n: u32) -> FileEntry {
    let sha256 = sha256(&n.to_be_bytes());
    let path = format!("data/train-{:03}/shard-{n:05}-of-{FILES:05}.parquet", n % 100);
    FileEntry { path, size: 1 << 20, sha256, cid: cid_v1(RAW, sha256) }
}

/// As `seed` does it: the list beside the card, the statement over it, the signature.
fn make(files: Vec<FileEntry>, key: &SigningKey) -> Result<(bytes::Bytes, Vec<u8>)> {
    let manifest = Manifest::new(files)?;
    let list = manifest.to_jsonl();
    let digest = sha256(&list);
    let statement = Statement {
        publisher: PublisherId::try_from(&key.verifying_key())?.into(),
        publisher_root: None,
        name: "many".parse()?,
        kind: Kind::Dataset,
        version: "1".parse()?,
        seq: 1,
        prev: None,
        created_at: "2026-11-22T18:00:00Z".parse().context("a time")?,
        expires: None,
        status: Status::Active,
        license: Some("apache-2.0".into()),
        root: cid_v1(DAG_PB, sha256(b"root")),
        total_size: manifest.total_size(),
        file_count: manifest.files().len() as u64,
        tree: manifest.digests(),
        files: Files::List(FileEntry {
            path: FILES_LIST.into(),
            size: list.len() as u64,
            sha256: digest,
            cid: cid_v1(RAW, digest),
        }),
        metadata: Map::new(),
        companion_keys: Vec::new(),
        resolves: Vec::new(),
        other: Map::new(),
        unread: Vec::new(),
    };
    Ok((envelope::sign(statement, key, None)?.bundle().clone(), list))
}
