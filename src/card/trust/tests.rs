use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::card::PublisherId;
use crate::card::identity::TufId;
use crate::card::policy::Trust;
use crate::dag::Cid;
use crate::dag::block::{DAG_JSON, DAG_PB, cid_v1};

mod decide;

fn id(seed: u8) -> PublisherId {
    PublisherId::try_from(&SigningKey::from_bytes(&[seed; 32]).verifying_key()).unwrap()
}

fn lab(seed: u8) -> Identity {
    TufId::of_digest([seed; 32]).into()
}

fn alias(text: &str) -> Alias {
    text.parse().unwrap()
}

fn cid(n: u8) -> Cid {
    cid_v1(DAG_PB, [n; 32])
}

/// The example of provenance 7.8, with ids that are ones.
fn example() -> String {
    format!(
        r#"
[default]
unknown = "ask"
unsigned = "deny"
rollback = "deny"
code = "deny"
max_size = "500GB"

[[publisher]]
alias = "acme"
id = "{acme}"
models = ["tiny-*", "*-GGUF"]
evidence = "https://acme.example/id"
pinned = 2026-11-22

[[endorser]]
alias = "evalco"
id = "{evalco}"
kinds = ["svr", "test-result"]

[[require]]
publisher = "acme"
any_of = ["evalco"]
properties = ["EVAL_REPRODUCED"]

[[block]]
id = "{thief}"
reason = "stolen in May"

[[block]]
id = "{root}"
"#,
        acme = lab(1),
        evalco = id(2),
        thief = id(3),
        root = cid(66)
    )
}

#[test]
fn an_alias_means_one_publisher_and_a_publisher_has_one_alias() {
    let mut list = TrustList::default();
    assert_eq!(list.add(alias("acme"), id(1)), Ok(true));
    assert_eq!(list.add(alias("acme"), id(1)), Ok(false));
    assert_eq!(
        list.add(alias("acme"), id(2)),
        Err(Error::AliasTaken { alias: alias("acme"), id: id(1).into() })
    );
    assert_eq!(
        list.add(alias("other"), id(1)),
        Err(Error::IdTaken { id: id(1).into(), alias: alias("acme") })
    );
    assert_eq!(list.add(alias("lab"), lab(1)), Ok(true));
    assert_eq!(list.identity(&alias("acme")), Some(&id(1).into()));
    assert_eq!(list.identity(&alias("lab")), Some(&lab(1)));
    assert_eq!(list.alias_of(id(1)), Some(&alias("acme")));
    assert_eq!(list.alias_of(lab(1)), Some(&alias("lab")));
    assert_eq!(list.remove(&alias("acme")), Some(id(1).into()));
    assert_eq!(list.remove(&alias("acme")), None);
    assert_eq!(list.alias_of(lab(1)), Some(&alias("lab")));
    assert_eq!(list.remove(&alias("lab")), Some(lab(1)));
    assert_eq!(list, TrustList::default());
}

#[test]
fn the_whole_file_is_read_and_written_again() {
    let list = TrustList::from_toml(&example()).unwrap();
    assert_eq!(list.unread(), [""; 0]);
    let written = list.to_toml().unwrap();
    assert_eq!(TrustList::from_toml(&written), Ok(list.clone()));
    for kept in ["max_size = \"500GB\"", "pinned = 2026-11-22", "unknown = \"ask\""] {
        assert!(written.contains(kept), "{kept} in {written}");
    }
    let defaults = list.defaults();
    assert_eq!((defaults.unknown(), defaults.unsigned()), (Unknown::Ask, Answer::Deny));
    assert_eq!(defaults.max_size.as_ref().map(MaxSize::bytes), Some(500_000_000_000));
    let acme = list.publisher(lab(1)).unwrap();
    assert_eq!(acme.scope.evidence.as_deref(), Some("https://acme.example/id"));
    assert!(acme.covers(&"tiny-chat".parse().unwrap()) && !acme.covers(&"chat".parse().unwrap()));
    assert_eq!(list.endorser(&id(2).into()).unwrap().alias, alias("evalco"));
    assert!(list.blocked(&Blocked::Publisher(id(3).into())).is_some());
    assert!(list.blocked(&Blocked::cid(&cid(66))).is_some());
    assert_eq!((list.requires().len(), list.blocks().len(), list.endorsers().len()), (1, 2, 1));
}

#[test]
fn an_empty_file_has_our_defaults_and_stays_empty() {
    let list = TrustList::from_toml("").unwrap();
    assert_eq!(list, TrustList::default());
    assert_eq!(list.to_toml().unwrap(), "");
    let defaults = list.defaults();
    assert_eq!(defaults.unknown(), Unknown::AcceptNew);
    assert_eq!(defaults.unsigned(), Answer::Accept);
    assert_eq!((defaults.rollback(), defaults.code), (Answer::Deny, None));
    assert_eq!(defaults.max_size, None);
}

#[test]
fn a_file_of_a_later_version_keeps_its_fields_and_names_them() {
    let text = format!(
        "later = 1\n[default]\nunknown = \"ask\"\n\n[[publisher]]\nalias = \"acme\"\nid = \"{}\"\n\
         models = [\"*\"]\npinned = 2026-11-22\nseen = 2026-11-23\n[[block]]\nid = \"{}\"\nuntil = 2030-01-01\n[[mirror]]\nx = 1\n",
        id(1),
        id(9)
    );
    let mut list = TrustList::from_toml(&text).unwrap();
    list.add(alias("sbert"), id(2)).unwrap();
    let written = list.to_toml().unwrap();
    for kept in [
        "later = 1",
        "unknown = \"ask\"",
        "models = [\"*\"]",
        "pinned = 2026-11-22",
        "seen = 2026-11-23",
        "until = 2030-01-01",
        "[[mirror]]",
    ] {
        assert!(written.contains(kept), "{kept} in {written}");
    }
    assert_eq!(list.unread(), ["block.until", "later", "mirror", "publisher.seen"]);
    assert_eq!(TrustList::from_toml(&written), Ok(list));
}

#[test]
fn a_file_that_contradicts_itself_is_refused() {
    let entry = |table: &str, name: &str, seed| {
        format!("[[{table}]]\nalias = \"{name}\"\nid = \"{}\"\n", id(seed))
    };
    let twice = entry("publisher", "a", 1) + &entry("publisher", "a", 2);
    assert!(matches!(TrustList::from_toml(&twice), Err(Error::AliasTaken { .. })));
    let twice = entry("publisher", "a", 1) + &entry("publisher", "b", 1);
    assert!(matches!(TrustList::from_toml(&twice), Err(Error::IdTaken { .. })));
    for (name, seed) in [("a", 2), ("b", 1)] {
        let twice = entry("endorser", "a", 1) + &entry("endorser", name, seed);
        assert!(matches!(TrustList::from_toml(&twice), Err(Error::EndorserTwice { .. })));
    }
    for text in [
        "[[publisher]]\nalias = \"api\"\nid = \"x\"",
        "publisher = 1",
        "=",
        "[[publisher]]",
        "[default]\nunknown = \"maybe\"",
        "[default]\ncode = \"warn\"",
        "[default]\nmax_size = \"many\"",
        "[default]\nmax_size = -1",
        "[[block]]\nid = \"acme\"",
        "[[block]]\nid = \"tuf:bafy\"",
        "[[require]]\npublisher = \"a b\"\nany_of = []",
        "[[require]]\npublisher = \"*\"",
    ] {
        assert!(matches!(TrustList::from_toml(text), Err(Error::Syntax(_))), "{text}");
    }
}

#[test]
fn a_rule_that_is_mistyped_is_refused_with_its_line_and_field() {
    for (rule, said) in [
        ("unkown = \"deny\"", "unkown"),
        ("pickle = \"deny\"", "pickle"),
        ("unknown = \"maybe\"", "unknown"),
        ("unsigned = \"ask\"", "unsigned"),
        ("rollback = 1", "rollback"),
        ("code = \"warn\"", "code"),
        ("max_size = \"many\"", "max_size"),
    ] {
        let text = format!("# mine\n[default]\n{rule}\n\n[[block]]\nid = \"{}\"\n", id(9));
        let Err(Error::Syntax(why)) = TrustList::from_toml(&text) else { panic!("{rule}") };
        assert!(why.starts_with(&format!("line 3, {said}: ")), "{why}");
    }
}

#[test]
fn a_requirement_that_names_nobody_is_refused_not_ignored() {
    let mistyped = example().replace("publisher = \"acme\"", "publisher = \"amce\"");
    let refused = TrustList::from_toml(&mistyped).unwrap_err();
    assert_eq!(refused, Error::NoSuchAlias { alias: alias("amce"), role: "a publisher" });
    let mistyped = example().replace("any_of = [\"evalco\"]", "any_of = [\"acme\"]");
    let refused = TrustList::from_toml(&mistyped).unwrap_err();
    assert_eq!(refused, Error::NoSuchAlias { alias: alias("acme"), role: "an endorser" });
}

#[test]
fn ending_trust_lifts_no_requirement() {
    let mut list = TrustList::from_toml(&example()).unwrap();
    assert_eq!(list.remove(&alias("acme")), Some(lab(1)));
    assert_eq!(list.requires()[0].publisher, Whose::Id(lab(1)));
    let needed = list.remove_endorser(&alias("evalco"));
    assert_eq!(needed, Err(Error::EndorserNeeded { alias: alias("evalco") }));
    assert!(list.endorser(&id(2).into()).is_some());
    assert_eq!(TrustList::from_toml(&list.to_toml().unwrap()), Ok(list));
}

#[test]
fn entries_are_amended_added_and_lifted() {
    let mut list = TrustList::from_toml(&example()).unwrap();
    let amend = |scope: &mut Scope| {
        scope.models = None;
        scope.pinned = Some("2027-01-01".parse().unwrap());
    };
    assert_eq!(list.amend(&alias("acme"), amend), Ok(true));
    assert_eq!(list.amend(&alias("nobody"), |_| {}), Ok(false));
    assert!(list.publisher(lab(1)).unwrap().covers(&"chat".parse().unwrap()));
    let many = vec![Pattern::try_from("x".to_owned()).unwrap(); limits::TRUST_PATTERNS_MAX + 1];
    let refused = list.amend(&alias("acme"), |scope| scope.models = Some(many));
    assert!(matches!(refused, Err(Error::TooMany { .. })));
    assert!(list.publisher(lab(1)).unwrap().covers(&"chat".parse().unwrap()), "left as it was");

    let root = Blocked::cid(&cid(5));
    assert_eq!(list.block(root, None), Ok(true));
    assert_eq!(list.block(root, None), Ok(false));
    assert!(list.blocked(&root).is_some());
    assert!(list.unblock(&root) && !list.unblock(&root));
    assert_eq!(list.blocked(&root), None);
    list.add_endorser(alias("audit"), lab(4), None).unwrap();
    assert!(list.add_endorser(alias("audit"), id(7), None).is_err());
    assert_eq!(list.remove_endorser(&alias("audit")), Ok(true));
    assert_eq!(list.remove_endorser(&alias("audit")), Ok(false));
}

#[test]
fn sizes_are_written_as_people_write_them() {
    let size = |text: &str| {
        let list = TrustList::from_toml(&format!("[default]\nmax_size = {text}"));
        list.ok()?.defaults().max_size.as_ref().map(MaxSize::bytes)
    };
    for (text, bytes) in [
        ("7", 7),
        ("\"7\"", 7),
        ("\"7 B\"", 7),
        ("\"1kB\"", 1000),
        ("\"1.5GB\"", 1_500_000_000),
        ("\"2TB\"", 2_000_000_000_000),
        ("\"2TiB\"", 2 << 40),
        ("\"99999999999999999999TiB\"", u64::MAX),
    ] {
        assert_eq!(size(text), Some(bytes), "{text}");
    }
    for text in ["\"\"", "\"GB\"", "\"1XB\"", "\"-1GB\"", "\"1.2.3GB\"", "1.5", "true"] {
        assert_eq!(size(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_never_panics(text: String) {
        let _ = TrustList::from_toml(&text).is_ok();
    }

    #[test]
    fn a_damaged_file_is_refused_or_read_the_same_again(at: usize, c in "[a-z\"\\[\\]=. \\n0-9-]") {
        let text = example();
        let at = at % text.len();
        let text = format!("{}{c}{}", &text[..at], &text[at + 1..]);
        if let Ok(list) = TrustList::from_toml(&text) {
            prop_assert_eq!(TrustList::from_toml(&list.to_toml().unwrap()), Ok(list));
        }
    }
}
