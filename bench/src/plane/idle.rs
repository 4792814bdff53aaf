//! What a member costs that has nothing to do: CPU time and resident memory of three processes.
//!
//! ```text
//! three observers ── their whole vote vectors, each period ──→ each member ──→ a follower of its own
//! quiet day   every vote is Up, nobody changes anything
//! busy day    a human's word each 5 s, and in each period every observer calls another member of a pool Down: no quorum
//! ```
//! Observers and followers are in the bench: their cost is not a member's.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use model::{Check, Pool, Record, RecordData, RegionName, Steered, SteeringPolicy, Subject, Vote, VoteVector, World};
use plane_client::{Because, Endpoint, PlaneClient, Transport};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, interval, sleep, sleep_until},
};

use super::{atoll::AtollSide, clocks::Clocks};
use crate::{
    PlaneArgs,
    figure::{Bar, Figure},
    proc::{own_bytes, resident_bytes},
};

/// Pools of the World, half of them with a check of their own.
const POOLS: u64 = 50;
/// A member may cost so much of a core, percent, and so many bytes of memory.
const CPU_BAR: f64 = 1.0;
const MEMORY_BAR_MB: f64 = 30.0;
/// From one change to the next on the busy day.
const CHANGE_EACH: Duration = Duration::from_secs(5);
/// Until the World is everywhere, followers have had it twice, and buffers have been given back.
const SETTLE: Duration = Duration::from_secs(15);
/// From one vote vector to the next, and how long it may travel: as an observer of these checks has it.
const VOTE_EACH: Duration = Duration::from_millis(500);
const VOTE_LIFE: Duration = Duration::from_millis(1500);

/// What a member costs, and how many cores others kept busy meanwhile.
pub(super) async fn measure(args: &PlaneArgs, world: &str) -> anyhow::Result<(Vec<Figure>, f64)> {
    let atoll = AtollSide::start("idle", world).await?;
    let large = large(World::parse(world, "world.toml")?, args.names)?;
    let bytes = serde_json::to_vec(&large)?.len();
    eprintln!("idle: a World of {POOLS} pools and {} names, {bytes} bytes of JSON", args.names);
    let client = atoll.client()?;
    let based_on = client.plan(None).await?.id;
    client.set_world(&large, based_on, Because { who: "bench", reason: "a large World" }).await?;

    let _followers = atoll.followers("idle", 3)?;
    let busy = watch::Sender::new(false);
    let _voting = observers(&atoll, &large, &busy)?;
    sleep(SETTLE).await;

    eprintln!("idle: {} seconds of a quiet day", args.seconds);
    let quiet = day(&atoll, args.seconds, false).await?;
    busy.send_replace(true);
    eprintln!("idle: {} seconds of a busy day", args.seconds);
    let loud = day(&atoll, args.seconds, true).await?;

    let what = |what: &str| format!("a member with {POOLS} pools and {} names: {what}", args.names);
    let (cpu_bar, memory_bar) = (Some(Bar::AtMost(CPU_BAR)), Some(Bar::AtMost(MEMORY_BAR_MB)));
    let figures = vec![
        Figure::new(what("CPU, quiet day"), quiet.cpu_percent, "% core", cpu_bar),
        Figure::new(what("memory, quiet day"), quiet.memory_mb, "MB", memory_bar),
        Figure::new(what("of it not the program's, quiet day"), quiet.own_mb, "MB", None),
        Figure::new(what("CPU, busy day"), loud.cpu_percent, "% core", cpu_bar),
        Figure::new(what("memory, busy day"), loud.memory_mb, "MB", memory_bar),
        Figure::new(what("of it not the program's, busy day"), loud.own_mb, "MB", None),
    ];
    Ok((figures, quiet.others_cores.max(loud.others_cores)))
}

/// What the dearest member cost.
struct Day {
    cpu_percent: f64,
    memory_mb: f64,
    own_mb: f64,
    others_cores: f64,
}

/// So many seconds, with or without somebody who changes something.
async fn day(atoll: &AtollSide, seconds: u64, is_busy: bool) -> anyhow::Result<Day> {
    let pids = atoll.pids();
    let (clocks, end) = (Clocks::read(&pids)?, Instant::now() + Duration::from_secs(seconds));
    for change in 0.. {
        sleep_until(end.min(Instant::now() + CHANGE_EACH)).await;
        if Instant::now() >= end {
            break;
        }
        if is_busy {
            atoll.say(change, &format!("change {change}")).await?;
        }
    }
    let spent = clocks.spent()?;
    let memory = pids.iter().map(|pid| resident_bytes(*pid)).collect::<anyhow::Result<Vec<u64>>>()?;
    let own = pids.iter().map(|pid| own_bytes(*pid)).collect::<anyhow::Result<Vec<u64>>>()?;
    eprintln!("idle: shares of a core {:.4?}, bytes {memory:?}", spent.cores);
    Ok(Day {
        cpu_percent: 100.0 * spent.cores.iter().copied().fold(0.0, f64::max),
        memory_mb: memory.iter().copied().max().unwrap_or_default() as f64 / 1e6,
        own_mb: own.iter().copied().max().unwrap_or_default() as f64 / 1e6,
        others_cores: spent.others_cores,
    })
}

/// The World with more pools, half of them with a check of their own, and with so many names, every other one steered.
fn large(mut world: World, names: u64) -> anyhow::Result<World> {
    let regions: Vec<RegionName> = world.regions.iter().map(|region| region.name.clone()).collect();
    let own = world.pools.values().next().and_then(|pool| pool.check.clone()).context("the pool has a check")?;
    world.checks.insert("deep".into(), Check { path: "/deep".into(), ..Check::default() });
    for region in &mut world.regions {
        // Pools with different checks leave it open by which of them a region is judged.
        region.check = Some(own.clone());
    }
    for pool in world.pools.len() as u64..POOLS {
        let check = if pool % 2 == 0 { own.clone() } else { "deep".to_owned() };
        world.pools.insert(format!("pool-{pool}"), Pool::of(regions.clone(), Some(check)));
    }
    let pools: Vec<String> = world.pools.keys().cloned().collect();
    let zone = world.zones.first_mut().context("there is a zone")?;
    for at in (zone.records.len() + zone.steered.len()) as u64..names {
        let name = format!("service-{at}");
        if at % 2 == 0 {
            let data = RecordData::A([10, (at >> 16) as u8, (at >> 8) as u8, at as u8].into());
            zone.records.push(Record { name, data, ttl: None });
        } else {
            let pool = pools[at as usize % pools.len()].clone();
            zone.steered.push(Steered::to(&name, &pool, SteeringPolicy::Nearest));
        }
    }
    world.validate().context("the World of the bench")?;
    Ok(world)
}

/// Every region's observer, telling every member, until the set is dropped.
fn observers(atoll: &AtollSide, world: &World, busy: &watch::Sender<bool>) -> anyhow::Result<JoinSet<()>> {
    let subjects: Vec<Subject> = world.subjects().map(|(subject, _)| subject).collect();
    let mut voting = JoinSet::new();
    for (at, region) in world.regions.iter().enumerate() {
        let transport = atoll.transport(at)?;
        let loads: BTreeMap<RegionName, u32> = world.regions.iter().map(|region| (region.name.clone(), 1000)).collect();
        let votes = subjects.iter().map(|subject| (subject.clone(), Vote::Up)).collect();
        let vector = VoteVector { load_rps: loads, ..VoteVector::new(region.name.clone(), 1, 0, votes) };
        for member in atoll.endpoints() {
            voting.spawn(courier(transport.clone(), member.clone(), vector.clone(), busy.subscribe()));
        }
    }
    Ok(voting)
}

/// Brings one observer's votes to one member. On a busy day it calls another member of a pool Down each time, for one
/// period: too short for a decision.
async fn courier(transport: Transport, member: Endpoint, mut vector: VoteVector, busy: watch::Receiver<bool>) {
    let members: Vec<Subject> =
        vector.votes.keys().filter(|subject| matches!(subject, Subject::Member { .. })).cloned().collect();
    let mut periods = interval(VOTE_EACH);
    loop {
        periods.tick().await;
        vector.seq += 1;
        vector.votes.values_mut().for_each(|vote| *vote = Vote::Up);
        let sick = members.get(vector.seq as usize % members.len().max(1));
        if let Some(sick) = sick.filter(|sick| *busy.borrow() && *sick.region() != vector.observer) {
            vector.votes.insert(sick.clone(), Vote::Down);
        }
        if let Err(error) = PlaneClient::vote(&transport, &member, &vector, VOTE_LIFE).await {
            eprintln!("idle: a vote did not arrive at {member}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_large_world_is_as_large_as_it_says() {
        let world = large(World::parse(&World::default_toml(3, 0), "").unwrap(), 10_000).unwrap();
        let names: usize = world.zones.iter().map(|zone| zone.records.len() + zone.steered.len()).sum();
        assert_eq!((world.pools.len(), names), (50, 10_000));
        assert_eq!(world.subjects().count(), 3 + 25 * 3, "a region's, and a member's where its check is another one");
    }
}
