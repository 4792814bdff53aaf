//! MULTI as other clients see it: all of it or nothing, and no command that hangs in it.

use std::thread;

use crate::{port::Port, wire::items};

/// Invariant 7, for readers of this region.
#[test]
fn nobody_sees_half_of_a_transaction() {
    let port = Port::open();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut wire = port.connect();
            for n in 1..=300 {
                wire.say("MULTI");
                wire.say(&format!("SET {{t}}a {n}"));
                wire.say(&format!("SET {{t}}b {n}"));
                assert_eq!(wire.say("EXEC"), "*2\r\n+OK\r\n+OK\r\n");
            }
        });
        let (mut wire, mut looks) = (port.connect(), 0);
        while !writer.is_finished() {
            looks += 1;
            let seen = wire.ask(&["MGET", "{t}a", "{t}b"]);
            let both = items(&seen);
            assert_eq!(both[0], both[1]);
        }
        assert!(looks > 0, "nobody looked");
    });
}

#[test]
fn of_two_clients_that_watch_a_key_one_wins() {
    let port = Port::open();
    let (mut one, mut two) = (port.connect(), port.connect());
    for wire in [&mut one, &mut two] {
        assert_eq!(wire.say("WATCH k"), "+OK\r\n");
        assert_eq!(wire.say("MULTI"), "+OK\r\n");
        assert_eq!(wire.say("INCR k"), "+QUEUED\r\n");
    }
    assert_eq!(one.say("EXEC"), "*1\r\n:1\r\n");
    assert_eq!(two.say("EXEC"), "*-1\r\n");
}

#[test]
fn a_transaction_too_large_is_refused_while_it_is_queued() {
    let port = Port::open();
    let mut wire = port.connect();
    wire.say("MULTI");
    let mut refused = false;
    for _ in 0..=64 * 1024 {
        refused |= wire.say("GET k").starts_with("-ERR transaction too large");
        if refused {
            break;
        }
    }
    assert!(refused);
    assert!(wire.say("EXEC").starts_with("-EXECABORT"));
    assert_eq!(wire.say("PING"), "+PONG\r\n");
}

/// Those that look further than at their own arguments.
const SUBCOMMANDS: &[&str] = &[
    "client info",
    "client list",
    "client unblock",
    "command docs",
    "command getkeys",
    "command info",
    "config get *",
    "object encoding",
    "region conflicts",
    "region explain",
    "region lag",
    "region token",
];

/// A command that took a lock of the store inside a transaction, which holds one, would hang for ever.
#[test]
fn every_command_ends_inside_a_transaction() {
    let port = Port::open();
    let names = port.connect().ask(&["COMMAND", "LIST"]);
    let names = items(&names).into_iter().map(|name| std::str::from_utf8(name).unwrap().lines().nth(1).unwrap());
    for name in names.chain(SUBCOMMANDS.iter().copied()) {
        if ["quit", "reset", "auth", "hello"].contains(&name) {
            continue; // about the connection itself
        }
        for arguments in
            ["k", "k 1", "k 1 1", "k k", "k k k", "2 k k", "k 2 k k", "", "k 0 -1", "k 1 k 2", "0 k k 1", "k k 0"]
        {
            let mut wire = port.connect();
            wire.say("MULTI");
            wire.say(format!("{name} {arguments}").trim_end());
            let reply = wire.say("EXEC");
            assert!(!reply.is_empty(), "{name} {arguments}");
        }
    }
}
