//! What the port can do, by group. Each file holds its entries of the command table and the functions behind them.

mod bits;
mod blocked;
mod client;
mod command;
mod config;
mod connection;
mod counters;
mod hash_fields;
mod hashes;
mod info;
mod keys;
mod keyspace;
mod lcs;
mod lists;
mod multi_pop;
mod names;
mod object;
mod ranges;
mod region;
mod scan;
mod set_algebra;
mod sets;
mod sketches;
mod strings;
mod transactions;
mod zset_algebra;
mod zset_ranges;
mod zsets;

use replication_core::{Reply, TextOp};

use crate::{
    call::{Answer, Call, Refusal},
    resp::Writer,
    table::Command,
};

/// All entries of the command table.
pub(crate) const GROUPS: &[&[Command]] = &[
    connection::COMMANDS,
    client::COMMANDS,
    command::COMMANDS,
    config::COMMANDS,
    info::COMMANDS,
    keys::COMMANDS,
    names::COMMANDS,
    keyspace::COMMANDS,
    object::COMMANDS,
    strings::COMMANDS,
    ranges::COMMANDS,
    counters::COMMANDS,
    bits::COMMANDS,
    sketches::COMMANDS,
    hashes::COMMANDS,
    hash_fields::COMMANDS,
    sets::COMMANDS,
    set_algebra::COMMANDS,
    lists::COMMANDS,
    blocked::COMMANDS,
    zsets::COMMANDS,
    zset_ranges::COMMANDS,
    zset_algebra::COMMANDS,
    region::COMMANDS,
    transactions::COMMANDS,
];

/// What Redis expects routers to know about commands over several keys.
const SUM_OVER_SHARDS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];

/// Refuses arguments as Redis does where it looks at the key before them: without a key it answers `absent`, whatever they say.
fn key_first(call: &mut Call<'_>, why: Refusal, absent: impl FnOnce(&mut Writer)) -> Answer {
    match call.execute(&TextOp::Get.on(call.key()))? {
        Reply::Nil => {
            absent(call.out);
            Ok(())
        }
        _ => Err(why),
    }
}

/// A count whose sign means something takes all integers but the one that has no opposite.
fn signed(count: i64) -> Result<i64, Refusal> {
    let limit = i64::MAX;
    let refusal = || Refusal(format!("ERR value is out of range, value must between -{limit} and {limit}").into());
    (count != i64::MIN).then_some(count).ok_or_else(refusal)
}

/// `<CONTAINER> HELP`: the subcommands, from the table.
fn help(call: &mut Call<'_>) -> Answer {
    let container = call.command.name.split('|').next().unwrap_or_default();
    let Some(container) = crate::table::find(container.as_bytes()) else { return Ok(()) };
    let name = container.name.to_ascii_uppercase();
    let others = container.subcommands.iter().filter(|sub| sub.short_name() != "help");
    let mut lines = vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for sub in others {
        lines.push(format!("{} {}", sub.short_name().to_ascii_uppercase(), sub.usage).trim_end().to_owned());
        lines.push(format!("    {}.", sub.summary.trim_end_matches('.')));
    }
    lines.extend(["HELP".to_owned(), "    Prints this help.".to_owned()]);
    call.out.array(lines.len());
    lines.iter().for_each(|line| call.out.status(line));
    Ok(())
}
