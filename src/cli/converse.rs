//! Asks the home's daemon, or where none runs a node of our own that lives as long as the command.

use tokio::{runtime::Runtime, signal::unix::SignalKind, sync::mpsc};

use super::{output::Screen, resolve::Context};
use crate::{
    client::{self, Client},
    node::{Node, Role},
    rpc::{Answer, Code, Event, Failure, Request},
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
    let mut interrupted = Box::pin(interruption());
    loop {
        let event = tokio::select! {
            event = client.next() => event?,
            () = &mut interrupted => return Err(stopped(request)),
        };
        let shown = tokio::select! {
            shown = show(event, screen) => shown?,
            () = &mut interrupted => return Err(stopped(request)),
        };
        if let Some(answer) = shown {
            return Ok(answer);
        }
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
    let outcome = follow(node.dispatch(request.clone()), request, screen).await;
    node.shutdown().await;
    outcome
}

async fn follow(
    mut events: mpsc::Receiver<Event>,
    request: &Request,
    screen: &mut Screen,
) -> Result<Answer, Failure> {
    let mut interrupted = Box::pin(interruption());
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = &mut interrupted => return Err(stopped(request)),
        };
        let event = event.ok_or_else(|| {
            Failure::new(
                Code::Failure,
                "the work stopped without an answer; this is a fault of modelswarm",
            )
        })?;
        let shown = tokio::select! {
            shown = show(event, screen) => shown?,
            () = &mut interrupted => return Err(stopped(request)),
        };
        if let Some(answer) = shown {
            return Ok(answer);
        }
    }
}

async fn show(event: Event, screen: &mut Screen) -> Result<Option<Answer>, Failure> {
    match event {
        Event::Bytes { data, .. } => screen.bytes(data).await?,
        Event::Progress(progress) => screen.progress(&progress),
        Event::Warning { message } => screen.warning(&message),
        Event::Done { answer } => return Ok(Some(*answer)),
        Event::Failed { error } => return Err(error),
    }
    Ok(None)
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
