//! CPU time of several processes between two moments, and of everybody else meanwhile.

use tokio::time::Instant;

use crate::proc::{self, ProcessTicks};

/// The clocks at one moment.
pub(super) struct Clocks {
    at: Instant,
    pids: Vec<u32>,
    /// Of each of the processes, and of this one behind them.
    ticks: Vec<u64>,
    machine: u64,
}

/// What passed since.
pub(super) struct Spent {
    /// Share of a core that each process used.
    pub(super) cores: Vec<f64>,
    /// Cores that neither they nor the bench kept busy.
    pub(super) others_cores: f64,
}

impl Clocks {
    pub(super) fn read(pids: &[u32]) -> anyhow::Result<Self> {
        let all = pids.iter().copied().chain([std::process::id()]);
        let ticks = all.map(|pid| Ok(ProcessTicks::of(pid)?.own)).collect::<anyhow::Result<_>>()?;
        Ok(Self { at: Instant::now(), pids: pids.to_vec(), ticks, machine: proc::busy_ticks()? })
    }

    pub(super) fn spent(&self) -> anyhow::Result<Spent> {
        let now = Self::read(&self.pids)?;
        let ticks = (now.at - self.at).as_secs_f64() * rustix::param::clock_ticks_per_second() as f64;
        let used: Vec<u64> = now.ticks.iter().zip(&self.ticks).map(|(now, then)| now.saturating_sub(*then)).collect();
        let others = now.machine.saturating_sub(self.machine).saturating_sub(used.iter().sum());
        let cores = used[..self.pids.len()].iter().map(|used| *used as f64 / ticks).collect();
        Ok(Spent { cores, others_cores: others as f64 / ticks })
    }
}
