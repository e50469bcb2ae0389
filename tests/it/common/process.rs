//! The program as a child process: bounded waits, its output whole, never left behind.

use std::{
    io::{BufRead as _, BufReader, Read},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::PATIENCE;

/// What a finished process said.
#[derive(Debug)]
pub(crate) struct Output {
    /// Exit code; a signal's number negated.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// The one JSON object on stdout.
    pub(crate) fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|why| panic!("stdout is not one JSON value: {why}: {self:#?}"));
        assert!(value.is_object(), "stdout is no JSON object: {self:#?}");
        assert_eq!(self.stdout.lines().count(), 1, "the answer is one line: {self:#?}");
        value
    }

    /// The answer of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.code, 0, "{self:#?}");
        self.json()
    }

    /// The error of a command that must have failed with this exit code, and said so on stderr alone.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32) -> Failure {
        assert_eq!(self.code, code, "{self:#?}");
        assert_eq!(self.stdout, "", "a failure leaves stdout empty: {self:#?}");
        self.failure(code)
    }

    /// As [`Output::fails`], for commands that answer and fail all the same.
    #[track_caller]
    pub(crate) fn failure(&self, code: i32) -> Failure {
        assert_eq!(self.code, code, "{self:#?}");
        let errors: Vec<Value> = self
            .stderr
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|value| value.get("error").cloned())
            .collect();
        assert_eq!(errors.len(), 1, "exactly one error on stderr: {self:#?}");
        let error = &errors[0];
        assert_eq!(error["code"], code, "{self:#?}");
        let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
        let failure = Failure { message: text("message"), hint: text("hint") };
        assert!(!failure.message.is_empty(), "an error says what failed: {self:#?}");
        failure
    }
}

/// `{"error":…}` of a failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Failure {
    /// Message and hint together, for what must be said somewhere.
    pub(crate) fn all(&self) -> String {
        format!("{} | {}", self.message, self.hint)
    }

    /// Asserts that message or hint contain this.
    #[track_caller]
    pub(crate) fn says(&self, what: &str) -> &Self {
        assert!(self.all().contains(what), "{what:?} is not said: {self:?}");
        self
    }
}

/// A process under way. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        Self { child, stdout, stderr }
    }

    /// Waits for its end, at most [`PATIENCE`].
    #[track_caller]
    pub(crate) fn wait(self) -> Output {
        let (bytes, output) = self.wait_bytes();
        Output { stdout: text(bytes), ..output }
    }

    /// The same for a program whose stdout is bytes; what else it said has no stdout.
    #[track_caller]
    pub(crate) fn wait_bytes(mut self) -> (Vec<u8>, Output) {
        let status = end_of(&mut self.child);
        let code = status.as_ref().map_or(i32::MIN, code);
        let take = |reader: &mut Option<JoinHandle<Vec<u8>>>| {
            reader.take().map(|reader| reader.join().expect("reader")).unwrap_or_default()
        };
        let stdout = take(&mut self.stdout);
        let stderr = text(take(&mut self.stderr));
        let output = Output { code, stdout: String::new(), stderr };
        assert!(status.is_some(), "killed after {PATIENCE:?}: {output:#?}");
        (stdout, output)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill our own child");
        self.child.wait().expect("wait for our own child");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A daemon that has said that it is ready. Dropping it kills it.
pub(crate) struct Daemon {
    child: Child,
    /// The first line, as it was said.
    pub(crate) ready: Value,
    lines: Receiver<String>,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Starts it and waits for its first line.
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let log = Arc::<Mutex<String>>::default();
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = kept.lock().expect("log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut daemon = Self { child, ready: Value::Null, lines, log };
        match daemon.lines.recv_timeout(PATIENCE) {
            Ok(line) => daemon.ready = serde_json::from_str(&line).expect("the ready line is JSON"),
            Err(why) => panic!("the daemon was not ready: {why}: {}", daemon.log()),
        }
        assert_eq!(daemon.ready["event"], "ready");
        daemon
    }

    /// Where peers reach it, with its peer id.
    pub(crate) fn addr(&self) -> &str {
        self.ready["addrs"][0].as_str().expect("an address")
    }

    pub(crate) fn peer_id(&self) -> &str {
        self.ready["peer_id"].as_str().expect("a peer id")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("log").clone()
    }

    /// Further lines on stdout, which there should be none of.
    pub(crate) fn further_lines(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Stops it in its tracks, as a machine that sleeps: it neither sends nor closes anything.
    pub(crate) fn pause(&self) {
        send(&self.child, Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        send(&self.child, Signal::CONT);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        end(&mut self.child);
    }

    /// SIGTERM, and waits for the end: its exit code.
    #[track_caller]
    pub(crate) fn terminate(self) -> i32 {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits for the end: its exit code.
    #[track_caller]
    pub(crate) fn ended(mut self) -> i32 {
        match end_of(&mut self.child) {
            Some(status) => code(&status),
            None => panic!("the daemon did not end: {}", self.log()),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.child);
        if thread::panicking() {
            eprintln!("log of the daemon {}:\n{}", self.child.id(), self.log());
        }
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("signal our own child");
}

/// Kills a child that has not been waited for; one that has is left alone, its id may be another's.
fn end(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        child.kill().expect("kill our own child");
        child.wait().expect("wait for our own child");
    }
}

/// Waits for the end; kills it and gives `None` after [`PATIENCE`].
fn end_of(child: &mut Child) -> Option<ExitStatus> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().expect("wait for our own child") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("kill our own child");
    child.wait().expect("wait for our own child");
    None
}

fn code(status: &ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the program writes UTF-8")
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("read what our own child says");
        bytes
    })
}
