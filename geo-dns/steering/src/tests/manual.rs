//! The examples of `docs/migrating-dns.md` are Worlds that can be served.

use model::{Plan, PlanId, World};

use super::world::*;
use crate::{View, ViewInputs};

/// The blocks of TOML in a page.
fn blocks(page: &str) -> Vec<&str> {
    let begins = page.split("```toml\n").skip(1);
    begins.filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_examples_of_the_migration_page_can_be_served() {
    let page = include_str!("../../../../docs/migrating-dns.md");
    let blocks = blocks(page);
    let (regions, examples) = blocks.split_first().expect("the page has examples");
    assert!(examples.len() >= 2, "an example for each of those one may come from");
    for example in examples {
        let text = format!("{regions}\n{example}");
        let world = World::parse(&text, "example").unwrap_or_else(|errors| panic!("{errors}\n{example}"));
        let plan = Plan::new(PlanId { lineage: 1, version: 1 }, 0, "test", world);
        let view = View::compile(&plan, &ViewInputs { geo: geo(), ..ViewInputs::new(region_name("us-east")) }).unwrap();
        let answer = show(&ask(&view, "www.shop.test A @5.1.1.1").1);
        assert!(answer.contains("A 192.0.2.2"), "{answer}");
    }
}
