//! Made models, and folders as values that can be compared.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use sha2::{Digest as _, Sha256};

pub(crate) const MIB: usize = 1 << 20;

/// Deterministic bytes that do not repeat.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64*: quick, and no two chunks alike.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("make folders");
    fs::write(path, bytes).expect("write");
}

/// A safetensors file with a valid header and one tensor of `len` bytes.
pub(crate) fn safetensors(path: &Path, seed: u64, len: usize) {
    let len = len / 4 * 4;
    let mut header = format!(
        r#"{{"embeddings.weight":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{len}]}}}}"#,
        len / 4
    );
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    fs::create_dir_all(path.parent().expect("a parent")).expect("make folders");
    let mut file = File::create(path).expect("create");
    file.write_all(&(header.len() as u64).to_le_bytes()).expect("write");
    file.write_all(header.as_bytes()).expect("write");
    file.write_all(&noise(seed, len)).expect("write");
}

/// A GGUF file of one tensor of about `len` bytes, with this chat template.
pub(crate) fn gguf(template: &str, len: usize) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let entry =
        |name: &str, value: &str| [text(name), 8u32.to_le_bytes().to_vec(), text(value)].concat();
    let len = len / 32 * 32;
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend(1u64.to_le_bytes());
    file.extend(2u64.to_le_bytes());
    file.extend(entry("general.architecture", "llama"));
    file.extend(entry("tokenizer.chat_template", template));
    file.extend(text("token_embd.weight"));
    // One dimension of F32, at the beginning of the data.
    file.extend(1u32.to_le_bytes());
    file.extend((len as u64 / 4).to_le_bytes());
    file.extend(0u32.to_le_bytes());
    file.extend(0u64.to_le_bytes());
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend(noise(1, len));
    file
}

/// A zip of these members, stored.
pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut files, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let at = (files.len() as u32).to_le_bytes();
        let size = (data.len() as u32).to_le_bytes();
        // No flags, stored, no time; nobody here checks a CRC.
        let common = [&[10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0][..], &size, &size].concat();
        let name_len = (name.len() as u16).to_le_bytes();
        files.extend(
            [b"PK\x03\x04", &common[..], &name_len, &[0; 2], name.as_bytes(), data].concat(),
        );
        let entry =
            [b"PK\x01\x02", &[10, 0][..], &common, &name_len, &[0; 12], &at, name.as_bytes()];
        directory.extend(entry.concat());
    }
    let count = (members.len() as u16).to_le_bytes();
    let (at, len) = ((files.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    let end = [b"PK\x05\x06", &[0; 4][..], &count, &count, &len, &at, &[0; 2]].concat();
    [files, directory, end].concat()
}

/// A model's folder as people publish it, its content given by `seed`, its weights of `len` bytes.
pub(crate) fn model(dir: &Path, seed: u64, len: usize) {
    safetensors(&dir.join("model.safetensors"), seed, len);
    let readme = format!(
        "---\nlicense: apache-2.0\nlanguage: [en]\ntags:\n- sentence-similarity\n---\n# Model {seed}\n"
    );
    write(&dir.join("README.md"), readme);
    write(&dir.join("config.json"), format!("{{\"model_type\":\"bert\",\"seed\":{seed}}}\n"));
    write(&dir.join("tokenizer.json"), noise(seed ^ 0xFF, 40_000));
    write(&dir.join(".gitattributes"), "*.safetensors filter=lfs diff=lfs merge=lfs -text\n");
    write(&dir.join("1_Pooling/config.json"), "{\"pooling_mode_mean_tokens\":true}\n");
}

/// Number of files that [`model`] makes.
pub(crate) const MODEL_FILES: u64 = 6;

/// All files below a folder, each by its path with size and digest. Folders that hold nothing end in `/`.
pub(crate) fn tree(dir: &Path) -> BTreeMap<String, (u64, String)> {
    let mut found = BTreeMap::new();
    walk(dir, "", &mut found);
    found
}

fn walk(dir: &Path, prefix: &str, found: &mut BTreeMap<String, (u64, String)>) {
    let mut any = false;
    for entry in fs::read_dir(dir).unwrap_or_else(|why| panic!("{}: {why}", dir.display())) {
        let entry = entry.expect("entry");
        any = true;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("type");
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), found);
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("link");
            found.insert(path, (0, format!("-> {}", target.display())));
        } else {
            found.insert(path, digest(&entry.path()));
        }
    }
    if !any && !prefix.is_empty() {
        found.insert(prefix.to_owned(), (0, String::new()));
    }
}

/// Size and SHA-256 of a file.
pub(crate) fn digest(path: &Path) -> (u64, String) {
    let mut file = File::open(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; MIB]);
    loop {
        let read = file.read(&mut buffer).expect("read");
        if read == 0 {
            break;
        }
        size += read as u64;
        hash.update(&buffer[..read]);
    }
    (size, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Bytes of all files of a tree.
pub(crate) fn size(tree: &BTreeMap<String, (u64, String)>) -> u64 {
    tree.values().map(|(size, _)| size).sum()
}

/// Bytes that hidden partial files below a folder take on the disk; `None` if there is no such file.
pub(crate) fn partial_bytes(dir: &Path) -> Option<u64> {
    let mut sum = None;
    for entry in fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(below) = partial_bytes(&path) {
                *sum.get_or_insert(0) += below;
            }
        } else if entry.file_name().to_string_lossy().contains(".modelswarm-partial") {
            let blocks = entry.metadata().map_or(0, |metadata| metadata.blocks());
            *sum.get_or_insert(0) += blocks * 512;
        }
    }
    sum
}

/// Copies a folder with all below it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("make folder");
    for entry in fs::read_dir(from).expect("list").map(|entry| entry.expect("entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy");
        }
    }
}
