//! The table of routes: what is registered and what `/openapi.json` says are the same rows.
//!
//! ```text
//! table() ─┬─→ Router      (mod.rs)
//!          └─→ OpenAPI 3.1 (openapi.rs)
//! ```
//!
//! So neither can have a route that the other has not. Rows without a handler are served by the region's own routes on the same
//! listener.

mod apps;
mod human;
mod kinds;
mod plane;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, http::Method, routing::MethodRouter};
use model::World;

use crate::plane::Plane;

/// The longest body that is a World or a part of one, bytes.
const WORLD_MOST: usize = World::JSON_MAX;
/// The longest other body of a request for people's use, bytes.
const WORD_MOST: usize = 64 << 10;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Administrators and regions.
    People,
    /// Regions among themselves.
    Regions,
}

/// A parameter of the query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) needed: bool,
    /// In JSON Schema's words: `string`, `integer`.
    pub(super) kind: &'static str,
    pub(super) about: &'static str,
}

impl Param {
    const fn needed(name: &'static str, about: &'static str) -> Self {
        Self { name, needed: true, kind: "string", about }
    }

    const fn maybe(name: &'static str, about: &'static str) -> Self {
        Self { name, needed: false, kind: "string", about }
    }

    const fn maybe_number(name: &'static str, about: &'static str) -> Self {
        Self { name, needed: false, kind: "integer", about }
    }
}

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// JSON of this schema.
    Json(&'static str),
    /// As many lines as there are, each JSON of this schema.
    Lines(&'static str),
    /// Bytes of this media type.
    Bytes(&'static str),
}

/// One row.
pub(super) struct Route {
    pub(super) method: Method,
    /// As axum writes it: `/v1/pools/{name}`, `/v1/overrides/{*subject}`.
    pub(super) path: String,
    pub(super) about: String,
    pub(super) audience: Audience,
    pub(super) params: Vec<Param>,
    /// The schema of the body that it takes.
    pub(super) takes: Option<&'static str>,
    /// Whether that body may be left out.
    pub(super) takes_or_not: bool,
    pub(super) gives: Gives,
    /// Whether the answer carries an `ETag`, and the request says what it was made from.
    pub(super) tagged: bool,
    /// Statuses besides 200, 400 and 401 that are to be expected.
    pub(super) fails: &'static [u16],
    body_most: usize,
    handler: Option<MethodRouter<Arc<Plane>>>,
}

const REASON: Param = Param::needed("reason", "Why, 1 to 200 characters; others read it.");
const WHO: Param = Param::maybe("who", "Who, 1 to 200 characters; whoever came in if left out.");
const DRY_RUN: Param = Param::maybe("dry_run", "`1`: try it on a copy, answer a Preview, change nothing.");
const STALE: Param = Param::maybe("stale", "`1`: answer from what this member knows, without asking a quorum.");

impl Route {
    fn new(method: Method, path: impl Into<String>, about: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            about: about.into(),
            audience: Audience::People,
            params: Vec::new(),
            takes: None,
            takes_or_not: false,
            gives: Gives::Json("Applied"),
            tagged: false,
            fails: &[],
            body_most: WORD_MOST,
            handler: None,
        }
    }

    fn by(self, handler: MethodRouter<Arc<Plane>>) -> Self {
        Self { handler: Some(handler), ..self }
    }

    fn gives(self, schema: &'static str) -> Self {
        Self { gives: Gives::Json(schema), ..self }
    }

    fn gives_bytes(self, media_type: &'static str) -> Self {
        Self { gives: Gives::Bytes(media_type), ..self }
    }

    fn gives_lines(self, schema: &'static str) -> Self {
        Self { gives: Gives::Lines(schema), ..self }
    }

    fn takes(self, schema: &'static str) -> Self {
        Self { takes: Some(schema), takes_or_not: false, ..self }
    }

    fn may_take(self, schema: &'static str) -> Self {
        Self { takes_or_not: true, ..self.takes(schema) }
    }

    fn param(mut self, param: Param) -> Self {
        self.params.push(param);
        self
    }

    fn fails(self, fails: &'static [u16]) -> Self {
        Self { fails, ..self }
    }

    fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }

    /// Whether a repetition under the same request id is recognised: of changes of the plane it is. The region's own routes know of
    /// no ids.
    pub(super) fn knows_ids(&self) -> bool {
        self.audience == Audience::People && self.method != Method::GET && self.handler.is_some()
    }

    /// A read that a quorum confirms.
    fn confirmed(self) -> Self {
        self.param(STALE).fails(&[404, 503])
    }

    /// A change: signed, to be tried, through the log.
    fn changes(self) -> Self {
        self.param(REASON).param(WHO).param(DRY_RUN).fails(&[404, 409, 503, 504])
    }

    /// A change of the World.
    fn changes_world(self) -> Self {
        let route = self.changes().tagged().fails(&[404, 409, 412, 413, 428, 503, 504]);
        Self { body_most: WORLD_MOST, ..route }
    }

    fn for_regions(self, body_most: usize) -> Self {
        Self { audience: Audience::Regions, body_most, ..self }.fails(&[403])
    }
}

/// Every route of the listener.
pub(super) fn table() -> Vec<Route> {
    [plane::rows(), kinds::rows(), human::rows(), apps::rows()].into_iter().flatten().collect()
}

/// The routes for one audience.
pub(super) fn router(audience: Audience) -> Router<Arc<Plane>> {
    let rows = table().into_iter().filter(|route| route.audience == audience);
    rows.fold(Router::new(), |router, route| match route.handler {
        Some(handler) => router.route(&route.path, handler.layer(DefaultBodyLimit::max(route.body_most))),
        None => router,
    })
}
