//! What the docs say of tests: each test that they name is there.

use std::{collections::BTreeSet, fs, path::Path};

/// Documents whose tables name tests.
const DOCS: [&str; 3] = ["docs/failover.md", "docs/gateway.md", "docs/simulation.md"];
/// A word in backquotes with so many underscores is the name of a test; shorter ones may be keys or modules.
const UNDERSCORES: usize = 4;

fn named(text: &str) -> BTreeSet<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|word| word.matches('_').count() >= UNDERSCORES && !word.contains([' ', '/', '.'])).collect()
}

/// Adds the names of all functions below a directory.
fn functions(dir: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let skipped = ["target", "vendor", ".git"].iter().any(|name| path.ends_with(name));
        if path.is_dir() && !skipped {
            functions(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
            into.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn every_test_that_the_docs_name_is_there() {
    let root = crate::tests::root();
    let mut found = BTreeSet::new();
    functions(root, &mut found);
    for doc in DOCS {
        let text = fs::read_to_string(root.join(doc)).unwrap();
        let named = named(&text);
        assert!(named.len() > 5, "{doc} names {} tests", named.len());
        let missing: Vec<&&str> = named.iter().filter(|name| !found.contains(**name)).collect();
        assert!(missing.is_empty(), "{doc} names tests that are not there: {missing:?}");
    }
}

#[test]
fn each_invariant_of_the_plane_has_its_row() {
    let text = fs::read_to_string(crate::tests::root().join("docs/failover.md")).unwrap();
    for number in 1..=25 {
        assert_eq!(text.matches(&format!("\n| {number} | ")).count(), 1, "invariant {number}");
    }
}
