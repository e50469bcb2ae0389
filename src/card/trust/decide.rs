//! The one decision: may this content be used, and why.
//!
//! Facts come in as the caller verified them, the user's rules as they stand in the list; nothing is looked up or read.
//! Every rule is tried even after one has refused, so that [`Decision::reasons`] is the whole chain that `trust why`
//! prints. Blocks come first and nothing lifts them; `allow_code` and a CID given by hand lift the rule that they are
//! for and no other. What the user made himself is held to blocks alone.

use std::fmt;

use crate::card::content::Leave;
use crate::card::did::PublisherId;
use crate::card::identity::Identity;
use crate::card::json::shortened;
use crate::card::name::RepoName;
use crate::card::policy::Trust;
use crate::dag::Cid;

use super::file::{Answer, Blocked, Require, Unknown};
use super::{Scope, TrustList, Trusted};

/// How many names a reason spells out.
const NAMES_SHOWN: usize = 5;

/// What is known of the content.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The verified card; none for a bare root.
    pub card: Option<CardFacts<'a>>,
    /// CIDs that name the content: root, release.
    pub cids: &'a [Cid],
    /// Bytes of all files, once known.
    pub size: Option<u64>,
    /// Files that bring code (pickle and the like), once known.
    pub code: &'a [String],
    /// The user allows code in this request.
    pub allow_code: bool,
    /// Claims over the card or its tree, verified, the newest of each.
    pub claims: &'a [Claim<'a>],
}

/// What is known of a verified card.
#[derive(Debug, Clone)]
pub struct CardFacts<'a> {
    /// Its id.
    pub id: Cid,
    /// Whose it is.
    pub publisher: Identity,
    /// Who signed it: for a lab, keys of its own.
    pub signers: &'a [PublisherId],
    /// The repo.
    pub repo: &'a RepoName,
    /// The publisher is this node's owner.
    pub own: bool,
    /// The publisher stands in the request, by id or alias.
    pub named: bool,
    /// Why it is not the head of its repo (`policy::Refusal` in words), if it is not.
    pub behind: Option<&'a str>,
    /// The user gave this card's, release's or root's own CID.
    pub explicit: bool,
}

/// A verified claim.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    /// Who claims.
    pub endorser: Identity,
    /// Its kind, as `kinds` in the list names it: `svr`, `test-result`, …
    pub kind: &'a str,
    /// What is claimed, e.g. `EVAL_REPRODUCED`.
    pub properties: &'a [String],
    /// Whether it is said to hold, or to fail.
    pub holds: bool,
}

/// What a reason is about; the refusing ones name what to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// `[[block]]`.
    Block,
    /// Who published it: `[[publisher]]` and `default.unknown`.
    Publisher,
    /// `default.unsigned`.
    Unsigned,
    /// `default.rollback`.
    Rollback,
    /// `default.max_size`.
    Size,
    /// `default.code`.
    Code,
    /// `[[require]]` and `[[endorser]]`.
    Claims,
}

impl Rule {
    /// As answers spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Publisher => "publisher",
            Self::Unsigned => "unsigned",
            Self::Rollback => "rollback",
            Self::Size => "size",
            Self::Code => "code",
            Self::Claims => "claims",
        }
    }
}

/// How much a reason weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// Worth knowing.
    Note,
    /// To be shown to the user unasked.
    Warning,
    /// It alone refuses the content.
    Refusal,
}

/// One link of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What it is about.
    pub rule: Rule,
    /// What it does.
    pub weight: Weight,
    /// In plain words. Names of files and claims in it come from outside: escape it before printing.
    pub text: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What the user knows of the publisher; none if nobody signed.
    pub trust: Option<Trust>,
    /// Why, in the order in which the rules were tried.
    pub reasons: Vec<Reason>,
}

impl Decision {
    /// Whether the content may be used.
    pub fn allowed(&self) -> bool {
        self.refusal().is_none()
    }

    /// The first reason that refuses it.
    pub fn refusal(&self) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.weight == Weight::Refusal)
    }

    fn say(&mut self, rule: Rule, weight: Weight, text: impl ToString) {
        self.reasons.push(Reason { rule, weight, text: text.to_string() });
    }
}

/// Decides by the user's list.
pub fn decide(list: &TrustList, facts: &Facts) -> Decision {
    let mut decision = Decision { trust: None, reasons: Vec::new() };
    blocks(list, facts, &mut decision);
    let own = facts.card.as_ref().is_some_and(|card| card.own);
    match &facts.card {
        Some(card) => decision.trust = Some(publisher(list, card, &mut decision)),
        None => unsigned(list, &mut decision),
    }
    if !own {
        if let Some(card) = &facts.card {
            rollback(list, card, &mut decision);
        }
        size(list, facts, &mut decision);
    }
    code(list, facts, &mut decision);
    claims(list, facts, own, &mut decision);
    decision
}

fn blocks(list: &TrustList, facts: &Facts, decision: &mut Decision) {
    let card = facts.card.as_ref();
    let keys = card.into_iter().flat_map(|card| card.signers).map(|key| Identity::Key(*key));
    let publishers =
        card.into_iter().map(|card| card.publisher).chain(keys).map(Blocked::Publisher);
    let cids = facts.cids.iter().chain(card.map(|card| &card.id)).map(Blocked::cid);
    let mut named: Vec<Blocked> = Vec::new();
    for id in publishers.chain(cids) {
        if !named.contains(&id) {
            say_blocked(list, &id, decision);
            named.push(id);
        }
    }
}

fn publisher(list: &TrustList, card: &CardFacts, decision: &mut Decision) -> Trust {
    let CardFacts { publisher: id, repo, .. } = card;
    if card.own {
        decision.say(Rule::Publisher, Weight::Note, format_args!("{id} is yours"));
        return Trust::Own;
    }
    let entry = list.publisher(*id);
    if let Some(trusted) = entry.filter(|trusted| trusted.covers(repo)) {
        decision.say(Rule::Publisher, Weight::Note, trusted_because(trusted));
        return Trust::Trusted(trusted.alias.clone());
    }
    if let Some(Trusted { alias, .. }) = entry {
        let text = format!(
            "{id} is trusted as {alias}, but not for {repo}: its entry's models do not cover it"
        );
        decision.say(Rule::Publisher, Weight::Note, text);
    }
    let who = if card.named { "stands in your request" } else { "is new to you" };
    let not_listed = format!("{id} {who} and is not in your trust list for {repo}");
    let (weight, what) = unlisted(list, id, repo.as_str(), card.named);
    decision.say(Rule::Publisher, weight, format_args!("{not_listed}; {what}"));
    if card.named { Trust::Named } else { Trust::New }
}

/// What `default.unknown` says of a publisher that is not in the list.
fn unlisted(list: &TrustList, id: &Identity, repo: &str, named: bool) -> (Weight, String) {
    let add = format!("modelswarm trust add ALIAS {id}");
    match list.defaults().unknown() {
        Unknown::AcceptNew if named => (Weight::Note, "used (unknown = \"accept-new\")".into()),
        Unknown::AcceptNew => {
            (Weight::Warning, "used all the same (unknown = \"accept-new\")".into())
        }
        Unknown::Ask if named => {
            (Weight::Note, "used, since you named it (unknown = \"ask\")".into())
        }
        Unknown::Ask => (
            Weight::Refusal,
            format!(
                "your trust.toml asks first (unknown = \"ask\"): name it in the request ({id}/{repo}), or trust it: {add}"
            ),
        ),
        Unknown::Deny => (
            Weight::Refusal,
            format!("only publishers of the list are used (unknown = \"deny\"): {add}"),
        ),
    }
}

/// What the list says of a publisher, whatever of it is asked for. `own`: it is the node's owner.
pub fn decide_publisher(list: &TrustList, id: &Identity, own: bool) -> Decision {
    let mut decision = Decision { trust: None, reasons: Vec::new() };
    say_blocked(list, &Blocked::Publisher(*id), &mut decision);
    let trust = match list.publisher(*id) {
        _ if own => {
            decision.say(Rule::Publisher, Weight::Note, format_args!("{id} is yours"));
            Trust::Own
        }
        Some(trusted) => {
            let models = trusted.scope.models.iter().flatten().take(NAMES_SHOWN);
            let models: Vec<String> = models.map(ToString::to_string).collect();
            let scope = if trusted.scope.models.is_none() {
                "whatever it publishes".to_owned()
            } else {
                format!("for {} and no other repo", models.join(", "))
            };
            let text = format!("{}; {scope}", trusted_because(trusted));
            decision.say(Rule::Publisher, Weight::Note, text);
            Trust::Trusted(trusted.alias.clone())
        }
        None => {
            let (weight, what) = unlisted(list, id, "NAME", false);
            let text = format!("{id} is new to you and is not in your trust list; {what}");
            decision.say(Rule::Publisher, weight, text);
            Trust::New
        }
    };
    decision.trust = Some(trust);
    decision
}

fn say_blocked(list: &TrustList, id: &Blocked, decision: &mut Decision) {
    let Some(block) = list.blocked(id) else { return };
    let why = block.reason.as_deref().map(|why| format!(": {}", shortened(why)));
    let text = format!("{} is blocked in your trust.toml{}", block.id, why.unwrap_or_default());
    decision.say(Rule::Block, Weight::Refusal, text);
}

fn trusted_because(trusted: &Trusted) -> String {
    let Trusted { alias, id, scope: Scope { evidence, pinned, .. } } = trusted;
    let since = pinned.map(|date| format!(" since {date}")).unwrap_or_default();
    let evidence = evidence.as_deref().map(|text| format!(", by {}", shortened(text)));
    format!("you trust {id} as {alias}{since}{}", evidence.unwrap_or_default())
}

fn unsigned(list: &TrustList, decision: &mut Decision) {
    let (weight, what) = match list.defaults().unsigned() {
        Answer::Accept => (Weight::Warning, "used all the same (unsigned = \"accept\")"),
        Answer::Deny => (Weight::Refusal, "your trust.toml refuses that (unsigned = \"deny\")"),
    };
    let text = format!("no card says whose content this is; {what}");
    decision.say(Rule::Unsigned, weight, text);
}

fn rollback(list: &TrustList, card: &CardFacts, decision: &mut Decision) {
    let Some(why) = card.behind else { return };
    let (weight, what) = match (card.explicit, list.defaults().rollback()) {
        (true, _) => (Weight::Warning, "used, since you gave its CID"),
        (false, Answer::Accept) => (Weight::Warning, "used all the same (rollback = \"accept\")"),
        (false, Answer::Deny) => (Weight::Refusal, "refused (rollback = \"deny\")"),
    };
    decision.say(Rule::Rollback, weight, format_args!("{}; {what}", shortened(why)));
}

fn size(list: &TrustList, facts: &Facts, decision: &mut Decision) {
    let Some(max) = &list.defaults().max_size else { return };
    let max = max.bytes();
    match facts.size {
        Some(size) if size > max => {
            let text = format!("it has {size} bytes, your trust.toml allows {max} (max_size)");
            decision.say(Rule::Size, Weight::Refusal, text);
        }
        Some(_) => {}
        None => {
            let text = format!(
                "its size is not known yet; more than {max} bytes will be refused (max_size)"
            );
            decision.say(Rule::Size, Weight::Note, text);
        }
    }
}

fn code(list: &TrustList, facts: &Facts, decision: &mut Decision) {
    let Some(first) = facts.code.first() else { return };
    let mut files = shortened(first);
    for file in facts.code.iter().take(NAMES_SHOWN).skip(1) {
        files = format!("{files}, {}", shortened(file));
    }
    let more = facts.code.len().saturating_sub(NAMES_SHOWN);
    if more > 0 {
        files = format!("{files} and {more} more");
    }
    let trust = decision.trust.as_ref();
    let (weight, what) = match list.defaults().code(trust, facts.allow_code) {
        Leave::Given => {
            let why = match trust {
                Some(Trust::Own) => "they are yours",
                _ if facts.allow_code => "allowed in this request",
                Some(Trust::Trusted(_)) if list.defaults().code.is_none() => {
                    "you trust their publisher"
                }
                _ => "your trust.toml takes them (code = \"accept\")",
            };
            (Weight::Warning, why)
        }
        Leave::FromTrusted => (
            Weight::Refusal,
            "from publishers that you do not trust that is refused: leave them out with --exclude, or allow them with --allow-code",
        ),
        Leave::FromNobody => (
            Weight::Refusal,
            "your trust.toml takes them from nobody (code = \"deny\"): leave them out with --exclude, or allow them with --allow-code",
        ),
    };
    let text = format!("these files can run code when they are loaded: {files}; {what}");
    decision.say(Rule::Code, weight, text);
}

fn claims(list: &TrustList, facts: &Facts, own: bool, decision: &mut Decision) {
    // Claims by those whom the list names, of kinds that count; a block takes an endorser's word away too.
    let counting = |claim: &&Claim| {
        let endorser = list.endorser(&claim.endorser);
        endorser.is_some_and(|one| {
            one.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind == claim.kind))
        }) && list.blocked(&Blocked::Publisher(claim.endorser)).is_none()
    };
    let known: Vec<&Claim> = facts.claims.iter().filter(counting).collect();
    for claim in &known {
        let alias = list.endorser(&claim.endorser).map(|one| one.alias.to_string());
        let (weight, what) =
            if claim.holds { (Weight::Note, "confirms") } else { (Weight::Warning, "DENIES") };
        let properties = spelled(claim.properties);
        let text = format!(
            "{} {what} {properties} ({})",
            alias.unwrap_or_default(),
            shortened(claim.kind)
        );
        decision.say(Rule::Claims, weight, text);
    }
    if own {
        return;
    }
    let card = facts.card.as_ref();
    let publisher = card.map(|card| &card.publisher);
    for require in list.requires_for(publisher, card.map(|card| card.repo)) {
        let missing = missing(list, require, &known);
        let of = require.any_of.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        let (weight, text) = match missing {
            None => {
                (Weight::Note, format!("{} by {of}, as you require", spelled(&require.properties)))
            }
            Some(properties) => (
                Weight::Refusal,
                format!("you require {} by {of}, and no such claim is known", spelled(properties)),
            ),
        };
        decision.say(Rule::Claims, weight, text);
    }
}

/// What of a requirement no claim says; none if all of it is said. An endorser who says of a property both that it holds
/// and, in a claim of another kind, that it fails, is not counted for it.
fn missing<'a>(list: &TrustList, require: &'a Require, known: &[&Claim]) -> Option<&'a [String]> {
    let by_them: Vec<&&Claim> = known
        .iter()
        .filter(|claim| {
            let alias = list.endorser(&claim.endorser).map(|one| &one.alias);
            claim.holds && alias.is_some_and(|alias| require.any_of.contains(alias))
        })
        .collect();
    let denied = |endorser: &Identity, property: Option<&String>| {
        known.iter().any(|claim| {
            let all = claim.properties.is_empty() || property.is_none();
            let this = property.is_some_and(|property| claim.properties.contains(property));
            !claim.holds && claim.endorser == *endorser && (all || this)
        })
    };
    let claimed = |property| {
        by_them.iter().any(|claim| {
            claim.properties.contains(property) && !denied(&claim.endorser, Some(property))
        })
    };
    let properties = &require.properties;
    let met = match properties.as_slice() {
        [] => by_them.iter().any(|claim| !denied(&claim.endorser, None)),
        some => some.iter().all(claimed),
    };
    if met { None } else { Some(properties) }
}

fn spelled(properties: &[String]) -> String {
    match properties {
        [] => "any claim".to_owned(),
        list => {
            list.iter().take(NAMES_SHOWN).map(|one| shortened(one)).collect::<Vec<_>>().join(", ")
        }
    }
}
