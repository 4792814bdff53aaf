//! DNS clients as part of the experiment: each asks one server, 20 times a second, from a place that prefers the victim.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use hickory_proto::{
    op::{Edns, Message, Query, ResponseCode},
    rr::{
        Name, RData, RecordType,
        rdata::opt::{ClientSubnet, EdnsOption},
    },
};
use model::RegionName;
use serde::{Deserialize, Serialize};
use tokio::{net::UdpSocket, sync::watch, task::JoinSet, time::timeout};

use crate::stage::Access;

/// 20 times a second.
const PERIOD: Duration = Duration::from_millis(50);
/// An answer later than this is none.
const PATIENCE: Duration = Duration::from_millis(1000);

/// What one question brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Addresses, in order.
    Addresses(Vec<Ipv4Addr>),
    /// An answer without an address, or an error code: what must never happen.
    Empty(String),
    /// No answer in time: the server or its region is away.
    Silence,
}

/// One question to one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Whose server.
    pub server: RegionName,
    /// When it was asked, Unix milliseconds.
    pub asked_ms: u64,
    /// When the answer came, Unix milliseconds.
    pub seen_ms: u64,
    /// What came.
    pub seen: Seen,
}

/// The question: a steered name, asked for a client in that network (EDNS Client Subnet).
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) name: Name,
    pub(crate) client: IpAddr,
}

impl Question {
    fn packet(&self, id: u16) -> anyhow::Result<Vec<u8>> {
        let mut message = Message::query();
        message.metadata.id = id;
        message.add_query(Query::query(self.name.clone(), RecordType::A));
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new(self.client, 24, 0)));
        message.set_edns(edns);
        message.to_vec().context("DNS query")
    }
}

/// Asks one server once.
pub(crate) async fn ask(socket: &UdpSocket, question: &Question, id: u16) -> anyhow::Result<Seen> {
    socket.send(&question.packet(id)?).await?;
    let mut buffer = [0; 4096];
    loop {
        let Ok(Ok(size)) = timeout(PATIENCE, socket.recv(&mut buffer)).await else { return Ok(Seen::Silence) };
        // A late answer to an earlier question is skipped.
        let Ok(message) = Message::from_vec(&buffer[..size]) else { continue };
        if message.metadata.id == id {
            return Ok(read(&message));
        }
    }
}

fn read(message: &Message) -> Seen {
    if message.metadata.response_code != ResponseCode::NoError {
        return Seen::Empty(message.metadata.response_code.to_string());
    }
    let address = |record: &hickory_proto::rr::Record| match record.data {
        RData::A(a) => Some(a.0),
        _ => None,
    };
    let addresses: Vec<Ipv4Addr> = message.answers.iter().filter_map(address).collect();
    if addresses.is_empty() { Seen::Empty("no address".into()) } else { Seen::Addresses(addresses) }
}

/// A socket that only hears one server.
pub(crate) async fn socket_to(server: SocketAddr) -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    Ok(socket)
}

/// Clients on their way.
pub(crate) struct Clients {
    seen: Arc<Mutex<Vec<Observation>>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Clients {
    pub(crate) fn start(regions: &[Access], question: &Question, now_ms: fn() -> u64) -> Self {
        let seen: Arc<Mutex<Vec<Observation>>> = Arc::default();
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        for region in regions {
            tasks.spawn(client(region.clone(), question.clone(), seen.clone(), stop.subscribe(), now_ms));
        }
        Self { seen, stop, tasks }
    }

    /// Everything seen since a time.
    pub(crate) fn since(&self, at_ms: u64) -> Vec<Observation> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|o| o.asked_ms >= at_ms).cloned().collect()
    }

    pub(crate) async fn stop(mut self) -> Vec<Observation> {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *seen)
    }
}

async fn client(
    region: Access,
    question: Question,
    seen: Arc<Mutex<Vec<Observation>>>,
    mut stop: watch::Receiver<bool>,
    now_ms: fn() -> u64,
) {
    let mut tick = tokio::time::interval(PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let Ok(socket) = socket_to(region.dns).await else { return };
    let mut id: u16 = fastrand::u16(..);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        id = id.wrapping_add(1);
        let asked_ms = now_ms();
        let answer = ask(&socket, &question, id).await.unwrap_or(Seen::Silence);
        let observation = Observation { server: region.name.clone(), asked_ms, seen_ms: now_ms(), seen: answer };
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(observation);
    }
}

/// Networks of large national providers, one client each, by country: places from which a region is likely the nearest.
/// Taken from the registries' public delegations; which region they lead to is asked, never assumed.
const PLACES: &[(&str, Ipv4Addr)] = &[
    ("IE", Ipv4Addr::new(87, 32, 10, 1)),
    ("GB", Ipv4Addr::new(86, 128, 10, 1)),
    ("DE", Ipv4Addr::new(84, 128, 10, 1)),
    ("US", Ipv4Addr::new(98, 32, 10, 1)),
    ("CA", Ipv4Addr::new(142, 112, 10, 1)),
    ("MX", Ipv4Addr::new(187, 128, 10, 1)),
    ("BR", Ipv4Addr::new(177, 32, 10, 1)),
    ("AR", Ipv4Addr::new(181, 0, 10, 1)),
    ("IN", Ipv4Addr::new(117, 192, 10, 1)),
    ("SG", Ipv4Addr::new(116, 86, 10, 1)),
    ("JP", Ipv4Addr::new(126, 0, 10, 1)),
    ("AU", Ipv4Addr::new(1, 128, 10, 1)),
    ("ZA", Ipv4Addr::new(105, 0, 10, 1)),
];

/// A client place from which every server names the victim first, if there is one.
pub(crate) async fn place_near(regions: &[Access], name: &Name, victim: Ipv4Addr) -> anyhow::Result<Option<Question>> {
    for (_, client) in PLACES {
        let question = Question { name: name.clone(), client: IpAddr::V4(*client) };
        let mut all = true;
        for region in regions {
            let socket = socket_to(region.dns).await?;
            let seen = ask(&socket, &question, fastrand::u16(..)).await?;
            all &= matches!(&seen, Seen::Addresses(addresses) if addresses.first() == Some(&victim));
        }
        if all {
            return Ok(Some(question));
        }
    }
    Ok(None)
}
