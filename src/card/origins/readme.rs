//! What of a version's origins and results its README's front matter says (provenance section 4).
//!
//! `base_model` (one or several) by `base_model_relation`. Without the latter: `merge` if there are several, `adapter`
//! if `library_name` is `peft`, else `finetune`, which is what the Hub infers of a front matter alone. `datasets`:
//! `trainedOn`. `model-index`, and lists of results of their own (`.eval_results/*.yaml`): results. What does not fit
//! is left out and said; the metadata states it all the same.

use std::collections::BTreeSet;

use crate::card::identity::Identity;
use crate::card::json::{self, Map, Value};
use crate::card::reference::{Publisher, Reference, Target};
use crate::dag::name::escape;
use crate::limits;

use super::{Dataset, Eval, HubId, Origin, Relation};

/// What a front matter says that a version was made from. Which card that is, only a library can say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// How.
    pub relation: Relation,
    /// What, as written: a repo of the Hub, `PUBLISHER/NAME`, or a card's id.
    pub text: String,
}

impl Source {
    /// Whether an entry of a card was made from this.
    pub fn made(&self, origin: &Origin) -> bool {
        let is = |text: Option<String>| text.is_some_and(|text| text == self.text);
        let publishers = || match self.text.parse::<Reference>() {
            Ok(Reference { target: Target::Repo { publisher: Publisher::Id(id), .. }, .. }) => {
                origin.hub.is_none() && origin.publisher == Some(Identity::from(&id))
            }
            _ => false,
        };
        origin.relation == self.relation
            && (is(origin.hub.as_ref().map(|hub| hub.as_str().to_owned()))
                || is(origin.card.map(|card| card.to_string()))
                || publishers())
    }
}

/// What it was made from, and what of that is left out.
pub fn sources(metadata: &Map) -> (Vec<Source>, Vec<String>) {
    let mut left_out = Vec::new();
    let bases = texts(metadata, "base_model", &mut left_out);
    let datasets = texts(metadata, "datasets", &mut left_out);
    let relation = relation(metadata, bases.len(), &mut left_out);
    let all = bases.into_iter().map(|text| Source { relation, text });
    let all =
        all.chain(datasets.into_iter().map(|text| Source { relation: Relation::TrainedOn, text }));
    let mut seen = BTreeSet::new();
    let mut sources = Vec::new();
    for source in all.filter(|source| seen.insert(source.clone())) {
        if source.text.parse::<HubId>().is_err() && !is_ours(&source.text) {
            left_out.push(format!("\"{}\" is no repo's name", escape(&source.text)));
        } else if sources.len() == limits::LINEAGE_MAX {
            left_out.push(format!("base models and datasets above {}", limits::LINEAGE_MAX));
            break;
        } else {
            sources.push(source);
        }
    }
    left_out.truncate(limits::FETCH_WARNINGS);
    (sources, left_out)
}

/// Whether a text names a card or a publisher's repo.
fn is_ours(text: &str) -> bool {
    let target = text.parse::<Reference>().ok().filter(|reference| reference.path.is_none());
    matches!(
        target.map(|reference| reference.target),
        Some(Target::Card(_) | Target::Repo { publisher: Publisher::Id(_), .. })
    )
}

fn relation(metadata: &Map, bases: usize, left_out: &mut Vec<String>) -> Relation {
    let stated = metadata.get("base_model_relation").and_then(Value::as_text);
    let library = metadata.get("library_name").and_then(Value::as_text);
    match stated.map(str::parse::<Relation>) {
        Some(Ok(relation)) if relation != Relation::TrainedOn => return relation,
        Some(_) => left_out.push("base_model_relation, which is none that cards state".into()),
        None => {}
    }
    match (bases, library) {
        (2.., _) => Relation::Merge,
        (_, Some("peft")) => Relation::Adapter,
        _ => Relation::Finetune,
    }
}

/// A text or a list of texts.
fn texts(metadata: &Map, field: &str, left_out: &mut Vec<String>) -> Vec<String> {
    let list = match metadata.get(field) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::List(list)) => list.as_slice(),
        Some(value) => std::slice::from_ref(value),
    };
    let texts: Vec<String> = list.iter().filter_map(Value::as_text).map(str::to_owned).collect();
    if texts.len() < list.len() {
        left_out.push(format!("{field}: what is no text"));
    }
    texts
}

/// Results, as many as a card takes, and what is left out.
#[derive(Debug, Default)]
pub struct Results {
    evals: Vec<Eval>,
    bytes: usize,
    unfit: usize,
    above: usize,
}

impl Results {
    /// Those of a front matter's `model-index`.
    pub fn add_model_index(&mut self, metadata: &Map) {
        for model in list(metadata.get("model-index")) {
            for result in list(field(model, "results")) {
                for metric in list(field(result, "metrics")) {
                    self.add(indexed(result, metric));
                }
            }
        }
    }

    /// Those of a file of `.eval_results`, as the Hub reads it.
    pub fn add_list(&mut self, results: &[Value]) {
        results.iter().for_each(|result| self.add(listed(result)));
    }

    fn add(&mut self, eval: Option<Eval>) {
        let Some(eval) = eval.filter(|eval| eval.check().is_ok()) else {
            self.unfit += 1;
            return;
        };
        let bytes = json::encode(&eval.clone().into()).map_or(usize::MAX, |json| json.len());
        let bytes = self.bytes.saturating_add(bytes);
        if self.evals.len() == limits::EVALS_MAX || bytes > limits::EVALS_BYTES_MAX {
            self.above += 1;
        } else {
            self.bytes = bytes;
            self.evals.push(eval);
        }
    }

    /// The results that fit, and a line for each sort of those that do not.
    pub fn finish(self) -> (Vec<Eval>, Vec<String>) {
        let said = [
            (self.unfit, "without a dataset, or without a figure of one line"),
            (self.above, "above what a card takes"),
        ];
        let said = said.into_iter().filter(|(count, _)| *count > 0);
        (self.evals, said.map(|(count, why)| format!("{count} results {why}")).collect())
    }
}

/// A result of `model-index`: every metric is one.
fn indexed(result: &Value, metric: &Value) -> Option<Eval> {
    let dataset = field(result, "dataset");
    let of = |name: &str| line(dataset.and_then(|dataset| field(dataset, name)));
    let task = field(result, "task").and_then(|task| line(field(task, "type")));
    let parts = [("config", of("config")), ("split", of("split"))];
    let parts = parts.into_iter().filter_map(|(name, part)| Some(format!("{name} {}", part?)));
    let notes = parts.collect::<Vec<_>>().join(", ");
    let source = field(result, "source");
    Some(Eval {
        dataset: Dataset {
            id: of("type").or_else(|| of("name"))?,
            task_id: task,
            revision: of("revision"),
            card: None,
        },
        metric: line(field(metric, "type")).or_else(|| line(field(metric, "name"))),
        value: line(field(metric, "value"))?,
        date: None,
        source: source
            .and_then(|source| line(field(source, "url")).or_else(|| line(field(source, "name")))),
        notes: (!notes.is_empty()).then_some(notes),
    })
}

/// A result of `.eval_results`.
fn listed(result: &Value) -> Option<Eval> {
    let dataset = field(result, "dataset")?;
    let source = field(result, "source");
    Some(Eval {
        dataset: Dataset {
            id: line(field(dataset, "id"))?,
            task_id: line(field(dataset, "task_id")),
            revision: line(field(dataset, "revision")),
            card: None,
        },
        metric: line(field(result, "metric")),
        value: line(field(result, "value"))?,
        date: line(field(result, "date")),
        source: source
            .and_then(|source| line(field(source, "url")).or_else(|| line(field(source, "name")))),
        notes: line(field(result, "notes")),
    })
}

fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Map(map) => map.get(name),
        _ => None,
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::List(list)) => list,
        _ => &[],
    }
}

/// A text or a number as one line: runs of white space and controls are one space.
fn line(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::Text(text) => text.clone(),
        Value::Int(int) => int.to_string(),
        _ => return None,
    };
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
