//! Settings as plain values: their names, defaults, parsing and checks.
//!
//! No file and no environment variable is read here: `cli` reads them and hands over layers, the weakest first, which
//! [`Config::from_layers`] merges. A setting's name is its path (`store.inline_max`); its environment variable is
//! derived from it (`MODELSWARM_STORE_INLINE_MAX`), so there is no second list to keep.

pub mod gateway;
mod home;
pub mod network;
pub mod rates;
mod visibility;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use home::Home;
pub use visibility::{Audience, Visibility, allows};

use crate::limits;

/// All settings of a node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The user's own alias; empty if none was given.
    pub alias: String,
    /// How the node meets others.
    pub network: network::Settings,
    /// How much it may send and receive in a second.
    pub rates: rates::Rates,
    /// The index and its border.
    pub store: Store,
    /// What importing and fetching do unless told otherwise.
    pub seed: Seed,
    /// The local HTTP endpoint.
    pub gateway: gateway::Settings,
}

/// The index and its border.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Bytes up to which a block lies in sled itself. At [`limits::BLOCK_MAX`] everything does, and `seed` copies.
    pub inline_max: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self { inline_max: limits::STORE_INLINE_MAX as u64 }
    }
}

/// What importing and fetching do unless told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seed {
    /// Visibility of what is seeded here for the first time.
    pub visibility: Visibility,
    /// Visibility at which fetched content is served on.
    pub fetched: Visibility,
}

/// Why settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no TOML.
    #[error("{origin} is not valid TOML: {why}")]
    Syntax {
        /// The file, flag or variable.
        origin: String,
        /// The parser's words.
        why: String,
    },
    /// A name that is no setting, or a value of the wrong type.
    #[error("bad setting in {origin}: {why}")]
    Setting {
        /// The file, flag or variable.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// A value out of its range.
    #[error("{name} = {value} is refused: {why}")]
    Range {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would do.
        why: String,
    },
}

/// Some settings and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    origin: String,
    table: Table,
}

impl Layer {
    /// The file, flag or variable it comes from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The text of a `config.toml`.
    ///
    /// # Errors
    /// [`Error::Syntax`] if it is no TOML.
    pub fn from_toml(origin: impl Into<String>, text: &str) -> Result<Self, Error> {
        let origin = origin.into();
        match text.parse() {
            Ok(table) => Ok(Self { origin, table }),
            Err(why) => Err(Error::Syntax { origin, why: why.to_string() }),
        }
    }

    /// One setting as `--set key=value` and environment variables give it: the value is taken as TOML, else as text.
    pub fn from_setting(origin: impl Into<String>, name: &str, value: &str) -> Self {
        let value = format!("value = {value}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| Value::String(value.into()));
        Self::from_value(origin.into(), name, value)
    }

    /// A setting that is a list of texts, as a flag that may be given several times makes it.
    pub fn from_list(origin: impl Into<String>, name: &str, values: &[String]) -> Self {
        let values = values.iter().cloned().map(Value::String).collect();
        Self::from_value(origin.into(), name, Value::Array(values))
    }

    fn from_value(origin: String, name: &str, value: Value) -> Self {
        let mut parts: Vec<&str> = name.split('.').collect();
        let mut table = Table::new();
        table.insert(parts.pop().unwrap_or_default().into(), value);
        for part in parts.into_iter().rev() {
            table = Table::from_iter([(part.into(), Value::Table(table))]);
        }
        Self { origin, table }
    }
}

impl Config {
    /// Merges layers, the weakest first, over the defaults.
    ///
    /// # Errors
    /// [`Error::Setting`] for a name that is no setting or a value of the wrong type, naming the layer;
    /// [`Error::Range`] for a value out of its range.
    pub fn from_layers(layers: impl IntoIterator<Item = Layer>) -> Result<Self, Error> {
        let mut merged = Table::new();
        let mut config = Self::default();
        for layer in layers {
            merge(&mut merged, layer.table);
            config = Value::Table(merged.clone()).try_into().map_err(|why: toml::de::Error| {
                Error::Setting { origin: layer.origin, why: why.message().into() }
            })?;
        }
        config.check()?;
        Ok(config)
    }

    /// These settings with layers on top, to see whether the layers agree with them.
    ///
    /// # Errors
    /// As [`Config::from_layers`].
    pub fn with(&self, layers: impl IntoIterator<Item = Layer>) -> Result<Self, Error> {
        let own = Value::try_from(self).ok().and_then(|value| value.as_table().cloned());
        let own = Layer { origin: "the running daemon".into(), table: own.unwrap_or_default() };
        Self::from_layers([own].into_iter().chain(layers))
    }

    /// The path of every setting, `store.inline_max` and so on.
    pub fn names() -> Vec<String> {
        let mut names = Vec::new();
        if let Ok(Value::Table(table)) = Value::try_from(Self::default()) {
            collect_names("", &table, &mut names);
        }
        names
    }

    fn check(&self) -> Result<(), Error> {
        if self.store.inline_max > limits::BLOCK_MAX as u64 {
            return Err(Error::Range {
                name: "store.inline_max",
                value: self.store.inline_max.to_string(),
                why: format!(
                    "no block is larger than {}, and that value already keeps everything in sled",
                    limits::BLOCK_MAX
                ),
            });
        }
        let cache = &self.gateway.hf_cache;
        if !(cache.is_empty() || cache.starts_with('/') || cache.starts_with("~/")) {
            return Err(Error::Range {
                name: "gateway.hf_cache",
                value: cache.clone(),
                why: "a daemon has another working folder: begin it with / or ~/".into(),
            });
        }
        Ok(())
    }
}

/// The environment variable of a setting.
pub fn variable(name: &str) -> String {
    format!("MODELSWARM_{}", name.replace('.', "_").to_uppercase())
}

fn merge(into: &mut Table, from: Table) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => merge(inner, value),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

fn collect_names(prefix: &str, table: &Table, names: &mut Vec<String>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => collect_names(&path, inner, names),
            _ => names.push(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_layer_wins_and_leaves_its_neighbours_alone() {
        let file =
            Layer::from_toml("config.toml", "[store]\ninline_max = 1\n[gateway]\nhttp = 'off'");
        let set = Layer::from_setting("--set", "store.inline_max", "2");
        let config = Config::from_layers([file.expect("toml"), set]).expect("valid");
        assert_eq!(config.store.inline_max, 2);
        assert_eq!(config.gateway.http, "off");
    }

    #[test]
    fn text_needs_no_quotes_in_a_single_setting() {
        let set = Layer::from_setting("--set", "seed.visibility", "public");
        let config = Config::from_layers([set]).expect("valid");
        assert_eq!(config.seed.visibility, Visibility::Public);
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_origin() {
        let set = Layer::from_setting("--set", "store.inlinemax", "2");
        let error = Config::from_layers([set]).expect_err("no such setting").to_string();
        assert!(error.contains("--set") && error.contains("inlinemax"), "{error}");
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_name() {
        let set = Layer::from_setting("--set", "store.inline_max", "3000000");
        let error = Config::from_layers([set]).expect_err("too large").to_string();
        assert!(error.contains("store.inline_max"), "{error}");
    }

    #[test]
    fn a_folder_that_depends_on_where_one_stands_is_refused() {
        let set =
            |value| Config::from_layers([Layer::from_setting("x", "gateway.hf_cache", value)]);
        for (value, is_one) in
            [("", true), ("/c", true), ("~/c", true), ("c", false), ("~c", false)]
        {
            assert_eq!(set(value).is_ok(), is_one, "{value:?}");
        }
    }

    #[test]
    fn every_setting_has_a_variable() {
        assert!(Config::names().contains(&"store.inline_max".into()));
        assert_eq!(variable("store.inline_max"), "MODELSWARM_STORE_INLINE_MAX");
    }
}
