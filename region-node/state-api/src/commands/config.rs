//! `CONFIG GET`: the few settings that clients and tools look at. Nothing can be set here: a region is configured by its World.

use crate::{
    call::{Answer, Call},
    glob,
    table::{Command, flag::*},
};

pub(super) const COMMANDS: &[Command] = &[Command::container("config", -2, "server", SUBCOMMANDS)
    .about("2.0.0", "A container for server configuration commands")
    .complexity("Depends on subcommand.")];

const SUBCOMMANDS: &[Command] = &[
    Command::new("config|get", -3, ADMIN | NOSCRIPT | LOADING | STALE, "server", get)
        .about("2.0.0", "Get the values of configuration parameters")
        .complexity("O(N) when N is the number of configuration parameters provided")
        .usage("<pattern>"),
    Command::new("config|help", 2, LOADING | STALE, "server", super::help)
        .about("5.0.0", "Show helpful text about the different subcommands"),
];

fn get(call: &mut Call<'_>) -> Answer {
    let config = &call.server.config;
    let settings: [(&str, String); 11] = [
        ("appendfsync", "everysec".to_owned()),
        ("appendonly", "yes".to_owned()),
        ("bind", config.listen.ip().to_string()),
        ("databases", "1".to_owned()),
        ("maxclients", config.max_clients.to_string()),
        ("maxmemory", call.server.store.max_memory_bytes().to_string()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", call.session.client.local.port().to_string()),
        ("proto-max-bulk-len", call.server.limits().bulk.to_string()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ];
    let wanted = |name: &str| call.args[2..].iter().any(|pattern| glob::matches(pattern, name.as_bytes(), true));
    let found: Vec<_> = settings.iter().filter(|(name, _)| wanted(name)).collect();
    call.out.map(found.len());
    for (name, value) in found {
        call.out.bulk(name.as_bytes());
        call.out.bulk(value.as_bytes());
    }
    Ok(())
}
