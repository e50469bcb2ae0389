//! `card export`: its request and its answer as text.

use super::{
    args::CardAction,
    output::{Screen, print_text},
};
use crate::{
    dag::name::escape,
    rpc::{Code, ExportedCard, Failure, Request},
};

/// The request; the path is made absolute here, since a daemon has another working directory.
pub(super) fn request(action: CardAction) -> Result<Request, Failure> {
    match action {
        CardAction::Export { reference, output } => {
            let output = std::path::absolute(&output).map_err(|why| {
                let path = output.display();
                Failure::new(Code::Usage, format!("cannot use {path} as a path: {why}"))
            })?;
            Ok(Request::CardExport { reference, output })
        }
    }
}

pub(super) fn print(answer: &ExportedCard, screen: &Screen) {
    print_text(&format!(
        "  {}@{}  {}\n  card     {}\n  {}: {}\n",
        answer.name,
        answer.version,
        answer.publisher,
        answer.card,
        escape(&answer.path.display().to_string()),
        answer.files.join(", "),
    ));
    screen.hint("VERIFY.md there says how to check the files without modelswarm");
}
