//! The thread that starts processes.
//!
//! A worker must not outlive the region's process, not even when that is killed and can clean up nothing. Linux offers the
//! parent-death signal for this, with two traps. It is sent when the *thread* that started the child ends, so workers are
//! started by one thread that lives as long as the supervisor, never by one of a pool. And the parent may be dead before the
//! child asks for the signal, so the child looks who its parent is afterwards.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use rustix::{
    io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    process::{Pid, Signal},
};
use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

use crate::{guard::Guard, limit_mark::LimitMark, run_dir::RunDir};

enum Order {
    Spawn { command: Box<Command>, gifts: Gifts, reply: oneshot::Sender<io::Result<Child>> },
    Forget { group: Pid },
}

/// Open files that a worker is given.
pub(crate) struct Gifts {
    /// The worker's end of the IPC channel; its number there is told in `NODE_CHANNEL_FD`.
    ipc: Option<OwnedFd>,
    /// Becomes descriptor 3.
    listener: Option<OwnedFd>,
    /// Where it writes itself into its control group; closed in the worker.
    entrance: Option<OwnedFd>,
}

/// The first descriptor that is passed to services (man 3 sd_listen_fds).
const LISTEN_FD: i32 = 3;

impl Gifts {
    pub(crate) fn new(ipc: Option<OwnedFd>, listener: Option<OwnedFd>, entrance: Option<OwnedFd>) -> io::Result<Self> {
        // High numbers, so that none of them is 3.
        let high = |fd: Option<OwnedFd>| fd.map(|fd| fcntl_dupfd_cloexec(fd, 10)).transpose();
        Ok(Self { ipc: high(ipc)?, listener: high(listener)?, entrance: high(entrance)? })
    }

    /// The number of the IPC channel in the worker.
    pub(crate) fn ipc_number(&self) -> Option<i32> {
        self.ipc.as_ref().map(AsRawFd::as_raw_fd)
    }
}

/// Gives orders to the thread; the thread ends with the last of these.
#[derive(Clone)]
pub(crate) struct Spawner(mpsc::Sender<Order>);

impl Spawner {
    /// Starts the thread; to be called within a tokio runtime, which will watch the processes.
    pub(crate) fn start(dir: Arc<RunDir>, cgroups: Option<PathBuf>) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let runtime = Handle::current();
        thread::Builder::new().name("atoll-spawner".to_owned()).spawn(move || {
            let _within = runtime.enter();
            work(&inbox, &dir, cgroups.as_deref());
        })?;
        Ok(Self(orders))
    }

    /// Starts a process in a group of its own, which ends with this process, and marks it and all that comes of it.
    pub(crate) async fn spawn(&self, mut command: Command, gifts: Gifts, mark: LimitMark) -> io::Result<Child> {
        command.process_group(0).kill_on_drop(true);
        die_with_parent(&mut command);
        put_on(&mut command, mark);
        hand_over(&mut command, &gifts);
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts workers is gone");
        self.0.send(Order::Spawn { command: Box::new(command), gifts, reply }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// The group has ended, its number may soon be another's.
    pub(crate) fn forget(&self, group: Pid) {
        // A failure means that the thread and its guard are gone, which forgets everything.
        let _ = self.0.send(Order::Forget { group });
    }
}

fn work(inbox: &mpsc::Receiver<Order>, dir: &RunDir, cgroups: Option<&Path>) {
    let mut guard = Guard::start(dir, cgroups)
        .inspect_err(
            |error| tracing::warn!(%error, "no guard: if this process is killed, children of workers may stay"),
        )
        .ok();
    while let Ok(order) = inbox.recv() {
        match order {
            Order::Spawn { mut command, gifts, reply } => {
                let child = command.spawn();
                drop(gifts);
                if let (Some(guard), Some(group)) = (&mut guard, child.as_ref().ok().and_then(group_of)) {
                    guard.add(group);
                }
                // Nobody waits any more: the child is dropped, which kills it.
                let _ = reply.send(child);
            }
            Order::Forget { group } => {
                if let Some(guard) = &mut guard {
                    guard.forget(group);
                }
            }
        }
    }
}

/// The process group of a child started here: its own number.
pub(crate) fn group_of(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the parent-death signal can only be asked for between fork and exec")]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes two system calls, prctl and
    // getppid, and builds errors from numbers; it allocates nothing, takes no lock and touches nothing that it does not own.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            match rustix::process::getppid() {
                Some(now) if now == parent => Ok(()),
                _ => Err(rustix::io::Errno::SRCH.into()),
            }
        });
    }
}

#[allow(unsafe_code, reason = "a limit of the child alone can only be set between fork and exec")]
fn put_on(command: &mut Command, mark: LimitMark) {
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes two system calls, both prlimit64,
    // and touches nothing but a number that it owns.
    unsafe {
        command.pre_exec(move || {
            mark.put_on_this_process();
            Ok(())
        });
    }
}

/// Leaves the gifts open in the child, which everything else of this process is closed in.
#[allow(unsafe_code, reason = "descriptors of the child can only be changed between fork and exec")]
fn hand_over(command: &mut Command, gifts: &Gifts) {
    let (ipc, listener) = (gifts.ipc_number(), gifts.listener.as_ref().map(AsRawFd::as_raw_fd));
    let entrance = gifts.entrance.as_ref().map(AsRawFd::as_raw_fd);
    // If 3 were free here, std could use it in the child for its own pipe, through which it tells that exec failed.
    let keep = listener.is_some().then(|| fcntl_dupfd_cloexec(io::stdin().as_fd(), LISTEN_FD).ok()).flatten();
    // SAFETY: between fork and exec only async-signal-safe calls are allowed: these are write, fcntl and dup2 and nothing else. The
    // numbers are open in the child, since the spawning thread holds `gifts` until it has forked; no object owns them there.
    unsafe {
        command.pre_exec(move || {
            let _ = &keep;
            if let Some(entrance) = entrance {
                // Where the kernel refuses, the worker runs outside; the supervisor looks where it is.
                let _ = rustix::io::write(BorrowedFd::borrow_raw(entrance), b"0");
            }
            if let Some(ipc) = ipc {
                fcntl_setfd(BorrowedFd::borrow_raw(ipc), FdFlags::empty())?;
            }
            if let Some(listener) = listener {
                let mut target =
                    std::mem::ManuallyDrop::new(<OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(LISTEN_FD));
                rustix::io::dup2(BorrowedFd::borrow_raw(listener), &mut target)?;
            }
            Ok(())
        });
    }
}

/// Elsewhere the guard alone does it.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}
