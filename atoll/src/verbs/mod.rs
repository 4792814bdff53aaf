//! The verbs that speak to a running world.

pub(crate) mod drill;
pub(crate) mod explain;
pub(crate) mod overrides;
pub(crate) mod reach;
pub(crate) mod status;
pub(crate) mod world;
