use super::*;
use crate::card::PublisherId;
use crate::card::envelope::tests::signed_with;
use crate::card::statement::tests::SEED;
use crate::dag::block::{RAW, cid_v1, sha256};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

fn publisher() -> Identity {
    PublisherId::try_from(&SigningKey::from_bytes(&SEED).verifying_key()).unwrap().into()
}

fn dir(of: &str) -> Cid {
    cid_v1(DAG_PB, sha256(of.as_bytes()))
}

/// A card of the repo with this `seq`; its version is `v` and the `seq`, its root that of the `seq`.
fn card(name: &str, seq: u64) -> Verified {
    signed_with(|statement| {
        statement.name = name.parse().unwrap();
        statement.seq = seq;
        statement.prev = (seq > 1).then(|| cid_v1(DAG_JSON, sha256(&seq.to_be_bytes())));
        statement.version = format!("v{seq}").parse().unwrap();
        statement.root = dir(&format!("root {seq}"));
    })
}

fn name(text: &str) -> RepoName {
    text.parse().unwrap()
}

fn empty() -> Index {
    Index::new(publisher(), Scope::Lan)
}

fn with(index: &Index, name: &str, seq: u64) -> Index {
    index.with(&card(name, seq), dir(&format!("release {seq}")), Visibility::Lan).unwrap()
}

/// `chat` in three versions, `data` in one.
fn sample() -> Index {
    let chat = (1..=3).fold(empty(), |index, seq| with(&index, "chat", seq));
    with(&chat, "data", 1)
}

fn json(index: &Index) -> String {
    String::from_utf8(index.to_block().data().to_vec()).unwrap()
}

fn open(text: &str) -> Result<Index, Error> {
    let block = Block::new(DAG_JSON, text.as_bytes().to_vec());
    Index::from_block(&publisher(), Scope::Lan, &block)
}

/// The sample with some of its text replaced.
fn changed(from: &str, to: &str) -> Result<Index, Error> {
    let text = json(&sample());
    assert!(text.contains(from), "{from} in {text}");
    open(&text.replacen(from, to, 1))
}

/// The sample with one more version of `chat`, as JSON.
fn line(seq: u64) -> String {
    format!(
        r#"{{"card":"{}","kind":"model","release":"{}","root":"{}","seq":{seq},"status":"active","version":"v{seq}"}}"#,
        card("chat", seq).id(),
        dir(&format!("release {seq}")),
        dir(&format!("root {seq}")),
    )
}

#[test]
fn an_index_is_strict_dag_json_with_plain_strings_for_cids() {
    let text = json(&sample());
    let start =
        format!(r#"{{"publisher":"{}","repos":{{"chat":{{"versions":[{}"#, publisher(), line(3));
    assert!(text.starts_with(&start), "{text}");
    assert!(text.ends_with(r#"]}},"schema":1,"scope":"lan"}"#), "{text}");
    assert!(!text.contains(r#""/""#));
    let value = json::decode(text.as_bytes(), limits::INDEX_MAX).unwrap();
    assert_eq!(json::encode(&value).unwrap(), text.as_bytes());
    let block = sample().to_block();
    assert_eq!(*block.cid(), cid_v1(DAG_JSON, sha256(text.as_bytes())));
    assert_eq!(open(&text), Ok(sample()));
    assert_eq!(open(&json(&empty())), Ok(empty()));
}

#[test]
fn what_two_machines_list_is_merged_and_the_first_word_on_a_place_stays() {
    let theirs = with(&with(&empty(), "chat", 1), "theirs", 1);
    let ours =
        with(&with(&(1..=3).fold(empty(), |i, seq| with(&i, "chat", seq)), "ours", 2), "theirs", 2);
    let merged = theirs.merged(&ours);
    let seqs = |repo: &str| -> Vec<u64> {
        merged.versions(&name(repo)).iter().map(|one| one.seq).collect()
    };
    assert_eq!((seqs("chat"), seqs("ours"), seqs("theirs")), (vec![3, 2, 1], vec![2], vec![2, 1]));
    assert_eq!(merged.merged(&ours), merged, "merged again it is the same");
    assert_eq!(merged.merged(&theirs), merged);
    assert_eq!(open(&json(&merged)), Ok(merged.clone()));
    // Another card of one place.
    let other = signed_with(|statement| {
        statement.name = name("chat");
        statement.seq = 1;
        statement.prev = None;
        statement.version = "other".parse().unwrap();
        statement.root = dir("other");
    });
    let other = empty().with(&other, dir("other"), Visibility::Lan).unwrap();
    assert_eq!(theirs.merged(&other), theirs);
    assert_eq!(other.merged(&theirs).versions(&name("chat")), other.versions(&name("chat")));
}

#[test]
fn a_card_that_was_settled_for_takes_the_place_of_the_other_one() {
    let index = sample();
    let rejected = index.versions(&name("chat"))[1].card;
    let other = signed_with(|statement| {
        statement.name = name("chat");
        statement.seq = 2;
        statement.prev = Some(*card("chat", 1).id());
        statement.version = "other".parse().unwrap();
    });
    let settled = index.settled(&rejected, &other, dir("other"));
    let cards: Vec<Cid> = settled.versions(&name("chat")).iter().map(|one| one.card).collect();
    assert_eq!(cards, [*card("chat", 3).id(), *other.id(), *card("chat", 1).id()]);
    assert!(open(&json(&settled)).is_ok());
    // Only in its own place, and only for what is listed there.
    assert_eq!(settled.settled(&rejected, &other, dir("other")), settled);
    let third = index.versions(&name("chat"))[0].card;
    assert_eq!(index.settled(&third, &other, dir("other")), index);
}

#[test]
fn merged_indexes_stay_within_the_bounds() {
    let full = |from: u64, name: &str| {
        (from..from + 200).fold(empty(), |index, seq| with(&index, name, seq))
    };
    let merged = full(1, "chat").merged(&full(201, "chat"));
    let versions = merged.versions(&name("chat"));
    assert_eq!(versions.len(), limits::INDEX_VERSIONS_MAX);
    assert_eq!(versions[0].seq, 400, "the newest stay");
}

#[test]
fn a_repo_is_in_the_indexes_of_those_who_may_see_it_and_a_private_one_in_none() {
    let scopes = |visibility| Scope::ALL.map(|scope| scope.lists(visibility));
    assert_eq!(scopes(Visibility::Private), [false, false]);
    assert_eq!(scopes(Visibility::Lan), [true, false]);
    assert_eq!(scopes(Visibility::Public), [true, true]);
    // An index itself goes exactly as far as the repos that it may list.
    for scope in Scope::ALL {
        assert!(scope.lists(scope.visibility()));
    }
    assert!(!Scope::Public.lists(Scope::Lan.visibility()));

    let public = Index::new(publisher(), Scope::Public);
    let add = |index: &Index, visibility| index.with(&card("chat", 1), dir("r"), visibility);
    let narrow = |scope| Err(Error::TooNarrow { name: name("chat"), scope });
    assert_eq!(add(&public, Visibility::Lan), narrow(Scope::Public));
    assert_eq!(add(&public, Visibility::Private), narrow(Scope::Public));
    assert_eq!(add(&empty(), Visibility::Private), narrow(Scope::Lan));
    assert!(add(&public, Visibility::Public).is_ok());
    assert!(add(&empty(), Visibility::Public).is_ok());
}

#[test]
fn the_log_grows_at_its_head_and_never_goes_back() {
    let index = sample();
    let seqs: Vec<_> = index.versions(&name("chat")).iter().map(|listed| listed.seq).collect();
    assert_eq!(seqs, [3, 2, 1]);
    let names: Vec<_> = index.repos().map(|(name, log)| (name.to_string(), log.len())).collect();
    assert_eq!(names, [("chat".to_owned(), 3), ("data".to_owned(), 1)]);

    let behind = |seq| Err(Error::Behind { name: name("chat"), head: 3, seq });
    let other = |seq, version: &str| {
        signed_with(|statement| {
            *statement = card("chat", seq).statement().clone();
            statement.version = version.parse().unwrap();
        })
    };
    let add = |card: &Verified| index.with(card, dir("r"), Visibility::Lan);
    assert_eq!(add(&other(3, "twin")), behind(3));
    assert_eq!(add(&other(2, "twin")), behind(2));
    // A card that is listed already: its release may have got a companion.
    let again = index.with(&card("chat", 2), dir("release 2 signed"), Visibility::Lan).unwrap();
    assert_eq!(again.versions(&name("chat"))[1].release, dir("release 2 signed"));
    assert_eq!(again.versions(&name("chat")).len(), 3);
    assert_eq!(with(&index, "chat", 3), index);
    // Beyond a gap: the index decides nothing about chains.
    assert_eq!(with(&index, "chat", 9).versions(&name("chat"))[0].seq, 9);

    assert_eq!(index.without(&name("data")).versions(&name("data")), []);
    assert_eq!(index.without(&name("data")).repos().count(), 1);
    assert_eq!(index.without(&name("none")), index);
}

#[test]
fn only_the_publishers_own_cards_with_a_release_get_in() {
    let stranger = PublisherId::try_from(&SigningKey::from_bytes(&[1; 32]).verifying_key());
    let index = Index::new(stranger.unwrap(), Scope::Lan);
    let refused = index.with(&card("chat", 1), dir("r"), Visibility::Lan).unwrap_err();
    assert!(matches!(refused, Error::OtherPublisher { what: "the card", .. }), "{refused}");
    for release in [cid_v1(RAW, sha256(b"r")), Cid::new_v0(*dir("r").hash()).unwrap()] {
        let refused = empty().with(&card("chat", 1), release, Visibility::Lan).unwrap_err();
        assert!(matches!(refused, Error::Repo { .. }), "{refused}");
    }
    let other_hash = Cid::new_v1(DAG_PB, crate::dag::Multihash::wrap(0x13, &[0; 64]).unwrap());
    let rooted = signed_with(|statement| statement.root = other_hash);
    assert!(empty().with(&rooted, dir("r"), Visibility::Lan).is_err());
}

#[test]
fn a_version_is_found_by_all_that_names_it() {
    let index = sample();
    let find = |revision: &str| {
        index.find(&name("chat"), &revision.parse().unwrap()).map(|listed| listed.seq)
    };
    assert_eq!(find("main"), Some(3));
    assert_eq!(find("v2"), Some(2));
    assert_eq!(find("v4"), None);
    let commit = CommitId::of(&dir("root 2")).to_string();
    assert_eq!(find(&commit), Some(2));
    assert_eq!(find(&commit[..12]), Some(2));
    assert_eq!(find(&CommitId::of(&dir("root 9")).to_string()), None);
    assert_eq!(find(&card("chat", 1).id().to_string()), Some(1));
    assert_eq!(find(&dir("release 2").to_string()), Some(2));
    assert_eq!(find(&dir("root 3").to_string()), Some(3));
    assert_eq!(find(&dir("other").to_string()), None);
    assert_eq!(index.find(&name("none"), &Revision::Head), None);
}

#[test]
fn of_several_versions_of_one_tree_the_newest_answers_and_an_ambiguous_start_is_none() {
    let mut index = sample();
    let log = index.repos.get_mut(&name("chat")).unwrap();
    log[2].root = log[0].root;
    let commit = CommitId::of(&log[0].root).to_string();
    let find = |index: &Index, revision: &str| {
        index.find(&name("chat"), &revision.parse().unwrap()).map(|listed| listed.seq)
    };
    assert_eq!(find(&index, &commit), Some(3));
    assert_eq!(find(&index, &commit[..8]), Some(3));
    // Two trees whose commit ids start alike; four digits of 256 trees would be luck, one digit needs none.
    let alike = |log: &[Listed]| by_short_commit(log, "").map(|listed| listed.seq);
    assert_eq!(alike(index.versions(&name("chat"))), None);
    assert_eq!(alike(&index.versions(&name("chat"))[..1]), Some(3));
}

#[test]
fn a_card_other_than_the_listed_one_is_told_by_its_first_difference() {
    let index = sample();
    let chat = name("chat");
    let head = index.versions(&chat)[0].clone();
    let check = |listed: &Listed, card: &Verified| {
        index.check(&chat, listed, card).err().map(|error| error.field)
    };
    assert_eq!(check(&head, &card("chat", 3)), None);
    assert_eq!(check(&head, &card("chat", 2)), Some("card"));
    assert_eq!(check(&head, &card("data", 3)), Some("name"));
    for (field, listed) in [
        ("kind", Listed { kind: Kind::Dataset, ..head.clone() }),
        ("root", Listed { root: dir("x"), ..head.clone() }),
        ("seq", Listed { seq: 4, ..head.clone() }),
        ("status", Listed { status: Status::Withdrawn, ..head.clone() }),
        ("version", Listed { version: "x".parse().unwrap(), ..head.clone() }),
    ] {
        assert_eq!(check(&listed, &card("chat", 3)), Some(field));
    }
    let stranger = PublisherId::try_from(&SigningKey::from_bytes(&[1; 32]).verifying_key());
    let index = Index { publisher: stranger.unwrap().into(), ..index.clone() };
    let refused = index.check(&chat, &head, &card("chat", 3)).unwrap_err();
    assert_eq!(refused, NotAsListed { field: "publisher" });
}

#[test]
fn an_index_of_somebody_else_or_for_the_other_dht_is_refused() {
    let block = sample().to_block();
    let stranger = PublisherId::try_from(&SigningKey::from_bytes(&[1; 32]).verifying_key());
    let stranger = stranger.unwrap().into();
    let read = |publisher, scope| Index::from_block(publisher, scope, &block).unwrap_err();
    assert!(matches!(read(&stranger, Scope::Lan), Error::OtherPublisher { .. }));
    assert_eq!(read(&publisher(), Scope::Public), Error::OtherScope { scope: Scope::Public });
    let raw = Block::new(RAW, block.data().clone());
    let refused = Index::from_block(&publisher(), Scope::Lan, &raw).unwrap_err();
    assert!(matches!(refused, Error::Codec { .. }));
    // The short form of a did:key is the same key, but not the same bytes.
    assert!(matches!(changed("did:key:", ""), Err(Error::OtherPublisher { .. })));
}

#[test]
fn what_is_not_the_one_form_of_a_log_is_refused() {
    let problem = |result: Result<Index, Error>| match result {
        Err(Error::Repo { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    let lines = format!("{},{}", line(3), line(2));
    let turned = format!("{},{}", line(2), line(3));
    assert_eq!(problem(changed(&lines, &turned)), "its versions must stand newest first");
    let twice = format!("{},{}", line(3), line(3));
    assert_eq!(problem(changed(&lines, &twice)), "its versions must stand newest first");
    let one = format!(
        "[{}]",
        line(1).replace(&card("chat", 1).id().to_string(), &card("data", 1).id().to_string(),)
    );
    assert_eq!(problem(changed(&one, "[]")), "it must have 1 to 256 versions");
    assert_eq!(problem(changed(r#""seq":1"#, r#""seq":0"#)), "seq must be from 1 on");
    let beyond = format!(r#""seq":{}"#, limits::JSON_INT_MAX + 1);
    assert_eq!(problem(changed(r#""seq":3"#, &beyond)), "seq must be from 1 on");
    let root = dir("root 3");
    let v0 = Cid::new_v0(*root.hash()).unwrap();
    for other in [cid_v1(RAW, sha256(b"r")), v0] {
        let refused = changed(&root.to_string(), &other.to_string());
        assert_eq!(problem(refused), "root must be a directory's CIDv1");
    }
    let release = dir("release 3").to_string();
    let refused = changed(&release, &cid_v1(RAW, sha256(b"r")).to_string());
    assert_eq!(problem(refused), "release must be a directory's CIDv1");
    let refused = changed(&card("chat", 3).id().to_string(), &root.to_string());
    assert_eq!(problem(refused), "card must be a card id");
    assert_eq!(problem(changed(&release, "bafy")), "card, release and root must be CIDs");
    assert_eq!(problem(changed(r#""chat""#, r#""-chat""#)), "its name is no repo's");
    let list: Vec<_> = (1..=257).rev().map(line).collect();
    let long = changed(&format!("{},{},{}", line(3), line(2), line(1)), &list.join(","));
    assert_eq!(problem(long), "it must have 1 to 256 versions");
}

#[test]
fn other_forms_of_the_json_are_refused_and_new_fields_passed_over() {
    let json = |result: Result<Index, Error>| matches!(result, Err(Error::Json(_)));
    assert!(json(changed(r#""schema":1"#, r#""schema": 1"#)));
    assert!(json(changed(r#""schema":1"#, r#""schema":1,"schema":1"#)));
    assert!(json(changed(r#""schema":1"#, r#""schema":1.0"#)));
    assert!(json(changed(r#""seq":3"#, r#""seq":03"#)));
    // A second entry of a repo, which a map would let win silently.
    let twice = format!(r#""repos":{{"chat":{{"versions":[{}]}},"chat""#, line(1));
    assert!(json(changed(r#""repos":{"chat""#, &twice)));
    let link = format!(r#""rest":{{"/":"{}"}},"schema":1"#, dir("r"));
    assert!(json(changed(r#""schema":1"#, &link)));
    let large = format!(r#""rest":"{}","schema":1"#, "x".repeat(limits::INDEX_MAX));
    assert!(json(changed(r#""schema":1"#, &large)));

    let form = |result: Result<Index, Error>| matches!(result, Err(Error::Form { .. }));
    assert!(form(changed(r#""schema":1"#, r#""schema":2"#)));
    assert!(form(changed(r#""status":"active""#, r#""status":"gone""#)));
    assert!(form(changed(r#""kind":"model""#, r#""kind":"space""#)));
    assert!(form(changed(r#""version":"v3""#, r#""version":"-""#)));
    assert!(form(open("{}")));

    assert_eq!(changed(r#""schema":1"#, r#""rest":[1],"schema":1"#), Ok(sample()));
    assert_eq!(changed(r#""release""#, r#""new":{},"release""#), Ok(sample()));
    assert_eq!(changed(r#""kind""#, r#""extra":{},"kind""#), Ok(sample()));
    assert_eq!(changed(r#""versions""#, r#""about":"x","versions""#), Ok(sample()));
}

/// An index with so many repos of full-length names, whose one version is of full length.
fn full(repos: usize) -> Index {
    let listed = Listed {
        card: *card("chat", 1).id(),
        kind: Kind::Dataset,
        release: dir("r"),
        root: dir("r"),
        seq: limits::JSON_INT_MAX,
        status: Status::Deprecated,
        version: "v".repeat(limits::VERSION_MAX).parse().unwrap(),
    };
    let repos = (0..repos).map(|at| {
        let name = format!("{at:0width$}", width = limits::REPO_NAME_MAX).replacen('0', "a", 1);
        (name.parse().unwrap(), vec![listed.clone()])
    });
    Index { repos: repos.collect(), ..Index::new(publisher(), Scope::Public) }
}

#[test]
fn the_newest_version_of_every_repo_fits_at_full_length() {
    let full = full(limits::INDEX_REPOS_MAX);
    let block = full.to_block();
    assert!(block.data().len() <= limits::INDEX_MAX, "{}", block.data().len());
    // The figure that the bound's reason names.
    assert_eq!(block.data().len() / limits::INDEX_REPOS_MAX, 451);
    assert!(Index::from_block(&publisher(), Scope::Public, &block).as_ref() == Ok(&full));
    let add = |index: &Index| index.with(&card("chat", 1), dir("r"), Visibility::Public);
    assert!(add(&full) == Err(Error::Full));
    let first = full.repos().next().unwrap().0.clone();
    assert!(add(&full.without(&first)).is_ok());

    let mut over = full;
    over.repos.insert(name("chat"), over.repos[&first].clone());
    let refused = Index::from_block(&publisher(), Scope::Public, &over.to_block());
    assert!(refused == Err(Error::Full));
}

#[test]
fn logs_are_cut_at_their_bound_and_the_longest_first_if_the_block_grows_too_large() {
    let mut long = with(&empty(), "chat", 1);
    let line = long.versions(&name("chat"))[0].clone();
    let lines = |count: u64| (1..=count).rev().map(|seq| Listed { seq, ..line.clone() }).collect();
    long.repos.insert(name("chat"), lines(limits::INDEX_VERSIONS_MAX as u64));
    let long = with(&long, "chat", 1000);
    let log = long.versions(&name("chat"));
    assert_eq!(log.len(), limits::INDEX_VERSIONS_MAX);
    assert_eq!((log[0].seq, log[255].seq), (1000, 2));

    let mut large = full(1500);
    for (at, versions) in large.repos.values_mut().enumerate().take(10) {
        *versions = lines(100 + at as u64);
    }
    assert!(large.to_block().data().len() < limits::INDEX_MAX);
    for at in (0..10).cycle() {
        if large.to_block().data().len() > limits::INDEX_MAX {
            break;
        }
        let shortest = large.repos.values_mut().nth(at).unwrap();
        let seq = shortest[0].seq + 1;
        shortest.insert(0, Listed { seq, ..line.clone() });
    }
    let before: Vec<_> = large.repos().map(|(_, log)| log.len()).collect();
    let next = large.with(&card("chat", 1), dir("r"), Visibility::Public).unwrap();
    let block = next.to_block();
    assert!(block.data().len() <= limits::INDEX_MAX);
    assert!(block.data().len() > limits::INDEX_MAX - 1000);
    assert!(Index::from_block(&publisher(), Scope::Public, &block).as_ref() == Ok(&next));
    // Only the longest lost some, at their old end.
    let after: Vec<_> = next.repos().map(|(_, log)| log.len()).collect();
    let longest = *before.iter().max().unwrap();
    assert!(before.iter().zip(&after).all(|(b, a)| a == b || (*b == longest && a + 9 > *b)));
    assert!(
        next.repos().all(|(name, log)| large.versions(name).first().is_none_or(|h| *h == log[0]))
    );
}

fn listed(seq: u64) -> impl Strategy<Value = Listed> {
    let kind = prop_oneof![Just(Kind::Model), Just(Kind::Dataset)];
    let status =
        prop_oneof![Just(Status::Active), Just(Status::Deprecated), Just(Status::Withdrawn)];
    (any::<[u8; 32]>(), any::<[u8; 32]>(), kind, status, "[A-Z][A-Za-z0-9._+]{0,20}")
        .prop_filter_map("a version", move |(card, root, kind, status, version)| {
            let (release, version) = (cid_v1(DAG_PB, card), version.parse().ok()?);
            let (card, root) = (cid_v1(DAG_JSON, card), cid_v1(DAG_PB, root));
            Some(Listed { card, kind, release, root, seq, status, version })
        })
}

fn index() -> impl Strategy<Value = Index> {
    let log = proptest::collection::btree_set(1..1000u64, 1..5)
        .prop_flat_map(|seqs| seqs.into_iter().rev().map(listed).collect::<Vec<_>>());
    proptest::collection::btree_map("[a-zA-Z0-9_]{1,20}", log, 0..5).prop_map(|repos| {
        let named = |(text, log): (String, Vec<Listed>)| Some((text.parse().ok()?, log));
        let repos = repos.into_iter().filter_map(named).collect();
        Index { repos, ..Index::new(publisher(), Scope::Lan) }
    })
}

proptest! {
    #[test]
    fn every_index_comes_back(index in index()) {
        let block = index.to_block();
        prop_assert_eq!(Index::from_block(&publisher(), Scope::Lan, &block), Ok(index));
    }

    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>) {
        let block = Block::new(DAG_JSON, bytes);
        prop_assert!(Index::from_block(&publisher(), Scope::Lan, &block).is_err());
    }

    #[test]
    fn a_changed_byte_never_reads_as_the_same(at: prop::sample::Index, byte: u8) {
        let mut bytes = sample().to_block().into_data().to_vec();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let block = Block::new(DAG_JSON, bytes);
        prop_assert_ne!(Index::from_block(&publisher(), Scope::Lan, &block), Ok(sample()));
    }
}
