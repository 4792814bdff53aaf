//! What a simulation of the decision can meet.

use crate::coverage::meetings;

meetings! {
    "subjects" {
        Kills "regions killed",
        Crashes "regions gone without a word",
        GatewayDeaths "gateways dead in living regions",
        MemberDeaths "pool members dead",
        MemberWeakness "pool members that serve badly",
        Returns "subjects that came back",
        FallsOfTwo "falls of two within half a minute",
    }
    "decisions" {
        DecidedDown "decided Down",
        DecidedDegraded "decided Degraded",
        DecidedUp "decided Up",
        InTime "falls decided in time",
        LeaderFell "falls of the leader decided in time",
        Outlived "falls too short or too much disturbed to be decided",
        Cutoffs "living regions that no quorum reached, left out",
        Refused "refused by a guard",
        HeldByFence "refused by the fence",
        HeldAsLast "refused as the last",
        HeldByVelocity "held out by velocity",
        HeldAsCommonMode "falls left in answers as common mode",
        Ramps "steps of ramps and drains",
    }
    "network" {
        Probes "probes",
        FailedProbes "probes failed",
        Redials "probes that took more than one connection",
        Votes "vote vectors sent",
        LateVotes "vote vectors that waited for the one before",
        LostVotes "vote vectors lost",
        Cuts "cuts of a path, both ways",
        OneWayCuts "one-way cuts",
        Isolations "regions cut off from all",
        LossyPaths "paths that lose four of five",
        Firewalls "paths closed to probes alone",
    }
    "observers" {
        Mutes "observers fallen silent",
        Liars "observers that lie",
        FalseDowns "Down votes about what serves",
        Blind "observers that doubt themselves",
    }
    "plane" {
        Elections "leaders elected",
        Successions "leaders succeeded before their lease was over",
        HandOvers "leads handed over",
        Leaderless "times without a leader",
        DeposedProposals "proposals of a leader that was one no more",
        DroppedEntries "entries lost with their leader",
        SavedEntries "entries that outlived their leader",
        LostAnswers "answers lost",
        Duplicates "requests in the log twice",
        StaleRequests "old decisions proposed again",
        ForgedRequests "forged decisions",
        SnapshotStarts "members started from a snapshot",
    }
    "people" {
        Drains "drains",
        StagedDrains "staged drains",
        KeptIn "subjects kept in by hand",
        TakenBack "overrides taken back",
        Expired "overrides that ended by themselves",
        PeopleRefused "overrides refused",
    }
    "clocks" {
        ClockSteps "clock steps",
        LongSteps "clock steps of many minutes",
    }
    "followers" {
        Shown "Plans shown",
        OldPlans "older Plans left aside",
        SamePlans "Plans that came twice",
    }
}

/// How often each thing was met.
pub(crate) type Coverage = crate::Coverage<Met>;
