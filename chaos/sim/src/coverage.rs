//! What a set of seeds has met. A simulation that never met a fault proves nothing about it, so it says so.

use std::marker::PhantomData;

/// Something that a simulation can meet.
pub trait Meeting: Copy + Send + 'static {
    /// All of them, group by group.
    const ALL: &'static [Self];

    /// Its place in [`Meeting::ALL`].
    fn index(self) -> usize;

    /// What it is, for people.
    fn text(self) -> &'static str;

    /// The group it belongs to.
    fn group(self) -> &'static str;
}

/// The enum of what a kind of world can meet, from a table of groups.
macro_rules! meetings {
    ($($group:literal { $($name:ident $text:literal,)+ })+) => {
        /// Something that this simulation can meet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each variant's text stands beside it")]
        pub enum Met { $($($name,)+)+ }

        impl $crate::Meeting for Met {
            const ALL: &'static [Self] = &[$($(Self::$name,)+)+];

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self { $($(Self::$name => $text,)+)+ }
            }

            fn group(self) -> &'static str {
                match self { $($(Self::$name)|+ => $group,)+ }
            }
        }
    };
}

pub(crate) use meetings;

/// How often each thing was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage<M>(Vec<u64>, PhantomData<M>);

impl<M: Meeting> Default for Coverage<M> {
    fn default() -> Self {
        Self(vec![0; M::ALL.len()], PhantomData)
    }
}

impl<M: Meeting> Coverage<M> {
    /// One more.
    pub fn met(&mut self, what: M) {
        self.add(what, 1);
    }

    /// So many more.
    pub fn add(&mut self, what: M, count: u64) {
        self.0[what.index()] += count;
    }

    /// How many.
    pub fn of(&self, what: M) -> u64 {
        self.0[what.index()]
    }

    /// Adds another simulation's.
    pub fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// What was never met.
    pub fn missing(&self) -> Vec<M> {
        M::ALL.iter().copied().filter(|met| self.of(*met) == 0).collect()
    }
}
