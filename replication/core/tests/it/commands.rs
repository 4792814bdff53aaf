//! One region by itself: every command answers as Redis does, and what it may not touch it leaves alone.

use bytes::Bytes;
use replication_core::{DEFAULT_MAX_VALUE_BYTES, HashOp, MAX_KEY_BYTES, OpError, Reply, SetExpiry, SetIf, TextOp};

use crate::support::{Region, START_MS, parse, replica, show, sync};

#[test]
fn commands_answer_as_redis_does() {
    let mut region = Region::new(0);
    let mut follower = Region::new(1);
    for line in include_str!("testdata/commands.txt").lines().filter(|line| !line.is_empty()) {
        if line.starts_with("# ") {
            region = Region::new(0);
            follower = Region::new(1);
            continue;
        }
        let (command, expected) = line.split_once(" = ").unwrap_or_else(|| panic!("no answer: {line}"));
        let (command, wall_ms) = match command.rsplit_once('@') {
            Some((command, at)) => (command, START_MS + at.trim().parse::<u64>().unwrap()),
            None => (command, START_MS),
        };
        assert_eq!(region.run(command, wall_ms), expected, "{line}");
        while let Some(delta) = region.made.get(follower.made.len()) {
            follower.partition.merge(delta);
            follower.made.push(delta.clone());
        }
        assert_eq!(follower.partition.digest(), region.partition.digest(), "{line}");
    }
}

#[test]
fn an_error_changes_nothing_and_a_read_makes_no_delta() {
    let mut region = Region::new(0);
    region.run("SADD s a", START_MS);
    let (made, digest) = (region.made.len(), region.partition.digest());
    for command in
        ["INCR s", "GET s", "HSET s f v", "SMEMBERS s", "SET s v XX GET", "HDEL h f", "SREM s z", "DEL z", "PERSIST s"]
    {
        region.run(command, START_MS);
    }
    assert_eq!((region.made.len(), region.partition.digest()), (made, digest));
}

#[test]
fn one_delta_takes_as_many_numbers_as_it_puts_values_and_at_least_one() {
    let mut region = Region::new(0);
    for (command, last) in
        [("SET k v", 1), ("SET k v EX 9", 3), ("HSET h a 1 b 2 c 3", 6), ("DEL h", 7), ("SET k w", 8)]
    {
        region.run(command, START_MS);
        assert_eq!(region.partition.vv().get(replica(0)), last, "{command}");
        assert_eq!(region.made.last().unwrap().last_seq(), last, "{command}");
    }
}

#[test]
fn keys_and_values_over_their_limits_are_refused() {
    let mut region = Region::new(0);
    let set = |key: usize, value: usize| {
        TextOp::Set {
            value: Bytes::from(vec![b'v'; value]),
            expiry: SetExpiry::Clear,
            condition: SetIf::Always,
            get: false,
        }
        .on(Bytes::from(vec![b'k'; key]))
    };
    assert_eq!(region.execute(&set(MAX_KEY_BYTES, DEFAULT_MAX_VALUE_BYTES), START_MS), Reply::Ok);
    assert_eq!(region.execute(&set(MAX_KEY_BYTES + 1, 1), START_MS), Reply::Error(OpError::KeyTooLong));
    assert_eq!(
        region.execute(&set(1, DEFAULT_MAX_VALUE_BYTES + 1), START_MS),
        Reply::Error(OpError::ValueTooLong(DEFAULT_MAX_VALUE_BYTES))
    );
    let big = Bytes::from(vec![b'v'; DEFAULT_MAX_VALUE_BYTES]);
    let fields = (0..9u8).map(|i| (Bytes::from(vec![i]), big.clone())).collect();
    let op = HashOp::Set { fields }.on(Bytes::from_static(b"h"));
    assert_eq!(region.execute(&op, START_MS), Reply::Error(OpError::CommandTooLarge));
    assert_eq!(region.partition.len(), 1);
}

#[test]
fn a_scan_shows_every_key_that_stays_and_no_expired_one() {
    let mut region = Region::new(0);
    for at in 0..500 {
        region.run(&format!("SET key:{at} v"), START_MS);
    }
    region.run("SET short-lived v PX 5", START_MS);
    let (mut cursor, mut seen, mut pages) = (0, Vec::new(), 0);
    loop {
        cursor = region.partition.scan(cursor, 10, START_MS + 5, &mut seen);
        // Writes between the pages: some keys go, others come.
        region.run(&format!("DEL key:{}", 499 - pages), START_MS);
        region.run(&format!("SET new:{pages} v"), START_MS);
        pages += 1;
        if cursor == 0 {
            break;
        }
    }
    let seen: std::collections::BTreeSet<Bytes> = seen.into_iter().collect();
    for at in 0..400 {
        assert!(seen.contains(format!("key:{at}").as_bytes()), "key:{at}");
    }
    assert!(!seen.contains(&b"short-lived"[..]));
}

#[test]
fn a_long_life_of_one_key_leaves_one_key() {
    let mut region = Region::new(0);
    for round in 0..3000 {
        region.run(&format!("SET k {round}"), START_MS);
        region.run("HSET h a 1 b 2", START_MS);
        region.run("DEL h", START_MS);
        region.run("INCR n", START_MS);
        region.run("RPUSH q a b", START_MS);
        region.run("LMOVE q q LEFT RIGHT", START_MS);
        region.run("LPOP q 2", START_MS);
    }
    assert_eq!(region.partition.len(), 2);
    let whole = region.partition.catch_up_since(&replication_core::VersionVector::new());
    assert_eq!(whole.puts.len(), 2);
    assert_eq!(show(region.read(&parse("GET n"), START_MS)), "3000");
}

#[test]
fn a_transaction_is_one_delta_and_each_command_sees_those_before_it() {
    let mut regions: Vec<Region> = (0..2).map(Region::new).collect();
    regions[0].run("SET gone x", START_MS);
    regions[0].run("SADD s a", START_MS);
    sync(&mut regions);
    let now = regions[0].now(START_MS);
    let commands =
        ["SET k 1", "INCRBY k 4", "SADD s b c", "SREM s a b", "DEL gone", "HSET k f v", "GET k", "SCARD s", "DEL none"];
    let (replies, delta) =
        regions[0].partition.transact(now, |txn| commands.map(|command| show(txn.execute(&parse(command)))));
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(replies, ["OK", "5", "2", "2", "1", wrong, "5", "1", "0"]);
    let delta = delta.expect("it wrote");
    assert_eq!(delta.last_seq() - delta.first_seq + 1, delta.puts() as u64);
    regions[0].made.push(delta);
    regions[0].run("INCR k", START_MS);
    sync(&mut regions);
    for region in &mut regions {
        assert_eq!((region.run("GET k", START_MS), region.run("SMEMBERS s", START_MS)), ("6".into(), "{c}".into()));
        assert_eq!(region.run("EXISTS gone", START_MS), "0");
    }
    assert_eq!(regions[0].partition.digest(), regions[1].partition.digest());
}

#[test]
fn a_fingerprint_changes_with_whatever_clients_can_see() {
    let mut region = Region::new(0);
    let mut last = region.partition.fingerprint(b"k", START_MS);
    assert_eq!(last, 0);
    for command in ["SET k a", "SET k a", "EXPIRE k 10", "DEL k", "SADD k a", "SADD k b", "SREM k a"] {
        region.run(command, START_MS);
        let now = region.partition.fingerprint(b"k", START_MS);
        assert_ne!(now, last, "{command}");
        last = now;
    }
    region.run("PEXPIRE k 5", START_MS);
    assert_eq!(region.partition.fingerprint(b"k", START_MS + 5), 0, "expired is as good as gone");
}

#[test]
fn a_place_without_room_refuses_inserts_and_the_list_stays_usable() {
    let mut region = Region::new(0);
    region.run("RPUSH l left right", START_MS);
    let mut refused = None;
    for n in 0..50_000 {
        // Always between the two last ones: what is inserted takes the place of its neighbour, on either side in turn.
        let (side, pivot, index) = if n % 2 == 0 { ("AFTER", "left", 0) } else { ("BEFORE", "right", 1) };
        let reply = region.run(&format!("LINSERT l {side} {pivot} x"), START_MS);
        if reply.starts_with("ERR no room left") {
            refused = Some(n);
            break;
        }
        region.run(&format!("LREM l 1 {pivot}"), START_MS);
        region.run(&format!("LSET l {index} {pivot}"), START_MS);
    }
    assert!(refused.is_some_and(|n| n > 3_000), "{refused:?}");
    assert_eq!(region.run("LRANGE l 0 -1", START_MS), "[left right]");
    assert_eq!(region.run("RPUSH l more", START_MS), "3");
    assert_eq!(region.run("LPUSH l more", START_MS), "4");
}
