//! `COMMAND`: the command table as clients and `redis-cli` read it.

use crate::{
    call::{Answer, Call, Refusal},
    resp::Writer,
    table::{self, Command, flag::*},
};

const CONNECTION: &[&str] = &["connection"];
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

pub(super) const COMMANDS: &[Command] = &[Command::new("command", -1, LOADING | STALE, "server", all)
    .categories(CONNECTION)
    .tips(UNORDERED)
    .about("2.8.13", "Get array of Redis command details")
    .complexity("O(N) where N is the total number of Redis commands")
    .subcommands(SUBCOMMANDS)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("command|count", 2, LOADING | STALE, "server", count)
        .categories(CONNECTION)
        .about("2.8.13", "Get total number of Redis commands"),
    Command::new("command|docs", -2, LOADING | STALE, "server", docs)
        .categories(CONNECTION)
        .tips(UNORDERED)
        .about("7.0.0", "Get array of specific Redis command documentation")
        .complexity("O(N) where N is the number of commands to look up")
        .usage("[<command-name> ...]"),
    Command::new("command|getkeys", -3, LOADING | STALE, "server", get_keys)
        .categories(CONNECTION)
        .about("2.8.13", "Extract keys given a full Redis command")
        .complexity("O(N) where N is the number of arguments to the command")
        .usage("<full-command>"),
    Command::new("command|info", -2, LOADING | STALE, "server", info)
        .categories(CONNECTION)
        .tips(UNORDERED)
        .about("2.8.13", "Get array of specific Redis command details, or all when no argument is given.")
        .complexity("O(N) where N is the number of commands to look up")
        .usage("[<command-name> ...]"),
    Command::new("command|list", 2, LOADING | STALE, "server", list)
        .categories(CONNECTION)
        .tips(UNORDERED)
        .about("7.0.0", "Get an array of Redis command names")
        .complexity("O(N) where N is the total number of Redis commands"),
    Command::new("command|help", 2, LOADING | STALE, "server", super::help)
        .categories(CONNECTION)
        .about("5.0.0", "Show helpful text about the different subcommands"),
];

fn all(call: &mut Call<'_>) -> Answer {
    call.out.array(table::all().count());
    table::all().for_each(|command| describe(command, call.out));
    Ok(())
}

fn count(call: &mut Call<'_>) -> Answer {
    call.out.count(table::all().count());
    Ok(())
}

fn list(call: &mut Call<'_>) -> Answer {
    call.out.set(table::all().count());
    table::all().for_each(|command| call.out.bulk(command.name.as_bytes()));
    Ok(())
}

/// A command by its name, or a subcommand by both: `client|id`.
fn by_full_name(name: &[u8]) -> Option<&'static Command> {
    match memchr::memchr(b'|', name) {
        None => table::find(name),
        Some(at) => table::find(&name[..at])?.subcommand(&name[at + 1..]),
    }
}

fn info(call: &mut Call<'_>) -> Answer {
    if call.args.len() == 2 {
        return all(call);
    }
    call.out.array(call.args.len() - 2);
    for name in &call.args[2..] {
        match by_full_name(name) {
            Some(command) => describe(command, call.out),
            None => call.out.null(),
        }
    }
    Ok(())
}

fn docs(call: &mut Call<'_>) -> Answer {
    let found: Vec<&Command> = match &call.args[2..] {
        [] => table::all().collect(),
        names => names.iter().filter_map(|name| by_full_name(name)).collect(),
    };
    call.out.map(found.len());
    found.iter().for_each(|command| document(command, call.out));
    Ok(())
}

fn get_keys(call: &mut Call<'_>) -> Answer {
    let inner = &call.args[2..];
    let command = table::find(&inner[0]).ok_or(Refusal::from("ERR Invalid command specified"))?;
    let keys = command.keys.ok_or(Refusal::from("ERR The command has no key arguments"))?;
    if !command.accepts(inner.len()) {
        return Err("ERR Invalid number of arguments specified for command".into());
    }
    let keys: Vec<usize> = keys.positions(inner).collect();
    call.out.array(keys.len());
    keys.iter().for_each(|&at| call.out.bulk(&inner[at]));
    Ok(())
}

/// One entry of `COMMAND INFO`: ten fields whose meaning is their place.
fn describe(command: &Command, out: &mut Writer) {
    out.array(10);
    out.bulk(command.name.as_bytes());
    out.int(command.arity.into());
    let set = NAMES.into_iter().enumerate().filter(|(bit, _)| command.is(1 << bit)).map(|(_, name)| name);
    let flags: Vec<&str> = set.chain(command.has_movable_keys().then_some("movablekeys")).collect();
    out.set(flags.len());
    flags.iter().for_each(|flag| out.status(flag));
    let fixed = command.keys.filter(|keys| keys.first > 0);
    out.count(fixed.map_or(0, |keys| keys.first));
    out.int(fixed.map_or(0, |keys| keys.last.into()));
    out.count(fixed.map_or(0, |keys| keys.step));
    let categories = command.all_categories();
    out.set(categories.len());
    categories.iter().for_each(|category| out.status(&format!("@{category}")));
    out.set(command.tips.len());
    command.tips.iter().for_each(|tip| out.bulk(tip.as_bytes()));
    command.write_key_specs(out);
    out.set(command.subcommands.len());
    command.subcommands.iter().for_each(|sub| describe(sub, out));
}

/// One entry of `COMMAND DOCS`.
fn document(command: &Command, out: &mut Writer) {
    out.bulk(command.name.as_bytes());
    out.map(4 + usize::from(!command.subcommands.is_empty()));
    for (field, text) in [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group),
        ("complexity", command.complexity),
    ] {
        out.bulk(field.as_bytes());
        out.bulk(text.as_bytes());
    }
    if !command.subcommands.is_empty() {
        out.bulk(b"subcommands");
        out.map(command.subcommands.len());
        command.subcommands.iter().for_each(|sub| document(sub, out));
    }
}
