//! Invariants 1 to 4 and 10 over all interleavings of a few commands: every history of up to four commands in two regions, and of
//! up to three in three, type by type.
//!
//! - 1: any order, repetition or relay of deltas gives the same state.
//! - 2: equal contexts have equal digests and give equal answers.
//! - 3: what was removed does not come back, also when an old answer arrives late.
//! - 4: no write is lost: what is there is what the model says, see `model.rs`.

mod explore;
mod model;

use self::explore::{Alphabet, explore};

const ALPHABETS: &[Alphabet] = &[
    Alphabet {
        name: "text",
        commands: &["SET k a$", "SET k b$", "DEL k", "GETDEL k"],
        questions: &["GET k", "EXISTS k"],
        modelled: true,
    },
    Alphabet {
        name: "counter",
        commands: &["SET k 100", "SET k text", "INCRBY k 1", "INCRBY k -20", "DEL k"],
        questions: &["GET k", "EXISTS k"],
        modelled: true,
    },
    Alphabet {
        name: "hash",
        commands: &["HSET h f v$", "HSET h f 5", "HSET h g w$", "HINCRBY h f 7", "HDEL h f", "DEL h"],
        questions: &["HGETALL h", "HLEN h", "EXISTS h"],
        modelled: true,
    },
    Alphabet {
        name: "set",
        commands: &["SADD s a", "SADD s b", "SREM s a", "DEL s"],
        questions: &["SMEMBERS s", "SCARD s", "EXISTS s"],
        modelled: true,
    },
    Alphabet {
        name: "list",
        commands: &["RPUSH l a$ b$", "LPUSH l c$", "LINSERT l AFTER a0 i$", "LSET l 0 s$", "LPOP l", "DEL l"],
        questions: &["LRANGE l 0 -1", "LLEN l", "EXISTS l"],
        modelled: false,
    },
    Alphabet {
        name: "sorted set",
        commands: &["ZADD z 1 a", "ZADD z 5 a", "ZINCRBY z 2 a", "ZREM z a", "DEL z"],
        questions: &["ZSCORE z a", "ZCARD z", "EXISTS z"],
        modelled: true,
    },
    Alphabet {
        name: "what a list holds",
        commands: &["RPUSH l e$", "LPUSH l e$", "LREM l 0 e0", "LREM l 0 e1", "DEL l"],
        questions: &["LLEN l", "EXISTS l"],
        modelled: true,
    },
    Alphabet {
        name: "sketch",
        commands: &["PFADD p a", "PFADD p b", "PFADD p c$", "DEL p"],
        questions: &["PFCOUNT p", "EXISTS p"],
        modelled: true,
    },
    Alphabet {
        name: "names",
        commands: &["SET k v$", "SADD k m$", "RENAME k l", "RENAME l k", "COPY k l", "DEL k"],
        questions: &["TYPE k", "GET k", "TYPE l", "GET l", "EXISTS k", "EXISTS l"],
        modelled: false,
    },
    Alphabet {
        name: "deadlines",
        commands: &["SET k v$", "SET k w$ EX 50", "EXPIRE k 100", "EXPIRE k 20", "PERSIST k", "DEL k"],
        questions: &["GET k", "PTTL k", "EXISTS k"],
        modelled: false,
    },
    Alphabet {
        name: "two types under one key",
        commands: &["SET k $", "INCRBY k 2", "HSET k f $", "SADD k m", "DEL k"],
        questions: &["TYPE k", "GET k", "HGETALL k", "SMEMBERS k", "EXISTS k"],
        modelled: false,
    },
];

/// All alphabets over so many regions and commands.
fn check(regions: usize, commands: usize) {
    for alphabet in ALPHABETS {
        let histories = explore(alphabet, regions, commands);
        println!("{}: {histories} histories of up to {commands} commands in {regions} regions", alphabet.name);
        assert!(histories > 100, "{}", alphabet.name);
    }
}

/// Invariant 10: not samples, all of them.
#[test]
fn all_histories_of_four_commands_in_two_regions_converge_as_modelled() {
    check(2, 4);
}

#[test]
fn all_histories_of_three_commands_in_three_regions_converge_as_modelled() {
    check(3, 3);
}
