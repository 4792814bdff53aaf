//! The two paths that the gateway answers itself. Neighbours probe them, so they say what a user would meet here.
//!
//! - `/healthz`: this region can serve. 503 with the reasons in JSON when it cannot.
//! - `/readyz`: new users may be sent here. As `/healthz`, and the region has caught up as far as its owner asks.
//!
//! Both carry what the gateway makes of its own traffic (`traffic.rs`). Both turn 503 when the gateway announces its stop. The paths are reserved: an app's own cannot be seen through the gateway.

use http::{HeaderValue, Method, Response, StatusCode, header};

use crate::{
    body::ResponseBody,
    traffic::{self, Traffic},
};

/// Can this region serve?
pub const HEALTH_PATH: &str = "/healthz";
/// May new users be sent here?
pub const READY_PATH: &str = "/readyz";

/// What the rest of the region says about itself. Asked at every probe: loads, not questions.
pub trait Readiness: Send + Sync + 'static {
    /// Why the region cannot serve, beside its workers; empty when it can.
    fn health_problems(&self) -> Vec<String>;

    /// Why no new users should come although the region can serve; empty by default.
    fn readiness_problems(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The answer at either path.
pub(crate) fn answer(method: &Method, region: &str, problems: &[String], traffic: Traffic) -> Response<ResponseBody> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = Response::new(ResponseBody::own("use GET or HEAD\n"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let (status, word) =
        if problems.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    let body = serde_json::json!({ "status": word, "region": region, "reasons": problems });
    let mut response = Response::new(ResponseBody::own(format!("{body}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(traffic::HEADER, traffic.header());
    response
}
