//! `trust add`, `trust list`, `trust rm`.

use super::{args::TrustAction, output::print_text};
use crate::rpc::{Request, TrustedPublishers};

pub(super) fn request(action: TrustAction) -> Request {
    match action {
        TrustAction::Add { alias, publisher } => Request::TrustAdd { alias, publisher },
        TrustAction::List => Request::TrustList,
        TrustAction::Rm { alias } => Request::TrustRm { alias },
    }
}

pub(super) fn print(answer: &TrustedPublishers) {
    if answer.publishers.is_empty() {
        print_text("  no publisher is trusted yet\n");
        return;
    }
    let width = answer.publishers.iter().map(|line| line.alias.len()).max().unwrap_or(0);
    let lines: String = answer
        .publishers
        .iter()
        .map(|line| format!("  {:width$}  {}\n", line.alias, line.publisher))
        .collect();
    print_text(&lines);
}
