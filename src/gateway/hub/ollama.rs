//! `/v2`: a GGUF model of a repo as older llama.cpp and Ollama pull it, by tag: the quantisation in the file's name.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use serde_json::json;

use super::{Error, file};
use crate::{
    card::{json::hex, manifest::FileEntry},
    dag::block::sha256,
    library::{Library, blocking, hub::State},
};

/// Quantisations that are taken for `latest`, the first that is there; else the first GGUF file.
const PREFERRED: [&str; 2] = ["q4_k_m", "q8_0"];

/// The manifest of the model that a tag means.
pub(super) async fn manifest(
    library: &Library,
    state: State,
    tag: &str,
) -> Result<Response, Error> {
    let files = files(library, &state).await?;
    let none = || Error::no_entry(state.version.commit(), &format!("a GGUF file tagged {tag}"));
    let model = chosen(&files, tag).ok_or_else(none)?;
    let config = config(model);
    let layer = |file: &FileEntry, kind: &str| {
        json!({
            "digest": format!("sha256:{}", hex(&file.sha256)),
            "mediaType": format!("application/vnd.ollama.image.{kind}"),
            "size": file.size,
        })
    };
    let mut layers = vec![layer(model, "model")];
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "digest": format!("sha256:{}", hex(&sha256(&config))),
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": config.len(),
        },
        "ggufFile": { "rfilename": model.path, "size": model.size },
    });
    if let Some(projector) = files.iter().find(|file| is_projector(file)) {
        layers.push(layer(projector, "projector"));
        manifest["mmprojFile"] = json!({ "rfilename": projector.path, "size": projector.size });
    }
    manifest["layers"] = json!(layers);
    let mut response = Response::new(Body::from(manifest.to_string()));
    let kind = HeaderValue::from_static("application/vnd.docker.distribution.manifest.v2+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// A file by its digest, or the configuration that belongs to one.
pub(super) async fn blob(
    library: &Library,
    state: State,
    digest: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let files = files(library, &state).await?;
    let wanted = digest.strip_prefix("sha256:").unwrap_or(digest);
    if let Some(file) = files.iter().find(|file| hex(&file.sha256) == wanted) {
        return file::answer(library, state, &file.path, method, headers).await;
    }
    let configs = files.iter().filter(|file| is_model(file)).map(config);
    let Some(config) = configs.into_iter().find(|config| hex(&sha256(config)) == wanted) else {
        return Err(Error::new(StatusCode::NOT_FOUND, format!("{digest} is not in this version")));
    };
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_LENGTH, config.len().into());
    if method != Method::HEAD {
        *response.body_mut() = Body::from(config);
    }
    Ok(response)
}

async fn files(library: &Library, state: &State) -> Result<Vec<FileEntry>, Error> {
    let (library, version) = (library.clone(), state.version.clone());
    let gguf = move || {
        let files = version.files(&library)?.iter();
        Ok(files.filter(|file| is_gguf(file)).cloned().collect())
    };
    Ok(blocking(gguf).await?)
}

fn is_gguf(file: &FileEntry) -> bool {
    file.path.to_lowercase().ends_with(".gguf")
}

fn name(file: &FileEntry) -> String {
    file.path.rsplit('/').next().unwrap_or_default().to_lowercase()
}

fn is_projector(file: &FileEntry) -> bool {
    name(file).contains("mmproj")
}

/// Of a model in several files the first one leads to the others.
fn is_model(file: &FileEntry) -> bool {
    let name = name(file);
    let later_part = name.contains("-of-") && !name.contains("-00001-of-");
    !is_projector(file) && !later_part
}

/// The model that a tag means.
fn chosen<'a>(files: &'a [FileEntry], tag: &str) -> Option<&'a FileEntry> {
    let tagged = |tag: &str| {
        let tag = tag.to_lowercase();
        files.iter().find(|file| is_model(file) && has_parts(&name(file), &tag))
    };
    if tag == "latest" {
        let preferred = PREFERRED.iter().find_map(|tag| tagged(tag));
        return preferred.or_else(|| files.iter().find(|file| is_model(file)));
    }
    tagged(tag)
}

/// Whether a tag is some of the parts of a file's name, one after the other: `f16` is no part of `bf16`.
fn has_parts(name: &str, tag: &str) -> bool {
    let parts = |text| str::split(text, ['-', '.', '_']).collect::<Vec<_>>();
    let (name, tag) = (parts(name), parts(tag));
    name.windows(tag.len()).any(|some| some == tag)
}

/// What Ollama wants to know before it loads a model; it reads the rest from the file.
fn config(model: &FileEntry) -> Vec<u8> {
    json!({
        "model_format": "gguf",
        "model_family": "",
        "model_families": [],
        "model_type": "",
        "file_type": "",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(&model.sha256))] },
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<FileEntry> {
        let file = |path: &&str| FileEntry {
            path: (*path).to_owned(),
            size: 1,
            sha256: sha256(path.as_bytes()),
            cid: crate::dag::Cid::default(),
        };
        paths.iter().map(file).collect()
    }

    #[test]
    fn a_tag_means_the_quantisation_in_the_name_and_latest_the_usual_one() {
        let files = files(&["m-F16.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-Q2_K.gguf"]);
        let chosen = |tag| chosen(&files, tag).map(|file| file.path.as_str());
        assert_eq!(chosen("latest"), Some("m-Q4_K_M.gguf"));
        assert_eq!(chosen("q8_0"), Some("m-Q8_0.gguf"));
        assert_eq!(chosen("Q2_K"), None, "a projector is no model");
    }

    #[test]
    fn a_tag_is_whole_parts_of_the_name() {
        let files = files(&["m-BF16.gguf", "m-F16.gguf", "m-IQ4_XS.gguf", "m.q4_k_m.gguf"]);
        let chosen = |tag| chosen(&files, tag).map(|file| file.path.as_str());
        assert_eq!(chosen("F16"), Some("m-F16.gguf"));
        assert_eq!(chosen("bf16"), Some("m-BF16.gguf"));
        assert_eq!(chosen("Q4_K_M"), Some("m.q4_k_m.gguf"));
        assert_eq!(chosen("Q4"), Some("m.q4_k_m.gguf"), "not IQ4_XS");
        for tag in ["16", "K_", "4_K_M", "-F16", "F16.ggu"] {
            assert_eq!(chosen(tag), None, "{tag}");
        }
    }

    #[test]
    fn of_parts_the_first_is_the_model() {
        let files = files(&["q/m-00002-of-00002.gguf", "q/m-00001-of-00002.gguf"]);
        assert_eq!(chosen(&files, "latest").map(name).as_deref(), Some("m-00001-of-00002.gguf"));
    }
}
