//! `verify`: its request and its answer as text.

use super::{
    get::{remarks, whose},
    output::{count, print_text, size},
    signatures,
};
use crate::rpc::{Code, Failure, Request, Target, Verified};

/// The request.
pub(super) fn request(target: &str) -> Result<Request, Failure> {
    Ok(Request::Verify { target: self::target(target)? })
}

/// What starts with `/`, `./`, `../` or `~` is a path, all else a REF.
pub(super) fn target(target: &str) -> Result<Target, Failure> {
    let is_path = ["/", "./", "../", "~"].iter().any(|start| target.starts_with(start))
        || target == "."
        || target == "..";
    Ok(if is_path {
        let path = match target.strip_prefix("~/").zip(std::env::home_dir()) {
            Some((rest, home)) => home.join(rest),
            None => target.into(),
        };
        Target::Path(std::path::absolute(&path).map_err(|why| {
            Failure::new(Code::Usage, format!("cannot use {} as a path: {why}", path.display()))
        })?)
    } else {
        Target::Reference(target.into())
    })
}

pub(super) fn print(answer: &Verified) {
    let mut text = String::new();
    for bad in &answer.bad {
        text += &format!("  BAD  {bad}\n");
    }
    if answer.ok {
        text += &format!(
            "  ok {}, {}, every byte read and verified\n  {}\n  root {}\n",
            count(answer.files, "file"),
            size(answer.bytes),
            whose(&answer.provenance),
            answer.root
        );
    }
    text += &remarks(&answer.provenance);
    text += &signatures::lines(&answer.signatures);
    print_text(&text);
}
