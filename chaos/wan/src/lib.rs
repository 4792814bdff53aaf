//! The WAN emulator: TCP and UDP paths with delay, jitter, loss, rate and cuts.
