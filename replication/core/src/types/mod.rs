//! The state of one key: its elements, by part.
//!
//! The laws, for every type, now and later:
//!
//! - **State is a function of the context.** The live elements are those put by a delta in the context and removed by none.
//!   Nothing else ever adds or removes an element: no clock, no eviction, no cleaning up that is not itself a delta. So equal
//!   contexts have equal elements, and merging is idempotent, commutative and associative.
//! - **A put removes what it observed.** What it did not observe stays beside it, as a sibling, until a write that saw both.
//! - **Conflict rules are read rules.** Who wins is computed from the live siblings (and `now`, for deadlines) when somebody
//!   asks. A loser is hidden, not gone, and `explain` shows it.
//!
//! | part | siblings read as |
//! |---|---|
//! | cell, hash field | see `cell.rs`: greatest stamp, plus what everybody counted |
//! | set member | there if any put is live (add wins), unless a mark hides it (see `mark.rs`) |
//! | sorted set member | as a cell: greatest stamp, plus what everybody counted (see `zset.rs`) |
//! | list element | greatest stamp; the others are there in the order of their positions (see `list.rs`) |
//! | sketch | all of them united, see `sketch.rs` |
//! | deadline | the latest, of those given to the value that shows (see `ttl.rs`) |
//! | types side by side | the type of the live part with the greatest stamp |
//!
//! A new type is a new file here, a field of [`Full`], a [`crate::Part`] and its lines in `body.rs`: `insert`, `take`, `for_each`.

mod body;
pub(crate) mod cell;
mod counter;
pub(crate) mod decimal;
mod element;
pub(crate) mod extended;
pub(crate) mod float;
pub(crate) mod hash;
pub(crate) mod list;
pub(crate) mod mark;
pub(crate) mod position;
pub(crate) mod ranked;
pub(crate) mod register;
pub(crate) mod set;
mod siblings;
pub(crate) mod sketch;
mod submap;
pub(crate) mod ttl;
mod view;
mod walk;
pub(crate) mod zset;

pub(crate) use body::{Body, Full, Lean};
pub(crate) use counter::Counter;
pub(crate) use element::{Element, Held, HeldRef, PartRef};
pub(crate) use siblings::Swept;
pub(crate) use view::{Kind, View};
pub(crate) use walk::Walk;
