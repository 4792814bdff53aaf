//! Numbers for zones and regions, so that who counts answers needs no table of texts on the way of a query.

use model::{RegionName, World};

/// What is behind the numbers of one View. Another View may number them otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    zones: Vec<String>,
    /// By the region's number in the World; a number that no region has is empty.
    regions: Vec<Option<RegionName>>,
}

impl Names {
    pub(super) fn of(world: &World) -> Self {
        let count = world.regions.iter().map(|region| usize::from(region.id) + 1).max().unwrap_or_default();
        let mut regions = vec![None; count];
        for region in &world.regions {
            if let Some(slot) = regions.get_mut(usize::from(region.id)) {
                *slot = Some(region.name.clone());
            }
        }
        Self { zones: Vec::new(), regions }
    }

    /// A number for one more zone.
    pub(super) fn zone(&mut self, origin: &str) -> u32 {
        self.zones.push(origin.to_owned());
        (self.zones.len() - 1) as u32
    }

    /// Origins of the zones, by [`crate::Outcome::zone_index`].
    pub fn zones(&self) -> &[String] {
        &self.zones
    }

    /// Names of the regions, by [`crate::Outcome::region_index`].
    pub fn regions(&self) -> &[Option<RegionName>] {
        &self.regions
    }
}
