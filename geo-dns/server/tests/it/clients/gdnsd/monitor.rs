//! One set of real probes, judged by gdnsd's monitor and by our probe machine.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    time::{Duration, Instant},
};

use decision::{Finding, ProbeMachine};
use hickory_proto::{op::Message, rr::RecordType};
use model::Vote;

use super::Gdnsd;
use crate::{
    clients::{free_port, installed, question, try_ask},
    world::SOON,
};

/// gdnsd probes no oftener.
const INTERVAL_S: u32 = 2;
const DOWN_AFTER: u32 = 2;
const UP_AFTER: u32 = 3;

/// How often a player looks whether a probe has come.
const POLL: Duration = Duration::from_millis(5);

/// Results of probes, `.` good and `x` failed. The first is good: of a failed first one gdnsd makes DOWN at once, and we make
/// Unknown, see `docs/dns.md`.
const SCRIPTS: [&str; 8] =
    ["........", ".x......", ".xx.....", ".x.x....", ".x..x.x.", ".xx..x..", ".xxx.x..", ".x.x..x."];

/// What is known of a subject after a probe: whether it is up, and the seconds after which it could be otherwise at the earliest.
type Known = (bool, u32);

/// An HTTP server that answers by its script and, before each answer but the first, notes what gdnsd makes of the answers so far.
///
/// It never waits for a moment: a probe comes only once the one before it has been taken in.
fn play(listener: &TcpListener, script: &str, name: &str, gdnsd: &mpsc::Receiver<SocketAddr>) -> Option<Vec<Known>> {
    let (mut known, mut resolver) = (Vec::new(), None);
    for nth in 0..=script.len() {
        let mut stream = accept(listener)?;
        read_request(&mut stream)?;
        if nth > 0 {
            let server = *resolver.get_or_insert_with(|| gdnsd.recv_timeout(SOON).expect("gdnsd is there"));
            known.push(state(&try_ask(server, [127, 0, 0, 1].into(), &question(name, RecordType::A, None), 500)?));
        }
        let status = if script.as_bytes().get(nth) == Some(&b'x') { "500 Failed" } else { "200 OK" };
        // A probe that has given up is seen by what it makes of the next one.
        let _ = write!(stream, "HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n");
    }
    Some(known)
}

/// The next connection; None if none comes, so that nobody waits for a gdnsd that has gone.
fn accept(listener: &TcpListener) -> Option<TcpStream> {
    listener.set_nonblocking(true).ok()?;
    let deadline = Instant::now() + SOON;
    loop {
        match listener.accept() {
            Ok((stream, _)) => return stream.set_nonblocking(false).ok().map(|()| stream),
            Err(_) if Instant::now() > deadline => return None,
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

fn read_request(stream: &mut TcpStream) -> Option<()> {
    stream.set_read_timeout(Some(SOON)).ok()?;
    let (mut request, mut buffer) = (Vec::new(), [0; 512]);
    while !request.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
        request.extend(&buffer[..length]);
    }
    Some(())
}

/// The first choice's address means up, the second one's down.
fn state(answer: &Message) -> Known {
    let record = &answer.answers[0];
    (record.data.to_string() != "192.0.2.99", record.ttl)
}

/// What our machine makes of the same results: the state and the TTL after each.
fn ours(script: &str) -> Vec<Known> {
    let mut machine = ProbeMachine::new(DOWN_AFTER, UP_AFTER);
    let known = script.bytes().map(|result| {
        let vote = machine.observe(0, if result == b'x' { Finding::Failed } else { Finding::Good });
        (vote == Vote::Up, machine.results_until_change() * INTERVAL_S)
    });
    known.collect()
}

/// One attempt: a subject per script, all probed at once. None if this machine was too busy to answer probes in time.
fn attempt() -> Option<Vec<Vec<Known>>> {
    let port = free_port();
    let addr = |nth: usize| Ipv4Addr::new(127, 78, 0, 1 + nth as u8);
    let listeners: Vec<TcpListener> =
        (0..SCRIPTS.len()).map(|nth| TcpListener::bind((addr(nth), port)).unwrap()).collect();
    let mut resources = String::new();
    let mut zone = String::new();
    for nth in 0..SCRIPTS.len() {
        resources += &format!(
            "s{nth} => {{ datacenters = [first, second], dcmap => {{ \
             first => {{ service_types = probe, a = {} }}, second => {{ service_types = up, a = 192.0.2.99 }} }} }}\n",
            addr(nth)
        );
        zone += &format!("s{nth} 300/1 DYNA metafo!s{nth}\n");
    }
    let config = format!(
        "service_types => {{ probe => {{ plugin = http_status, port = {port}, interval = {INTERVAL_S}, timeout = 1, \
         up_thresh = {UP_AFTER}, ok_thresh = {DOWN_AFTER}, down_thresh = {DOWN_AFTER} }} }}\n\
         plugins => {{ metafo => {{ resources => {{ {resources} }} }} }}"
    );
    std::thread::scope(|scope| {
        let players: Vec<_> = listeners
            .iter()
            .enumerate()
            .map(|(nth, listener)| {
                let (found, finds) = mpsc::channel();
                let player = scope.spawn(move || play(listener, SCRIPTS[nth], &format!("s{nth}.shop.test."), &finds));
                (found, player)
            })
            .collect();
        let gdnsd = Gdnsd::start(&config, &zone, &[]);
        players.iter().for_each(|(found, _)| found.send(gdnsd.addr).unwrap());
        players.into_iter().map(|(_, player)| player.join().unwrap()).collect()
    })
}

/// gdnsd and our machine see the same probes, and are of one mind after each: the state, and the TTL that follows from it.
#[test]
fn our_probe_machine_decides_as_gdnsd_does() {
    if !installed("gdnsd", "gdnsd") {
        return;
    }
    let want: Vec<Vec<Known>> = SCRIPTS.iter().map(|script| ours(script)).collect();
    // A probe that was answered late is a failed one; then the results were not those of the script.
    let mut last = None;
    for _ in 0..3 {
        last = attempt();
        if last.as_ref() == Some(&want) {
            return;
        }
    }
    assert_eq!(last, Some(want), "three times");
}
