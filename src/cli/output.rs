//! What goes to stdout and stderr: the answer as text or JSON on one, progress, hints and errors on the other.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use bytes::Bytes;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::resolve::Output;
use crate::rpc::{Answer, Code, Event, Failure, Progress, Stage};

/// Work that is done sooner shows no bar.
const BAR_AFTER: Duration = Duration::from_millis(700);

/// Shows a request's events.
#[derive(Debug)]
pub(super) struct Screen {
    output: Output,
    bar: Option<ProgressBar>,
    /// Stdout is a file's bytes alone; what else is said goes to stderr.
    kept: bool,
    /// The reader of stdout went away.
    closed: bool,
}

impl Screen {
    /// A screen that prints as `output` says.
    pub(super) fn new(output: Output) -> Self {
        Self { output, bar: None, kept: false, closed: false }
    }

    /// Keeps stdout for the bytes of a file.
    pub(super) fn keep_stdout(&mut self) {
        self.kept = true;
        // A bar would stand in the middle of them.
        self.output.quiet |= io::stdout().is_terminal();
    }

    /// Whether the reader of stdout went away.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Prints a file's bytes.
    ///
    /// # Errors
    /// Interrupted (130) if the reader went away, which [`Screen::is_closed`] says from then on; no space (7), failure (1).
    pub(super) async fn bytes(&mut self, bytes: Bytes) -> Result<(), Failure> {
        // On a thread of its own: a reader that takes nothing must not keep Ctrl-C from being heard.
        let written = tokio::task::spawn_blocking(move || {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&bytes).and_then(|()| stdout.flush())
        });
        written.await.unwrap_or_else(|why| Err(io::Error::other(why))).map_err(|why| {
            self.closed = why.kind() == io::ErrorKind::BrokenPipe;
            let code = match why.kind() {
                io::ErrorKind::BrokenPipe => Code::Interrupted,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::NoSpace,
                _ => Code::Failure,
            };
            Failure::new(code, format!("stdout takes no more: {why}"))
        })
    }

    fn line(&self, value: &serde_json::Value) {
        if self.kept { eprintln!("{value}") } else { print_line(value) }
    }

    /// Shows how far the work is: a bar on a terminal, a line with `--progress`, else nothing.
    pub(super) fn progress(&mut self, progress: &Progress) {
        if self.output.json {
            if self.output.progress {
                self.line(&json!(Event::Progress(progress.clone())));
            }
            return;
        }
        if self.output.quiet || !io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            bar.enable_steady_tick(Duration::from_millis(200));
            let shown = bar.clone();
            tokio::spawn(async move {
                tokio::time::sleep(BAR_AFTER).await;
                shown.set_draw_target(ProgressDrawTarget::stderr());
            });
            bar
        });
        show(bar, progress, self.output.plain);
    }

    /// A line the user should see though the work goes on.
    pub(super) fn warning(&self, message: &str) {
        if !self.output.quiet {
            self.say(&format!("warning: {message}"));
        }
    }

    /// The next command that would make sense.
    pub(super) fn hint(&self, message: &str) {
        if !self.output.quiet && !self.output.json {
            self.say(&format!("  hint: {message}"));
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Whether the answer goes out as JSON.
    pub(super) fn json(&self) -> bool {
        self.output.json
    }

    /// The answer as JSON: its fields, or with `--progress` as the last event line.
    pub(super) fn answer(&self, answer: &Answer) {
        let mut fields = answer.fields();
        if self.output.progress
            && let Some(fields) = fields.as_object_mut()
        {
            fields.insert("event".into(), json!("done"));
        }
        self.line(&fields);
    }
}

/// Prints an error as the contract wants it: one JSON object, or a line and a hint.
pub(super) fn failure(failure: &Failure, json: bool) {
    if json {
        eprintln!("{}", json!({ "error": failure }));
        return;
    }
    eprintln!("error: {}", failure.message);
    if let Some(hint) = &failure.hint {
        eprintln!("  hint: {hint}");
    }
}

/// Prints one JSON line on stdout. A reader that went away (`| head`) is no error.
pub(super) fn print_line(value: &serde_json::Value) {
    print_text(&format!("{value}\n"));
}

/// Prints text on stdout. A reader that went away (`| head`) is no error.
pub(super) fn print_text(text: &str) {
    let mut stdout = io::stdout().lock();
    if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        tracing::debug!("stdout was closed by its reader");
    }
}

fn show(bar: &ProgressBar, progress: &Progress, plain: bool) {
    let rate = bar.per_sec();
    // A total of nothing is one that is not known yet.
    let total = progress.total.filter(|total| *total > 0);
    let name = match progress.stage {
        Stage::Hashing | Stage::Fetching => progress.name.clone(),
        Stage::Finding => format!("looking for {}", progress.name),
        Stage::Verifying => format!("verifying {}", progress.name),
    };
    let template = match (total, plain) {
        (Some(_), true) => "  {prefix}  {wide_bar} {percent:>3} %  {bytes} / {total_bytes}  {msg}",
        (Some(_), false) => {
            "  {prefix}  {wide_bar:.cyan} {percent:>3} %  {bytes} / {total_bytes}  {msg}"
        }
        (None, _) => "  {prefix}  {spinner}  {bytes}  {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar.set_prefix(name);
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.set_position(progress.bytes);
    bar.set_message(describe(progress, rate));
}

fn describe(progress: &Progress, rate: f64) -> String {
    let mut parts = Vec::new();
    if rate > 0.0 {
        parts.push(format!("{}/s", size(rate as u64)));
        if let Some(total) = progress.total {
            let left = total.saturating_sub(progress.bytes) as f64 / rate;
            parts.push(format!("eta {:#}", HumanDuration(Duration::from_secs_f64(left.min(1e9)))));
        }
    }
    if progress.stage == Stage::Fetching {
        let noun = if progress.peers == 1 { "peer" } else { "peers" };
        parts.push(format!("from {} {noun}", progress.peers));
    }
    parts.join("  ")
}

/// Bytes as a person reads them: decimal units, as disks and links are sold.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would be printed as 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A count and its noun: `1 file`, `13 files`.
pub(super) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_in_decimal_units() {
        let cases = [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (91_600_000, "91.6 MB")];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(999_999), "1.0 MB");
        assert_eq!(size(u64::MAX), "18446.7 PB");
    }
}
