//! The World that a scenario's shape stands for, and its subjects by number.

use model::{Check, Location, Pool, Region, RegionName, Subject, World};

use super::scenario::Shape;

/// The name of the pool that all regions are members of; it is judged with the regions.
pub(crate) const WEB: &str = "web";
/// The name of the pool that has a check of its own.
pub(crate) const API: &str = "api";

/// The name of a region by its index. Letters first, in the order of the numbers.
#[expect(clippy::unwrap_used, reason = "the name is made here, of letters and a digit")]
pub(crate) fn region_name(index: usize) -> RegionName {
    RegionName::new(format!("r{}", index + 1)).unwrap()
}

/// The World of a shape: the first pool has all regions, the second one some, with a check of its own.
pub(crate) fn world_of(shape: &Shape) -> World {
    let region = |(index, settings): (usize, &super::scenario::RegionShape)| {
        let id = index as u16 + 1;
        Region {
            check: Some("gateway".into()),
            gateway_v4: Some([10, 0, 0, id as u8].into()),
            gateway_v6: settings.has_v6.then(|| [0xfd00, 0, 0, 0, 0, 0, 0, id].into()),
            ..Region::new(region_name(index), id, Location { latitude: 0.0, longitude: 0.0 })
        }
    };
    let regions: Vec<Region> = shape.regions.iter().enumerate().map(region).collect();
    let members = |count: usize| (0..count).map(region_name).collect();
    let mut pools = vec![(WEB.to_owned(), Pool::of(members(regions.len()), Some("gateway".into())))];
    if shape.second_pool > 0 {
        pools.push((API.to_owned(), Pool::of(members(shape.second_pool), Some("api".into()))));
    }
    let second = Check { path: "/api".into(), ..Check::default() };
    World {
        profile: shape.profile,
        checks: [("gateway".to_owned(), Check::default()), ("api".to_owned(), second)].into(),
        pools: pools.into_iter().collect(),
        ..World::of("simulated", regions)
    }
}

/// A subject by number: the regions first, then the members of the second pool, as they come in [`World::subjects`] by region.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) subject: Subject,
    pub(crate) region: usize,
    pub(crate) is_member: bool,
}

/// All subjects: regions, then members.
pub(crate) fn subjects_of(shape: &Shape, world: &World) -> Vec<Watched> {
    let index = |name: &RegionName| (0..shape.regions.len()).find(|index| region_name(*index) == *name).unwrap_or(0);
    let watched =
        |subject: Subject| Watched { region: index(subject.region()), is_member: subject.pool().is_some(), subject };
    let mut all: Vec<Watched> = world.subjects().map(|(subject, _)| watched(subject)).collect();
    all.sort_by_key(|watched| (watched.is_member, watched.region));
    all
}
