//! The command line: parse, resolve, ask the daemon or a node of our own, print, exit.
//!
//! Each command is a file of its own: its request from the arguments, its answer as text. This module decides only
//! which is which and what the process's exit code is.

mod adopt;
mod args;
mod card;
mod cat;
mod claims;
mod converse;
mod daemon;
mod get;
mod identity;
mod keep;
mod key;
mod lineage;
mod listing;
mod name;
mod output;
mod publisher;
mod resolve;
mod seed;
mod sign;
mod signatures;
mod status;
mod trust;
mod verify;

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use self::{
    args::{CardAction, Cli, Command, KeyAction, NameAction},
    output::Screen,
    resolve::{Context, Output},
};
use crate::rpc::{Answer, Code, Failure, Request};

/// Runs the command line that this process was given.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let json = words.iter().any(|word| word == "--json");
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(why) => return refused(&why, json),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::failure(&failure, json);
            ExitCode::from(u8::from(failure.code))
        }
    }
}

fn refused(why: &clap::Error, json: bool) -> ExitCode {
    let asked = matches!(why.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked {
        output::print_text(&why.render().to_string());
        return ExitCode::SUCCESS;
    }
    if json {
        let text = why.render().to_string();
        let mut parts = text.trim().trim_start_matches("error: ").split("\n\n").map(str::trim);
        let message = parts.next().unwrap_or_default();
        let hint: Vec<&str> = parts.collect();
        let failure = Failure::new(Code::Usage, message).hint(hint.join("; "));
        output::failure(&failure, true);
    } else if why.print().is_err() {
        tracing::debug!("stderr was closed by its reader");
    }
    ExitCode::from(u8::from(Code::Usage))
}

fn run(cli: Cli) -> Result<(), Failure> {
    if let Command::Completions { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "modelswarm", &mut script);
        output::print_text(&String::from_utf8_lossy(&script));
        return Ok(());
    }
    let mut global = cli.global;
    // Of this one command the rates are what it sets, not what it expects to hold.
    let limit = Request::Limit {
        max_up: global.max_up,
        max_down: global.max_down,
        peer_max_up: global.peer_max_up,
        peer_max_down: global.peer_max_down,
    };
    if matches!(cli.command, Command::Limit) {
        (global.max_up, global.max_down) = (None, None);
        (global.peer_max_up, global.peer_max_down) = (None, None);
    }
    let mut context = resolve::resolve(&global)?;
    log(&context.output, matches!(cli.command, Command::Daemon { .. }));
    match cli.command {
        Command::Daemon { http } => {
            daemon::apply(&mut context, http)?;
            daemon::run(context)
        }
        Command::Card { action: CardAction::Init(args) } => {
            let answer = Answer::CardInitialised(card::init(args)?);
            local(&context, &answer, |screen| here(&answer, screen));
            Ok(())
        }
        Command::Key { action } => {
            let ssh = matches!(action, KeyAction::ExportPem { ssh: true });
            let answer = key::run(&context, action)?;
            local(&context, &answer, |screen| match &answer {
                Answer::KeyExported(key) if ssh => {
                    output::print_text(&format!("{}\n", key.ssh.trim_end()))
                }
                _ => here(&answer, screen),
            });
            Ok(())
        }
        Command::Token => {
            let token = crate::library::token::load(&context.home)?;
            let answer = Answer::Token(crate::rpc::TokenShown { token });
            local(&context, &answer, |screen| here(&answer, screen));
            Ok(())
        }
        Command::Publisher { action } if publisher::request(&action).is_none() => {
            let answer = publisher::run(&context, &action)?;
            local(&context, &answer, |screen| here(&answer, screen));
            Ok(())
        }
        command => {
            if let Command::Name { action: NameAction::Publish { key } } = &command {
                context.names_key.clone_from(key);
            }
            let request = match command {
                Command::Limit => limit,
                command => request(command)?,
            };
            let mut screen = Screen::new(context.output);
            if matches!(request, Request::Cat(_)) {
                screen.keep_stdout();
            }
            let asked = converse::ask(&context, &request, &mut screen);
            // Whoever read its output has had enough (`| head`).
            if screen.is_closed() {
                return Ok(());
            }
            let answer = asked?;
            if screen.json() {
                screen.answer(&answer);
            } else {
                print(&context, &request, &answer, &screen);
            }
            verdict(&answer)
        }
    }
}

/// Prints what was done here and now.
fn local(context: &Context, answer: &Answer, print: impl FnOnce(&Screen)) {
    let screen = Screen::new(context.output);
    if screen.json() {
        screen.answer(answer);
    } else {
        print(&screen);
    }
}

/// Prints an answer that needs no node.
fn here(answer: &Answer, screen: &Screen) {
    match answer {
        Answer::CardInitialised(answer) => card::print_init(answer, screen),
        Answer::KeyShown(answer) => key::print_shown(answer, screen),
        Answer::AgentKeys(answer) => key::print_agent(answer, screen),
        Answer::KeyExported(answer) => output::print_text(&answer.pem),
        Answer::KeyMade(answer) => {
            output::print_text(&format!("  {}\n", answer.key));
            screen.hint("keep a backup: whoever loses the key loses the name");
        }
        Answer::Token(answer) => output::print_text(&format!("{}\n", answer.token)),
        Answer::PublisherShown(answer) => publisher::print(answer, screen),
        _ => unreachable!("every other answer is a node's"),
    }
}

fn request(command: Command) -> Result<Request, Failure> {
    Ok(match command {
        Command::Init { alias } => Request::Init { alias },
        Command::Seed(args) => seed::request(args)?,
        Command::Adopt { paths } => adopt::request(&paths)?,
        Command::Get(args) => get::request(args)?,
        Command::Cat(args) => cat::request(args),
        Command::Publish { reference } => Request::Publish { reference },
        Command::Repair => Request::Repair,
        Command::Ls => Request::Ls,
        Command::Show { reference } => Request::Show { reference },
        Command::Card { action } => card::request(action)?,
        Command::Lineage { reference, depth } => Request::Lineage { reference, depth },
        Command::Endorse(args) => claims::endorse(args)?,
        Command::Claims(args) => claims::list(args)?,
        Command::Name { action } => name::request(action),
        Command::ImportSig(args) => signatures::request(args)?,
        Command::Verify { target } => verify::request(&target)?,
        Command::Rm { reference } => Request::Rm { reference },
        Command::Gc => Request::Gc,
        Command::Pin { reference } => Request::Pin { reference },
        Command::Unpin { reference } => Request::Unpin { reference },
        Command::Share { reference, to } => Request::Share { reference, to: to.into() },
        Command::Trust { action } => trust::request(action),
        Command::Id => Request::Id,
        Command::Status => Request::Status,
        Command::Peers => Request::Peers,
        Command::Connect { address } => Request::Connect { address },
        Command::Publisher { action } => {
            publisher::request(&action).expect("what needs no node was done before")
        }
        Command::Daemon { .. }
        | Command::Completions { .. }
        | Command::Key { .. }
        | Command::Token
        | Command::Limit => {
            unreachable!("these were handled before")
        }
    })
}

fn print(context: &Context, request: &Request, answer: &Answer, screen: &Screen) {
    match answer {
        Answer::Seeded(answer) => seed::print(answer, screen),
        Answer::Adopted(answer) => adopt::print(answer, screen),
        Answer::Fetched(answer) => get::print(answer, screen),
        // Its bytes are out, and stdout is theirs.
        Answer::Printed(_) => {}
        Answer::Repos(answer) => listing::print_repos(answer, screen),
        Answer::Shown(answer) => listing::print_shown(answer),
        Answer::CardShown(answer) => card::print_shown(answer),
        Answer::CardLog(answer) => card::print_log(answer, screen),
        Answer::CardDiff(answer) => card::print_diff(answer),
        Answer::ExportedCard(answer) => card::print_exported(answer, screen),
        Answer::Lineage(answer) => lineage::print(answer, screen),
        Answer::Endorsed(answer) => claims::print_endorsed(answer, screen),
        Answer::ImportedClaims(answer) => claims::print_imported(answer, screen),
        Answer::Claims(answer) => claims::print(answer, screen),
        Answer::Names(answer) => name::print_published(answer, screen),
        Answer::Name(answer) => name::print_resolved(answer),
        Answer::ImportedSignature(answer) => signatures::print(answer, screen),
        Answer::Verified(answer) => verify::print(answer),
        Answer::Removed(answer) => keep::print_removed(answer),
        Answer::Collected(answer) => keep::print_collected(answer),
        Answer::Shared(answer) => keep::print_shared(answer, request),
        Answer::Rebuilt(answer) => keep::print_rebuilt(answer, screen),
        Answer::Trust(answer) => trust::print(answer, screen),
        Answer::Why(answer) => trust::print_why(answer, screen),
        Answer::Identity(answer) => identity::print(answer),
        Answer::Initialised(answer) => identity::print_initialised(answer, screen),
        Answer::Status(answer) => {
            status::print(answer, context, screen);
            card::print_contradictions(&answer.contradictions);
            name::print_elsewhere(&answer.names, screen);
        }
        Answer::Limits(answer) => status::print_limits(answer),
        Answer::Peers(answer) => status::print_peers(answer, screen),
        Answer::PublisherShown(_)
        | Answer::CardInitialised(_)
        | Answer::KeyShown(_)
        | Answer::Token(_)
        | Answer::KeyMade(_)
        | Answer::KeyExported(_)
        | Answer::AgentKeys(_) => here(answer, screen),
    }
}

/// Answers that are a failure all the same: scripts see it in the exit code.
fn verdict(answer: &Answer) -> Result<(), Failure> {
    match answer {
        Answer::Verified(verified) if !verified.ok => Err(Failure::new(
            Code::Refused,
            format!(
                "{} not as signed or indexed",
                output::count(verified.bad.len() as u64, "file")
            ),
        )),
        Answer::Adopted(adopted) if adopted.adopted.is_empty() => Err(Failure::new(
            Code::Failure,
            format!("all of it was left out: {}", adopt::first_reason(adopted)),
        )),
        _ => Ok(()),
    }
}

fn log(output: &Output, daemon: bool) {
    let default = match (output.verbose, daemon) {
        (0, false) => "error",
        // Its warnings are for developers: "no known peers" every five minutes, for one.
        (0, true) => "warn,libp2p=error,libp2p_kad=error,libp2p_mdns=error,modelswarm=info",
        (1, _) => "warn,modelswarm=debug",
        // The index's every write, thousands a second.
        _ => "debug,sled=info,modelswarm=trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("MODELSWARM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(output.verbose > 0)
        // Journals and files hold text.
        .with_ansi(!output.plain && io::stderr().is_terminal())
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_ends_with_examples() {
        fn check(command: &clap::Command) {
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                if sub.has_subcommands() {
                    check(sub);
                }
                let after = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(after.starts_with("Examples:"), "{} has no examples", sub.get_name());
            }
        }
        check(&Cli::command());
    }

    #[test]
    fn global_flags_may_stand_after_the_command() {
        let cli =
            Cli::try_parse_from(["modelswarm", "ls", "--json", "--home", "/h"]).expect("valid");
        assert!(cli.global.json);
        assert_eq!(cli.global.home.as_deref(), Some(std::path::Path::new("/h")));
    }
}
