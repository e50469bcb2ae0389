//! Asks the home's daemon, or where none runs a node of our own that lives as long as the command.

use tokio::{runtime::Runtime, signal::unix::SignalKind};

use super::{output::Screen, resolve::Context, sign::Signing};
use crate::{
    client::{self, Client},
    node::{Conversation, Node, Role},
    rpc::{Answer, Code, Event, Failure, Reply, Request, ToSign},
};

/// Sends the request to whoever can answer it, shows what happens meanwhile, gives the answer.
///
/// # Errors
/// Whatever the request ends with; usage (2) if flags contradict the running daemon; interrupted (130) on Ctrl-C.
pub(super) fn ask(
    context: &Context,
    request: &Request,
    screen: &mut Screen,
) -> Result<Answer, Failure> {
    let runtime = runtime()?;
    let answer = runtime.block_on(async {
        match client::connect(&context.home).await? {
            Some(client) => ask_daemon(context, client, request, screen).await,
            None => ask_own_node(context, request, screen).await,
        }
    });
    screen.finish();
    // Work that nobody waits for any more (a hash under way) must not hold up the exit.
    runtime.shutdown_background();
    answer
}

/// The runtime of a process: the network has a thread of its own, so few workers do.
///
/// # Errors
/// Failure (1) if the system gives no threads.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|why| Failure::new(Code::Failure, format!("cannot start threads: {why}")))
}

async fn ask_daemon(
    context: &Context,
    mut client: Client,
    request: &Request,
    screen: &mut Screen,
) -> Result<Answer, Failure> {
    agree(context, &client)?;
    if matches!(request, Request::Repair) {
        return Err(Failure::new(
            Code::Failure,
            format!("a daemon runs on this home (pid {}); its index is in use", client.hello().pid),
        )
        .hint("stop it first, then run modelswarm repair"));
    }
    client.send(request).await?;
    let signing = Signing::new(context, request, true);
    follow(Answering::Daemon(Box::new(client)), request, signing, screen).await
}

/// What changes keys is done while no daemon runs: it holds those that it started with.
///
/// # Errors
/// Failure (1) if one runs.
pub(super) fn refuse_daemon(context: &Context) -> Result<(), Failure> {
    let runtime = runtime()?;
    match runtime.block_on(client::connect(&context.home))? {
        None => Ok(()),
        Some(client) => Err(Failure::new(
            Code::Failure,
            format!(
                "a daemon runs on this home (pid {}) with the key that it started with",
                client.hello().pid
            ),
        )
        .hint("stop it first, and start it again afterwards")),
    }
}

/// Flags given to this command must be what the daemon runs with: it would silently ignore them otherwise.
fn agree(context: &Context, client: &Client) -> Result<(), Failure> {
    let running = &client.hello().config;
    for flag in &context.flags {
        let wanted = running
            .with([flag.clone()])
            .map_err(|why| Failure::new(Code::Usage, why.to_string()))?;
        if wanted != *running {
            return Err(Failure::new(
                Code::Usage,
                format!(
                    "{} contradicts the daemon that runs on this home (pid {})",
                    flag.origin(),
                    client.hello().pid
                ),
            )
            .hint("leave the flag out, restart the daemon with it, or use another --home"));
        }
    }
    Ok(())
}

async fn ask_own_node(
    context: &Context,
    request: &Request,
    screen: &mut Screen,
) -> Result<Answer, Failure> {
    let role = match request {
        Request::Claims(of) if of.offline => Role::Offline,
        Request::Get(_) | Request::Cat(_) | Request::NameResolve(_) | Request::Claims(_) => {
            Role::Fetch
        }
        Request::Repair => Role::Repair,
        Request::Peers | Request::Connect { .. } | Request::Limit { .. } => {
            return Err(Failure::new(Code::Failure, "no daemon runs on this home")
                .hint("start one: modelswarm daemon"));
        }
        _ => Role::Offline,
    };
    let node = Node::open(context.home.clone(), context.config.clone(), role).await?;
    if node.made_home() && !matches!(request, Request::Init { .. }) {
        screen.hint(&format!("made a new home in {}", context.home.dir().display()));
    }
    let signing = Signing::new(context, request, false);
    let outcome =
        follow(Answering::Own(node.dispatch(request.clone())), request, signing, screen).await;
    node.shutdown().await;
    outcome
}

/// Whoever works on the request.
enum Answering {
    Daemon(Box<Client>),
    Own(Conversation),
}

impl Answering {
    async fn next(&mut self) -> Result<Event, Failure> {
        match self {
            Self::Daemon(client) => client.next().await,
            Self::Own(work) => work.events.recv().await.ok_or_else(|| {
                Failure::new(
                    Code::Failure,
                    "the work stopped without an answer; this is a fault of modelswarm",
                )
            }),
        }
    }

    async fn reply(&mut self, reply: Reply) -> Result<(), Failure> {
        match self {
            Self::Daemon(client) => client.reply(&reply).await,
            Self::Own(work) => {
                if work.replies.send(reply).await.is_err() {
                    tracing::debug!("nobody waits for the signature any more");
                }
                Ok(())
            }
        }
    }
}

/// Shows what happens, answers what is asked, until the answer is there or the user has enough.
async fn follow(
    mut answering: Answering,
    request: &Request,
    mut signing: Signing<'_>,
    screen: &mut Screen,
) -> Result<Answer, Failure> {
    let work = async {
        loop {
            let event = answering.next().await?;
            match show(event, screen).await? {
                Shown::Answer(answer) => return Ok(*answer),
                Shown::ToSign(to_sign) => {
                    let reply = signing.reply(&to_sign, screen).await;
                    answering.reply(reply).await?;
                }
                Shown::Said => {}
            }
        }
    };
    tokio::select! {
        answer = work => answer,
        () = interruption() => Err(stopped(request)),
    }
}

/// What an event was.
enum Shown {
    /// The last one.
    Answer(Box<Answer>),
    /// A question.
    ToSign(ToSign),
    /// Something to be said, and it was.
    Said,
}

async fn show(event: Event, screen: &mut Screen) -> Result<Shown, Failure> {
    match event {
        Event::Bytes { data, .. } => screen.bytes(data).await?,
        Event::Progress(progress) => screen.progress(&progress),
        Event::Warning { message } => screen.warning(&message),
        Event::Sign { to_sign } => return Ok(Shown::ToSign(to_sign)),
        Event::Done { answer } => return Ok(Shown::Answer(answer)),
        Event::Failed { error } => return Err(error),
    }
    Ok(Shown::Said)
}

/// Ends at Ctrl-C or SIGTERM.
pub(super) async fn interruption() {
    let terminated = async {
        match tokio::signal::unix::signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

fn stopped(request: &Request) -> Failure {
    let failure = Failure::new(Code::Interrupted, "interrupted");
    match request {
        Request::Get(_) => failure.hint("the same command goes on where this one stopped"),
        _ => failure,
    }
}
