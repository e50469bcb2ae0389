//! From a draft to the bytes of a payload. What no reader would take is found by reading it, before it leaves [`super::sign`].

use super::{Body, Draft, EVAL, Error, Measured, SVR, Subject, TEST_RESULT};
use crate::card::did::PublisherId;
use crate::card::json::{self, Map, Value, hex};
use crate::card::statement::STATEMENT_TYPE;
use crate::dag::Cid;

pub(super) fn payload(draft: &Draft, endorser: &PublisherId) -> Result<Vec<u8>, Error> {
    let by = || object([("id", Value::Text(endorser.to_string()))]);
    let made_at = || Value::Text(draft.made_at.to_string());
    let (predicate_type, predicate) = match &draft.body {
        Body::Other => return Err(Error::Foreign("other".to_owned())),
        Body::Svr { properties } => {
            something(properties)?;
            let verifier = object([
                ("id", Value::Text(endorser.to_string())),
                // "MUST be present": none of ours are documents that could be named.
                ("policies", Value::List(Vec::new())),
            ]);
            let fields = [
                ("verifier", verifier),
                ("timeCreated", made_at()),
                ("properties", texts(properties)),
            ];
            (SVR, object(fields))
        }
        Body::TestResult { holds, tests } => {
            something(tests)?;
            let (passed, failed) =
                if *holds { (tests.as_slice(), &[][..]) } else { (&[][..], &tests[..]) };
            let fields = [
                ("result", result(*holds)),
                ("configuration", Value::List(Vec::new())),
                ("passedTests", texts(passed)),
                ("warnedTests", Value::List(Vec::new())),
                ("failedTests", texts(failed)),
            ];
            (TEST_RESULT, object(fields))
        }
        Body::Eval { holds, properties, results } => {
            if results.is_empty() {
                return Err(Error::field("predicate.results", "must not be empty"));
            }
            let fields = [
                ("evaluator", by()),
                ("timeCreated", made_at()),
                ("result", result(*holds)),
                ("results", Value::List(results.iter().map(measured).collect())),
                ("properties", texts(properties)),
            ];
            (EVAL, object(fields))
        }
    };
    let value = object([
        ("_type", STATEMENT_TYPE.into()),
        ("predicateType", predicate_type.into()),
        ("subject", Value::List(subjects(draft))),
        ("predicate", predicate),
    ]);
    Ok(json::encode(&value)?)
}

fn something(claimed: &[String]) -> Result<(), Error> {
    if claimed.is_empty() {
        return Err(Error::field("predicate", "must name at least one property"));
    }
    Ok(())
}

fn result(holds: bool) -> Value {
    if holds { "PASSED".into() } else { "FAILED".into() }
}

fn measured(one: &Measured) -> Value {
    let mut dataset = Map::from([("id".to_owned(), one.dataset.as_str().into())]);
    dataset.extend(one.task.iter().map(|task| ("task".to_owned(), task.as_str().into())));
    object([
        ("dataset", Value::Map(dataset)),
        ("metric", one.metric.as_str().into()),
        ("value", one.value.as_str().into()),
    ])
}

fn subjects(draft: &Draft) -> Vec<Value> {
    let first = |cid: &Cid| {
        let mut fields = vec![
            ("uri".to_owned(), uri(cid)),
            ("digest".to_owned(), object([("sha256", digest(cid.hash().digest()))])),
        ];
        fields.extend(annotations(draft).map(|value| ("annotations".to_owned(), value)));
        Value::Map(fields.into_iter().collect())
    };
    match &draft.subject {
        Subject::Root(root) => vec![first(root)],
        Subject::Card { card, root, name, tree } => {
            let digests =
                object([("sha256", digest(&tree.oms)), ("dirHash1", digest(&tree.dir_hash1))]);
            let tree =
                object([("name", name.as_str().into()), ("uri", uri(root)), ("digest", digests)]);
            vec![first(card), tree]
        }
    }
}

/// What the predicates have no field for. A test result has none for its time.
fn annotations(draft: &Draft) -> Option<Value> {
    let mut fields = Map::new();
    if matches!(draft.body, Body::TestResult { .. }) {
        fields.insert("createdAt".to_owned(), Value::Text(draft.made_at.to_string()));
    }
    if !draft.supersedes.is_empty() {
        let ids = draft.supersedes.iter().map(|id| Value::Text(id.to_string())).collect();
        fields.insert("supersedes".to_owned(), Value::List(ids));
    }
    fields.extend(draft.note.iter().map(|note| ("note".to_owned(), note.as_str().into())));
    (!fields.is_empty()).then_some(Value::Map(fields))
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn texts(texts: &[String]) -> Value {
    Value::List(texts.iter().map(|text| text.as_str().into()).collect())
}

fn uri(cid: &Cid) -> Value {
    Value::Text(format!("ipfs://{cid}"))
}

fn digest(digest: &[u8]) -> Value {
    Value::Text(hex(digest))
}
