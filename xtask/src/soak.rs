//! `cargo xtask soak`: the tests that chance drives, in their long form, again and again with other seeds until the time is over.

use std::{
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};

use crate::tests;

/// How long a soak takes unless it is told.
const DEFAULT_MINUTES: u64 = 30;

/// One kind of run. `{seed}` and `{end}` in arguments and environment become numbers that no other round has had.
struct Soak {
    name: &'static str,
    command: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

const SOAKS: &[Soak] = &[
    Soak {
        name: "random commands beside redis-server",
        command: &[
            "cargo",
            "test",
            "--release",
            "-p",
            "state-api",
            "--test",
            "it",
            "every_command_answers",
            "--locked",
        ],
        env: &[("ATOLL_DIFFERENTIAL_COMMANDS", "2000000"), ("ATOLL_DIFFERENTIAL_SEED", "{seed}")],
    },
    Soak {
        name: "processes killed under load",
        command: &["cargo", "test", "--release", "-p", "state-api", "--test", "it", "nothing_acknowledged", "--locked"],
        env: &[("ATOLL_KILLS", "1000"), ("ATOLL_KILL_SEED", "{seed}")],
    },
    Soak {
        name: "laws of merging, by property",
        command: &["cargo", "test", "--release", "-p", "replication-core", "--locked"],
        env: &[("PROPTEST_CASES", "20000")],
    },
    Soak {
        name: "frames and files of strangers, by property",
        command: &["cargo", "test", "--release", "-p", "replication-link", "-p", "replication-storage", "--locked"],
        env: &[("PROPTEST_CASES", "20000")],
    },
    Soak {
        name: "answers beside BIND, Knot, NSD and PowerDNS",
        command: &["cargo", "test", "--release", "-p", "dns-server", "--test", "peers", "random_zones", "--locked"],
        env: &[("ATOLL_PEER_QUESTIONS", "100000"), ("ATOLL_PEER_SEED", "{seed}")],
    },
    Soak {
        name: "simulated regions",
        command: &["cargo", "run", "--release", "--locked", "--", "sim", "state", "--seeds", "{seed}..{end}"],
        env: &[],
    },
    Soak {
        name: "simulated decisions",
        command: &[
            "cargo",
            "run",
            "--release",
            "--locked",
            "--",
            "sim",
            "decision",
            "--hours",
            "2",
            "--seeds",
            "{seed}..{end}",
        ],
        env: &[],
    },
];

/// Seeds of one round of the simulation.
const SEEDS: u64 = 2000;

pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let minutes = match args {
        [] => DEFAULT_MINUTES,
        [flag, minutes] if flag == "--minutes" => {
            minutes.parse().with_context(|| format!("`{minutes}` is no number of minutes"))?
        }
        _ => bail!("unknown arguments {args:?}; write `cargo xtask soak [--minutes N]`"),
    };
    std::env::set_current_dir(tests::root()).context("the workspace's root")?;
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    for round in 1.. {
        for soak in SOAKS {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                println!("\n=== nothing failed in {minutes} min, {round} rounds begun");
                return Ok(());
            }
            println!("\n=== round {round}, {} min left: {}, seed {seed}", left.as_secs().div_ceil(60), soak.name);
            if !soak.run(seed)? {
                bail!("`{}` failed with seed {seed}; its output is above", soak.name);
            }
            seed += SEEDS;
        }
    }
    Ok(())
}

impl Soak {
    fn run(&self, seed: u64) -> anyhow::Result<bool> {
        let fill = |text: &str| text.replace("{seed}", &seed.to_string()).replace("{end}", &(seed + SEEDS).to_string());
        let mut command = Command::new(self.command[0]);
        command.args(self.command[1..].iter().map(|arg| fill(arg)));
        for (name, value) in self.env {
            command.env(name, fill(value));
        }
        let status = command.status().with_context(|| format!("cannot run {}", self.command[0]))?;
        Ok(status.success())
    }
}
