//! Rows of what people do by hand.

use axum::{
    http::Method,
    routing::{delete, get, post, put},
};
use plane_client::api::path;

use super::{DRY_RUN, REASON, Route, WHO};
use crate::api::{asked, node, write};

pub(super) fn rows() -> Vec<Route> {
    vec![
        Route::new(Method::GET, path::OVERRIDES, "The overrides in force.")
            .by(get(asked::overrides))
            .gives("Overrides")
            .confirmed(),
        Route::new(
            Method::POST,
            path::OVERRIDES,
            "Takes a region or member out of answers, or keeps it in, for a while.",
        )
        .by(post(write::set_override))
        .takes("SetOverride")
        .param(DRY_RUN)
        .fails(&[409, 503, 504]),
        Route::new(Method::DELETE, format!("{}/{{*subject}}", path::OVERRIDES), "Takes a human's word back.")
            .by(delete(write::clear_override))
            .changes(),
        Route::new(Method::DELETE, format!("{}/{{*subject}}", path::DAMPING), "Forgets how often a subject went Down.")
            .by(delete(write::clear_damping))
            .changes(),
        Route::new(Method::GET, path::GATES, "The gates that are closed.")
            .by(get(asked::gates))
            .gives("Gates")
            .confirmed(),
        Route::new(Method::PUT, format!("{}/{{*scope}}", path::GATES), "Closes a gate: `world`, or `pool/NAME`.")
            .by(put(write::set_gate))
            .takes("SetGate")
            .changes(),
        Route::new(Method::DELETE, format!("{}/{{*scope}}", path::GATES), "Opens a gate.")
            .by(delete(write::clear_gate))
            .changes(),
        Route::new(Method::GET, path::HOMES, "Where each pool's state is at home.")
            .by(get(asked::homes))
            .gives("Homes")
            .confirmed(),
        Route::new(Method::PUT, format!("{}/{{pool}}", path::HOMES), "Moves a home, under a new fencing epoch.")
            .by(put(write::move_home))
            .takes("MoveHome")
            .changes(),
        Route::new(Method::GET, path::NODE_AUTOMATION, "Whether the automation of the member that answers is stopped.")
            .by(get(node::automation))
            .gives("LeverReport"),
        Route::new(
            Method::PUT,
            path::NODE_AUTOMATION,
            "Stops or starts the automation of the member that answers; needs no quorum and is never forwarded.",
        )
        .by(put(node::set_automation))
        .takes("SetLever")
        .gives("LeverReport")
        .param(REASON)
        .param(WHO),
    ]
}
