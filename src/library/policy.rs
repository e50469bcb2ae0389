//! The user's rules, `trust.toml`, asked about what is at hand: before the bulk of a fetch moves, and by `trust why`.
//!
//! The decision is `card::trust::decide`'s; this gathers the facts. Code in files is not among them: only their bytes tell,
//! and `fetch` looks at those itself. Design section 5.

use super::{Library, chain, claims, refs, sign, trust, word};
use crate::{
    card::{
        Alias, Identity, PublisherId, Verified,
        policy::Admission,
        trust::{
            self as rules, Blocked, CardFacts, Decision, Facts, Rule, Weight, decide,
            decide_publisher,
        },
    },
    dag::{Cid, name::escape_sentence},
    rpc::{Code, Failure, ReasonLine, TrustedPublishers, Why},
};

/// What is at hand.
pub(super) struct Subject<'a> {
    pub card: Option<&'a Verified>,
    /// The files.
    pub root: &'a Cid,
    /// Root and release.
    pub cids: &'a [Cid],
    /// Whether the publisher's key stood in the request.
    pub named: bool,
    /// How the card stands to those that were accepted before.
    pub admission: Option<&'a Admission>,
}

/// Decides by the user's rules.
pub(super) fn ask(library: &Library, subject: &Subject<'_>) -> Result<Decision, Failure> {
    let list = trust::load(&library.inner.home)?;
    let behind = match subject.admission {
        Some(Admission::Explicit(refusal)) => Some(refusal.to_string()),
        _ => None,
    };
    let signers: Vec<PublisherId> = subject.card.map(|card| *card.signer()).into_iter().collect();
    let card = subject.card.map(|card| CardFacts {
        id: *card.id(),
        publisher: *card.publisher(),
        signers: &signers,
        repo: &card.statement().name,
        own: library.is_own(card.publisher()),
        named: subject.named,
        behind: behind.as_deref(),
        explicit: true,
    });
    let size = subject.card.map(|card| card.statement().total_size);
    let known = claims::known(library, subject.root, subject.card)?;
    let facts = known.iter().map(|(who, claim)| rules::Claim { endorser: *who, ..claim.fact() });
    let claims: Vec<rules::Claim> = facts.collect();
    let facts =
        Facts { card, cids: subject.cids, size, code: &[], allow_code: true, claims: &claims };
    Ok(decide(&list, &facts))
}

/// Whether a requirement of the user's is for this: then peers are asked for claims before it is decided.
pub(super) fn requires_claims(library: &Library, card: Option<&Verified>) -> Result<bool, Failure> {
    let publisher = card.map(Verified::publisher);
    if publisher.is_some_and(|publisher| library.is_own(publisher)) {
        return Ok(false);
    }
    let repo = card.map(|card| &card.statement().name);
    Ok(trust::load(&library.inner.home)?.requires_of(publisher, repo))
}

/// Refuses what the user's rules refuse; what endorsers that the user knows deny of it otherwise.
///
/// # Errors
/// Refused (4), with the rule.
pub(super) fn enforce(library: &Library, subject: &Subject<'_>) -> Result<Vec<String>, Failure> {
    let decision = ask(library, subject)?;
    let Some(reason) = decision.refusal() else {
        let loud = decision
            .reasons
            .iter()
            .filter(|reason| reason.rule == Rule::Claims && reason.weight == Weight::Warning);
        return Ok(loud.map(|reason| escape_sentence(&reason.text)).collect());
    };
    let rules = library.inner.home.trust_file();
    let hint = match reason.rule {
        Rule::Claims => format!(
            "their claims come from peers, or out of a file that they publish: modelswarm endorse --import FILE; the rule stands in {}",
            rules.display()
        ),
        _ => format!("they stand in {}", rules.display()),
    };
    Err(Failure::new(
        Code::Refused,
        format!(
            "your rules refuse it ({}): {}",
            reason.rule.as_str(),
            escape_sentence(&reason.text)
        ),
    )
    .hint(hint))
}

/// The chain of reasons for what the library holds under a REF; of a publisher by itself, what the list says of it.
///
/// # Errors
/// Not found (3); as the store fails.
pub fn why(library: &Library, reference: &str) -> Result<Why, Failure> {
    if let Some(publisher) = publisher(library, reference)? {
        let list = trust::load(&library.inner.home)?;
        let own = library.is_own(&publisher);
        return answer(library, &decide_publisher(&list, &publisher, own), Vec::new());
    }
    let held = refs::newest(library, reference)?;
    let card = sign::card_of(library, &held.tree)?;
    let admission = card.as_ref().map(|card| chain::check(library, card, true)).transpose()?;
    let cids: Vec<Cid> = held.tree.release.into_iter().chain([held.tree.root]).collect();
    let subject = Subject {
        card: card.as_ref(),
        root: &held.tree.root,
        cids: &cids,
        named: false,
        admission: admission.as_ref(),
    };
    let decision = ask(library, &subject)?;
    let word = card.as_ref().map(|card| word::on(library, card)).transpose()?.unwrap_or_default();
    answer(library, &decision, word.remarks)
}

/// The publisher that a REF is by itself: an id, or an alias that is no name in the library.
fn publisher(library: &Library, reference: &str) -> Result<Option<Identity>, Failure> {
    if let Ok(id) = reference.parse() {
        return Ok(Some(id));
    }
    let Ok(alias) = reference.parse::<Alias>() else { return Ok(None) };
    let here = refs::parse(reference).map(|parsed| refs::known(library, &parsed.target));
    let is_free = here.and_then(|found| found).is_ok_and(|found| found.is_empty());
    if is_free { trust::resolve(library, alias.as_str()) } else { Ok(None) }
}

/// `remarks`: the publisher's own later word.
fn answer(library: &Library, decision: &Decision, remarks: Vec<String>) -> Result<Why, Failure> {
    let reasons = decision.reasons.iter().map(|reason| ReasonLine {
        rule: reason.rule.as_str().to_owned(),
        weight: match reason.weight {
            Weight::Note => "note",
            Weight::Warning => "warning",
            Weight::Refusal => "refusal",
        }
        .to_owned(),
        text: escape_sentence(&reason.text),
    });
    let mut reasons: Vec<ReasonLine> = reasons.collect();
    reasons.extend(remarks.into_iter().map(|text| ReasonLine {
        rule: "status".to_owned(),
        weight: "warning".to_owned(),
        text,
    }));
    Ok(Why {
        allowed: decision.allowed(),
        trust: decision.trust.as_ref().map(|trust| trust.as_str().to_owned()),
        reasons,
        unread: trust::unread(library)?,
    })
}

/// Blocks a publisher, a card, a release or a root, or lifts the block.
///
/// # Errors
/// Usage (2) for what is none of these; not found (3) for a block that is not there; failure (1) if the list can't be
/// written.
pub fn block(
    library: &Library,
    id: &str,
    reason: Option<String>,
    lift: bool,
) -> Result<TrustedPublishers, Failure> {
    let blocked: Blocked = id
        .parse()
        .map_err(|_| Failure::new(Code::Usage, format!("{id} is no publisher's key and no CID")))?;
    trust::change(library, |list| {
        if lift {
            let was = list.unblock(&blocked);
            return was.then_some(()).ok_or_else(|| {
                Failure::new(Code::NotFound, format!("{id} is not blocked"))
                    .hint("modelswarm trust list")
            });
        }
        let added = list.block(blocked, reason);
        added.map(drop).map_err(|why| Failure::new(Code::Usage, why.to_string()))
    })
}
