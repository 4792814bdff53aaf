//! The kinds of objects that a World is made of, and where each stands in it.

/// A kind of object.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Where they are: `/v1/PLURAL`.
    pub(crate) plural: &'static str,
    /// One of them, in words.
    pub(crate) noun: &'static str,
    /// Where they stand in the World's JSON.
    pub(crate) key: &'static str,
    /// How.
    pub(crate) shape: Shape,
    /// The name of its schema.
    pub(crate) schema: &'static str,
}

/// How objects of a kind stand in the World.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// In a list; each has its name at this key.
    List(&'static str),
    /// By name.
    Map,
    /// There is always one of them, without a name.
    One,
}

const fn kind(plural: &'static str, noun: &'static str, key: &'static str, shape: Shape, schema: &'static str) -> Kind {
    Kind { plural, noun, key, shape, schema }
}

/// All of them. Zones have their names with them.
pub(crate) static KINDS: [Kind; 9] = [
    kind("regions", "region", "region", Shape::List("name"), "Region"),
    kind("checks", "check", "check", Shape::Map, "Check"),
    kind("pools", "pool", "pool", Shape::Map, "Pool"),
    kind("policies", "policy", "policy", Shape::Map, "Policy"),
    kind("prefix-lists", "prefix list", "prefix_list", Shape::List("name"), "PrefixList"),
    kind("zones", "zone", "zone", Shape::List("origin"), "Zone"),
    kind("safety-rules", "safety rule", "safety", Shape::List("name"), "SafetyRule"),
    kind("state-policy", "state policy", "state", Shape::One, "StatePolicy"),
    kind("automation", "automation", "automation", Shape::One, "Automation"),
];
