//! gdnsd as the oracle: its monitor's state machine beside ours over real probes, its maps and scopes beside ours.

mod maps;
mod monitor;

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Instant,
};

use hickory_proto::{
    op::Message,
    rr::{RecordType, rdata::opt::ClientSubnet},
};

use super::{free_port, installed, question, try_ask, unique_dir};
use crate::world::SOON;

/// A running gdnsd; stopped when dropped.
struct Gdnsd {
    process: Child,
    addr: SocketAddr,
    dir: PathBuf,
}

impl Drop for Gdnsd {
    fn drop(&mut self) {
        // It may have ended by itself; that is no news here.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// SOA and NS of a zone file for gdnsd.
const ZONE: &str = "@ SOA ns1 hostmaster 1 3600 600 1209600 30\n@ NS ns1\nns1 A 127.0.0.1\n";

impl Gdnsd {
    /// Starts with this configuration beside the usual options, a zone `shop.test` and further files of its folder.
    fn start(config: &str, zone: &str, files: &[(&str, &str)]) -> Self {
        let try_start = || Self::try_start(config, zone, files);
        (0..5).find_map(|_| try_start()).expect("gdnsd starts on one of five ports")
    }

    /// None if it ends at once: somebody else has taken the port meanwhile.
    fn try_start(config: &str, zone: &str, files: &[(&str, &str)]) -> Option<Self> {
        let port = free_port();
        let dir = configured(port, config, zone, files);
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let process = Command::new(program())
            .arg("-c")
            .arg(dir.join("etc"))
            .arg("start")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut gdnsd = Self { process, addr: SocketAddr::new([127, 0, 0, 1].into(), port), dir };
        let deadline = Instant::now() + SOON;
        while gdnsd.ask("shop.test.", None, 50).is_none() {
            if gdnsd.process.try_wait().unwrap().is_some() {
                eprintln!("{}", std::fs::read_to_string(gdnsd.dir.join("log")).unwrap_or_default());
                return None;
            }
            assert!(Instant::now() < deadline, "gdnsd answers in time");
        }
        Some(gdnsd)
    }

    fn ask(&self, name: &str, subnet: Option<ClientSubnet>, wait_ms: u64) -> Option<Message> {
        try_ask(self.addr, [127, 0, 0, 1].into(), &question(name, RecordType::A, subnet), wait_ms)
    }
}

/// A folder with a configuration.
fn configured(port: u16, config: &str, zone: &str, files: &[(&str, &str)]) -> PathBuf {
    let dir = unique_dir("gdnsd");
    for folder in ["etc/zones", "etc/geoip", "run", "state"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    let root = dir.display();
    let options = format!(
        "options => {{ listen => 127.0.0.1:{port}, run_dir = {root}/run, state_dir = {root}/state, udp_threads = 1, \
         tcp_threads = 1, min_ttl = 1 }}\n{config}"
    );
    std::fs::write(dir.join("etc/config"), options).unwrap();
    std::fs::write(dir.join("etc/zones/shop.test"), format!("{ZONE}{zone}")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.join("etc").join(name), text).unwrap();
    }
    dir
}

fn program() -> &'static str {
    if PathBuf::from("/usr/sbin/gdnsd").is_file() { "/usr/sbin/gdnsd" } else { "gdnsd" }
}

/// What the migration page begins with is a configuration of gdnsd's.
#[test]
fn gdnsd_takes_the_configuration_that_the_migration_page_takes_over() {
    if !installed("gdnsd", "gdnsd") {
        return;
    }
    let page = include_str!("../../../../../../docs/migrating-dns.md");
    let config = page.split("```\n").find(|block| block.starts_with("service_types")).expect("the example");
    let zone = "www 60/5 DYNA geoip!www\ndb 60/5 DYNA simplefo!db\n";
    assert!(zone.lines().all(|line| page.contains(line)));
    let dir = configured(53_000, config, zone, &[]);
    // It binds no port, and warns of the zone's single server.
    let output = Command::new(program()).arg("-c").arg(dir.join("etc")).arg("checkconf").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let _ = std::fs::remove_dir_all(dir);
}
