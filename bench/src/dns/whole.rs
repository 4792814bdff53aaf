//! What a server takes to come up: a million names compiled, and a restart from the Plan on disk.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use model::Plan;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    names,
    servers::{Server, answers, free_address},
};
use crate::{
    redis_protocol::Scratch,
    stats::Spread,
    tools::{self, Pins},
};

pub(super) const LOAD_NAMES: usize = 1_000_000;
pub(super) const LOAD_BAR_S: f64 = 10.0;
pub(super) const LOAD_BAR_MB: f64 = 400.0;
pub(super) const RESTART_NAMES: usize = 100_000;
pub(super) const RESTART_BAR_MS: f64 = 300.0;

/// No load takes longer, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A View of a million names.
pub(super) struct Load {
    pub(super) seconds: f64,
    /// What the View takes.
    pub(super) view_mb: f64,
    /// What the process takes, the Plan included.
    pub(super) process_mb: f64,
}

pub(super) fn load(pins: Option<Pins>) -> anyhow::Result<Load> {
    let binary = std::env::current_exe().context("cannot find this binary")?;
    let mut command = tools::on_core(pins.map(|pins| pins.server), binary.as_os_str());
    command.args(["serve-dns", "load", "--names", &LOAD_NAMES.to_string()]);
    let said = tools::output(command, PATIENCE)?;
    let figures: Vec<f64> = said.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [seconds, view, process] = figures[..] else { bail!("a load said {said:?} instead of three figures") };
    Ok(Load { seconds, view_mb: view / 1e6, process_mb: process / 1e6 })
}

/// Milliseconds from the start of a process to its first answer, with the Plan on disk and nobody else alive. Not pinned: a region
/// that starts has the machine.
pub(super) fn restart(runs: u32) -> anyhow::Result<Spread> {
    let dir = Scratch::make("restart")?;
    let plan = names::plan(7, RESTART_NAMES)?;
    plan.world.validate().context("the World of the restart")?;
    write_plan(dir.path(), &plan)?;
    let mut figures = Vec::new();
    for _ in 0..runs {
        let addr = free_address()?;
        let listen = addr.to_string();
        let args = ["serve-dns", "restart", "--listen", &listen, "--dir"].map(OsStr::new);
        let begin = Instant::now();
        let server = Server::own("Atoll", &[&args[..], &[dir.path().as_os_str()]].concat(), None)?;
        while !answers(addr, Duration::from_millis(50)) {
            if begin.elapsed() > PATIENCE {
                bail!("no answer {PATIENCE:?} after a restart");
            }
            thread::sleep(Duration::from_micros(200));
        }
        figures.push(begin.elapsed().as_secs_f64() * 1e3);
        drop(server);
    }
    Spread::of(&figures).context("there were no runs")
}

/// As a follower keeps it: a line of head, then JSON.
fn write_plan(dir: &Path, plan: &Plan) -> anyhow::Result<()> {
    let json = serde_json::to_string(plan)?;
    let folder = dir.join("follower");
    fs::create_dir_all(&folder)?;
    let text = format!("atoll-plan 1 {} {:016x}\n{json}", json.len(), xxh3_64(json.as_bytes()));
    fs::write(folder.join("plan"), text).context("cannot write the Plan")
}

/// What a program says of its version, whatever it calls the option, on one line.
pub(super) fn version(program: &str, option: &str) -> String {
    let said = Command::new(program).arg(option).stdin(Stdio::null()).output();
    // Some say it on stderr.
    let said = said.map(|said| [said.stdout, said.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let mut words = said.split(|c: char| c.is_ascii_whitespace() || c == ',');
    let number = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    number.unwrap_or("of unknown version").to_owned()
}
