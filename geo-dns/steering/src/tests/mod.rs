//! The crate seen from outside: packets in, packets out. `hickory-proto` builds and reads them.

mod answers;
mod chains;
mod documented;
mod ends;
mod explaining;
mod luck;
mod manners;
mod manual;
mod packets;
mod policies;
mod protocol;
mod reference;
mod scenarios;
mod scopes;
mod shares;
pub(crate) mod world;
