//! A member that sends, to everybody who follows it, a script from its beginning and then whatever is added.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use pki::{ClientAuth, Identity, Principal, WorldCa};
use plane_client::{
    ChannelOptions, Credentials, Endpoint, Transport,
    api::{Follow, path},
    frame,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use super::Dir;

/// Identities for members and followers.
pub(super) struct TestWorld {
    ca: WorldCa,
    _dir: Dir,
}

impl TestWorld {
    pub(super) fn new() -> Self {
        let dir = Dir::new();
        Self { ca: WorldCa::create(&dir.0, "test").unwrap(), _dir: dir }
    }

    fn identity(&self, region: &str) -> Arc<Identity> {
        let files = self.ca.issue(&Principal::Region(region.into()), &[IpAddr::V4(Ipv4Addr::LOCALHOST)]).unwrap();
        Arc::new(Identity::load(&files.ca, &files.cert, &files.key).unwrap())
    }

    pub(super) fn transport(&self) -> Transport {
        Transport::new(&Credentials::Identity(self.identity("ap-south")), ChannelOptions::default()).unwrap()
    }

    pub(super) async fn member(&self, region: &str) -> FakeMember {
        let acceptor = TlsAcceptor::from(self.identity(region).server_config(&[b"h2"], ClientAuth::Required).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let endpoint = Endpoint::region(region.parse().unwrap(), listener.local_addr().unwrap());
        let script = watch::Sender::new(Script::default());
        let streams = Arc::new(AtomicUsize::new(0));
        let router = router(script.clone(), Arc::clone(&streams));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor, router));
        FakeMember { endpoint, script, streams, tasks }
    }
}

#[derive(Default)]
struct Script {
    messages: Vec<Bytes>,
    /// Raised to end all streams that began under a lower number.
    hang_ups: u64,
}

pub(super) struct FakeMember {
    pub(super) endpoint: Endpoint,
    script: watch::Sender<Script>,
    streams: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl FakeMember {
    pub(super) fn say(&self, message: &Follow) {
        self.say_bytes(frame::encode(message).unwrap());
    }

    pub(super) fn say_bytes(&self, bytes: Bytes) {
        self.script.send_modify(|script| script.messages.push(bytes));
    }

    pub(super) fn forget(&self) {
        self.script.send_modify(|script| script.messages.clear());
    }

    pub(super) fn hang_up(&self) {
        self.script.send_modify(|script| script.hang_ups += 1);
    }

    /// Streams opened since start.
    pub(super) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    pub(super) async fn kill(&mut self) {
        self.tasks.shutdown().await;
    }
}

fn router(script: watch::Sender<Script>, streams: Arc<AtomicUsize>) -> Router {
    let follow = async move || {
        streams.fetch_add(1, Ordering::Relaxed);
        let (mut sender, body) = http_body_util::channel::Channel::<Bytes>::new(64);
        let mut script = script.subscribe();
        tokio::spawn(async move {
            let began = script.borrow().hang_ups;
            let mut said = 0;
            loop {
                let news = {
                    let script = script.borrow_and_update();
                    if script.hang_ups != began {
                        return;
                    }
                    let news = script.messages[said.min(script.messages.len())..].to_vec();
                    said = script.messages.len();
                    news
                };
                for message in news {
                    if sender.send_data(message).await.is_err() {
                        return;
                    }
                }
                if script.changed().await.is_err() {
                    return;
                }
            }
        });
        Body::new(body)
    };
    Router::new().route(path::FOLLOW, get(follow))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    let mut serving = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        serving.spawn(async move {
            let Ok(tls) = acceptor.accept(tcp).await else { return };
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = http.serve_connection(TokioIo::new(tls), TowerToHyperService::new(router)).await;
        });
    }
}
