//! A member of the config plane: raft over mutual TLS, a durable log, the judge, the admin API and the follower stream.
//!
//! ```text
//!             one TLS listener (listen.rs)
//!       ┌──────────────┤
//!       │ regions only │  who asks? (api/auth.rs)
//!       │              ├──────────────────┬───────────────────┐
//!  raft's frames     votes             reads, writes       followers
//!       │              ↓                  │ propose.rs         ↑ Plan, once a second a sign of life
//!       │       judging.rs: the judge ──→ │                    │
//!       ↓                                 ↓                    │
//!     raft/ (openraft, redb) ── decision::PlaneState::apply ── Plan (watch)
//! ```
//!
//! Nothing of openraft is visible outside of `raft/`, and nothing of it outside of this crate.
//! What goes in: a [`PlaneConfig`]. What comes out: Plans, by [`PlaneHandle::plans`] and by the follower stream.

mod api;
mod clock;
mod concerns;
mod config;
mod founding;
mod handle;
mod history;
mod judging;
mod lever;
mod listen;
mod measure;
mod plane;
mod propose;
mod raft;
mod read;
mod start;
mod steward;
mod survey;
mod timing;

pub use config::{Member, PlaneConfig};
pub use handle::PlaneHandle;
pub use propose::ProposeError;
pub use start::{StartError, start};
pub use timing::RaftTiming;
