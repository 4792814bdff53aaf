//! What would be left of the capacity if the worst region died, in words, before and after a change of the World.

use std::collections::BTreeSet;

use decision::capacity_left;
use model::{Plan, RegionName};

/// The words for the region whose death would leave least; none if what some region can carry is not known.
pub(crate) fn in_words(before: &Plan, after: &Plan) -> Option<String> {
    let left = |plan: &Plan, region: &RegionName| capacity_left(plan, &BTreeSet::from([region.clone()]));
    let each = after.world.regions.iter().filter_map(|region| Some((left(after, &region.name)?, &region.name)));
    let (now, worst) = each.min()?;
    let was = left(before, worst).filter(|was| *was != now);
    let was = was.map(|was| format!(" ({was} % before)")).unwrap_or_default();
    Some(format!("capacity left if {worst} dies: {now} %{was}"))
}

#[cfg(test)]
mod tests {
    use model::{PlanId, World};

    use super::*;

    fn plan(rps: [Option<u32>; 3]) -> Plan {
        let mut world = World::parse(&World::default_toml(3, 0), "").unwrap();
        for (region, rps) in world.regions.iter_mut().zip(rps) {
            region.capacity_rps = rps;
        }
        Plan::new(PlanId { lineage: 1, version: 1 }, 0, "a test", world)
    }

    #[test]
    fn the_worst_loss_is_told_with_what_it_was_before() {
        let (even, uneven) = (plan([Some(100); 3]), plan([Some(500), Some(1000), Some(500)]));
        let unknown = plan([Some(500), None, Some(500)]);
        let cases = [
            (&even, &even, Some("capacity left if ap-south dies: 66 %")),
            (&even, &uneven, Some("capacity left if eu-west dies: 50 % (66 % before)")),
            (&unknown, &uneven, Some("capacity left if eu-west dies: 50 %")),
            (&even, &unknown, None),
        ];
        for (before, after, words) in cases {
            assert_eq!(in_words(before, after).as_deref(), words);
        }
    }
}
