//! What was answered, counted without a lock and without looking anything up.
//!
//! ```text
//! a thread ── Tally ──▸ its own Sheet (rcodes, grounds, …) ┐
//!                 └───▸ its own Ledger (zones, regions)   ├── snapshot: the sum over threads
//!                        one for each numbering of a View ┘
//! ```
//!
//! Each thread writes to cells that nobody else writes to, so that counting is a load and a store in memory that no other core
//! wants; readers see each cell whole. Zones and regions are counted under the numbers that the View gives them. With another
//! View the numbers mean something else: the thread begins a new ledger and leaves the old one behind, to be summed up by name
//! by whoever has time for it ([`Shared::tidy`]).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use model::RegionName;
use steering::{Basis, Names, Outcome, Rcode, Transport, View};

use crate::latency::{Latency, LatencyCells};

/// Counts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsCounters {
    /// Answers by transport and response code.
    pub answers: BTreeMap<(Transport, Rcode), u64>,
    /// Packets that got no answer: too short for a header, or responses.
    pub silent: u64,
    /// Answers that did not fit UDP.
    pub truncated: u64,
    /// Answers by zone; queries outside all zones are in none.
    pub zones: BTreeMap<String, u64>,
    /// Steered answers by the region they name first.
    pub regions: BTreeMap<RegionName, u64>,
    /// Steered answers by the ground on which they name whom they name.
    pub bases: BTreeMap<Basis, u64>,
    /// How long queries took, from when they were read to when their answers were sent.
    pub latency: BTreeMap<Transport, Latency>,
    /// TCP connections that were taken.
    pub connections: u64,
    /// TCP connections that were closed at once, since a bound was reached.
    pub connections_refused: u64,
    /// Failures of the sockets: receiving, accepting.
    pub receive_errors: u64,
    /// Answers that the system would not send.
    pub send_errors: u64,
    /// Answers that were dropped, since the socket had no room for them in time.
    pub send_dropped: u64,
    /// Queries that were to be logged and are not, since the log did not keep up.
    pub log_dropped: u64,
    /// Lines of the query log that could not be written.
    pub log_errors: u64,
}

/// The counters of a running server.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    sheets: Mutex<Vec<Arc<Sheet>>>,
    past: Mutex<Named>,
    pub(crate) connections: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) receive_errors: AtomicU64,
    pub(crate) send_errors: AtomicU64,
    pub(crate) send_dropped: AtomicU64,
}

/// As many as Views have had zones and regions.
#[derive(Debug, Default, Clone)]
struct Named {
    zones: BTreeMap<String, u64>,
    regions: BTreeMap<RegionName, u64>,
}

/// The cells of one writer, on cache lines of their own: two of them, since processors fetch neighbours in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Sheet {
    transport: Transport,
    rcodes: [AtomicU64; Rcode::ALL.len()],
    silent: AtomicU64,
    truncated: AtomicU64,
    bases: [AtomicU64; Basis::ALL.len()],
    latency: LatencyCells,
    /// The one in force last, those before it until they are summed up.
    ledgers: Mutex<Vec<Arc<Ledger>>>,
}

/// Counts under the numbers of one View, or of several that number alike.
#[derive(Debug)]
struct Ledger {
    names: Arc<Names>,
    zones: Box<[AtomicU64]>,
    regions: Box<[AtomicU64]>,
}

/// Who counts: the only one who writes to its cells.
#[derive(Debug)]
pub(crate) struct Tally {
    sheet: Arc<Sheet>,
    ledger: Option<Arc<Ledger>>,
}

/// Adds to a cell that has one writer: nobody can come between the load and the store.
pub(crate) fn add(cell: &AtomicU64, count: u64) {
    cell.store(cell.load(Relaxed) + count, Relaxed);
}

impl Tally {
    /// To be called whenever answers are to come from another View.
    pub(crate) fn turn_to(&mut self, view: Option<&View>) {
        let Some(view) = view else { return };
        if self.ledger.as_ref().is_some_and(|ledger| Arc::ptr_eq(&ledger.names, view.names())) {
            return;
        }
        let ledger = Arc::new(Ledger::new(view.names().clone()));
        lock(&self.sheet.ledgers).push(ledger.clone());
        self.ledger = Some(ledger);
    }

    pub(crate) fn count(&mut self, outcome: &Outcome<'_>) {
        let sheet = &*self.sheet;
        match outcome.rcode {
            Some(rcode) => add(&sheet.rcodes[rcode.index()], 1),
            None => add(&sheet.silent, 1),
        }
        if outcome.truncated {
            add(&sheet.truncated, 1);
        }
        if let Some(basis) = outcome.basis {
            add(&sheet.bases[basis.index()], 1);
        }
        let Some(ledger) = self.ledger.as_deref() else { return };
        if let Some(cell) = outcome.zone_index.and_then(|i| ledger.zones.get(i as usize)) {
            add(cell, 1);
        }
        if let Some(cell) = outcome.region_index.and_then(|i| ledger.regions.get(usize::from(i))) {
            add(cell, 1);
        }
    }

    /// Notes that so many queries were answered, each within that time.
    pub(crate) fn took(&mut self, queries: u64, time: Duration) {
        self.sheet.latency.note(queries, time);
    }
}

impl Ledger {
    fn new(names: Arc<Names>) -> Self {
        let cells = |count| std::iter::repeat_with(AtomicU64::default).take(count).collect();
        Self { zones: cells(names.zones().len()), regions: cells(names.regions().len()), names }
    }
}

impl Named {
    fn take_in(&mut self, ledger: &Ledger) {
        for (zone, count) in ledger.names.zones().iter().zip(counts(&ledger.zones)).filter(|(_, count)| *count > 0) {
            *self.zones.entry(zone.clone()).or_default() += count;
        }
        let regions = ledger.names.regions().iter().zip(counts(&ledger.regions));
        for (region, count) in regions.filter_map(|(region, count)| Some((region.as_ref()?, count))) {
            if count > 0 {
                *self.regions.entry(region.clone()).or_default() += count;
            }
        }
    }
}

fn counts(cells: &[AtomicU64]) -> impl Iterator<Item = u64> {
    cells.iter().map(|cell| cell.load(Relaxed))
}

/// Counts cannot be half done in a way that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// One more writer.
    pub(crate) fn tally(&self, transport: Transport) -> Tally {
        let sheet = Arc::new(Sheet {
            transport,
            rcodes: Default::default(),
            silent: AtomicU64::default(),
            truncated: AtomicU64::default(),
            bases: Default::default(),
            latency: LatencyCells::default(),
            ledgers: Mutex::default(),
        });
        lock(&self.sheets).push(sheet.clone());
        Tally { sheet, ledger: None }
    }

    /// Sums up the ledgers of earlier Views and lets go of them. To be called now and then, or they gather.
    pub(crate) fn tidy(&self) {
        // Held all the while, so that nothing is counted twice or not at all.
        let mut past = lock(&self.past);
        for sheet in lock(&self.sheets).iter() {
            let mut ledgers = lock(&sheet.ledgers);
            let current = ledgers.len().saturating_sub(1);
            // Whoever turned to the next one does not come back.
            let left: Vec<_> = ledgers.drain(..current).collect();
            drop(ledgers);
            left.iter().for_each(|ledger| past.take_in(ledger));
        }
    }

    pub(crate) fn snapshot(&self) -> DnsCounters {
        self.tidy();
        let mut out = DnsCounters {
            connections: self.connections.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            receive_errors: self.receive_errors.load(Relaxed),
            send_errors: self.send_errors.load(Relaxed),
            send_dropped: self.send_dropped.load(Relaxed),
            ..DnsCounters::default()
        };
        let past = lock(&self.past);
        let mut named = past.clone();
        for sheet in lock(&self.sheets).iter() {
            for (rcode, count) in Rcode::ALL.into_iter().zip(counts(&sheet.rcodes)).filter(|(_, count)| *count > 0) {
                *out.answers.entry((sheet.transport, rcode)).or_default() += count;
            }
            for (basis, count) in Basis::ALL.into_iter().zip(counts(&sheet.bases)).filter(|(_, count)| *count > 0) {
                *out.bases.entry(basis).or_default() += count;
            }
            out.silent += sheet.silent.load(Relaxed);
            out.truncated += sheet.truncated.load(Relaxed);
            out.latency.entry(sheet.transport).or_default().add(&sheet.latency);
            lock(&sheet.ledgers).iter().for_each(|ledger| named.take_in(ledger));
        }
        (out.zones, out.regions) = (named.zones, named.regions);
        out
    }
}

#[cfg(test)]
mod tests {
    use model::{Plan, PlanId, World};
    use steering::{ViewInputs, answer, geo::Geo};

    use super::*;

    /// A View with these zones, numbered in this order.
    fn view(zones: &[&str]) -> View {
        let zones = zones.iter().map(|origin| model::Zone {
            origin: (*origin).into(),
            ttl: 60,
            soa: model::Soa::default(),
            ns: Vec::new(),
            records: Vec::new(),
            steered: Vec::new(),
        });
        let world = World { zones: zones.collect(), ..World::of("test", Vec::new()) };
        let plan = Plan::new(PlanId { lineage: 1, version: 1 }, 0, "", world);
        let inputs = ViewInputs { geo: Arc::new(Geo::empty()), ..ViewInputs::new(RegionName::new("us").unwrap()) };
        View::compile(&plan, &inputs).unwrap()
    }

    fn count(tally: &mut Tally, view: &View, label: &str) {
        let mut packet = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, label.len() as u8];
        packet.extend(label.bytes().chain([0, 0, 1, 0, 1]));
        tally.turn_to(Some(view));
        let mut out = Vec::new();
        tally.count(&answer(view, &packet, [127, 0, 0, 1].into(), Transport::Udp, &|| None, 0, &mut out));
    }

    #[test]
    fn counts_go_on_by_name_when_views_number_otherwise() {
        let shared = Shared::default();
        let (mut one, mut other) = (shared.tally(Transport::Udp), shared.tally(Transport::Tcp));
        let (first, second) = (view(&["a", "b"]), view(&["b", "c", "a"]));
        ["a", "b"].iter().for_each(|zone| count(&mut one, &first, zone));
        ["b", "x"].iter().for_each(|zone| count(&mut other, &first, zone));
        count(&mut one, &second, "c");
        count(&mut one, &second, "a");
        // One that is late still counts under the old numbers.
        count(&mut other, &first, "a");
        for _ in 0..2 {
            let counters = shared.snapshot();
            let zones = [("a", 3), ("b", 2), ("c", 1)].map(|(zone, count)| (zone.to_owned(), count));
            assert_eq!(counters.zones, BTreeMap::from(zones));
            assert_eq!(counters.answers[&(Transport::Udp, Rcode::NoError)], 4);
            assert_eq!(counters.answers[&(Transport::Tcp, Rcode::Refused)], 1);
        }
        count(&mut one, &first, "a");
        shared.tidy();
        let ledgers: Vec<usize> = lock(&shared.sheets).iter().map(|sheet| lock(&sheet.ledgers).len()).collect();
        assert_eq!(ledgers, [1, 1], "what is summed up is let go of");
        assert_eq!(shared.snapshot().zones["a"], 4);
    }

    #[test]
    fn before_there_is_a_view_there_is_no_zone_to_count() {
        let shared = Shared::default();
        let mut tally = shared.tally(Transport::Udp);
        tally.turn_to(None);
        let mut out = Vec::new();
        tally.count(&steering::refuse(&[0; 3], Transport::Udp, &mut out));
        assert_eq!((shared.snapshot().silent, shared.snapshot().zones.len()), (1, 0));
    }

    #[test]
    fn writers_share_no_cache_line() {
        assert_eq!(align_of::<Sheet>(), 128);
    }
}
