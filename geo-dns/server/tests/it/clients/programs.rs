//! `dig`, `kdig` and `dnspython` ask for every kind of answer and have nothing to complain of.

use std::process::Command;

use super::{clients, installed, plan, run, serve, world_file};

/// What the programs have in common: a question, and what has to be in what they print.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("www.shop.test A", &["status: NOERROR", "www.shop.test.", "192.0.2.1"]),
    ("www.shop.test AAAA", &["status: NOERROR", "2001:db8:1::1"]),
    ("store.shop.test A", &["CNAME", "www.shop.test.", "192.0.2.1"]),
    ("a.old.shop.test A", &["DNAME", "types.test.", "CNAME", "192.0.2.80"]),
    ("nowhere.shop.test A", &["status: NXDOMAIN", "CNAME", "SOA"]),
    ("missing.shop.test A", &["status: NXDOMAIN", "SOA", "hostmaster.shop.test."]),
    ("er.names.shop.test A", &["status: NOERROR", "SOA"]),
    ("closed.shop.test A", &["status: NOERROR", "SOA", "every member is down: none is named"]),
    ("x.branch.shop.test A", &["status: NOERROR", "NS", "ns.branch.shop.test.", "192.0.2.53", "2001:db8::53"]),
    ("branch.shop.test DS", &["status: NOERROR", "12345 13 2"]),
    ("shop.test SOA", &["status: NOERROR", "ns1.shop.test. hostmaster.shop.test. 1 3600 600"]),
    ("shop.test NS", &["ns1.shop.test.", "ns2.shop.test."]),
    ("www.shop.test ANY +notcp", &["RFC8482"]),
    ("x.wild.shop.test TXT", &["\"anything\""]),
    ("elsewhere.test A", &["status: REFUSED", "20", "no zone of this server has this name"]),
    ("www.shop.test A +subnet=127.2.9.0/24", &["192.0.2.2", "CLIENT-SUBNET: 127.2.9.0/24/16"]),
    ("www.shop.test AAAA +subnet=2a00:1::/48", &["2001:db8:2::1", "CLIENT-SUBNET: 2a00:1::/48/16"]),
    ("www.shop.test A +nsid", &["NSID", "us-east"]),
    ("www.shop.test A +cookie=0123456789abcdef", &["192.0.2.1"]),
    ("www.shop.test A +tcp", &["192.0.2.1"]),
    ("big.types.test TXT +tcp", &["status: NOERROR", "xxxx"]),
    ("www.shop.test A +dnssec", &["192.0.2.1", "do"]),
    ("version.bind TXT -c CH", &["atoll"]),
    ("id.server TXT -c CH", &["us-east"]),
    ("plan.atoll TXT -c CH", &["plan 7:1"]),
];

/// Words of both programs for what they do not like.
const COMPLAINTS: &[&str] =
    &["warning", "malformed", "bad packet", "mismatch", "unexpected", "error:", "truncated", "extra bytes"];

#[track_caller]
fn asks(program: &str, port: u16, question: &str, wants: &[&str]) {
    let port = port.to_string();
    let words = question.split_whitespace();
    let text = run(Command::new(program).args(["@127.0.0.1", "-p", &port, "+norecurse", "+edns=0"]).args(words));
    let lower = text.to_lowercase();
    for complaint in COMPLAINTS {
        assert!(!lower.contains(complaint), "{program} {question}: `{complaint}` in\n{text}");
    }
    for want in wants {
        assert!(lower.contains(&want.to_lowercase()), "{program} {question}: no `{want}` in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_reads_every_kind_of_answer() {
    if !installed("dig", "bind9-dnsutils") {
        return;
    }
    let stage = serve(&plan(1, &["ap-south"]));
    for (question, wants) in QUESTIONS {
        asks("dig", stage.port(), question, wants);
    }
    let port = stage.port().to_string();
    let dig = |words: &str| run(Command::new("dig").args(["@127.0.0.1", "-p", &port]).args(words.split_whitespace()));
    let whole = dig("big.types.test TXT +norecurse");
    assert!(whole.contains("Truncated, retrying in TCP mode.") && whole.contains("ANSWER: 1"), "{whole}");
    assert!(dig("www.shop.test A +norecurse +edns=1 +noednsneg").contains("status: BADVERS"));
    assert!(dig("www.shop.test A +norecurse +edns=1").contains("status: NOERROR"), "it comes again with version 0");
    assert!(dig("www.shop.test A +norecurse +ednsopt=65001:0102 +ednsflags=0x4000").contains("status: NOERROR"));
    assert!(dig("www.shop.test A +norecurse +keepalive +tcp +keepopen").contains("192.0.2.1"));
    assert!(dig("www.shop.test A +norecurse +noedns").contains("192.0.2.1"));
    assert!(dig("shop.test AXFR").contains("Transfer failed"));
    assert!(dig("www.shop.test A +norecurse +opcode=STATUS").contains("status: NOTIMP"));
    assert!(dig("+norecurse +header-only").contains("status: FORMERR"));
}

#[tokio::test(flavor = "multi_thread")]
async fn kdig_reads_every_kind_of_answer() {
    if !installed("kdig", "knot-dnsutils") {
        return;
    }
    let stage = serve(&plan(1, &["ap-south"]));
    for (question, wants) in QUESTIONS {
        asks("kdig", stage.port(), question, wants);
    }
    let port = stage.port().to_string();
    let kdig = |words: &str| {
        let output = Command::new("kdig").args(["@127.0.0.1", "-p", &port]).args(words.split_whitespace()).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let whole = kdig("big.types.test TXT +norecurse +edns");
    assert!(whole.contains("(TCP)") && whole.contains("ANSWER: 1"), "{whole}");
    assert!(kdig("www.shop.test A +edns=1").contains("status: BADVERS"));
    assert!(kdig("www.shop.test A +noedns").contains("192.0.2.1"));
    // Several questions in a row on one connection.
    let many = kdig("+tcp +keepopen www.shop.test A www.shop.test AAAA big.types.test TXT");
    assert!(many.contains("2001:db8:1::1") && many.contains("xxxx"), "{many}");
}

/// The data of each record of the world as dnspython reads it from its text and from our answer, over UDP and TCP; and every
/// kind of answer, option and fault.
#[tokio::test(flavor = "multi_thread")]
async fn dnspython_reads_every_kind_of_answer() {
    if !Command::new("python3").args(["-c", "import dns, tomllib"]).output().is_ok_and(|o| o.status.success()) {
        eprintln!("SKIPPED: python3 has no module dns (pip install -r geo-dns/server/tests/clients/requirements.txt)");
        return;
    }
    let stage = serve(&plan(1, &["ap-south"]));
    let script = clients().join("answers.py");
    run(Command::new("python3").arg(script).arg(stage.port().to_string()).arg(world_file()));
}
