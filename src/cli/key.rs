//! `key …`: which key signs your cards, and where it is. No node is needed; a running daemon is told to be stopped first,
//! since it holds the key that it started with.

use std::path::{Path, PathBuf};

use super::{
    args::KeyAction,
    converse,
    output::{Screen, count, print_text},
    resolve::Context,
    sign,
};
use crate::{
    card::PublisherId,
    dag::name::escape,
    library::keys::{self, Elsewhere},
    rpc::{AgentKey, AgentKeys, Answer, Code, Failure, KeyHeld, KeyShown},
};

/// Does it here and now.
pub(super) fn run(context: &Context, action: KeyAction) -> Result<Answer, Failure> {
    let home = &context.home;
    Ok(match action {
        KeyAction::Show => Answer::KeyShown(keys::shown(home)?),
        KeyAction::New { file } => Answer::KeyMade(keys::make_file(&absolute(&file)?)?),
        KeyAction::List => Answer::AgentKeys(list()?),
        KeyAction::ExportPem { .. } => Answer::KeyExported(keys::export(home)?),
        KeyAction::Import { file } => {
            converse::refuse_daemon(context)?;
            Answer::KeyShown(keys::import(home, &sign::read_key(&file)?)?)
        }
        KeyAction::Use { place, key } => {
            converse::refuse_daemon(context)?;
            Answer::KeyShown(match (place.to_str(), key) {
                (Some("home"), None) => keys::use_home(home)?,
                (Some("agent"), key) => {
                    keys::point_to(home, &Elsewhere { id: agent_key(key.as_deref())?, file: None })?
                }
                (_, None) => {
                    let file = absolute(&place)?;
                    let key = sign::read_key(&file)?;
                    let id = PublisherId::try_from(&key.verifying_key()).map_err(|why| {
                        Failure::new(Code::Failure, format!("{}: {why}", file.display()))
                    })?;
                    keys::point_to(home, &Elsewhere { id, file: Some(file) })?
                }
                (_, Some(_)) => {
                    return Err(Failure::new(Code::Usage, "--key chooses among the agent's keys")
                        .hint("modelswarm key use agent --key DID"));
                }
            })
        }
    })
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|why| {
        Failure::new(Code::Usage, format!("cannot use {} as a path: {why}", path.display()))
    })
}

fn list() -> Result<AgentKeys, Failure> {
    let held = sign::agent_keys()?;
    let line = |held: crate::card::keyfile::agent::Held| AgentKey {
        key: held.key.to_string(),
        comment: escape(&held.comment).to_string(),
    };
    Ok(AgentKeys { keys: held.keys.into_iter().map(line).collect(), others: held.others as u64 })
}

/// The agent's key that is meant.
fn agent_key(asked: Option<&str>) -> Result<PublisherId, Failure> {
    let held = sign::agent_keys()?.keys;
    let asked = asked
        .map(str::parse::<PublisherId>)
        .transpose()
        .map_err(|why| Failure::new(Code::Usage, format!("--key: {why}")))?;
    match (asked, held.as_slice()) {
        (Some(asked), held) if held.iter().any(|one| one.key == asked) => Ok(asked),
        (Some(asked), _) => {
            Err(Failure::new(Code::NotFound, format!("{asked} is not in the ssh-agent"))
                .hint("modelswarm key list; ssh-add FILE"))
        }
        (None, [one]) => Ok(one.key),
        (None, []) => Err(Failure::new(Code::NotFound, "the ssh-agent holds no ed25519 key")
            .hint("ssh-add FILE; such a key is made by ssh-keygen -t ed25519")),
        (None, _) => {
            Err(Failure::new(Code::Usage, "the ssh-agent holds several keys that can sign")
                .hint("choose one: modelswarm key use agent --key DID; modelswarm key list"))
        }
    }
}

pub(super) fn print_shown(answer: &KeyShown, screen: &Screen) {
    let place = match (answer.held, &answer.file) {
        (KeyHeld::Home, Some(file)) => format!("in {}; the daemon signs with it", file.display()),
        (KeyHeld::File, Some(file)) => {
            format!("in {}; commands sign with it, the daemon never sees it", file.display())
        }
        _ => "in the ssh-agent; commands sign with it, the daemon never sees it".to_owned(),
    };
    let mut text = format!("  key        {}\n  as IPNS    {}\n", answer.key, answer.name);
    if answer.publisher != answer.key {
        text += &format!("  publishes  {}\n", answer.publisher);
    }
    text += &format!("  {}\n", escape(&place));
    print_text(&text);
    if let Some(aside) = &answer.aside {
        screen.hint(&format!("the key before lies in {}", escape(&aside.display().to_string())));
    }
    if answer.held != KeyHeld::Home {
        screen.hint("a daemon can't renew its records of names without the key: run modelswarm name publish within a fortnight");
    }
}

pub(super) fn print_agent(answer: &AgentKeys, screen: &Screen) {
    let lines: String =
        answer.keys.iter().map(|one| format!("  {}  {}\n", one.key, one.comment)).collect();
    print_text(&lines);
    if answer.others > 0 {
        screen.hint(&format!(
            "{} more in the agent can't sign cards: only ed25519 keys in software can",
            count(answer.others, "key")
        ));
    }
}
