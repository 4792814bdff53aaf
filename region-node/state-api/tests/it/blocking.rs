//! Clients that wait for elements. Stories that Redis knows too are played to a real redis-server as well, where one is installed.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use replication_core::{Delta, Hlc, ListEnd, ListOp, Now, Partition, ReplicaId, partition_of};
use replication_storage::Offer;

use crate::{
    port::Port,
    server::RedisServer,
    wire::{Wire, command},
};

/// Plays a story to our port and to a real redis-server.
fn both(story: impl Fn(SocketAddr)) {
    story(Port::open().address());
    if let Some(redis) = RedisServer::start() {
        story(redis.address);
    }
}

/// Sends a command whose reply comes later, and waits until so many clients wait.
fn block(address: SocketAddr, line: &str, waiting: usize) -> Wire {
    let mut wire = Wire::connect(address);
    wire.send(&command(&line.split(' ').collect::<Vec<_>>()));
    await_blocked(address, waiting);
    wire
}

#[track_caller]
fn await_blocked(address: SocketAddr, waiting: usize) {
    let (mut wire, want) = (Wire::connect(address), format!("\r\nblocked_clients:{waiting}\r\n"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while !wire.say("INFO clients").contains(&want) {
        assert!(Instant::now() < deadline, "{waiting} clients should wait: {}", wire.say("INFO clients"));
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn reply(wire: &mut Wire) -> String {
    String::from_utf8(wire.reply()).unwrap()
}

/// `*2 $1 k $1 v` for `k` and `v`.
fn pair(key: &str, value: &str) -> String {
    format!("*2\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", key.len(), value.len())
}

/// What a region pushes to a list that it knows nothing else of.
fn pushed_elsewhere(key: &str, value: &str) -> Delta {
    let mut partition = Partition::new(partition_of(key.as_bytes()), ReplicaId { region: 2, incarnation: 1 });
    let push = ListOp::Push { end: ListEnd::Right, values: vec![value.to_owned().into()], existing: false };
    let now = Now { wall_ms: 1_000_000, stamp: Hlc::from_ms(1_000_000), luck: 0 };
    partition.execute(&push.on(key.to_owned()), now).delta.unwrap()
}

#[test]
fn a_client_that_waits_gets_what_is_pushed() {
    both(|address| {
        let mut pusher = Wire::connect(address);
        for (line, key, want) in [
            ("BLPOP {w}k 0", "{w}k", pair("{w}k", "a")),
            ("BRPOP {w}none {w}k 0", "{w}k", pair("{w}k", "b")),
            ("BLMOVE {w}k {w}m LEFT RIGHT 0", "{w}k", "$1\r\na\r\n".to_owned()),
            ("BRPOPLPUSH {w}k {w}m 0", "{w}k", "$1\r\nb\r\n".to_owned()),
            (
                "BLMPOP 0 2 {w}none {w}k LEFT COUNT 5",
                "{w}k",
                "*2\r\n$4\r\n{w}k\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n".to_owned(),
            ),
        ] {
            let mut waiter = block(address, line, 1);
            assert_eq!(pusher.say(&format!("RPUSH {key} a b")), ":2\r\n", "{line}");
            assert_eq!(reply(&mut waiter), want, "{line}");
            pusher.say("DEL {w}k");
        }
        assert_eq!(pusher.say("LRANGE {w}m 0 -1"), "*2\r\n$1\r\nb\r\n$1\r\na\r\n");
        await_blocked(address, 0);
    });
}

#[test]
fn clients_are_served_in_the_order_in_which_they_came() {
    both(|address| {
        let mut waiters: Vec<Wire> = (0..5).map(|n| block(address, "BLPOP {w}other {w}k 0", n + 1)).collect();
        let mut pusher = Wire::connect(address);
        assert_eq!(pusher.say("RPUSH {w}k 0 1"), ":2\r\n");
        assert_eq!(pusher.say("LPUSH {w}other 2"), ":1\r\n");
        assert_eq!(pusher.say("RPUSH {w}k 3 4 5"), ":3\r\n");
        for (n, waiter) in waiters.iter_mut().enumerate() {
            let key = if n == 2 { "{w}other" } else { "{w}k" };
            assert_eq!(reply(waiter), pair(key, &n.to_string()));
        }
        assert_eq!(pusher.say("LRANGE {w}k 0 -1"), "*1\r\n$1\r\n5\r\n");
    });
}

#[test]
fn who_waits_comes_before_who_pops_later() {
    both(|address| {
        let mut waiter = block(address, "BLPOP k 0", 1);
        let mut other = Wire::connect(address);
        other.send(&[command(&["RPUSH", "k", "v"]), command(&["LPOP", "k"]), command(&["EXISTS", "k"])].concat());
        assert_eq!(
            (reply(&mut other), reply(&mut other), reply(&mut other)),
            (":1\r\n".into(), "$-1\r\n".into(), ":0\r\n".into())
        );
        assert_eq!(reply(&mut waiter), pair("k", "v"));
    });
}

#[test]
fn commands_behind_one_that_waits_run_after_it() {
    both(|address| {
        let mut waiter = Wire::connect(address);
        let pipeline = [
            command(&["INCR", "before"]),
            command(&["BLPOP", "k", "0"]),
            command(&["INCR", "after"]),
            command(&["BLPOP", "k", "0"]),
            command(&["PING"]),
        ];
        waiter.send(&pipeline.concat());
        assert_eq!(reply(&mut waiter), ":1\r\n", "what came before is answered at once");
        await_blocked(address, 1);
        let mut other = Wire::connect(address);
        assert_eq!(other.say("MGET before after"), "*2\r\n$1\r\n1\r\n$-1\r\n");
        other.say("RPUSH k a");
        assert_eq!((reply(&mut waiter), reply(&mut waiter)), (pair("k", "a"), ":1\r\n".into()));
        await_blocked(address, 1);
        waiter.send(&command(&["GET", "after"]));
        other.say("RPUSH k b");
        assert_eq!((reply(&mut waiter), reply(&mut waiter)), (pair("k", "b"), "+PONG\r\n".into()));
        assert_eq!(reply(&mut waiter), "$1\r\n1\r\n");
    });
}

#[test]
fn a_client_that_gives_up_or_goes_away_leaves_the_line() {
    both(|address| {
        let mut impatient = Wire::connect(address);
        assert_eq!(impatient.say("BLPOP k 0.01"), "*-1\r\n");
        let gone = block(address, "BLPOP k 0", 1);
        drop(gone);
        await_blocked(address, 0);
        let mut patient = block(address, "BLPOP k 0", 1);
        let mut pusher = Wire::connect(address);
        pusher.say("RPUSH k a b");
        assert_eq!(reply(&mut patient), pair("k", "a"));
        assert_eq!(pusher.say("LRANGE k 0 -1"), "*1\r\n$1\r\nb\r\n");
        assert_eq!(impatient.say("PING"), "+PONG\r\n");
    });
}

#[test]
fn client_unblock_ends_a_wait() {
    both(|address| {
        let mut other = Wire::connect(address);
        for (how, want) in
            [("", "*-1\r\n"), (" TIMEOUT", "*-1\r\n"), (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")]
        {
            let mut waiter = Wire::connect(address);
            let id = waiter.say("CLIENT ID");
            let unblock = format!("CLIENT UNBLOCK {}{how}", id.trim().trim_start_matches(':'));
            assert_eq!(other.say(&unblock), ":0\r\n", "it does not wait yet");
            waiter.send(&command(&["BLMOVE", "{w}a", "{w}b", "LEFT", "LEFT", "0"]));
            await_blocked(address, 1);
            assert!(other.say("CLIENT LIST").contains(" flags=b "));
            assert_eq!(other.say(&unblock), ":1\r\n");
            assert_eq!(reply(&mut waiter), want);
            assert_eq!(waiter.say("PING"), "+PONG\r\n");
            assert_eq!(other.say(&unblock), ":0\r\n", "it does not wait any more");
        }
        await_blocked(address, 0);
    });
}

#[test]
fn what_is_moved_may_be_what_another_waits_for() {
    both(|address| {
        let mut last = block(address, "BLPOP {w}c 0", 1);
        let mut second = block(address, "BLMOVE {w}b {w}c LEFT RIGHT 0", 2);
        let mut first = block(address, "BLMOVE {w}a {w}b LEFT RIGHT 0", 3);
        let mut pusher = Wire::connect(address);
        pusher.say("RPUSH {w}a v");
        assert_eq!((reply(&mut first), reply(&mut second)), ("$1\r\nv\r\n".into(), "$1\r\nv\r\n".into()));
        assert_eq!(reply(&mut last), pair("{w}c", "v"));
        assert_eq!(pusher.say("EXISTS {w}a {w}b {w}c"), ":0\r\n");
    });
}

#[test]
fn keys_of_another_type_are_waited_past() {
    both(|address| {
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
        let mut waiter = block(address, "BLPOP k 0", 1);
        let mut other = Wire::connect(address);
        assert_eq!(other.say("SET k v"), "+OK\r\n");
        assert_eq!(other.say("BLPOP k 0"), wrong, "who finds it is told, who waits waits on");
        assert_eq!(other.say("DEL k"), ":1\r\n");
        assert_eq!(other.say("RPUSH k v"), ":1\r\n");
        assert_eq!(reply(&mut waiter), pair("k", "v"));
        let mut mover = block(address, "BLMOVE {w}a {w}b LEFT RIGHT 0", 1);
        assert_eq!(other.say("SET {w}b v"), "+OK\r\n");
        assert_eq!(other.say("RPUSH {w}a v"), ":1\r\n");
        assert_eq!(reply(&mut mover), wrong);
        assert_eq!(other.say("LLEN {w}a"), ":1\r\n", "nothing was taken");
    });
}

#[test]
fn a_transaction_serves_at_its_end() {
    both(|address| {
        let mut waiter = block(address, "BLPOP {w}k 0", 1);
        let mut other = Wire::connect(address);
        for line in ["MULTI", "RPUSH {w}k 1", "LPOP {w}k", "EXEC"] {
            other.say(line);
        }
        assert_eq!(other.say("PING"), "+PONG\r\n");
        await_blocked(address, 1);
        for line in ["MULTI", "RPUSH {w}k 2 3", "LLEN {w}k"] {
            other.say(line);
        }
        assert_eq!(other.say("EXEC"), "*2\r\n:2\r\n:2\r\n", "in the transaction, both are there");
        assert_eq!(reply(&mut waiter), pair("{w}k", "2"));
        assert_eq!(other.say("LRANGE {w}k 0 -1"), "*1\r\n$1\r\n3\r\n");
    });
}

#[test]
fn members_of_sorted_sets_are_waited_for_too() {
    both(|address| {
        let mut other = Wire::connect(address);
        for (line, want) in [
            ("BZPOPMIN {w}none {w}z 0", "*3\r\n$4\r\n{w}z\r\n$1\r\na\r\n$1\r\n1\r\n"),
            ("BZPOPMAX {w}z 0", "*3\r\n$4\r\n{w}z\r\n$1\r\nb\r\n$3\r\n2.5\r\n"),
            ("BZMPOP 0 1 {w}z MAX COUNT 1", "*2\r\n$4\r\n{w}z\r\n*1\r\n*2\r\n$1\r\nb\r\n$3\r\n2.5\r\n"),
        ] {
            let mut waiter = block(address, line, 1);
            assert_eq!(other.say("RPUSH {w}z no"), ":1\r\n", "a list is not what is waited for");
            assert_eq!(other.say("DEL {w}z"), ":1\r\n");
            assert_eq!(other.say("ZADD {w}z 1 a 2.5 b"), ":2\r\n");
            assert_eq!(reply(&mut waiter), want);
            assert_eq!(other.say("ZCARD {w}z"), ":1\r\n");
            other.say("DEL {w}z");
        }
        // Two in line for one key, each for its own type.
        let mut list = block(address, "BLPOP {w}k 0", 1);
        let mut zset = block(address, "BZPOPMIN {w}k 0", 2);
        other.say("ZADD {w}k 7 m");
        assert_eq!(reply(&mut zset), "*3\r\n$4\r\n{w}k\r\n$1\r\nm\r\n$1\r\n7\r\n");
        other.say("RPUSH {w}k v");
        assert_eq!(reply(&mut list), pair("{w}k", "v"));
    });
}

#[test]
fn whatever_makes_a_list_is_noticed() {
    both(|address| {
        let mut other = Wire::connect(address);
        other.say("RPUSH {w}from a b c");
        let mut waiter = block(address, "BLPOP {w}k 0", 1);
        other.say("LMOVE {w}from {w}k LEFT LEFT");
        assert_eq!(reply(&mut waiter), pair("{w}k", "a"));
        let mut waiter = block(address, "BRPOP {w}k 0", 1);
        other.say("RENAME {w}from {w}k");
        assert_eq!(reply(&mut waiter), pair("{w}k", "c"));
        other.say("DEL {w}other");
        let mut waiter = block(address, "BLPOP {w}other 0", 1);
        other.say("COPY {w}k {w}other");
        assert_eq!(reply(&mut waiter), pair("{w}other", "b"));
        assert_eq!(other.say("LLEN {w}k"), ":1\r\n");
    });
}

#[test]
fn elements_from_other_regions_are_for_those_who_wait() {
    let port = Port::open();
    let mut waiters: Vec<Wire> = (0..2).map(|n| block(port.address(), "BLPOP elsewhere k 0", n + 1)).collect();
    assert!(matches!(port.store.offer(pushed_elsewhere("k", "from afar")), Offer::Applied));
    assert_eq!(reply(&mut waiters[0]), pair("k", "from afar"));
    assert!(matches!(port.store.offer(pushed_elsewhere("elsewhere", "too")), Offer::Applied));
    assert_eq!(reply(&mut waiters[1]), pair("elsewhere", "too"));
    assert_eq!(port.connect().say("EXISTS k elsewhere"), ":0\r\n");
}

#[test]
fn a_wait_ends_with_the_server() {
    let mut port = Port::open();
    let mut waiter = block(port.address(), "BLPOP k 0", 1);
    let begin = Instant::now();
    port.shut_down();
    assert!(begin.elapsed() < Duration::from_secs(4), "nobody was waited for");
    assert_eq!(waiter.until_closed(), b"");
}

#[test]
fn a_client_that_waits_and_sends_is_bounded() {
    let port = Port::open();
    let mut waiter = block(port.address(), "BLPOP k 0", 1);
    // More than is kept, less than the system's buffers hold with it.
    let pings = 100_000;
    let sender = std::thread::spawn(move || {
        waiter.send(&command(&["PING"]).repeat(pings));
        waiter
    });
    port.await_counters("what is kept has been read", |counters| counters.bytes_in > 200 << 10);
    assert!(port.counters().bytes_in < 600 << 10, "{:?}", port.counters());
    port.connect().say("RPUSH k v");
    let mut waiter = sender.join().unwrap();
    assert_eq!(reply(&mut waiter), pair("k", "v"));
    for _ in 0..pings {
        assert_eq!(waiter.reply(), b"+PONG\r\n");
    }
}

/// Many who push and many who wait, on few keys: each element reaches one of them, once.
#[test]
fn every_element_is_taken_once() {
    const EACH: usize = 300;
    let port = Port::open();
    let address = port.address();
    let consumers: Vec<_> = (0..6)
        .map(|n| {
            std::thread::spawn(move || {
                let (mut wire, mut taken) = (Wire::connect(address), Vec::new());
                let pops = ["BLPOP a b c 0", "BRPOP c b a 0", "BLMPOP 0 3 b a c LEFT COUNT 3"];
                loop {
                    let words: Vec<String> = wire.say(pops[n % 3]).lines().map(str::to_owned).collect();
                    let values: Vec<String> = words.into_iter().filter(|word| word.starts_with('v')).collect();
                    if values.is_empty() {
                        return taken;
                    }
                    taken.extend(values);
                }
            })
        })
        .collect();
    let producers: Vec<_> = (0..4)
        .map(|producer| {
            std::thread::spawn(move || {
                let mut wire = Wire::connect(address);
                for n in 0..EACH {
                    let key = ["a", "b", "c"][(producer + n) % 3];
                    wire.say(&format!("RPUSH {key} v{producer}:{n}:1 v{producer}:{n}:2"));
                }
            })
        })
        .collect();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    // Each consumer ends with one of these.
    let mut last = port.connect();
    await_blocked(address, 6);
    assert_eq!(last.say("RPUSH a end end end end end end end end end end end end"), ":12\r\n");
    let taken: Vec<String> = consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect();
    assert_eq!(taken.len(), 4 * EACH * 2);
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len());
}
