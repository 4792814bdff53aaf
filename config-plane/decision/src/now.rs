//! Time as an argument.

/// Two clocks, read together by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// A clock that only goes forward, from any start, milliseconds: for holds, lives and pauses. A step of the wall clock
    /// must neither age votes nor keep dead ones fresh.
    pub mono_ms: u64,
    /// Unix milliseconds: for stamps that people read, and for overrides.
    pub wall_ms: u64,
}
