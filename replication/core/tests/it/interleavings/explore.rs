//! Every history of a few commands: which region runs what, and what it had heard of when it did.
//!
//! A history is a list of events; before each the region hears more of the others, or not. Events that know nothing of each other
//! come in one order only, so no history is looked at twice. Deltas arrive in the order of their own region, and across regions in
//! every order, also before what they depend on.

use replication_core::{CatchUp, Delta, Hlc, HlcClock, Merged, Now, Partition, VersionVector};

use super::model::{self, Effect, Seen};
use crate::support::{START_MS, parse, replica, show};

/// What is explored: commands over the same few keys, and the questions that show what became of them.
pub(crate) struct Alphabet {
    pub(crate) name: &'static str,
    /// `$` becomes the number of the event, so that every one can tell its own.
    pub(crate) commands: &'static [&'static str],
    pub(crate) questions: &'static [&'static str],
    /// Whether the model knows what they end as; else only that all regions end alike.
    pub(crate) modelled: bool,
}

/// One command that was run and changed something.
#[derive(Clone)]
struct Event {
    region: usize,
    command: String,
    /// How many deltas of each region the region knew before it, its own included.
    knew: Vec<usize>,
    delta: Delta,
    effect: Effect,
}

#[derive(Clone)]
struct Region {
    partition: Partition,
    clock: HlcClock,
    /// How many deltas of each region it has.
    knows: Vec<usize>,
}

/// A history so far.
#[derive(Clone)]
struct History {
    regions: Vec<Region>,
    events: Vec<Event>,
    /// An answer to an empty region, asked for after the first event: it may come late.
    early: Option<CatchUp>,
}

/// Explores, and counts the histories.
pub(crate) fn explore(alphabet: &Alphabet, regions: usize, commands: usize) -> usize {
    let region =
        |at| Region { partition: Partition::new(7, replica(at)), clock: HlcClock::default(), knows: vec![0; regions] };
    let start = History { regions: (0..regions).map(region).collect(), events: Vec::new(), early: None };
    let mut explorer = Explorer { alphabet, commands, histories: 0 };
    explorer.go(&start);
    explorer.histories
}

struct Explorer<'a> {
    alphabet: &'a Alphabet,
    commands: usize,
    histories: usize,
}

impl Explorer<'_> {
    fn go(&mut self, history: &History) {
        if !history.events.is_empty() {
            self.histories += 1;
            history.check(self.alphabet, self.histories);
        }
        if history.events.len() == self.commands {
            return;
        }
        for region in 0..history.regions.len() {
            for knows in history.may_know(region) {
                if history.is_new_order(region, &knows) {
                    self.branch(history, region, &knows);
                }
            }
        }
    }

    fn branch(&mut self, history: &History, region: usize, knows: &[usize]) {
        let mut informed = history.clone();
        informed.hear(region, knows);
        for command in self.alphabet.commands {
            let command = command.replace('$', &history.events.len().to_string());
            let mut next = informed.clone();
            if next.run(region, &command, self.alphabet.modelled) {
                self.go(&next);
            }
        }
    }
}

impl History {
    fn made(&self, region: usize) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.region == region)
    }

    /// All that a region may know next: of each other region at least as much as now.
    fn may_know(&self, region: usize) -> Vec<Vec<usize>> {
        let mut all = vec![self.regions[region].knows.clone()];
        for other in (0..self.regions.len()).filter(|other| *other != region) {
            let (from, to) = (self.regions[region].knows[other], self.made(other).count());
            all = (from..=to)
                .flat_map(|count| {
                    all.iter().map(move |known| {
                        let mut known = known.clone();
                        known[other] = count;
                        known
                    })
                })
                .collect();
        }
        all
    }

    /// Whether an event here is not one that was explored with its neighbour before it.
    fn is_new_order(&self, region: usize, knows: &[usize]) -> bool {
        self.events.last().is_none_or(|last| {
            let knows_it = last.region == region || knows[last.region] == self.made(last.region).count();
            knows_it || region > last.region
        })
    }

    fn hear(&mut self, region: usize, knows: &[usize]) {
        for (other, count) in knows.iter().enumerate() {
            let have = self.regions[region].knows[other];
            let news = self.made(other).skip(have).take(count - have);
            let news: Vec<Delta> = news.map(|event| event.delta.clone()).collect();
            for delta in news {
                self.regions[region].take(&delta);
            }
        }
        self.regions[region].knows = knows.to_vec();
    }

    /// Runs a command; false if it changed nothing, and so cannot matter to anything after it.
    fn run(&mut self, at: usize, command: &str, modelled: bool) -> bool {
        let effect = if modelled { self.seen(&self.regions[at].knows).effect(command, at) } else { Effect::default() };
        let region = &mut self.regions[at];
        let now = Now { wall_ms: START_MS, stamp: region.clock.tick(START_MS), luck: self.events.len() as u64 };
        let done = region.partition.execute(&parse(command), now);
        let Some(delta) = done.delta else {
            let nothing = effect.puts.is_empty() && effect.removes.is_empty();
            assert!(!modelled || nothing, "{command} should change something: {effect:?}\n{}", self.story());
            return false;
        };
        let knew = region.knows.clone();
        region.knows[at] += 1;
        self.events.push(Event { region: at, command: command.to_owned(), knew, delta, effect });
        if self.early.is_none() {
            self.early = Some(self.regions[at].partition.catch_up_since(&VersionVector::new()));
        }
        true
    }

    /// What the model says is there for somebody who knows so much.
    fn seen(&self, knows: &[usize]) -> Seen<'_> {
        let known = self.events.iter().enumerate().filter(|(_, event)| event.knew[event.region] < knows[event.region]);
        model::live(known.map(|(at, event)| (at, &event.effect, (event.delta.hlc, event.region))))
    }

    /// Everybody hears everything; a newcomer hears it in another order, or by catch-up. All must hold and answer the same.
    fn check(&self, alphabet: &Alphabet, nth: usize) {
        let mut end = self.clone();
        let all: Vec<usize> = (0..self.regions.len()).map(|region| self.made(region).count()).collect();
        for region in 0..self.regions.len() {
            end.hear(region, &all);
        }
        let newcomer = self.newcomer(&end.regions[nth % self.regions.len()].partition, nth);
        end.regions.push(Region { partition: newcomer, clock: HlcClock::default(), knows: all.clone() });
        let (first, others) = end.regions.split_first_mut().unwrap();
        let answers = first.answers(alphabet);
        for region in others {
            let (me, theirs) = (region.partition.me(), region.answers(alphabet));
            assert_eq!(region.partition.vv(), first.partition.vv(), "{}", self.story());
            assert_eq!(region.partition.digest(), first.partition.digest(), "digest of {me}\n{}", self.story());
            assert_eq!(theirs, answers, "answers of {me} and {}\n{}", first.partition.me(), self.story());
            let early = region.partition.stats().early;
            assert_eq!(early, 0, "nothing is remembered for what everybody has\n{}", self.story());
        }
        if alphabet.modelled {
            let seen = self.seen(&all);
            let model: Vec<String> = alphabet.questions.iter().map(|question| seen.answer(question)).collect();
            assert_eq!(answers, model, "the machine, and the model: {:?}\n{}", alphabet.questions, self.story());
        }
    }

    /// A region that was not there: told by deltas backwards region by region, some twice; or by one of the others' catch-up,
    /// into which an answer of long ago falls; or from a region's bytes.
    fn newcomer(&self, other: &Partition, nth: usize) -> Partition {
        let mut partition = Partition::new(7, replica(8));
        match nth % 3 {
            0 => {
                for region in (0..self.regions.len()).rev() {
                    for event in self.made(region) {
                        assert_eq!(partition.merge(&event.delta), Merged::Applied);
                        assert_eq!(partition.merge(&event.delta), Merged::Duplicate);
                    }
                }
            }
            1 => {
                partition.apply_catch_up(&other.catch_up_since(&VersionVector::new())).unwrap();
                let digest = partition.digest();
                partition.apply_catch_up(self.early.as_ref().unwrap()).unwrap();
                assert_eq!(partition.digest(), digest, "an old answer brought something back\n{}", self.story());
            }
            _ => {
                let mut bytes = Vec::new();
                other.encode_state(&mut bytes);
                partition = Partition::decode_state(&bytes, replica(8)).unwrap().0;
                partition.apply_catch_up(self.early.as_ref().unwrap()).unwrap();
            }
        }
        partition
    }

    fn story(&self) -> String {
        let line = |event: &Event| {
            let knew: Vec<String> = event.knew.iter().map(usize::to_string).collect();
            format!("  region {} knowing {}: {}  @{}", event.region, knew.join(","), event.command, event.delta.hlc)
        };
        self.events.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl Region {
    fn take(&mut self, delta: &Delta) {
        self.clock.observe(delta.hlc, delta.hlc.ms());
        assert_eq!(self.partition.merge(delta), Merged::Applied);
    }

    fn answers(&mut self, alphabet: &Alphabet) -> Vec<String> {
        let now = Now { wall_ms: START_MS, stamp: Hlc::ZERO, luck: 0 };
        let questions = alphabet.questions.iter();
        questions.map(|question| show(self.partition.execute(&parse(question), now).reply)).collect()
    }
}
