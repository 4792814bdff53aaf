//! The region node as its users meet it: real apps that know nothing of it, real clients, real load, real faults.
//!
//! Apps and their clients are in `tests/apps`; they need Node.js with the modules of its `package-lock.json`, Python with those of
//! `requirements.txt`, and load needs `h2load` and `wrk`. Where they are not installed, tests say so and pass: `cargo xtask test` installs all of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod apps;
mod house;
mod load;
mod people;
mod sick;
mod under_load;
mod worker;
