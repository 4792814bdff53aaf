//! UDP paths: each dialling socket gets a socket of its own towards the target, as a NAT gives it, so that replies find back.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
};

use crate::{
    Link, Pair,
    line::{Line, Luck},
};

/// Largest datagram that IP carries.
const DATAGRAM: usize = 65_536;
/// Datagrams on the way in one direction; a wire that holds more drops, as a router's queue does.
const IN_FLIGHT: usize = 8192;
/// What the system may hold for a socket, each way.
const SOCKET_BYTES: usize = 4 << 20;
/// Dialling sockets that one path remembers.
const FLOWS: usize = 256;
/// A flow without a datagram for this long is forgotten.
const FLOW_IDLE: Duration = Duration::from_secs(60);

pub(crate) async fn bind(at: SocketAddr) -> anyhow::Result<UdpSocket> {
    socket(at).with_context(|| format!("WAN path: cannot bind {at}/udp"))
}

/// With room for what comes while this process waits for a processor: a wire does not lose packets because somebody else computes.
fn socket(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    let _ = socket.set_recv_buffer_size(SOCKET_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    UdpSocket::from_std(socket.into())
}

pub(crate) async fn serve(socket: UdpSocket, target: SocketAddr, pair: Pair, mut closing: watch::Receiver<bool>) {
    let socket = Arc::new(socket);
    let mut flows: HashMap<SocketAddr, Flow> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        // An ICMP error about an earlier datagram is reported here; it says nothing about the socket.
        let Ok((size, client)) = received else { continue };
        if !flows.contains_key(&client) {
            flows.retain(|_, flow| flow.used.elapsed() < FLOW_IDLE);
            if flows.len() >= FLOWS {
                continue;
            }
            let Ok(flow) = Flow::open(socket.clone(), client, target, &pair).await else { continue };
            flows.insert(client, flow);
        }
        if let Some(flow) = flows.get_mut(&client) {
            flow.used = Instant::now();
            flow.forth.enter(&buffer[..size]);
        }
    }
}

/// One dialling socket's way there and back. Dropping it ends both tasks.
struct Flow {
    forth: Wire,
    used: Instant,
    replies: tokio::task::JoinHandle<()>,
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.replies.abort();
    }
}

impl Flow {
    async fn open(near: Arc<UdpSocket>, client: SocketAddr, target: SocketAddr, pair: &Pair) -> io::Result<Self> {
        let any: IpAddr = if target.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        let far = Arc::new(socket((any, 0).into())?);
        far.connect(target).await?;
        let forth = Wire::start(pair.forth.clone(), far.clone(), None);
        let mut back = Wire::start(pair.back.clone(), near, Some(client));
        let replies = tokio::spawn(async move {
            let mut buffer = vec![0; DATAGRAM];
            loop {
                match far.recv(&mut buffer).await {
                    Ok(size) => back.enter(&buffer[..size]),
                    // The target refused an earlier datagram: its process is away and may come back.
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        Ok(Self { forth, used: Instant::now(), replies })
    }
}

/// A datagram that comes out at `due`; `number` keeps the order of equals.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flying {
    due: Instant,
    number: u64,
    bytes: Vec<u8>,
}

/// One direction of a flow: a line, and a task that lets datagrams out when they are due.
struct Wire {
    line: Line,
    link: Arc<Link>,
    number: u64,
    out: mpsc::Sender<Flying>,
}

impl Wire {
    fn start(link: Arc<Link>, socket: Arc<UdpSocket>, to: Option<SocketAddr>) -> Self {
        let (out, flying) = mpsc::channel(IN_FLIGHT);
        tokio::spawn(let_out(link.clone(), socket, to, flying));
        Self { line: Line::default(), link, number: 0, out }
    }

    fn enter(&mut self, datagram: &[u8]) {
        let due = self.line.datagram(Instant::now(), &self.link.shape(), datagram.len(), Luck::draw());
        self.number += 1;
        let sent = due.is_some_and(|due| {
            self.out.try_send(Flying { due, number: self.number, bytes: datagram.to_vec() }).is_ok()
        });
        if !sent {
            self.link.count_drop();
        }
    }
}

async fn let_out(
    link: Arc<Link>,
    socket: Arc<UdpSocket>,
    to: Option<SocketAddr>,
    mut entering: mpsc::Receiver<Flying>,
) {
    let mut flying: BinaryHeap<Reverse<Flying>> = BinaryHeap::new();
    loop {
        let next = flying.peek().map(|Reverse(first)| first.due);
        tokio::select! {
            entered = entering.recv() => match entered {
                Some(datagram) => flying.push(Reverse(datagram)),
                None => return,
            },
            () = async { match next { Some(due) => tokio::time::sleep_until(due.into()).await, None => std::future::pending().await } } => {}
        }
        let now = Instant::now();
        while flying.peek().is_some_and(|Reverse(first)| first.due <= now) {
            let Some(Reverse(datagram)) = flying.pop() else { break };
            let sent = match to {
                Some(client) => socket.send_to(&datagram.bytes, client).await,
                None => socket.send(&datagram.bytes).await,
            };
            match sent {
                Ok(_) => link.count(datagram.bytes.len()),
                Err(_) => link.count_drop(),
            }
        }
    }
}
