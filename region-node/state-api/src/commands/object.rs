//! `OBJECT`: what tools ask about how a value is kept. Values are not kept as in Redis; what can be answered is.

use replication_core::{KeyOp, Reply};

use crate::{
    call::{Answer, Call},
    table::{Command, Keys, flag::*},
};

const UNSTABLE: &[&str] = &["nondeterministic_output"];
const KEYSPACE: &[&str] = &["keyspace"];

pub(super) const COMMANDS: &[Command] = &[Command::container("object", -2, "generic", SUBCOMMANDS)
    .about("2.2.3", "A container for object introspection commands")
    .complexity("Depends on subcommand.")];

const SUBCOMMANDS: &[Command] = &[
    about_key("object|encoding", |call| call.answer(&KeyOp::Encoding.on(call.arg(2))))
        .about("2.2.3", "Return the encoding that Redis would have chosen for the value at <key>"),
    about_key("object|freq", |call| if_there(call, |_| Err(NOT_COUNTED.into())))
        .about("4.0.0", "Refused: how often a key is read is not counted"),
    about_key("object|idletime", |call| if_there(call, |call| number(call, 0)))
        .about("2.2.3", "Return 0: when a key was last read is not kept"),
    about_key("object|refcount", |call| if_there(call, |call| number(call, 1)))
        .about("2.2.3", "Return 1: values are not shared"),
    Command::new("object|help", 2, LOADING | STALE, "generic", super::help)
        .categories(KEYSPACE)
        .about("6.2.0", "Show helpful text about the different subcommands"),
];

const NOT_COUNTED: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                           switching between policies at runtime LRU and LFU data will take some time to adjust.";

const fn about_key(name: &'static str, handler: crate::table::Handler) -> Command {
    Command::new(name, 3, READONLY, "generic", handler)
        .keys(Keys::range(2, 2, &["RO"]))
        .categories(KEYSPACE)
        .tips(UNSTABLE)
        .usage("<key>")
}

fn if_there(call: &mut Call<'_>, answer: fn(&mut Call<'_>) -> Answer) -> Answer {
    if call.execute(&KeyOp::Exists.on(call.arg(2)))? == Reply::Int(1) {
        return answer(call);
    }
    call.out.null();
    Ok(())
}

fn number(call: &mut Call<'_>, value: i64) -> Answer {
    call.out.int(value);
    Ok(())
}
