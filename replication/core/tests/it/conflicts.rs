//! The table of conflicts in `testdata/conflicts.txt`, line by line, over three regions.

use crate::support::{Region, START_MS, deliver, show, sync};

/// `A commands ∥ B commands → question = answer ; …`, stages joined by `⇒`. Everybody hears everything after each stage.
fn check(line: &str) {
    let (name, stages) = line.split_once(':').unwrap_or_else(|| panic!("no name: {line}"));
    let mut regions: Vec<Region> = (0..3).map(Region::new).collect();
    for stage in stages.split('⇒') {
        let (commands, answers) = stage.split_once('→').unwrap_or((stage, ""));
        let (a, b) = commands.split_once('∥').unwrap_or((commands, ""));
        for (region, commands) in [(0, a), (1, b)] {
            for command in parts(commands) {
                let (command, wall_ms) = timed(command);
                regions[region].run(command, wall_ms);
            }
        }
        deliver(&mut regions, 1, 2); // the third region hears B first, the others hear themselves first
        sync(&mut regions);
        for answer in parts(answers) {
            let (question, expected) = answer.split_once('=').unwrap_or_else(|| panic!("no answer: {answer}"));
            let (question, wall_ms) = timed(question.trim());
            for (at, region) in regions.iter_mut().enumerate() {
                let op = crate::support::parse(question);
                let got = show(region.read(&op, wall_ms));
                assert_eq!(got, expected.trim(), "{name}, region {at}: {question}\n{line}");
            }
        }
        let digests: Vec<u64> = regions.iter().map(|region| region.partition.digest()).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{name}: digests differ\n{line}");
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty())
}

/// `command @n` runs n milliseconds after the start.
fn timed(command: &str) -> (&str, u64) {
    match command.rsplit_once('@') {
        Some((command, at)) => (command.trim(), START_MS + at.trim().parse::<u64>().unwrap()),
        None => (command, START_MS),
    }
}

#[test]
fn concurrent_writes_end_as_the_table_says() {
    let table = include_str!("testdata/conflicts.txt");
    let cases: Vec<&str> = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(cases.len() > 50);
    cases.into_iter().for_each(check);
}
