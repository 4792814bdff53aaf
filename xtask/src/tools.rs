//! The programs that tests talk to: real clients and real peers. Installed where that is possible, named where it is not.

use std::{
    ffi::OsString,
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

/// Where the client libraries of other languages are tried.
const CLIENTS: &str = "region-node/state-api/tests/clients";

/// Apps that the region node is tried with, and their clients.
const APPS: &str = "region-node/node/tests/apps";

/// What npm brings: where its `package-lock.json` is, and the module whose absence shows that it was not there yet.
const PACKAGES: &[(&str, &str)] = &[(CLIENTS, "ioredis"), (APPS, "express")];

/// Python modules that tests need, and the file that names their versions.
const MODULES: &[(&str, &str)] = &[
    ("redis", "region-node/state-api/tests/clients/requirements.txt"),
    ("dns", "geo-dns/server/tests/clients/requirements.txt"),
    ("uvicorn", "region-node/node/tests/apps/requirements.txt"),
];

/// A program, or a library by its place below `/usr/lib/ARCHITECTURE`, and the Debian package that has it.
struct Tool {
    program: &'static str,
    package: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { program: "redis-cli", package: "redis-tools" },
    Tool { program: "redis-server", package: "redis-server" },
    Tool { program: "dig", package: "bind9-dnsutils" },
    Tool { program: "kdig", package: "knot-dnsutils" },
    Tool { program: "unbound", package: "unbound" },
    Tool { program: "gdnsd", package: "gdnsd" },
    Tool { program: "named", package: "bind9" },
    Tool { program: "knotd", package: "knot" },
    Tool { program: "nsd", package: "nsd" },
    Tool { program: "pdns_server", package: "pdns-server" },
    Tool { program: "pdns/libbindbackend.so", package: "pdns-backend-bind" },
    Tool { program: "curl", package: "curl" },
    Tool { program: "h2load", package: "nghttp2-client" },
    Tool { program: "faketime", package: "faketime" },
    Tool { program: "python3", package: "python3" },
    Tool { program: "node", package: "nodejs" },
    Tool { program: "npm", package: "npm" },
    Tool { program: "wrk", package: "wrk" },
];

/// Debian keeps Python's `venv` in a package of its own.
const VENV_PACKAGE: &str = "python3-venv";

/// Installs what is missing, or says exactly what to install.
pub(crate) fn install() -> anyhow::Result<()> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !exists(tool.program)).collect();
    if !missing.is_empty() {
        install_packages(&missing.iter().map(|tool| tool.package).collect::<Vec<_>>())?;
    }
    clients()
}

fn install_packages(packages: &[&str]) -> anyhow::Result<()> {
    if !is_root() || !exists("apt-get") {
        bail!(
            "the tests need programs that are not here; install them and try again:\n  sudo apt-get install -y {}",
            packages.join(" ")
        );
    }
    println!("=== tools: installing {}", packages.join(" "));
    apt(&["update", "-q"])?;
    let _no_daemons = NoDaemons::new()?;
    apt(&[&["install", "-y", "-q", "--no-install-recommends"], packages].concat())
}

/// What the package managers of other languages bring: the client libraries that the Redis protocol and DNS are tried with (ioredis,
/// redis-py, dnspython), and what the apps that the region node is tried with are made of.
fn clients() -> anyhow::Result<()> {
    for (dir, module) in PACKAGES {
        if !Path::new(dir).join("node_modules").join(module).exists() {
            run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(dir))?;
        }
    }
    let dir = Path::new(CLIENTS);
    let python = std::env::current_dir()?.join(dir).join(".venv/bin/python");
    if !python.exists() {
        let make = || run(Command::new("python3").args(["-m", "venv", ".venv"]).current_dir(dir));
        if make().is_err() {
            install_packages(&[VENV_PACKAGE])?;
            make()?;
        }
    }
    for (module, requirements) in MODULES {
        let import = Command::new(&python).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
        if !import.is_ok_and(|status| status.success()) {
            run(Command::new(&python).args(["-m", "pip", "install", "-q", "-r", requirements]))?;
        }
    }
    Ok(())
}

/// The search path of the tests: the environment of the Python clients first.
pub(crate) fn path() -> anyhow::Result<OsString> {
    let own = std::env::current_dir()?.join(CLIENTS).join(".venv/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path)))?)
}

/// Whether a program is on the path, or where servers lie; or a library where libraries lie.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let libraries = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    match program.contains('/') {
        true => libraries.map(|dir| dir.join(program)).any(|file| file.is_file()),
        false => dirs.map(|dir| dir.join(program)).any(|file| file.is_file()),
    }
}

/// While it lives, packages that are installed start no daemons: name servers would take port 53. Debian asks `policy-rc.d` first;
/// one that is there already is somebody's, and stays.
struct NoDaemons(Option<&'static Path>);

impl NoDaemons {
    fn new() -> anyhow::Result<Self> {
        let file = Path::new("/usr/sbin/policy-rc.d");
        if file.exists() {
            return Ok(Self(None));
        }
        // 101: it is forbidden.
        std::fs::write(file, "#!/bin/sh\nexit 101\n").with_context(|| format!("cannot write {}", file.display()))?;
        let guard = Self(Some(file));
        std::fs::set_permissions(file, Permissions::from_mode(0o755))?;
        Ok(guard)
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if let Some(file) = self.0
            && let Err(error) = std::fs::remove_file(file)
        {
            eprintln!("xtask: {} is to be removed by hand: {error}", file.display());
        }
    }
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
