//! From what was typed to what holds: flags over environment over `config.toml` over defaults, and where the home is.
//!
//! The one place that reads the environment and the config file.

use std::{env, fs, io, path::PathBuf};

use clap::ValueEnum as _;

use super::args::Global;
use crate::{
    config::{self, Config, Home, Layer},
    rpc::{Code, Failure},
};

/// What every command needs to know.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// Where the node's files are.
    pub home: Home,
    /// All settings, merged.
    pub config: Config,
    /// What was typed as flags, as layers: a running daemon must agree with them.
    pub flags: Vec<Layer>,
    /// How to print.
    pub output: Output,
    /// The file of the key that signs names, if it was given.
    pub names_key: Option<PathBuf>,
}

/// How to print.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Output {
    /// One JSON object instead of text.
    pub json: bool,
    /// With `json`: progress lines before it.
    pub progress: bool,
    /// No hints, no progress bars.
    pub quiet: bool,
    /// No colours.
    pub plain: bool,
    /// How much to log.
    pub verbose: u8,
}

/// Merges flags, environment and config file.
///
/// # Errors
/// Usage (2) for a setting that does not exist or is out of range, naming the flag, variable or file.
pub(super) fn resolve(global: &Global) -> Result<Context, Failure> {
    let home = home(global)?;
    let flags = flags(global)?;
    let mut layers = Vec::new();
    let path = home.config_file();
    match fs::read_to_string(&path) {
        Ok(text) => {
            layers.push(Layer::from_toml(path.display().to_string(), &text).map_err(usage)?)
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => {
            return Err(Failure::new(
                Code::Failure,
                format!("cannot read {}: {why}", path.display()),
            ));
        }
    }
    layers.extend(environment());
    layers.extend(flags.clone());
    Ok(Context {
        home,
        config: Config::from_layers(layers).map_err(usage)?,
        flags,
        output: Output {
            json: global.json,
            progress: global.progress,
            quiet: global.quiet,
            plain: global.no_color || env::var_os("NO_COLOR").is_some(),
            verbose: global.verbose,
        },
        names_key: None,
    })
}

fn usage(why: config::Error) -> Failure {
    Failure::new(Code::Usage, why.to_string())
        .hint(format!("settings are: {}", Config::names().join(", ")))
}

fn home(global: &Global) -> Result<Home, Failure> {
    let given = global.home.clone().or_else(|| {
        env::var_os("MODELSWARM_HOME").filter(|value| !value.is_empty()).map(PathBuf::from)
    });
    match given {
        Some(dir) => std::path::absolute(&dir).map(Home::single).map_err(|why| {
            Failure::new(Code::Usage, format!("cannot use {} as home: {why}", dir.display()))
        }),
        None => directories::ProjectDirs::from("", "", "modelswarm")
            .map(|dirs| Home::split(dirs.config_dir(), dirs.data_dir()))
            .ok_or_else(|| {
                Failure::new(Code::Usage, "no home folder: HOME is not set")
                    .hint("name one with --home DIR or MODELSWARM_HOME")
            }),
    }
}

fn environment() -> Vec<Layer> {
    let of = |variable: &str, name: &str| {
        env::var(variable).ok().map(|value| Layer::from_setting(variable, name, &value))
    };
    let mut layers: Vec<Layer> =
        Config::names().iter().filter_map(|name| of(&config::variable(name), name)).collect();
    layers.extend(of("MODELSWARM_NETWORK", "network.preset"));
    layers
}

fn flags(global: &Global) -> Result<Vec<Layer>, Failure> {
    let mut layers = Vec::new();
    for set in &global.set {
        let (name, value) = set.split_once('=').ok_or_else(|| {
            Failure::new(Code::Usage, format!("--set {set} lacks a value"))
                .hint("write --set key=value, e.g. --set store.inline_max=2097152")
        })?;
        layers.push(Layer::from_setting(format!("--set {set}"), name.trim(), value.trim()));
    }
    if let Some(preset) = global.network.and_then(|preset| preset.to_possible_value()) {
        layers.push(Layer::from_setting("--network", "network.preset", preset.get_name()));
    }
    let rates = [
        ("--max-up", "rates.max_up", global.max_up),
        ("--max-down", "rates.max_down", global.max_down),
        ("--peer-max-up", "rates.peer_max_up", global.peer_max_up),
        ("--peer-max-down", "rates.peer_max_down", global.peer_max_down),
    ];
    for (flag, name, rate) in rates {
        layers.extend(rate.map(|rate| Layer::from_setting(flag, name, &rate.to_string())));
    }
    if !global.bootstrap.is_empty() {
        layers.push(Layer::from_list("--bootstrap", "network.bootstrap", &global.bootstrap));
    }
    if !global.listen.is_empty() {
        layers.push(Layer::from_list("--listen", "network.listen", &global.listen));
    }
    Ok(layers)
}
