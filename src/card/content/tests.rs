use super::fixtures::*;
use super::*;
use crate::card::content::tar::tests::old;
use proptest::prelude::*;

/// Judges a whole file as a caller does, and counts the ranges read.
pub(super) fn judged(path: &str, bytes: &[u8]) -> (Finding, usize) {
    let mut pieces = Pieces::default();
    for reads in 0..=limits::CONTENT_READS_MAX + 1 {
        match examine(path, bytes.len() as u64, &pieces) {
            Examination::Done(finding) => return (finding, reads),
            Examination::Needs(range) => {
                assert!(range.start < range.end && range.end <= bytes.len() as u64, "{range:?}");
                pieces.insert(range.start, &bytes[range.start as usize..range.end as usize]);
            }
        }
    }
    panic!("{path}: no end of asking");
}

fn verdict(path: &str, bytes: &[u8]) -> Verdict {
    judged(path, bytes).0.verdict
}

/// The sort of code, or `plain`, `template`, `invalid`.
fn sort(path: &str, bytes: &[u8]) -> &'static str {
    match verdict(path, bytes) {
        Verdict::Plain => "plain",
        Verdict::Template => "template",
        Verdict::Code { what, .. } => what,
        Verdict::Invalid { .. } => "invalid",
    }
}

fn why(path: &str, bytes: &[u8]) -> String {
    match verdict(path, bytes) {
        Verdict::Code { why, .. } | Verdict::Invalid { why, .. } => why,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn what_tools_write_is_told_by_content_under_any_name() {
    for (fixture, expected) in [
        (PICKLE_EVIL_0, "pickle"),
        (PICKLE_EVIL_1, "pickle"),
        (PICKLE_EVIL_2, "pickle"),
        (PICKLE_EVIL_3, "pickle"),
        (PICKLE_EVIL_4, "pickle"),
        (PICKLE_EVIL_5, "pickle"),
        (PICKLE_DATA_2, "pickle"),
        (PICKLE_DATA_3, "pickle"),
        (PICKLE_DATA_4, "pickle"),
        (PICKLE_DATA_5, "pickle"),
        (CLOUDPICKLE, "pickle"),
        (TORCH_LEGACY, "pickle"),
        (TORCH_ZIP, "archive"),
        (ZIP_IN_ZIP, "archive"),
        (NPZ_STORED_OBJECTS, "pickle"),
        (NPZ_DEFLATED_OBJECTS, "pickle"),
        (NPY_OBJECTS, "pickle"),
        (NPY_FIELDS_OBJECTS, "pickle"),
        (JOBLIB, "pickle"),
        (JOBLIB_ZLIB, "pickle"),
        (JOBLIB_GZIP, "pickle"),
        (JOBLIB_XZ, "archive"),
        (JOBLIB_BZ2, "archive"),
        (JOBLIB_LZMA, "archive"),
        (HDF5_PLAIN, "Keras model"),
        (HDF5_KERAS, "Keras model"),
        (SEVEN_ZIP, "archive"),
        (TAR_GNU_LONG, "archive"),
        (TAR_PAX_LONG, "archive"),
        (TAR_GZ, "archive"),
        (PICKLE_GZ, "pickle"),
        (PYC, "program"),
        (ZIP_IMAGES, "plain"),
        (NPZ_STORED_PLAIN, "plain"),
        (NPZ_DEFLATED_PLAIN, "plain"),
        (NPY_PLAIN, "plain"),
        (NPY_FIELDS, "plain"),
        (TAR_PLAIN, "plain"),
        (CSV_GZ, "plain"),
        (SAFETENSORS, "plain"),
        (GGUF, "plain"),
        (GGUF_TEMPLATES, "template"),
        // They import, to make bytes.
        (PICKLE_DATA_0, "pickle"),
        (PICKLE_DATA_1, "pickle"),
    ] {
        let bytes = bytes(fixture);
        let start = bytes[..8.min(bytes.len())].escape_ascii().to_string();
        assert_eq!(sort("model.bin", &bytes), expected, "{start}");
        assert_eq!(sort("deep/er/weights", &bytes), expected, "{start}");
    }
}

#[test]
fn a_name_never_makes_code_safe() {
    let disguises =
        ["model.safetensors", "model.gguf", "train.csv", "README.md", "a.jinja", "x.npz"];
    for fixture in [PICKLE_EVIL_0, PICKLE_EVIL_2, PICKLE_EVIL_4, TORCH_LEGACY, JOBLIB] {
        for path in disguises {
            assert_eq!(sort(path, &bytes(fixture)), "pickle", "{path}");
        }
    }
    assert_eq!(sort("m.gguf", b"GGUF\x03\0\0\0\0cos\nsystem\n(S'id'\ntR."), "pickle");
    for path in disguises {
        assert_ne!(sort(path, &bytes(TORCH_ZIP)), "plain", "{path}");
        assert_ne!(sort(path, &bytes(SEVEN_ZIP)), "plain", "{path}");
        assert_eq!(sort(path, b"\x7fELF\x02\x01\x01"), "program", "{path}");
        assert_eq!(sort(path, b"#!/bin/sh\nid\n"), "program", "{path}");
    }
}

#[test]
fn programs_and_packings_are_told_by_their_first_bytes() {
    let mut windows = [&b"MZ"[..], &[0; 126]].concat();
    windows[0x3c] = 0x70;
    assert_eq!(sort("setup", &windows), "plain");
    windows[0x70..0x74].copy_from_slice(b"PE\0\0");
    assert_eq!(sort("setup", &windows), "program");
    let behind_a_user_block = [&[b' '; 512][..], &bytes(HDF5_PLAIN)].concat();
    assert_eq!(sort("model", &behind_a_user_block), "Keras model");
    for (start, expected) in [
        (&b"\xcf\xfa\xed\xfe"[..], "program"),
        (b"\xca\xfe\xba\xbe\0\0", "program"),
        (b"\0asm\x01\0\0\0", "program"),
        (b"#! /usr/bin/env python3\n", "program"),
        (b"#!not a path", "plain"),
        (b"Rar!\x1a\x07\x01\0", "archive"),
        (b"!<arch>\n", "archive"),
        (b"\x04\x22\x4d\x18", "archive"),
        (b"X\n\0\0\0\x03\0\x04", "R data"),
        (b"RDX3\nX\n", "R data"),
        (b"\xac\xed\0\x05sr", "Java objects"),
        (b"\x1f\x8b\x08\0", "archive"),
        (b"x\x9c is not zlib", "plain"),
        (b"\x93NUMPY\x09\0\0\0\0\0\0\0", "pickle"),
    ] {
        assert_eq!(sort("weights", start), expected, "{}", start.escape_ascii());
    }
}

#[test]
fn names_inside_archives_decide() {
    let zip = bytes(ZIP_IMAGES);
    let renamed = |name: &[u8; 9]| -> Vec<u8> {
        let mut zip = zip.clone();
        for at in 0..zip.len() - 9 {
            if zip[at..at + 9] == *b"img/1.jpg" {
                zip[at..at + 9].copy_from_slice(name);
            }
        }
        zip
    };
    assert_eq!(sort("a.zip", &renamed(b"img/2.jpg")), "plain");
    for name in [b"img/1.bin", b"img/a.pkl", b"image1.py", b"im/1.tgz!", b"x/1.py/.."] {
        let expected =
            if name.ends_with(b"!") || name.ends_with(b"..") { "plain" } else { "archive" };
        assert_eq!(sort("a.zip", &renamed(name)), expected, "{}", name.escape_ascii());
    }
    for name in [b"img/1.zip", b"img/1.npz", b"img/1.tar", b"img/x1.gz", b"im/1.jar ", b"im/s1.so."]
    {
        assert_eq!(sort("a.zip", &renamed(name)), "archive", "{}", name.escape_ascii());
    }
    assert_eq!(sort("a.zip", b"not a zip"), "archive");
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    files.iter().flat_map(|(name, content)| old(name, b'0', content)).collect()
}

/// A zip of these files, stored or deflated; the names in the directory are the files' own.
fn zip_of(files: &[(&str, &[u8])], deflate: bool) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let offset = (zip.len() as u32).to_le_bytes();
        let packed = match deflate {
            true => miniz_oxide::deflate::compress_to_vec(content, 6),
            false => content.to_vec(),
        };
        let sizes = [(packed.len() as u32).to_le_bytes(), (content.len() as u32).to_le_bytes()];
        let method = if deflate { 8 } else { 0 };
        let common = [
            &[20, 0, 0, 0, method, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &sizes.concat(),
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        zip.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat());
        let rest = [&[0; 10][..], &offset, name.as_bytes()].concat();
        directory.extend([b"PK\x01\x02\x14\0", &common[..], &rest].concat());
    }
    let count = (files.len() as u16).to_le_bytes();
    let places = [(directory.len() as u32).to_le_bytes(), (zip.len() as u32).to_le_bytes()];
    let end = [b"PK\x05\x06\0\0\0\0", &count[..], &count, &places.concat(), &[0, 0]].concat();
    [zip, directory, end].concat()
}

#[test]
fn a_pickle_inside_an_archive_is_told_under_any_name() {
    let pickle = bytes(PICKLE_EVIL_4);
    for name in ["note.txt", "notes/data", "a.npy", "img/1.jpg", "x.csv", "w.dat"] {
        for deflate in [false, true] {
            let files = [("readme.txt", &b"harmless\n"[..]), (name, &pickle[..])];
            let zip = zip_of(&files, deflate);
            assert_eq!(sort("data.zip", &zip), "pickle", "{name} {deflate}");
            assert!(why("data.zip", &zip).contains(name), "{name} {deflate}");
        }
        assert_eq!(sort("shard.tar", &tar_of(&[("a.txt", b"a"), (name, &pickle)])), "pickle");
    }
    let honest: [(&str, &[u8]); 3] = [("a.txt", b"a"), ("b/", b""), ("c", b"{}")];
    for deflate in [false, true] {
        assert_eq!(sort("data.zip", &zip_of(&honest, deflate)), "plain");
    }
    assert_eq!(sort("x.tar", &tar_of(&[("a.txt", b"a"), ("c", b"{}")])), "plain");
    for inner in [zip_of(&honest, true), tar_of(&honest[..1]), bytes(PICKLE_GZ), bytes(TORCH_ZIP)] {
        assert_eq!(sort("x.tar", &tar_of(&[("a.txt", &inner)])), "archive");
        assert_eq!(sort("x.zip", &zip_of(&[("a.txt", &inner)], true)), "archive");
    }
}

#[test]
fn of_a_long_zip_only_names_that_tell_nothing_cost_a_read() {
    let filler = vec![b'x'; 64 * 1024];
    let long = |name: &dyn Fn(usize) -> String, count: usize| {
        let names: Vec<String> = (0..count).map(name).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (&name[..], &filler[..])).collect();
        let (finding, reads) = judged("data.zip", &zip_of(&files, false));
        (finding.verdict, reads)
    };
    let (verdict, reads) = long(&|at| format!("img/{at}.jpg"), 200);
    assert!(verdict == Verdict::Plain && reads <= 3, "{verdict:?} after {reads} reads");
    let (verdict, reads) = long(&|at| format!("img/{at}"), 60);
    assert!(verdict == Verdict::Plain && reads > 30, "{verdict:?} after {reads} reads");
    let (verdict, reads) = long(&|at| format!("img/{at}"), 200);
    assert!(matches!(verdict, Verdict::Code { .. }), "{verdict:?}");
    assert_eq!(reads, limits::CONTENT_READS_MAX);
}

#[test]
fn names_that_loaders_run_are_code_without_a_read() {
    for path in [
        "pytorch_model.pt",
        "a/b.PKL",
        "x.joblib",
        "modeling.py",
        "setup.sh",
        "lib.so",
        "lib.so.6",
        "saved_model.pb",
        "model.ckpt-12.meta",
        "model.h5",
        "m.keras",
        "a.ipynb",
        "x.rds",
        "m.engine",
        "x.7z",
        "data.tgz",
        "evil.py.",
        "evil.py ",
    ] {
        let (finding, reads) = judged(path, b"harmless");
        assert!(matches!(finding.verdict, Verdict::Code { .. }), "{path}");
        assert_eq!(reads, 0, "{path}");
    }
}

#[test]
fn what_honest_repos_are_full_of_is_plain() {
    let gzipped = bytes(CSV_GZ);
    for (path, bytes) in [
        ("data.csv.gz", &gzipped[..]),
        ("train-images-idx3-ubyte.gz", &gzipped),
        ("data.csv.bz2", &bytes(CSV_BZ2)),
        ("data.csv.xz", &bytes(CSV_XZ)),
        ("data.jsonl.zst", &bytes(JSONL_ZSTD)),
        ("c/0/0/1", &bytes(JSONL_ZSTD)),
        ("cells.h5ad", &bytes(HDF5_PLAIN)),
        ("x.npz", &bytes(NPZ_STORED_PLAIN)),
        ("x.npz", &bytes(NPZ_DEFLATED_PLAIN)),
        ("images.zip", &bytes(ZIP_IMAGES)),
        ("shard-00000.tar", &bytes(TAR_PLAIN)),
        ("train.parquet", b"PAR1\x15\x04"),
        ("data.arrow", b"ARROW1\0\0"),
        ("model.onnx", b"\x08\x0a\x12\x07pytorch"),
        ("config.json", b"{\"architectures\":[\"X\"]}"),
        ("README.md", b"---\nlicense: mit\n---\n# Hi\n"),
        (".gitattributes", b"*.bin filter=lfs\n"),
        ("notes.txt", b"MZ is a magic\n"),
        ("vocab.txt", b"[PAD]\n[unused0]\n"),
        ("merges.txt", b"#version: 0.2\n\xc4\xa0 t\n"),
        ("page.html", b"<script>1</script>"),
        ("spiece.model", b"\n\x0e\n\x05<unk>\x15\0\0\0\0"),
        ("empty", b""),
        ("zeros.bin", &[0; 4096]),
        ("a.yaml", b"a: !!str b\n"),
        ("tokenizer_config.json", b"{\"bos_token\":\"<s>\"}"),
    ] {
        assert_eq!(sort(path, bytes), "plain", "{path}");
    }
}

#[test]
fn compressed_data_count_by_what_can_be_told_of_them() {
    assert_eq!(sort("a.pkl.zst", &bytes(JSONL_ZSTD)), "pickle");
    assert_eq!(sort("a.tar.zst", &bytes(JSONL_ZSTD)), "archive");
    assert_eq!(sort("a.csv.gz.zst", &bytes(JSONL_ZSTD)), "archive");
    assert_eq!(sort("model.safetensors", &bytes(JSONL_ZSTD)), "archive");
    assert_eq!(sort("cells.h5ad", &bytes(HDF5_KERAS)), "Keras model");
    assert_eq!(sort("a.py.gz", &bytes(CSV_GZ)), "source code");
    assert_eq!(sort("a.tar.gz", &bytes(CSV_GZ)), "archive");
    assert!(why("data.csv.gz", &bytes(PICKLE_GZ)).starts_with("compressed: it imports"));
    assert!(why("data.csv.gz", &bytes(TAR_GZ)).contains("compressed archive"));
}

#[test]
fn templates_are_shown_and_yaml_with_python_objects_is_code() {
    assert_eq!(sort("chat_template.jinja", b"{{ messages }}"), "template");
    let config = format!("{{{}\"chat_template\": \"x\"}}", " ".repeat(2 << 20));
    let (finding, reads) = judged("tokenizer_config.json", config.as_bytes());
    assert_eq!((finding.verdict, reads), (Verdict::Template, 2));
    assert_eq!(
        sort("a.yml", b"x: !!python/object/apply:os.system [id]"),
        "YAML with Python objects"
    );
}

#[test]
fn a_repo_is_let_in_by_its_content_and_by_whose_it_is() {
    let find = |path: &str, bytes: &[u8]| judged(path, bytes).0;
    let findings = [
        find("config.json", b"{}"),
        find("a.jinja", b""),
        find("pytorch_model.bin", &bytes(TORCH_ZIP)),
        find("broken.safetensors", b"not a header"),
    ];
    let admitted = admit(&findings, Leave::Given).unwrap();
    assert_eq!(admitted.warnings.len(), 2);
    assert_eq!(admitted.templates, ["a.jinja"]);
    assert!(
        admitted.warnings[0].starts_with("pytorch_model.bin: archive: it holds archive/data.pkl")
    );
    assert!(admitted.warnings[1].starts_with("broken.safetensors: invalid safetensors: it "));
    for (leave, said) in [(Leave::FromTrusted, "do not trust"), (Leave::FromNobody, "from nobody")]
    {
        let refusal = admit(&findings, leave).unwrap_err();
        assert!(refusal.to_string().contains(said), "{refusal}");
        assert_eq!(refusal.globs(), ["*.bin", "*.safetensors"]);
        assert_eq!(refusal.files().len(), 2);
        assert!(refusal.to_string().contains("archive/data.pkl"));
        let hint = refusal.hint();
        assert!(hint.contains("--exclude '*.bin' --exclude '*.safetensors'"), "{hint}");
        assert!(hint.contains("--allow-code"), "{hint}");
        assert!(admit(&findings[..2], leave).unwrap().warnings.is_empty());
    }
}

/// Ranges of any bytes, whatever the size says: never a panic, always an end, never beyond the bounds.
fn ends(path: &str, size: u64, bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut pieces = Pieces::default();
    let mut total = 0;
    for _ in 0..=limits::CONTENT_READS_MAX {
        match examine(path, size, &pieces) {
            Examination::Done(_) => return Ok(()),
            Examination::Needs(range) => {
                prop_assert!(range.start < range.end && range.end <= size);
                total += range.end - range.start;
                prop_assert!(total <= limits::CONTENT_READ_MAX);
                let at = |at: u64| bytes.get(at as usize % (bytes.len() + 7)).copied().unwrap_or(0);
                let part: Vec<u8> = range.clone().map(at).collect();
                pieces.insert(range.start, &part);
            }
        }
    }
    Err(TestCaseError::fail("no end of asking"))
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "a.bin",
        "a.safetensors",
        "a.gguf",
        "a.zip",
        "a.npz",
        "a.tar",
        "a.csv.gz",
        "a.yaml",
        "tokenizer_config.json",
        "a.jinja",
        "a.h5ad",
        "a.zst",
    ])
}

proptest! {
    #[test]
    fn any_bytes_come_to_an_end(path in path(), bytes: Vec<u8>) {
        ends(path, bytes.len() as u64, &bytes)?;
    }

    #[test]
    fn any_bytes_behind_a_known_beginning_come_to_an_end(
        path in path(),
        start in prop::sample::select(vec![
            &b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"[..], b"\x80\x04", b"PK\x03\x04", b"\x1f\x8b\x08\0",
            b"\x93NUMPY\x01\0", b"x\x9c", b"\x40\0\0\0\0\0\0\0{\"", b"MZ", b"cos\nsystem\n", b"V", b"X\xff\xff\xff\x7f",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        size in prop_oneof![0u64..400, (1u64 << 20)..(3 << 20), Just(u64::MAX), Just(1 << 63)],
    ) {
        ends(path, size, &[start, &bytes].concat())?;
    }

    #[test]
    fn damaged_files_of_tools_come_to_an_end(
        path in path(),
        fixture in prop::sample::select(vec![
            TORCH_ZIP, ZIP_IMAGES, NPZ_DEFLATED_OBJECTS, NPY_FIELDS, TAR_GNU_LONG, TAR_PAX_LONG, GGUF_TEMPLATES,
            SAFETENSORS, PICKLE_DATA_0, TORCH_LEGACY, JOBLIB_ZLIB,
        ]),
        at: prop::sample::Index,
        byte: u8,
        cut: prop::sample::Index,
    ) {
        let mut bytes = bytes(fixture);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        ends(path, bytes.len() as u64, &bytes)?;
        bytes.truncate(cut.index(bytes.len()));
        ends(path, bytes.len() as u64, &bytes)?;
    }

    #[test]
    fn globs_match_every_refused_file_and_spare_other_extensions(
        names in prop::collection::btree_set("[a-z'\\[{*?!,é-]{1,3}(/[a-z]{1,2})?(\\.(bin|pt|x\\[|tar\\.gz))?", 1..30),
        bad in prop::collection::vec(any::<bool>(), 30),
    ) {
        let code = Verdict::Code { what: "pickle", why: "it is".into() };
        let findings: Vec<Finding> = names.iter().zip(&bad).map(|(path, bad)| Finding {
            path: path.clone(),
            verdict: if *bad { code.clone() } else { Verdict::Plain },
            facts: None,
        }).collect();
        if let Err(refusal) = admit(&findings, Leave::FromTrusted) {
            let globs: Vec<_> = refusal.globs().iter().flat_map(|glob| [glob.clone(), format!("**/{glob}")])
                .map(|glob| globset::Glob::new(&glob).unwrap().compile_matcher()).collect();
            for finding in &findings {
                let matched = globs.iter().any(|glob| glob.is_match(&finding.path));
                prop_assert!(matched || finding.verdict == Verdict::Plain, "{:?}", finding.path);
            }
        }
    }
}
