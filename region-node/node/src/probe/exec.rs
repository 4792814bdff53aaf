//! A program of the operator's own judges the member: 0 is good, 1 is poor, anything else has failed.
//!
//! Programs come from one directory of the node, never from the World: the World names them, and its validation allows plain file
//! names only. So whoever may change the World can choose among what the owner of the machine has put there, and nothing else.

use std::{net::SocketAddr, process::Stdio};

use anyhow::Context;
use decision::Finding;
use model::{Check, Subject};
use tokio::process::Command;

use super::{ProbeTools, Report};

/// Runs it once. It is killed when the probe's time is over.
pub(super) async fn run(
    tools: &ProbeTools,
    subject: &Subject,
    at: SocketAddr,
    check: &Check,
) -> anyhow::Result<Report> {
    let programs = tools
        .programs
        .as_ref()
        .context("this region has no programs: set `programs` in its configuration's [checks]")?;
    let (name, arguments) = check.command.split_first().context("the check names no program")?;
    anyhow::ensure!(!name.contains('/') && name != "..", "`{name}` is not a plain file name");
    let status = Command::new(programs.join(name))
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("ATOLL_SUBJECT", subject.to_string())
        .env("ATOLL_ADDRESS", at.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("the program {name} does not start"))?;
    Ok(Report::of(match status.code() {
        Some(0) => Finding::Good,
        Some(1) => Finding::Poor,
        _ => Finding::Failed,
    }))
}
