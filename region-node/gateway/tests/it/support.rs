//! The test world: a gateway on port 0, workers made of closures, clients that read whole answers.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use gateway::{AppConfig, GatewayConfig, GatewayHandle, Limits, Readiness, TokenSource, Waited};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use model::{RegionName, Token, Worker};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, timeout},
};

/// Long enough for a loaded machine; reached only by a failing test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The token of this region and the fate of others' tokens, set by the test.
pub(crate) struct State {
    pub(crate) last_write: Mutex<Token>,
    pub(crate) seen: watch::Sender<u64>,
    pub(crate) problems: Mutex<Vec<String>>,
}

impl State {
    pub(crate) fn write(&self) {
        self.last_write.lock().unwrap().hlc += 1;
    }
}

impl TokenSource for State {
    fn last_write(&self) -> Token {
        *self.last_write.lock().unwrap()
    }

    fn wait_for(&self, token: Token, deadline: Instant) -> std::pin::Pin<Box<dyn Future<Output = Waited> + Send + '_>> {
        let mut seen = self.seen.subscribe();
        Box::pin(async move {
            if token.region > 3 {
                return Waited::OriginUnreachable;
            }
            let reached = tokio::time::timeout_at(deadline, seen.wait_for(|seen| *seen >= token.hlc)).await;
            if reached.is_ok() { Waited::Reached } else { Waited::TimedOut }
        })
    }

    fn region_name(&self, region: u16) -> Option<RegionName> {
        (region <= 3).then(|| RegionName::new(["", "us-east", "eu-west", "ap-south"][usize::from(region)]).unwrap())
    }
}

impl Readiness for State {
    fn health_problems(&self) -> Vec<String> {
        self.problems.lock().unwrap().clone()
    }
}

/// A gateway of region us-east, number 1.
pub(crate) struct World {
    pub(crate) gateway: GatewayHandle,
    pub(crate) state: Arc<State>,
    pub(crate) workers: watch::Sender<Arc<[Worker]>>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Limits)) -> Self {
        Self::configured(|config| change(&mut config.limits)).await
    }

    pub(crate) async fn configured(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        Self::try_configured(change).await.unwrap()
    }

    pub(crate) async fn try_configured(change: impl FnOnce(&mut GatewayConfig)) -> Result<Self, gateway::StartError> {
        let region = RegionName::new("us-east").unwrap();
        let mut config = GatewayConfig::new("127.0.0.1:0".parse().unwrap(), region, Some("shop".to_owned()));
        change(&mut config);
        let state = Arc::new(State {
            last_write: Mutex::new(Token { region: 1, hlc: 100 }),
            seen: watch::Sender::new(0),
            problems: Mutex::default(),
        });
        let workers = watch::Sender::new(Arc::from([]));
        let gateway = gateway::start(
            config,
            workers.subscribe(),
            Arc::clone(&state) as Arc<dyn TokenSource>,
            Arc::clone(&state) as Arc<dyn Readiness>,
        );
        Ok(Self { gateway: gateway.await?, state, workers })
    }

    /// Publishes these addresses as ready workers 0, 1, …
    pub(crate) fn set_workers(&self, addresses: &[SocketAddr]) {
        let list: Vec<Worker> = (0..).zip(addresses).map(|(id, address)| Worker::ready_at(id, *address)).collect();
        self.workers.send_replace(list.into());
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.local_addr()
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, "").await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        request(self.address(), method, path, headers, body).await.unwrap()
    }

    /// Requests under way, by life, which is the worker's number here.
    pub(crate) fn in_flight(&self) -> Vec<(u64, u32)> {
        self.gateway.in_flight("shop")
    }

    /// The value of a counter without labels, or of the line given with its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.gateway.metrics_text();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("atoll_gateway_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// One request on a connection of its own.
pub(crate) async fn request(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> anyhow::Result<Answer> {
    let mut request = Request::builder().method(method).uri(path).header("host", "shop.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
    let answer = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let answer = read(response).await;
        connection.abort();
        answer
    };
    timeout(PATIENCE, answer).await?
}

pub(crate) async fn read(response: Response<Incoming>) -> anyhow::Result<Answer> {
    let (head, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
    Ok(Answer { status: head.status, headers: head.headers, body })
}

/// A worker made of a closure. Dropping it resets its connections, as `kill -9` does.
pub(crate) struct TestWorker {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn text(body: impl Into<String>) -> Response<Full<Bytes>> {
    Response::new(Full::new(Bytes::from(body.into())))
}

/// A worker that answers each request with what `handle` makes of it.
pub(crate) async fn worker<F, A>(handle: F) -> TestWorker
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send,
{
    worker_at("127.0.0.1:0".parse().unwrap(), handle).await
}

pub(crate) async fn worker_at<F, A>(address: SocketAddr, handle: F) -> TestWorker
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send,
{
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let handle = handle.clone();
            connections.spawn(async move {
                let service = service_fn(|request| {
                    let answer = handle(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    TestWorker { address, task }
}

/// A worker that does with each connection what `talk` does.
pub(crate) async fn raw_worker<F, A>(talk: F) -> TestWorker
where
    F: Fn(TcpStream) -> A + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(talk(stream));
        }
    });
    TestWorker { address, task }
}

/// An address where nobody listens.
pub(crate) async fn dead_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// An app of these workers, 0, 1, …, that nobody changes any more; it takes what no route takes.
pub(crate) fn app(name: &str, addresses: &[SocketAddr]) -> AppConfig {
    let list: Vec<Worker> = (0..).zip(addresses).map(|(id, address)| Worker::ready_at(id, *address)).collect();
    AppConfig::new(name, watch::channel(list.into()).1)
}

/// A connection that is spoken to in bytes.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    seen: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        Self { stream, seen: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Everything up to and with `end`, as text; what came up to the close if it never comes.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let reading = async {
            loop {
                if let Some(at) = self.seen.windows(end.len()).position(|window| window == end.as_bytes()) {
                    let rest = self.seen.split_off(at + end.len());
                    return std::mem::replace(&mut self.seen, rest);
                }
                if self.stream.read_buf(&mut self.seen).await.unwrap_or(0) == 0 {
                    return std::mem::take(&mut self.seen);
                }
            }
        };
        let text = timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("waited in vain for {end:?}"));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// What has been read already and what comes, as a stream.
    pub(crate) fn rest(self) -> impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {
        let (from, to) = self.stream.into_split();
        tokio::io::join(std::io::Cursor::new(self.seen).chain(from), to)
    }

    /// A head.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }
}

/// Waits until `done` says so.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
