//! Lets openraft's clock stand still while somebody leads, and sends the heartbeats itself where this member does.
//!
//! ```text
//!              an append of the leader was accepted, or a heartbeat is due here
//!   Ticking ──────────────────────────────────────────────────────────────────→ Still
//!      ↑      neither for two heartbeats                                          │
//!      └──────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Why: the clock wakes a member five times in each heartbeat, to see whether it should send one or campaign. One that follows does
//! neither before the leader's lease is over, one that leads does the first when the time has come, and in an idle plane that was a third
//! of all that woke it. The lease is the longest election timeout, so ticks are back before anybody may campaign, and no election is
//! later for it. That nobody was heard is also where `succession.rs` begins.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// When a leader was heard, and how long it may say nothing.
#[derive(Debug)]
pub(super) struct Heard {
    last: watch::Sender<Instant>,
    silent: watch::Sender<bool>,
    patience: Duration,
}

impl Heard {
    /// Nobody yet.
    pub(super) fn new(patience: Duration) -> Self {
        Self { last: watch::Sender::new(Instant::now()), silent: watch::Sender::new(true), patience }
    }

    /// A leader, now: another member, or this one.
    pub(super) fn note(&self) {
        self.last.send_replace(Instant::now());
    }

    /// When a leader was heard last, or when this began.
    pub(super) fn last(&self) -> Instant {
        *self.last.borrow()
    }

    /// Whether no leader was heard for as long as its patience is.
    pub(super) fn silence(&self) -> watch::Receiver<bool> {
        self.silent.subscribe()
    }

    /// Tells whether the clock should tick whenever that changes, for ever. It does in the beginning.
    pub(super) async fn follow(&self, tick: impl Fn(bool)) {
        let mut heard = self.last.subscribe();
        while heard.changed().await.is_ok() {
            self.silent.send_replace(false);
            tick(false);
            loop {
                let until = *heard.borrow_and_update() + self.patience;
                if until <= Instant::now() {
                    break;
                }
                // Woken once in a while, and not by each heartbeat.
                sleep_until(until).await;
            }
            tick(true);
            self.silent.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_stands_still_from_the_first_word_of_a_leader_until_it_has_said_nothing_for_its_patience() {
        let ms = Duration::from_millis;
        let heard = Arc::new(Heard::new(ms(300)));
        let told = Arc::new(Mutex::new(Vec::new()));
        let began = Instant::now();
        let (follower, telling) = (heard.clone(), told.clone());
        let following = tokio::spawn(async move {
            let tell = |ticks| {
                telling.lock().unwrap_or_else(PoisonError::into_inner).push((began.elapsed().as_millis(), ticks));
            };
            follower.follow(tell).await;
        });
        // Silence, ten heartbeats, silence, and one more word.
        sleep(ms(1000)).await;
        for _ in 0..10 {
            heard.note();
            sleep(ms(150)).await;
        }
        sleep(ms(2000)).await;
        heard.note();
        sleep(ms(1000)).await;
        following.abort();
        let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The last of the ten was heard after 2350 ms.
        assert_eq!(told, [(1000, false), (2650, true), (4500, false), (4800, true)]);
    }
}
