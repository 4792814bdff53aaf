//! From the moment before a write is sent to the moment at which the last watcher has it.
//!
//! ```text
//!            ┌─ member ─┐──→ watcher ┐
//! write ───→ │  member  │──→ watcher ├─ the last one: that is the figure
//!            └─ member ─┘──→ watcher ┘
//! ```
//! One write after another, each through the next member. The sides take turns within a run; who begins changes from run to run.

use anyhow::Context;
use serde::Serialize;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{PATIENCE, atoll::AtollSide, clocks::Clocks, etcd::EtcdSide};
use crate::{PlaneArgs, stats::Spread};

/// Atoll's latency by etcd's.
const BAR: f64 = 1.0;
/// Watchers, if each member has one.
const ONE_EACH: usize = 3;

/// What a watcher has: the newest number, and when it first had it.
pub(super) struct Seen(watch::Sender<(u64, Instant)>);

impl Seen {
    /// It has this one now. A number that it has had before is no news.
    pub(super) fn note(&self, number: u64, at: Instant) {
        self.0.send_if_modified(|seen| {
            let news = number > seen.0;
            if news {
                *seen = (number, at);
            }
            news
        });
    }
}

/// Everybody who waits for writes.
#[derive(Default)]
pub(super) struct Watchers {
    seen: Vec<watch::Receiver<(u64, Instant)>>,
    tasks: JoinSet<()>,
}

impl Watchers {
    /// One more, which ends with the others.
    pub(super) fn add<F: Future<Output = ()> + Send + 'static>(&mut self, watch: impl FnOnce(Seen) -> F) {
        let (sender, seen) = watch::channel((0, Instant::now()));
        self.seen.push(seen);
        self.tasks.spawn(watch(Seen(sender)));
    }

    /// When the last one had it.
    async fn all_have(&mut self, number: u64) -> anyhow::Result<Instant> {
        let mut last = None;
        for seen in &mut self.seen {
            let has = timeout(PATIENCE, seen.wait_for(|(newest, _)| *newest >= number)).await;
            let has = has.with_context(|| format!("a watcher did not hear of a write within {PATIENCE:?}"))?;
            last = last.max(Some(has.context("a watcher's stream ended")?.1));
        }
        last.context("nobody watches")
    }
}

/// One side's writes.
pub(super) trait Side {
    /// Writes through the member at this place, and gives the number by which watchers will know it.
    async fn write(&self, at: usize, text: &str) -> anyhow::Result<u64>;
}

impl Side for AtollSide {
    async fn write(&self, at: usize, text: &str) -> anyhow::Result<u64> {
        self.say(at, text).await
    }
}

impl Side for EtcdSide {
    async fn write(&self, at: usize, text: &str) -> anyhow::Result<u64> {
        self.put(at, text).await
    }
}

/// Milliseconds until the writer had its answer, and until the last watcher had the write; medians of one side over one run.
#[derive(Debug, Clone, Copy)]
struct Medians {
    answered: f64,
    everywhere: f64,
}

/// One case.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) case: String,
    pub(super) atoll_ms: Spread,
    pub(super) etcd_ms: Spread,
    pub(super) ratio: Spread,
    /// Until the writer had its answer.
    pub(super) atoll_answer_ms: Spread,
    pub(super) etcd_answer_ms: Spread,
    pub(super) bar: f64,
    pub(super) met: bool,
}

/// Measures all cases on both sides; how many cores others kept busy meanwhile.
pub(super) async fn measure(args: &PlaneArgs, world: &str) -> anyhow::Result<(Vec<Row>, f64)> {
    let (atoll, etcd) = (AtollSide::start("plane", world).await?, EtcdSide::start().await?);
    let clocks = Clocks::read(&[atoll.pids(), etcd.pids()].concat())?;
    let many = usize::from(args.watchers);
    let mut rows = Vec::new();
    for count in [ONE_EACH, many] {
        let case = format!("{count} watchers, received");
        let (ours, theirs) = (atoll.streams(count).await?, etcd.watchers(count).await?);
        rows.push(compare(args, case, (&atoll, ours), (&etcd, theirs)).await?);
    }
    let case = format!("{ONE_EACH} followers, on disk and in force");
    let (ours, theirs) = (atoll.followers("follower", ONE_EACH)?, etcd.watchers(ONE_EACH).await?);
    rows.push(compare(args, case, (&atoll, ours), (&etcd, theirs)).await?);
    Ok((rows, clocks.spent()?.others_cores))
}

async fn compare(
    args: &PlaneArgs,
    case: String,
    (atoll, mut our_watchers): (&AtollSide, Watchers),
    (etcd, mut their_watchers): (&EtcdSide, Watchers),
) -> anyhow::Result<Row> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // Connections open with the first write.
    write(atoll, &mut our_watchers, ONE_EACH as u64).await?;
    write(etcd, &mut their_watchers, ONE_EACH as u64).await?;
    for run in 0..args.runs {
        eprintln!("{case}: run {} of {}", run + 1, args.runs);
        if run % 2 == 1 {
            theirs.push(write(etcd, &mut their_watchers, args.writes).await?);
        }
        ours.push(write(atoll, &mut our_watchers, args.writes).await?);
        if run % 2 == 0 {
            theirs.push(write(etcd, &mut their_watchers, args.writes).await?);
        }
    }
    row(case, &ours, &theirs).context("nothing was measured")
}

fn row(case: String, ours: &[Medians], theirs: &[Medians]) -> Option<Row> {
    let everywhere = |side: &[Medians]| side.iter().map(|run| run.everywhere).collect::<Vec<_>>();
    let answered = |side: &[Medians]| side.iter().map(|run| run.answered).collect::<Vec<_>>();
    let ratio = Spread::of_ratio(&everywhere(ours), &everywhere(theirs))?;
    Some(Row {
        case,
        atoll_ms: Spread::of(&everywhere(ours))?,
        etcd_ms: Spread::of(&everywhere(theirs))?,
        ratio,
        atoll_answer_ms: Spread::of(&answered(ours))?,
        etcd_answer_ms: Spread::of(&answered(theirs))?,
        bar: BAR,
        met: ratio.median <= BAR,
    })
}

/// So many writes, one after another.
async fn write(side: &impl Side, watchers: &mut Watchers, writes: u64) -> anyhow::Result<Medians> {
    let (mut answered, mut everywhere) = (Vec::new(), Vec::new());
    for at in 0..writes {
        let start = Instant::now();
        let number = side.write(at as usize, &format!("write {at}")).await?;
        answered.push(start.elapsed().as_secs_f64() * 1e3);
        let last = watchers.all_have(number).await?;
        everywhere.push(last.saturating_duration_since(start).as_secs_f64() * 1e3);
    }
    let median = |figures: &[f64]| Spread::of(figures).map(|spread| spread.median).context("nothing was written");
    Ok(Medians { answered: median(&answered)?, everywhere: median(&everywhere)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_of_all_watchers_counts_and_the_first_time_that_each_of_them_had_it() {
        let (mut watchers, begin) = (Watchers::default(), Instant::now());
        let at = move |ms| begin + std::time::Duration::from_millis(ms);
        watchers.add(async move |seen: Seen| {
            seen.note(7, at(3));
            seen.note(7, at(90));
        });
        watchers.add(async move |seen: Seen| seen.note(8, at(5)));
        assert_eq!(watchers.all_have(7).await.unwrap(), at(5));
        assert!(watchers.all_have(8).await.is_err(), "one of them will never have it");
    }

    #[test]
    fn a_case_is_held_against_the_ratio_of_the_medians() {
        let side = |figures: [f64; 3]| figures.map(|everywhere| Medians { answered: everywhere / 2.0, everywhere });
        let row = |ours, theirs| row("a case".into(), &side(ours), &side(theirs)).unwrap();
        assert!(row([5.0, 9.0, 5.5], [5.5, 5.5, 6.0]).met);
        let missed = row([7.0, 7.0, 7.0], [5.0, 5.0, 8.0]);
        assert!(!missed.met);
        assert_eq!((missed.ratio.median, missed.atoll_answer_ms.median), (1.4, 3.5));
    }
}
