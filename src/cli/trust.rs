//! `trust add`, `trust add-endorser`, `trust list`, `trust rm`, `trust rm-endorser`, `trust block`, `trust why`.

use super::{
    args::TrustAction,
    output::{Screen, print_text},
};
use crate::{
    dag::name::escape,
    library::trust::unread_warning,
    rpc::{Request, TrustedPublishers, Why},
};

pub(super) fn request(action: TrustAction) -> Request {
    match action {
        TrustAction::Add { alias, publisher, models, evidence } => {
            Request::TrustAdd { alias, publisher, models, evidence }
        }
        TrustAction::AddEndorser { alias, endorser, kind } => {
            Request::TrustAddEndorser { alias, endorser, kinds: kind }
        }
        TrustAction::RmEndorser { alias } => Request::TrustRmEndorser { alias },
        TrustAction::List => Request::TrustList,
        TrustAction::Rm { alias } => Request::TrustRm { alias },
        TrustAction::Block { id, reason, lift } => Request::TrustBlock { id, reason, lift },
        TrustAction::Why { reference } => Request::TrustWhy { reference },
    }
}

pub(super) fn print(answer: &TrustedPublishers, screen: &Screen) {
    warn(&answer.unread, screen);
    if answer.publishers.is_empty() {
        print_text("  no publisher is trusted yet\n");
    }
    let width = answer.publishers.iter().map(|line| line.alias.len()).max().unwrap_or(0);
    let lines: String = answer
        .publishers
        .iter()
        .map(|line| format!("  {:width$}  {}\n", line.alias, line.publisher))
        .collect();
    let endorsers = answer.endorsers.iter().map(|line| {
        let kinds = line.kinds.as_ref().map(|kinds| format!(" ({})", escape(&kinds.join(", "))));
        format!("  endorser {}{}  {}\n", line.alias, kinds.unwrap_or_default(), line.endorser)
    });
    let endorsers: String = endorsers.collect();
    let blocked = answer.blocked.iter().map(|block| {
        let why = block.reason.as_deref().map(|why| format!("  {}", escape(why)));
        format!("  BLOCKED  {}{}\n", block.id, why.unwrap_or_default())
    });
    print_text(&(lines + &endorsers + &blocked.collect::<String>()));
}

fn warn(unread: &[String], screen: &Screen) {
    if let Some(warning) = unread_warning(unread) {
        screen.warning(&warning);
    }
}

pub(super) fn print_why(answer: &Why, screen: &Screen) {
    warn(&answer.unread, screen);
    let mut text = String::new();
    for reason in &answer.reasons {
        text += &format!("  {:9}  {:7}  {}\n", reason.rule, reason.weight, reason.text);
    }
    text += if answer.allowed { "  it is allowed\n" } else { "  it is refused\n" };
    print_text(&text);
}
