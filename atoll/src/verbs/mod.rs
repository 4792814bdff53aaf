//! The verbs that speak to a running world, or look at its files.

pub(crate) mod app;
pub(crate) mod apply;
pub(crate) mod automation;
pub(crate) mod by_hand;
pub(crate) mod capacity;
pub(crate) mod change;
pub(crate) mod drain_watch;
pub(crate) mod drill;
pub(crate) mod explain;
pub(crate) mod overrides;
pub(crate) mod plan;
pub(crate) mod reach;
pub(crate) mod sim;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod what_if;
pub(crate) mod world;
pub(crate) mod world_files;
pub(crate) mod zone;
