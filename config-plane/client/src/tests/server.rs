//! A test world: an authority, identities, and servers that answer with whatever router a test gives them.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use pki::{AdminToken, ClientAuth, Identity, Principal, WorldCa};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::{ChannelOptions, Credentials, Endpoint, Transport};

pub(super) struct TestWorld {
    dir: PathBuf,
    ca: WorldCa,
}

impl TestWorld {
    pub(super) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("atoll-plane-client-test-{}-{n}", std::process::id()));
        let ca = WorldCa::create(&dir, "test").unwrap();
        Self { dir, ca }
    }

    pub(super) fn identity(&self, region: &str) -> Arc<Identity> {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let files = self.ca.issue(&Principal::Region(region.into()), &[local]).unwrap();
        Arc::new(Identity::load(&files.ca, &files.cert, &files.key).unwrap())
    }

    pub(super) fn transport(&self, region: &str) -> Transport {
        Transport::new(&Credentials::Identity(self.identity(region)), ChannelOptions::default()).unwrap()
    }

    pub(super) fn token(&self) -> (AdminToken, Credentials) {
        let token = AdminToken::create(&self.dir.join("admin.token")).unwrap();
        (token.clone(), Credentials::Token { ca: self.ca.ca_pem_path(), token })
    }

    pub(super) async fn serve(&self, region: &str, router: Router) -> Server {
        Server::start(self.identity(region), region, (Ipv4Addr::LOCALHOST, 0).into(), router).await
    }
}

impl Drop for TestWorld {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A server of one region. Gone, with all its connections, when dropped.
pub(super) struct Server {
    pub(super) endpoint: Endpoint,
    /// Connections accepted since start.
    pub(super) connections: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Server {
    pub(super) async fn start(identity: Arc<Identity>, region: &str, addr: SocketAddr, router: Router) -> Self {
        let acceptor = TlsAcceptor::from(identity.server_config(&[b"h2"], ClientAuth::Optional).unwrap());
        let listener = TcpListener::bind(addr).await.unwrap();
        let endpoint = Endpoint::region(region.parse().unwrap(), listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor, router, Arc::clone(&connections)));
        Self { endpoint, connections, tasks }
    }

    /// Ends the server and all its connections, as a kill would.
    pub(super) async fn kill(mut self) -> SocketAddr {
        self.tasks.shutdown().await;
        self.endpoint.addr
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, router: Router, connections: Arc<AtomicUsize>) {
    let mut serving = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        let (acceptor, router) = (acceptor.clone(), router.clone());
        serving.spawn(async move {
            let Ok(tls) = acceptor.accept(tcp).await else { return };
            let service = TowerToHyperService::new(router);
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = http.serve_connection(TokioIo::new(tls), service).await;
        });
    }
}
