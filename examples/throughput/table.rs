//! The one table: rows of medians, each with its ratio and its bar.

use std::{
    fmt::{self, Write as _},
    fs,
};

use super::Plan;

/// What was measured so far.
pub(super) struct Table {
    text: String,
    missed: Vec<String>,
    bytes: u64,
}

/// Seconds of one kind of run, one a repetition.
#[derive(Default)]
pub(super) struct Times(Vec<f64>);

impl Times {
    pub(super) fn add(&mut self, seconds: f64) {
        self.0.push(seconds);
        self.0.sort_by(f64::total_cmp);
    }

    pub(super) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 {
            self.0[middle]
        } else {
            (self.0[middle - 1] + self.0[middle]) / 2.0
        }
    }
}

impl Table {
    /// A table with its head.
    pub(super) fn new(plan: &Plan) -> Self {
        // Of this the reader learns whether anything else was running.
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut text = format!(
            "\n{} MiB in {} files, {}; {} repetitions, medians (best, worst)\n\
             {} cores, Linux {}, load before the start {}\n\n",
            plan.size >> 20,
            plan.files,
            if plan.cold { "cold" } else { "warm" },
            plan.repeat,
            plan.cores(),
            kernel.trim(),
            load.split(' ').next().unwrap_or_default()
        );
        let _ = writeln!(
            text,
            "{:<52} {:>7} {:>15} {:>6} {:>6}  bar",
            "what", "s", "(best, worst)", "MB/s", "ratio"
        );
        Self { text, missed: Vec::new(), bytes: plan.size }
    }

    /// Something to compare with.
    pub(super) fn reference(&mut self, what: &str, times: &Times) {
        self.row(what, times, "", "");
    }

    /// Something compared: how much of the reference's rate it reaches, and how much it must.
    pub(super) fn compared(&mut self, what: &str, times: &Times, reference: f64, bar: f64) {
        let ratio = reference / times.median();
        let verdict = if ratio >= bar { "met" } else { "MISSED" };
        self.row(what, times, &format!("{ratio:.2}"), &format!(">= {bar:.2}  {verdict}"));
        if ratio < bar {
            self.missed.push(what.to_owned());
        }
    }

    /// Something compared that has no bar of its own.
    pub(super) fn ratio(&mut self, what: &str, times: &Times, reference: f64) {
        self.row(what, times, &format!("{:.2}", reference / times.median()), "");
    }

    /// A row that was compared with nothing, since nothing to compare with is here.
    pub(super) fn alone(&mut self, what: &str, times: &Times, why: &str) {
        self.row(what, times, "-", why);
    }

    fn row(&mut self, what: &str, times: &Times, ratio: &str, bar: &str) {
        let median = times.median();
        let (Some(best), Some(worst)) = (times.0.first(), times.0.last()) else { return };
        let rate = self.bytes as f64 / 1e6 / median;
        let range = format!("({best:.2}, {worst:.2})");
        let line = format!("{what:<52} {median:>7.2} {range:>15} {rate:>6.0} {ratio:>6}  {bar}");
        self.text += line.trim_end();
        self.text.push('\n');
    }

    /// A peak of memory and the most it may be.
    pub(super) fn memory(&mut self, what: &str, anonymous: u64, total: u64, bar: u64) {
        let verdict = if anonymous < bar { "met" } else { "MISSED" };
        let figures = format!(
            "{:.0} MB anonymous at the peak ({:.0} MB resident)",
            anonymous as f64 / 1e6,
            total as f64 / 1e6
        );
        let _ = writeln!(self.text, "{what:<34} {figures}  < {} MB  {verdict}", bar / 1_000_000);
        if anonymous >= bar {
            self.missed.push(what.to_owned());
        }
    }

    /// How long something takes, and how long it may.
    pub(super) fn milliseconds(&mut self, what: &str, times: &Times, bar: f64) {
        let median = times.median() * 1e3;
        let verdict = if median < bar { "met" } else { "MISSED" };
        let (best, worst) = (times.0.first().unwrap_or(&0.0), times.0.last().unwrap_or(&0.0));
        let range = format!("({:.3}, {:.3})", best * 1e3, worst * 1e3);
        let _ = writeln!(
            self.text,
            "{what:<50} {median:>6.3} ms {range:>17}                < {bar} ms  {verdict}"
        );
        if median >= bar {
            self.missed.push(what.to_owned());
        }
    }

    /// A line that says what a row can't.
    pub(super) fn note(&mut self, text: &str) {
        let _ = writeln!(self.text, "  {text}");
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match self.missed.as_slice() {
            [] => writeln!(f, "\nevery bar that was measured is met"),
            missed => writeln!(f, "\nmissed: {}", missed.join("; ")),
        }
    }
}
