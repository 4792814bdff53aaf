//! Three members, each on a runtime of its own, so that one can be killed as a process is killed: at once, in the middle of
//! anything.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use model::{Plan, PlanId, RegionName, World};
use pki::{AdminToken, Identity, IssuedFiles, Principal, WorldCa};
use plane_client::{Credentials, Endpoint, PlaneClient};
use plane_server::{Member, PlaneConfig, PlaneHandle, RaftTiming, start};
use tokio::runtime::Runtime;

pub(crate) const NAMES: [&str; 3] = ["us-east", "eu-west", "ap-south"];

/// Longer than anything here takes on a busy machine, shorter than anybody's patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn name(text: &str) -> RegionName {
    text.parse().expect("a region name")
}

pub(crate) fn world() -> World {
    World::parse(&World::default_toml(3, 0), "world.toml").expect("the default world is valid")
}

/// Waits until a condition gives something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A directory that goes away with its owner.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("plane-server-it-{}-{}", std::process::id(), fresh_number()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // What cannot be removed is the system's to clean.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn fresh_number() -> u8 {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn load(files: &IssuedFiles) -> Arc<Identity> {
    Arc::new(Identity::load(&files.ca, &files.cert, &files.key).expect("an identity as issued"))
}

struct Running {
    runtime: Runtime,
    handle: PlaneHandle,
}

struct Seat {
    addr: SocketAddr,
    identity: Arc<Identity>,
    running: Option<Running>,
}

impl Seat {
    fn kill(&mut self) {
        if let Some(Running { runtime, handle }) = self.running.take() {
            runtime.shutdown_background();
            drop(handle);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The three members, and a client of all of them.
pub(crate) struct Trio {
    pub(crate) ca: WorldCa,
    pub(crate) client: PlaneClient,
    pub(crate) token: AdminToken,
    pub(crate) timing: RaftTiming,
    seats: Vec<Seat>,
    dir: Dir,
}

impl Trio {
    /// Three members that know of each other; none runs yet.
    pub(crate) fn seated() -> Self {
        Self::with(&NAMES)
    }

    /// One member that runs alone, of a world that is founded.
    pub(crate) async fn solo() -> Self {
        let mut solo = Self::with(&NAMES[..1]);
        solo.start(0).await;
        solo.everywhere("the first Plan", |_| true).await;
        solo
    }

    fn with(names: &[&'static str]) -> Self {
        let dir = Dir::new();
        let ca = WorldCa::create(&dir.path().join("pki"), "test").expect("an authority");
        let token = AdminToken::create(&dir.path().join("admin.token")).expect("a token");
        token.hash().save(&dir.path().join("admin.hash")).expect("its hash");
        let seats: Vec<Seat> = names
            .iter()
            .map(|region| {
                let addr = free_addr();
                let files = ca.issue(&Principal::Region((*region).into()), &[addr.ip()]).expect("a certificate");
                Seat { addr, identity: load(&files), running: None }
            })
            .collect();
        let endpoints = seats.iter().zip(NAMES).map(|(seat, region)| Endpoint::region(name(region), seat.addr));
        let admin = ca.issue(&Principal::Admin("ops".into()), &[]).expect("a certificate");
        let credentials = Credentials::Identity(load(&admin));
        let client = PlaneClient::new(endpoints.collect(), &credentials).expect("a client");
        Self { ca, client, token, timing: RaftTiming::for_rtt(50), seats, dir }
    }

    /// Three members that run, of a world that is founded.
    pub(crate) async fn founded() -> Self {
        let mut trio = Self::seated();
        trio.found().await;
        trio
    }

    pub(crate) async fn found(&mut self) {
        for seat in 0..3 {
            self.start(seat).await;
        }
        self.everywhere("the first Plan", |_| true).await;
    }

    fn config(&self, seat: usize) -> PlaneConfig {
        let member = |(at, seat): (usize, &Seat)| Member { id: at as u16 + 1, name: name(NAMES[at]), addr: seat.addr };
        PlaneConfig {
            region: name(NAMES[seat]),
            id: seat as u16 + 1,
            data_dir: self.dir.path().join(NAMES[seat]),
            listen: self.seats[seat].addr,
            members: self.seats.iter().enumerate().map(member).collect(),
            identity: Arc::clone(&self.seats[seat].identity),
            token_hash: Some(self.dir.path().join("admin.hash")),
            founding: Some(world()),
            timing: self.timing,
            routes: axum::Router::new().route("/metrics", axum::routing::get(async || "up 1\n")),
        }
    }

    /// Starts a member, as soon as what ran there before has let go of its file and port.
    pub(crate) async fn start(&mut self, seat: usize) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let handle = until("the member starts", || {
            let starting = runtime.spawn(start(self.config(seat)));
            async {
                match starting.await.expect("start does not panic") {
                    Ok(handle) => Some(handle),
                    Err(error) if error.to_string().contains("already") => None,
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await;
        self.seats[seat].running = Some(Running { runtime, handle });
    }

    /// Why a member does not start.
    pub(crate) async fn refused(&self, seat: usize) -> String {
        match start(self.config(seat)).await {
            Ok(_) => panic!("it starts"),
            Err(error) => error.to_string(),
        }
    }

    /// Kills a member: its tasks end where they are, nothing is flushed or said.
    pub(crate) fn kill(&mut self, seat: usize) {
        self.seats[seat].kill();
    }

    /// Stops a member in order.
    pub(crate) async fn stop(&mut self, seat: usize) {
        let Running { runtime, handle } = self.seats[seat].running.take().expect("it runs");
        runtime.spawn(handle.shutdown()).await.expect("shutdown does not panic");
        runtime.shutdown_background();
    }

    pub(crate) fn handle(&self, seat: usize) -> &PlaneHandle {
        &self.seats[seat].running.as_ref().expect("it runs").handle
    }

    pub(crate) fn running(&self) -> Vec<usize> {
        (0..self.seats.len()).filter(|seat| self.seats[*seat].running.is_some()).collect()
    }

    /// One member's own client.
    pub(crate) fn only(&self, seat: usize) -> PlaneClient {
        self.client.only(&name(NAMES[seat])).expect("an endpoint")
    }

    pub(crate) fn endpoint(&self, seat: usize) -> Endpoint {
        Endpoint::region(name(NAMES[seat]), self.seats[seat].addr)
    }

    pub(crate) fn identity(&self, seat: usize) -> Arc<Identity> {
        Arc::clone(&self.seats[seat].identity)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The Plan of one member.
    pub(crate) fn plan(&self, seat: usize) -> Option<Arc<Plan>> {
        self.handle(seat).plans().borrow().clone()
    }

    /// Waits until every running member holds a Plan of which this is true; gives the newest one's number.
    pub(crate) async fn everywhere(&self, what: &str, is: impl Fn(&Plan) -> bool) -> PlanId {
        until(what, || {
            let plans: Option<Vec<Arc<Plan>>> = self.running().into_iter().map(|seat| self.plan(seat)).collect();
            let newest = plans.filter(|plans| plans.iter().all(|plan| is(plan)));
            std::future::ready(newest.and_then(|plans| plans.iter().map(|plan| plan.id).max()))
        })
        .await
    }

    /// Waits until all running members agree on a leader that runs; gives its seat.
    pub(crate) async fn leader(&self) -> usize {
        until("a leader that all agree on", || {
            let says: Vec<_> = self.running().into_iter().map(|seat| self.handle(seat).status().leader).collect();
            let first = says.first().cloned().flatten();
            let agreed = first.filter(|first| says.iter().all(|says| says.as_ref() == Some(first)));
            let seat = agreed.and_then(|leader| NAMES.iter().position(|n| *n == leader.as_str()));
            std::future::ready(seat.filter(|seat| self.running().contains(seat)))
        })
        .await
    }
}

/// An address that nobody else listens on: a loopback address of this process's own, and a free port of it.
fn free_addr() -> SocketAddr {
    let pid = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, 64 | (pid[3] & 63), 100 + (pid[2] & 63), fresh_number());
    let listener = TcpListener::bind((ip, 0)).expect("a port of the loopback interface");
    listener.local_addr().expect("bound")
}
