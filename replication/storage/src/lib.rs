//! The embedded engine: state in memory, a journal of deltas, checkpoints, recovery.
