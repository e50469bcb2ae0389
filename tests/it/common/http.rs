//! Requests to a daemon's HTTP endpoint, as bare as they get.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use super::{Daemon, text};

/// The body of an answer with status 200; else, and where the body is cut off, its head.
pub(crate) fn get(daemon: &Daemon, path: &str, headers: &str) -> Result<Vec<u8>, String> {
    let address = text(&daemon.ready, "http").trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("connect");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("write");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("read");
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let body = answer.split_off(end);
    let stated = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let is_whole = stated.is_none_or(|stated| stated == body.len().to_string());
    if head.starts_with("HTTP/1.1 200") && is_whole { Ok(body) } else { Err(head) }
}
