//! The manual of failover names the test behind each of its claims; each of them must exist.

use std::{collections::BTreeSet, fs, path::Path};

const MANUAL: &str = include_str!("../../../docs/failover.md");

/// The names of tests in the rows of the manual's tables from "Invariants" on.
fn named() -> BTreeSet<&'static str> {
    let tables = MANUAL.split("\n## Invariants\n").nth(1).expect("the manual has invariants");
    // Every second part between back quotes is quoted; a test's name has several words.
    let quoted = tables.split('`').skip(1).step_by(2);
    let is_test = |name: &&str| {
        name.matches('_').count() >= 2 && name.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    quoted.filter(is_test).collect()
}

fn sources(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap_or_default());
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, text);
        } else if name.ends_with(".rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_manual_of_failover_names_exists() {
    let mut text = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut text);
    let named = named();
    assert!(named.len() > 40, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !text.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "docs/failover.md names tests that are not there: {missing:?}");
}

#[test]
fn all_invariants_have_their_row() {
    for number in 1..=25 {
        assert_eq!(MANUAL.matches(&format!("\n| {number} | ")).count(), 1, "invariant {number}");
    }
}
