use super::*;
use crate::card::content::fixtures::{GGUF_TEMPLATES, SAFETENSORS, bytes};
use crate::card::content::tests::judged;
use crate::card::frontmatter;
use proptest::prelude::*;

fn files(paths: &[(&str, u64)]) -> Vec<(String, u64)> {
    paths.iter().map(|(path, size)| ((*path).to_owned(), *size)).collect()
}

#[test]
fn what_the_headers_say_stands_in_the_text() {
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut findings: Vec<_> =
        shards.iter().map(|path| judged(path, &bytes(SAFETENSORS)).0).collect();
    findings.push(judged("tiny.gguf", &bytes(GGUF_TEMPLATES)).0);
    findings.push(judged("old.pt", b"").0);
    let files = files(&[
        (shards[0], 1_000),
        (shards[1], 2_345_000_000),
        ("tiny.gguf", 999),
        ("old.pt", 5),
        ("tokenizer.json", 5),
    ]);
    let config =
        Config::parse(br#"{"architectures":["LlamaForCausalLM"],"model_type":"llama","x":[1.5]}"#)
            .unwrap();
    let repo = Repo {
        name: "tiny-chat",
        kind: Kind::Model,
        files: &files,
        findings: &findings,
        config: Some(&config),
    };
    let readme = readme(&repo);
    for part in [
        "\n# tiny-chat\n",
        "| Architecture | `LlamaForCausalLM` |",
        "| Model type | `llama` |",
        "| Context length | 2,048 tokens |",
        "| Tokenizer | `tokenizer.json` |",
        "| Chat template | yes |",
        "| `model-*-of-00002.safetensors` | 18 (18) | F16 (12), F32 (6) | 6 |",
        "| `tiny.gguf` | 128 (128) | Q8_0: F32 (64), Q8_0 (64) | 2 |",
        "5 files, 2.34 GB.",
        "| `old.pt` | 5 B | can carry code (pickle) |",
        "AutoModel.from_pretrained(\"./tiny-chat\")",
        "llama-cli -m 'tiny-chat/tiny.gguf'",
        "## Intended use and limitations",
    ] {
        assert!(readme.contains(part), "{part}\n{readme}");
    }
    let metadata = frontmatter::metadata(readme.as_bytes()).unwrap().unwrap();
    assert_eq!(metadata.keys().collect::<Vec<_>>(), ["library_name", "tags"]);
}

#[test]
fn a_dataset_says_what_it_is_made_of() {
    let files = files(&[("data/a.csv.gz", 10), ("data/b.csv.gz", 20), ("README", 1)]);
    let repo = Repo { name: "d", kind: Kind::Dataset, files: &files, findings: &[], config: None };
    let readme = readme(&repo);
    assert!(readme.contains("| `csv.gz` | 2 | 30 B |\n| (none) | 1 | 1 B |"), "{readme}");
    assert!(readme.contains("load_dataset(\"./d\")") && !readme.contains("Weights"));
    assert!(frontmatter::metadata(readme.as_bytes()).unwrap().is_some());
}

#[test]
fn a_configuration_that_says_nothing_is_none() {
    for bytes in [&b"{}"[..], b"[]", b"{\"architectures\":1}", b"", b"\xff"] {
        assert_eq!(Config::parse(bytes), None);
    }
    assert_eq!(Config::parse(&[b' '; 9 << 20]), None);
}

#[test]
fn numbers_are_short_and_grouped() {
    assert_eq!(
        [0, 999, 1_234, 22_713_216, 7_241_732_096, 671_026_419_200].map(short),
        ["0", "999", "1.23K", "22.7M", "7.24B", "671B"]
    );
    assert_eq!(
        [0, 12, 123, 1234, 1_234_567].map(grouped),
        ["0", "12", "123", "1,234", "1,234,567"]
    );
    assert_eq!(size(u64::MAX), "18446744 TB");
}

proptest! {
    #[test]
    fn no_name_breaks_out_of_its_place(name: String, path: String, class: String) {
        let files = [(format!("{path}.gguf"), 1)];
        let config = Config { architectures: vec![class.clone()], model_type: Some(class) };
        let repo = Repo { name: &name, kind: Kind::Model, files: &files, findings: &[], config: Some(&config) };
        let readme = readme(&repo);
        let metadata = frontmatter::metadata(readme.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(metadata.keys().collect::<Vec<_>>(), ["library_name", "tags"]);
        prop_assert_eq!(readme.matches("```").count(), 6);
        let plain = Repo { name: "n", files: &[("p.gguf".into(), 1)], ..repo };
        prop_assert_eq!(readme.lines().count(), super::readme(&plain).lines().count());
        prop_assert!(!readme.chars().any(|c| c.is_control() && c != '\n'));
    }
}
