//! The network between the regions of a local world: presets of round trips, faults asked for by hand, and the way back.

use std::collections::BTreeMap;

use chaos_wan::{LinkShape, Wan};
use model::{Location, World};
use serde::{Deserialize, Serialize};

use crate::cli::WanPreset;

/// A change of the network, as it travels over the control socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "wan", rename_all = "kebab-case")]
pub(crate) enum WanAsk {
    Show,
    Cut { from: String, to: String, one_way: bool },
    Set { from: Option<String>, to: Option<String>, delay_ms: Option<f64>, jitter_ms: Option<f64>, loss: Option<f64> },
    Heal,
}

/// One direction, as `up wan show` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LinkReport {
    pub(crate) from: String,
    pub(crate) to: String,
    #[serde(flatten)]
    pub(crate) shape: LinkShape,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) dropped: u64,
}

/// The emulator and the shapes it began with.
#[derive(Debug)]
pub(crate) struct Network {
    wan: Wan,
    first: BTreeMap<(String, String), LinkShape>,
}

impl Network {
    /// Makes the emulator for a World, shaped by a preset. Paths are opened by the caller.
    pub(crate) fn new(world: &World, preset: WanPreset) -> anyhow::Result<Self> {
        let ends: Vec<String> = world.regions.iter().map(|region| region.name.to_string()).collect();
        let wan = Wan::new(&ends);
        let mut first = BTreeMap::new();
        for from in &world.regions {
            for to in world.regions.iter().filter(|to| to.name != from.name) {
                let shape =
                    LinkShape::of_round_trip(round_trip_ms(world, preset, from.name.as_str(), to.name.as_str()));
                wan.set(from.name.as_str(), to.name.as_str(), shape)?;
                first.insert((from.name.to_string(), to.name.to_string()), shape);
            }
        }
        Ok(Self { wan, first })
    }

    pub(crate) async fn open(&mut self, paths: &[chaos_wan::Path]) -> anyhow::Result<()> {
        for path in paths {
            self.wan.open(path).await?;
        }
        Ok(())
    }

    /// Does what was asked and reports every link as it is afterwards.
    pub(crate) fn change(&self, ask: &WanAsk) -> anyhow::Result<Vec<LinkReport>> {
        match ask {
            WanAsk::Show => {}
            WanAsk::Cut { from, to, one_way } => {
                let cut = |from: &str, to: &str| {
                    let shape = self.wan.shape(from, to)?;
                    self.wan.set(from, to, LinkShape { cut: true, ..shape })
                };
                cut(from, to)?;
                if !one_way {
                    cut(to, from)?;
                }
            }
            WanAsk::Set { from, to, delay_ms, jitter_ms, loss } => {
                for (a, b) in self.first.keys() {
                    let named = |end: &Option<String>, name: &str| end.as_deref().is_none_or(|end| end == name);
                    if !named(from, a) || !named(to, b) {
                        continue;
                    }
                    let mut shape = self.wan.shape(a, b)?;
                    shape.delay_ms = delay_ms.unwrap_or(shape.delay_ms);
                    shape.jitter_ms = jitter_ms.unwrap_or(shape.jitter_ms);
                    shape.loss = loss.unwrap_or(shape.loss);
                    self.wan.set(a, b, shape)?;
                }
            }
            WanAsk::Heal => {
                for ((a, b), shape) in &self.first {
                    self.wan.set(a, b, *shape)?;
                }
            }
        }
        self.report()
    }

    fn report(&self) -> anyhow::Result<Vec<LinkReport>> {
        let counts = self.wan.counts();
        let links = counts.into_iter().map(|((from, to), count)| {
            let shape = self.wan.shape(&from, &to)?;
            let (packets, bytes, dropped) = (count.packets, count.bytes, count.dropped);
            Ok(LinkReport { from, to, shape, packets, bytes, dropped })
        });
        links.collect()
    }
}

/// The longest round trip of a preset, rounded up; raft's patience follows from it.
pub(crate) fn longest_round_trip_ms(world: &World, preset: WanPreset) -> u64 {
    let names: Vec<&str> = world.regions.iter().map(|region| region.name.as_str()).collect();
    let pairs = names.iter().flat_map(|a| names.iter().filter(move |b| *b != a).map(move |b| (*a, *b)));
    let longest = pairs.map(|(a, b)| round_trip_ms(world, preset, a, b)).fold(1.0, f64::max);
    longest.ceil() as u64
}

/// Round trips between cloud regions, milliseconds, rounded from the providers' public inter-region latency pages.
const ROUND_TRIPS: &[(&str, &str, f64)] = &[
    ("us-east", "eu-west", 80.0),
    ("us-east", "ap-south", 200.0),
    ("eu-west", "ap-south", 120.0),
    ("us-east", "us-west", 65.0),
    ("us-west", "eu-west", 130.0),
    ("us-west", "ap-south", 220.0),
    ("us-east", "sa-east", 115.0),
    ("eu-west", "sa-east", 180.0),
    ("us-west", "sa-east", 175.0),
    ("ap-south", "sa-east", 300.0),
];

fn round_trip_ms(world: &World, preset: WanPreset, a: &str, b: &str) -> f64 {
    if preset == WanPreset::Lan {
        return 1.0;
    }
    let known = ROUND_TRIPS.iter().find(|(x, y, _)| (*x, *y) == (a, b) || (*x, *y) == (b, a));
    if let Some((_, _, ms)) = known {
        return *ms;
    }
    let place = |name: &str| world.regions.iter().find(|r| r.name.as_str() == name).map(|r| r.location);
    match (place(a), place(b)) {
        // Light in fibre takes 4.9 µs/km; real paths are about half as long again as the great circle.
        (Some(a), Some(b)) => (great_circle_km(a, b) * 2.0 * 0.0049 * 1.5).max(2.0),
        _ => 1.0,
    }
}

/// Haversine on a sphere of 6371 km.
fn great_circle_km(a: Location, b: Location) -> f64 {
    let (lat_a, lat_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let half = |x: f64| (x / 2.0).sin().powi(2);
    let h = half(lat_b - lat_a) + lat_a.cos() * lat_b.cos() * half((b.longitude - a.longitude).to_radians());
    2.0 * 6371.0 * h.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World::parse(&World::default_toml(3, 0), "world.toml").unwrap()
    }

    #[test]
    fn presets_give_the_documented_round_trips() {
        let world = world();
        assert_eq!(longest_round_trip_ms(&world, WanPreset::Lan), 1);
        assert_eq!(longest_round_trip_ms(&world, WanPreset::World), 200);
        assert_eq!(round_trip_ms(&world, WanPreset::World, "eu-west", "us-east"), 80.0);
    }

    #[test]
    fn a_cut_can_be_one_way_and_healing_restores_the_first_shapes() {
        let network = Network::new(&world(), WanPreset::World).unwrap();
        let cut = WanAsk::Cut { from: "us-east".into(), to: "eu-west".into(), one_way: true };
        let cuts = |links: &[LinkReport]| links.iter().filter(|link| link.shape.cut).count();
        assert_eq!(cuts(&network.change(&cut).unwrap()), 1);
        let all = WanAsk::Set { from: None, to: None, delay_ms: None, jitter_ms: None, loss: Some(0.05) };
        assert!(network.change(&all).unwrap().iter().all(|link| link.shape.loss == 0.05));
        let healed = network.change(&WanAsk::Heal).unwrap();
        assert_eq!(cuts(&healed), 0);
        assert!(healed.iter().all(|link| link.shape.loss == 0.0 && link.shape.delay_ms >= 40.0));
    }

    #[test]
    fn regions_of_ones_own_get_round_trips_from_their_distance() {
        let dublin = Location { latitude: 53.35, longitude: -6.26 };
        let mumbai = Location { latitude: 19.08, longitude: 72.88 };
        assert!((7500.0..7800.0).contains(&great_circle_km(dublin, mumbai)));
    }
}
