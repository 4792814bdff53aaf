//! The examples in `docs/dns.md`: each policy is compiled, and what stands under it is what is explained.

use std::{collections::BTreeMap, fmt::Write as _};

use expect_test::expect_file;

use super::{policies::plan_from, world::*};
use crate::{Rtype, View, ViewInputs, explain};

/// What stands between the mark and its end: how a client is steered by the policy written before it. `CLIENT[, REGION … down]
/// [, REGION loaded PERMILLE]`.
fn explained(policy: &str, asked: &str) -> String {
    let mut plan = plan_from(policy);
    let mut words = asked.split(", ");
    let client = words.next().unwrap_or_default();
    let mut load_permille = BTreeMap::new();
    for word in words {
        if let Some(regions) = word.strip_suffix(" down") {
            down(&mut plan, regions);
        } else if let Some((region, load)) = word.split_once(" loaded ") {
            load_permille.insert(region_name(region), load.parse().unwrap());
        } else {
            panic!("what is `{word}`?");
        }
    }
    let inputs = ViewInputs { load_permille, ..ViewInputs::new(region_name("us-east")) };
    let view = View::compile(&plan, &inputs).unwrap();
    let told = explain(&view, "www.shop.test", client.parse().unwrap(), Rtype::A).unwrap();
    let mut text = format!("```\n$ atoll explain dns www.shop.test --from {client}\n…\n");
    for line in told.steering.unwrap().lines() {
        let _ = writeln!(text, "  {line}");
    }
    text + "```\n"
}

#[test]
fn what_the_docs_show_of_policies_is_what_is_explained() {
    let docs = include_str!("../../../../docs/dns.md");
    let (mut fresh, mut rest, mut examples) = (String::new(), docs, 0);
    while let Some((before, after)) = rest.split_once("<!-- explain: ") {
        let (asked, after) = after.split_once(" -->\n").expect("a mark is closed");
        let (_, after) = after.split_once("<!-- end -->").expect("an example has an end");
        let (_, policy) = before.rsplit_once("```toml\n").expect("a policy stands before an example");
        let (policy, _) = policy.split_once("```").expect("a policy has an end");
        let _ = write!(fresh, "{before}<!-- explain: {asked} -->\n{}<!-- end -->", explained(policy, asked));
        rest = after;
        examples += 1;
    }
    assert!(examples >= 9, "{examples}");
    // Written anew with UPDATE_EXPECT=1.
    expect_file!["../../../../docs/dns.md"].assert_eq(&(fresh + rest));
}
