use super::*;
#[test]
fn the_default_world_is_valid() {
    for regions in 1..=5 {
        let text = World::default_toml(regions, 0);
        let world = World::parse(&text, "world.toml").unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(world.regions.len(), regions);
    }
}
