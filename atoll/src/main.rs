//! The binary: up, region, status, explain, drain, override, drill.

fn main() {}
