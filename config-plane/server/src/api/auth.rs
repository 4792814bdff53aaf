//! Who asks, and whether they may.
//!
//! | | a region's certificate | an admin's certificate | the bearer token | nothing |
//! |---|---|---|---|---|
//! | votes | yes | 403 | 403 | 401 |
//! | everything else | yes | yes | yes | 401 |
//!
//! Raft is no part of it: its frames are for whoever has a region's certificate (`listen.rs`).
//! A certificate of another authority never gets here: the handshake refuses it.

use std::{path::PathBuf, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use pki::{Principal, TokenHash};
use plane_client::{Problem, ProblemKind};

use super::problem::No;

/// Whose certificate the connection came with.
#[derive(Debug, Clone)]
pub(crate) struct Peer(pub(crate) Option<Principal>);

/// Who asks, once it is established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    Region(String),
    Admin(String),
    Token,
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Region(name) => write!(f, "region {name}"),
            Self::Admin(name) => write!(f, "admin {name}"),
            Self::Token => f.write_str("the holder of the token"),
        }
    }
}

/// What is needed to tell who may come in.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// File with the hash of the bearer token.
    pub(crate) token_hash: Option<PathBuf>,
}

/// Lets nobody past without a certificate or the token, and notes who it is.
pub(super) async fn admit(
    State(admission): State<Arc<Admission>>,
    mut request: Request,
    next: Next,
) -> Result<Response, No> {
    let peer = request.extensions().get::<Peer>().and_then(|peer| peer.0.clone());
    let caller = match peer {
        Some(Principal::Region(name)) => Caller::Region(name),
        Some(Principal::Admin(name)) => Caller::Admin(name),
        None => by_token(&admission, request.headers().get(header::AUTHORIZATION).cloned()).await?,
    };
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Lets only regions past.
pub(super) async fn regions_only(request: Request, next: Next) -> Result<Response, No> {
    match request.extensions().get::<Caller>() {
        Some(Caller::Region(_)) => Ok(next.run(request).await),
        Some(other) => {
            let message = format!("{other} may not do this: it is for the regions of this world among themselves");
            Err(No(Problem::new(ProblemKind::Forbidden, message)))
        }
        None => Err(unauthorized("there is no certificate")),
    }
}

async fn by_token(admission: &Admission, authorization: Option<HeaderValue>) -> Result<Caller, No> {
    let Some(authorization) = authorization else {
        return Err(unauthorized("the request has neither a certificate of this world nor a bearer token"));
    };
    let presented = authorization.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
    let Some(presented) = presented.map(str::to_owned) else {
        return Err(unauthorized("the authorization is not a bearer token"));
    };
    let Some(file) = admission.token_hash.clone() else {
        return Err(unauthorized("this region admits certificates only"));
    };
    // Read at each use, so that a new token holds at once; on a thread, since it is a file.
    let admitted = tokio::task::spawn_blocking(move || TokenHash::load(&file).map(|hash| hash.admits(&presented)));
    match admitted.await {
        Ok(Ok(true)) => Ok(Caller::Token),
        Ok(Ok(false)) => Err(unauthorized("the bearer token is wrong, or it was replaced")),
        Ok(Err(error)) => Err(No(Problem::new(ProblemKind::Internal, error.to_string()))),
        Err(error) => Err(No(Problem::new(ProblemKind::Internal, format!("the token was not checked: {error}")))),
    }
}

fn unauthorized(message: &str) -> No {
    let hint = "show a certificate of this world's authority, or the token in the data directory's admin.token";
    No(Problem::new(ProblemKind::Unauthorized, message).hint(hint))
}
