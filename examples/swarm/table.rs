//! The one table: medians, each with its ratio and its bar.

use std::{
    fmt::{self, Write as _},
    fs, thread,
};

use super::scenario::{Outcome, Scenario};

/// What was measured so far, and which bars were missed.
pub(super) struct Table {
    head: String,
    rows: String,
    missed: Vec<String>,
}

impl Table {
    /// A table without rows, which shows as nothing.
    pub(super) fn new(repeat: usize) -> Self {
        // Of this the reader learns whether anything else was running.
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let head = format!(
            "\n{repeat} repetitions, medians (best, worst); {cores} cores, load before the start {load}\n\n\
             {:<52} {:>6} {:>15} {:>11} {:>6} {:>5}  bar\n",
            "what", "s", "(best, worst)", "reference s", "CPU", "ratio"
        );
        Self { head, rows: String::new(), missed: Vec::new() }
    }

    /// The rows of a scenario.
    pub(super) fn add(&mut self, scenario: &Scenario, outcomes: &[Outcome]) {
        let (seconds, range) = median(outcomes.iter().map(|outcome| outcome.seconds));
        let (reference, _) = median(outcomes.iter().map(|outcome| outcome.reference));
        let (busy, _) = median(outcomes.iter().map(|outcome| outcome.busy));
        let (crowd, bar) = (scenario.is_crowd(), scenario.bar);
        let against = if crowd { "size / rate" } else { "bare TCP" };
        let ratio = if crowd { seconds / reference } else { reference / seconds };
        let met = if crowd { ratio <= bar } else { ratio >= bar };
        let sign = if crowd { "<=" } else { ">=" };
        let what = format!("{}, {} MiB, to {against}", scenario.name, scenario.size);
        let figures = format!("{seconds:>6.2} {range:>15} {reference:>11.2} {busy:>6.2}");
        self.row(&what, &figures, ratio, &format!("{sign} {bar:.2}"), met);
        if crowd {
            let sent = || outcomes.iter().filter_map(|outcome| outcome.sent.as_ref());
            self.sent("  copies that the seeder sent", sent().map(|sent| sent.copies), 1.1);
            self.sent("  sent by all, to the useful bytes", sent().map(|sent| sent.surplus), 1.1);
            let passed_on = sent().map(|sent| sent.passed_on);
            self.sent("  part of the time until all had sent something on", passed_on, 0.5);
        }
    }

    /// A row of what was sent.
    fn sent(&mut self, what: &str, values: impl Iterator<Item = f64>, bar: f64) {
        let (value, range) = median(values);
        let figures = format!("{:>6} {range:>15} {:>11} {:>6}", "", "", "");
        self.row(what, &figures, value, &format!("<= {bar:.2}"), value <= bar);
    }

    fn row(&mut self, what: &str, figures: &str, ratio: f64, bar: &str, met: bool) {
        let verdict = if met { "met" } else { "MISSED" };
        let _ = writeln!(self.rows, "{what:<52} {figures} {ratio:>5.2}  {bar}  {verdict}");
        if !met {
            self.missed.push(what.trim().to_owned());
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return Ok(());
        }
        write!(f, "{}{}", self.head, self.rows)?;
        match self.missed.as_slice() {
            [] => writeln!(f, "\nevery bar that was measured is met"),
            missed => writeln!(f, "\nmissed: {}", missed.join("; ")),
        }
    }
}

/// The middle one (of an even number the upper), and the least and the greatest.
fn median(values: impl Iterator<Item = f64>) -> (f64, String) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let (least, greatest) = (at(0), at(values.len().saturating_sub(1)));
    (at(values.len() / 2), format!("({least:.2}, {greatest:.2})"))
}
