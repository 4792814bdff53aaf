//! The programs that tests talk to: real clients and real peers. Installed where that is possible, named where it is not.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

/// A program, and the Debian package that has it.
struct Tool {
    program: &'static str,
    package: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { program: "redis-cli", package: "redis-tools" },
    Tool { program: "redis-server", package: "redis-server" },
    Tool { program: "dig", package: "bind9-dnsutils" },
    Tool { program: "curl", package: "curl" },
    Tool { program: "faketime", package: "faketime" },
    Tool { program: "python3", package: "python3" },
    Tool { program: "node", package: "nodejs" },
    Tool { program: "npm", package: "npm" },
];

/// Installs what is missing, or says exactly what to install.
pub(crate) fn install() -> anyhow::Result<()> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !exists(tool.program)).collect();
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
        if !is_root() || !exists("apt-get") {
            bail!(
                "the tests need programs that are not here; install them and try again:\n  sudo apt-get install -y {}",
                packages.join(" ")
            );
        }
        println!("=== tools: installing {}", packages.join(" "));
        apt(&["update", "-q"])?;
        let mut args = vec!["install", "-y", "-q", "--no-install-recommends"];
        args.extend(packages);
        apt(&args)?;
    }
    clients()
}

/// The client libraries that the Redis protocol is tried with: ioredis and redis-py, as their own package managers bring them.
fn clients() -> anyhow::Result<()> {
    let dir = Path::new("region-node/state-api/tests/clients");
    if !dir.join("node_modules/ioredis").exists() {
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(dir))?;
    }
    let python = dir.join(".venv/bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv", ".venv"]).current_dir(dir))?;
    }
    let has_redis = Command::new(&python).args(["-c", "import redis"]).stderr(Stdio::null()).status();
    if !has_redis.is_ok_and(|status| status.success()) {
        let requirements = dir.join("requirements.txt");
        run(Command::new(&python).args(["-m", "pip", "install", "-q", "-r"]).arg(requirements))?;
    }
    Ok(())
}

/// Whether a program is on the path.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn apt(args: &[&str]) -> anyhow::Result<()> {
    run(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}
