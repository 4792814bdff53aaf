//! Pure judgement: probe state machine, votes, quorum, guards, Plans.
