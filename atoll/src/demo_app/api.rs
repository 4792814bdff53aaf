//! The JSON twins of the pages, for programs and tests. Every change answers with the state after it.

use std::sync::Arc;

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::{
    routes::{CartForm, LoginForm, ShopError, known_or_new, with_session, without_session},
    session::SessionId,
    shop::{CartChange, Shop},
    store::StoreError,
};

/// A `ShopError`, told in JSON.
struct ApiError(ShopError);

impl From<ShopError> for ApiError {
    fn from(error: ShopError) -> Self {
        Self(error)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, words) = self.0.explain();
        (status, [(header::CACHE_CONTROL, "no-store")], Json(serde_json::json!({ "error": words }))).into_response()
    }
}

pub(super) fn routes() -> Router<Arc<Shop>> {
    Router::new()
        .route("/api/state", get(state))
        .route("/api/visit", post(visit))
        .route("/api/login", post(login))
        .route("/api/logout", post(logout))
        .route("/api/cart/add", post(add))
        .route("/api/cart/remove", post(remove))
}

async fn told(shop: &Shop, id: Option<&SessionId>) -> Result<Response, ApiError> {
    let state = shop.state(id).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(state)).into_response())
}

async fn state(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Result<Response, ApiError> {
    told(&shop, SessionId::of(&headers).as_ref()).await
}

async fn visit(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Result<Response, ApiError> {
    shop.visit().await?;
    told(&shop, SessionId::of(&headers).as_ref()).await
}

async fn login(
    State(shop): State<Arc<Shop>>,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Result<Response, ApiError> {
    let id = known_or_new(&headers)?;
    shop.login(&id, &form.name).await?;
    Ok(with_session(told(&shop, Some(&id)).await?, &id))
}

async fn logout(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(id) = SessionId::of(&headers) {
        shop.logout(&id).await?;
    }
    Ok(without_session(told(&shop, None).await?))
}

async fn add(shop: State<Arc<Shop>>, headers: HeaderMap, form: Form<CartForm>) -> Result<Response, ApiError> {
    change(&shop, &headers, &form.item, CartChange::Add).await
}

async fn remove(shop: State<Arc<Shop>>, headers: HeaderMap, form: Form<CartForm>) -> Result<Response, ApiError> {
    change(&shop, &headers, &form.item, CartChange::Remove).await
}

async fn change(shop: &Shop, headers: &HeaderMap, item: &str, change: CartChange) -> Result<Response, ApiError> {
    let id = known_or_new(headers)?;
    if !shop.change_cart(&id, item, change).await? {
        return Err(ShopError::NoSuchItem.into());
    }
    Ok(with_session(told(shop, Some(&id)).await?, &id))
}
