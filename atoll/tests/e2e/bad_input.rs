//! Bad input gets a clear error and loses nothing.

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    clients::{Redis, ask, get},
    world::{SOON, Scratch, Up, alive, binary, children_of, free_net, signal, text, until},
};

#[test]
fn a_wrong_world_file_is_told_line_by_line() {
    let scratch = Scratch::new("world-file");
    let data = scratch.0.join("w");
    fs::create_dir_all(&data).unwrap();
    let default = Command::new(binary()).args(["world", "default"]).output().unwrap();
    let good = text(&default.stdout);
    let wrong = good.replace("members = [\"us-east\"", "members = [\"us-eest\"");
    assert_ne!(good, wrong);
    fs::write(data.join("world.toml"), &wrong).unwrap();
    let error = Up::try_start(&data, &[]).err().expect("a wrong world does not start");
    let line = wrong.lines().position(|line| line.contains("us-eest")).unwrap() + 1;
    for part in [&format!("world.toml:{line}"), "us-eest", "us-east"] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    let check = Command::new(binary()).args(["world", "check"]).arg(data.join("world.toml")).output().unwrap();
    assert_eq!(check.status.code(), Some(2));
    fs::write(data.join("world.toml"), &good).unwrap();
    let error = Up::try_start(&data, &["--profile", "fast"]).err().expect("a world has its own profile");
    assert!(error.contains("profile `default`; drop --profile"), "{error}");
    let check = Command::new(binary()).args(["world", "check"]).arg(data.join("world.toml")).output().unwrap();
    assert!(check.status.success(), "{}", text(&check.stderr));
}

#[test]
fn a_port_in_use_is_named_with_its_holder() {
    let scratch = Scratch::new("port");
    let net = free_net();
    let holder = TcpListener::bind((std::net::Ipv4Addr::new(127, net, 2, 1), 6379)).unwrap();
    let error = Up::try_start(&scratch.0.join("w"), &["--net", &net.to_string()]).err().expect("it does not start");
    let at = holder.local_addr().unwrap().to_string();
    let pid = std::process::id().to_string();
    for part in [at.as_str(), "Redis protocol of eu-west", pid.as_str()] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn state_of_another_world_is_refused_and_damage_is_told_and_healed() {
    let scratch = Scratch::new("damage");
    let (data, other) = (scratch.0.join("w"), scratch.0.join("other"));
    let up = Up::start(&data, &["--net", &free_net().to_string()]);
    let mut us = Redis::to(up.region("us-east").redis);
    for number in 0..2000 {
        us.run::<()>(&["SET", &format!("key:{number}"), &"v".repeat(100)]).unwrap();
    }
    let eu = up.region("eu-west").clone();
    until("all of it is in eu-west", SOON, || Redis::to(eu.redis).run::<i64>(&["DBSIZE"]).unwrap() == 2000);
    up.ok(&["up", "kill", "eu-west"]);

    // A torn tail: what a power failure leaves. The region starts, and its peers bring back what was cut off.
    let state = data.join("regions/eu-west/state");
    let journal = newest_journal(&state);
    let mut bytes = fs::read(&journal).unwrap();
    bytes.extend_from_slice(b"half a rec");
    fs::write(&journal, &bytes).unwrap();
    up.ok(&["up", "start", "eu-west"]);
    let log = fs::read_to_string(data.join("regions/eu-west/region.log")).unwrap();
    assert!(log.contains("torn") || log.contains("cut off") || log.contains("tail"), "{log}");
    until("nothing is missing", SOON, || Redis::to(eu.redis).run::<i64>(&["DBSIZE"]).unwrap() == 2000);
    up.ok(&["up", "kill", "eu-west"]);

    // A flipped byte in the middle: refused, with file and offset, and the way back is offered.
    let journal = oldest_journal(&state);
    let mut bytes = fs::read(&journal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&journal, &bytes).unwrap();
    let refused = up.atoll(&["up", "start", "eu-west"]);
    let words = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{words}");
    for part in [journal.file_name().unwrap().to_str().unwrap(), "byte", "--fetch-state"] {
        assert!(words.contains(part), "`{part}` is not in: {words}");
    }
    up.ok(&["up", "start", "eu-west", "--fetch-state"]);
    until("the state is back from the peers", SOON, || Redis::to(eu.redis).run::<i64>(&["DBSIZE"]).unwrap() == 2000);

    // The state of another world does not get in.
    let elsewhere = Up::start(&other, &["--net", &free_net().to_string()]);
    assert_eq!(elsewhere.stop(), 0);
    up.ok(&["up", "stop", "ap-south"]);
    let (mine, theirs) = (data.join("regions/ap-south/state"), other.join("regions/ap-south/state"));
    let aside = scratch.0.join("aside");
    fs::rename(&mine, &aside).unwrap();
    fs::rename(&theirs, &mine).unwrap();
    let refused = up.atoll(&["up", "start", "ap-south"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("world"), "{}", text(&refused.stderr));
    fs::rename(&mine, &theirs).unwrap();
    fs::rename(&aside, &mine).unwrap();
    up.ok(&["up", "start", "ap-south"]);
}

fn journals(state: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![state.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.to_string_lossy().contains("journal") && entry.metadata().unwrap().len() > 200 {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn newest_journal(state: &Path) -> std::path::PathBuf {
    journals(state).pop().expect("a journal")
}

fn oldest_journal(state: &Path) -> std::path::PathBuf {
    journals(state).into_iter().max_by_key(|file| file.metadata().unwrap().len()).expect("a journal")
}

#[test]
fn a_clock_ninety_seconds_off_poisons_nobody() {
    let scratch = Scratch::new("clock");
    let data = scratch.0.join("w");
    let up = Up::start(&data, &["--net", &free_net().to_string()]);
    let (us, ap) = (up.region("us-east").clone(), up.region("ap-south").clone());
    up.ok(&["up", "stop", "ap-south"]);
    let mut child = Command::new("faketime")
        .args(["-f", "+90s"])
        .arg(binary())
        .args(["region", "--config"])
        .arg(data.join("regions/ap-south/region.toml"))
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("faketime is installed");
    until("the region with the wrong clock serves", SOON, || {
        get(ap.gateway, "/healthz", "").is_some_and(|(status, _, _)| status == 200)
    });
    let mut wrong = Redis::to(ap.redis);
    wrong.run::<()>(&["SET", "from-the-future", "1"]).unwrap();
    // The others go on and it takes part; what it stamped itself is put off until their clocks are near it.
    Redis::to(us.redis).run::<()>(&["SET", "from-the-present", "1"]).unwrap();
    until("it hears of the others' writes", SOON, || {
        wrong.run::<Option<String>>(&["GET", "from-the-present"]).unwrap().is_some()
    });
    assert_eq!(Redis::to(us.redis).run::<Option<String>>(&["GET", "from-the-future"]).unwrap(), None);
    // Ours did not follow: a key set to live for a minute lives, and does not die at once.
    Redis::to(us.redis).run::<()>(&["SET", "session", "x", "EX", "60"]).unwrap();
    assert!(Redis::to(us.redis).run::<i64>(&["TTL", "session"]).unwrap() >= 55);
    // faketime stands between: the region is its child.
    let region = children_of(child.id());
    assert_eq!(region.len(), 1, "{region:?}");
    signal(region[0], "TERM");
    until("it leaves", SOON, || child.try_wait().unwrap().is_some() && !alive(region[0]));
}

/// Random bytes, and good beginnings gone bad.
fn garbage(number: u64, opening: &[u8]) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = if number.is_multiple_of(2) { Vec::new() } else { opening.to_vec() };
    let extra = next() % 200;
    bytes.extend((0..extra).map(|_| next() as u8));
    if !bytes.is_empty() && number.is_multiple_of(3) {
        let at = next() as usize % bytes.len();
        bytes[at] ^= next() as u8;
    }
    bytes
}

#[test]
fn random_bytes_on_every_port_change_nothing() {
    let scratch = Scratch::new("noise");
    let up = Up::start(&scratch.0.join("w"), &["--net", &free_net().to_string()]);
    let us = up.region("us-east").clone();
    let admin = SocketAddr::new(us.dns.ip(), 9700);
    let link = SocketAddr::new(us.dns.ip(), 9701);
    let before = resident_kb(us.pid);

    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x04shop\x04test\x00\x00\x01\x00\x01";
    for number in 0..50_000 {
        let _ = udp.send_to(&garbage(number, query), us.dns);
        let _ = udp.send_to(&garbage(number, b"\xc3\x00\x00\x00\x01"), link);
    }
    let openings: [(SocketAddr, &[u8]); 4] = [
        (us.redis, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$"),
        (us.gateway, b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999"),
        (us.dns, b"\x00\x20\x12\x34\x01\x00\x00\x01"),
        (admin, b"\x16\x03\x01\x02\x00\x01\x00"),
    ];
    for number in 0..1500 {
        for (at, opening) in openings {
            if let Ok(mut stream) = TcpStream::connect_timeout(&at, Duration::from_secs(2)) {
                let _ = stream.write_all(&garbage(number, opening));
            }
        }
    }
    assert!(ask(us.dns, "www.shop.test.").is_some_and(|(_, addresses)| !addresses.is_empty()));
    assert_eq!(Redis::to(us.redis).run::<String>(&["PING"]).unwrap(), "PONG");
    assert_eq!(get(us.gateway, "/healthz", "").unwrap().0, 200);
    let status = up.status();
    assert!(
        status["regions"].as_array().unwrap().iter().all(|r| r["reachable"] == true && r["serves"] == true),
        "{status:#}"
    );
    let log = fs::read_to_string(up.data.join("regions/us-east/region.log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    assert!(log.len() < 1 << 20, "noise does not flood the log: {} bytes", log.len());
    let grown = resident_kb(us.pid).saturating_sub(before);
    assert!(grown < 32 * 1024, "the region grew by {grown} kB");
}

fn resident_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn certificates_of_another_authority_open_no_door() {
    let scratch = Scratch::new("foreign");
    let up = Up::start(&scratch.0.join("w"), &["--net", &free_net().to_string()]);
    let admin = format!("https://{}:9700", up.region("us-east").dns.ip());
    let foreign = scratch.0.join("foreign-pki");
    let authority = pki::WorldCa::create(&foreign, "another").unwrap();
    let issued = authority.issue(&pki::Principal::Region("eu-west".into()), &[]).unwrap();
    let curl = |extra: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5"])
            .args(extra)
            .arg(format!("{admin}/v1/status"))
            .output()
            .expect("curl is installed");
        (text(&output.stdout), text(&output.stderr))
    };
    let ca = up.data.join("pki/ca.pem");
    let ca = ca.to_str().unwrap();
    let (cert, key) = (issued.cert.to_str().unwrap(), issued.key.to_str().unwrap());
    let (code, error) = curl(&["--cacert", ca, "--cert", cert, "--key", key]);
    assert!(code == "000" || code == "401" || code == "403", "a foreign certificate got {code}: {error}");
    assert_eq!(curl(&["--cacert", ca]).0, "401", "no certificate and no token");
    assert_eq!(curl(&["--cacert", ca, "-H", "authorization: Bearer guess"]).0, "401");
    let token = fs::read_to_string(up.data.join("admin.token")).unwrap();
    let header = format!("authorization: Bearer {}", token.trim());
    assert_eq!(curl(&["--cacert", ca, "-H", &header]).0, "200");
    let (code, _) = curl(&["--cacert", foreign.join("ca.pem").to_str().unwrap(), "-H", &header]);
    assert_eq!(code, "000", "the client does not trust a server of another authority");
}
