//! `atoll`: one binary, all roles.
//!
//! ```text
//! main ─ parse ─┬─ up            three or five regions on this machine, WAN emulator between them
//!               ├─ region        all roles of one region in this process (what `up` starts, what production runs)
//!               ├─ status, explain, drain, undrain, override, gate, damping, home, what-if, automation, apply, plan, app,
//!               │                drill: verbs that speak to a running world
//!               ├─ world, state  files, without a running world
//!               ├─ sim           seeds of the simulated world: no sockets, no real time
//!               └─ demo-app      the small shop that `up` serves when no app is given
//! ```
//!
//! Exit codes: 0 done; 1 it failed, or a drill said FAIL; 2 wrong usage, or a drill said VACUOUS; 3 ABORTED; 4 HARNESS, and any verb
//! that could not reach the world; 5 ROLLBACK-INCOMPLETE. `docs/cli.md` has the table.

mod cli;
mod demo_app;
mod exit;
mod output;
mod region;
mod up;
mod verbs;

use clap::Parser;

use crate::{
    cli::{Cli, Verb},
    exit::Exit,
};

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let result = run(cli);
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::complain(&error);
            exit::of_error(&error).into()
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    let world = cli.world;
    match cli.verb {
        Verb::Up(args) => up::run(args, &world),
        Verb::Region(args) => region::run(&args),
        Verb::DemoApp(args) => output::block_on(async move { demo_app::run(args.port).await.map(|()| Exit::Done) }),
        Verb::Status(args) => output::block_on(verbs::status::run(args, world)),
        Verb::Explain(args) => output::block_on(verbs::explain::run(args, world)),
        Verb::Drain(args) => output::block_on(verbs::overrides::drain(args, world)),
        Verb::Undrain(args) => output::block_on(verbs::overrides::undrain(args, world)),
        Verb::Override(args) => output::block_on(verbs::overrides::set(args, world)),
        Verb::Apply(args) => output::block_on(verbs::apply::run(args, world)),
        Verb::Plan(args) => output::block_on(verbs::plan::run(args, world)),
        Verb::Gate(args) => output::block_on(verbs::by_hand::gate(args, world)),
        Verb::Damping(args) => output::block_on(verbs::by_hand::damping(args, world)),
        Verb::Home(args) => output::block_on(verbs::by_hand::home(args, world)),
        Verb::WhatIf(args) => output::block_on(verbs::what_if::run(args, world)),
        Verb::Automation(args) => output::block_on(verbs::automation::run(args, world)),
        Verb::App(args) => verbs::app::run(args, world),
        Verb::Drill(args) => output::block_on(verbs::drill::run(args, world)),
        Verb::State(args) => verbs::state::run(&args, &world),
        Verb::Sim(args) => verbs::sim::run_verb(&args, &world),
        Verb::World(args) => verbs::world::run(&args),
        Verb::Zone(args) => verbs::zone::run(&args, world.json),
    }
}
