//! The same random commands to Atoll and to a real redis-server: every reply is compared.
//!
//! ```text
//! grammar.txt ──→ forms ──→ steps (some with mistakes) ──→ both servers ──→ replies agree, or differ as documented
//!                                                              └──→ not so: made short, printed as redis-cli would take it
//! ```
//! A run has parts of a thousand commands over two dozen keys. Keys of most parts share a hash tag, so that commands over many
//! keys are at home; in every fifth they lie anywhere. Parts speak version 2 and 3 of the protocol in turn.
//!
//! | environment | |
//! |---|---|
//! | `ATOLL_DIFFERENTIAL_COMMANDS` | how many commands, 100 000 unless told |
//! | `ATOLL_DIFFERENTIAL_SEED` | the seed; a failure prints it |
//! | `ATOLL_DIFFERENTIAL_PENDING` | `1`: also the forms that are marked as pending and that Atoll has by now |

mod allowed;
mod grammar;
mod luck;
mod play;
mod replies;
mod shrink;
mod steps;
mod talk;
mod words;

use std::fmt::Write;

use self::{
    grammar::{Command, Form},
    luck::Luck,
    play::{Mismatch, Pair},
    steps::{Source, Step},
};
use crate::{port::Port, server::RedisServer, setting};

/// Steps of one part of a run.
const PART: usize = 1000;
/// Findings after which a run gives up.
const ENOUGH: usize = 25;

#[test]
fn every_command_answers_as_a_real_redis_server_does() {
    let Some(redis) = RedisServer::start() else { return };
    let port = Port::open();
    let mut pair = Pair::connect(port.address(), redis.address);
    let wanted = setting("ATOLL_DIFFERENTIAL_COMMANDS", 100_000) as usize;
    let seed = setting("ATOLL_DIFFERENTIAL_SEED", 1);
    let pending = setting("ATOLL_DIFFERENTIAL_PENDING", 0) == 1;
    let forms = grammar::forms();
    let mut words = words::Words::new(String::new());
    let mut has = |form: &Form| {
        let name = form.expand(&mut Luck::new(seed, 0), &mut words).words[0].clone();
        !pair.ask(&[b"COMMAND".to_vec(), b"INFO".to_vec(), name]).0.leaves().is_empty()
    };
    let mut usable: Vec<&Form> = forms.iter().filter(|form| !form.pending || pending && has(form)).collect();
    let mut findings = Vec::new();
    for part in 0.. {
        if pair.compared >= wanted || findings.len() >= ENOUGH || usable.is_empty() {
            break;
        }
        if let Some((form, finding)) = explore(&mut pair, &usable, seed, part) {
            // What was found once is left out, so that one run finds other things too.
            usable.retain(|other| other.text != form);
            findings.push(finding);
        }
    }
    assert!(findings.is_empty(), "seed {seed}, {} commands:\n{}", pair.compared, findings.join("\n"));
    assert!(pair.compared >= wanted, "only {} commands were compared", pair.compared);
}

/// One part of a run; what it found, with the form of the command that disagreed.
fn explore(pair: &mut Pair, forms: &[&Form], seed: u64, part: u64) -> Option<(&'static str, String)> {
    pair.hello(if part.is_multiple_of(2) { "2" } else { "3" });
    pair.clear();
    let tag = if part % 5 == 4 { String::new() } else { format!("{{{}}}", part % 7) };
    let mut source = Source::new(forms, tag, Luck::new(seed, part));
    let steps: Vec<Step> = (0..PART).map(|_| source.step()).collect();
    let mismatch = pair.play(&steps).err()?;
    let failing = steps[..=mismatch.step].to_vec();
    let short = shrink::shrink(pair, &mismatch.command.name(), failing);
    pair.clear();
    // Played once more, to show the replies of the short sequence.
    let shown = pair.play(&short).err().unwrap_or(mismatch);
    Some((blamed(&short, &shown), describe(part, &short, &shown)))
}

/// The form to blame: that of the command, or what stands before an EXEC.
fn blamed(steps: &[Step], mismatch: &Mismatch) -> &'static str {
    let lines = steps.iter().flat_map(|step| &step.0);
    let last = lines.map(|line| line.command.form).rfind(|form| !form.is_empty());
    if mismatch.command.form.is_empty() { last.unwrap_or_default() } else { mismatch.command.form }
}

fn describe(part: u64, steps: &[Step], mismatch: &Mismatch) -> String {
    let mut text = format!("--- part {part}: {}\n", quoted(&mismatch.command));
    for line in steps.iter().flat_map(|step| &step.0) {
        let _ = writeln!(text, "    {}{}", if line.other { "(other) " } else { "" }, quoted(&line.command));
    }
    let Mismatch { ours, theirs, .. } = mismatch;
    let _ = writeln!(text, "  atoll: {ours}\n  redis: {theirs}");
    text
}

/// A command as redis-cli would take it.
fn quoted(command: &Command) -> String {
    let quote = |word: &Vec<u8>| {
        let plain = !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"');
        let text = word.escape_ascii().to_string();
        if plain { text } else { format!("\"{text}\"") }
    };
    command.words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_grammar_is_well_formed() {
    let forms = grammar::forms();
    let mut luck = Luck::new(1, 1);
    let mut words = words::Words::new(String::new());
    for form in &forms {
        for _ in 0..20 {
            assert!(!form.expand(&mut luck, &mut words).words.is_empty(), "{}", form.text);
        }
    }
    assert!(forms.len() > 150);
}
