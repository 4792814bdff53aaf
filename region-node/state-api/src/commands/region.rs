//! `REGION`: what a single Redis has no words for. Where this region stands, how far behind its peers are, and why a key reads
//! as it does.

use model::Token;
use replication_core::{Contender, ExplainedPart};

use crate::{
    call::{Answer, Call, Refusal},
    resp::Writer,
    server::Server,
    table::{Command, Keys, flag::*},
};

pub(super) const COMMANDS: &[Command] = &[Command::container("region", -2, "server", SUBCOMMANDS)
    .about("7.2.0", "A container for commands about this region and its peers")
    .complexity("Depends on subcommand.")];

const SUBCOMMANDS: &[Command] = &[
    Command::new("region|token", 2, READONLY | FAST, "server", answer_token).tips(&["nondeterministic_output"]).about(
        "7.2.0",
        "Return the token of this region's last write: who carries it to another region can wait for that write there",
    ),
    Command::new("region|lag", 2, LOADING | STALE, "server", lag)
        .tips(&["nondeterministic_output"])
        .about("7.2.0", "Return how far this region is behind each peer")
        .complexity("O(N) where N is the number of regions"),
    Command::new("region|conflicts", -2, READONLY | WIDE, "server", conflicts)
        .tips(&["nondeterministic_output"])
        .about(
            "7.2.0",
            "Return the conflicts met last in this region: what shows, and what lost to it, with values and writers",
        )
        .complexity("O(N) where N is the number of conflicts remembered")
        .usage("[COUNT count]"),
    Command::new("region|explain", 3, READONLY | WIDE, "server", explain)
        .keys(Keys::range(2, 2, &["RO"]))
        .tips(&["nondeterministic_output"])
        .about("7.2.0", "Return every live part of a key: who wrote it, when, and why clients see it or not")
        .complexity("O(N) where N is the number of parts")
        .usage("<key>"),
    Command::new("region|help", 2, LOADING | STALE, "server", super::help)
        .about("7.2.0", "Show helpful text about the different subcommands"),
];

/// "Everything this region has acknowledged so far", as text.
pub(super) fn token(server: &Server) -> Token {
    Token { region: server.config.region_id, hlc: server.store.last_write_hlc().0 }
}

fn answer_token(call: &mut Call<'_>) -> Answer {
    let token = token(call.server).to_string();
    call.out.bulk(token.as_bytes());
    Ok(())
}

fn lag(call: &mut Call<'_>) -> Answer {
    let peers = (call.server.config.lag)();
    let out = &mut *call.out;
    out.array(peers.len());
    for peer in peers {
        out.map(8);
        text_field(out, "region", &peer.region);
        text_field(out, "state", if peer.connected { "connected" } else { "disconnected" });
        out.bulk(b"lag_ms");
        match peer.lag_ms {
            Some(lag) => out.count(lag as usize),
            None => out.null(),
        }
        out.bulk(b"lag_p99_ms");
        match peer.lag_p99_ms {
            Some(lag) => out.count(lag as usize),
            None => out.null(),
        }
        out.bulk(b"rtt_ms");
        match peer.rtt_ms {
            Some(rtt) => out.double(rtt),
            None => out.null(),
        }
        out.bulk(b"unconfirmed");
        out.count(peer.unconfirmed as usize);
        out.bulk(b"sent_bytes");
        out.count(peer.sent_bytes as usize);
        out.bulk(b"received_bytes");
        out.count(peer.received_bytes as usize);
    }
    Ok(())
}

/// Conflicts shown when nobody says how many.
const SHOWN: usize = 10;
/// Most that are shown at once.
const MOST_SHOWN: usize = 1000;

fn conflicts(call: &mut Call<'_>) -> Answer {
    let count = match &call.args[2..] {
        [] => SHOWN,
        [word, _] if word.eq_ignore_ascii_case(b"count") => {
            usize::try_from(call.int(3)?).map_err(|_| Refusal::SYNTAX)?.min(MOST_SHOWN)
        }
        _ => return Err(Refusal::SYNTAX),
    };
    let found = call.store()?.conflicts(count);
    let out = &mut *call.out;
    out.array(found.len());
    for conflict in &found {
        out.map(5);
        text_field(out, "kind", conflict.kind.name());
        out.bulk(b"key");
        out.bulk(&conflict.key);
        text_field(out, "of", &conflict.sub);
        out.bulk(b"winner");
        contender(out, &conflict.winner);
        out.bulk(b"loser");
        contender(out, &conflict.loser);
    }
    Ok(())
}

fn contender(out: &mut Writer, side: &Contender) {
    out.map(4);
    out.bulk(b"region");
    out.count(side.dot.replica.region.into());
    text_field(out, "change", &side.dot.to_string());
    text_field(out, "stamp", &side.hlc.to_string());
    text_field(out, "value", &side.value);
}

fn explain(call: &mut Call<'_>) -> Answer {
    let key = &call.args[2];
    let Some(explanation) = call.store()?.explain(key) else {
        call.out.null();
        return Ok(());
    };
    let out = &mut *call.out;
    out.map(5);
    out.bulk(b"key");
    out.bulk(&explanation.key);
    text_field(out, "type", explanation.visible_type);
    out.bulk(b"expires_at_ms");
    match explanation.deadline_ms {
        Some(deadline) => out.count(deadline as usize),
        None => out.null(),
    }
    text_field(out, "expired", if explanation.expired { "yes" } else { "no" });
    out.bulk(b"parts");
    out.array(explanation.parts.len());
    explanation.parts.iter().for_each(|part| explain_part(part, out));
    Ok(())
}

fn explain_part(part: &ExplainedPart, out: &mut Writer) {
    out.map(8);
    text_field(out, "kind", part.kind);
    text_field(out, "of", &part.sub);
    text_field(out, "value", &part.value);
    out.bulk(b"region");
    out.count(part.dot.replica.region.into());
    text_field(out, "change", &part.dot.to_string());
    text_field(out, "stamp", &part.hlc.to_string());
    text_field(out, "visible", if part.visible { "yes" } else { "no" });
    text_field(out, "why", part.why);
}

fn text_field(out: &mut Writer, name: &str, value: &str) {
    out.bulk(name.as_bytes());
    out.bulk(value.as_bytes());
}
