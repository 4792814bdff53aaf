//! Project chores.
//!
//! ```text
//! cargo xtask test    install what the tests need, then format, lints, tests, end-to-end tests, licences; what CI calls
//! cargo xtask soak    the tests that chance drives, in their long form, until the time is over
//! cargo xtask geo     make the embedded country table anew from a MaxMind-format database
//! ```

#[cfg(test)]
mod docs;
mod geo;
mod soak;
mod tests;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask test [--only STEP]   run the checks that CI runs; STEP is one of their names
       cargo xtask soak [--minutes N]   run what chance drives with ever new seeds, half an hour unless told
       cargo xtask geo MMDB             make geo-dns/steering/data anew from a country database";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.first().map(String::as_str) {
        Some("test") => tests::run(&args[1..]),
        Some("soak") => soak::run(&args[1..]),
        Some("geo") => geo::run(&args[1..]),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
