//! `unbound` in front of the server: a caching resolver that tells client subnets and keeps answers by their scope.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Instant,
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RecordType, rdata::opt::ClientSubnet},
};
use model::{Override, OverrideAction, Subject};

use super::{Stage, ask, free_port, installed, plan, question, run, serve, try_ask, unique_dir, view};
use crate::world::{SOON, data, region};

/// A running resolver with an empty cache; stopped when dropped.
struct Unbound {
    process: Child,
    addr: SocketAddr,
    dir: PathBuf,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        // It may have ended by itself; that is no news here.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What matters of it: no question but those of clients (no minimised names, no fetching ahead), every client's network told
/// to the server, at most /24 and /56 of it, and room for as many of them as a test has.
fn config(dir: &str, port: u16, server: u16) -> String {
    let zones = ["shop.test", "types.test"].map(|zone| {
        format!("stub-zone:\n  name: {zone}\n  stub-addr: 127.0.0.1@{server}\n  stub-prime: no\n  stub-first: no\n")
    });
    format!(
        "server:\n  directory: \"{dir}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  do-daemonize: no\n  use-syslog: no\n  \
         logfile: \"\"\n  num-threads: 1\n  interface: 127.0.0.1\n  port: {port}\n  do-ip6: no\n  access-control: 127.0.0.0/8 allow\n  \
         do-not-query-localhost: no\n  local-zone: \"test.\" nodefault\n  module-config: \"subnetcache validator iterator\"\n  \
         send-client-subnet: 127.0.0.1\n  client-subnet-always-forward: yes\n  max-client-subnet-ipv4: 24\n  \
         max-client-subnet-ipv6: 56\n  max-ecs-tree-size-ipv4: 1000\n  qname-minimisation: no\n  target-fetch-policy: \"0 0 0 0 0\"\n  minimal-responses: yes\n  rrset-roundrobin: no\n  \
         cache-min-ttl: 0\nremote-control:\n  control-enable: no\n{}",
        zones.concat()
    )
}

impl Unbound {
    fn start(stage: &Stage) -> Self {
        (0..5).find_map(|_| Self::try_start(stage)).expect("unbound starts on one of five ports")
    }

    /// None if it ends at once: somebody else has taken the port meanwhile.
    fn try_start(stage: &Stage) -> Option<Self> {
        let dir = unique_dir("unbound");
        let port = free_port();
        std::fs::write(dir.join("unbound.conf"), config(dir.to_str().unwrap(), port, stage.port())).unwrap();
        let program = if PathBuf::from("/usr/sbin/unbound").is_file() { "/usr/sbin/unbound" } else { "unbound" };
        let process = Command::new(program)
            .args(["-d", "-c", "unbound.conf"])
            .current_dir(&dir)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut unbound = Self { process, addr: SocketAddr::new([127, 0, 0, 1].into(), port), dir };
        let deadline = Instant::now() + SOON;
        while try_ask(unbound.addr, [127, 0, 0, 1].into(), &question("localhost.", RecordType::A, None), 50).is_none() {
            if unbound.process.try_wait().unwrap().is_some() {
                eprintln!("{}", std::fs::read_to_string(unbound.dir.join("log")).unwrap_or_default());
                return None;
            }
            assert!(Instant::now() < deadline, "unbound answers in time");
        }
        Some(unbound)
    }

    /// What a user at `from` is told.
    fn ask(&self, from: &str, name: &str, rtype: RecordType) -> Message {
        ask(self.addr, from, &question(name, rtype, None))
    }
}

/// Addresses in an answer, in a fixed order: a resolver may turn them.
fn addresses(answer: &Message) -> Vec<String> {
    let mut addresses = data(answer);
    addresses.sort();
    addresses
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_gives_each_network_its_own_answer_and_asks_no_more_than_it_must() {
    if !installed("unbound", "unbound") {
        return;
    }
    let stage = serve(&plan(1, &[]));
    let unbound = Unbound::start(&stage);
    let check = |from: &str, name: &str, rtype: RecordType, want: &str, questions: u64| {
        let before = stage.asked();
        let answer = unbound.ask(from, name, rtype);
        assert_eq!(addresses(&answer).join(" "), want, "{name} {rtype} for {from}: {answer}");
        assert_eq!(stage.asked() - before, questions, "questions to the server for {name} {rtype} from {from}");
    };
    use RecordType::{A, AAAA, TXT};
    check("127.2.0.1", "www.shop.test.", A, "192.0.2.2", 1);
    check("127.3.0.1", "www.shop.test.", A, "192.0.2.1", 1);
    check("127.49.0.1", "www.shop.test.", A, "192.0.2.3", 1);
    // Each again, and their neighbours within the scope: from the cache.
    for (from, want) in [("127.2", "192.0.2.2"), ("127.3", "192.0.2.1"), ("127.49", "192.0.2.3")] {
        for host in ["0.1", "0.77", "255.254"] {
            check(&format!("{from}.{host}"), "www.shop.test.", A, want, 0);
        }
    }
    // Germany and France lead to the same place, next to each other: one scope.
    check("127.5.1.1", "www.shop.test.", A, "192.0.2.2", 1);
    check("127.5.200.1", "www.shop.test.", A, "192.0.2.2", 0);
    // Another type is another answer.
    check("127.2.0.1", "www.shop.test.", AAAA, "2001:db8:2::1", 1);
    check("127.49.0.1", "www.shop.test.", AAAA, "2001:db8:2::1", 1);
    check("127.49.9.1", "www.shop.test.", AAAA, "2001:db8:2::1", 0);
    check("127.3.0.1", "www.shop.test.", AAAA, "2001:db8:1::1", 1);
    // An answer for everybody (scope 0) is asked for once.
    for (from, questions) in [("127.2.0.1", 1), ("127.3.0.1", 0), ("127.49.7.7", 0), ("127.77.1.1", 0)] {
        check(from, "order.shop.test.", A, "192.0.2.3", questions);
    }
    for (from, questions) in [("127.3.0.1", 1), ("127.2.0.1", 0)] {
        check(from, "x.wild.shop.test.", TXT, "anything", questions);
    }
}

/// Users in many networks, while a region takes a part of its clients: whatever the resolver says, cached or not, is what the
/// server says to that very network.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_never_mixes_networks_up() {
    if !installed("unbound", "unbound") {
        return;
    }
    let mut plan = plan(1, &[]);
    let mut drain = Override::new(Subject::Region(region("eu-west")), OverrideAction::Down, ("test", "test"), 0, 1);
    drain.share_permille = 500;
    plan.overrides.push(drain);
    let stage = serve(&plan);
    let unbound = Unbound::start(&stage);
    let clients: Vec<String> = (0..60)
        .map(|i| format!("127.{}.{}.{}", [2, 3, 5, 49, 77][i % 5], (i * 37) % 256, 1 + i))
        .chain(["127.5.127.255", "127.5.128.0", "127.1.255.255", "127.4.0.1"].map(str::to_owned))
        .collect();
    let mut answers = std::collections::BTreeSet::new();
    for round in 0..3 {
        let before = stage.asked();
        let mut direct = 0;
        for from in &clients {
            for (name, rtype) in [
                ("www.shop.test.", RecordType::A),
                ("two.shop.test.", RecordType::A),
                ("store.shop.test.", RecordType::AAAA),
            ] {
                let network = ClientSubnet::new(from.parse().unwrap(), 24, 0);
                let told = ask(stage.server.local_addr(), "127.0.0.1", &question(name, rtype, Some(network)));
                direct += 1;
                let cached = unbound.ask(from, name, rtype);
                assert_eq!(addresses(&cached), addresses(&told), "{name} {rtype} for {from}, round {round}");
                answers.insert(addresses(&told));
            }
        }
        if round > 0 {
            assert_eq!(stage.asked() - before, direct, "the resolver has everything after one round");
        }
    }
    assert!(answers.len() > 6, "the networks do get different answers: {answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_that_clients_name_themselves_are_passed_on() {
    if !installed("unbound", "unbound") || !installed("dig", "bind9-dnsutils") {
        return;
    }
    let stage = serve(&plan(1, &[]));
    let unbound = Unbound::start(&stage);
    let dig = |subnet: &str, name: &str, rtype: &str| {
        let port = unbound.addr.port().to_string();
        let subnet = format!("+subnet={subnet}");
        run(Command::new("dig").args(["@127.0.0.1", "-p", &port, &subnet, name, rtype]))
    };
    let before = stage.asked();
    for (subnet, rtype, want, scoped) in [
        ("127.2.9.0/24", "A", "192.0.2.2", "CLIENT-SUBNET: 127.2.9.0/24/16"),
        ("127.3.9.0/24", "A", "192.0.2.1", "CLIENT-SUBNET: 127.3.9.0/24/16"),
        ("2a00:1234::/48", "AAAA", "2001:db8:2::1", "CLIENT-SUBNET: 2a00:1234::/48/16"),
        ("2600:1::/48", "AAAA", "2001:db8:1::1", "CLIENT-SUBNET: 2600:1::/48/"),
        ("2a00:77::/56", "AAAA", "2001:db8:2::1", "CLIENT-SUBNET: 2a00:77::/56/16"),
    ] {
        let text = dig(subnet, "www.shop.test", rtype);
        assert!(text.contains("status: NOERROR") && text.contains(want) && text.contains(scoped), "{text}");
        assert!(!text.contains("WARNING") && !text.contains("malformed"), "{text}");
    }
    assert_eq!(stage.asked() - before, 4, "the last one lies in the scope of the third");
}

/// The resolver forgets when the TTL says so, and users follow.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_reaches_users_behind_a_cache() {
    if !installed("unbound", "unbound") {
        return;
    }
    let stage = serve(&plan(1, &[]));
    let unbound = Unbound::start(&stage);
    let told = || data(&unbound.ask("127.2.0.1", "quick.shop.test.", RecordType::A)).join(" ");
    assert_eq!(told(), "192.0.2.1");
    stage.views.store(Some(view(&plan(2, &["us-east"]))));
    let deadline = Instant::now() + SOON;
    while told() != "192.0.2.2" {
        assert!(Instant::now() < deadline, "the resolver asks again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_takes_every_kind_of_answer() {
    if !installed("unbound", "unbound") {
        return;
    }
    let stage = serve(&plan(1, &["ap-south"]));
    let unbound = Unbound::start(&stage);
    let check = |name: &str, rtype: RecordType, rcode: ResponseCode, want: &str| {
        let answer = unbound.ask("127.2.0.1", name, rtype);
        assert_eq!(answer.metadata.response_code, rcode, "{name} {rtype}: {answer}");
        assert!(data(&answer).join(" ").ends_with(want), "{name} {rtype}: {answer}");
        assert_eq!(answer.answers.is_empty(), want.is_empty(), "{name} {rtype}: {answer}");
    };
    use ResponseCode::{NXDomain, NoError};
    check("missing.shop.test.", RecordType::A, NXDomain, "");
    check("x.missing.shop.test.", RecordType::A, NXDomain, "");
    check("er.names.shop.test.", RecordType::A, NoError, "");
    check("deep.er.names.shop.test.", RecordType::TXT, NoError, "there are names between names");
    check("closed.shop.test.", RecordType::A, NoError, "");
    check("nowhere.shop.test.", RecordType::A, NXDomain, "missing.shop.test.");
    check("a.old.shop.test.", RecordType::A, NoError, "a.types.test. 192.0.2.80");
    check("cname.types.test.", RecordType::A, NoError, "a.types.test. 192.0.2.80");
    check("mx.types.test.", RecordType::MX, NoError, "10 a.types.test. 20 mail.elsewhere.test.");
    // Too long for UDP between the two: the resolver comes again over TCP, and tells its own client to do so.
    let connections = stage.server.counters().connections;
    let short = unbound.ask("127.2.0.1", "big.types.test.", RecordType::TXT);
    assert!(short.metadata.truncation);
    assert_eq!((stage.server.counters().truncated, stage.server.counters().connections - connections), (1, 1));
}
