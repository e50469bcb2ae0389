//! Speaks [`rpc`](crate::rpc) to the home's daemon over its control socket. One connection carries one request;
//! closing it tells the daemon to stop working on it.
//!
//! The socket is `run/control.sock` in the home or, where that path is too long for a socket, where the note
//! `run/control.path` says.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    io::AsyncReadExt as _,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::codec::{FramedRead, FramedWrite, LinesCodec};

use crate::{
    config::Home,
    limits,
    rpc::{Code, Event, Failure, Hello, Reply, Request},
};

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    hello: Hello,
    events: FramedRead<OwnedReadHalf, LinesCodec>,
    requests: FramedWrite<OwnedWriteHalf, LinesCodec>,
}

fn socket(home: &Home) -> PathBuf {
    match fs::read_to_string(home.socket_note()) {
        Ok(path) => PathBuf::from(path.trim_end()),
        Err(_) => home.socket(),
    }
}

/// Connects to the home's daemon; `None` if none runs.
///
/// # Errors
/// Permission (5) if the socket is somebody else's; failure (1) if what answers is no daemon of this version.
pub async fn connect(home: &Home) -> Result<Option<Client>, Failure> {
    let path = socket(home);
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(why) => return absent(&path, why),
    };
    let (reader, writer) = stream.into_split();
    let codec = || LinesCodec::new_with_max_length(limits::CONTROL_LINE_MAX);
    let mut events = FramedRead::new(reader, codec());
    let line = match events.next().await {
        Some(Ok(line)) => line,
        Some(Err(why)) => return Err(broken(&path, why)),
        None => return Err(broken(&path, "it closed the connection")),
    };
    let hello: Hello = serde_json::from_str(&line).map_err(|why| {
        broken(&path, why).hint("is it a daemon of another version? restart it: modelswarm daemon")
    })?;
    if hello.version != env!("CARGO_PKG_VERSION") {
        return Err(Failure::new(
            Code::Failure,
            format!(
                "the running daemon (pid {}) is version {}, this command is {}",
                hello.pid,
                hello.version,
                env!("CARGO_PKG_VERSION")
            ),
        )
        .hint("restart the daemon"));
    }
    Ok(Some(Client { hello, events, requests: FramedWrite::new(writer, codec()) }))
}

fn absent(path: &Path, why: io::Error) -> Result<Option<Client>, Failure> {
    match why.kind() {
        // Too long a path for a socket, and no note of another place: no daemon ran here.
        io::ErrorKind::InvalidInput
        | io::ErrorKind::NotFound
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::NotADirectory => Ok(None),
        io::ErrorKind::PermissionDenied => Err(Failure::new(
            Code::Permission,
            format!("the daemon's control socket {} is not yours to use", path.display()),
        )
        .hint("run the command as the daemon's user, or with another --home")),
        _ => Err(broken(path, why)),
    }
}

fn broken(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(
        Code::Failure,
        format!("the daemon at {} does not answer as one: {why}", path.display()),
    )
}

impl Client {
    /// What the daemon said of itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Sends the request; its events come from [`Client::next`].
    ///
    /// # Errors
    /// Failure (1) if the daemon is gone.
    pub async fn send(&mut self, request: &Request) -> Result<(), Failure> {
        self.line(request).await
    }

    /// Answers [`Event::Sign`].
    ///
    /// # Errors
    /// Failure (1) if the daemon is gone.
    pub async fn reply(&mut self, reply: &Reply) -> Result<(), Failure> {
        self.line(reply).await
    }

    async fn line(&mut self, words: &impl serde::Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(words).expect("our words are plain data with text keys");
        self.requests
            .send(line)
            .await
            .map_err(|why| Failure::new(Code::Failure, format!("the daemon went away: {why}")))
    }

    /// The next event of the request. Not cancel-safe: what was begun to be read must be read on.
    ///
    /// # Errors
    /// Failure (1) if the daemon went away before it said [`Event::Done`] or [`Event::Failed`].
    pub async fn next(&mut self) -> Result<Event, Failure> {
        let gone = || {
            Failure::new(Code::Failure, "the daemon went away before it had finished")
                .hint("see its log; `modelswarm status` tells whether it runs")
        };
        let line = self.events.next().await.ok_or_else(gone)?.map_err(|_| gone())?;
        let mut event = serde_json::from_str(&line).map_err(|why| {
            Failure::new(Code::Failure, format!("the daemon's answer is unknown: {why}"))
        })?;
        if let Event::Bytes { len, data } = &mut event {
            *data = self.bytes(*len).await.map_err(|_| gone())?;
        }
        Ok(event)
    }

    /// The bytes that follow a line: first what was read along with it.
    async fn bytes(&mut self, len: usize) -> io::Result<Bytes> {
        if len > limits::READ_PIECE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let read = self.events.read_buffer_mut();
        let mut bytes = read.split_to(len.min(read.len()));
        let before = bytes.len();
        bytes.resize(len, 0);
        self.events.get_mut().read_exact(&mut bytes[before..]).await?;
        Ok(bytes.freeze())
    }
}
