//! The Redis protocol face of the replicated state.
