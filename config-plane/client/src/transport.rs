//! Calls to any endpoint with one identity: a deadline on each, limits on what is buffered, one connection an endpoint.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use pki::{AdminToken, Identity, PkiError};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::{
    CallError, ChannelOptions, Endpoint,
    channel::{Channel, HTTP2, SendError},
    kept::{Generation, in_full},
};

/// Who calls.
pub enum Credentials {
    /// With a certificate of the world: a region's processes, or an administrator.
    Identity(Arc<Identity>),
    /// With a bearer token, and the authority's certificate to know the server by.
    Token {
        /// File of the authority's certificate.
        ca: PathBuf,
        /// The token.
        token: AdminToken,
    },
}

/// A request to some endpoint.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    most: usize,
}

impl Call {
    /// The longest answer that is buffered unless said otherwise, bytes.
    pub const MOST: usize = crate::frame::MOST;

    /// A request for a path, query included.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new(), most: Self::MOST }
    }

    /// `GET` a path.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// `POST` bytes of a media type.
    pub fn post(path: impl Into<String>, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::new(Method::POST, path).body(media_type, body)
    }

    /// With a body.
    #[must_use]
    pub fn body(self, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self.header(header::CONTENT_TYPE, HeaderValue::from_static(media_type)) }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With another limit of the answer's length, bytes.
    #[must_use]
    pub fn most(self, most: usize) -> Self {
        Self { most, ..self }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Calls endpoints with one identity. Clones share their connections.
#[derive(Clone)]
pub struct Transport {
    inner: Arc<Inner>,
}

struct Inner {
    tls: TlsConnector,
    authorization: Option<HeaderValue>,
    options: ChannelOptions,
    /// One entry an endpoint that was ever called; endpoints come from configuration, so there are few.
    channels: Mutex<HashMap<Endpoint, Arc<Channel>>>,
}

impl Transport {
    /// A transport with these credentials.
    pub fn new(credentials: &Credentials, options: ChannelOptions) -> Result<Self, PkiError> {
        let (tls, authorization) = match credentials {
            Credentials::Identity(identity) => (identity.client_config(&[HTTP2])?, None),
            Credentials::Token { ca, token } => (pki::ca_client_config(ca, &[HTTP2])?, bearer(token)),
        };
        let tls = TlsConnector::from(tls);
        Ok(Self { inner: Arc::new(Inner { tls, authorization, options, channels: Mutex::default() }) })
    }

    /// One request, one answer, one deadline for all of it, dialling included.
    pub async fn call(&self, endpoint: &Endpoint, call: &Call, within: Duration) -> Result<Answer, CallError> {
        let deadline = Instant::now() + within;
        let channel = self.channel(endpoint);
        let mut on = None;
        let whole = async {
            let response = self.send(&channel, endpoint, call, &mut on).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok(Answer { status, headers, body: read_whole(endpoint, response.into_body(), call.most).await? })
        };
        match timeout_at(deadline, whole).await {
            Ok(answered) => answered,
            Err(_) => Err(channel.gave_up(endpoint, within, on)),
        }
    }

    /// One request, and an answer whose body is read by the caller as it comes. The deadline is for its head.
    pub async fn open(
        &self,
        endpoint: &Endpoint,
        call: &Call,
        within: Duration,
    ) -> Result<Response<Incoming>, CallError> {
        let deadline = Instant::now() + within;
        let channel = self.channel(endpoint);
        let mut on = None;
        match timeout_at(deadline, self.send(&channel, endpoint, call, &mut on)).await {
            Ok(answered) => answered,
            Err(_) => Err(channel.gave_up(endpoint, within, on)),
        }
    }

    async fn send(
        &self,
        channel: &Channel,
        endpoint: &Endpoint,
        call: &Call,
        on: &mut Option<Generation>,
    ) -> Result<Response<Incoming>, CallError> {
        let endpoint = || endpoint.clone();
        let request =
            self.request(&endpoint(), call).map_err(|why| CallError::Unreachable { endpoint: endpoint(), why })?;
        channel.send(request, on).await.map_err(|e| match e {
            SendError::NotSent(why) => CallError::Unreachable { endpoint: endpoint(), why },
            SendError::Broken(why) => CallError::Broken { endpoint: endpoint(), why },
        })
    }

    fn request(&self, endpoint: &Endpoint, call: &Call) -> Result<Request<Full<Bytes>>, String> {
        let wrong = |e: &dyn fmt::Display| format!("`{}` cannot be requested: {e}", call.path);
        let path = PathAndQuery::try_from(call.path.as_str()).map_err(|e| wrong(&e))?;
        let uri = Uri::builder().scheme("https").authority(endpoint.addr.to_string()).path_and_query(path);
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.uri_mut() = uri.build().map_err(|e| wrong(&e))?;
        *request.method_mut() = call.method.clone();
        *request.headers_mut() = call.headers.clone();
        if let Some(authorization) = &self.inner.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    fn channel(&self, endpoint: &Endpoint) -> Arc<Channel> {
        let mut channels = self.inner.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(endpoint) {
            return Arc::clone(channel);
        }
        let channel = Arc::new(Channel::new(endpoint.clone(), self.inner.tls.clone(), self.inner.options));
        channels.insert(endpoint.clone(), Arc::clone(&channel));
        channel
    }
}

async fn read_whole(endpoint: &Endpoint, body: Incoming, most: usize) -> Result<Bytes, CallError> {
    let too_large = || CallError::TooLarge { endpoint: endpoint.clone(), most };
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    match Limited::new(body, most).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => Err(too_large()),
        Err(e) => Err(CallError::Broken { endpoint: endpoint.clone(), why: in_full(&*e) }),
    }
}

/// Always valid: a token is letters, digits and `_`. Marked so that nothing prints it.
fn bearer(token: &AdminToken) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.secret())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
