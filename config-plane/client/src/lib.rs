//! The client side of the admin API: its types, its transport, and a typed client with endpoint rotation.
//!
//! ```text
//! PlaneClient (rotation, deadlines, typed errors)   FollowStream (messages)
//!        └──────────────────────────┬──────────────────────┘
//!                       Transport (one identity, deadline and limits on every call)
//!                                   │ one an endpoint
//!                       Channel (HTTP/2)        raft's frames between members, in the server
//!                                   └───────────────┬────────────┘
//!                       Kept (dials and gives up; the server proves its region's name, whatever address is dialled)
//! ```
//!
//! The server uses [`api`], [`frame`] and [`Problem`] too, so that there is one description of what travels.

pub mod api;
mod apps;
mod channel;
mod client;
mod endpoint;
mod error;
mod event_reader;
mod events;
mod follow;
pub mod frame;
mod human;
pub mod kept;
mod objects;
mod problem;
mod rounds;
pub mod splice;
mod transport;
pub mod turnstile;

pub use apps::JsonLines;
pub use channel::ChannelOptions;
pub use client::{Because, Patience, PlaneClient};
pub use endpoint::Endpoint;
pub use error::{CallError, ClientError};
pub use event_reader::{EventPatience, EventReader};
pub use events::{Event, EventStream};
pub use follow::{FollowError, FollowStream};
pub use human::Word;
pub use objects::{MadeFrom, Tagged};
pub use problem::{Problem, ProblemKind};
pub use transport::{Answer, Call, Credentials, Transport};

#[cfg(test)]
mod tests;
