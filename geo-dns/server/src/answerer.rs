//! What every transport does with a packet: answer it from the View, and write down what became of it.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use steering::{Asker, Outcome, Transport, View, answer_to, refuse};

use crate::{
    Heard, Network, Views,
    counters::{Shared, Tally},
    draw,
    log::{QueryLog, Sampler},
};

/// What all threads and tasks of a server share.
pub(crate) struct Answerer {
    pub(crate) views: Views,
    pub(crate) heard: Heard,
    pub(crate) counters: Arc<Shared>,
    /// Who may ask why an answer is what it is.
    pub(crate) explain_for: Vec<Network>,
    /// For how long a connection may be idle, in units of 100 ms.
    pub(crate) idle_100ms: u16,
    pub(crate) log: Option<QueryLog>,
}

impl Answerer {
    /// Answers into `out`. Without a View every name is refused.
    pub(crate) fn answer<'v>(
        &self,
        view: Option<&'v View>,
        query: &[u8],
        client: IpAddr,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Outcome<'v> {
        let Some(view) = view else { return refuse(query, transport, out) };
        let asker = Asker {
            draw: draw::next(),
            client,
            transport,
            heard: &*self.heard,
            idle_100ms: (transport == Transport::Tcp).then_some(self.idle_100ms),
            trusted: &|client| self.explain_for.iter().any(|network| network.holds(client)),
        };
        answer_to(view, query, &asker, out)
    }

    /// For one writer.
    pub(crate) fn book(&self, transport: Transport) -> Book {
        Book { transport, tally: self.counters.tally(transport), sampler: self.log.as_ref().map(QueryLog::sampler) }
    }
}

/// What one writer writes down of its answers: counts of all, a line of some.
pub(crate) struct Book {
    transport: Transport,
    tally: Tally,
    sampler: Option<Sampler>,
}

impl Book {
    /// To be called whenever answers are to come from another View.
    pub(crate) fn turn_to(&mut self, view: Option<&View>) {
        self.tally.turn_to(view);
    }

    /// Notes an answer of so many bytes to a query that was read at that time.
    pub(crate) fn note(&mut self, outcome: &Outcome<'_>, query: (&[u8], IpAddr), size: usize, read: Instant) {
        self.tally.count(outcome);
        if let Some(sampler) = &mut self.sampler
            && sampler.is_due()
        {
            sampler.log(self.transport, outcome, query, size, read.elapsed());
        }
    }

    /// Notes that so many queries were answered, each within that time.
    pub(crate) fn took(&mut self, queries: u64, time: Duration) {
        self.tally.took(queries, time);
    }
}
