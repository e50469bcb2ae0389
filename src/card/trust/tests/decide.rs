//! Decisions: every rule, and what lifts it.

use super::*;

fn repo() -> RepoName {
    "tiny-chat".parse().unwrap()
}

fn card<'a>(publisher: Identity, repo: &'a RepoName) -> CardFacts<'a> {
    CardFacts {
        id: cid_v1(DAG_JSON, [1; 32]),
        publisher,
        signers: &[],
        repo,
        own: false,
        named: false,
        behind: None,
        explicit: false,
    }
}

fn facts(card: Option<CardFacts>) -> Facts {
    Facts { card, cids: &[], size: Some(1000), code: &[], allow_code: false, claims: &[] }
}

fn list(text: &str) -> TrustList {
    TrustList::from_toml(text).unwrap()
}

/// Rules and weights of a decision's reasons.
fn chain(decision: &Decision) -> Vec<(Rule, Weight)> {
    decision.reasons.iter().map(|reason| (reason.rule, reason.weight)).collect()
}

fn refused_by(list: &TrustList, facts: &Facts) -> Option<Rule> {
    decide(list, facts).refusal().map(|reason| reason.rule)
}

#[test]
fn by_default_new_and_unsigned_content_is_used_and_said() {
    let repo = repo();
    let ours = TrustList::default();
    let new = decide(&ours, &facts(Some(card(id(1).into(), &repo))));
    assert_eq!(new.trust, Some(Trust::New));
    assert_eq!(chain(&new), [(Rule::Publisher, Weight::Warning)]);
    assert!(new.allowed() && new.reasons[0].to_string().contains(&id(1).to_string()));
    let unsigned = decide(&ours, &facts(None));
    assert_eq!((unsigned.trust.clone(), unsigned.allowed()), (None, true));
    assert_eq!(chain(&unsigned), [(Rule::Unsigned, Weight::Warning)]);
}

#[test]
fn unsigned_content_is_refused_if_the_user_says_so() {
    let strict = list("[default]\nunsigned = \"deny\"");
    assert_eq!(refused_by(&strict, &facts(None)), Some(Rule::Unsigned));
    assert_eq!(refused_by(&strict, &facts(Some(card(id(1).into(), &repo())))), None);
}

#[test]
fn ask_takes_a_named_key_for_an_answer_and_deny_takes_the_list_only() {
    let repo = repo();
    let new = facts(Some(card(id(1).into(), &repo)));
    let named = facts(Some(CardFacts { named: true, ..card(id(1).into(), &repo) }));
    let own = facts(Some(CardFacts { own: true, ..card(id(1).into(), &repo) }));
    let (ask, deny) = ("[default]\nunknown = \"ask\"", "[default]\nunknown = \"deny\"");
    assert_eq!(refused_by(&list(ask), &new), Some(Rule::Publisher));
    assert_eq!(refused_by(&list(ask), &named), None);
    assert_eq!(refused_by(&list(deny), &new), Some(Rule::Publisher));
    assert_eq!(refused_by(&list(deny), &named), Some(Rule::Publisher));
    assert_eq!(decide(&list(ask), &named).trust, Some(Trust::Named));
    for text in [ask, deny] {
        assert_eq!(refused_by(&list(text), &own), None);
        let mut trusting = list(text);
        trusting.add(alias("acme"), id(1)).unwrap();
        let decision = decide(&trusting, &new);
        assert_eq!(decision.trust, Some(Trust::Trusted(alias("acme"))));
        assert_eq!(chain(&decision), [(Rule::Publisher, Weight::Note)]);
        let refusal = decide(&list(text), &new).refusal().unwrap().to_string();
        assert!(refusal.contains(&format!("trust add ALIAS {}", id(1))), "{refusal}");
    }
}

#[test]
fn trust_is_for_the_models_that_the_entry_names() {
    let acme = list(&example());
    let (tiny, other) = (repo(), "chat".parse().unwrap());
    let tiny = decide(&acme, &facts(Some(card(lab(1), &tiny))));
    assert_eq!(tiny.trust, Some(Trust::Trusted(alias("acme"))));
    let why = tiny.reasons[0].to_string();
    assert!(why.contains("since 2026-11-22") && why.contains("https://acme.example/id"), "{why}");
    let other = decide(&acme, &facts(Some(card(lab(1), &other))));
    assert_eq!(other.trust, Some(Trust::New));
    assert_eq!(other.refusal().unwrap().rule, Rule::Publisher);
    assert!(other.reasons[0].to_string().contains("not for chat"));
}

#[test]
fn nothing_lifts_a_block() {
    let repo = repo();
    let blocking = |what: String| {
        list(&format!(
            "[[publisher]]\nalias = \"acme\"\nid = \"{}\"\n[[block]]\nid = \"{what}\"\nreason = \"stolen\"",
            lab(1)
        ))
    };
    let signers = [id(3)];
    let cids = [cid(66)];
    let mut card = card(lab(1), &repo);
    card.signers = &signers;
    (card.own, card.named, card.explicit) = (true, true, true);
    let facts = Facts { cids: &cids, allow_code: true, ..facts(Some(card.clone())) };
    // The lab, one key of it, the card, the root; the root also in another codec's or multibase's writing.
    let upper = multibase::encode(multibase::Base::Base58Btc, cid(66).to_bytes());
    for what in
        [lab(1).to_string(), id(3).to_string(), card.id.to_string(), cid(66).to_string(), upper]
    {
        let decision = decide(&blocking(what.clone()), &facts);
        assert_eq!(decision.refusal().map(|reason| reason.rule), Some(Rule::Block), "{what}");
        assert!(decision.refusal().unwrap().to_string().ends_with(": stolen"));
    }
    let v0 = Cid::new_v0(*cid(66).hash()).unwrap();
    assert_eq!(refused_by(&blocking(v0.to_string()), &facts), Some(Rule::Block));
    assert_eq!(refused_by(&blocking(id(4).to_string()), &facts), None);
}

#[test]
fn a_rollback_is_refused_unless_its_cid_was_given() {
    let repo = repo();
    let behind = CardFacts { behind: Some("version 3 was seen"), ..card(id(1).into(), &repo) };
    let explicit = CardFacts { explicit: true, ..behind.clone() };
    let (behind, explicit) = (facts(Some(behind)), facts(Some(explicit)));
    let ours = TrustList::default();
    assert_eq!(refused_by(&ours, &behind), Some(Rule::Rollback));
    assert!(decide(&ours, &behind).refusal().unwrap().to_string().contains("version 3 was seen"));
    let lifted = decide(&ours, &explicit);
    assert!(lifted.allowed() && chain(&lifted).contains(&(Rule::Rollback, Weight::Warning)));
    let lax = list("[default]\nrollback = \"accept\"");
    assert_eq!(refused_by(&lax, &behind), None);
}

#[test]
fn a_size_is_bounded_only_if_the_user_says_so() {
    let huge = Facts { size: Some(u64::MAX), ..facts(None) };
    assert_eq!(refused_by(&TrustList::default(), &huge), None);
    let bounded = list("[default]\nmax_size = 1000");
    assert_eq!(refused_by(&bounded, &facts(None)), None);
    assert_eq!(refused_by(&bounded, &Facts { size: Some(1001), ..facts(None) }), Some(Rule::Size));
    let unknown = decide(&bounded, &Facts { size: None, ..facts(None) });
    assert!(unknown.allowed() && chain(&unknown).contains(&(Rule::Size, Weight::Note)));
}

#[test]
fn code_is_a_warning_from_the_trusted_and_a_refusal_from_others() {
    let repo = repo();
    let files: Vec<String> = (0..7).map(|n| format!("part-{n}.bin")).collect();
    let with = |card| Facts { code: &files, ..facts(card) };
    let ours = TrustList::default();
    let new = with(Some(card(id(1).into(), &repo)));
    let named = with(Some(CardFacts { named: true, ..card(id(1).into(), &repo) }));
    let own = with(Some(CardFacts { own: true, ..card(id(1).into(), &repo) }));
    assert_eq!(refused_by(&ours, &new), Some(Rule::Code));
    assert_eq!(refused_by(&ours, &named), Some(Rule::Code), "naming a key trusts nothing");
    assert_eq!(refused_by(&ours, &with(None)), Some(Rule::Code));
    let refusal = decide(&ours, &new).refusal().unwrap().to_string();
    for said in ["part-0.bin", "part-4.bin and 2 more", "--exclude", "--allow-code"] {
        assert!(refusal.contains(said), "{said} in {refusal}");
    }
    let mut trusting = TrustList::default();
    trusting.add(alias("acme"), id(1)).unwrap();
    let allowed = Facts { allow_code: true, ..new.clone() };
    let lax = list("[default]\ncode = \"accept\"");
    for (list, facts) in [(&ours, &own), (&trusting, &new), (&ours, &allowed), (&lax, &new)] {
        let decision = decide(list, facts);
        assert!(decision.allowed());
        assert_eq!(decision.reasons.last().unwrap().weight, Weight::Warning);
    }
    let mut strict = list("[default]\ncode = \"deny\"");
    strict.add(alias("acme"), id(1)).unwrap();
    assert_eq!(refused_by(&strict, &new), Some(Rule::Code), "though it is trusted");
    assert!(decide(&strict, &own).allowed() && decide(&strict, &allowed).allowed());
}

#[test]
fn a_required_claim_must_be_there_from_an_endorser_that_counts() {
    let (acme, repo) = (list(&example()), repo());
    let reproduced = ["EVAL_REPRODUCED".to_owned()];
    let other = ["LICENSE_REVIEWED".to_owned()];
    let claim = Claim { endorser: id(2).into(), kind: "svr", properties: &reproduced, holds: true };
    let with = |claims: &[Claim]| {
        let repo = repo.clone();
        refused_by(&acme, &Facts { claims, ..facts(Some(card(lab(1), &repo))) })
    };
    assert_eq!(with(&[]), Some(Rule::Claims));
    assert_eq!(with(std::slice::from_ref(&claim)), None);
    for useless in [
        Claim { endorser: id(8).into(), ..claim.clone() },
        Claim { kind: "rumour", ..claim.clone() },
        Claim { properties: &other, ..claim.clone() },
        Claim { properties: &[], ..claim.clone() },
        Claim { holds: false, ..claim.clone() },
    ] {
        assert_eq!(with(std::slice::from_ref(&useless)), Some(Rule::Claims), "{useless:?}");
    }
    // A blocked endorser's word is gone too.
    let mut blocking = acme.clone();
    blocking.block(Blocked::Publisher(id(2).into()), None).unwrap();
    let claims = [claim.clone()];
    let claimed = Facts { claims: &claims, ..facts(Some(card(lab(1), &repo))) };
    assert_eq!(refused_by(&blocking, &claimed), Some(Rule::Claims));
    assert_eq!(
        chain(&decide(&acme, &claimed)),
        [
            (Rule::Publisher, Weight::Note),
            (Rule::Claims, Weight::Note),
            (Rule::Claims, Weight::Note)
        ]
    );
}

#[test]
fn an_endorser_who_says_both_is_not_counted_for_what_it_denies() {
    let acme = list(&example());
    let repo = repo();
    let (both, one) = (["EVAL_REPRODUCED".to_owned()], ["LICENSE_REVIEWED".to_owned()]);
    let claim = |properties| Claim { endorser: id(2).into(), kind: "svr", properties, holds: true };
    let denial = |properties| Claim {
        endorser: id(2).into(),
        kind: "test-result",
        properties,
        holds: false,
    };
    let with =
        |claims: &[Claim]| refused_by(&acme, &Facts { claims, ..facts(Some(card(lab(1), &repo))) });
    assert_eq!(with(&[claim(&both), denial(&both)]), Some(Rule::Claims));
    assert_eq!(with(&[claim(&both), denial(&[])]), Some(Rule::Claims));
    assert_eq!(with(&[claim(&both), denial(&one)]), None);
    let stranger = Claim { endorser: id(8).into(), ..denial(&both) };
    assert_eq!(with(&[claim(&both), stranger]), None);
}

#[test]
fn requirements_are_for_whom_they_name() {
    let require = |publisher: &str, models: &str| {
        list(&format!(
            "[[endorser]]\nalias = \"evalco\"\nid = \"{}\"\n[[require]]\npublisher = \"{publisher}\"\n{models}\nany_of = [\"evalco\"]",
            id(2)
        ))
    };
    let repo = repo();
    let signed = facts(Some(card(id(1).into(), &repo)));
    let own = facts(Some(CardFacts { own: true, ..card(id(1).into(), &repo) }));
    let everyone = require("*", "");
    assert_eq!(refused_by(&everyone, &signed), Some(Rule::Claims));
    assert_eq!(refused_by(&everyone, &facts(None)), Some(Rule::Claims));
    assert_eq!(refused_by(&everyone, &own), None);
    assert_eq!(refused_by(&require(&id(1).to_string(), ""), &signed), Some(Rule::Claims));
    assert_eq!(refused_by(&require(&id(9).to_string(), ""), &signed), None);
    assert_eq!(refused_by(&require("*", "models = [\"tiny-*\"]"), &signed), Some(Rule::Claims));
    assert_eq!(refused_by(&require("*", "models = [\"huge-*\"]"), &signed), None);
    // Any claim of theirs will do, if no property is named.
    let claim = [Claim { endorser: id(2).into(), kind: "svr", properties: &[], holds: true }];
    assert_eq!(refused_by(&everyone, &Facts { claims: &claim, ..signed }), None);
}

#[test]
fn a_denial_by_a_known_endorser_is_as_loud_as_a_warning() {
    let acme = list(&example());
    let free = ["PICKLE_FREE".to_owned()];
    let denial = |endorser: u8| {
        [Claim { endorser: id(endorser).into(), kind: "svr", properties: &free, holds: false }]
    };
    let (known, stranger) = (denial(2), denial(8));
    let decision = decide(&acme, &Facts { claims: &known, ..facts(None) });
    let said = decision.reasons.iter().find(|reason| reason.rule == Rule::Claims).unwrap();
    assert_eq!(
        (said.weight, said.to_string().as_str()),
        (Weight::Warning, "evalco DENIES PICKLE_FREE (svr)")
    );
    let decision = decide(&acme, &Facts { claims: &stranger, ..facts(None) });
    assert!(decision.reasons.iter().all(|reason| reason.rule != Rule::Claims));
}

#[test]
fn every_rule_is_tried_after_one_has_refused() {
    let strict = list("[default]\nunsigned = \"deny\"\nmax_size = 1");
    let files = ["a.pkl".to_owned()];
    let decision = decide(&strict, &Facts { code: &files, ..facts(None) });
    assert_eq!(
        chain(&decision),
        [
            (Rule::Unsigned, Weight::Refusal),
            (Rule::Size, Weight::Refusal),
            (Rule::Code, Weight::Refusal)
        ]
    );
    assert_eq!(decision.refusal().unwrap().rule, Rule::Unsigned);
}

/// A list of ten thousand publishers, each with a requirement, and as many blocks and endorsers.
fn ten_thousand() -> (String, Vec<PublisherId>) {
    let key = |n: u32| {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        PublisherId::try_from(&SigningKey::from_bytes(&seed).verifying_key()).unwrap()
    };
    let keys: Vec<PublisherId> = (0..10_000).map(key).collect();
    let entry = |(n, id): (usize, &PublisherId)| {
        format!(
            "[[publisher]]\nalias = \"p{n}\"\nid = \"{id}\"\nmodels = [\"tiny-*\"]\n[[endorser]]\nalias = \"e{n}\"\nid = \"{}\"\n\
             [[require]]\npublisher = \"p{n}\"\nany_of = [\"e{n}\"]\n[[block]]\nid = \"{}\"\n",
            Identity::from(TufId::of_digest(*id.as_bytes())),
            cid_v1(DAG_PB, *id.as_bytes())
        )
    };
    (keys.iter().enumerate().map(entry).collect(), keys)
}

#[test]
fn ten_thousand_publishers_decide_as_one_does() {
    let (text, keys) = ten_thousand();
    let many = list(&text);
    let repo = repo();
    let started = std::time::Instant::now();
    for (n, key) in keys.iter().enumerate() {
        let claims = [Claim {
            endorser: TufId::of_digest(*key.as_bytes()).into(),
            kind: "svr",
            properties: &[],
            holds: n % 2 == 0,
        }];
        let decision =
            decide(&many, &Facts { claims: &claims, ..facts(Some(card(key.into(), &repo))) });
        assert_eq!(decision.trust, Some(Trust::Trusted(alias(&format!("p{n}")))));
        assert_eq!(decision.allowed(), n % 2 == 0);
    }
    println!("{} decisions in {:?}", keys.len(), started.elapsed());
}
