//! The one table: medians, each with its ratio and its bar.

use std::{fs, thread};

use super::scenario::{Outcome, Scenario};

/// Prints the head.
pub(super) fn head(repeat: usize) {
    // Of this the reader learns whether anything else was running.
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{repeat} repetitions, medians (best, worst); {cores} cores, load before {load}\n");
    println!(
        "{:<44} {:>7} {:>16} {:>11} {:>6}  bar",
        "what", "s", "(best, worst)", "reference s", "ratio"
    );
}

/// Prints the rows of a scenario.
pub(super) fn rows(scenario: &Scenario, outcomes: &[Outcome]) {
    let (seconds, (best, worst)) = median(outcomes.iter().map(|outcome| outcome.seconds));
    let (reference, _) = median(outcomes.iter().map(|outcome| outcome.reference));
    let (crowd, bar) = (scenario.is_crowd(), scenario.bar);
    let (what, ratio, met, sign) = if crowd {
        let ratio = seconds / reference;
        ("size / rate", ratio, ratio <= bar, "<=")
    } else {
        let ratio = reference / seconds;
        ("bare TCP", ratio, ratio >= bar, ">=")
    };
    println!(
        "{:<44} {seconds:>7.2} {:>16} {reference:>11.2} {ratio:>6.3}  {sign} {bar:.2} {}",
        format!("{}, {} MiB, of {what}", scenario.name, scenario.size),
        format!("({best:.2}, {worst:.2})"),
        verdict(met)
    );
    let sent = || outcomes.iter().filter_map(|outcome| outcome.sent.as_ref());
    if crowd {
        share("  copies the seeder sent", median(sent().map(|sent| sent.copies)));
        share("  sent by all, over the useful bytes", median(sent().map(|sent| sent.surplus)));
    }
}

/// A row of payload, whose bar is 1.1.
fn share(what: &str, (median, (best, worst)): (f64, (f64, f64))) {
    let range = format!("({best:.2}, {worst:.2})");
    let verdict = verdict(median <= 1.1);
    println!("{what:<44} {:>7} {range:>16} {:>11} {median:>6.3}  <= 1.10 {verdict}", "", "");
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// The middle one (of an even number the upper), the least and the greatest.
fn median(values: impl Iterator<Item = f64>) -> (f64, (f64, f64)) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(values.len() / 2), (at(0), at(values.len().saturating_sub(1))))
}
