//! The one table: medians of each rival, the ratio of `modelswarm` to it, and the bars.

use std::{
    fmt::{self, Write as _},
    fs,
    path::PathBuf,
    thread,
};

use super::{
    measure::{Outcome, Pages},
    rival::Rival,
};

const GIB: f64 = (1 << 30) as f64;
/// Most of libtorrent's CPU time that both sides may take.
const CPU_BAR: f64 = 0.8;
/// Most disk beyond the file, part of the file.
const DISK_BAR: f64 = 0.01;
/// How much of rsync's rate is asked for, or how much of the bare stream's where that is less.
const RSYNC_BARS: [f64; 2] = [0.8, 0.95];

/// One rival's transfers.
pub(super) struct Row {
    pub(super) rival: &'static Rival,
    /// None where it is not installed.
    pub(super) program: Option<PathBuf>,
    /// Each with its repetition.
    pub(super) outcomes: Vec<(usize, Outcome)>,
    /// Why it was left out after these.
    pub(super) failed: Option<String>,
}

impl Row {
    /// A row without transfers.
    pub(super) fn new(rival: &'static Rival, program: Option<PathBuf>) -> Self {
        Self { rival, program, outcomes: Vec::new(), failed: None }
    }

    fn median(&self, value: impl Fn(&Outcome) -> f64) -> f64 {
        median(self.outcomes.iter().map(|(_, outcome)| value(outcome)))
    }

    /// Median of the other's value over this row's, both of one repetition.
    fn ratio(&self, other: &Self, value: impl Fn(&Outcome) -> f64) -> f64 {
        median(self.outcomes.iter().filter_map(|(repetition, mine)| {
            let (_, theirs) = other.outcomes.iter().find(|(of, _)| of == repetition)?;
            Some(value(theirs) / value(mine))
        }))
    }
}

/// What was measured.
pub(super) struct Table {
    size: u64,
    pages: Pages,
    /// `modelswarm` first, then the bare stream.
    pub(super) rows: Vec<Row>,
    /// Load before each repetition.
    pub(super) loads: Vec<String>,
}

impl Table {
    /// A table with nothing measured yet; sizes are in bytes.
    pub(super) fn new(size: u64, pages: Pages, rows: Vec<Row>) -> Self {
        Self { size, pages, rows, loads: Vec::new() }
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, row: &Row, missed: &mut Vec<String>) -> fmt::Result {
        let name = row.rival.name;
        if row.program.is_none() {
            return writeln!(f, "{name:<12} left out: not installed ({})", row.rival.install);
        }
        if let Some(why) = &row.failed {
            writeln!(f, "{name:<12} FAILED: {why}")?;
            missed.push(format!("{name} (failed)"));
        }
        if row.outcomes.is_empty() {
            return Ok(());
        }
        let seconds = row.median(|outcome| outcome.seconds);
        let all = || row.outcomes.iter().map(|(_, outcome)| outcome.seconds);
        let range = format!(
            "({:.2}, {:.2})",
            all().fold(f64::INFINITY, f64::min),
            all().fold(0.0, f64::max)
        );
        let size = self.size as f64;
        let memory = [0, 1].map(|side| row.median(|outcome| outcome.anonymous[side] as f64 / 1e6));
        let [seeder, receiver] = memory;
        let (ratio, bar) = self.verdict(row, missed);
        writeln!(
            f,
            "{name:<12} {seconds:>6.2} {range:>15} {:>6.0} {ratio:>6}  {bar:<15} {:>9.2} {:>10} {:>7.1}% {:>6.1}",
            size / (1 << 20) as f64 / seconds,
            row.median(|outcome| outcome.cpu) / (size / GIB),
            format!("{seeder:.0} + {receiver:.0}"),
            row.median(|outcome| outcome.extra as f64) / size * 100.0,
            row.median(|outcome| outcome.others),
        )
    }

    /// How much faster `modelswarm` is, and whether that is enough.
    fn verdict(&self, row: &Row, missed: &mut Vec<String>) -> (String, String) {
        let [own, bare, ..] = self.rows.as_slice() else { return Default::default() };
        if row.rival.name == own.rival.name || own.outcomes.is_empty() {
            return Default::default();
        }
        let ratio = own.ratio(row, |outcome| outcome.seconds);
        let bar = if row.rival.name == "rsync" {
            // NaN, where there is no bare stream, is not less.
            let [of_rsync, of_bare] = RSYNC_BARS;
            of_rsync.min(of_bare * bare.ratio(row, |outcome| outcome.seconds))
        } else {
            row.rival.bar
        };
        let what = format!("speed to {}", row.rival.name);
        (format!("{ratio:.2}"), judge(&what, ratio >= bar, &format!(">= {bar:.2}"), missed))
    }

    /// The bars that are not of one rival's speed.
    fn others(&self, f: &mut fmt::Formatter<'_>, missed: &mut Vec<String>) -> fmt::Result {
        let [own, ..] = self.rows.as_slice() else { return Ok(()) };
        let other = |name: &str| self.rows.iter().find(|row| row.rival.name == name);
        if let Some(libtorrent) = other("libtorrent").filter(|row| !row.outcomes.is_empty()) {
            let ratio = 1.0 / own.ratio(libtorrent, |outcome| outcome.cpu);
            let bar = format!("<= {CPU_BAR:.2}");
            let verdict = judge("CPU to libtorrent's", ratio <= CPU_BAR, &bar, missed);
            writeln!(f, "modelswarm's CPU time to libtorrent's: {ratio:.2}  {verdict}")?;
        }
        let extra = own.median(|outcome| outcome.extra as f64) / self.size as f64;
        let bar = format!("<= {:.1}%", DISK_BAR * 100.0);
        let verdict = judge("extra disk", extra <= DISK_BAR, &bar, missed);
        writeln!(f, "modelswarm's extra disk at its peak: {:.2}%  {verdict}", extra * 100.0)
    }
}

fn judge(what: &str, met: bool, bar: &str, missed: &mut Vec<String>) -> String {
    if !met {
        missed.push(what.to_owned());
    }
    format!("{bar}  {}", if met { "met" } else { "MISSED" })
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        writeln!(
            f,
            "\n{} MiB, loopback, disk to disk, free pages {}; {} repetitions, medians (best, worst)\n\
             {cores} cores, Linux {}, load before each repetition: {}\n",
            self.size >> 20,
            if self.pages == Pages::Warm { "warm" } else { "cold" },
            self.loads.len(),
            kernel.trim(),
            self.loads.join(", ")
        )?;
        writeln!(
            f,
            "{:<12} {:>6} {:>15} {:>6} {:>6}  {:<15} {:>9} {:>10} {:>8} {:>6}",
            "",
            "s",
            "(best, worst)",
            "MiB/s",
            "ratio",
            "bar",
            "CPU s/GiB",
            "anon. MB",
            "disk +",
            "others"
        )?;
        let mut missed = Vec::new();
        let mut text = String::new();
        for row in &self.rows {
            self.row(f, row, &mut missed)?;
        }
        f.write_char('\n')?;
        self.others(f, &mut missed)?;
        match missed.as_slice() {
            [] => text.write_str("every bar that was measured is met")?,
            missed => write!(text, "missed: {}", missed.join("; "))?,
        }
        writeln!(f, "{text}")
    }
}

/// The middle one, or the mean of the two in the middle; NaN of none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { at(middle) } else { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 }
}
