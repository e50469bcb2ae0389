//! `id` and `init`.

use super::output::{Screen, print_text};
use crate::rpc::{Identity, Initialised};

pub(super) fn print(answer: &Identity) {
    let mut text = format!("  node       {}\n  publisher  {}", answer.peer_id, answer.publisher);
    if let Some(alias) = &answer.alias {
        text += &format!("   ({alias})");
    }
    text.push('\n');
    for address in &answer.addrs {
        text += &format!("  address    {address}\n");
    }
    print_text(&text);
}

pub(super) fn print_initialised(answer: &Initialised, screen: &Screen) {
    let verb = if answer.created { "made" } else { "found" };
    print_text(&format!(
        "  {verb} {}\n  node       {}\n  publisher  {}\n",
        answer.home.display(),
        answer.peer_id,
        answer.publisher
    ));
    screen.hint(&format!(
        "the publisher key IS your name as a publisher, and nobody can give you another copy: back up {}",
        answer.publisher_key.display()
    ));
}
