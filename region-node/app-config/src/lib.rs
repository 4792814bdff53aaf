//! App files: what to run in a region, and how. A path goes in; apps with all their defaults, and notes for whoever wrote the file,
//! come out, or everything that is wrong, each at its file, line and key.
//!
//! ```text
//! app.toml              ─ toml_file.rs ─┐
//! ecosystem.config.js   ─ pm2/node.rs ──┤ pm2/mod.rs, command.rs
//!           .json       ─ pm2/json.rs ──┼────────▶ App ─ validate.rs ─▶ AppFile
//!           .yaml       ─ pm2/yaml.rs ──┘            ▲
//!                          .env ─ env_file.rs ───────┘
//! ```
//!
//! The keys, their limits and what they are for stand in `schema.rs`, once. Reading text is pure; files and Node are asked in `read.rs`
//! and `pm2/node.rs` alone. Nothing here knows how an app is run.

mod app;
mod cron;
mod env_file;
mod pm2;
mod print;
mod problem;
mod read;
mod schema;
mod toml_file;
mod units;
mod validate;
mod value;

#[cfg(test)]
mod docs;
#[cfg(test)]
mod tests;

pub use app::{
    App, Balance, Instances, KillSignal, LiveCheck, Liveness, Log, LogFormat, Policy, Protect, Protocol, Ready, Sticky,
};
pub use cron::{Cron, Minute};
pub use problem::{Note, Place, Problem, Problems};
pub use read::{AppFile, Form, Options, check_one, read};
