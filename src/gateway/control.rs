//! Control: [`rpc`](crate::rpc) for the command line, on a Unix socket in a folder that only its owner may enter.
//!
//! A connection: the daemon says [`Hello`], the client sends one [`Request`], the daemon sends [`Event`]s until the
//! last, and a [`Reply`] comes to each that asks for one; the bytes of a file follow the line that says how many they are. A client that goes away stops its work. The peer's user must be the owner or root, so a socket that was left
//! too open still serves nobody else.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};
use tokio_util::{
    codec::{Framed, LinesCodec},
    sync::CancellationToken,
};

use crate::{
    config::Home,
    limits,
    node::{Conversation, Node},
    rpc::{Code, Event, Failure, Hello, Reply, Request},
};

/// Opens the socket and serves it until told to stop.
pub(super) fn serve(node: Node, stop: CancellationToken) -> Result<JoinHandle<()>, Failure> {
    let socket = Socket::open(node.home())?;
    Ok(tokio::spawn(accept(socket, node, stop)))
}

/// The listening socket; its file goes when it does.
struct Socket {
    listener: UnixListener,
    path: PathBuf,
    note: Option<PathBuf>,
}

impl Socket {
    fn open(home: &Home) -> Result<Self, Failure> {
        private_folder(&home.run())?;
        let inside = home.socket();
        let note = home.socket_note();
        let failed = |path: &Path, why: io::Error| {
            Failure::new(
                Code::Failure,
                format!("cannot open the control socket {}: {why}", path.display()),
            )
        };
        // Whatever lies here is left over: the store's lock, which we hold, says that no other daemon runs.
        for leftover in [&inside, &note] {
            if let Err(why) = fs::remove_file(leftover)
                && why.kind() != io::ErrorKind::NotFound
            {
                return Err(failed(leftover, why));
            }
        }
        let fits = inside.as_os_str().as_bytes().len() <= limits::SOCKET_PATH_MAX;
        let (path, note) = if fits { (inside, None) } else { (outside(home)?, Some(note)) };
        if let Some(note) = &note {
            fs::write(note, path.as_os_str().as_bytes()).map_err(|why| failed(note, why))?;
        }
        let listener = UnixListener::bind(&path).map_err(|why| failed(&path, why))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .map_err(|why| failed(&path, why))?;
        Ok(Self { listener, path, note })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        for path in std::iter::once(&self.path).chain(&self.note) {
            if let Err(why) = fs::remove_file(path) {
                tracing::debug!(path = %path.display(), %why, "the control socket was gone already");
            }
        }
    }
}

/// A place with a short path for a home whose own is too long: a private folder named after the home.
fn outside(home: &Home) -> Result<PathBuf, Failure> {
    let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let digest = crate::dag::block::sha256(home.dir().as_os_str().as_bytes());
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = base.join(format!("modelswarm-{name}"));
    private_folder(&folder)?;
    Ok(folder.join("control.sock"))
}

/// Makes a 0700 folder, or takes one that is ours and nobody else's.
fn private_folder(path: &Path) -> Result<(), Failure> {
    let failed = |why: String| {
        Failure::new(
            Code::Permission,
            format!("cannot use {} for the control socket: {why}", path.display()),
        )
    };
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
        Err(why) => return Err(failed(why.to_string())),
    }
    let metadata = fs::symlink_metadata(path).map_err(|why| failed(why.to_string()))?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(failed("it is not a folder of yours".into()));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .map_err(|why| failed(why.to_string()))
}

async fn accept(socket: Socket, node: Node, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits::CONTROL_CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = stop.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = socket.listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let node = node.clone();
                clients.spawn(async move {
                    if let Err(why) = converse(stream, node).await {
                        tracing::debug!(%why, "a control client went away");
                    }
                    drop(place);
                });
            }
            Err(why) => {
                // Out of descriptors, most likely: others will be closed meanwhile.
                tracing::warn!(%why, "cannot accept control clients");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
        while clients.try_join_next().is_some() {}
    }
    clients.shutdown().await;
}

async fn converse(
    stream: UnixStream,
    node: Node,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let user = stream.peer_cred()?.uid();
    if user != rustix::process::geteuid().as_raw() && user != 0 {
        tracing::warn!(user, "refused a control client of another user");
        return Ok(());
    }
    let codec = LinesCodec::new_with_max_length(limits::CONTROL_LINE_MAX);
    let mut lines = Framed::new(stream, codec);
    let hello = Hello {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        config: node.config().clone(),
    };
    lines.send(serde_json::to_string(&hello)?).await?;
    let Some(line) = lines.next().await else { return Ok(()) };
    let request = match serde_json::from_str::<Request>(&line?) {
        Ok(request) => request,
        Err(why) => {
            let error = Failure::new(Code::Usage, format!("the request is not understood: {why}"));
            lines.send(serde_json::to_string(&Event::Failed { error })?).await?;
            return Ok(());
        }
    };
    let Conversation { mut events, replies } = node.dispatch(request);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    lines.send(serde_json::to_string(&event)?).await?;
                    if let Event::Bytes { data, .. } = event {
                        // The line is flushed, so nothing of ours is before them.
                        lines.get_mut().write_all(&data).await?;
                    }
                }
                None => return Ok(()),
            },
            // The client closed, or answers a question; a reply that nobody asked for ends it.
            line = lines.next() => match line {
                Some(line) => replies.try_send(serde_json::from_str::<Reply>(&line?)?)?,
                None => return Ok(()),
            },
        }
    }
}
