//! The user's workers: start, ready, restart with back-off, stop.
