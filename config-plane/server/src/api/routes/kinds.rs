//! Rows of the World as a whole, and of each kind of object in it.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, Query, State, rejection::BytesRejection},
    http::{HeaderMap, Method},
    routing::{delete, get, put},
};
use plane_client::api::path;

use super::Route;
use crate::{
    api::{
        asked::{self, Freshness},
        objects::{self, KINDS, Kind, Shape},
        request::Ask,
        write,
    },
    plane::Plane,
};

type Shared = State<Arc<Plane>>;
type Body = Result<Bytes, BytesRejection>;

pub(super) fn rows() -> Vec<Route> {
    let whole = [
        Route::new(Method::GET, path::WORLD, "The whole World.")
            .by(get(asked::world))
            .gives("World")
            .confirmed()
            .tagged(),
        Route::new(Method::PUT, path::WORLD, "Replaces the whole World; JSON, or TOML as `application/toml`.")
            .by(put(write::set_world))
            .takes("World")
            .changes_world(),
    ];
    let of_kinds = KINDS.iter().flat_map(|kind| match kind.shape {
        Shape::One => only_one(kind),
        Shape::List(_) | Shape::Map => many(kind),
    });
    whole.into_iter().chain(of_kinds).collect()
}

fn many(kind: &'static Kind) -> Vec<Route> {
    let all = format!("/v1/{}", kind.plural);
    let one = format!("{all}/{{name}}");
    let noun = kind.noun;
    vec![
        Route::new(Method::GET, all, format!("Every {noun}."))
            .by(get(async move |State(plane): Shared, Query(fresh): Query<Freshness>| {
                objects::list(kind, &plane, fresh.stale()).await
            }))
            .gives("ObjectList")
            .confirmed()
            .tagged(),
        Route::new(Method::GET, one.clone(), format!("One {noun}."))
            .by(get(
                async move |State(plane): Shared,
                            Path(name): Path<String>,
                            Query(fresh): Query<Freshness>,
                            headers: HeaderMap| {
                    objects::get(kind, &plane, &name, &headers, fresh.stale()).await
                },
            ))
            .gives(kind.schema)
            .confirmed()
            .tagged(),
        Route::new(Method::PUT, one.clone(), format!("Makes or replaces a {noun}."))
            .by(put(
                async move |State(plane): Shared,
                            Path(name): Path<String>,
                            ask: Ask,
                            headers: HeaderMap,
                            body: Body| {
                    objects::put(kind, &plane, &name, (&ask, &headers), body).await
                },
            ))
            .takes(kind.schema)
            .changes_world(),
        Route::new(Method::DELETE, one, format!("Removes a {noun} that nothing refers to."))
            .by(delete(async move |State(plane): Shared, Path(name): Path<String>, ask: Ask, headers: HeaderMap| {
                objects::delete(kind, &plane, &name, (&ask, &headers)).await
            }))
            .changes_world(),
    ]
}

fn only_one(kind: &'static Kind) -> Vec<Route> {
    let path = format!("/v1/{}", kind.plural);
    let noun = kind.noun;
    vec![
        Route::new(Method::GET, path.clone(), format!("The {noun}."))
            .by(get(async move |State(plane): Shared, Query(fresh): Query<Freshness>, headers: HeaderMap| {
                objects::get(kind, &plane, kind.plural, &headers, fresh.stale()).await
            }))
            .gives(kind.schema)
            .confirmed()
            .tagged(),
        Route::new(Method::PUT, path.clone(), format!("Replaces the {noun}."))
            .by(put(async move |State(plane): Shared, ask: Ask, headers: HeaderMap, body: Body| {
                objects::put(kind, &plane, kind.plural, (&ask, &headers), body).await
            }))
            .takes(kind.schema)
            .changes_world(),
        Route::new(Method::DELETE, path, format!("Makes the {noun} what it is by default."))
            .by(delete(async move |State(plane): Shared, ask: Ask, headers: HeaderMap| {
                objects::delete(kind, &plane, kind.plural, (&ask, &headers)).await
            }))
            .changes_world(),
    ]
}
