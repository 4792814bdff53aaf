//! Programs of other people: a caching resolver in front of the server, clients that read every kind of answer, and gdnsd,
//! whose judgement ours follows.
//!
//! They are run where they are installed; where they are not, that is said. `cargo xtask test` installs them.

mod gdnsd;
mod probes;
mod programs;
mod resolver;

use std::{
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use dns_server::{DnsConfig, DnsHandle, Views, start};
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{
        Name, RecordType,
        rdata::opt::{ClientSubnet, EdnsOption},
    },
};
use model::{Plan, PlanId, Subject, SubjectState, Verdict, World};
use steering::{
    View, ViewInputs,
    geo::{Geo, encode},
};

use crate::world::{SOON, never_heard, region};

/// Where the world and the scripts of other languages live.
fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn world_file() -> PathBuf {
    clients().join("world.toml")
}

/// The world of `world.toml` with these regions Down.
fn plan(version: u64, down: &[&str]) -> Plan {
    let text = std::fs::read_to_string(world_file()).unwrap();
    let world = World::parse(&text, "world.toml").unwrap_or_else(|errors| panic!("{errors}"));
    let mut plan = Plan::new(PlanId { lineage: 7, version }, 0, "test", world);
    for name in ["us-east", "eu-west", "ap-south"] {
        let verdict = if down.contains(&name) { Verdict::Down } else { Verdict::Up };
        plan.verdicts.insert(Subject::Region(region(name)), SubjectState::new(verdict, 0, version));
    }
    plan
}

/// Whoever sends from 127.2/16 is in France, from 127.3/16 in the United States, from 127.49/16 in India; 127.5.0/17 is
/// Germany, the other half of 127.5/16 France. 2600::/12 is in the United States, 2a00::/16 in Germany.
fn geo() -> Arc<Geo> {
    let net = |second: u64, code: &[u8; 2]| (0x7f00_0000 | second << 16, 0x7f00_ffff | second << 16, *code);
    let v4 = vec![
        net(2, b"FR"),
        net(3, b"US"),
        (0x7f05_0000, 0x7f05_7fff, *b"DE"),
        (0x7f05_8000, 0x7f05_ffff, *b"FR"),
        net(49, b"IN"),
    ];
    let v6 = vec![
        (0x2600_0000_0000_0000, 0x260f_ffff_ffff_ffff, *b"US"),
        (0x2a00_0000_0000_0000, 0x2a00_ffff_ffff_ffff, *b"DE"),
    ];
    let places = "DE 52.50 13.37 Berlin\nFR 48.87 2.33 Paris\nIN 22.53 88.37 Kolkata\nUS 41.85 -87.65 Chicago\n";
    Arc::new(Geo::from_parts(encode(&v4, &v6).unwrap(), places).unwrap())
}

fn view(plan: &Plan) -> Arc<View> {
    let inputs = ViewInputs { geo: geo(), ..ViewInputs::new(region("us-east")) };
    Arc::new(View::compile(plan, &inputs).unwrap_or_else(|error| panic!("{error}")))
}

/// A server, and the View that it answers from.
struct Stage {
    server: DnsHandle,
    views: Views,
}

fn serve(plan: &Plan) -> Stage {
    let views = Views::default();
    views.store(Some(view(plan)));
    let server = start(DnsConfig::new("127.0.0.1:0".parse().unwrap()), views.clone(), never_heard()).unwrap();
    Stage { server, views }
}

impl Stage {
    fn port(&self) -> u16 {
        self.server.local_addr().port()
    }

    /// How many questions have come to the server.
    fn asked(&self) -> u64 {
        self.server.counters().answers.values().sum()
    }
}

/// Whether a program is there; says so if it is not.
fn installed(program: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|dir| dir.join(program).is_file());
    if !found {
        eprintln!("SKIPPED: {program} is not installed (package {package})");
    }
    found
}

/// Runs a program that must succeed and have nothing to complain of.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let Output { status, stdout, stderr } = &output;
    let (stdout, stderr) = (String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
    assert!(status.success() && stderr.is_empty(), "{command:?}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// A port that UDP and TCP have free.
fn free_port() -> u16 {
    let free = |socket: UdpSocket| {
        let addr = socket.local_addr().ok()?;
        TcpListener::bind(addr).ok().map(|_| addr.port())
    };
    (0..100).find_map(|_| free(UdpSocket::bind("127.0.0.1:0").ok()?)).expect("a free port")
}

/// A new folder for a program to run in.
fn unique_dir(program: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let unique = format!("atoll-{program}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(unique);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn question(name: &str, rtype: RecordType, subnet: Option<ClientSubnet>) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    if let Some(subnet) = subnet {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        edns.options_mut().insert(EdnsOption::Subnet(subnet));
        message.set_edns(edns);
    }
    message.to_vec().unwrap()
}

fn try_ask(server: SocketAddr, from: IpAddr, packet: &[u8], wait_ms: u64) -> Option<Message> {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(wait_ms))).unwrap();
    socket.send_to(packet, server).unwrap();
    let mut buffer = [0; 4096];
    let (length, _) = socket.recv_from(&mut buffer).ok()?;
    Message::from_vec(&buffer[..length]).ok()
}

fn ask(server: SocketAddr, from: &str, packet: &[u8]) -> Message {
    let answer = try_ask(server, from.parse().unwrap(), packet, SOON.as_millis() as u64);
    answer.unwrap_or_else(|| panic!("no answer for {from}"))
}
