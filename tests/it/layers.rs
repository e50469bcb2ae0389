//! The architecture as a test: modules import only what stands above them in `lib.rs`, pure modules stay pure, files
//! stay short and say what they are for.
//!
//! It reads the source as text, not as a compiler does: comments, literals and test code are taken away, then every
//! path is looked at, in `use` groups and inline alike. A rename (`use std::fs as f`) is seen where it is imported.

mod source;

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use self::source::{Item, Source};

/// Modules that decide and do no I/O; time and randomness are their arguments.
const PURE: [&str; 6] = ["limits", "config", "dag", "card", "exchange", "rpc"];

/// What a pure module may not name: a path that begins so, or, with `..` in front, one that ends so.
const IMPURE: [&str; 14] = [
    "tokio",
    "sled",
    "std::net",
    "std::fs",
    "std::env",
    "std::thread",
    "..::Instant::now",
    "..::SystemTime::now",
    "rand::rng",
    "rand::random",
    "rand::thread_rng",
    "..::thread_rng",
    "getrandom",
    "OsRng",
];

/// Addresses are values like any other: they open nothing.
const ADDRESSES: [&str; 3] = ["IpAddr", "Ipv4Addr", "Ipv6Addr"];

/// Lines of production code a file may have.
const LINES_MAX: usize = 500;

/// One file of `src/`, without its tests.
struct File {
    path: PathBuf,
    /// `library::fetch::jobs` is `["library", "fetch", "jobs"]`; empty for `lib.rs` and `main.rs`.
    module: Vec<String>,
    text: String,
    source: Source,
}

/// Production files of `src/`: tests lie in `tests.rs`, in a `tests/` folder, or in a module declared for tests alone.
fn production() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    let for_tests: HashSet<Vec<String>> = files
        .iter()
        .flat_map(|file| {
            let modules = file.source.test_modules.iter();
            modules.map(|name| [&file.module[..], std::slice::from_ref(name)].concat())
        })
        .collect();
    files.retain(|file| {
        !(1..=file.module.len()).any(|depth| for_tests.contains(&file.module[..depth]))
    });
    assert!(files.len() > 50, "the source was found");
    files
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(dir).expect("list").map(|entry| entry.expect("entry")) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" {
                collect(root, &path, files);
            }
        } else if name.ends_with(".rs") && !["tests.rs", "testing.rs"].contains(&name.as_str()) {
            let text = fs::read_to_string(&path).expect("source is text");
            let source = Source::read(&text);
            let below = path.strip_prefix(root).expect("below src").with_extension("");
            let mut module: Vec<String> =
                below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if matches!(module.last().map(String::as_str), Some("lib" | "main" | "mod")) {
                module.pop();
            }
            files.push(File { path, module, text, source });
        }
    }
}

/// The modules of the crate in the order that `lib.rs` gives them.
fn order() -> Vec<String> {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    modules_in_order(&fs::read_to_string(lib).expect("lib.rs"))
}

fn modules_in_order(lib: &str) -> Vec<String> {
    let declared = |line: &str| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
    lib.lines().filter_map(declared).collect()
}

/// Imports of `module` (of the crate's top level) that stand at or below it in the order, or are in no order at all.
fn upward(order: &[String], module: &str, depth: usize, source: &Source) -> Vec<String> {
    let place = |name: &str| order.iter().position(|other| other == name);
    let own = place(module);
    let wrong = |path: &Item| -> Option<String> {
        let target = path.top_module(depth)?;
        let said = format!("line {}: {}", path.line, path.segments.join("::"));
        match (target == module, place(target), own) {
            (true, ..) => None,
            (_, Some(target), Some(own)) if target < own => None,
            _ => Some(said),
        }
    };
    source.paths.iter().filter_map(wrong).collect()
}

/// Names in a pure module that do or read what only a shell may.
fn impure(source: &Source) -> Vec<String> {
    let address = |item: &Item| match &item.segments[..] {
        [std, net, name, ..] => std == "std" && net == "net" && ADDRESSES.contains(&name.as_str()),
        _ => false,
    };
    let forbidden = |item: &Item| {
        !address(item)
            && IMPURE.iter().any(|word| match word.strip_prefix("..::") {
                Some(end) => {
                    let end: Vec<&str> = end.split("::").collect();
                    item.segments.windows(end.len()).any(|part| part == end)
                }
                None => {
                    let start: Vec<&str> = word.split("::").collect();
                    item.segments.iter().take(start.len()).eq(start.iter().copied())
                }
            })
    };
    let wrong = source.paths.iter().filter(|item| forbidden(item));
    wrong.map(|item| format!("line {}: {}", item.line, item.segments.join("::"))).collect()
}

fn report(wrong: Vec<String>, rule: &str) {
    assert!(wrong.is_empty(), "{rule}:\n  {}", wrong.join("\n  "));
}

fn named(file: &File, wrong: Vec<String>) -> Vec<String> {
    wrong.into_iter().map(|why| format!("{}: {why}", file.path.display())).collect()
}

#[test]
fn a_module_imports_only_modules_above_it() {
    let order = order();
    let wrong = production().into_iter().flat_map(|file| {
        let Some(top) = file.module.first() else { return Vec::new() };
        named(&file, upward(&order, top, file.module.len(), &file.source))
    });
    report(wrong.collect(), "a module may import only modules above it in lib.rs");
}

#[test]
fn files_stay_short() {
    let wrong = production()
        .iter()
        .filter(|file| file.source.lines > LINES_MAX)
        .map(|file| format!("{}: {} lines", file.path.display(), file.source.lines))
        .collect();
    report(wrong, "a file has at most 500 lines besides its tests");
}

#[test]
fn every_module_at_the_top_stands_in_the_order() {
    let order = order();
    let unknown: HashSet<String> = production()
        .iter()
        .filter_map(|file| file.module.first().cloned())
        .filter(|top| !order.contains(top))
        .collect();
    assert!(unknown.is_empty(), "lib.rs does not declare {unknown:?} as `pub mod`");
    for pure in PURE {
        assert!(order.iter().any(|name| name == pure), "{pure} is gone, and its rule with it");
    }
}

#[test]
fn pure_modules_do_no_io_and_read_no_clock() {
    let wrong = production()
        .iter()
        .filter(|file| file.module.first().is_some_and(|top| PURE.contains(&top.as_str())))
        .flat_map(|file| named(file, impure(&file.source)))
        .collect();
    report(wrong, "a pure module takes time, randomness and bytes as arguments");
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let wrong = production()
        .iter()
        .filter(|file| !says_what_it_is_for(&file.text))
        .map(|file| file.path.display().to_string())
        .collect();
    report(wrong, "a file opens with `//!` and what it is for");
}

/// The crate's own doc is the README.
fn says_what_it_is_for(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("//!").is_some_and(|said| said.trim().len() > 2)
        || first.starts_with("#![doc = include_str!(")
}

// The rules themselves can fail:

fn order_of(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_order_is_read_from_lib() {
    let lib = "//! crate\n\npub mod limits;\n\npub mod dag;\nmod hidden;\n// pub mod gone;\n";
    assert_eq!(modules_in_order(lib), ["limits", "dag"]);
}

#[test]
fn an_upward_import_is_found_in_every_spelling() {
    let order = order_of(&["limits", "dag", "store", "network"]);
    let found = |text: &str, depth: usize| upward(&order, "dag", depth, &Source::read(text)).len();
    assert_eq!(found("use crate::store::Store;", 1), 1);
    assert_eq!(found("use crate::{\n    limits,\n    store::Error,\n    network,\n};", 1), 2);
    assert_eq!(found("use crate::{store::{self, Error}};", 1), 2);
    assert_eq!(found("fn f() -> crate::network::Peer { crate::limits::X }", 1), 1);
    assert_eq!(found("pub(in crate::dag) fn f() {}", 1), 0);
    assert_eq!(found("use crate::dag::Block; use crate::limits;", 1), 0);
    assert_eq!(found("use super::store::Store;", 1), 1);
    assert_eq!(found("use super::store::Store;", 2), 0);
    assert_eq!(found("use super::super::store::Store;", 2), 1);
    assert_eq!(found("use crate::{limits as l, store as s};", 1), 1);
    assert_eq!(found("use crate::*;", 1), 1);
    assert_eq!(found("use modelswarm::store::Store;", 1), 1);
    assert_eq!(found("use crate::unknown::Thing;", 1), 1);
}

#[test]
fn comments_literals_and_tests_import_nothing() {
    let order = order_of(&["limits", "dag", "store"]);
    let text = r##"
//! [`crate::store`]
/// See crate::store::Store.
// crate::store
/* crate::store /* crate::store */ crate::store */
const A: &str = "crate::store \" crate::store";
const B: &str = r#"crate::store " crate::store"#;
fn f<'a>(c: char) -> bool { c == '"' || c == '\'' }
#[cfg(test)]
mod tests {
    use crate::store::Store;
    fn g() { crate::store::h(); }
}
#[cfg(test)]
fn h() { crate::store::h() }
#[cfg(test)]
use crate::store::Store;
"##;
    assert_eq!(upward(&order, "dag", 1, &Source::read(text)), Vec::<String>::new());
    let after = format!("{text}\nfn i() {{ crate::store::h() }}\n");
    assert_eq!(upward(&order, "dag", 1, &Source::read(&after)).len(), 1);
}

#[test]
fn io_and_clocks_are_found_in_every_spelling() {
    let found = |text: &str| impure(&Source::read(text)).len();
    for wrong in [
        "use std::fs;",
        "use std::{collections::HashMap, fs::File};",
        "use std::{io::{self, Read}, net::{IpAddr, TcpStream}, path::Path};",
        "use std::net;",
        "fn f() { let t = std::time::Instant::now(); }",
        "fn f() { let t = Instant::now(); }",
        "fn f() { let t = time::SystemTime::now(); }",
        "use tokio::sync::mpsc;",
        "fn f() { std::thread::spawn(g); }",
        "fn f() { rand::rng(); }",
        "use rand::{Rng, thread_rng};",
        "use sled::Db as Index;",
        "fn f() { std::env::var(\"A\"); }",
    ] {
        assert_eq!(found(wrong), 1, "{wrong}");
    }
    for right in [
        "use std::time::{Duration, Instant};",
        "fn f(now: Instant) -> Instant { now }",
        "use std::{io::Read, net::{IpAddr, Ipv4Addr}};",
        "const A: &str = env!(\"CARGO_PKG_VERSION\");",
        "use rand::{Rng, SeedableRng};",
        "fn fs(net: u8) -> u8 { net }",
        "/// tokio::spawn\nfn f() {}",
        "#[cfg(test)]\nmod tests { fn f() { std::fs::read(\"a\"); } }",
    ] {
        assert_eq!(found(right), 0, "{right}");
    }
}

#[test]
fn lines_of_tests_do_not_count() {
    let text = "//! doc\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n";
    assert_eq!(Source::read(text).lines, 3);
    assert_eq!(Source::read("//! doc\nfn f() {}\n#[cfg(test)]\nmod sim;\nfn g() {}\n").lines, 3);
    assert_eq!(Source::read("#[cfg(test)]\nmod sim;\n").test_modules, ["sim"]);
    assert_eq!(
        Source::read("#[cfg(test)]\n#[allow(x)]\npub(crate) mod sim;").test_modules,
        ["sim"]
    );
}

#[test]
fn a_file_without_a_word_of_its_purpose_is_found() {
    assert!(says_what_it_is_for("//! What it does.\n"));
    assert!(says_what_it_is_for("#![doc = include_str!(\"../README.md\")]\n"));
    assert!(!says_what_it_is_for("use std::fs;\n"));
    assert!(!says_what_it_is_for("//!\nuse std::fs;\n"));
    assert!(!says_what_it_is_for("// What it does.\n"));
}
