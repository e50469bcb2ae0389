//! `seed`: its request and its answer as text.

use super::{
    args::{KindArg, SeedArgs, VisibilityArg},
    output::{Screen, count, print_text, size},
};
use crate::{
    config::Visibility,
    rpc::{Code, Failure, Kind, Request, Seed, Seeded},
};

impl From<VisibilityArg> for Visibility {
    fn from(arg: VisibilityArg) -> Self {
        match arg {
            VisibilityArg::Private => Self::Private,
            VisibilityArg::Lan => Self::Lan,
            VisibilityArg::Public => Self::Public,
        }
    }
}

impl From<KindArg> for Kind {
    fn from(arg: KindArg) -> Self {
        match arg {
            KindArg::Model => Self::Model,
            KindArg::Dataset => Self::Dataset,
        }
    }
}

/// The request; the path is made absolute here, since a daemon has another working directory.
pub(super) fn request(args: SeedArgs) -> Result<Request, Failure> {
    let path = std::path::absolute(&args.path).map_err(|why| {
        Failure::new(Code::Usage, format!("cannot use {} as a path: {why}", args.path.display()))
    })?;
    Ok(Request::Seed(Seed {
        path,
        name: args.name,
        version: args.revision,
        kind: args.kind.map(Kind::from),
        license: args.license,
        visibility: args.visibility.map(Visibility::from),
        include: args.include,
        exclude: args.exclude,
        follow_symlinks: args.follow_symlinks,
        copy: args.copy,
        unsigned: args.unsigned,
        onto: args.onto,
        oms: args.oms,
        bases: args.base,
        links: args.link,
    }))
}

/// How far content may go, in words.
pub(super) fn reach(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Private => "this machine only",
        Visibility::Lan => "this LAN",
        Visibility::Public => "everywhere",
    }
}

pub(super) fn print(answer: &Seeded, screen: &Screen) {
    let mut text = String::new();
    let verb = if answer.unchanged { "unchanged since version" } else { "seeded" };
    let version = match &answer.version {
        Some(version) if answer.unchanged => format!(" {version}"),
        _ => String::new(),
    };
    let place = if answer.in_place { ", in place" } else { "" };
    text += &format!(
        "  {verb}{version} {}, {}{place}\n",
        count(answer.files, "file"),
        size(answer.bytes)
    );
    if let Some(release) = &answer.release {
        text += &format!("  release  {release}     share this: files and signed card\n");
    }
    text += &format!("  root     {}     files only\n", answer.root);
    match &answer.publisher {
        Some(publisher) => {
            text +=
                &format!("  publisher {publisher}   visible on: {}\n", reach(answer.visibility));
        }
        None => text += &format!("  unsigned   visible on: {}\n", reach(answer.visibility)),
    }
    print_text(&text);
    if !answer.serving {
        screen.hint("keep `modelswarm daemon` running so that peers can fetch it");
    }
}
