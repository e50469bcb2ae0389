//! One version of a lab's TUF root, read into what follows from it.
//!
//! TUF 1.0 (4.3) with three things narrower: keys of the root role are ed25519, a key object has only the fields that
//! its id is made of, and `x-publisher` is there. Reading proves nothing: who signed, `super::chain` says.

use std::collections::{BTreeMap, BTreeSet};

use crate::card::did::{self, PublisherId};
use crate::card::json::{self, Map, Value};
use crate::card::statement::Timestamp;
use crate::dag::Cid;
use crate::dag::block::sha256;
use crate::limits;

use super::form;

/// The custom field with what TUF has no words for.
pub(super) const X_PUBLISHER: &str = "x-publisher";
/// What one root says of the one before.
pub(super) const PREV: &str = "prev";
/// TUF's four top-level roles.
pub(super) const ROLES: [&str; 4] = ["root", "snapshot", "targets", "timestamp"];

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its field {field} {problem}")]
pub struct BadField {
    /// Its place, e.g. `roles.root.threshold`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

fn bad(field: impl ToString, problem: impl ToString) -> BadField {
    BadField { field: field.to_string(), problem: problem.to_string() }
}

/// So many of these keys must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The keys.
    pub keys: BTreeSet<PublisherId>,
    /// How many of them, from 1 to their number.
    pub threshold: usize,
}

impl Role {
    /// How many of the signers are keys of this role, each counted once.
    pub fn count(&self, signers: &BTreeSet<PublisherId>) -> usize {
        self.keys.intersection(signers).count()
    }

    /// Whether enough of the signers are keys of this role.
    pub fn is_met(&self, signers: &BTreeSet<PublisherId>) -> bool {
        self.count(signers) >= self.threshold
    }

    /// Whether the threshold can be met, and the keys are not more than a root may name.
    pub(super) fn check(&self, field: &str) -> Result<(), BadField> {
        if self.keys.is_empty() || self.keys.len() > limits::PUBLISHER_KEYS_MAX {
            let max = limits::PUBLISHER_KEYS_MAX;
            return Err(bad(field, format_args!("must have 1 to {max} ed25519 keys")));
        }
        if !(1..=self.keys.len()).contains(&self.threshold) {
            let keys = self.keys.len();
            return Err(bad(
                format_args!("{field}.threshold"),
                format_args!("must be 1 to {keys}, the number of its ed25519 keys"),
            ));
        }
        Ok(())
    }
}

/// What a root says, but for its version and its predecessor: what a lab decides when it writes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The lab's name for itself: a claim, proven by nothing here.
    pub name: String,
    /// `https` addresses where the lab names its id, for a check by people.
    pub links: Vec<String>,
    /// The key that signs the lab's IPNS record.
    pub announce: PublisherId,
    /// When the lab means to have looked at its keys again.
    pub expires: Timestamp,
    /// Who may sign roots (TUF role `root`).
    pub signers: Role,
    /// Who may sign cards (TUF role `targets`).
    pub cards: Role,
}

impl Content {
    pub(super) fn check(&self) -> Result<(), BadField> {
        let one_line = |text: &str, max: usize| {
            !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
        };
        if !one_line(&self.name, limits::PUBLISHER_NAME_MAX) {
            let max = limits::PUBLISHER_NAME_MAX;
            return Err(bad(
                "x-publisher.name",
                format_args!("must be one line of 1 to {max} bytes"),
            ));
        }
        let link_ok = |link: &String| {
            link.starts_with("https://")
                && one_line(link, limits::PUBLISHER_LINK_MAX)
                && !link.contains(char::is_whitespace)
        };
        if self.links.len() > limits::PUBLISHER_LINKS_MAX || !self.links.iter().all(link_ok) {
            let max = limits::PUBLISHER_LINKS_MAX;
            return Err(bad(
                "x-publisher.links",
                format_args!("must be at most {max} https links"),
            ));
        }
        self.signers.check("roles.root")?;
        self.cards.check("roles.targets")
    }
}

/// One version of the root, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    pub(super) version: u64,
    pub(super) cid: Cid,
    pub(super) prev: Option<Cid>,
    pub(super) content: Content,
    pub(super) companions: Vec<String>,
    /// The signed part whole, for the version after it: what later versions of this program write there stays.
    pub(super) signed: Map,
    /// The exact file.
    pub(super) text: String,
}

impl Root {
    /// From 1.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// CID (raw, sha2-256) of the exact bytes.
    pub fn cid(&self) -> &Cid {
        &self.cid
    }

    /// What it says.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// P-256 keys (PEM) that stand among the keys for cards: they sign `model.sig`, never a card.
    pub fn companions(&self) -> &[String] {
        &self.companions
    }

    /// The exact bytes, as tools of others take them (`root.json`).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads the part `signed`.
    pub(super) fn read(signed: Map, text: &str) -> Result<Self, BadField> {
        let at = |field| At { map: &signed, place: "", field };
        at("_type").is("root")?;
        let spec = at("spec_version").text()?;
        let numbers = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !spec.strip_prefix("1.").is_some_and(|rest| rest.split('.').all(numbers)) {
            return Err(bad("spec_version", "is not 1.x"));
        }
        if signed.get("consistent_snapshot").is_some_and(|v| !matches!(v, Value::Bool(_))) {
            return Err(bad("consistent_snapshot", "must be true or false"));
        }
        let version = at("version").int()?;
        let expires = at("expires").parsed()?;
        let Keys { ed25519, others } = keys(at("keys").map()?)?;
        let roles = at("roles").map()?;
        if !roles.keys().map(String::as_str).eq(ROLES) {
            return Err(bad("roles", "must be root, snapshot, targets and timestamp"));
        }
        for name in ["snapshot", "timestamp"] {
            let place = format!("roles.{name}");
            role(At { map: roles, place: "roles", field: name }.map()?, &place, |id| {
                ed25519.contains_key(id) || others.contains_key(id)
            })?;
        }
        let (root_ids, threshold) =
            role(At { map: roles, place: "roles", field: "root" }.map()?, "roles.root", |id| {
                ed25519.contains_key(id)
            })?;
        let signers = Role { keys: root_ids.iter().map(|id| ed25519[*id]).collect(), threshold };
        let targets = At { map: roles, place: "roles", field: "targets" }.map()?;
        let (ids, threshold) = role(targets, "roles.targets", |id| {
            ed25519.contains_key(id) || others.contains_key(id)
        })?;
        let cards = ids.iter().filter_map(|id| ed25519.get(*id).copied()).collect();
        let companions = ids.iter().filter_map(|id| others.get(*id).cloned()).collect();

        let own = at(X_PUBLISHER).map()?;
        let at = |field| At { map: own, place: "x-publisher.", field };
        let links = match own.get("links") {
            Some(Value::List(list)) => {
                list.iter().map(|v| v.as_text().map(str::to_owned)).collect()
            }
            _ => None,
        };
        let content = Content {
            name: at("name").text()?.to_owned(),
            links: links.ok_or_else(|| bad("x-publisher.links", "must be a list of links"))?,
            announce: at("announce").parsed()?,
            expires,
            signers,
            cards: Role { keys: cards, threshold },
        };
        content.check()?;
        let prev = match own.get(PREV) {
            Some(Value::Null) => None,
            _ => Some(at(PREV).text().ok().and_then(json::parse_cid).ok_or_else(|| {
                bad("x-publisher.prev", "must be null or the CID of the root before")
            })?),
        };
        let cid = crate::dag::block::cid_v1(crate::dag::block::RAW, sha256(text.as_bytes()));
        Ok(Self { version, cid, prev, content, companions, signed, text: text.to_owned() })
    }
}

/// A field of an object.
struct At<'a> {
    map: &'a Map,
    /// What stands before the field's name in messages.
    place: &'static str,
    field: &'a str,
}

impl<'a> At<'a> {
    fn bad(&self, problem: impl ToString) -> BadField {
        bad(format_args!("{}{}", self.place, self.field), problem)
    }

    fn text(&self) -> Result<&'a str, BadField> {
        let text = self.map.get(self.field).and_then(Value::as_text);
        text.ok_or_else(|| self.bad("must be text"))
    }

    fn is(&self, expected: &str) -> Result<(), BadField> {
        let text = self.text()?;
        let problem = || self.bad(format_args!("is not {expected}"));
        if text == expected { Ok(()) } else { Err(problem()) }
    }

    fn parsed<T: std::str::FromStr<Err: ToString>>(&self) -> Result<T, BadField> {
        self.text()?.parse().map_err(|error: T::Err| self.bad(error))
    }

    fn int(&self) -> Result<u64, BadField> {
        let int = match self.map.get(self.field) {
            Some(Value::Int(int)) => u64::try_from(*int).ok(),
            _ => None,
        };
        let int = int.filter(|int| (1..=limits::JSON_INT_MAX).contains(int));
        int.ok_or_else(|| self.bad("must be a whole number from 1"))
    }

    fn map(&self) -> Result<&'a Map, BadField> {
        match self.map.get(self.field) {
            Some(Value::Map(map)) => Ok(map),
            _ => Err(self.bad("must be an object")),
        }
    }
}

/// The keys of a root, by key id.
struct Keys {
    ed25519: BTreeMap<String, PublisherId>,
    /// PEM of P-256 keys.
    others: BTreeMap<String, String>,
}

fn keys(map: &Map) -> Result<Keys, BadField> {
    if map.len() > limits::PUBLISHER_KEYS_MAX {
        return Err(bad("keys", format_args!("has more than {}", limits::PUBLISHER_KEYS_MAX)));
    }
    let mut keys = Keys { ed25519: BTreeMap::new(), others: BTreeMap::new() };
    for (id, key) in map {
        // The id of 64 digits bounds what goes into messages.
        let place = format!("keys.{}", json::shortened(id));
        let Value::Map(object) = key else { return Err(bad(place, "must be an object")) };
        let fields = ["keytype", "keyval", "scheme"];
        let Some(Value::Map(value)) = object.get("keyval") else {
            return Err(bad(place, "must have a keyval"));
        };
        // With further fields one key would have several ids, and a threshold could be met by one key.
        if !object.keys().map(String::as_str).eq(fields) || !value.keys().eq(["public"]) {
            return Err(bad(place, "must have keytype, keyval.public and scheme, nothing else"));
        }
        if json::hex(&sha256(&form::signed_bytes(object))) != *id {
            return Err(bad(place, "is not the id of its key (sha256 of its canonical JSON)"));
        }
        let text = |map: &'_ Map, field| map.get(field).and_then(Value::as_text).map(str::to_owned);
        let kind = (text(object, "keytype"), text(object, "scheme"));
        let public = text(value, "public").unwrap_or_default();
        match (kind.0.as_deref(), kind.1.as_deref()) {
            (Some("ed25519"), Some("ed25519")) => {
                let bytes: [u8; 32] = json::parse_hex(&public)
                    .ok_or_else(|| bad(&place, "must have 64 digits of lower-case hex"))?;
                let key = PublisherId::from_bytes(&bytes)
                    .map_err(|error: did::Error| bad(&place, error))?;
                keys.ed25519.insert(id.clone(), key);
            }
            (Some("ecdsa"), Some("ecdsa-sha2-nistp256")) => {
                keys.others.insert(id.clone(), public);
            }
            _ => return Err(bad(place, "is neither ed25519 nor ecdsa-sha2-nistp256")),
        }
    }
    Ok(keys)
}

/// The key ids of a role, each known and once, and its threshold.
fn role<'a>(
    map: &'a Map,
    place: &str,
    known: impl Fn(&str) -> bool,
) -> Result<(Vec<&'a str>, usize), BadField> {
    let Some(Value::List(list)) = map.get("keyids") else {
        return Err(bad(format_args!("{place}.keyids"), "must be a list"));
    };
    let ids: Option<Vec<&str>> = list.iter().map(Value::as_text).collect();
    let ids = ids.filter(|ids| ids.iter().all(|id| known(id)));
    let Some(ids) = ids else {
        return Err(bad(format_args!("{place}.keyids"), "names a key that is not there for it"));
    };
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    if distinct.len() != ids.len() {
        return Err(bad(format_args!("{place}.keyids"), "names a key twice"));
    }
    let threshold = match map.get("threshold") {
        Some(Value::Int(int)) => usize::try_from(*int).ok().filter(|t| (1..=ids.len()).contains(t)),
        _ => None,
    };
    let threshold = threshold.ok_or_else(|| {
        bad(format_args!("{place}.threshold"), "must be from 1 to the number of its keys")
    })?;
    Ok((ids, threshold))
}

/// The object that TUF writes for an ed25519 key, and its id.
pub(super) fn key_object(key: &PublisherId) -> (String, Value) {
    let public = Map::from([("public".to_owned(), Value::Text(json::hex(key.as_bytes())))]);
    let object = Map::from([
        ("keytype".to_owned(), Value::from("ed25519")),
        ("keyval".to_owned(), Value::Map(public)),
        ("scheme".to_owned(), Value::from("ed25519")),
    ]);
    (json::hex(&sha256(&form::signed_bytes(&object))), Value::Map(object))
}
