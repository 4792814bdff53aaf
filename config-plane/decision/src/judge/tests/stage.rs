//! A stage: observers that repeat their votes, one judge, one state machine, and a clock in steps of 10 ms.

use std::collections::{BTreeMap, BTreeSet};

use model::{Decision, OverrideAction, Subject, Verdict, Vote, VoteVector, World};

use crate::{
    Command, Demand, Input, Judge, Now, Outcome, PlaneState, Standing, serving_members,
    testkit::{LINEAGE, name, plan, request, say, world},
};

const STEP_MS: u64 = 10;
/// The wall clock's start; the monotonic one starts at 0.
pub(super) const EPOCH_MS: u64 = 1_000_000;

/// What an observer does from now on.
pub(super) enum Say {
    Silence,
    Vote(String, Vote),
    /// It has only just begun to look: what it calls Down it has never seen stand.
    Begin,
}

pub(super) struct Stage {
    pub(super) now_ms: u64,
    /// How far the wall clock stepped.
    pub(super) stepped_ms: i64,
    /// From one round of votes to the next. A test of hours takes a long one, below the life of a vote.
    pub(super) vote_period_ms: u64,
    regions: Vec<String>,
    silent: BTreeSet<String>,
    /// By observer, then by region or `pool/POOL/REGION`.
    opinions: BTreeMap<String, BTreeMap<String, Vote>>,
    newcomers: BTreeSet<String>,
    /// What the gateways say that they carry.
    pub(super) load_rps: Demand,
    seq: u64,
    pub(super) judge: Judge,
    pub(super) state: PlaneState,
    index: u64,
    /// Proposals reach nobody, and nobody says so.
    pub(super) proposals_get_lost: bool,
    /// Decisions as they were made, and words that ended.
    pub(super) story: Vec<String>,
    pub(super) refused: Vec<String>,
}

impl Stage {
    pub(super) fn new(regions: &[&str]) -> Self {
        Self::of(world(regions))
    }

    pub(super) fn of(world: World) -> Self {
        let regions = world.regions.iter().map(|region| region.name.to_string()).collect();
        let mut state = PlaneState::new();
        let founded = state.apply(1, &request(1, Command::Found { world: world.into(), lineage: LINEAGE }));
        assert!(matches!(founded, Outcome::Applied(_)), "{founded:?}");
        let mut stage = Self {
            now_ms: 0,
            stepped_ms: 0,
            vote_period_ms: 200,
            regions,
            silent: BTreeSet::new(),
            opinions: BTreeMap::new(),
            newcomers: BTreeSet::new(),
            load_rps: Demand::new(),
            seq: 0,
            judge: Judge::new(),
            state,
            index: 1,
            proposals_get_lost: false,
            story: Vec::new(),
            refused: Vec::new(),
        };
        stage.tell(Input::Plan(plan(&stage.state)));
        stage.tell(Input::Leading(true));
        stage
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, wall_ms: (EPOCH_MS + self.now_ms).saturating_add_signed(self.stepped_ms) }
    }

    pub(super) fn say(&mut self, observer: &str, say: &Say) {
        match say {
            Say::Silence => {
                self.silent.insert(observer.to_owned());
            }
            Say::Begin => {
                self.newcomers.insert(observer.to_owned());
            }
            Say::Vote(about, vote) => {
                self.silent.remove(observer);
                self.opinions.entry(observer.to_owned()).or_default().insert(about.clone(), *vote);
            }
        }
    }

    pub(super) fn override_for(&mut self, about: &str, action: OverrideAction, for_ms: u64) {
        let mut command = say(about, action);
        if let Command::SetOverride { lasts_ms, .. } = &mut command {
            *lasts_ms = for_ms;
        }
        self.person(command);
    }

    /// A command of a person; the judge sees the Plan that it makes.
    pub(super) fn person(&mut self, command: Command) -> Outcome {
        let outcome = self.apply(command);
        self.tell(Input::Plan(plan(&self.state)));
        outcome
    }

    /// A new leader: the same votes and the same log, by way of a snapshot.
    pub(super) fn restart(&mut self) {
        self.state = serde_json::from_str(&serde_json::to_string(&self.state).unwrap()).unwrap();
        self.judge = Judge::new();
        self.tell(Input::Plan(plan(&self.state)));
        self.tell(Input::Leading(true));
    }

    pub(super) fn run_until(&mut self, until_ms: u64) {
        while self.now_ms < until_ms {
            if self.now_ms.is_multiple_of(self.vote_period_ms) {
                self.seq += 1;
                for vector in self.vectors() {
                    self.tell(Input::Votes(vector));
                }
            }
            if self.judge.wake_at().is_some_and(|at| at <= self.now_ms) {
                self.tell(Input::Tick);
            }
            self.now_ms += STEP_MS;
        }
    }

    fn vectors(&self) -> Vec<VoteVector> {
        let speaking = self.regions.iter().filter(|region| !self.silent.contains(*region));
        let vector = |observer: &String| {
            let opinion = |about: &Subject| {
                let said = self.opinions.get(observer);
                let own = said.and_then(|said| said.get(&about.to_string().replace("region/", "")));
                own.copied().unwrap_or(Vote::Up)
            };
            let votes: BTreeMap<Subject, Vote> =
                plan(&self.state).verdicts.keys().map(|about| (about.clone(), opinion(about))).collect();
            let downs = votes.iter().filter(|(_, vote)| **vote == Vote::Down).map(|(about, _)| about.clone());
            let never_up = downs.filter(|_| self.newcomers.contains(observer)).collect();
            let load_rps = self.load_rps.clone();
            VoteVector { never_up, load_rps, ..VoteVector::new(name(observer), 1, self.seq, votes) }
        };
        speaking.map(vector).collect()
    }

    pub(super) fn tell(&mut self, input: Input) {
        self.judge.handle(self.now(), input);
        let wake = self.judge.wake_at();
        assert!(wake.is_none_or(|at| at > self.now_ms), "woken at {wake:?}, which is not later than {}", self.now_ms);
        while let Some(command) = self.judge.next_output() {
            if self.proposals_get_lost {
                self.story.push(format!("t={} a proposal gets lost", self.now_ms));
                continue;
            }
            let outcome = self.apply(command);
            self.tell(Input::Answered(Some(outcome)));
            self.tell(Input::Plan(plan(&self.state)));
        }
    }

    fn apply(&mut self, command: Command) -> Outcome {
        self.index += 1;
        let mut entry = request(self.index, command);
        entry.proposed_at_ms = self.now().wall_ms;
        let outcome = self.state.apply(self.index, &entry);
        match &outcome {
            Outcome::Applied(id) => self.tell_story(id.version),
            Outcome::Unchanged(id) => self.refused.push(format!("t={} in vain: plan {id}", self.now_ms)),
            Outcome::Refused(refusal) => self.refused.push(format!("t={} refused: {refusal}", self.now_ms)),
        }
        outcome
    }

    fn tell_story(&mut self, version: u64) {
        let plan = plan(&self.state);
        let made: Vec<&Decision> = plan.decisions.iter().filter(|d| d.version == version).collect();
        for decision in &made {
            let votes: Vec<String> =
                decision.evidence.votes.iter().map(|(observer, vote)| format!("{observer}={}", word(*vote))).collect();
            self.story.push(format!(
                "t={} {} {:?}, {} of {} needed: {}",
                self.now_ms,
                short(&decision.subject),
                decision.to,
                decision.evidence.needed,
                decision.evidence.qualified,
                votes.join(" ")
            ));
        }
        if made.is_empty() {
            self.story.push(format!("t={} {}", self.now_ms, plan.made_by));
        }
    }

    pub(super) fn serving(&self) -> Vec<String> {
        serving_members(&plan(&self.state), "web").iter().map(ToString::to_string).collect()
    }

    /// The standings that are not steady.
    pub(super) fn unsteady(&self) -> Vec<String> {
        let standings = self.judge.standings(self.now());
        let told = standings.iter().filter_map(|(about, (tally, standing))| {
            let region = short(about);
            match standing {
                Standing::Steady if tally.is_suspect() => Some(format!("{region} suspect, {} Down", tally.down)),
                Standing::Steady => None,
                Standing::Blind => Some(format!("{region} blind, {} of {}", tally.qualified, tally.sight)),
                Standing::Leaning { to, .. } => Some(format!("{region} leaning {to:?}")),
                Standing::HeldBack { to, refusal } => {
                    let rule = refusal.to_string();
                    Some(format!("{region} {to:?} held back: {}", rule.split(':').next().unwrap_or_default()))
                }
            }
        });
        told.collect()
    }

    /// The verdicts beneath what serves, if they say something else.
    pub(super) fn hidden(&self) -> Vec<String> {
        let plan = plan(&self.state);
        let hidden = plan.verdicts.iter().filter(|(about, state)| {
            plan.override_on(about).is_some_and(|word| (word.share_permille == 0) != (state.verdict == Verdict::Down))
        });
        hidden.map(|(about, state)| format!("{} {:?} beneath an override", short(about), state.verdict)).collect()
    }

    /// The members that are sent less than all of their share.
    pub(super) fn shares(&self) -> Vec<String> {
        let plan = plan(&self.state);
        let told = plan.world.pools.iter().flat_map(|(pool, members)| {
            let plan = &plan;
            members.members.iter().filter_map(move |region| {
                let share = plan.serving_in(pool, region).share_permille;
                (0 < share && share < 1000).then(|| format!("{pool} sends {region} {} %", share / 10))
            })
        });
        told.collect()
    }
}

/// A region by its name alone.
fn short(about: &Subject) -> String {
    about.to_string().replace("region/", "")
}

fn word(vote: Vote) -> &'static str {
    match vote {
        Vote::Up => "up",
        Vote::Degraded => "degraded",
        Vote::Down => "down",
        Vote::Unknown => "?",
    }
}
