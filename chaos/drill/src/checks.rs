//! The checkers: pure functions from what was written and seen to what was broken.
//!
//! ```text
//! lost         an acknowledged SET that nobody deleted is not there, or is there with another value
//! resurrected  a key whose DEL was acknowledged is there
//! counter      Σ acknowledged ≤ value ≤ Σ acknowledged + Σ unknown, the same everywhere
//! set          acknowledged ⊆ members ⊆ acknowledged ∪ unknown
//! dns          no answer of a living server is empty; no flap: one decision out, one decision back
//! ```

use std::collections::{BTreeMap, BTreeSet};

use model::{Decision, RegionName, Subject, Verdict};

use crate::{
    dns::{Observation, Seen},
    history::{Write, WriteKind, WriteResult},
    outcome::{Failure, Outcome},
    report::WriteCount,
};

/// What one region answers at the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Final {
    /// Every key that the drill ever wrote, and its value now.
    pub(crate) values: BTreeMap<String, Option<String>>,
    pub(crate) counter: i64,
    pub(crate) members: BTreeSet<String>,
}

/// What a key must be at the end.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Value(String),
    Absent,
    /// A write or a delete without an answer: both are right.
    Either,
}

fn expected(writes: &[Write]) -> BTreeMap<&str, Expected> {
    let mut keys = BTreeMap::new();
    for write in writes {
        match (write.kind, write.result) {
            (WriteKind::Set, WriteResult::Ok) => {
                keys.entry(write.key.as_str()).or_insert_with(|| Expected::Value(write.value.clone()));
            }
            (WriteKind::Set, WriteResult::Info) => drop(keys.insert(&write.key, Expected::Either)),
            (WriteKind::Del, WriteResult::Ok) => {
                // A DEL answers 0 for a key that its unanswered SET never made; late arrival is impossible on one connection.
                keys.insert(&write.key, Expected::Absent);
            }
            (WriteKind::Del, WriteResult::Info) => drop(keys.insert(&write.key, Expected::Either)),
            _ => {}
        }
    }
    keys
}

/// Counts and judges all writes against what every region answers at the end.
pub(crate) fn writes(writes: &[Write], finals: &BTreeMap<RegionName, Final>) -> (WriteCount, Vec<Failure>) {
    let count = |result| writes.iter().filter(|w| w.result == result).count();
    let mut counted = WriteCount {
        acked: count(WriteResult::Ok),
        refused: count(WriteResult::Fail),
        unknown: count(WriteResult::Info),
        ..WriteCount::default()
    };
    let mut failures = Vec::new();
    let expected = expected(writes);
    for (region, last) in finals {
        let (mut lost, mut resurrected) = (Vec::new(), Vec::new());
        for (key, expected) in &expected {
            let found = last.values.get(*key).cloned().flatten();
            match expected {
                Expected::Value(value) if found.as_ref() != Some(value) => lost.push(*key),
                Expected::Absent if found.is_some() => resurrected.push(*key),
                _ => {}
            }
        }
        let members = |result| {
            let of = writes.iter().filter(move |w| w.kind == WriteKind::Sadd && w.result == result);
            of.map(|w| w.key.as_str()).collect::<BTreeSet<_>>()
        };
        let (acked, open) = (members(WriteResult::Ok), members(WriteResult::Info));
        lost.extend(acked.iter().filter(|member| !last.members.contains(**member)));
        let phantom = last.members.iter().filter(|m| !acked.contains(m.as_str()) && !open.contains(m.as_str())).count();
        counted.lost = counted.lost.max(lost.len());
        counted.resurrected = counted.resurrected.max(resurrected.len());
        counted.phantom = counted.phantom.max(phantom);
        let mut fail = |what: String| failures.push(Failure::new(Outcome::Fail, what));
        if let Some(first) = lost.first() {
            fail(format!("{} acknowledged writes are lost in {region}, `{first}` among them", lost.len()));
        }
        if let Some(first) = resurrected.first() {
            fail(format!("{} deleted keys are back in {region}, `{first}` among them", resurrected.len()));
        }
        if phantom > 0 {
            fail(format!("{phantom} members are in {region} that nobody added"));
        }
    }
    failures.extend(counter(writes, finals));
    (counted, failures)
}

fn counter(writes: &[Write], finals: &BTreeMap<RegionName, Final>) -> Option<Failure> {
    let sum = |result| writes.iter().filter(|w| w.kind == WriteKind::Incr && w.result == result).count() as i64;
    let (least, most) = (sum(WriteResult::Ok), sum(WriteResult::Ok) + sum(WriteResult::Info));
    let values: Vec<i64> = finals.values().map(|last| last.counter).collect();
    let equal = values.windows(2).all(|pair| pair[0] == pair[1]);
    let inside = values.iter().all(|value| (least..=most).contains(value));
    if equal && inside {
        return None;
    }
    let shown: Vec<String> = finals.iter().map(|(region, last)| format!("{region} {}", last.counter)).collect();
    let what = format!("the counter is {}; {least} to {most} was acknowledged", shown.join(", "));
    Some(Failure::new(Outcome::Fail, what))
}

/// Judges the answers of the servers that lived all the time.
pub(crate) fn answers(observations: &[Observation], victim: &RegionName) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut servers: BTreeMap<&RegionName, (usize, usize)> = BTreeMap::new();
    for observation in observations.iter().filter(|o| o.server != *victim) {
        let (asked, silent) = servers.entry(&observation.server).or_default();
        *asked += 1;
        match &observation.seen {
            Seen::Empty(what) => {
                let what = format!("{} answered {what} at {}", observation.server, observation.asked_ms);
                failures.push(Failure::new(Outcome::Fail, what));
            }
            Seen::Silence => *silent += 1,
            Seen::Addresses(_) => {}
        }
    }
    for (server, (asked, silent)) in servers {
        // A datagram may be lost on a busy machine; a server that often says nothing is not serving.
        if silent * 100 > asked {
            failures
                .push(Failure::new(Outcome::Fail, format!("{server} left {silent} of {asked} questions unanswered")));
        }
    }
    failures
}

/// Exactly one decision out after the fault, at most one back after the heal, and none about anybody else.
pub(crate) fn decisions(decisions: &[Decision], victim: &RegionName) -> Vec<Failure> {
    let subject = Subject::Region(victim.clone());
    let about = |to: Verdict| decisions.iter().filter(|d| d.subject == subject && d.to == to).count();
    let mut failures = Vec::new();
    let mut fail = |what: String| failures.push(Failure::new(Outcome::Fail, what));
    match about(Verdict::Down) {
        1 => {}
        0 => fail(format!("no decision took {victim} out")),
        flaps => fail(format!("{flaps} decisions took {victim} out; one was due")),
    }
    if about(Verdict::Up) > 1 {
        fail(format!("{} decisions brought {victim} back; one was due", about(Verdict::Up)));
    }
    for other in decisions.iter().filter(|d| d.subject != subject) {
        fail(format!(
            "a decision moved {} from {:?} to {:?}; nothing had happened to it",
            other.subject, other.from, other.to
        ));
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RegionName {
        RegionName::new(text).unwrap()
    }

    fn write(kind: WriteKind, key: &str, value: &str, result: WriteResult) -> Write {
        Write { region: name("us"), kind, key: key.into(), value: value.into(), sent_ms: 0, done_ms: 0, result }
    }

    fn world(values: &[(&str, &str)], counter: i64, members: &[&str]) -> Final {
        Final {
            values: values.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect(),
            counter,
            members: members.iter().map(|m| (*m).to_owned()).collect(),
        }
    }

    /// One region's end against one history; the failures in words.
    fn check(history: &[Write], last: Final, want: &[&str]) {
        let (_, failures) = writes(history, &[(name("us"), last)].into());
        let got: Vec<String> = failures.into_iter().map(|f| f.what).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn every_broken_promise_is_caught_and_named() {
        use WriteKind::*;
        use WriteResult::*;
        let history = [
            write(Set, "a", "1", Ok),
            write(Set, "b", "2", Ok),
            write(Del, "b", "", Ok),
            write(Set, "c", "3", Info),
            write(Set, "e", "5", Ok),
            write(Del, "e", "", Info),
            write(Incr, "n", "", Ok),
            write(Incr, "n", "", Info),
            write(Sadd, "m1", "", Ok),
            write(Sadd, "m2", "", Fail),
        ];
        check(&history, world(&[("a", "1")], 1, &["m1"]), &[]);
        check(&history, world(&[("a", "1"), ("c", "3"), ("e", "5")], 2, &["m1"]), &[]);
        check(&history, world(&[], 1, &["m1"]), &["1 acknowledged writes are lost in us, `a` among them"]);
        check(&history, world(&[("a", "x")], 1, &["m1"]), &["1 acknowledged writes are lost in us, `a` among them"]);
        check(
            &history,
            world(&[("a", "1"), ("b", "2")], 1, &["m1"]),
            &["1 deleted keys are back in us, `b` among them"],
        );
        check(&history, world(&[("a", "1")], 0, &["m1"]), &["the counter is us 0; 1 to 2 was acknowledged"]);
        check(&history, world(&[("a", "1")], 3, &["m1"]), &["the counter is us 3; 1 to 2 was acknowledged"]);
        check(&history, world(&[("a", "1")], 1, &[]), &["1 acknowledged writes are lost in us, `m1` among them"]);
        check(&history, world(&[("a", "1")], 1, &["m1", "m2"]), &["1 members are in us that nobody added"]);
    }

    #[test]
    fn regions_that_disagree_on_a_sum_are_caught_even_inside_the_bounds() {
        let history = [write(WriteKind::Incr, "n", "", WriteResult::Info)];
        let finals = [(name("eu"), world(&[], 0, &[])), (name("us"), world(&[], 1, &[]))].into();
        let (_, failures) = writes(&history, &finals);
        assert_eq!(failures[0].what, "the counter is eu 0, us 1; 0 to 1 was acknowledged");
    }

    #[test]
    fn an_empty_answer_of_a_living_server_is_a_failure_and_of_the_victim_is_not() {
        let seen = |server: &str, seen| Observation { server: name(server), asked_ms: 7, seen_ms: 8, seen };
        let empty = || Seen::Empty("Server Failure".into());
        assert_eq!(answers(&[seen("eu", empty())], &name("eu")), []);
        let failures = answers(&[seen("us", empty())], &name("eu"));
        assert_eq!(failures[0].what, "us answered Server Failure at 7");
        let failures = answers(&[seen("us", Seen::Silence)], &name("eu"));
        assert_eq!(failures[0].what, "us left 1 of 1 questions unanswered");
    }
}
