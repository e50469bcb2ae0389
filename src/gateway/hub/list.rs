//! Lists of repos: searched, filtered, sorted, in pages.

use axum::response::Response;
use serde_json::{Map as Object, Value as Json};

use super::{Asked, Error, answer_json, info};
use crate::{
    library::{
        blocking,
        hub::{self, Listing},
    },
    limits,
    rpc::Kind,
};

/// The repos of a kind that the query asks for.
pub(super) async fn answer(asked: &Asked<'_>, kind: Kind) -> Result<Response, Error> {
    let listings = hub::list(asked.library, kind, asked.audience).await?;
    // By whatever name the client knows a publisher, the lists call it by its alias.
    let authors = {
        let library = asked.library.clone();
        let written: Vec<String> = asked.query.all("author").map(str::to_owned).collect();
        blocking(move || Ok(hub::authors(&library, written.iter().map(String::as_str)))).await?
    };
    let mut repos: Vec<(Listing, Object<String, Json>)> = listings
        .into_iter()
        .map(|it| {
            let card = it.version.as_ref().and_then(|version| version.card());
            let object = info::repo(&it.id, it.commit, it.visibility, card);
            (it, object)
        })
        .filter(|(it, object)| {
            authors.iter().all(|author| *author == Some(it.publisher)) && matches(asked, object)
        })
        .collect();
    // By what this node knows nothing of, all are equal.
    if let Some(key @ ("lastModified" | "createdAt")) = asked.query.first("sort") {
        repos.sort_by(|(_, a), (_, b)| text(b, key).cmp(text(a, key)));
        if asked.query.first("direction") == Some("1") {
            repos.reverse();
        }
    }
    let (page, next) = asked.page(limits::HUB_PAGE)?.of(repos);
    let full = asked.query.flag("full");
    let library = asked.library.clone();
    let page = blocking(move || {
        let with_files = |(listing, mut object): (Listing, Object<String, Json>)| {
            if let (true, Some(version)) = (full, &listing.version) {
                let siblings = info::siblings(version.files(&library)?, false);
                object.insert("siblings".to_owned(), siblings);
            }
            Ok(Json::Object(object))
        };
        page.into_iter().map(with_files).collect()
    });
    Ok(asked.with_next(answer_json(&Json::Array(page.await?)), next))
}

fn text<'a>(object: &'a Object<String, Json>, key: &str) -> &'a str {
    object.get(key).and_then(Json::as_str).unwrap_or_default()
}

/// Whether a repo is what the query asks for: every word, every tag.
fn matches(asked: &Asked<'_>, object: &Object<String, Json>) -> bool {
    let query = &asked.query;
    let id = text(object, "id").to_lowercase();
    let tags: Vec<String> = object
        .get("tags")
        .and_then(Json::as_array)
        .map(|tags| tags.iter().filter_map(Json::as_str).map(str::to_lowercase).collect())
        .unwrap_or_default();
    let has_tag = |tag: &str| tags.contains(&tag.to_lowercase());
    query.all("search").all(|word| id.contains(&word.to_lowercase()))
        && query.all("filter").flat_map(|filter| filter.split(',')).all(has_tag)
        && query.all("pipeline_tag").all(|tag| text(object, "pipeline_tag") == tag)
}
