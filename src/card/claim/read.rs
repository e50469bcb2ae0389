//! From a payload whose signature holds to what it says.

use super::{Body, EVAL, Error, Measured, SVR, Said, Subject, TEST_RESULT};
use crate::card::did::PublisherId;
use crate::card::json::{self, Value, shortened};
use crate::card::manifest::TreeDigests;
use crate::card::statement::fields::Fields;
use crate::card::statement::{PREDICATE_TYPE, STATEMENT_TYPE, Timestamp};
use crate::dag::Cid;
use crate::dag::block::{DAG_JSON, DAG_PB, RAW, SHA2_256};
use crate::limits;

/// The SVR before [`SVR`], whose fields are those of it but one that is not read here.
const SVR_0_1: &str = "https://in-toto.io/attestation/svr/v0.1";

/// Other predicates that have a short name here, in all of their versions.
const KNOWN: [(&str, &str); 5] = [
    ("https://slsa.dev/provenance", "slsa-provenance"),
    ("https://cyclonedx.org/bom", "cyclonedx"),
    ("https://spdx.dev/Document", "spdx"),
    ("https://in-toto.io/attestation/vulns", "vulns"),
    ("https://in-toto.io/attestation/release", "release"),
];

/// Fields that are not known are passed over, as in-toto asks: a claim is never written anew.
pub(super) fn payload(payload: &[u8], signer: &PublisherId) -> Result<Said, Error> {
    let value = json::decode(payload, limits::CLAIM_PAYLOAD_MAX)?;
    let mut top = Fields::new("", value)?;
    top.exactly("_type", STATEMENT_TYPE)?;
    let predicate_type = line(&mut top, "predicateType")?;
    if predicate_type == PREDICATE_TYPE {
        return Err(Error::Card);
    }
    // A bare word could be taken for one of the short names.
    if !predicate_type.contains(':') {
        return Err(Error::field("predicateType", "must be a URI"));
    }
    let subjects = top.list("subject")?;
    let (subject, about) = subject(subjects)?;
    let mut predicate = top.object("predicate")?;
    let mut said = Said {
        kind: kind(&predicate_type),
        subject,
        body: Body::Other,
        made_at: about.made_at,
        supersedes: about.supersedes,
        note: about.note,
    };
    match predicate_type.as_str() {
        SVR | SVR_0_1 => {
            stated_by(&mut predicate, "verifier", signer)?;
            said.made_at = Some(predicate.parsed("timeCreated")?);
            said.body = Body::Svr { properties: lines(&mut predicate, "properties")? };
        }
        TEST_RESULT => said.body = test_result(&mut predicate)?,
        EVAL => {
            stated_by(&mut predicate, "evaluator", signer)?;
            said.made_at = Some(predicate.parsed("timeCreated")?);
            said.body = eval(&mut predicate)?;
        }
        _ => {}
    }
    Ok(said)
}

/// What a kind is called.
fn kind(predicate_type: &str) -> String {
    let known = |(uri, name): &(&str, &str)| {
        let version = predicate_type.strip_prefix(uri)?;
        (version.is_empty() || version.starts_with("/v")).then(|| (*name).to_owned())
    };
    match predicate_type {
        SVR | SVR_0_1 => "svr".to_owned(),
        TEST_RESULT => "test-result".to_owned(),
        EVAL => "eval".to_owned(),
        other => KNOWN.iter().find_map(known).unwrap_or_else(|| other.to_owned()),
    }
}

fn test_result(predicate: &mut Fields) -> Result<Body, Error> {
    let result = predicate.text("result")?;
    predicate.list("configuration")?;
    let passed = lines(predicate, "passedTests")?;
    let failed = lines(predicate, "failedTests")?;
    lines(predicate, "warnedTests")?;
    match result.as_str() {
        "PASSED" | "WARNED" if !failed.is_empty() => {
            Err(Error::field("predicate.failedTests", format_args!("contradicts {result}")))
        }
        "PASSED" | "WARNED" => Ok(Body::TestResult { holds: true, tests: passed }),
        "FAILED" => Ok(Body::TestResult { holds: false, tests: failed }),
        _ => Err(Error::field("predicate.result", "must be PASSED, WARNED or FAILED")),
    }
}

fn eval(predicate: &mut Fields) -> Result<Body, Error> {
    let holds = match predicate.text("result")?.as_str() {
        "PASSED" => true,
        "FAILED" => false,
        _ => return Err(Error::field("predicate.result", "must be PASSED or FAILED")),
    };
    let results = predicate.list("results")?;
    within("predicate.results", results.len(), limits::CLAIM_ENTRIES_MAX)?;
    let measured = results.into_iter().enumerate().map(|(at, value)| {
        let mut result = Fields::new(format!("predicate.results[{at}]"), value)?;
        let mut dataset = result.object("dataset")?;
        let value = line(&mut result, "value")?;
        if !is_decimal(&value) {
            return Err(Error::field(result.at("value"), "must be a decimal number as text"));
        }
        Ok(Measured {
            dataset: line(&mut dataset, "id")?,
            task: optional_line(&mut dataset, "task")?,
            metric: line(&mut result, "metric")?,
            value,
        })
    });
    let results = measured.collect::<Result<Vec<Measured>, Error>>()?;
    Ok(Body::Eval { holds, properties: lines(predicate, "properties")?, results })
}

/// Digits with at most a sign, a point and an exponent.
fn is_decimal(text: &str) -> bool {
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    text.len() <= limits::CLAIM_VALUE_MAX
        && all_digits(whole.strip_prefix('-').unwrap_or(whole))
        && all_digits(part)
        && all_digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))
}

/// Whoever signs verified it: a key that the predicate names must be the signer's. Other URIs are the signer's own words.
fn stated_by(predicate: &mut Fields, field: &str, signer: &PublisherId) -> Result<(), Error> {
    let stated = predicate.object(field)?.text("id")?;
    if stated.starts_with("did:key:") && stated != signer.to_string() {
        return Err(Error::OtherEndorser { stated: shortened(&stated), signer: *signer });
    }
    Ok(())
}

/// What stands in the annotations of the first subject.
struct About {
    made_at: Option<Timestamp>,
    supersedes: Vec<Cid>,
    note: Option<String>,
}

fn subject(subjects: Vec<Value>) -> Result<(Subject, About), Error> {
    let mut subjects = subjects.into_iter();
    match (subjects.next(), subjects.next(), subjects.next()) {
        (Some(tree), None, None) => {
            let mut fields = Fields::new("subject[0]", tree)?;
            let root = fields.uri("uri")?;
            block(&mut fields, &root, &[DAG_PB, RAW])?;
            Ok((Subject::Root(root), about(&mut fields)?))
        }
        (Some(card), Some(tree), None) => {
            let mut fields = Fields::new("subject[0]", card)?;
            let card = fields.uri("uri")?;
            block(&mut fields, &card, &[DAG_JSON])?;
            let about = about(&mut fields)?;
            let mut fields = Fields::new("subject[1]", tree)?;
            let root = fields.uri("uri")?;
            sha2_256(&fields, &root, &[DAG_PB, RAW])?;
            let name = fields.parsed("name")?;
            let mut digest = fields.object("digest")?;
            let (oms, dir_hash1) = (digest.digest("sha256")?, digest.digest("dirHash1")?);
            let tree = TreeDigests { oms, dir_hash1 };
            Ok((Subject::Card { card, root, name, tree }, about))
        }
        _ => Err(Error::field("subject", "must be a card and its tree, or a tree")),
    }
}

/// That a subject's digest is that of the block that its CID names.
fn block(fields: &mut Fields, cid: &Cid, codecs: &[u64]) -> Result<(), Error> {
    sha2_256(fields, cid, codecs)?;
    let mut digest = fields.object("digest")?;
    if digest.digest("sha256")? == cid.hash().digest() {
        return Ok(());
    }
    Err(Error::field(digest.at("sha256"), "is not the digest in its uri"))
}

fn sha2_256(fields: &Fields, cid: &Cid, codecs: &[u64]) -> Result<(), Error> {
    let known = cid.version() == cid::Version::V1
        && cid.hash().code() == SHA2_256
        && cid.hash().digest().len() == 32
        && codecs.contains(&cid.codec());
    if known {
        Ok(())
    } else {
        Err(Error::field(fields.at("uri"), "is not of the kind it should be"))
    }
}

fn about(subject: &mut Fields) -> Result<About, Error> {
    let Some(annotations) = subject.optional("annotations") else {
        return Ok(About { made_at: None, supersedes: Vec::new(), note: None });
    };
    let mut fields = Fields::new(subject.at("annotations"), annotations)?;
    let made_at = match fields.optional("createdAt") {
        None => None,
        Some(value) => {
            let text = value.as_text().unwrap_or_default();
            Some(text.parse().map_err(|error| Error::field(fields.at("createdAt"), error))?)
        }
    };
    let supersedes = fields.list("supersedes")?;
    within("annotations.supersedes", supersedes.len(), limits::CLAIM_SUPERSEDES_MAX)?;
    let id = |value: &Value| {
        let cid = value.as_text().and_then(json::parse_cid);
        cid.filter(|cid| cid.codec() == DAG_JSON)
            .ok_or_else(|| Error::field(fields.at("supersedes"), "must be a list of claim ids"))
    };
    let supersedes = supersedes.iter().map(id).collect::<Result<_, _>>()?;
    Ok(About { made_at, supersedes, note: optional_line(&mut fields, "note")? })
}

fn line(fields: &mut Fields, key: &str) -> Result<String, Error> {
    let text = fields.text(key)?;
    if is_line(&text) { Ok(text) } else { Err(Error::field(fields.at(key), NOT_A_LINE)) }
}

fn optional_line(fields: &mut Fields, key: &str) -> Result<Option<String>, Error> {
    match fields.optional(key) {
        None => Ok(None),
        Some(Value::Text(text)) if is_line(&text) => Ok(Some(text)),
        Some(_) => Err(Error::field(fields.at(key), NOT_A_LINE)),
    }
}

fn lines(fields: &mut Fields, key: &str) -> Result<Vec<String>, Error> {
    let list = fields.list(key)?;
    within(&fields.at(key), list.len(), limits::CLAIM_ENTRIES_MAX)?;
    let line = |value| match value {
        Value::Text(text) if is_line(&text) => Ok(text),
        _ => Err(Error::field(fields.at(key), "must be a list of single lines")),
    };
    list.into_iter().map(line).collect()
}

const NOT_A_LINE: &str = "must be one line of at most 512 bytes";

fn is_line(text: &str) -> bool {
    !text.is_empty() && text.len() <= limits::CLAIM_TEXT_MAX && !text.chars().any(char::is_control)
}

fn within(field: &str, len: usize, max: usize) -> Result<(), Error> {
    if len <= max {
        Ok(())
    } else {
        Err(Error::field(field, format_args!("has more than {max} entries")))
    }
}
