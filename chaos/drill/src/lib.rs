//! Drills on a live world: faults, workload, DNS clients, checkers, report.
