//! `cargo xtask test`: the checks, in the order in which they fail soonest, each with its time.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::tools;

/// One check: its name, and the command that runs it.
struct Step {
    name: &'static str,
    command: &'static [&'static str],
    /// More environment.
    env: &'static [(&'static str, &'static str)],
}

const STEPS: &[Step] = &[
    Step { name: "format", command: &["cargo", "fmt", "--all", "--check"], env: &[] },
    Step {
        name: "lints",
        command: &["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        env: &[],
    },
    Step {
        name: "unit and component tests",
        command: &["cargo", "test", "--workspace", "--exclude", "atoll", "--locked"],
        env: &[],
    },
    Step { name: "binary's unit tests", command: &["cargo", "test", "-p", "atoll", "--bins", "--locked"], env: &[] },
    Step { name: "release build", command: &["cargo", "build", "--release", "--locked"], env: &[] },
    Step {
        name: "end-to-end tests",
        command: &["cargo", "test", "-p", "atoll", "--test", "e2e", "--locked", "--", "--test-threads", "1"],
        env: &[("ATOLL_BIN", "target/release/atoll")],
    },
];

pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let only = match args {
        [] => None,
        [flag, name] if flag == "--only" => Some(name.as_str()),
        _ => bail!("unknown arguments {args:?}; write `cargo xtask test [--only STEP]`"),
    };
    if only.is_some_and(|only| STEPS.iter().all(|step| step.name != only)) {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!("there is no step `{}`; the steps are: {}", only.unwrap_or_default(), names.join(", "));
    }
    std::env::set_current_dir(root()).context("the workspace's root")?;
    let mut times = Vec::new();
    if only.is_none() {
        let start = Instant::now();
        tools::install()?;
        times.push(("tools", start.elapsed()));
    }
    for step in STEPS.iter().filter(|step| only.is_none_or(|only| step.name == only)) {
        let start = Instant::now();
        let passed = run_step(step)?;
        times.push((step.name, start.elapsed()));
        if !passed {
            print_times(&times);
            bail!("`{}` failed; run it alone with: cargo xtask test --only '{}'", step.name, step.name);
        }
    }
    if only.is_none() && tools::exists("cargo-deny") {
        let start = Instant::now();
        let passed = Command::new("cargo")
            .args(["deny", "--offline", "check", "bans", "licenses", "sources"])
            .status()?
            .success();
        times.push(("licences and sources", start.elapsed()));
        if !passed {
            bail!("`cargo deny check` failed");
        }
    }
    print_times(&times);
    Ok(())
}

fn run_step(step: &Step) -> anyhow::Result<bool> {
    println!("\n=== {}: {}", step.name, step.command.join(" "));
    let mut command = Command::new(step.command[0]);
    command.args(&step.command[1..]).env("PATH", tools::path()?);
    for (key, value) in step.env {
        command.env(key, value);
    }
    let status = command.status().with_context(|| format!("cannot run {}", step.command[0]))?;
    Ok(status.success())
}

fn print_times(times: &[(&str, Duration)]) {
    println!("\n=== times");
    for (name, time) in times {
        println!("{:>7.1} s  {name}", time.as_secs_f64());
    }
    println!("{:>7.1} s  in all", times.iter().map(|(_, time)| time.as_secs_f64()).sum::<f64>());
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
