//! Pure steering: locations, policies, the compiled View, and the answer to a query.
//!
//! ```text
//! Plan + local demotions ── View::compile ──▸ View                       off the query path, swapped whole
//!
//! packet ─ wire::read ─▸ question, client net ─ decide ─▸ which records ─ wire::write ─▸ packet
//!                                                 │
//!                                          one View, one geo lookup
//! ```
//!
//! [`answer`] is the whole server seen from a transport: bytes in, bytes out. Nothing here reads a clock, draws a random
//! number, holds a lock or opens a socket; the same View and the same packet always give the same answer, at every server
//! of a region and over every transport. Where a policy draws members, a number that the shell draws comes with the packet.
//!
//! The decision knows no packets and the packets know no decision, so that prebuilt answers can take the place of the writer.

mod about;
mod answer;
mod decide;
mod explain;
pub mod geo;
mod name;
mod rr;
mod service;
mod steer;
mod view;
mod wire;

#[cfg(test)]
mod tests;

pub use answer::{Asker, Heard, Outcome, Transport, answer, answer_to, question_of, refuse};
pub use explain::{
    Clamp, ExplainAnswer, ExplainError, MemberExplained, PlaceExplained, SteeringExplained, StepExplained, explain,
};
pub use rr::{Rcode, Rtype};
pub use steer::Basis;
pub use view::{CompileError, Names, View, ViewInputs};
