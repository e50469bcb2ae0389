use super::*;
use crate::card::json;
use proptest::prelude::*;

/// The metadata as DAG-JSON.
fn read(readme: &str) -> Option<String> {
    let map = metadata(readme.as_bytes()).unwrap_or_else(|error| panic!("{readme:?}: {error}"))?;
    Some(String::from_utf8(json::encode(&Value::Map(map)).unwrap()).unwrap())
}

fn yaml(text: &str) -> String {
    read(&format!("---\n{text}\n---\n# Title\n")).unwrap()
}

fn refused(text: &str) -> Error {
    match metadata(format!("---\n{text}\n---\n").as_bytes()) {
        Err(error) => error,
        Ok(map) => panic!("{text:?}: {map:?}"),
    }
}

#[test]
fn scalars_follow_the_core_schema_of_yaml_1_2() {
    let table = [
        // YAML 1.1 would make these booleans, dates or sexagesimal numbers.
        ("yes", r#""yes""#),
        ("no", r#""no""#),
        ("on", r#""on""#),
        ("Off", r#""Off""#),
        ("y", r#""y""#),
        ("12:30:45", r#""12:30:45""#),
        ("2020-01-01", r#""2020-01-01""#),
        ("2001-12-14t21:59:43.10-05:00", r#""2001-12-14t21:59:43.10-05:00""#),
        // Floats keep their source text.
        ("1.0", r#""1.0""#),
        ("0.412", r#""0.412""#),
        ("1e-5", r#""1e-5""#),
        (".5", r#"".5""#),
        (".nan", r#"".nan""#),
        ("-.inf", r#""-.inf""#),
        ("1_000", r#""1_000""#),
        // Integers, booleans, null.
        ("42", "42"),
        ("-7", "-7"),
        ("+7", "7"),
        ("0", "0"),
        ("-0", "0"),
        ("012", "12"),
        ("0o17", "15"),
        ("0xfF", "255"),
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551616", r#""18446744073709551616""#),
        ("-9223372036854775809", r#""-9223372036854775809""#),
        ("0o8", r#""0o8""#),
        ("0x", r#""0x""#),
        ("--1", r#""--1""#),
        ("+-1", r#""+-1""#),
        ("true", "true"),
        ("FALSE", "false"),
        ("tRue", r#""tRue""#),
        ("null", "null"),
        ("~", "null"),
        ("", "null"),
        // Quoted and block scalars are always text.
        ("'42'", r#""42""#),
        (r#""true""#, r#""true""#),
        (r#""\x41\n""#, r#""A\n""#),
        ("|\n  a\n  b", r#""a\nb\n""#),
        (">-\n  a\n  b", r#""a b""#),
        ("apache-2.0", r#""apache-2.0""#),
    ];
    for (text, json) in table {
        assert_eq!(yaml(&format!("k: {text}")), format!(r#"{{"k":{json}}}"#), "{text}");
    }
}

#[test]
fn a_hub_card_becomes_metadata() {
    let text = "license: apache-2.0\nlanguage:\n- en\n- no\ntags: [a, 'b']\nbase_model: org/base\n\
                # comment\ndataset_info:\n  class_label:\n    names:\n      0: neg\n      '1': pos\n      1.5: x";
    assert_eq!(
        yaml(text),
        concat!(
            r#"{"base_model":["org/base"],"dataset_info":{"class_label":{"names":"#,
            r#"{"0":"neg","1":"pos","1.5":"x"}}},"#,
            r#""language":["en","no"],"license":"apache-2.0","tags":["a","b"]}"#
        )
    );
    assert_eq!(yaml("base_model:\n- a\n- b"), r#"{"base_model":["a","b"]}"#);
}

#[test]
fn front_matter_stands_at_the_start_or_not_at_all() {
    for readme in [
        "",
        "# Title",
        "\n---\na: 1\n---\n",
        "text\n---\na: 1\n---",
        "----\na: 1\n---\n",
        " ---\na: 1\n---\n",
    ] {
        assert_eq!(read(readme), None, "{readme:?}");
    }
    let one = Some(r#"{"a":1}"#.to_owned());
    for readme in [
        "---\na: 1\n---\n",
        "---\na: 1\n---",
        "---\r\na: 1\r\n---\r\nText",
        "\u{feff}---\na: 1\n---\n",
        "---  \na: 1\n--- \n",
        "---\na: 1\n---\n---\na: 2\n---\n",
    ] {
        assert_eq!(read(readme), one, "{readme:?}");
    }
    for readme in ["---\n---\n", "---\n\n---\n", "---\n# nothing\n---\n"] {
        assert_eq!(read(readme), Some("{}".to_owned()), "{readme:?}");
    }
    for readme in ["---", "---\na: 1\n", "---\na: 1\n ---\n", "---\n\nA rule, then text.\n"] {
        assert_eq!(metadata(readme.as_bytes()), Err(Error::Unclosed), "{readme:?}");
    }
}

#[test]
fn bytes_after_the_front_matter_do_not_matter() {
    assert!(metadata(b"---\na: 1\n---\n\xff\xfe").unwrap().is_some());
    assert_eq!(metadata(b"---\na: \xff\n---\n"), Err(Error::NotUtf8));
}

#[test]
fn what_readers_could_disagree_on_is_refused() {
    let table = [
        ("a: &x 1", "an anchor (&name)"),
        ("a: &x [1]", "an anchor (&name)"),
        ("&x a: 1", "an anchor (&name)"),
        ("a: !!str 1", "a tag (!name)"),
        ("a: !python/object:os.system x", "a tag (!name)"),
        ("a: ! x", "a tag (!name)"),
        ("a: !x {b: 1}", "a tag (!name)"),
        ("<<: {a: 1}", "a merge key (<<)"),
        ("? [a]\n: 1", "a list or mapping as a key"),
        ("? {a: 1}\n: 1", "a list or mapping as a key"),
        ("null: 1", "a key that is null, true or false"),
        ("true: 1", "a key that is null, true or false"),
        (": 1", "a key that is null, true or false"),
        ("/: x", "the key \"/\", which DAG-JSON reserves"),
        ("a: 1\n...\nb: 2", "a second document"),
        ("a: 1\n--- \nb: 2", "UNREACHABLE"),
        ("a: 1\n--- b\n", "a second document"),
    ];
    for (text, what) in table {
        if what == "UNREACHABLE" {
            // That line closes the front matter: what follows is Markdown.
            assert_eq!(yaml(text), r#"{"a":1}"#);
            continue;
        }
        match refused(text) {
            Error::Refused { what: found, .. } => assert_eq!(found, what, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(matches!(refused("a: *x"), Error::Syntax { .. } | Error::Refused { .. }));
}

#[test]
fn duplicate_keys_are_refused_at_every_level_and_in_every_dress() {
    for (text, line) in [
        ("a: 1\na: 2", 3),
        ("a: 1\n'a': 2", 3),
        ("a: 1\n\"\\x61\": 2", 3),
        ("x:\n  b: 1\n  b: 2", 4),
        ("x: {b: 1, b: 2}", 2),
        ("0: a\n'0': b", 3),
    ] {
        assert!(matches!(refused(text), Error::Duplicate { line: at, .. } if at == line), "{text}");
    }
}

#[test]
fn bombs_are_refused_soon() {
    let laughs = "a: &a [x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]";
    assert!(matches!(refused(laughs), Error::Refused { line: 2, .. }));
    for deep in [
        format!("a: {}", "[".repeat(100_000)),
        format!("a: {}{}", "[".repeat(32), "]".repeat(32)),
        format!("a: {}", "{b: ".repeat(50_000)),
        (0..40).map(|n| " ".repeat(n) + "a:\n").collect(),
        format!("a:\n{}x", "- ".repeat(100)),
        format!("a: [{}]", "x,".repeat(70_000)),
    ] {
        match refused(&deep) {
            Error::Refused { what: "too many values or levels", .. } => {}
            // The scanner has limits of its own for nested flow collections.
            Error::Syntax { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let long = format!("a: {}", "x".repeat(limits::FRONT_MATTER_MAX));
    assert_eq!(refused(&long), Error::TooLarge);
    assert_eq!(
        metadata(&[b"---\n".as_slice(), &vec![b'\n'; limits::FRONT_MATTER_MAX + 9]].concat()),
        Err(Error::TooLarge)
    );
    let escaped = format!("a: \"{}\"", "\\x01".repeat(limits::FRONT_MATTER_MAX / 5));
    assert_eq!(refused(&escaped), Error::TooLarge);
    let allowed = format!("a: {}{}", "[".repeat(31), "]".repeat(31));
    assert!(yaml(&allowed).contains("[["));
}

#[test]
fn broken_yaml_names_its_line() {
    assert!(matches!(refused("a: 1\n\tb: 2"), Error::Syntax { line: 2, .. }));
    assert!(matches!(refused("a:\n\t- b"), Error::Syntax { line: 3, .. }));
    assert!(matches!(refused("a: [1"), Error::Syntax { .. }));
    assert!(matches!(refused("a: \"x"), Error::Syntax { .. }));
    assert!(matches!(refused("a: b: c"), Error::Syntax { line: 2, .. }));
    assert_eq!(refused("- a\n- b"), Error::NotAMapping);
    assert_eq!(refused("just text"), Error::NotAMapping);
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>) {
        let readme = [b"---\n".as_slice(), &bytes, b"\n---\n"].concat();
        let _ = metadata(&readme).is_ok();
    }

    #[test]
    fn any_yaml_like_text_never_panics_and_gives_dag_json(
        text in "([a-c]: |- |\\[|\\]|\\{|\\}|,|\n|  |\t|\"|'|&a |\\*a|!t |#|\\||>|%|\\?|:|\\.\\.\\.|---|<<|\\\\|\u{85}|\0){0,40}"
    ) {
        if let Ok(Some(map)) = metadata(format!("---\n{text}\n---\n").as_bytes()) {
            prop_assert!(json::encode(&Value::Map(map)).is_ok());
        }
    }
}
