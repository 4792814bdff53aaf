//! Who had cause to say what of whom.
//!
//! A cause begins and ends with a fault. After its end it still explains votes for a while: a machine needs successes in a row to
//! call something Up again, and its vote has a way to go and a life.

/// A reason for a vote, or against hearing one; it may have several faults behind it at a time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cause {
    active: u32,
    began_ms: u64,
    ended_ms: Option<u64>,
}

impl Cause {
    /// One more fault behind it, or one less.
    pub(crate) fn turn(&mut self, now_ms: u64, begins: bool) {
        if begins {
            self.began_ms = if self.active == 0 { now_ms } else { self.began_ms };
            self.active += 1;
        } else {
            self.active = self.active.saturating_sub(1);
            self.ended_ms = Some(now_ms);
        }
    }

    /// Something that was over as it happened.
    pub(crate) fn touch(&mut self, now_ms: u64) {
        self.ended_ms = Some(now_ms);
    }

    /// Whether it holds now.
    pub(crate) fn is_active(&self) -> bool {
        self.active > 0
    }

    /// Since when it has held without a break.
    pub(crate) fn since_ms(&self) -> Option<u64> {
        self.is_active().then_some(self.began_ms)
    }

    /// Whether it holds, or did within so many milliseconds.
    pub(crate) fn within(&self, now_ms: u64, ms: u64) -> bool {
        self.is_active() || self.ended_ms.is_some_and(|ended| now_ms.saturating_sub(ended) <= ms)
    }

    /// When it last changed or was felt: now, if it holds.
    pub(crate) fn last_ms(&self, now_ms: u64) -> u64 {
        if self.is_active() { now_ms } else { self.ended_ms.unwrap_or(0) }
    }
}

/// The true state of the world, and of the recent past as far as it explains anything.
#[derive(Debug)]
pub(crate) struct Truth {
    regions: usize,
    /// The region of each subject.
    of_subject: Vec<usize>,
    /// The subject does not serve.
    pub(crate) fails: Vec<Cause>,
    /// The subject serves badly.
    pub(crate) is_poor: Vec<Cause>,
    /// By observer, then by region: its probes cannot get there and back.
    unseen: Vec<Vec<Cause>>,
    /// By observer, then by member: its votes cannot get there.
    unheard: Vec<Vec<Cause>>,
    /// The observer lies.
    pub(crate) lies: Vec<Cause>,
    /// Anything but the weather and the falls themselves.
    pub(crate) trouble: Cause,
    /// The same, but for decisions and recoveries.
    pub(crate) upset: Cause,
    /// How long a cause explains votes after its end, milliseconds.
    echo_ms: u64,
}

/// A member, and by observer whether it hears it.
pub(crate) type Ears<'a> = (usize, &'a [bool]);

/// After this long a path that was mended carries votes again, milliseconds: the call that waits has been given up.
const HEARD_AGAIN_MS: u64 = 6_000;

impl Truth {
    pub(crate) fn new(regions: usize, of_subject: Vec<usize>, echo_ms: u64) -> Self {
        let grid = || vec![vec![Cause::default(); regions]; regions];
        Self {
            regions,
            fails: vec![Cause::default(); of_subject.len()],
            is_poor: vec![Cause::default(); of_subject.len()],
            of_subject,
            unseen: grid(),
            unheard: grid(),
            lies: vec![Cause::default(); regions],
            trouble: Cause::default(),
            upset: Cause::default(),
            echo_ms,
        }
    }

    /// Something stands between the probes of one region and the gateway of another one.
    pub(crate) fn hide(&mut self, now_ms: u64, observer: usize, region: usize, begins: bool) {
        self.unseen[observer][region].turn(now_ms, begins);
    }

    /// Something keeps an observer's votes from a member.
    pub(crate) fn silence(&mut self, now_ms: u64, observer: usize, member: usize, begins: bool) {
        self.unheard[observer][member].turn(now_ms, begins);
    }

    /// The same for all members.
    pub(crate) fn silence_all(&mut self, now_ms: u64, observer: usize, begins: bool) {
        (0..self.regions).for_each(|member| self.silence(now_ms, observer, member, begins));
    }

    /// Whether an observer has cause to call a subject Down, or worse than Up.
    fn has_cause(&self, now_ms: u64, observer: usize, subject: usize, also_poor: bool) -> bool {
        let lately = |cause: &Cause| cause.within(now_ms, self.echo_ms);
        lately(&self.fails[subject])
            || lately(&self.unseen[observer][self.of_subject[subject]])
            || lately(&self.lies[observer])
            || (also_poor && lately(&self.is_poor[subject]))
    }

    /// How many observers had cause to blame a subject, and how many had none and were heard by a member: `heard` says of each
    /// observer whether a vote of its reached that member within the life of a vote. Loss alone may make an observer unheard.
    pub(crate) fn views(
        &self,
        now_ms: u64,
        (member, heard): Ears<'_>,
        subject: usize,
        also_poor: bool,
    ) -> (usize, usize) {
        let own = self.of_subject[subject];
        let (mut blame, mut vouch) = (0, 0);
        for observer in (0..self.regions).filter(|observer| *observer != own) {
            if self.has_cause(now_ms, observer, subject, also_poor) {
                blame += 1;
            } else if heard[observer]
                && !self.unheard[observer][member].within(now_ms, HEARD_AGAIN_MS)
                && !self.may_be_contradicted(now_ms, observer)
            {
                vouch += 1;
            }
        }
        (blame, vouch)
    }

    /// Whether it has cause to blame more than half of the others, so that it may not be believed at all.
    fn may_be_contradicted(&self, now_ms: u64, observer: usize) -> bool {
        let others = (0..self.regions).filter(|region| *region != observer);
        2 * others.filter(|region| self.has_cause(now_ms, observer, *region, false)).count() > self.regions - 1
    }

    /// Whether, by the documented rule, those who had cause could take a subject out against those who had none: two thirds of
    /// whoever has an opinion, and at least the number that must have one.
    pub(crate) fn may_fall(&self, now_ms: u64, member: Ears<'_>, subject: usize, also_poor: bool) -> bool {
        let (blame, vouch) = self.views(now_ms, member, subject, also_poor);
        let sight = 2.max(self.regions / 2);
        let opinions = blame + vouch;
        opinions >= sight && 3 * blame >= 2 * opinions.max(sight)
    }

    /// Whether a subject has failed for so long that nobody honest can call it anything else.
    pub(crate) fn is_surely_dead(&self, now_ms: u64, subject: usize) -> bool {
        self.fails[subject].since_ms().is_some_and(|since| now_ms - since > self.echo_ms)
    }
}
