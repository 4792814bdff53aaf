//! What a simulation of the state plane can meet.

use crate::coverage::meetings;

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
pub(crate) type Coverage = crate::Coverage<Met>;
