//! What a running worker says of itself, on whichever way: a line of output, `sd_notify`, Node's IPC channel, the preload.

use crate::status::EventLoop;

/// One thing that it said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Word {
    /// It is ready, by the way that its spec names.
    Ready,
    /// It began to listen on the port (the preload): look now.
    Listening,
    /// It is about to end (`STOPPING=1`).
    Leaving,
    /// A line for people (`STATUS=`).
    Status(String),
    /// It is alive (`WATCHDOG=1`).
    Watchdog,
    /// It found itself broken (`WATCHDOG=trigger`).
    Broken,
    /// A second of its event loop; also a sign of life.
    Report(EventLoop),
    /// The preload's connection ended: no more signs of life are to be expected.
    Mute,
}
