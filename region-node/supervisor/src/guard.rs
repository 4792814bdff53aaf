//! The guard: ends what workers have started themselves, when the region's process was killed.
//!
//! The kernel ends a worker with the thread that started it, but not the worker's own children, and `npm start` or `sh -c` are
//! exactly that: a parent of the real server. So one small shell waits at the end of a pipe that only the region's process
//! holds. It is told each worker's process group; when the pipe ends, however that came, it kills the groups still on its list,
//! then whatever left its group but has the app's mark in its environment (`ATOLL_LIFE`) or its limits, or is in one of the app's
//! control groups, and removes the app's directory.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use rustix::process::Pid;

use crate::run_dir::RunDir;

const SCRIPT: &str = r#"live=
while read -r word id; do
    case $word in
    add) live="$live $id" ;;
    forget)
        rest=
        for one in $live; do [ "$one" = "$id" ] || rest="$rest $one"; done
        live=$rest
        ;;
    esac
done
for one in $live; do kill -s KILL -- "-$one" 2>/dev/null; done
tries=0
while [ $tries -lt 40 ]; do
    found=
    for file in $(grep -ls "ATOLL_LIFE=$2-" /proc/[0-9]*/environ 2>/dev/null) \
        $(grep -ls "^Max file locks  *$4[0-9]\{9\} " /proc/[0-9]*/limits 2>/dev/null); do
        one=${file#/proc/}
        one=${one%/*}
        # A zombie has limits yet, and is dead already.
        grep -qs '^State:[[:space:]]*[ZX]' "/proc/$one/status" && continue
        kill -s KILL "$one" 2>/dev/null && found=yes
    done
    for cell in "$3"/*/cgroup.kill; do
        [ -w "$cell" ] && echo 1 >"$cell" 2>/dev/null && found=yes
    done
    [ -z "$3" ] || rmdir "$3"/*/ 2>/dev/null
    [ -n "$found" ] || break
    # What was killed takes a moment to be gone, and its control group as long to be removable.
    sleep 0.05
    tries=$((tries + 1))
done
rm -rf -- "$1"
[ -z "$3" ] || rmdir "$3" 2>/dev/null
"#;

/// The guard process and the pipe that keeps it waiting.
pub(crate) struct Guard {
    process: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    pub(crate) fn start(dir: &RunDir, cgroups: Option<&Path>) -> io::Result<Self> {
        let mut process = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "atoll-guard"])
            .arg(dir.path())
            .arg(&dir.id)
            .arg(cgroups.unwrap_or(Path::new("")))
            .arg(dir.limits.digits())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Signals that a terminal sends to the region must not reach the guard.
            .process_group(0)
            .spawn()?;
        let pipe = process.stdin.take();
        Ok(Self { process, pipe })
    }

    pub(crate) fn add(&mut self, group: Pid) {
        self.tell("add", group);
    }

    pub(crate) fn forget(&mut self, group: Pid) {
        self.tell("forget", group);
    }

    fn tell(&mut self, word: &str, group: Pid) {
        let Some(pipe) = &mut self.pipe else { return };
        if let Err(error) = writeln!(pipe, "{word} {}", group.as_raw_nonzero()) {
            tracing::warn!(%error, "the guard of the workers is gone; if this process is killed, their children may stay");
            self.pipe = None;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe = None;
        // It ends at once now that its pipe has; waiting leaves no zombie.
        let _ = self.process.wait();
    }
}
