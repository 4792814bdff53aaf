//! What clients are refused, and what they cannot do to others.

use std::{net::TcpStream, time::Duration};

use proptest::{
    prelude::RngExt as _,
    test_runner::{RngAlgorithm, TestRng},
};
use state_api::{StartError, User};

use crate::{
    port::{Port, config},
    wire::{Wire, command, items},
};

#[test]
fn one_client_too_many_is_told_so_and_a_place_that_is_left_is_free_again() {
    let port = Port::open_with(|config| config.max_clients = 2);
    let (mut one, two) = (port.connect(), port.connect());
    assert_eq!(one.say("PING"), "+PONG\r\n");
    assert_eq!(port.connect().until_closed(), b"-ERR max number of clients reached\r\n");
    assert_eq!(one.say("PING"), "+PONG\r\n");
    drop(two);
    port.await_counters("one connection is left", |counters| counters.connected == 1 && counters.rejected == 1);
    assert_eq!(port.connect().say("PING"), "+PONG\r\n");
}

#[test]
fn without_the_password_nothing_can_be_done() {
    let ops = User { name: "ops".to_owned(), password: "deep".to_owned() };
    let port = Port::open_with(|config| config.users = vec![User::default_user("secret"), ops]);
    let mut wire = port.connect();
    let no_auth = "-NOAUTH Authentication required.\r\n";
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    assert_eq!(wire.say("GET k"), no_auth);
    assert_eq!(wire.say("PING"), no_auth);
    assert_eq!(wire.say("REGION TOKEN"), no_auth);
    assert_eq!(wire.say("AUTH wrong"), wrong);
    assert_eq!(wire.say("AUTH nobody secret"), wrong);
    assert!(wire.say("HELLO 3").starts_with("-NOAUTH HELLO must be called with the client already authenticated"));
    assert_eq!(wire.say("AUTH secret"), "+OK\r\n");
    assert_eq!(wire.say("PING"), "+PONG\r\n");
    assert_eq!(wire.say("RESET"), "+RESET\r\n");
    assert_eq!(wire.say("PING"), no_auth);
    assert!(wire.say("HELLO 3 AUTH ops deep SETNAME shop").starts_with("%7\r\n"));
    assert_eq!(wire.say("CLIENT GETNAME"), "$4\r\nshop\r\n");
    assert!(wire.say("CLIENT INFO").contains(" user=ops "));
}

#[test]
fn without_the_password_little_can_be_sent() {
    let port = Port::open_with(|config| config.users = vec![User::default_user("secret")]);
    let mut wire = port.connect();
    wire.send(b"*11\r\n");
    assert_eq!(wire.until_closed(), b"-ERR Protocol error: unauthenticated multibulk length\r\n");
    let mut wire = port.connect();
    wire.send(b"*2\r\n$4\r\nAUTH\r\n$16385\r\n");
    assert_eq!(wire.until_closed(), b"-ERR Protocol error: unauthenticated bulk length\r\n");
    // The password opens the way for what follows it in the same packet.
    let mut wire = port.connect();
    let value = vec![b'v'; 100_000];
    wire.send(&[command(&["AUTH", "secret"]), command(&[&b"SET"[..], b"k", &value])].concat());
    assert_eq!((wire.reply(), wire.reply()), (b"+OK\r\n".to_vec(), b"+OK\r\n".to_vec()));
}

#[test]
fn keys_and_values_have_limits_that_are_told() {
    let port = Port::open();
    let mut wire = port.connect();
    let (key, value) = (vec![b'k'; 64 << 10], vec![b'v'; 8 << 20]);
    assert_eq!(wire.ask(&[&b"SET"[..], &key, &value]), b"+OK\r\n");
    assert_eq!(wire.ask(&[&b"STRLEN"[..], &key]), b":8388608\r\n");
    assert_eq!(wire.ask(&[&b"GET"[..], &key]).len(), (8 << 20) + 12);
    let long = [&key[..], b"k"].concat();
    let refused = b"-ERR key is longer than 65536 bytes\r\n";
    for words in [
        vec![&b"SET"[..], &long, b"v"],
        vec![b"GET", &long],
        vec![b"MSET", b"a", b"1", &long, b"2"],
        vec![b"DEL", b"a", &long],
        vec![b"HSET", &long, b"f", b"v"],
        vec![b"REGION", b"EXPLAIN", &long],
    ] {
        assert_eq!(wire.ask(&words), refused);
    }
    assert_eq!(wire.say("EXISTS a"), ":0\r\n", "a command with one key too long writes none of them");
    wire.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388609\r\n");
    assert_eq!(wire.until_closed(), b"-ERR Protocol error: invalid bulk length\r\n");
    let mut wire = port.connect();
    wire.send(b"*1048577\r\n");
    assert_eq!(wire.until_closed(), b"-ERR Protocol error: invalid multibulk length\r\n");
    let mut wire = port.connect();
    wire.try_send(&vec![b'x'; (64 << 10) + 2]);
    assert_eq!(wire.until_closed(), b"-ERR Protocol error: too big inline request\r\n");
}

#[test]
fn a_command_may_arrive_in_any_pieces() {
    let port = Port::open();
    let mut wire = port.connect();
    for byte in command(&["SET", "k", "in pieces"]) {
        wire.send(&[byte]);
    }
    assert_eq!(wire.reply(), b"+OK\r\n");
    assert_eq!(wire.say("GET k"), "$9\r\nin pieces\r\n");
}

#[test]
fn a_long_pipeline_is_answered_in_order() {
    let port = Port::open();
    let mut wire = port.connect();
    let commands = 20_000;
    let pipeline: Vec<u8> = (0..commands).flat_map(|_| command(&["INCR", "n"])).collect();
    wire.send(&pipeline);
    for want in 1..=commands {
        assert_eq!(wire.reply(), format!(":{want}\r\n").into_bytes());
    }
    port.await_counters("all are counted", |counters| counters.commands == commands);
}

#[test]
fn a_client_that_does_not_read_keeps_nobody_from_being_served() {
    let port = Port::open();
    let (mut slow, mut other) = (port.connect(), port.connect());
    let value = vec![b'v'; 1 << 20];
    assert_eq!(slow.ask(&[&b"SET"[..], b"big", &value]), b"+OK\r\n");
    let reads = 300;
    slow.send(&(0..reads).flat_map(|_| command(&["GET", "big"])).collect::<Vec<u8>>());
    assert_eq!(other.say("PING"), "+PONG\r\n");
    // 300 MiB are waiting to be read; most of them do not exist yet, since nobody has made room for them.
    assert!(port.counters().bytes_out < 64 << 20, "{:?}", port.counters());
    for _ in 0..reads {
        assert_eq!(slow.reply().len(), (1 << 20) + 12);
    }
}

#[test]
fn a_reply_beyond_all_measure_ends_the_connection_that_asked_for_it() {
    let port = Port::open();
    let mut wire = port.connect();
    let value = vec![b'v'; 8 << 20];
    assert_eq!(wire.ask(&[&b"SET"[..], b"big", &value]), b"+OK\r\n");
    wire.send(&command(&[&["MGET"][..], &["big"; 40]].concat()));
    assert_eq!(wire.until_closed(), b"");
    assert_eq!(port.connect().say("PING"), "+PONG\r\n");
}

/// Spoilt commands and plain noise on many connections: each ends with an error, an end or an answer, never with the port.
/// `ATOLL_RESP_FRAMES` sets the number of frames.
#[test]
fn noise_on_the_socket_leaves_the_port_as_it_was() {
    let frames: u32 = std::env::var("ATOLL_RESP_FRAMES").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000);
    let port = Port::open();
    let mut luck = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let verbs =
        ["SET", "GET", "HSET", "SADD", "SCAN", "HELLO", "CLIENT", "COMMAND", "REGION", "EXPIRE", "MGET", "INFO"];
    let mut left = frames;
    while left > 0 {
        let batch = left.min(50);
        left -= batch;
        let mut noise = Vec::new();
        for _ in 0..batch {
            let verb = verbs[luck.random::<u32>() as usize % verbs.len()];
            let mut frame = command(&[verb, "k", "1", "x"][..1 + luck.random::<u32>() as usize % 4]);
            for _ in 0..luck.random::<u32>() % 3 {
                let place = luck.random::<u32>() as usize % frame.len();
                frame[place] = luck.random();
            }
            noise.extend(frame);
        }
        let mut wire = port.connect();
        // The port may end the connection at any byte of this; what it answers has room in the system's buffers.
        wire.try_send(&noise);
    }
    port.await_counters("all connections have ended", |counters| counters.connected == 0);
    assert_eq!(port.connect().say("PING"), "+PONG\r\n");
}

#[test]
fn shutting_down_ends_idle_connections_and_answers_what_was_read() {
    let mut port = Port::open();
    let (mut idle, mut busy) = (port.connect(), port.connect());
    assert_eq!(idle.say("PING"), "+PONG\r\n");
    assert_eq!(busy.say("SET k v"), "+OK\r\n");
    let address = port.address();
    port.shut_down();
    assert_eq!((idle.until_closed(), busy.until_closed()), (vec![], vec![]));
    assert!(TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_err());
}

#[test]
fn a_port_that_cannot_be_opened_says_why() {
    let port = Port::open();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let mut config = config();
    config.listen = "0.0.0.0:0".parse().unwrap();
    let refused = state_api::start(config.clone(), port.store.clone()).err().unwrap();
    assert!(matches!(refused, StartError::NotLoopback(_)), "{refused}");
    assert!(refused.to_string().contains("it has no TLS"), "{refused}");
    config.listen = port.address();
    let refused = state_api::start(config, port.store.clone()).err().unwrap();
    assert!(matches!(refused, StartError::InUse(_)), "{refused}");
    assert!(refused.to_string().contains(&port.address().to_string()), "{refused}");
}

#[test]
fn scanning_finds_each_key_that_stays() {
    let port = Port::open();
    let mut wire = port.connect();
    for number in 0..500 {
        wire.say(&format!("SET key:{number} v"));
        wire.say(&format!("SADD other:{number} m"));
    }
    assert_eq!(wire.say("DBSIZE"), ":1000\r\n");
    let (mut cursor, mut found) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let page = wire.ask(&["SCAN", &cursor, "MATCH", "key:*", "COUNT", "37", "TYPE", "STRING"]);
        let [next, keys] = items(&page)[..] else { panic!("{:?}", page.escape_ascii()) };
        found.extend(items(keys).iter().map(|key| key.to_vec()));
        cursor = std::str::from_utf8(next).unwrap().lines().nth(1).unwrap().to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found.len(), 500);
}

#[test]
fn info_tells_tools_what_they_look_for() {
    let port = Port::open();
    let mut wire = port.connect();
    wire.say("SET k v");
    let info = wire.say("INFO");
    for line in [
        "# Server",
        "redis_version:7.2.4",
        "atoll_version:0.1.0",
        "redis_mode:standalone",
        "# Clients",
        "connected_clients:1",
        "# Memory",
        "maxmemory_policy:noeviction",
        "# Persistence",
        "loading:0",
        "aof_enabled:1",
        "# Stats",
        "# Replication",
        "role:master",
        "# Keyspace",
        "db0:keys=1",
        "# Region",
        "region_name:us-east",
        "region_id:1",
        "peer0:name=eu-west,state=connected,lag_ms=12,unconfirmed=0",
        "peer1:name=ap-south,state=disconnected,lag_ms=unknown,unconfirmed=7",
    ] {
        assert!(info.contains(&format!("{line}\r\n")), "{line} is not in\n{info}");
    }
    assert!(wire.say("INFO persistence").starts_with("$"));
    assert!(!wire.say("INFO persistence").contains("# Server"));
    assert_eq!(wire.say("INFO nonsense"), "$0\r\n\r\n");
    let time = wire.say("TIME");
    let seconds: u64 = time.lines().nth(2).unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(now.as_secs().abs_diff(seconds) < 60, "{time}");
    wire.say("HELLO 3");
    assert!(wire.say("INFO").starts_with('='));
}

#[test]
fn region_tells_where_it_stands() {
    let port = Port::open();
    let mut wire = port.connect();
    let token = |wire: &mut Wire| wire.say("REGION TOKEN").lines().nth(1).unwrap().parse::<model::Token>().unwrap();
    wire.say("SET k v");
    let first = token(&mut wire);
    wire.say("SET k w EX 1000");
    let second = token(&mut wire);
    assert!(first.region == 1 && second > first, "{first} {second}");
    assert_eq!(token(&mut wire), second, "reading changes nothing");
    assert_eq!(
        wire.say("REGION LAG"),
        "*2\r\n*16\r\n$6\r\nregion\r\n$7\r\neu-west\r\n$5\r\nstate\r\n$9\r\nconnected\r\n$6\r\nlag_ms\r\n:12\r\n$10\r\nlag_p99_ms\r\n$-1\r\n$6\r\nrtt_ms\r\n\
         $4\r\n80.5\r\n$11\r\nunconfirmed\r\n:0\r\n$10\r\nsent_bytes\r\n:10\r\n$14\r\nreceived_bytes\r\n:20\r\n*16\r\n$6\r\nregion\r\n$8\r\nap-south\r\n$5\r\nstate\r\n$12\r\ndisconnected\r\n\
         $6\r\nlag_ms\r\n$-1\r\n$10\r\nlag_p99_ms\r\n$-1\r\n$6\r\nrtt_ms\r\n$-1\r\n$11\r\nunconfirmed\r\n:7\r\n$10\r\nsent_bytes\r\n:10\r\n$14\r\nreceived_bytes\r\n:20\r\n"
    );
    let why = wire.say("REGION EXPLAIN k");
    for part in ["\r\nstring\r\n", "\r\nw\r\n", "\r\nexpires_at_ms\r\n:", "\r\nregion\r\n:1\r\n"] {
        assert!(why.contains(part), "{part:?} is not in {why:?}");
    }
    assert_eq!(wire.say("REGION EXPLAIN nothing"), "$-1\r\n");
    let help = wire.say("REGION HELP");
    assert!(help.contains("+EXPLAIN <key>\r\n"), "{help}");
    wire.say("HELLO 3");
    assert!(wire.say("REGION LAG").contains("\r\n,80.5\r\n"));
    assert!(wire.say("REGION EXPLAIN k").starts_with("%5\r\n"));
}

#[test]
fn clients_see_each_other() {
    let port = Port::open();
    let (mut one, mut two) = (port.connect(), port.connect());
    one.say("CLIENT SETNAME one");
    two.say("HELLO 3 SETNAME two");
    one.say("CLIENT SETINFO lib-name tests");
    one.say("GET k");
    let list = two.say("CLIENT LIST");
    assert!(list.contains(" name=one ") && list.contains(" lib-name=tests "), "{list}");
    assert!(list.contains(" name=two ") && list.contains(" cmd=client|list ") && list.contains(" resp=3 "), "{list}");
    let id = |wire: &mut Wire| wire.say("CLIENT ID");
    assert_ne!(id(&mut one), id(&mut two));
    drop(one);
    port.await_counters("one has left", |counters| counters.connected == 1);
    assert!(!two.say("CLIENT LIST").contains("name=one"));
}
