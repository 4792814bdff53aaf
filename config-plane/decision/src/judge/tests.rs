//! The decision tables of `testdata/`, run against the real judge and the real state machine, and a law over random worlds.

mod invariants;
mod stage;
mod table;

use expect_test::expect_file;
use proptest::prelude::*;

use stage::{Say, Stage};

#[test]
fn failover_goes_as_the_table_says() {
    let text = include_str!("../../testdata/failover.txt");
    expect_file!["../../testdata/failover.txt"].assert_eq(&table::run(text));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever observers say: a judge with a fresh Plan proposes nothing that is refused, always asks to be woken later than
    /// now, and somebody serves.
    #[test]
    fn a_judge_with_a_fresh_plan_is_never_refused(
        says in prop::collection::vec((0u64..20_000, 0usize..5, 0usize..5, 0u8..4, any::<bool>()), 0..60),
    ) {
        const NAMES: [&str; 5] = ["ap", "eu", "sa", "us", "uw"];
        let mut stage = Stage::new(&NAMES);
        let mut says = says;
        says.sort_unstable();
        for (at_ms, observer, about, vote, silent) in says {
            stage.run_until(at_ms);
            let vote = [model::Vote::Up, model::Vote::Down, model::Vote::Unknown, model::Vote::Degraded][usize::from(vote)];
            stage.say(NAMES[observer], &if silent { Say::Silence } else { Say::Vote(NAMES[about].into(), vote) });
        }
        stage.run_until(30_000);
        prop_assert_eq!(&stage.refused, &Vec::<String>::new());
        prop_assert!(!stage.serving().is_empty());
    }
}
