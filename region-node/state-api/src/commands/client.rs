//! `CLIENT`: names, and who else is connected.

use crate::{
    call::{Answer, Call, Refusal, shown},
    table::{Command, flag::*},
};

const PLAIN: u32 = NOSCRIPT | LOADING | STALE;
const GUARDED: u32 = ADMIN | PLAIN;
const CONNECTION: &[&str] = &["connection"];

pub(super) const COMMANDS: &[Command] = &[Command::container("client", -2, "connection", SUBCOMMANDS)
    .about("2.4.0", "A container for client connection commands")
    .complexity("Depends on subcommand.")];

const SUBCOMMANDS: &[Command] = &[
    Command::new("client|id", 2, PLAIN, "connection", id)
        .categories(CONNECTION)
        .about("5.0.0", "Returns the client ID for the current connection"),
    Command::new("client|info", 2, PLAIN, "connection", info)
        .categories(CONNECTION)
        .tips(&["nondeterministic_output"])
        .about("6.2.0", "Returns information about the current client connection."),
    Command::new("client|list", 2, GUARDED, "connection", list)
        .categories(CONNECTION)
        .tips(&["nondeterministic_output"])
        .about("2.4.0", "Get the list of client connections")
        .complexity("O(N) where N is the number of client connections"),
    Command::new("client|getname", 2, PLAIN, "connection", get_name)
        .categories(CONNECTION)
        .about("2.6.9", "Get the current connection name"),
    Command::new("client|setname", 3, PLAIN, "connection", set_name)
        .categories(CONNECTION)
        .about("2.6.9", "Set the current connection name")
        .usage("<name>"),
    Command::new("client|setinfo", 4, PLAIN, "connection", set_info)
        .categories(CONNECTION)
        .about("7.2.0", "Set client or connection specific info")
        .usage("<LIB-NAME|LIB-VER> <value>"),
    Command::new("client|tracking", -3, PLAIN, "connection", tracking)
        .categories(CONNECTION)
        .about("6.0.0", "Enable or disable server assisted client side caching support")
        .complexity("O(1). Some options may introduce additional complexity.")
        .usage("OFF"),
    Command::new("client|no-evict", 3, GUARDED, "connection", on_or_off)
        .categories(CONNECTION)
        .about("7.0.0", "Set client eviction mode for the current connection")
        .usage("(ON|OFF)"),
    Command::new("client|no-touch", 3, PLAIN, "connection", on_or_off)
        .categories(CONNECTION)
        .about("7.2.0", "Controls whether commands sent by the client will alter the LRU/LFU of the keys they access.")
        .usage("(ON|OFF)"),
    Command::new("client|unblock", -3, GUARDED | WIDE, "connection", unblock)
        .categories(CONNECTION)
        .about("5.0.0", "Unblock a client blocked in a blocking command from a different connection")
        .complexity("O(N) where N is the number of blocked clients")
        .usage("<clientid> [TIMEOUT|ERROR]"),
    Command::new("client|help", 2, LOADING | STALE, "connection", super::help)
        .categories(CONNECTION)
        .about("5.0.0", "Show helpful text about the different subcommands"),
];

fn id(call: &mut Call<'_>) -> Answer {
    call.out.count(call.session.client.id as usize);
    Ok(())
}

fn info(call: &mut Call<'_>) -> Answer {
    note_presence(call);
    let line = call.session.client.line() + "\n";
    call.out.text(&line);
    Ok(())
}

fn list(call: &mut Call<'_>) -> Answer {
    note_presence(call);
    let lines: String = call.server.clients.all().iter().map(|client| client.line() + "\n").collect();
    call.out.text(&lines);
    Ok(())
}

/// The record is brought up to date after each batch of commands; the client that looks at itself wants to see now.
fn note_presence(call: &Call<'_>) {
    let mut seen = call.session.client.seen();
    seen.command = Some(call.command);
    seen.active = std::time::Instant::now();
}

fn get_name(call: &mut Call<'_>) -> Answer {
    let name = call.session.client.seen().name.clone();
    if name.is_empty() {
        call.out.null();
    } else {
        call.out.bulk(name.as_bytes());
    }
    Ok(())
}

fn set_name(call: &mut Call<'_>) -> Answer {
    let name = valid_name(&call.args[2])?;
    call.session.client.seen().name = name;
    call.out.status("OK");
    Ok(())
}

fn set_info(call: &mut Call<'_>) -> Answer {
    let (attribute, value) = (&call.args[2], &call.args[3]);
    let field = if attribute.eq_ignore_ascii_case(b"lib-name") {
        |seen: &mut crate::client::Seen, value| seen.library = value
    } else if attribute.eq_ignore_ascii_case(b"lib-ver") {
        |seen: &mut crate::client::Seen, value| seen.library_version = value
    } else {
        return Err(Refusal(format!("ERR Unrecognized option '{}'", shown(attribute, 128)).into()));
    };
    let text = printable(value).ok_or_else(|| {
        Refusal(format!("ERR {} cannot contain spaces, newlines or special characters.", shown(attribute, 128)).into())
    })?;
    field(&mut call.session.client.seen(), text);
    call.out.status("OK");
    Ok(())
}

/// Nothing is ever pushed to clients, so there is nothing to turn on.
fn tracking(call: &mut Call<'_>) -> Answer {
    let mode = &call.args[2];
    if mode.eq_ignore_ascii_case(b"off") {
        call.out.status("OK");
        Ok(())
    } else if mode.eq_ignore_ascii_case(b"on") {
        Err("ERR client side caching is not supported".into())
    } else {
        Err(Refusal::SYNTAX)
    }
}

/// Nothing here evicts, so being exempt from it changes nothing.
fn on_or_off(call: &mut Call<'_>) -> Answer {
    let mode = &call.args[2];
    if !mode.eq_ignore_ascii_case(b"on") && !mode.eq_ignore_ascii_case(b"off") {
        return Err(Refusal::SYNTAX);
    }
    call.out.status("OK");
    Ok(())
}

fn unblock(call: &mut Call<'_>) -> Answer {
    let with_error = match &call.args[3..] {
        [] => false,
        [reason] if reason.eq_ignore_ascii_case(b"timeout") => false,
        [reason] if reason.eq_ignore_ascii_case(b"error") => true,
        [_] => return Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into()),
        _ => {
            return Err("ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.".into());
        }
    };
    let client = call.int(2)?;
    let unblocked = u64::try_from(client).is_ok_and(|client| call.server.blocking.unblock(client, with_error));
    call.out.int(unblocked.into());
    Ok(())
}

/// A name that does not spoil the lines of `CLIENT LIST`.
pub(super) fn valid_name(name: &[u8]) -> Result<String, Refusal> {
    printable(name).ok_or_else(|| "ERR Client names cannot contain spaces, newlines or special characters.".into())
}

/// Printable ASCII without spaces.
fn printable(text: &[u8]) -> Option<String> {
    text.iter().all(u8::is_ascii_graphic).then(|| String::from_utf8_lossy(text).into_owned())
}
