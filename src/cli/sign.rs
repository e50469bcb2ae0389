//! Signs for a node that does not hold the publisher's key: with the key in a file or an ssh-agent, and only what this
//! very command is about.
//!
//! What the node hands over is read, and compared with what was typed and with what this process found out by itself:
//! the folder's files are hashed here too, the repo's newest card is asked for before anything is signed. The bytes that
//! are signed are made here from what was read.

use std::{
    env,
    io::{self, IsTerminal as _, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use ed25519_dalek::{Signer as _, SigningKey};

use super::{output::Screen, resolve::Context};
use crate::{
    card::{
        Identity, PublisherId, claim,
        consent::{Call, Repo},
        envelope,
        index::{Index, Scope},
        ipns,
        json::hex,
        keyfile::{self, agent},
    },
    client,
    config::Home,
    dag::{Block, Cid, block::DAG_JSON},
    library::{self, keys},
    limits,
    rpc::{Answer, CardLog, Code, Event, Failure, Reply, Request, ToSign, Unsigned},
};

/// The environment's word for the passphrase of a key file.
const PASSPHRASE: &str = "MODELSWARM_KEY_PASSPHRASE";

/// The signatures of one command.
pub(super) struct Signing<'a> {
    context: &'a Context,
    request: &'a Request,
    /// What the command is about; read when the first signature is asked for.
    call: Option<Call>,
    /// Whether the node is another process, whose word is not taken.
    daemon: bool,
    /// Keys that were read out of their files.
    read: Vec<SigningKey>,
    /// Whether a claim was signed.
    claimed: bool,
}

impl<'a> Signing<'a> {
    pub(super) fn new(context: &'a Context, request: &'a Request, daemon: bool) -> Self {
        Self { context, request, call: None, daemon, read: Vec::new(), claimed: false }
    }

    /// The answer to what the node asks to be signed.
    pub(super) async fn reply(&mut self, to_sign: &ToSign, screen: &mut Screen) -> Reply {
        match self.signatures(to_sign, screen).await {
            Ok(signatures) => Reply::Signed { signatures },
            Err(error) => Reply::Declined { error },
        }
    }

    async fn signatures(
        &mut self,
        to_sign: &ToSign,
        screen: &mut Screen,
    ) -> Result<Vec<String>, Failure> {
        let key: PublisherId = to_sign.key.parse().map_err(declined)?;
        if self.call.is_none() {
            self.call = Some(self.about().await?);
        }
        let call = self.call.as_mut().expect("made above");
        let messages = match &to_sign.what {
            Unsigned::Card { payload } => {
                let unsigned =
                    envelope::Unsigned::from_payload(payload.as_bytes()).map_err(declined)?;
                call.card(&unsigned).map_err(declined)?;
                let statement = unsigned.statement();
                screen.hint(&format!(
                    "signing {}@{} of {} as {key}",
                    statement.name, statement.version, statement.root
                ));
                vec![unsigned.message()]
            }
            Unsigned::Claim { payload } => {
                let bytes = payload.clone().into_bytes();
                let unsigned = claim::Unsigned::from_payload(bytes, &key).map_err(declined)?;
                self.consent_to(&unsigned).await?;
                screen
                    .hint(&format!("signing a claim about {} as {key}", unsigned.subject().root()));
                vec![unsigned.message()]
            }
            Unsigned::Name { publisher, scope, index, sequence, valid_until } => {
                let publisher: Identity = publisher.parse().map_err(declined)?;
                let scope = Scope::parse(scope).ok_or_else(|| declined("no such DHT"))?;
                let block = Block::new(DAG_JSON, index.clone().into_bytes());
                let index = Index::from_block(&publisher, scope, &block).map_err(declined)?;
                call.index(&index).map_err(declined)?;
                let until = valid_until.parse().map_err(declined)?;
                let unsigned =
                    ipns::Unsigned::new(&key, &index, *sequence, until, limits::IPNS_TTL)
                        .map_err(declined)?;
                let messages = unsigned.to_sign();
                vec![messages.v1, messages.v2]
            }
        };
        let given = match &to_sign.what {
            Unsigned::Name { .. } => self.context.names_key.clone(),
            Unsigned::Card { .. } | Unsigned::Claim { .. } => None,
        };
        let (home, mut read) = (self.context.home.clone(), std::mem::take(&mut self.read));
        let sign = move || Ok((sign(&home, given, &mut read, &key, &messages)?, read));
        let (signatures, read) = library::blocking(sign).await?;
        self.read = read;
        Ok(signatures)
    }

    /// Whether a claim is the one that was typed, about what the REF meant before anything was signed.
    async fn consent_to(&mut self, unsigned: &claim::Unsigned) -> Result<(), Failure> {
        let Request::Endorse(endorse) = self.request else {
            return Err(declined("this command makes no claim"));
        };
        if std::mem::replace(&mut self.claimed, true) {
            return Err(declined("this command makes one claim"));
        }
        if *unsigned.body() != library::claims::body(endorse)?
            || unsigned.note() != endorse.note.as_deref()
        {
            return Err(declined(
                "the daemon asks for a signature of another claim than was typed",
            ));
        }
        if !self.daemon {
            return Ok(());
        }
        let show = Request::Show { reference: endorse.reference.clone() };
        let Answer::Shown(shown) = ask_aside(self.context, &show).await? else {
            return Err(Failure::new(Code::Failure, "the daemon answered another question"));
        };
        let root: Cid = shown.repo.root.parse().map_err(declined)?;
        let card = unsigned.subject().card().map(ToString::to_string);
        if unsigned.subject().root().hash() != root.hash() || card != shown.card {
            return Err(declined(format!("the claim is not about {}", endorse.reference)));
        }
        Ok(())
    }

    /// What the user typed, and what this process knows of it by itself.
    async fn about(&self) -> Result<Call, Failure> {
        let publisher = keys::identity(&self.context.home)?;
        match self.request {
            Request::Seed(seed) => {
                let name = library::repo_name(seed)?;
                let mut repo = Repo::new(name.clone());
                repo.version =
                    seed.version.as_deref().map(str::parse).transpose().map_err(declined)?;
                repo.kind = seed.kind;
                repo.license.clone_from(&seed.license);
                repo.onto = seed.onto.as_deref().map(str::parse).transpose().map_err(declined)?;
                if self.daemon {
                    let seed = seed.clone();
                    let root = library::blocking(move || library::root_of(&seed)).await?;
                    repo.roots = Some(vec![root]);
                    repo.head = Some(self.head(&format!("{publisher}/{name}")).await?);
                }
                Ok(Call::new(publisher, Some(repo)))
            }
            Request::Restate(restate) => {
                let log = self.log(&restate.reference).await?.ok_or_else(|| {
                    Failure::new(Code::NotFound, format!("{} is not known", restate.reference))
                })?;
                let mut repo = Repo::new(log.name.parse().map_err(declined)?);
                repo.status = restate.status;
                repo.cards = 2;
                if self.daemon {
                    let roots = log.versions.iter().map(|line| line.root.parse());
                    repo.roots = Some(roots.collect::<Result<_, _>>().map_err(declined)?);
                    repo.head = Some(newest(&log)?);
                }
                Ok(Call::new(publisher, Some(repo)))
            }
            _ => Ok(Call::new(publisher, None)),
        }
    }

    /// The newest card of a repo, as the daemon knows it before anything is signed.
    async fn head(&self, reference: &str) -> Result<Option<Cid>, Failure> {
        self.log(reference).await?.as_ref().map_or(Ok(None), newest)
    }

    async fn log(&self, reference: &str) -> Result<Option<CardLog>, Failure> {
        let request = Request::CardLog { reference: reference.to_owned() };
        match ask_aside(self.context, &request).await {
            Ok(Answer::CardLog(log)) => Ok(Some(log)),
            Ok(_) => Err(Failure::new(Code::Failure, "the daemon answered another question")),
            Err(failure) if failure.code == Code::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// Asks the running daemon something beside the command's own request, and shows nothing of it.
///
/// # Errors
/// As the daemon answers; failure (1) if there is none.
async fn ask_aside(context: &Context, request: &Request) -> Result<Answer, Failure> {
    let client = client::connect(&context.home).await?;
    let mut client =
        client.ok_or_else(|| Failure::new(Code::Failure, "the daemon is not there any more"))?;
    client.send(request).await?;
    loop {
        match client.next().await? {
            Event::Done { answer } => return Ok(*answer),
            Event::Failed { error } => return Err(error),
            _ => {}
        }
    }
}

/// Signatures by a key in a file (the one that was `given`, else where the home says that it is), which is read once, or in
/// an ssh-agent.
fn sign(
    home: &Home,
    given: Option<PathBuf>,
    read: &mut Vec<SigningKey>,
    key: &PublisherId,
    messages: &[Vec<u8>],
) -> Result<Vec<String>, Failure> {
    let is_it = |one: &SigningKey| PublisherId::try_from(&one.verifying_key()).ok() == Some(*key);
    if !read.iter().any(is_it) {
        let noted = keys::elsewhere(home)?.filter(|note| note.id == *key);
        let (by_hand, is_noted) = (given.is_some(), noted.is_some());
        let Some(path) = given.or_else(|| noted.and_then(|note| note.file)) else {
            let by_agent = |message: &Vec<u8>| Ok(hex(&by_agent(key, message)?));
            let signatures: Result<Vec<String>, Failure> = messages.iter().map(by_agent).collect();
            return signatures.map_err(|why| if is_noted { why } else { not_here(key, &why) });
        };
        let held = read_key(&path)?;
        if !is_it(&held) {
            let why = format!("{} holds another key than {key}", path.display());
            let failure = Failure::new(Code::Failure, why);
            return Err(match by_hand {
                true => {
                    failure.hint("names are found under that key alone: give its file to --key")
                }
                false => failure.hint("say anew which key signs: modelswarm key use FILE"),
            });
        }
        read.push(held);
    }
    let held = read.iter().find(|one| is_it(one)).expect("read above, if it was not before");
    Ok(messages.iter().map(|message| hex(&held.sign(message).to_bytes())).collect())
}

/// Nothing here says where a key is: not the one that signs cards, but the one under which a lab's names are found.
fn not_here(key: &PublisherId, why: &Failure) -> Failure {
    Failure::new(
        Code::Failure,
        format!(
            "names are signed by {key}, which is neither this home's key nor in an ssh-agent ({why})"
        ),
    )
    .hint("modelswarm name publish --key FILE, or add it to an ssh-agent first: ssh-add FILE")
}

/// The newest accepted card of a log.
fn newest(log: &CardLog) -> Result<Option<Cid>, Failure> {
    let head = log.versions.iter().find(|line| line.head);
    head.map(|line| line.card.parse().map_err(declined)).transpose()
}

fn declined(why: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Refused, format!("nothing was signed: {why}"))
}

/// A private key out of its file; a passphrase is asked for on a terminal, or taken from the environment.
///
/// # Errors
/// Failure (1) for what is no key; usage (2) if a passphrase is needed and there is nobody to ask.
pub(super) fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(Code::Failure, format!("cannot use the key {}: {why}", path.display()))
    };
    let bytes = read_small(path)?;
    match keyfile::private(&bytes, None) {
        Err(keyfile::Error::PassphraseNeeded) => {}
        read => return read.map_err(|why| failed(&why)),
    }
    let passphrase = match env::var(PASSPHRASE) {
        Ok(passphrase) => passphrase,
        Err(_) if io::stdin().is_terminal() => {
            rpassword::prompt_password(format!("passphrase of {}: ", path.display()))
                .map_err(|why| failed(&why))?
        }
        Err(_) => {
            return Err(Failure::new(
                Code::Usage,
                format!(
                    "the key {} is encrypted, and nobody is here to type its passphrase",
                    path.display()
                ),
            )
            .hint(format!(
                "set {PASSPHRASE}, or add the key to an ssh-agent: modelswarm key use agent"
            )));
        }
    };
    keyfile::private(&bytes, Some(passphrase.as_bytes())).map_err(|why| failed(&why))
}

/// The bytes of a file that should be a key or a document of ours.
///
/// # Errors
/// Failure (1) as the disk says; refused (4) for one that is too large.
pub(super) fn read_small(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(Code::Failure, format!("cannot read {}: {why}", path.display()))
    };
    let bytes = library::files::read_at_most(path, limits::PUBLISHER_DOC_MAX)
        .map_err(|why| failed(&why))?;
    if bytes.len() > limits::PUBLISHER_DOC_MAX {
        return Err(failed(&"it is too large to be a key or a publisher.json"));
    }
    Ok(bytes)
}

/// A signature by a key in the ssh-agent, verified.
///
/// # Errors
/// Failure (1) if there is no agent, or it does not sign.
pub(super) fn by_agent(key: &PublisherId, message: &[u8]) -> Result<[u8; 64], Failure> {
    let refused = |why: agent::Error| Failure::new(Code::Failure, why.to_string());
    let request = agent::sign_request(key, message).map_err(refused)?;
    let answer = ask_agent(&request)?;
    agent::signature(&answer, key, message)
        .map_err(|why| refused(why).hint(format!("is {key} in the agent? modelswarm key list")))
}

/// The keys in the ssh-agent that can sign.
///
/// # Errors
/// Failure (1) if there is no agent, or it is none.
pub(super) fn agent_keys() -> Result<agent::Listed, Failure> {
    agent::listed(&ask_agent(&agent::list_request())?)
        .map_err(|why| Failure::new(Code::Failure, why.to_string()))
}

/// One message to the agent, and its answer.
fn ask_agent(request: &[u8]) -> Result<Vec<u8>, Failure> {
    let path = env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).ok_or_else(|| {
        Failure::new(Code::Failure, "the key is not in a file, and no ssh-agent runs")
            .hint("start one and add the key: eval $(ssh-agent); ssh-add FILE")
    })?;
    let failed = |why: io::Error| {
        let path = Path::new(&path).display();
        Failure::new(Code::Failure, format!("the ssh-agent at {path} does not answer: {why}"))
    };
    let mut agent = UnixStream::connect(&path).map_err(failed)?;
    agent.set_read_timeout(Some(limits::SIGN_WAIT)).map_err(failed)?;
    agent.write_all(request).map_err(failed)?;
    let mut head = [0; 4];
    agent.read_exact(&mut head).map_err(failed)?;
    let len = agent::body_len(head).map_err(|why| Failure::new(Code::Failure, why.to_string()))?;
    let mut body = vec![0; len];
    agent.read_exact(&mut body).map_err(failed)?;
    Ok(body)
}
