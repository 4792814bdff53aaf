//! Watermarks: of each other region, up to which stamp everything that region acknowledged is visible here.

use std::{collections::BTreeMap, sync::Mutex};

use replication_core::Hlc;
use tokio::{sync::watch, time::Instant};

use crate::journal::lock;

/// What is waited for before a region's watermark may rise.
#[derive(Debug, Default)]
struct Held {
    /// Changes of the region that came and wait in an inbox.
    deltas: u64,
    /// The watermark to take once none waits any more.
    then: Option<Hlc>,
}

#[derive(Debug)]
pub(crate) struct Watermarks {
    visible: watch::Sender<BTreeMap<u16, Hlc>>,
    held: Mutex<BTreeMap<u16, Held>>,
}

impl Watermarks {
    pub(crate) fn resume(visible: BTreeMap<u16, Hlc>) -> Self {
        Self { visible: watch::Sender::new(visible), held: Mutex::default() }
    }

    pub(crate) fn of(&self, region: u16) -> Hlc {
        self.visible.borrow().get(&region).copied().unwrap_or(Hlc::ZERO)
    }

    pub(crate) fn all(&self) -> BTreeMap<u16, Hlc> {
        self.visible.borrow().clone()
    }

    /// The furthest that was heard of a region, visible yet or not.
    pub(crate) fn heard(&self, region: u16) -> Hlc {
        let waiting = lock(&self.held).get(&region).and_then(|held| held.then);
        self.of(region).max(waiting.unwrap_or(Hlc::ZERO))
    }

    /// A link heard that nothing of `region` up to `hlc` is still under way. Taken when nothing of it waits here.
    pub(crate) fn note(&self, region: u16, hlc: Hlc) {
        let mut held = lock(&self.held);
        let entry = held.entry(region).or_default();
        if entry.deltas == 0 {
            self.raise(region, hlc);
        } else {
            entry.then = entry.then.max(Some(hlc));
        }
    }

    pub(crate) fn hold(&self, region: u16) {
        lock(&self.held).entry(region).or_default().deltas += 1;
    }

    pub(crate) fn release(&self, region: u16) {
        let mut held = lock(&self.held);
        let entry = held.entry(region).or_default();
        entry.deltas = entry.deltas.saturating_sub(1);
        if entry.deltas == 0
            && let Some(hlc) = entry.then.take()
        {
            self.raise(region, hlc);
        }
    }

    /// How many changes wait in inboxes.
    pub(crate) fn held(&self) -> u64 {
        lock(&self.held).values().map(|held| held.deltas).sum()
    }

    fn raise(&self, region: u16, hlc: Hlc) {
        self.visible.send_if_modified(|visible| {
            let mark = visible.entry(region).or_insert(Hlc::ZERO);
            let higher = hlc > *mark;
            *mark = hlc.max(*mark);
            higher
        });
    }

    /// Waits until the watermark of `region` has reached `hlc`; false if it has not by the deadline.
    pub(crate) async fn wait_for(&self, region: u16, hlc: Hlc, deadline: Instant) -> bool {
        let mut visible = self.visible.subscribe();
        let reached = visible.wait_for(|marks| marks.get(&region).is_some_and(|mark| *mark >= hlc));
        matches!(tokio::time::timeout_at(deadline, reached).await, Ok(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_waits_for_what_is_held_back() {
        let marks = Watermarks::resume(BTreeMap::new());
        marks.note(2, Hlc(5));
        marks.hold(2);
        marks.hold(2);
        marks.note(2, Hlc(9));
        marks.note(3, Hlc(7));
        assert_eq!((marks.of(2), marks.of(3), marks.held()), (Hlc(5), Hlc(7), 2));
        marks.release(2);
        assert_eq!(marks.of(2), Hlc(5));
        marks.release(2);
        assert_eq!((marks.of(2), marks.held()), (Hlc(9), 0));
        marks.note(2, Hlc(6));
        assert_eq!(marks.of(2), Hlc(9));
    }
}
