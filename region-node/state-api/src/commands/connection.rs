//! The connection itself: greeting, logging in, choosing the protocol version, leaving.

use bytes::Bytes;

use super::client::valid_name;
use crate::{
    REDIS_VERSION,
    call::{Answer, Call, Refusal, shown},
    resp::{Protocol, parse_i64},
    table::{Command, flag::*},
};

const HANDSHAKE: u32 = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY;
const CONNECTION: &[&str] = &["connection"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("ping", -1, FAST, "connection", ping)
        .categories(CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .about("1.0.0", "Ping the server")
        .usage("[message]"),
    Command::new("echo", 2, LOADING | STALE | FAST, "connection", echo)
        .categories(CONNECTION)
        .about("1.0.0", "Echo the given string")
        .usage("message"),
    Command::new("auth", -2, HANDSHAKE, "connection", auth)
        .categories(CONNECTION)
        .about("1.0.0", "Authenticate to the server")
        .complexity("O(N) where N is the number of passwords defined for the user")
        .usage("[username] password"),
    Command::new("hello", -1, HANDSHAKE, "connection", hello)
        .categories(CONNECTION)
        .about("6.0.0", "Handshake with Redis")
        .usage("[protover [AUTH username password] [SETNAME clientname]]"),
    Command::new("select", 2, LOADING | STALE | FAST, "connection", select)
        .categories(CONNECTION)
        .about("1.0.0", "Change the selected database for the current connection")
        .usage("index"),
    Command::new("quit", -1, HANDSHAKE | NOW_IN_MULTI, "connection", quit)
        .categories(CONNECTION)
        .about("1.0.0", "Close the connection"),
    Command::new("reset", 1, HANDSHAKE | NOW_IN_MULTI, "connection", reset)
        .categories(CONNECTION)
        .about("6.2.0", "Reset the connection"),
];

fn ping(call: &mut Call<'_>) -> Answer {
    match call.args {
        [_] => call.out.status("PONG"),
        [_, message] => call.out.bulk(message),
        _ => return Err(Refusal::arity(call.command.name)),
    }
    Ok(())
}

fn echo(call: &mut Call<'_>) -> Answer {
    call.out.bulk(&call.args[1]);
    Ok(())
}

fn auth(call: &mut Call<'_>) -> Answer {
    let (name, password): (&[u8], &Bytes) = match call.args {
        [_, _] if call.access().is_open() => {
            return Err("ERR AUTH <password> called without any password configured for the default user. \
                        Are you sure your configuration is correct?"
                .into());
        }
        [_, password] => (b"default", password),
        [_, name, password] => (name, password),
        _ => return Err(Refusal::SYNTAX),
    };
    log_in(call, name, password)?;
    call.out.status("OK");
    Ok(())
}

fn log_in(call: &mut Call<'_>, name: &[u8], password: &[u8]) -> Answer {
    call.access().check(name, password)?;
    call.session.authenticated = true;
    call.session.client.seen().user = String::from_utf8_lossy(name).into_owned();
    Ok(())
}

fn hello(call: &mut Call<'_>) -> Answer {
    let mut protocol = call.out.protocol();
    if let Some(version) = call.args.get(1) {
        protocol = match parse_i64(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err("NOPROTO unsupported protocol version".into()),
            None => return Err("ERR Protocol version is not an integer or out of range".into()),
        };
    }
    let name = hello_options(call)?;
    if !call.session.authenticated {
        return Err("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
                    <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
                    the same time"
            .into());
    }
    {
        let mut seen = call.session.client.seen();
        seen.protocol = protocol;
        if let Some(name) = name {
            seen.name = name;
        }
    }
    call.out.set_protocol(protocol);
    greet(call, protocol);
    Ok(())
}

/// Reads `AUTH user password` and `SETNAME name`; logs in; gives the name.
fn hello_options(call: &mut Call<'_>) -> Result<Option<String>, Refusal> {
    let mut name = None;
    let mut rest = call.args.get(2..).unwrap_or_default();
    while let [option, values @ ..] = rest {
        rest = match values {
            [user, password, after @ ..] if option.eq_ignore_ascii_case(b"auth") => {
                log_in(call, user, password)?;
                after
            }
            [value, after @ ..] if option.eq_ignore_ascii_case(b"setname") => {
                name = Some(valid_name(value)?);
                after
            }
            _ => return Err(Refusal(format!("ERR Syntax error in HELLO option '{}'", shown(option, 128)).into())),
        };
    }
    Ok(name)
}

fn greet(call: &mut Call<'_>, protocol: Protocol) {
    let out = &mut *call.out;
    out.map(7);
    out.bulk(b"server");
    out.bulk(b"redis");
    out.bulk(b"version");
    out.bulk(REDIS_VERSION.as_bytes());
    out.bulk(b"proto");
    out.int(if protocol == Protocol::Resp3 { 3 } else { 2 });
    out.bulk(b"id");
    out.count(call.session.client.id as usize);
    out.bulk(b"mode");
    out.bulk(b"standalone");
    out.bulk(b"role");
    out.bulk(b"master");
    out.bulk(b"modules");
    out.array(0);
}

fn select(call: &mut Call<'_>) -> Answer {
    match call.int(1)? {
        0 => call.out.status("OK"),
        _ => return Err("ERR DB index is out of range".into()),
    }
    Ok(())
}

fn quit(call: &mut Call<'_>) -> Answer {
    call.session.closing = true;
    call.out.status("OK");
    Ok(())
}

fn reset(call: &mut Call<'_>) -> Answer {
    call.session.authenticated = call.access().is_open();
    call.session.multi = None;
    call.session.watched.clear();
    {
        let mut seen = call.session.client.seen();
        seen.name.clear();
        seen.user = "default".to_owned();
        seen.protocol = Protocol::Resp2;
    }
    call.out.set_protocol(Protocol::Resp2);
    call.out.status("RESET");
    Ok(())
}
