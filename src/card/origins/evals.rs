//! One result of an evaluation, as its publisher reports it.

use serde::{Deserialize, Serialize};

use crate::card::json::{Map, Value};
use crate::dag::Cid;
use crate::limits;

use super::{Invalid, check_line, check_optional, object, put, take_card, take_text};

/// What was measured on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its name, mostly what the Hub calls it.
    pub id: String,
    /// The task of it.
    pub task_id: Option<String>,
    /// Which state of it.
    pub revision: Option<String>,
    /// Its card.
    pub card: Option<Cid>,
}

/// One result. It is nobody's word but the publisher's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Eval {
    /// On what.
    pub dataset: Dataset,
    /// Of what, such as `accuracy`.
    pub metric: Option<String>,
    /// The figure, as text: no two readers round it differently.
    pub value: String,
    /// When.
    pub date: Option<String>,
    /// Where it was reported first.
    pub source: Option<String>,
    /// How, in one line.
    pub notes: Option<String>,
}

impl Eval {
    /// Refuses what no reader would take.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let max = limits::ORIGIN_TEXT_MAX;
        let Dataset { id, task_id, revision, card: _ } = &self.dataset;
        check_line("dataset.id", id, max)?;
        check_optional("dataset.task_id", task_id.as_deref(), max)?;
        check_optional("dataset.revision", revision.as_deref(), max)?;
        check_optional("metric", self.metric.as_deref(), max)?;
        check_line("value", &self.value, max)?;
        check_optional("date", self.date.as_deref(), max)?;
        check_optional("source", self.source.as_deref(), limits::PUBLISHER_LINK_MAX)?;
        check_optional("notes", self.notes.as_deref(), limits::EVAL_NOTES_MAX)
    }
}

impl TryFrom<Value> for Eval {
    type Error = Invalid;

    fn try_from(value: Value) -> Result<Self, Invalid> {
        let mut map = object("evals", value)?;
        let missing = |field| move || Invalid::new(field, "is missing");
        let dataset = map.remove("dataset").ok_or_else(missing("dataset"))?;
        let mut dataset = object("dataset", dataset)?;
        let eval = Self {
            dataset: Dataset {
                id: take_text(&mut dataset, "id")?.ok_or_else(missing("dataset.id"))?,
                task_id: take_text(&mut dataset, "task_id")?,
                revision: take_text(&mut dataset, "revision")?,
                card: take_card(&mut dataset)?,
            },
            metric: take_text(&mut map, "metric")?,
            value: take_text(&mut map, "value")?.ok_or_else(missing("value"))?,
            date: take_text(&mut map, "date")?,
            source: take_text(&mut map, "source")?,
            notes: take_text(&mut map, "notes")?,
        };
        eval.check()?;
        Ok(eval)
    }
}

impl From<Eval> for Value {
    fn from(eval: Eval) -> Self {
        let mut dataset = Map::new();
        put(&mut dataset, "id", Some(eval.dataset.id));
        put(&mut dataset, "task_id", eval.dataset.task_id);
        put(&mut dataset, "revision", eval.dataset.revision);
        put(&mut dataset, "card", eval.dataset.card.map(|card| card.to_string()));
        let mut map = Map::from([("dataset".to_owned(), Self::Map(dataset))]);
        put(&mut map, "metric", eval.metric);
        put(&mut map, "value", Some(eval.value));
        put(&mut map, "date", eval.date);
        put(&mut map, "source", eval.source);
        put(&mut map, "notes", eval.notes);
        Self::Map(map)
    }
}
