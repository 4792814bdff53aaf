//! The programs of others: whether they are here, which versions they are, how they are pinned and waited for.

use std::{
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::proc;

/// A program, and the Debian package that has it.
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// Fails with the command that installs what is missing.
pub(crate) fn need(tools: &[Tool]) -> anyhow::Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !exists(tool.program)).collect();
    if missing.is_empty() { Ok(()) } else { bail!(advice(&missing)) }
}

fn advice(missing: &[&Tool]) -> String {
    let list =
        |name: fn(&Tool) -> &'static str, between| missing.iter().map(|t| name(t)).collect::<Vec<_>>().join(between);
    format!(
        "this bench needs {}, not found in PATH; install and try again:\n  sudo apt-get install -y {}",
        list(|tool| tool.program, " and "),
        list(|tool| tool.package, " ")
    )
}

/// Whether a program is in PATH.
fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// What a program says to `--version`, on one line.
pub(crate) fn version(program: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output().with_context(|| format!("cannot run {program}"))?;
    Ok(version_number(&String::from_utf8_lossy(&output.stdout)).to_owned())
}

/// Programs of Redis say `redis-benchmark 7.0.15` or `Redis server v=7.0.15 sha=…`.
fn version_number(said: &str) -> &str {
    let mut words = said.split_ascii_whitespace().map(|word| word.trim_start_matches("v="));
    words.find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap_or("unknown version")
}

/// Which core serves and which one asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pins {
    pub(crate) server: usize,
    pub(crate) load: usize,
}

impl Pins {
    /// `None`, with the reason, where pinning is impossible.
    pub(crate) fn choose() -> anyhow::Result<Result<Self, &'static str>> {
        if !exists("taskset") {
            return Ok(Err("taskset is not here (Debian: util-linux), nothing is pinned to a core"));
        }
        Ok(Self::among(&proc::allowed_cpus()?).ok_or("there is one core only, servers and load generator share it"))
    }

    fn among(cpus: &[usize]) -> Option<Self> {
        match cpus {
            [load, .., server] => Some(Self { server: *server, load: *load }),
            _ => None,
        }
    }
}

/// A command that stays on a core. `taskset` becomes the program, so the process id is the program's.
pub(crate) fn on_core(core: Option<usize>, program: &std::ffi::OsStr) -> Command {
    match core {
        None => Command::new(program),
        Some(core) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
    }
}

/// Whether programs may be given a core before all others (`SCHED_FIFO`), for which one has to be root or have `CAP_SYS_NICE`.
pub(crate) fn may_go_first() -> bool {
    Command::new("chrt").args(["-f", "1", "true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// As [`on_core`], and it gets that core whenever it wants it: a hundredth of a second that another process of the machine takes once a
/// second is a 99th percentile. `chrt` and `taskset` become the program.
pub(crate) fn first_on_core(core: usize, program: &std::ffi::OsStr) -> Command {
    let mut command = Command::new("chrt");
    command.args(["-f", "1", "taskset", "-c"]).arg(core.to_string()).arg(program);
    command
}

/// A program that keeps a core from sleeping and gives way to everything else (`SCHED_IDLE`). The first instruction after a sleep costs a
/// virtual machine tens of microseconds, at the host's leisure, which is nobody's latency that is measured. `taskset` and `chrt` become
/// the shell, so the process id is its own.
pub(crate) fn awake(core: usize) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).args(["chrt", "--idle", "0", "sh", "-c", "while :; do :; done"]);
    command.stdin(Stdio::null());
    command
}

/// How often a child is asked whether it has ended.
const POLL: Duration = Duration::from_millis(10);

/// Waits for the end of a child; `None` if it has not ended in time.
pub(crate) fn wait(child: &mut Child, patience: Duration) -> anyhow::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child process")? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Runs a program to its end and returns what it printed. Meant for programs that print little: it is read at the end.
pub(crate) fn output(mut command: Command, patience: Duration) -> anyhow::Result<String> {
    let what = format!("{:?}", command.get_program());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {what}"))?;
    let Some(status) = wait(&mut child, patience)? else {
        child.kill().and_then(|()| child.wait()).with_context(|| format!("cannot kill {what}"))?;
        bail!("{command:?} did not end within {patience:?} and was killed");
    };
    let (mut out, mut complaints) = (String::new(), String::new());
    child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut out)).transpose()?;
    child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut complaints)).transpose()?;
    if !status.success() {
        bail!("{command:?} failed ({status}): {}", complaints.trim());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Tool = Tool { program: "no-such-server", package: "its-package" };
    const CLIENT: Tool = Tool { program: "no-such-client", package: "its-tools" };

    #[test]
    fn what_is_missing_is_named_with_the_command_that_installs_it() {
        assert_eq!(
            need(&[SERVER, Tool { program: "sh", package: "dash" }, CLIENT]).unwrap_err().to_string(),
            "this bench needs no-such-server and no-such-client, not found in PATH; install and try again:\n  \
             sudo apt-get install -y its-package its-tools"
        );
        need(&[Tool { program: "sh", package: "dash" }]).unwrap();
    }

    #[test]
    fn version_numbers_are_found() {
        assert_eq!(version_number("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64\n"), "7.0.15");
        assert_eq!(version_number("redis-benchmark 7.0.15\n"), "7.0.15");
        assert_eq!(version_number(""), "unknown version");
    }

    #[test]
    fn server_and_load_get_different_cores() {
        assert_eq!(Pins::among(&[0, 1]), Some(Pins { server: 1, load: 0 }));
        assert_eq!(Pins::among(&[2, 5, 9]), Some(Pins { server: 9, load: 2 }));
        assert_eq!(Pins::among(&[3]), None);
    }

    #[test]
    fn a_program_that_fails_or_hangs_is_an_error_with_its_words() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        assert_eq!(output(shell("echo yes"), Duration::from_secs(20)).unwrap(), "yes\n");
        let error = output(shell("echo no >&2; exit 3"), Duration::from_secs(20)).unwrap_err().to_string();
        assert!(error.ends_with("(exit status: 3): no"), "{error}");
        let error = output(shell("exec sleep 60"), Duration::from_millis(20)).unwrap_err().to_string();
        assert!(error.contains("did not end within 20ms"), "{error}");
    }
}
