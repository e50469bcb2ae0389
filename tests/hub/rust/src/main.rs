//! One call of the Rust client per run: prints what it gave, or how it failed.

use std::{env, path::PathBuf, process::ExitCode};

use hf_hub::{
    HFClientSync, HFError, HFRepositorySync, HFResult,
    repository::{AddSource, RepoType},
    split_id,
};

const USAGE: &str =
    "hub-rust models|datasets REPO exists [FILE] | download FILE | snapshot | upload FILE PATH";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [kind, id, call @ ..] = &arguments[..] else { panic!("{USAGE}") };
    let (owner, name) = split_id(id);
    let client = HFClientSync::new().expect("a client");
    let answer = match *kind {
        "models" => ask(&client.model(owner, name), call),
        "datasets" => ask(&client.dataset(owner, name), call),
        _ => panic!("{USAGE}"),
    };
    match answer {
        Ok(said) => println!("{said}"),
        Err(why) => {
            println!("{}", variant(&why));
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn ask<T: RepoType>(repo: &HFRepositorySync<T>, call: &[&str]) -> HFResult<String> {
    match call {
        ["download", file] => {
            repo.download_file().filename(*file).send().map(|path| path.display().to_string())
        }
        ["snapshot"] => repo.snapshot_download().send().map(|path| path.display().to_string()),
        ["exists"] => repo.exists().send().map(|yes| yes.to_string()),
        ["exists", file] => repo.file_exists().filename(*file).send().map(|yes| yes.to_string()),
        ["upload", file, path] => {
            let source = AddSource::File(PathBuf::from(file));
            let commit = repo.upload_file().source(source).path_in_repo(*path).send()?;
            Ok(commit.commit_oid.unwrap_or_default())
        }
        _ => panic!("{USAGE}"),
    }
}

fn variant(why: &HFError) -> &'static str {
    match why {
        HFError::RepoNotFound { .. } => "RepoNotFound",
        HFError::RevisionNotFound { .. } => "RevisionNotFound",
        HFError::EntryNotFound { .. } => "EntryNotFound",
        HFError::AuthRequired { .. } => "AuthRequired",
        HFError::Forbidden { .. } => "Forbidden",
        _ => "other",
    }
}
