//! Plays the transcripts to our port, and the same text to a real redis-server where one is installed.

use std::net::SocketAddr;

use crate::{
    port::Port,
    server::RedisServer,
    wire::{Wire, items},
};

/// By group; the rules of how they are written stand in the first.
const TRANSCRIPTS: &[(&str, &str)] = &[
    ("transcript.txt", include_str!("transcript.txt")),
    ("strings.txt", include_str!("transcripts/strings.txt")),
    ("transactions.txt", include_str!("transcripts/transactions.txt")),
    ("sorted_sets.txt", include_str!("transcripts/sorted_sets.txt")),
    ("hashes.txt", include_str!("transcripts/hashes.txt")),
    ("lists.txt", include_str!("transcripts/lists.txt")),
];

/// One line of the transcript with what stands under it.
#[derive(Default)]
struct Scene<'a> {
    line: usize,
    text: &'a str,
    reply: Vec<u8>,
    ours_alone: bool,
    unordered: bool,
    ageing: bool,
    since: Option<&'a str>,
}

fn scenes(transcript: &str) -> Vec<Scene<'_>> {
    let mut scenes: Vec<Scene<'_>> = Vec::new();
    let mut next = Scene::default();
    for (number, line) in transcript.lines().enumerate() {
        if let Some(reply) = line.strip_prefix("    ") {
            let scene = scenes.last_mut().expect("a reply has a command");
            scene.reply.extend(if reply == "\"\"" { Vec::new() } else { unescape(reply) });
            scene.reply.extend(b"\r\n");
        } else if line == "@atoll" {
            next.ours_alone = true;
        } else if line == "@unordered" {
            next.unordered = true;
        } else if line == "@ageing" {
            next.ageing = true;
        } else if let Some(version) = line.strip_prefix("@since ") {
            next.since = Some(version);
        } else if !line.is_empty() && !line.starts_with('#') {
            scenes.push(Scene { line: number + 1, text: line, ..std::mem::take(&mut next) });
        }
    }
    scenes
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().unwrap() {
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    bytes
}

/// The words of a command, quoted as in redis-cli.
fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = quoted.find(|letter| {
                let ends = letter == '"' && !escaped;
                escaped = letter == '\\' && !escaped;
                ends
            });
            let end = end.expect("a quote that is opened is closed");
            words.push(unescape(&quoted[..end]));
            rest = quoted[end + 1..].trim_start();
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            words.push(rest.as_bytes()[..end].to_vec());
            rest = rest[end..].trim_start();
        }
    }
    words
}

/// Plays the transcript to a server; `version` is that of a real redis-server.
fn play(address: SocketAddr, version: Option<(u32, u32)>) {
    let (mut wire, mut wrong) = (Wire::connect(address), String::new());
    let all = TRANSCRIPTS.iter().flat_map(|(file, text)| scenes(text).into_iter().map(move |scene| (file, scene)));
    for (file, scene) in all {
        let got = match scene.text {
            title if title.starts_with("==") => {
                wire = Wire::connect(address);
                continue;
            }
            "@resp3" => {
                wire.ask(&["HELLO", "3"]);
                continue;
            }
            "@closed" => wire.until_closed(),
            _ if version.is_some_and(|version| !scene.is_known_to(version)) => continue,
            raw if raw.starts_with("! ") => {
                wire.send(&unescape(&raw[2..]));
                let mut got = Vec::new();
                while got.len() < scene.reply.len() {
                    got.extend(wire.reply());
                }
                got
            }
            line => wire.ask(&words(line)),
        };
        if !scene.is_answered_by(&got) {
            wrong += &format!(
                "\n{file}:{}: {}\n  want {}\n  got  {}",
                scene.line,
                scene.text,
                scene.reply.escape_ascii(),
                got.escape_ascii()
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

impl Scene<'_> {
    fn is_answered_by(&self, got: &[u8]) -> bool {
        let number = |reply: &[u8]| std::str::from_utf8(reply).ok()?.trim().strip_prefix(':')?.parse::<i64>().ok();
        match (self.unordered, self.ageing, number(got), number(&self.reply)) {
            (true, ..) => sorted(got) == sorted(&self.reply),
            (_, true, Some(got), Some(want)) => (want - 5..=want).contains(&got),
            _ => got == self.reply,
        }
    }

    fn is_known_to(&self, version: (u32, u32)) -> bool {
        let since = self.since.map_or((0, 0), |since| {
            let (major, minor) = since.split_once('.').unwrap();
            (major.parse().unwrap(), minor.parse().unwrap())
        });
        !self.ours_alone && version >= since
    }
}

fn sorted(reply: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let mut items = items(reply);
    items.sort_unstable();
    (&reply[..1], items)
}

#[test]
fn the_port_says_what_the_transcript_says() {
    play(Port::open().address(), None);
}

#[test]
fn a_real_redis_server_says_the_same() {
    let Some(redis) = RedisServer::start() else { return };
    play(redis.address, Some(redis.version));
}

/// `COMMAND INFO` of every command that both know, field for field, in both versions of the protocol.
#[test]
fn the_command_table_is_that_of_a_real_redis_server() {
    let Some(redis) = RedisServer::start() else { return };
    let port = Port::open();
    let (mut ours, mut theirs) = (port.connect(), Wire::connect(redis.address));
    let names = ours.ask(&["COMMAND", "LIST"]);
    for hello in ["2", "3"] {
        ours.ask(&["HELLO", hello]);
        theirs.ask(&["HELLO", hello]);
        for name in items(&names) {
            let name = std::str::from_utf8(name).unwrap().lines().nth(1).unwrap();
            let question = ["COMMAND", "INFO", name];
            let (our_entry, their_entry) = (ours.ask(&question), theirs.ask(&question));
            let (our_entry, their_entry) = (items(items(&our_entry)[0]), items(items(&their_entry)[0]));
            if their_entry.is_empty() {
                let newer = name.starts_with('h') && redis.version < (8, 0); // deadlines of hash fields
                assert!(newer || name == "region", "{name} is no command of Redis");
                continue;
            }
            // The last field are the subcommands, of which we do not have all. ZRANK has an option since 7.2, and so another arity.
            let newer = ["zrank", "zrevrank"].contains(&name) && redis.version < (7, 2);
            for (at, (our_field, their_field)) in our_entry.iter().zip(&their_entry).take(9).enumerate() {
                if newer && at == 1 {
                    continue;
                }
                let (ours, theirs) = (our_field.escape_ascii().to_string(), their_field.escape_ascii().to_string());
                assert_eq!(ours, theirs, "{name}");
            }
        }
    }
}
