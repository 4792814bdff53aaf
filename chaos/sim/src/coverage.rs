//! What a set of seeds has met. A simulation that never met a fault proves nothing about it, so it says so.

use serde::Serialize;

macro_rules! meetings {
    ($($group:literal { $($name:ident $text:literal,)+ })+) => {
        /// Something that a simulation can meet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each variant's text stands beside it")]
        pub enum Met { $($($name,)+)+ }

        impl Met {
            /// All of them, group by group.
            pub const ALL: &[Self] = &[$($(Self::$name,)+)+];

            /// What it is, for people.
            pub fn text(self) -> &'static str {
                match self { $($(Self::$name => $text,)+)+ }
            }

            /// The group it belongs to.
            pub fn group(self) -> &'static str {
                match self { $($(Self::$name)|+ => $group,)+ }
            }
        }
    };
}

meetings! {
    "commands" {
        TextWrites "strings",
        CounterWrites "counters",
        HashWrites "hashes",
        SetWrites "sets",
        ListWrites "lists",
        ZsetWrites "sorted sets",
        SketchWrites "HyperLogLogs",
        DeadlineWrites "deadlines",
        FieldDeadlineWrites "deadlines of hash fields",
        BitWrites "bits of strings",
        FractionWrites "fractions counted",
        StoreWrites "results stored under another key",
        KeyWrites "keys of any type",
        Transactions "transactions",
        Reads "reads",
        Refused "refused",
        Acknowledged "acknowledged",
        Unacknowledged "never acknowledged",
    }
    "conflicts" {
        Conflicts "concurrent writes side by side",
        TypeClashes "types side by side",
        RemovalMarks "removes that win",
        Expired "reads of expired keys",
        ExpiredFields "reads of hashes with expired fields",
        Purged "purges",
    }
    "processes" {
        Kills "kills",
        PowerFailures "power failures",
        CrashesInACall "crashes within a call of the disk",
        TornWrites "torn writes",
        CleanStops "clean stops",
        Starts "starts",
        CrashedStarts "crashes while starting",
        SameName "starts under the same name",
        NewNames "starts under a new name",
        TornTails "torn tails cut off",
        Together "recoveries of two regions at once",
        Restores "backups put back",
        LostDisks "disks lost",
        SetAside "damaged states set aside",
        Checkpoints "checkpoints",
    }
    "disks" {
        FullDisks "full disks",
        FailingDisks "failing disks",
        LyingDisks "lying syncs",
        RefusedWrites "writes refused for the disk",
        Losses "acknowledged changes lost within the rules",
    }
    "network" {
        Connections "connections",
        OldVersions "connections in the version before",
        Cuts "one-way cuts",
        Disconnects "connections broken",
        SlowPaths "slow paths",
        Absences "absences",
        Detached "regions detached while away",
        TimedOut "connections timed out",
        HeldPackets "packets held back by a cut",
        Quarantines "links closed by a machine",
    }
    "catching up" {
        LiveDeltas "changes received live, from the ring",
        FellOff "links that fell off the ring",
        CatchUps "catch-ups received",
        Scanned "catch-ups by the dot index",
        Listed "catch-ups that name what lives",
        Compared "catch-ups by comparing sums",
        Late "changes applied late",
        PutOff "changes put off for their far stamps",
        TokensFollowed "tokens followed to another region",
    }
    "clocks" {
        ClockSteps "clock steps",
        StampsAhead "stamps ahead",
    }
}

/// How often each thing was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage(Vec<u64>);

impl Default for Coverage {
    fn default() -> Self {
        Self(vec![0; Met::ALL.len()])
    }
}

impl Coverage {
    /// One more.
    pub fn met(&mut self, what: Met) {
        self.add(what, 1);
    }

    /// So many more.
    pub fn add(&mut self, what: Met, count: u64) {
        self.0[what as usize] += count;
    }

    /// How many.
    pub fn of(&self, what: Met) -> u64 {
        self.0[what as usize]
    }

    /// Adds another simulation's.
    pub fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// What was never met.
    pub fn missing(&self) -> Vec<Met> {
        Met::ALL.iter().copied().filter(|met| self.of(*met) == 0).collect()
    }
}
