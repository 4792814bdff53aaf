//! The pages: forms in, a page or a redirect to it out.

use std::sync::Arc;

use axum::{
    Form, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::{
    page,
    session::SessionId,
    shop::{CartChange, Shop},
    store::StoreError,
};

#[derive(Deserialize)]
pub(super) struct LoginForm {
    #[serde(default)]
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct CartForm {
    pub(super) item: String,
}

/// Why a request was not done.
pub(super) enum ShopError {
    Store(StoreError),
    NoSuchItem,
    NoRandomness,
}

impl From<StoreError> for ShopError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl ShopError {
    /// The status and the words for the visitor; the cause goes to the log.
    pub(super) fn explain(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Store(error) => {
                tracing::warn!(%error, "a request failed");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The shop cannot reach its shelves just now. Please try again in a moment.",
                )
            }
            Self::NoSuchItem => (StatusCode::BAD_REQUEST, "There is no such item in this shop."),
            Self::NoRandomness => (StatusCode::INTERNAL_SERVER_ERROR, "No session can be made just now."),
        }
    }
}

impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        let (status, words) = self.explain();
        (status, [(header::CACHE_CONTROL, "no-store")], Html(page::apology(words))).into_response()
    }
}

pub(super) fn pages() -> Router<Arc<Shop>> {
    Router::new()
        .route("/", get(index))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/cart/add", post(add))
        .route("/cart/remove", post(remove))
        .route("/healthz", get(async || "ok\n"))
}

async fn index(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Result<Response, ShopError> {
    shop.visit().await?;
    let state = shop.state(SessionId::of(&headers).as_ref()).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Html(page::shop(&state))).into_response())
}

async fn login(
    State(shop): State<Arc<Shop>>,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Result<Response, ShopError> {
    let id = known_or_new(&headers)?;
    shop.login(&id, &form.name).await?;
    Ok(with_session(Redirect::to("/"), &id))
}

async fn logout(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Result<Response, ShopError> {
    if let Some(id) = SessionId::of(&headers) {
        shop.logout(&id).await?;
    }
    Ok(without_session(Redirect::to("/")))
}

async fn add(shop: State<Arc<Shop>>, headers: HeaderMap, form: Form<CartForm>) -> Result<Response, ShopError> {
    change(&shop, &headers, &form.item, CartChange::Add).await
}

async fn remove(shop: State<Arc<Shop>>, headers: HeaderMap, form: Form<CartForm>) -> Result<Response, ShopError> {
    change(&shop, &headers, &form.item, CartChange::Remove).await
}

async fn change(shop: &Shop, headers: &HeaderMap, item: &str, change: CartChange) -> Result<Response, ShopError> {
    let id = known_or_new(headers)?;
    if !shop.change_cart(&id, item, change).await? {
        return Err(ShopError::NoSuchItem);
    }
    Ok(with_session(Redirect::to("/"), &id))
}

/// A visitor has a cart before logging in, so whoever changes something gets an id.
pub(super) fn known_or_new(headers: &HeaderMap) -> Result<SessionId, ShopError> {
    match SessionId::of(headers) {
        Some(id) => Ok(id),
        None => SessionId::random().map_err(|_| ShopError::NoRandomness),
    }
}

/// Gives the visitor the id with the answer.
pub(super) fn with_session(answer: impl IntoResponse, id: &SessionId) -> Response {
    let mut response = answer.into_response();
    if let Some(cookie) = id.cookie() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Takes the visitor's id away with the answer.
pub(super) fn without_session(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().append(header::SET_COOKIE, SessionId::cleared_cookie());
    response
}
