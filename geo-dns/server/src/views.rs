//! Makes Views of Plans: one task, three inputs, one output.
//!
//! Whatever changes, it does the same thing: take the latest Plan, the latest demotions and the latest locations, compile, swap. Changes that come
//! while it compiles are taken together afterwards.
//!
//! A Plan is poison until the contrary is shown. It is compiled on a thread of its own; if it cannot be compiled, makes the
//! compiler panic, or takes longer than [`COMPILE_WITHIN`], nothing changes but the status: the View before it goes on
//! answering, and the next Plan is tried. A compiler that does not end is left behind, and at most [`LEFT_BEHIND`] of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use model::{Plan, PlanId, RegionName};
use steering::{CompileError, View, ViewInputs, geo::Geo};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::Views;

/// The largest World that validation lets pass takes a fraction of this, on a busy machine too.
pub const COMPILE_WITHIN: Duration = Duration::from_secs(10);
/// How many compilers that do not end may burn away beside the rest. Beyond that no Plan is tried until one of them ends.
pub const LEFT_BEHIND: usize = 2;

/// Of a thread whose work can wait, in the scale of `nice`.
const LOWEST_PRIORITY: i32 = 19;
/// From one look whether anybody still answers from a View that was replaced to the next.
const LET_GO_AFTER: Duration = Duration::from_millis(100);
/// From one attempt on a Plan that was refused to the next.
const RETRY: Duration = Duration::from_secs(10);

/// Loads that have changed by less are taken for the same: they are told each second, and each View costs its compilation.
const LOAD_STEP_PERMILLE: u32 = 50;

/// Makes a View of a Plan.
pub type Compile = fn(&Plan, &ViewInputs) -> Result<View, CompileError>;

/// What a publisher needs to know besides what it watches.
#[derive(Debug, Clone)]
pub struct Publishing {
    /// The region of this server.
    pub server_region: RegionName,
    /// Where addresses are.
    pub geo: watch::Receiver<Arc<Geo>>,
    /// What regions carry of what they can, per mille, for policies that go by it.
    pub load_permille: watch::Receiver<BTreeMap<RegionName, u32>>,
    /// How Views are made: [`View::compile`], unless it is to be seen what happens when that goes wrong.
    pub compile: Compile,
    /// How long that may take.
    pub compile_within: Duration,
}

impl Publishing {
    /// With the embedded country table, which never changes, and no loads.
    pub fn new(server_region: RegionName) -> Self {
        let geo = watch::channel(Geo::embedded()).1;
        let load_permille = watch::channel(BTreeMap::new()).1;
        Self { server_region, geo, load_permille, compile: View::compile, compile_within: COMPILE_WITHIN }
    }
}

/// What is published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewStatus {
    /// The Plan of the View in force.
    pub plan: Option<PlanId>,
    /// When that View was made.
    pub since: Option<Instant>,
    /// The regions it leaves out on this server's own word.
    pub demoted: BTreeSet<RegionName>,
    /// A later Plan that could not be compiled, and why. The World has to be put right.
    pub refused: Option<(PlanId, String)>,
    /// Plans that could not be compiled, since start.
    pub refusals: u64,
}

/// A running publisher. Dropping it ends it; the last View stays.
#[derive(Debug)]
pub struct ViewPublisher {
    status: watch::Receiver<ViewStatus>,
    task: JoinHandle<()>,
}

impl ViewPublisher {
    /// What is published, and what could not be.
    pub fn status(&self) -> watch::Receiver<ViewStatus> {
        self.status.clone()
    }
}

impl Drop for ViewPublisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Publishes a View into `views` now, if there is a Plan, and whenever a Plan or a demotion changes; ends with the source of
/// Plans. To be called inside a tokio runtime.
pub fn publish(
    publishing: Publishing,
    plans: watch::Receiver<Option<Arc<Plan>>>,
    demoted: watch::Receiver<BTreeSet<RegionName>>,
    views: Views,
) -> ViewPublisher {
    let (sender, status) = watch::channel(ViewStatus::default());
    let task = tokio::spawn(run(publishing, plans, demoted, views, sender));
    ViewPublisher { status, task }
}

/// Puts a View in the place of the one before. That one is let go of apart, once nobody answers from it any more: a large one
/// takes long to free, and whoever lets go of it last has that to do, which must not be a thread that answers. To be called
/// inside a tokio runtime.
pub fn swap(views: &Views, view: View) {
    let Some(before) = views.swap(Some(Arc::new(view))) else { return };
    tokio::spawn(async move {
        // A query holds its View for microseconds.
        while Arc::strong_count(&before) > 1 {
            sleep(LET_GO_AFTER).await;
        }
        // Without a thread it is freed here, which is late for somebody and wrong for nobody.
        let _ = thread::Builder::new().name("dns-view-free".into()).spawn(move || {
            // On a machine with one core it would hold up those who answer. Best effort.
            let _ = rustix::process::setpriority_process(None, LOWEST_PRIORITY);
            drop(before);
        });
    });
}

async fn run(
    mut publishing: Publishing,
    mut plans: watch::Receiver<Option<Arc<Plan>>>,
    mut demoted: watch::Receiver<BTreeSet<RegionName>>,
    views: Views,
    status: watch::Sender<ViewStatus>,
) {
    let (mut demotions_end, mut locations_end, mut loads_end) = (false, false, false);
    // The loads that the View in force goes by.
    let mut loads: BTreeMap<RegionName, u32> = BTreeMap::new();
    // The locations that the View in force was made with: as they came, and with the World's prefix lists over them, which most
    // Plans leave as they are.
    let mut located: Option<(Arc<Geo>, Arc<Geo>)> = None;
    // What was compiled or refused last, to know one Plan from another under the same number.
    let mut last: Option<Arc<Plan>> = None;
    let burning = Arc::new(AtomicUsize::new(0));
    loop {
        let plan = plans.borrow_and_update().clone();
        let heavier = {
            let now = publishing.load_permille.borrow_and_update();
            let matters = plan.as_ref().is_some_and(|plan| plan.world.spills()) && differ(&loads, &now);
            matters.then(|| now.clone())
        };
        let shifted = heavier.is_some();
        loads = heavier.unwrap_or(loads);
        let geo = publishing.geo.borrow_and_update().clone();
        let listed = located.as_ref().filter(|(base, _)| Arc::ptr_eq(base, &geo)).map(|(_, listed)| listed.clone());
        let moved = listed.is_none();
        let inputs = ViewInputs {
            server_region: publishing.server_region.clone(),
            demoted: demoted.borrow_and_update().clone(),
            geo: listed.unwrap_or_else(|| geo.clone()),
            load_permille: loads.clone(),
        };
        let put_right = |plan: &Arc<Plan>| last.as_ref().is_some_and(|l| l.id == plan.id && !Arc::ptr_eq(l, plan));
        let wanted = plan
            .filter(|plan| is_news(&status.borrow(), plan.id, &inputs.demoted, moved || shifted || put_right(plan)));
        if let Some(plan) = wanted {
            last = Some(plan.clone());
            if let Some(listed) = bring_out(plan, inputs, &publishing, &burning, (&views, &status)).await {
                located = Some((geo, listed));
            }
        }
        tokio::select! {
            changed = plans.changed() => if changed.is_err() { return },
            changed = demoted.changed(), if !demotions_end => demotions_end = changed.is_err(),
            changed = publishing.geo.changed(), if !locations_end => locations_end = changed.is_err(),
            changed = publishing.load_permille.changed(), if !loads_end => loads_end = changed.is_err(),
            // What failed may have failed for want of time; nobody has to come and say "again".
            () = sleep(RETRY), if status.borrow().refused.is_some() => {}
        }
    }
}

/// Whether loads are so different that a new View is worth it: a twentieth of what a region can carry, or one came or went.
fn differ(known: &BTreeMap<RegionName, u32>, now: &BTreeMap<RegionName, u32>) -> bool {
    let moved = |(region, load): (&RegionName, &u32)| {
        known.get(region).is_none_or(|old| old.abs_diff(*load) >= LOAD_STEP_PERMILLE)
    };
    known.len() != now.len() || now.iter().any(moved)
}

/// Never back to an older Plan; and nothing to do for the same one, unless it is to be compiled `anew`: its content was put right, or
/// locations or loads have changed.
fn is_news(status: &ViewStatus, plan: PlanId, demoted: &BTreeSet<RegionName>, anew: bool) -> bool {
    status.plan.is_none_or(|current| plan > current || plan == current && (anew || *demoted != status.demoted))
}

/// Gives the locations of the new View, if there is one.
async fn bring_out(
    plan: Arc<Plan>,
    inputs: ViewInputs,
    publishing: &Publishing,
    burning: &Arc<AtomicUsize>,
    (views, status): (&Views, &watch::Sender<ViewStatus>),
) -> Option<Arc<Geo>> {
    let (id, demoted) = (plan.id, inputs.demoted.clone());
    let refused = match compiled(plan, inputs, publishing, burning).await {
        Ok(view) => {
            let geo = view.geo().clone();
            swap(views, view);
            let refusals = status.borrow().refusals;
            status.send_replace(ViewStatus {
                plan: Some(id),
                since: Some(Instant::now()),
                demoted,
                refused: None,
                refusals,
            });
            tracing::debug!(plan = %id, "a new View answers");
            return Some(geo);
        }
        Err(why) => why,
    };
    let refused = Some((id, refused));
    status.send_if_modified(|status| {
        // Refused again, for the same reason: no news.
        let news = status.refused != refused;
        if let Some((plan, error)) = refused.as_ref().filter(|_| news) {
            tracing::error!(%plan, error, "this Plan cannot be served over DNS; the one before it goes on answering");
            status.refusals += 1;
        }
        status.refused = refused;
        news
    });
    None
}

/// Compiles on a thread of its own, for as long as it may take.
async fn compiled(
    plan: Arc<Plan>,
    inputs: ViewInputs,
    publishing: &Publishing,
    burning: &Arc<AtomicUsize>,
) -> Result<View, String> {
    if burning.load(Ordering::Relaxed) >= LEFT_BEHIND {
        return Err("earlier Plans are still being compiled and do not come to an end; restart this process".into());
    }
    let (compile, within) = (publishing.compile, publishing.compile_within);
    let under_way = Burning::one_more(burning);
    let compiling = tokio::task::spawn_blocking(move || {
        let _under_way = under_way;
        compile(&plan, &inputs)
    });
    match timeout(within, compiling).await {
        Ok(Ok(Ok(view))) => Ok(view),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Err(panic)) => {
            Err(format!("compiling it made this program panic, which is a fault of the program: {panic}"))
        }
        Err(_) => Err(format!("it is not compiled after {} ms", within.as_millis())),
    }
}

/// Counts compilers under way, however they end.
struct Burning(Arc<AtomicUsize>);

impl Burning {
    fn one_more(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Burning {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_later_plans_and_other_demotions_are_news() {
        let id = |lineage, version| PlanId { lineage, version };
        let regions =
            |names: &[&str]| names.iter().map(|name| RegionName::new(*name).unwrap()).collect::<BTreeSet<_>>();
        let status = ViewStatus { plan: Some(id(1, 5)), demoted: regions(&["eu-west"]), ..ViewStatus::default() };
        for (plan, demoted, news) in [
            (id(1, 6), regions(&[]), true),
            (id(2, 1), regions(&["eu-west"]), true),
            (id(1, 5), regions(&["eu-west"]), false),
            (id(1, 5), regions(&[]), true),
            (id(1, 4), regions(&[]), false),
            (id(0, 9), regions(&["us-east"]), false),
        ] {
            assert_eq!(is_news(&status, plan, &demoted, false), news, "{plan} without {demoted:?}");
        }
        assert!(is_news(&ViewStatus::default(), id(0, 0), &regions(&[]), false));
        assert!(is_news(&status, id(1, 5), &regions(&["eu-west"]), true));
        assert!(!is_news(&status, id(1, 4), &regions(&[]), true));
    }

    #[test]
    fn loads_differ_by_a_step_or_by_who_is_known() {
        let loads = |pairs: &[(&str, u32)]| {
            pairs.iter().map(|(name, load)| (RegionName::new(*name).unwrap(), *load)).collect::<BTreeMap<_, _>>()
        };
        let known = loads(&[("eu-west", 500), ("us-east", 0)]);
        for (now, other) in [
            (loads(&[("eu-west", 500), ("us-east", 0)]), false),
            (loads(&[("eu-west", 549), ("us-east", 49)]), false),
            (loads(&[("eu-west", 550), ("us-east", 0)]), true),
            (loads(&[("eu-west", 450), ("us-east", 0)]), true),
            (loads(&[("eu-west", 500)]), true),
            (loads(&[("eu-west", 500), ("ap-south", 0)]), true),
            (loads(&[]), true),
        ] {
            assert_eq!(differ(&known, &now), other, "{now:?}");
        }
    }
}
