//! Every fall that lasts is decided within the sum of the terms.
//!
//! The clock of a fall starts anew whenever something else happens in the world (a cut, a leader lost, a human's word): what is
//! promised is a decision within the bound of the last of them. It stands still while a guard has a reason to hold the subject in:
//! somebody else is out, or falls.

/// A subject that does not serve, and is not out yet.
#[derive(Debug, Clone, Copy)]
struct Fall {
    at_ms: u64,
    /// Something else happened meanwhile.
    is_disturbed: bool,
    /// It was the leader's region.
    led: bool,
}

/// All of them, by subject.
#[derive(Debug)]
pub(crate) struct Falls {
    open: Vec<Option<Fall>>,
    bound_ms: u64,
    election_ms: u64,
}

/// What a look at a fall came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// Nothing to see any more.
    Over,
    /// Look again at this time, in milliseconds.
    Again(u64),
    /// It should be out by now, since it fell at this time.
    Late(u64),
}

/// From one look at a fall that a guard holds in to the next one, milliseconds.
const HELD_MS: u64 = 5_000;

impl Falls {
    pub(crate) fn new(subjects: usize, bound_ms: u64, election_ms: u64) -> Self {
        Self { open: vec![None; subjects], bound_ms, election_ms }
    }

    /// A subject falls. Returns when to look at it.
    pub(crate) fn begin(&mut self, now_ms: u64, subject: usize, led: bool) -> u64 {
        self.open[subject] = Some(Fall { at_ms: now_ms, is_disturbed: false, led });
        now_ms + self.allowed_ms(led)
    }

    fn allowed_ms(&self, led: bool) -> u64 {
        self.bound_ms + if led { self.election_ms } else { 0 }
    }

    /// It serves again. Whether it never was decided.
    pub(crate) fn end(&mut self, subject: usize) -> bool {
        self.open[subject].take().is_some()
    }

    /// It was decided. Whether it was the leader's region, and undisturbed; none if nothing had fallen.
    pub(crate) fn decided(&mut self, subject: usize) -> Option<(bool, bool)> {
        self.open[subject].take().map(|fall| (fall.led, !fall.is_disturbed))
    }

    /// Whether it has fallen and is not out.
    pub(crate) fn is_open(&self, subject: usize) -> bool {
        self.open[subject].is_some()
    }

    /// Looks at a fall that began at `at_ms`: `trouble_ms` is when anything else last happened, and a guard may hold it in.
    pub(crate) fn look(&mut self, now_ms: u64, subject: usize, at_ms: u64, trouble_ms: u64, is_held: bool) -> Looked {
        let (bound_ms, election_ms) = (self.bound_ms, self.election_ms);
        let Some(fall) = self.open[subject].as_mut().filter(|fall| fall.at_ms == at_ms) else { return Looked::Over };
        if is_held {
            fall.is_disturbed = true;
            return Looked::Again(now_ms + HELD_MS + bound_ms);
        }
        let from_ms = fall.at_ms.max(trouble_ms);
        fall.is_disturbed |= from_ms > fall.at_ms;
        let due_ms = from_ms + bound_ms + if fall.led { election_ms } else { 0 };
        if due_ms > now_ms { Looked::Again(due_ms) } else { Looked::Late(fall.at_ms) }
    }
}
