//! A world file goes in: a View, or reasons, come out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Plan, PlanId, World};
use steering::{View, ViewInputs};

fuzz_target!(|text: &str| {
    match World::parse(text, "world.toml") {
        Ok(world) => {
            let home = world.regions[0].name.clone();
            let plan = Plan::new(PlanId { lineage: 1, version: 1 }, 0, "fuzz", world);
            // What a valid world says can be served, or the compiler says why not.
            if let Err(why) = View::compile(&plan, &ViewInputs::new(home)) {
                assert!(!why.to_string().is_empty());
            }
        }
        Err(reasons) => assert!(!reasons.to_string().is_empty()),
    }
});
