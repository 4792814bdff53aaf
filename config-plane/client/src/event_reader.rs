//! Reads the plane's events from whichever member answers: every change once, and whole.
//!
//! ```text
//! members ─→ EventStream (one at a time) ─→ Ledger ─→ next()
//!    ↑            lost, silent, refused        │ which change was told last
//!    └── the next member, "after that one" ────┘
//! ```
//!
//! - **No gap.** A new connection resumes after the last change that was told; a member that does not hold what came after it says
//!   so with a `gap`, which is passed on.
//! - **Nothing twice.** Only the last event of a change, its `plan`, has a number, so the events of a change are held until that one
//!   is there: what was heard of a change whose end never came is forgotten and told by the next member in full. A change that is not
//!   newer than the last one told is left aside.
//! - **Alarms** have no number. A member tells each region's state after a resumption, and what is known already is left aside.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use model::PlanId;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::{ClientError, Endpoint, Event, EventStream, Transport};

/// The most events of one change that are held.
const UNDER_WAY_MOST: usize = 4096;
/// The first pause after all members were tried in vain, and the longest.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// How long a reader bears what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPatience {
    /// For a stream to open.
    pub open_within: Duration,
    /// A stream on which nothing comes for this long is dead: there is a sign of life every ten seconds.
    pub silence: Duration,
}

impl Default for EventPatience {
    fn default() -> Self {
        Self { open_within: Duration::from_secs(4), silence: Duration::from_secs(25) }
    }
}

/// A reader of events over all endpoints.
pub struct EventReader {
    transport: Transport,
    endpoints: Vec<Endpoint>,
    at: usize,
    stream: Option<EventStream>,
    ledger: Ledger,
    patience: EventPatience,
    /// Streams in a row that brought nothing new.
    vain: usize,
    pause: Duration,
    trouble: Option<String>,
}

impl EventReader {
    /// Reads what came after a Plan that is known, or from now on.
    pub fn over(transport: Transport, endpoints: Vec<Endpoint>, after: Option<PlanId>) -> Self {
        let ledger = Ledger { last: after, ..Ledger::default() };
        let patience = EventPatience::default();
        Self { transport, endpoints, at: 0, stream: None, ledger, patience, vain: 0, pause: PAUSE, trouble: None }
    }

    /// With other deadlines.
    #[must_use]
    pub fn patience(self, patience: EventPatience) -> Self {
        Self { patience, ..self }
    }

    /// Why the last stream ended or did not open.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The next event. Waits for as long as it takes; fails only where no other member could help: credentials that are not good
    /// for this, or no endpoints. Cancelling loses nothing.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.ledger.ready.pop_front() {
                return Ok(event);
            }
            let Some(stream) = &mut self.stream else {
                self.connect().await?;
                continue;
            };
            let lost = match timeout(self.patience.silence, stream.step()).await {
                Ok(Ok(event)) => event.and_then(|event| self.ledger.take(event).err()).map(str::to_owned),
                Ok(Err(ended)) => Some(ended.to_string()),
                Err(_) => Some(format!("it was silent for {} ms", self.patience.silence.as_millis())),
            };
            if !self.ledger.ready.is_empty() {
                (self.vain, self.pause) = (0, PAUSE);
            }
            if let Some(why) = lost {
                self.go_on(&why);
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let Some(endpoint) = self.endpoints.get(self.at) else {
            return Err(ClientError::Unreachable { tried: vec!["no endpoint is known".into()] });
        };
        if self.vain > 0 && self.vain.is_multiple_of(self.endpoints.len()) {
            sleep(self.pause).await;
            self.pause = (self.pause * 2).min(PAUSE_MOST);
        }
        let after = self.ledger.last.map(|id| id.to_string());
        match EventStream::open(&self.transport, endpoint, after.as_deref(), self.patience.open_within).await {
            Ok(stream) => self.stream = Some(stream),
            Err(error @ (ClientError::Unauthorized { .. } | ClientError::Invalid { .. })) => return Err(error),
            Err(error) => self.go_on(&error.to_string()),
        }
        Ok(())
    }

    fn go_on(&mut self, why: &str) {
        self.trouble = self.endpoints.get(self.at).map(|endpoint| format!("{endpoint}: {why}"));
        self.stream = None;
        self.ledger.lose();
        self.vain = self.vain.saturating_add(1);
        self.at = (self.at + 1) % self.endpoints.len().max(1);
    }
}

/// What was told, and what is not whole yet. Pure.
#[derive(Default)]
struct Ledger {
    /// The last change that was told.
    last: Option<PlanId>,
    /// Of a change whose end has not come.
    under_way: Vec<Event>,
    ready: VecDeque<Event>,
    /// By region, what was told last of its loss.
    alarms: BTreeMap<String, Value>,
}

impl Ledger {
    /// Takes an event of the stream. An error: this stream makes no sense.
    fn take(&mut self, event: Event) -> Result<(), &'static str> {
        match (event.name.as_str(), event.id.as_deref().and_then(read_id)) {
            ("alarm", _) => self.take_alarm(event),
            ("plan", Some(id)) if self.last.is_some_and(|last| id <= last) => self.under_way.clear(),
            ("plan", Some(id)) => {
                self.ready.extend(self.under_way.drain(..));
                self.ready.push_back(event);
                self.last = Some(id);
            }
            ("plan", None) => return Err("it sent a plan without its number"),
            _ if self.under_way.len() == UNDER_WAY_MOST => return Err("it sent a change without an end"),
            _ => self.under_way.push(event),
        }
        Ok(())
    }

    fn take_alarm(&mut self, event: Event) {
        let region = event.data["region"].as_str().unwrap_or_default().to_owned();
        let cannot = event.data["cannot"].clone();
        let is_quiet = cannot.as_array().is_none_or(Vec::is_empty);
        let is_known = self.alarms.get(&region).map_or(is_quiet, |known| *known == cannot);
        if is_quiet {
            self.alarms.remove(&region);
        } else {
            self.alarms.insert(region, cannot);
        }
        if !is_known {
            self.ready.push_back(event);
        }
    }

    /// The stream is lost: the next one tells a change that is under way from its beginning.
    fn lose(&mut self) {
        self.under_way.clear();
    }
}

/// `LINEAGE:VERSION`, as [`PlanId`] is written.
fn read_id(text: &str) -> Option<PlanId> {
    let (lineage, version) = text.split_once(':')?;
    Some(PlanId { lineage: u64::from_str_radix(lineage, 16).ok()?, version: version.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn word(version: u64, n: u64) -> Event {
        Event { name: "override".into(), id: None, data: json!([version, n]) }
    }

    fn plan(version: u64) -> Event {
        let id = PlanId { lineage: 0xbeef, version };
        Event { name: "plan".into(), id: Some(id.to_string()), data: json!(version) }
    }

    fn alarm(cannot: &[&str]) -> Event {
        Event { name: "alarm".into(), id: None, data: json!({ "region": "eu", "cannot": cannot }) }
    }

    /// What a member tells of the changes after `after`: two words and the plan each.
    fn told(after: u64, until: u64) -> Vec<Event> {
        (after + 1..=until).flat_map(|version| [word(version, 1), word(version, 2), plan(version)]).collect()
    }

    #[test]
    fn an_alarm_that_is_known_is_left_aside() {
        let mut ledger = Ledger::default();
        for (cannot, is_told) in
            [(&[][..], false), (&["a"], true), (&["a"], false), (&["b"], true), (&[], true), (&[], false)]
        {
            ledger.take(alarm(cannot)).expect("taken");
            assert_eq!(ledger.ready.pop_front().is_some(), is_told, "{cannot:?}");
        }
    }

    #[test]
    fn a_stream_that_makes_no_sense_is_refused() {
        let nameless = Event { id: None, ..plan(1) };
        assert!(Ledger::default().take(nameless).is_err());
        let mut ledger = Ledger::default();
        for n in 0..UNDER_WAY_MOST as u64 {
            ledger.take(word(1, n)).expect("taken");
        }
        assert!(ledger.take(word(1, 0)).is_err(), "a change has an end");
    }

    proptest! {
        /// Streams that break anywhere, members that lag or tell from too early: every change once, whole, in order.
        #[test]
        fn every_change_is_told_once_and_whole_however_streams_break(
            cuts in prop::collection::vec((0u64..4, 0usize..20), 0..12),
        ) {
            const NEWEST: u64 = 7;
            let mut ledger = Ledger { last: Some(PlanId { lineage: 0xbeef, version: 0 }), ..Ledger::default() };
            for (too_early, takes) in cuts {
                let last = ledger.last.map_or(0, |id| id.version);
                for event in told(last.saturating_sub(too_early), NEWEST).into_iter().take(takes) {
                    ledger.take(event).expect("taken");
                }
                ledger.lose();
            }
            for event in told(ledger.last.map_or(0, |id| id.version), NEWEST) {
                ledger.take(event).expect("taken");
            }
            prop_assert_eq!(Vec::from(ledger.ready), told(0, NEWEST));
        }
    }
}
