//! Clients that mean harm: each is stopped by its limit, and others are served meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gateway::Network;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::Notify,
    time::{Instant, timeout},
};

use crate::{
    frames::*,
    support::{PATIENCE, TestWorker, World, raw_worker, text, until, worker},
};

async fn shop(world: &World) -> TestWorker {
    let shop = worker(async |request| {
        let _ = request.into_body().collect().await;
        text("served")
    })
    .await;
    world.set_workers(&[shop.address]);
    shop
}

/// Another client, while or after an attack.
async fn others_are_served(world: &World) {
    assert_eq!(world.get("/", &[]).await.body, "served");
}

fn cut(world: &World, reason: &str) -> f64 {
    world.metric(&format!("connections_cut_total{{reason=\"{reason}\"}}"))
}

/// This process's memory, bytes.
fn memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Runs a test in a process where nothing else runs, with so many file descriptors; `false` if this is that process.
async fn elsewhere(test: &'static str, descriptors: u32) -> bool {
    const ALONE: &str = "ATOLL_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let limited = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
    let mut again = std::process::Command::new("sh");
    again
        .args(["-c", &limited])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1");
    let output = tokio::task::spawn_blocking(move || again.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Sends the same bytes again and again until the gateway hangs up; the most that is sent is bounded.
async fn flood(client: &mut Raw, mut piece: impl FnMut(u32) -> Vec<u8>, pieces: u32) -> bool {
    for turn in 0..pieces {
        if !client.send(&piece(turn)).await {
            return true;
        }
    }
    // It may hang up only when it comes to the end.
    timeout(PATIENCE, client.end()).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset_is_cut() {
    let world = World::start().await;
    let asked = Arc::new(AtomicU32::new(0));
    let counting = {
        let asked = Arc::clone(&asked);
        worker(move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            async { text("served") }
        })
        .await
    };
    world.set_workers(&[counting.address]);
    let mut client = Raw::connect(world.address()).await;
    // CVE-2023-44487: open and reset, 20 streams at a time, a hundred thousand in all.
    let piece = |turn: u32| {
        let streams = (0..20).map(|n| 1 + 2 * (turn * 20 + n));
        streams.flat_map(|stream| [get(stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()).collect()
    };
    let (cut_off, ()) = tokio::join!(flood(&mut client, piece, 5000), others_are_served(&world));
    assert!(cut_off);
    assert!(asked.load(Ordering::Relaxed) < 2000, "{} requests came to the worker", asked.load(Ordering::Relaxed));
    others_are_served(&world).await;
    until("nothing is left at the worker", || world.in_flight()[0].1 == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slower_rapid_reset_is_cut_too() {
    let world = World::start().await;
    let _shop = shop(&world).await;
    let mut client = Raw::connect(world.address()).await;
    let mut cut_off = false;
    // Each stream is accepted before it is reset, which is what h2 does not count.
    for n in 0..2000 {
        let stream = 1 + 2 * n;
        client.send(&get(stream)).await;
        client.send(&frame(PING, 0, 0, &[0; 8])).await;
        if !client.send(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await {
            cut_off = true;
            break;
        }
        while let Ok(Some(frame)) = client.next_within(PATIENCE).await {
            if frame.kind == PING {
                break;
            }
        }
    }
    assert!(cut_off || client.end().await != Some(0));
    until("it is counted", || cut(&world, "flood") == 1.0).await;
    others_are_served(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_continuations_is_cut_and_costs_no_memory() {
    let world = World::start().await;
    let _shop = shop(&world).await;
    others_are_served(&world).await;
    let before = memory();
    // CVE-2024-27316: a header block that never ends.
    for fields in [block(&[("x", &"a".repeat(1000))]).repeat(15), Vec::new(), block(&[("x", "1")])] {
        let mut client = Raw::connect(world.address()).await;
        client.send(&frame(HEADERS, END_STREAM, 1, &block(&GET))).await;
        let piece = frame(CONTINUATION, 0, 1, &fields).repeat(10);
        let (cut_off, ()) = tokio::join!(flood(&mut client, |_| piece.clone(), 5000), others_are_served(&world));
        assert!(cut_off);
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    others_are_served(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_control_frames_are_cut() {
    let world = World::start().await;
    let _shop = shop(&world).await;
    let kinds = [
        ("ping", frame(PING, 0, 0, &[0; 8])),
        ("settings", frame(SETTINGS, 0, 0, &setting(4, 65_535))),
        ("priority", frame(PRIORITY, 0, 9, &[0, 0, 0, 0, 1])),
        ("unknown", frame(0x42, 0, 0, b"")),
        ("window", frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
    ];
    for (name, bytes) in kinds {
        let before = cut(&world, "flood");
        let mut client = Raw::connect(world.address()).await;
        let piece = bytes.repeat(100);
        let (cut_off, ()) = tokio::join!(flood(&mut client, |_| piece.clone(), 10_000), others_are_served(&world));
        assert!(cut_off, "{name}");
        until("it is counted", || cut(&world, "flood") > before).await;
    }
    // Empty DATA on an open stream (CVE-2019-9518): h2 or we, whoever is first.
    let mut client = Raw::connect(world.address()).await;
    client.send(&post(1)).await;
    let piece = frame(DATA, 0, 1, b"").repeat(100);
    assert!(flood(&mut client, |_| piece.clone(), 10_000).await);
    others_are_served(&world).await;
}

/// Who lost measure is told so before the connection ends, also while answers are on their way, and however its frames are cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_answered_with_goaway_before_the_end() {
    const ENHANCE_YOUR_CALM: u32 = 11;
    let world = World::start().await;
    let large = worker(async |_| text("x".repeat(1 << 20))).await;
    world.set_workers(&[large.address]);
    let ping = frame(PING, 0, 0, &[0; 8]);
    let settings = frame(SETTINGS, 0, 0, &setting(4, 65_535));
    let reset: Vec<u8> = (1..2000_u32)
        .flat_map(|n| [get(2 * n + 1), frame(RST_STREAM, 0, 2 * n + 1, &8_u32.to_be_bytes())].concat())
        .collect();
    for (name, bytes, portion) in [
        ("ping", ping.repeat(1500), 4096),
        ("ping in odd pieces", ping.repeat(1500), 1021),
        ("settings", settings.repeat(1500), 5000),
        ("rapid reset", reset, 3000),
    ] {
        let before = cut(&world, "flood");
        let mut client = Raw::connect(world.address()).await;
        // An answer is under way, in the middle of which GOAWAY must not stand.
        client.send(&get(1)).await;
        for piece in bytes.chunks(portion) {
            if !client.send(piece).await {
                break;
            }
        }
        let took = Instant::now();
        assert_eq!(client.end().await, Some(ENHANCE_YOUR_CALM), "{name}");
        assert!(took.elapsed() < PATIENCE / 2, "{name} took {:?}", took.elapsed());
        // h2 has a bound of its own for resets before it looked at the stream.
        if name != "rapid reset" {
            until("it is counted", || cut(&world, "flood") > before).await;
        }
    }
    until("nothing is left at the worker", || world.in_flight()[0].1 == 0).await;
}

/// A client that takes nothing cannot be told, and is cut all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_somebody_who_reads_nothing_ends_in_time() {
    let world = World::start().await;
    let large = worker(async |_| text("x".repeat(8 << 20))).await;
    world.set_workers(&[large.address]);
    let mut client = Raw::with_settings(world.address(), &[(1, 0), (4, 0x7fff_ffff)]).await;
    client.send(&frame(WINDOW_UPDATE, 0, 0, &0x7000_0000_u32.to_be_bytes())).await;
    for stream in [1, 3, 5, 7] {
        client.send(&get(stream)).await;
    }
    until("answers are under way", || world.in_flight()[0].1 > 0).await;
    client.send(&frame(PING, 0, 0, &[0; 8]).repeat(1500)).await;
    until("it is cut", || cut(&world, "flood") == 1.0).await;
    until("nothing is left", || world.in_flight()[0].1 == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_list_that_unfolds_is_refused_before_it_costs_memory() {
    let world = World::start().await;
    let _shop = shop(&world).await;
    others_are_served(&world).await;
    let before = memory();
    // A field of 4000 bytes goes into the table once and is named thousands of times by one byte each (an HPACK bomb).
    let mut client = Raw::connect(world.address()).await;
    let mut bomb = block(&GET);
    bomb.extend(b"\x40\x01x\x7f\xa1\x1e");
    bomb.extend([b'a'; 4000]);
    bomb.extend([0xbe].repeat(12_000));
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)).await;
    // 48 MB, if anybody believed it.
    let status = client.status(1).await;
    assert!(matches!(status, Some(431) | None), "{status:?}");
    let grown = memory().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
    // More fields than allowed, small ones.
    let fields: Vec<(String, &str)> = (0..500).map(|n| (format!("x{n}"), "1")).collect();
    let mut all = GET.to_vec();
    all.extend(fields.iter().map(|(name, value)| (name.as_str(), *value)));
    let mut client = Raw::connect(world.address()).await;
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&all))).await;
    assert_eq!(client.status(1).await, Some(431));
    others_are_served(&world).await;
}

/// A worker that answers with very many bytes, and tells when its connection is given up.
async fn endless(gone: Arc<Notify>) -> TestWorker {
    raw_worker(move |mut stream| {
        let gone = Arc::clone(&gone);
        async move {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
            let piece = [b'x'; 16 * 1024];
            while stream.write_all(&piece).await.is_ok() {}
            gone.notify_one();
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_takes_lets_its_worker_go() {
    let world = World::with(|limits| limits.rate_window = Duration::from_millis(400)).await;
    let gone = Arc::new(Notify::new());
    let endless = endless(Arc::clone(&gone)).await;
    world.set_workers(&[endless.address]);
    // HTTP/2, no window at all: the answer begins and goes nowhere.
    let mut client = Raw::with_settings(world.address(), &[(1, 0), (4, 0)]).await;
    client.send(&get(1)).await;
    assert_eq!(client.status(1).await, Some(200));
    timeout(PATIENCE, gone.notified()).await.expect("the worker is let go");
    assert_eq!(world.metric("answers_released_total"), 1.0);
    // Nothing else is there to be served, so the connection goes too.
    client.end().await;
    until("it is counted", || cut(&world, "stalled") == 1.0).await;
    until("nothing is left", || world.metric("connections_open") == 0.0 && world.in_flight()[0].1 == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_too_slowly_is_cut() {
    let world = World::with(|limits| limits.rate_window = Duration::from_secs(1)).await;
    let gone = Arc::new(Notify::new());
    let endless = endless(Arc::clone(&gone)).await;
    world.set_workers(&[endless.address]);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(world.address()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut byte = [0];
    client.read_exact(&mut byte).await.unwrap();
    timeout(PATIENCE, gone.notified()).await.expect("the worker is let go");
    until("it is counted", || cut(&world, "slow_reader") == 1.0).await;
    until("nothing is left", || world.metric("connections_open") == 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_trickles_is_refused() {
    let world = World::with(|limits| limits.rate_window = Duration::from_secs(1)).await;
    let _shop = shop(&world).await;
    let trickle = async |stream: &mut TcpStream, bytes: &[u8]| {
        let started = Instant::now();
        let mut answer = Vec::new();
        loop {
            assert!(started.elapsed() < PATIENCE, "it trickles on");
            if stream.write_all(bytes).await.is_err() {
                break;
            }
            // A byte each 100 ms never lets a plain time-out pass.
            if let Ok(Ok(_)) = timeout(Duration::from_millis(100), stream.read_buf(&mut answer)).await {
                break;
            }
        }
        answer
    };
    let mut client = TcpStream::connect(world.address()).await.unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n").await.unwrap();
    let answer = trickle(&mut client, b"x").await;
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", answer.escape_ascii());
    let mut client = Raw::connect(world.address()).await;
    client.send(&post(1)).await;
    trickle(&mut client.stream, &frame(DATA, 0, 1, b"x")).await;
    until("both are refused", || world.metric("requests_total{class=\"4xx\"}") == 2.0).await;
    others_are_served(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slowloris_leaves_room_for_others() {
    let world = World::with(|limits| {
        limits.max_connections = 50;
        limits.header_timeout = Duration::from_secs(1);
    })
    .await;
    let _shop = shop(&world).await;
    // All places taken by heads that never end.
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut client = TcpStream::connect(world.address()).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-").await.unwrap();
        slow.push(client);
    }
    until("all places are taken", || world.metric("connections_open") == 50.0).await;
    others_are_served(&world).await;
    until("they are counted", || cut(&world, "head") >= 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_make_room() {
    let world = World::with(|limits| limits.max_connections = 10).await;
    let _shop = shop(&world).await;
    let mut idle = Vec::new();
    for turn in 0..10 {
        // Half of them have been served, half have said nothing.
        let mut client = TcpStream::connect(world.address()).await.unwrap();
        if turn % 2 == 0 {
            client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"served") {
                assert!(client.read_buf(&mut answer).await.unwrap() > 0);
            }
        }
        idle.push(client);
    }
    for _ in 0..5 {
        others_are_served(&world).await;
    }
    assert!(cut(&world, "pressure") >= 1.0);
    assert_eq!(cut(&world, "idle"), 0.0);
}

#[tokio::test]
async fn an_idle_connection_ends_and_a_busy_one_does_not() {
    let world = World::with(|limits| limits.idle_timeout = Duration::from_millis(1500)).await;
    let release = Arc::new(tokio::sync::Semaphore::new(0));
    let held = Arc::clone(&release);
    let slow = worker(move |_| {
        let held = Arc::clone(&held);
        async move {
            drop(held.acquire().await);
            text("served")
        }
    })
    .await;
    world.set_workers(&[slow.address]);
    let ask = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut client = TcpStream::connect(world.address()).await.unwrap();
    client.write_all(ask).await.unwrap();
    let mut two = Raw::connect(world.address()).await;
    two.send(&get(1)).await;
    until("both are at the worker", || world.in_flight()[0].1 == 2).await;
    let idle = TcpStream::connect(world.address()).await.unwrap();
    let mut third = Raw::connect(world.address()).await;
    assert_eq!(third.end().await, Some(0), "an idle HTTP/2 connection is told");
    assert!(cut(&world, "idle") >= 1.0);
    release.add_permits(2);
    assert_eq!(two.status(1).await, Some(200));
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("served"), "answered, then closed as idle: {answer}");
    drop(idle);
}

#[tokio::test]
async fn a_client_has_a_share_of_all_connections() {
    let world = World::with(|limits| {
        limits.max_connections_per_client = 3;
        limits.unbounded_clients = vec!["127.0.0.9".parse::<Network>().unwrap()];
    })
    .await;
    let _shop = shop(&world).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(world.address()).await.unwrap());
    }
    until("all three are there", || world.metric("connections_open") == 3.0).await;
    let mut fourth = TcpStream::connect(world.address()).await.unwrap();
    assert_eq!(fourth.read(&mut [0]).await.unwrap_or(0), 0, "closed at once");
    assert_eq!(cut(&world, "client_limit"), 1.0);
    // Another address has a share of its own, and one has no bound.
    for source in ["127.0.0.2:0", "127.0.0.9:0"] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(source.parse().unwrap()).unwrap();
        let mut other = socket.connect(world.address()).await.unwrap();
        other.write_all(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        other.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("served"), "{answer}");
    }
    drop(held);
    until("the share is given back", || world.metric("connections_open") == 0.0).await;
    others_are_served(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_costs_little() {
    // Memory is the process's.
    if elsewhere("attacks::an_idle_connection_costs_little", 4096).await {
        return;
    }
    const CONNECTIONS: usize = 1000;
    let world = World::start().await;
    let _shop = shop(&world).await;
    let mut idle = Vec::with_capacity(CONNECTIONS);
    let mut before = 0;
    // The first ones fill pools and caches.
    for n in 0..CONNECTIONS + 100 {
        if n == 100 {
            before = memory();
        }
        let mut client = TcpStream::connect(world.address()).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"served") {
            assert!(client.read_buf(&mut answer).await.unwrap() > 0);
        }
        idle.push(client);
        // Memory that was given back is used again by those who come later.
        if n % 100 == 0 {
            until("all are parked", || world.metric("connections_parked") == (n + 1) as f64).await;
        }
    }
    let each = memory().saturating_sub(before) / CONNECTIONS as u64;
    eprintln!("{each} bytes for an idle connection, the client's end included");
    assert!(each < 16_000, "{each} bytes");
}

#[tokio::test]
async fn without_file_descriptors_it_waits_for_better_times() {
    if elsewhere("attacks::without_file_descriptors_it_waits_for_better_times", 100).await {
        return;
    }
    let world = World::start().await;
    let _shop = shop(&world).await;
    let spare = std::fs::File::open("/dev/null").unwrap();
    let mut held = Vec::new();
    // Both ends are in this process: each connection takes two.
    while let Ok(client) = TcpStream::connect(world.address()).await {
        held.push(client);
        let taken = held.len() as f64;
        until("it is accepted, or cannot be", || {
            world.metric("connections_open") >= taken || world.metric("accept_errors_total") > 0.0
        })
        .await;
    }
    // Room for one end, not for the other.
    drop(spare);
    held.extend(TcpStream::connect(world.address()).await);
    until("it cannot be accepted", || world.metric("accept_errors_total") > 0.0).await;
    drop(held);
    others_are_served(&world).await;
}
