//! Ollama's folder: `manifests/REGISTRY/NAMESPACE/NAME/TAG`, JSON that lists layers, over `blobs/sha256-HEX`.
//!
//! Each manifest is one version. Its layers get names by what they are, so that the version reads as a folder of a model:
//! the weights as NAME-TAG.gguf, then `template`, `params.json`, `LICENSE` and so on. Blobs are files of that folder alone: a
//! link is not followed.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Candidate, Stated, find::Findings, named, text};
use crate::{
    card::json::parse_hex,
    dag::name::escape,
    library::{Watch, files, note, scan::Found},
    limits,
    rpc::{Failure, Kind},
};

#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(default)]
    config: Option<Layer>,
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Debug, Deserialize)]
struct Layer {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    digest: String,
    size: u64,
}

/// A layer with the name that it gets.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    path: String,
    sha256: [u8; 32],
    hex: String,
    size: u64,
}

/// Lists all models below a folder that holds `manifests` and `blobs`.
///
/// # Errors
/// Interrupted (130) if nobody waits any more.
pub(super) fn models(folder: &Path, found: &mut Findings, watch: &Watch) -> Result<(), Failure> {
    let mut manifests = Vec::new();
    if let Err(why) = collect(&folder.join("manifests"), 0, &mut manifests) {
        found.leave(&folder.join("manifests"), why);
    }
    manifests.sort_unstable();
    for manifest in manifests {
        watch.check()?;
        match candidate(&manifest) {
            Ok(candidate) => found.add(candidate),
            Err(why) => found.leave(&manifest, why),
        }
    }
    Ok(())
}

/// Manifests lie four levels below: registry, namespace, name, tag. Links are not followed.
fn collect(folder: &Path, depth: usize, all: &mut Vec<PathBuf>) -> Result<(), String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        if all.len() >= limits::ADOPT_REPOS {
            return Err(format!("it has more than {} models", limits::ADOPT_REPOS));
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < 3 => collect(&entry.path(), depth + 1, all)?,
            Ok(kind) if kind.is_file() && depth == 3 && entry.file_name() != ".DS_Store" => {
                all.push(entry.path());
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the place of a manifest says: the model as Ollama calls it, and its name and tag.
fn called(manifest: &Path) -> Result<(String, String), String> {
    text(manifest)?;
    let parts: Vec<&str> = manifest
        .ancestors()
        .take(4)
        .map(|at| at.file_name().and_then(|name| name.to_str()).unwrap_or_default())
        .collect();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let is_part = |part: &&str| !part.is_empty() && part.len() <= 255 && part.chars().all(allowed);
    let [tag, name, namespace, registry] = parts[..] else {
        return Err("it is no manifest of Ollama".into());
    };
    if !parts.iter().all(is_part) {
        return Err("its name is no model's of Ollama".into());
    }
    Ok((format!("{registry}/{namespace}/{name}:{tag}"), format!("{name}-{tag}")))
}

fn candidate(manifest: &Path) -> Result<Candidate, String> {
    let (model, _) = called(manifest)?;
    let (name, layers) = layers_of(manifest)?;
    let mut stated = HashMap::new();
    let mut files = Vec::with_capacity(layers.len());
    for layer in layers {
        let file = lying(manifest, &layer)?;
        stated.insert(file.source.clone(), Stated::Sha256(layer.sha256));
        files.push(file);
    }
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(Candidate {
        name,
        kind: Kind::Model,
        adopted: Some(note::Adopted::Ollama { model }),
        location: manifest.to_owned(),
        files,
        empty: Vec::new(),
        stated,
    })
}

/// The files of a model: under which names, and where they lie.
///
/// # Errors
/// Why they can't be told.
pub(super) fn files_of(manifest: &Path) -> Result<Vec<Found>, String> {
    let (_, layers) = layers_of(manifest)?;
    layers.iter().map(|layer| lying(manifest, layer)).collect()
}

fn layers_of(manifest: &Path) -> Result<(String, Vec<Named>), String> {
    let (_, label) = called(manifest)?;
    let name = named(&label)?;
    let bytes = files::read_at_most(manifest, limits::ADOPT_MANIFEST_BYTES)
        .map_err(|why| format!("its manifest can't be read: {why}"))?;
    let layers = name_layers(&name, &bytes, |hex| is_gguf(manifest, hex))?;
    Ok((name, layers))
}

/// The layers of a manifest with the names that they get.
fn name_layers(
    name: &str,
    manifest: &[u8],
    is_gguf: impl Fn(&str) -> bool,
) -> Result<Vec<Named>, String> {
    if manifest.len() > limits::ADOPT_MANIFEST_BYTES {
        return Err("its manifest is too large".into());
    }
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|why| format!("its manifest is none of Ollama's: {why}"))?;
    if manifest.layers.is_empty() {
        return Err("its manifest lists no layer".into());
    }
    if manifest.layers.len() > limits::ADOPT_LAYERS {
        return Err(format!("its manifest lists more than {} layers", limits::ADOPT_LAYERS));
    }
    let mut taken = HashSet::new();
    let config = manifest.config.iter().map(|layer| (layer, true));
    let layers = manifest.layers.iter().map(|layer| (layer, false)).chain(config);
    layers
        .map(|(layer, is_config)| {
            let hex = layer.digest.strip_prefix("sha256:").unwrap_or_default();
            let sha256 = parse_hex(hex).ok_or_else(|| {
                format!("\"{}\" in its manifest is no sha256", escape(&layer.digest))
            })?;
            let kind = layer.media_type.rsplit('.').next().unwrap_or_default();
            let weights = if is_gguf(hex) { "gguf" } else { "bin" };
            let (stem, end) = match kind {
                _ if is_config => ("ollama-config".to_owned(), "json"),
                "model" => (name.to_owned(), weights),
                "projector" => ("mmproj".to_owned(), weights),
                "adapter" => ("adapter".to_owned(), weights),
                "params" | "messages" => (kind.to_owned(), "json"),
                "template" | "system" | "prompt" => (kind.to_owned(), ""),
                "license" => ("LICENSE".to_owned(), ""),
                _ => ("layer".to_owned(), ""),
            };
            let path = free(&mut taken, &stem, end);
            Ok(Named { path, sha256, hex: hex.to_owned(), size: layer.size })
        })
        .collect()
}

/// The first of `stem`, `stem-2`, `stem-3` … that no other layer has.
fn free(taken: &mut HashSet<String>, stem: &str, end: &str) -> String {
    let end = if end.is_empty() { String::new() } else { format!(".{end}") };
    let mut path = format!("{stem}{end}");
    let mut number = 2;
    // As file systems that know no case see it.
    while !taken.insert(path.to_ascii_lowercase()) {
        path = format!("{stem}-{number}{end}");
        number += 1;
    }
    path
}

/// Where a blob lies; older versions of Ollama wrote `sha256:HEX`.
fn blob(manifest: &Path, hex: &str) -> Option<PathBuf> {
    let models = manifest.ancestors().nth(5)?;
    let names = [format!("sha256-{hex}"), format!("sha256:{hex}")];
    names
        .iter()
        .map(|name| models.join("blobs").join(name))
        .find(|path| fs::symlink_metadata(path).is_ok())
}

fn lying(manifest: &Path, layer: &Named) -> Result<Found, String> {
    let Named { path, hex, size, .. } = layer;
    let source = blob(manifest, hex).ok_or_else(|| format!("its blob sha256-{hex} is missing"))?;
    let metadata = fs::symlink_metadata(&source)
        .map_err(|why| format!("its blob sha256-{hex} can't be read: {why}"))?;
    if !metadata.is_file() {
        return Err(format!("its blob sha256-{hex} is a link, or no file"));
    }
    if metadata.len() != *size {
        let len = metadata.len();
        return Err(format!("its blob sha256-{hex} has {len} bytes, of {size}"));
    }
    Ok(Found { path: path.clone(), source, size: *size })
}

fn is_gguf(manifest: &Path, hex: &str) -> bool {
    let Some(path) = blob(manifest, hex) else { return false };
    let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
    let mut magic = [0; 4];
    is_file
        && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && &magic == b"GGUF"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manifest(layers: &[(&str, &str)]) -> Vec<u8> {
        let layer = |(kind, digest): &(&str, &str)| {
            serde_json::json!({
                "mediaType": format!("application/vnd.ollama.image.{kind}"),
                "digest": digest,
                "size": 3,
            })
        };
        let layers: Vec<_> = layers.iter().map(layer).collect();
        serde_json::to_vec(&serde_json::json!({ "schemaVersion": 2, "layers": layers }))
            .expect("plain data")
    }

    #[test]
    fn layers_are_named_by_what_they_are() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let kinds =
            ["model", "projector", "template", "system", "params", "license", "license", "new"];
        let layers: Vec<_> = kinds.iter().map(|kind| (*kind, digest.as_str())).collect();
        let named = name_layers("tiny-1b", &manifest(&layers), |_| true).expect("a manifest");
        let names: Vec<&str> = named.iter().map(|layer| layer.path.as_str()).collect();
        assert_eq!(
            names,
            [
                "tiny-1b.gguf",
                "mmproj.gguf",
                "template",
                "system",
                "params.json",
                "LICENSE",
                "LICENSE-2",
                "layer"
            ]
        );
        let other = name_layers("tiny-1b", &manifest(&layers[..1]), |_| false).expect("a manifest");
        assert_eq!(other[0].path, "tiny-1b.bin");
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let refused = |bytes: &[u8]| name_layers("a", bytes, |_| true).is_err();
        assert!(refused(b"") && refused(b"{}") && refused(b"[]"));
        assert!(refused(&manifest(&[("model", "sha256:../../../etc/passwd")])));
        assert!(refused(&manifest(&[("model", "md5:00")])));
        let digest = format!("sha256:{}", "ab".repeat(32));
        let many = vec![("license", digest.as_str()); limits::ADOPT_LAYERS + 1];
        assert!(refused(&manifest(&many)));
    }

    #[test]
    fn a_model_is_called_by_the_place_of_its_manifest() {
        let path = Path::new("/o/models/manifests/registry.ollama.ai/library/llama3.2/1b");
        let expected = ("registry.ollama.ai/library/llama3.2:1b".into(), "llama3.2-1b".into());
        assert_eq!(called(path), Ok(expected));
        assert!(called(Path::new("/o/manifests/r/n/m/\u{1b}[2J")).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_manifest_or_none(bytes: Vec<u8>) {
            let _ = name_layers("a", &bytes, |_| false);
        }
    }
}
