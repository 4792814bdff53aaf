//! Project chores: cargo xtask test, and the generator of the country table.

fn main() {}
