//! A control group (cgroup v2) for each life of a worker, where the kernel lets us make one.
//!
//! Nothing leaves it: whatever a worker started, with whatever session, parent or environment, is in it and can be killed by one
//! write (`cgroup.kill`, Linux 5.14). Where there is none, as in most containers, process groups and marks in environment and limits
//! do (`proc`, `limit_mark`). No controller is switched on: it counts and limits nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How often, and for how long in all, an emptying group is tried to be removed.
const REMOVE_POLL: Duration = Duration::from_millis(10);
const REMOVE_TRIES: u32 = 100;

/// The app's directory in the tree of control groups.
pub(crate) struct Cgroups {
    path: PathBuf,
}

impl Cgroups {
    /// `None` where it is not possible, which is no error.
    pub(crate) fn create(id: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let path = own_directory(&mounts, &own)?.join(format!("atoll-{id}"));
        fs::create_dir(&path).ok()?;
        Some(Self { path }).filter(|groups| groups.path.join("cgroup.kill").exists())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A group for one life.
    pub(crate) fn cell(&self, life: u64) -> io::Result<Cell> {
        let path = self.path.join(life.to_string());
        fs::create_dir(&path)?;
        Ok(Cell { path })
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // One that is not empty yet is left to the guard.
        let _ = fs::remove_dir(&self.path);
    }
}

/// One life's group.
pub(crate) struct Cell {
    path: PathBuf,
}

impl Cell {
    /// A process that writes `0` to this becomes a member.
    pub(crate) fn entrance(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path.join("cgroup.procs"))
    }

    /// How many processes are in it.
    pub(crate) fn members(&self) -> usize {
        fs::read_to_string(self.path.join("cgroup.procs")).map_or(0, |text| text.lines().count())
    }

    /// Whether a process is in it.
    pub(crate) fn holds(&self, pid: u32) -> bool {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        text.lines().any(|line| line.parse() == Ok(pid))
    }

    /// Kills all that are in it, and removes it; blocks for a second at most. Says how many there were.
    pub(crate) fn kill(self) -> usize {
        let members = self.members();
        let killed = OpenOptions::new().write(true).open(self.path.join("cgroup.kill"));
        if let Err(error) = killed.and_then(|mut file| file.write_all(b"1")) {
            tracing::warn!(%error, "a worker's control group could not be killed");
        }
        for _ in 0..REMOVE_TRIES {
            if fs::remove_dir(&self.path).is_ok() {
                break;
            }
            thread::sleep(REMOVE_POLL);
        }
        members
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// Where this process is in the tree: the mount of type `cgroup2` (man 5 proc_pid_mountinfo), and the path behind `0::`
/// (man 7 cgroups).
fn own_directory(mounts: &str, own: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        let mut fields = head.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (tail.split(' ').next() == Some("cgroup2") && root == "/").then_some(point)
    })?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // `/../x` is what a process outside of its namespace's root sees; space and backslash are escaped in mountinfo.
    (!path.contains("..") && !mount.contains('\\')).then(|| Path::new(mount).join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "25 1 0:23 / /proc rw - proc proc rw\n\
        36 25 0:30 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";

    fn check(mounts: &str, own: &str, expected: Option<&str>) {
        assert_eq!(own_directory(mounts, own).as_deref(), expected.map(Path::new), "{own}");
    }

    #[test]
    fn the_own_group_is_found_where_version_two_is_mounted() {
        check(
            MOUNTS,
            "4:memory:/a\n0::/system.slice/atoll.service\n",
            Some("/sys/fs/cgroup/unified/system.slice/atoll.service"),
        );
        check(MOUNTS, "0::/\n", Some("/sys/fs/cgroup/unified"));
        check(MOUNTS, "4:memory:/a\n", None);
        check(MOUNTS, "0::/../other\n", None);
        check("36 25 0:30 /inner /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n", None);
        check("36 25 0:30 / /sys/fs/cgroup rw - cgroup cgroup rw\n", "0::/\n", None);
        check("", "", None);
    }
}
