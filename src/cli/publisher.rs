//! `publisher …`: a lab's roots, drafted, signed by those who hold root keys, and used.

use std::{collections::BTreeSet, path::Path, time::SystemTime};

use ed25519_dalek::Signer as _;

use super::{
    args::{EditArgs, PublisherAction, PublisherInitArgs, RoleArg},
    converse,
    output::{Screen, print_text},
    resolve::Context,
    sign,
};
use crate::{
    card::{
        PublisherId, keyfile,
        reference::is_path,
        statement::Timestamp,
        tuf::{Content, Draft, Role},
    },
    dag::name::escape,
    library::{
        keys,
        publisher::{self, Document},
    },
    rpc::{Answer, Code, Failure, PublisherShown, Request, RoleShown},
};

/// Does it here and now, all but what [`request`] asks a node.
pub(super) fn run(context: &Context, action: &PublisherAction) -> Result<Answer, Failure> {
    let shown = match action {
        PublisherAction::Init(args) => {
            publisher::init(&args.file, first(args)?)?.write(&args.file)?
        }
        PublisherAction::Show { lab } => {
            let file = Path::new(lab);
            PublisherShown { file: Some(file.to_owned()), ..Document::read(file)?.shown()? }
        }
        PublisherAction::AddKey(args) => edit(args, |keys, key| {
            keys.insert(key);
            Ok(())
        })?,
        PublisherAction::RemoveKey(args) => edit(args, |keys, key| {
            let had = keys.remove(&key);
            had.then_some(()).ok_or_else(|| {
                Failure::new(Code::NotFound, format!("{key} is none of them"))
                    .hint(format!("modelswarm publisher show {}", args.file.display()))
            })
        })?,
        PublisherAction::Rotate { file, old, new } => {
            let (old, new) = (public(old)?, public(new)?);
            changed(file, |content| rotate(content, &old, new))?
        }
        PublisherAction::Renew { file, expires_in, name, link, announce } => {
            let announce = announce.as_deref().map(public).transpose()?;
            let expires = end(*expires_in)?;
            changed(file, |content| {
                content.expires = expires;
                content.name = name.clone().unwrap_or_else(|| content.name.clone());
                content.announce = announce.unwrap_or(content.announce);
                if !link.is_empty() {
                    content.links.clone_from(link);
                }
                Ok(())
            })?
        }
        PublisherAction::Sign { file, key, agent } => {
            let document = Document::read(file)?;
            document
                .signed(file, |draft| signature(draft, key.as_deref(), agent.as_deref()))?
                .write(file)?
        }
        PublisherAction::Merge { file, copy } => {
            Document::read(file)?.merged(file, Document::read(copy)?, copy)?.write(file)?
        }
        PublisherAction::Use { file } => {
            converse::refuse_daemon(context)?;
            let lab = Document::read(file)?.complete(file)?;
            return Ok(Answer::KeyShown(keys::join(&context.home, &lab)?));
        }
        PublisherAction::Leave => {
            converse::refuse_daemon(context)?;
            return Ok(Answer::KeyShown(keys::leave(&context.home)?));
        }
    };
    Ok(Answer::PublisherShown(shown))
}

/// What a node is asked: to show a lab that is named by its id or an alias.
pub(super) fn request(action: &PublisherAction) -> Option<Request> {
    let PublisherAction::Show { lab } = action else { return None };
    let is_file = is_path(lab) || Path::new(lab).is_file();
    (!is_file).then(|| Request::PublisherShow { publisher: lab.clone() })
}

fn first(args: &PublisherInitArgs) -> Result<Content, Failure> {
    let keys = |texts: &[String]| {
        texts.iter().map(|text| public(text)).collect::<Result<BTreeSet<_>, _>>()
    };
    let (signers, cards) = (keys(&args.root_key)?, keys(&args.card_key)?);
    let announce = match &args.announce {
        Some(text) => public(text)?,
        None => public(&args.card_key[0])?,
    };
    Ok(Content {
        name: args.name.clone(),
        links: args.link.clone(),
        announce,
        expires: end(args.expires_in)?,
        signers: Role { threshold: args.threshold.unwrap_or(signers.len() / 2 + 1), keys: signers },
        // A card carries one signature, so one key is enough.
        cards: Role { threshold: 1, keys: cards },
    })
}

fn edit(
    args: &EditArgs,
    change: impl FnOnce(&mut BTreeSet<PublisherId>, PublisherId) -> Result<(), Failure>,
) -> Result<PublisherShown, Failure> {
    let key = public(&args.key)?;
    changed(&args.file, |content| {
        let role = match args.role {
            RoleArg::Root => &mut content.signers,
            RoleArg::Card => &mut content.cards,
        };
        change(&mut role.keys, key)?;
        if let Some(threshold) = args.threshold {
            content.signers.threshold = threshold;
        }
        Ok(())
    })
}

fn rotate(content: &mut Content, old: &PublisherId, new: PublisherId) -> Result<(), Failure> {
    let mut found = content.announce == *old;
    if found {
        content.announce = new;
    }
    for role in [&mut content.signers, &mut content.cards] {
        if role.keys.remove(old) {
            found = true;
            role.keys.insert(new);
        }
    }
    found
        .then_some(())
        .ok_or_else(|| Failure::new(Code::NotFound, format!("{old} is no key of this publisher")))
}

/// Writes the next root, or the draft anew, with a change made. Whoever changes a root looks at its keys: that renews it.
fn changed(
    file: &Path,
    change: impl FnOnce(&mut Content) -> Result<(), Failure>,
) -> Result<PublisherShown, Failure> {
    let expires = end(365)?;
    let renewed = |content: &mut Content| {
        content.expires = content.expires.max(expires);
        change(content)
    };
    Document::read(file)?.edit(file, renewed)?.write(file)
}

/// A public key as typed, or in a file.
fn public(text: &str) -> Result<PublisherId, Failure> {
    let path = Path::new(text);
    let read = if path.is_file() {
        String::from_utf8_lossy(&sign::read_small(path)?).into_owned()
    } else {
        text.to_owned()
    };
    keyfile::public(&read).map_err(|why| Failure::new(Code::Usage, format!("{text}: {why}")))
}

fn end(days: u32) -> Result<Timestamp, Failure> {
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let end = now.saturating_add(u64::from(days) * 24 * 3600);
    i64::try_from(end).ok().and_then(|end| Timestamp::from_unix(end).ok()).ok_or_else(|| {
        Failure::new(Code::Usage, format!("--expires-in {days} is beyond what a date can say"))
    })
}

/// A signature over the drafted root, by a key in a file or in an agent.
fn signature(
    draft: &Draft,
    file: Option<&Path>,
    agent: Option<&str>,
) -> Result<(PublisherId, [u8; 64]), Failure> {
    if let Some(agent) = agent {
        let key = agent.parse().map_err(|why: crate::card::did::Error| {
            Failure::new(Code::Usage, format!("--agent: {why}"))
        })?;
        return Ok((key, sign::by_agent(&key, &draft.to_sign())?));
    }
    let file = file.expect("clap asks for one of the two");
    let key = sign::read_key(file)?;
    let id = PublisherId::try_from(&key.verifying_key())
        .map_err(|why| Failure::new(Code::Failure, format!("{}: {why}", file.display())))?;
    Ok((id, key.sign(&draft.to_sign()).to_bytes()))
}

pub(super) fn print(answer: &PublisherShown, screen: &Screen) {
    let state = match (answer.complete, answer.expired) {
        (true, true) => "EXPIRED",
        (true, false) => "complete",
        (false, _) => "a draft",
    };
    let mut text =
        format!("  {}, version {} of its root, {state}\n", escape(&answer.name), answer.version);
    if let Some(publisher) = &answer.publisher {
        text += &format!("  {publisher}\n");
    }
    text +=
        &format!("  to be renewed by {}\n  announces with {}\n", answer.expires, answer.announce);
    text.extend(answer.links.iter().map(|link| format!("  {}\n", escape(link))));
    text += &role("roots", &answer.root_keys);
    text += &role("cards", &answer.card_keys);
    for (what, keys) in [("signed by", &answer.signed), ("not yet by", &answer.missing)] {
        text.extend(keys.iter().map(|key| format!("  {what} {key}\n")));
    }
    print_text(&text);
    let Some(file) =
        answer.file.as_ref().map(|file| escape(&file.display().to_string()).to_string())
    else {
        return;
    };
    screen.hint(&match answer.complete {
        false => format!("each of them: modelswarm publisher sign {file} --key FILE"),
        true => format!("publish for it: modelswarm publisher use {file}; the first root's id is its name for ever"),
    });
}

fn role(what: &str, role: &RoleShown) -> String {
    let mut text = format!("  {what}: {} of {}\n", role.threshold, role.keys.len());
    text.extend(role.keys.iter().map(|key| format!("    {key}\n")));
    text
}
