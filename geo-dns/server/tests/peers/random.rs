//! Random zones from a seed, as master files: lines are thrown together, and those that a World would refuse are taken out again.

use std::fmt::Write;

use crate::{ask::Ask, ours, questions};

/// Choices from a seed.
pub(crate) struct Luck(u64);

impl Luck {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Few labels, so that names meet.
const LABELS: [&str; 4] = ["a", "b", "c", "d"];

/// A zone's file. `others` are the origins of zones beside it.
pub(crate) fn zone(origin: &str, others: &[String], luck: &mut Luck) -> String {
    let mut lines: Vec<String> = (0..5 + luck.below(30)).map(|_| line(others, luck)).collect();
    loop {
        let text = format!("{}{}", HEAD, lines.concat());
        let Err(errors) = ours::parse(origin, &text).check() else { return text };
        let mut wrong: Vec<usize> =
            errors.errors.iter().filter_map(|error| error.place).map(|place| place.line).collect();
        wrong.sort_unstable();
        wrong.dedup();
        for at in wrong.into_iter().rev() {
            lines.remove(at - 1 - HEAD.lines().count());
        }
    }
}

const HEAD: &str = "$TTL 300\n@ SOA ns.elsewhere.invalid. mail 1 3600 600 1209600 60\n@ NS ns.elsewhere.invalid.\n";

fn line(others: &[String], luck: &mut Luck) -> String {
    let owner = owner(luck);
    let target = |luck: &mut Luck| match luck.below(8) {
        0 => format!("{}.{}.", luck.of(&LABELS), others[luck.below(others.len())]),
        1 => "host.elsewhere.invalid.".to_owned(),
        _ => plain(luck),
    };
    // The records of a set have one TTL.
    let (rtype, data) = match luck.below(16) {
        0..=3 => ("A", format!("192.0.2.{}", luck.below(255))),
        4 => ("AAAA", format!("2001:db8::{}", luck.below(255))),
        5 => ("TXT", format!("text-{}", luck.below(9))),
        6 => ("MX", format!("10 {}", target(luck))),
        7 => ("SRV", format!("1 2 3 {}", target(luck))),
        8..=10 => ("CNAME", target(luck)),
        11 | 12 => ("NS", target(luck)),
        13 => ("DS", "1 8 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff".to_owned()),
        14 => ("TYPE731", "\\# 1 ab".to_owned()),
        _ => ("DNAME", target(luck)),
    };
    format!("{owner} {} {rtype} {data}\n", 60 + rtype.len() * 10)
}

fn plain(luck: &mut Luck) -> String {
    let labels: Vec<&str> = (0..=luck.below(3)).map(|_| luck.of(&LABELS)).collect();
    labels.join(".")
}

fn owner(luck: &mut Luck) -> String {
    let mut owner = String::new();
    let front = luck.below(6);
    let _ = match front {
        0 => write!(owner, "*.{}", plain(luck)),
        1 => write!(owner, "*"),
        _ => write!(owner, "{}", plain(luck)),
    };
    owner
}

/// So many questions about a zone, of all that there are.
pub(crate) fn asks(origin: &str, text: &str, count: usize, luck: &mut Luck) -> Vec<Ask> {
    let all = questions::all(&ours::parse(origin, text).zone);
    (0..count.min(all.len())).map(|_| all[luck.below(all.len())].clone()).collect()
}
