//! Name servers of other makers: started on loopback as the current user, with a directory of their own, asked until they answer,
//! and killed by their own pid.

use std::{
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use hickory_proto::rr::RecordType;

use crate::ask::{Ask, ask};

/// Long enough for a server to start on a busy machine.
const START: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Maker {
    Bind,
    Knot,
    Nsd,
    PowerDns,
}

impl Maker {
    pub(crate) const ALL: [Self; 4] = [Self::Bind, Self::Knot, Self::Nsd, Self::PowerDns];

    /// As the docs call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bind => "BIND",
            Self::Knot => "Knot",
            Self::Nsd => "NSD",
            Self::PowerDns => "PowerDNS",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Bind => "named",
            Self::Knot => "knotd",
            Self::Nsd => "nsd",
            Self::PowerDns => "pdns_server",
        }
    }

    fn arguments(self, dir: &Path) -> Vec<String> {
        let file = |name: &str| dir.join(name).display().to_string();
        match self {
            Self::Bind => vec!["-g".into(), "-n".into(), "1".into(), "-c".into(), file("named.conf")],
            Self::Knot => vec!["-c".into(), file("knot.conf")],
            Self::Nsd => vec!["-d".into(), "-c".into(), file("nsd.conf")],
            Self::PowerDns => vec![format!("--config-dir={}", dir.display())],
        }
    }

    /// Writes the configuration for zones whose files lie in `zones`.
    fn configure(self, dir: &Path, zones: &Path, origins: &[String], addr: SocketAddr) {
        let (ip, port) = (addr.ip(), addr.port());
        let (dir_text, zones_text) = (dir.display(), zones.display());
        let each = |line: &dyn Fn(&str) -> String| origins.iter().map(|origin| line(origin)).collect::<String>();
        let bind_zones =
            each(&|origin| format!("zone \"{origin}\" {{ type master; file \"{zones_text}/{origin}.zone\"; }};\n"));
        match self {
            Self::Bind => write(
                &dir.join("named.conf"),
                &format!(
                    "options {{ directory \"{dir_text}\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};\n\
                     recursion no; minimal-responses no-auth; dnssec-validation no; empty-zones-enable no; notify no;\n\
                     pid-file none; session-keyfile none; zero-no-soa-ttl no;\n\
                     check-names primary ignore; check-integrity no; check-mx ignore; }};\n\
                     controls {{ }};\n{}",
                    bind_zones.replace("type master", "type primary")
                ),
            ),
            Self::Knot => write(
                &dir.join("knot.conf"),
                &format!(
                    "server:\n    listen: {ip}@{port}\n    rundir: {dir_text}\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n\
                     database:\n    storage: {dir_text}\n\
                     log:\n  - target: stderr\n    any: warning\n\
                     template:\n  - id: default\n    storage: {zones_text}\n    file: \"%s.zone\"\n    zonefile-sync: -1\n    journal-content: none\n\
                     zone:\n{}",
                    each(&|origin| format!("  - domain: {origin}\n"))
                ),
            ),
            Self::Nsd => write(
                &dir.join("nsd.conf"),
                &format!(
                    "server:\n  ip-address: {ip}\n  port: {port}\n  username: \"\"\n  chroot: \"\"\n  server-count: 1\n  rrl-ratelimit: 0\n  database: \"\"\n\
                     \x20 zonesdir: \"{zones_text}\"\n  pidfile: \"{dir_text}/nsd.pid\"\n  xfrdfile: \"{dir_text}/xfrd.state\"\n  xfrdir: \"{dir_text}\"\n  zonelistfile: \"{dir_text}/zone.list\"\n\
                     remote-control:\n  control-enable: no\n{}",
                    each(&|origin| format!("zone:\n  name: {origin}\n  zonefile: {origin}.zone\n"))
                ),
            ),
            Self::PowerDns => {
                write(&dir.join("named.conf"), &bind_zones);
                write(
                    &dir.join("pdns.conf"),
                    &format!(
                        "launch=bind\nbind-config={dir_text}/named.conf\nlocal-address={ip}\nlocal-port={port}\nsocket-dir={dir_text}\n\
                         daemon=no\nguardian=no\ndname-processing=yes\nany-to-tcp=no\ncache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nreceiver-threads=1\ndistributor-threads=1\nsecurity-poll-suffix=\nloglevel=3\n"
                    ),
                );
            }
        }
    }
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
}

/// A running server. Dropping it kills it.
pub(crate) struct Peer {
    pub(crate) maker: Maker,
    pub(crate) addr: SocketAddr,
    child: Child,
}

impl Peer {
    /// Starts a server for the zones whose files lie in a directory, each `ORIGIN.zone`, and waits until it answers for all of them.
    pub(crate) fn start(maker: Maker, dir: &Path, zones: &Path, origins: &[String]) -> Self {
        let dir = dir.join(maker.program());
        fs::create_dir_all(&dir).unwrap();
        let addr = own_address();
        maker.configure(&dir, zones, origins, addr);
        let log = fs::File::create(dir.join("log")).unwrap();
        let mut command = Command::new(find(maker.program()));
        command.args(maker.arguments(&dir)).current_dir(&dir).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        let child =
            child.unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask test` installs it", maker.program()));
        let mut peer = Self { maker, addr, child };
        peer.wait(&dir, origins);
        peer
    }

    fn wait(&mut self, dir: &Path, origins: &[String]) {
        let start = Instant::now();
        for origin in origins {
            loop {
                let reply =
                    ask(self.addr, &Ask::new(&format!("{origin}."), RecordType::SOA), Duration::from_millis(200));
                if reply.is_some_and(|reply| reply.answer.len() == 1) {
                    break;
                }
                let ended = self.child.try_wait().unwrap();
                if ended.is_some() || start.elapsed() > START {
                    let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
                    panic!("{} does not serve {origin} ({ended:?}); it says:\n{log}", self.maker.name());
                }
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has, and that nobody comes upon by chance: below those that the system deals out, and each process begins its
/// search elsewhere. BIND serves only addresses that an interface has, so that it cannot be an address of one's own.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let addr = SocketAddr::from(([127, 0, 0, 1], 10_000 + (number % 20_000) as u16));
        if UdpSocket::bind(addr).is_ok() && TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}

/// Servers lie where not everybody's path leads.
fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let mut found = dirs.map(|dir| dir.join(program)).filter(|file| file.is_file());
    found.next().unwrap_or_else(|| panic!("`{program}` is not here; `cargo xtask test` installs it"))
}
