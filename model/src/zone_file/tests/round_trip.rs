//! A random zone, written down in one of the many ways that a master file has, reads back as it was.

use proptest::prelude::*;

use super::*;
use crate::{Soa, labels};

/// Choices of the writer, from a seed.
struct Luck(u64);

impl Luck {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn says_yes(&mut self) -> bool {
        self.below(2) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const ORIGIN: &str = "shop.test";

/// A label as a World writes it.
fn label(luck: &mut Luck) -> String {
    let mut text = String::new();
    let bytes: Vec<u8> = match luck.below(4) {
        0 => (0..=luck.below(5)).map(|_| luck.below(256) as u8).collect(),
        _ => luck.of(&["www", "a", "b", "x-y", "_tcp", "0"]).into(),
    };
    labels::write_label(&bytes, &mut text);
    text
}

fn owner(luck: &mut Luck) -> String {
    let mut labels: Vec<String> = (0..luck.below(4)).map(|_| label(luck)).collect();
    if luck.below(6) == 0 {
        labels.insert(0, "*".into());
    }
    // An asterisk alone in front would be the wildcard.
    if labels.first().is_some_and(|first| first == r"\042") {
        labels[0] = "*".into();
    }
    if labels.is_empty() { "@".into() } else { labels.join(".") }
}

/// An absolute name, in the zone or elsewhere.
fn target(luck: &mut Luck) -> String {
    let labels: Vec<String> = (0..=luck.below(3)).map(|_| label(luck)).collect();
    let name = labels.join(".");
    match luck.below(3) {
        0 => names::in_data(name),
        _ => format!("{name}.{ORIGIN}"),
    }
}

fn data(luck: &mut Luck) -> RecordData {
    let other = |rtype: &str, value: String| RecordData::Other { rtype: rtype.into(), value };
    match luck.below(9) {
        0 => RecordData::A([192, 0, 2, luck.below(256) as u8].into()),
        1 => RecordData::Aaaa([0x2001, 0xdb8, 0, 0, 0, 0, 0, luck.below(9) as u16].into()),
        2 => RecordData::Cname(target(luck)),
        3 => RecordData::Txt(luck.of(&["a", "two words", "q\"u\\o;t(e", "é", "\t"]).repeat(1 + luck.below(60))),
        4 => other("MX", format!("{} {}", luck.below(99), target(luck))),
        5 => other("SRV", format!("1 2 {} {}", luck.below(99), target(luck))),
        6 => other("TYPE731", r"\# 2 abcd".into()),
        7 => other("TYPE16", r#"one "t w o" ;"#.replace(';', r"\;")),
        _ => other("CAA", r#"0 issue "ca.test""#.into()),
    }
}

fn zone(luck: &mut Luck) -> Zone {
    let ttl = luck.below(90_000) as u32;
    let own = |luck: &mut Luck| (luck.below(3) == 0).then(|| 100_000 + luck.below(90_000) as u32);
    let soa = Soa {
        primary: target(luck),
        mail: target(luck),
        refresh: luck.below(9999) as u32,
        retry: 1,
        expire: 90_061,
        minimum: 2,
        ttl: own(luck),
    };
    let records = (0..luck.below(30)).map(|_| Record { name: owner(luck), data: data(luck), ttl: own(luck) });
    let records = records.collect::<Vec<_>>().into_iter();
    let records = records.filter(|record| record.name != "@" || record.data.number() != Some(RecordData::NS)).collect();
    let ns = (0..=luck.below(2)).map(|_| target(luck)).collect();
    Zone { origin: ORIGIN.into(), ttl, soa, ns, records, steered: Vec::new() }
}

/// A master file with the same meaning.
struct Writer<'l> {
    luck: &'l mut Luck,
    text: String,
    origin: String,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    last_owner: String,
}

impl Writer<'_> {
    fn gap(&mut self) {
        let gap = self.luck.of(&[" ", "\t", "  "]);
        self.text += gap;
    }

    /// Escapes written in one of their forms, letters in either case.
    fn spell(&mut self, name: &str) -> String {
        let mut out = String::new();
        for c in name.chars() {
            match (c, self.luck.below(6)) {
                ('a'..='z', 0) => out.push(c.to_ascii_uppercase()),
                ('a'..='z' | '-', 1) => out += &format!("\\{:03}", c as u32),
                _ => out.push(c),
            }
        }
        out
    }

    fn name(&mut self, absolute: &str) -> String {
        let bare = absolute.strip_suffix('.').unwrap_or(absolute);
        let inner =
            bare.strip_suffix(self.origin.as_str()).and_then(|inner| inner.strip_suffix('.')).map(str::to_owned);
        if bare == self.origin && self.luck.says_yes() {
            return "@".into();
        }
        match inner {
            Some(inner) if self.luck.says_yes() => self.spell(&inner),
            _ => self.spell(bare) + ".",
        }
    }

    fn owner(&mut self, owner: &str) {
        if owner == self.last_owner && self.luck.says_yes() {
            return;
        }
        self.last_owner = owner.to_owned();
        let absolute = if owner == "@" { ORIGIN.to_owned() } else { format!("{owner}.{ORIGIN}") };
        let name = self.name(&absolute);
        self.text += &name;
    }

    /// Now and then, something that holds for what follows.
    fn directive(&mut self) {
        match self.luck.below(9) {
            0 => {
                let ttl = self.luck.below(9) as u32;
                self.text += &format!("$TTL {ttl} ; from here on\n");
                self.default_ttl = Some(ttl);
            }
            1 => {
                self.origin = self.luck.of(&[ORIGIN, "a.shop.test", "else"]).to_owned();
                self.text += &format!("$origin {}.\n\n", self.origin);
            }
            _ => {}
        }
    }

    fn record(&mut self, owner: &str, ttl: u32, rtype: &str, words: &[String]) {
        self.owner(owner);
        self.gap();
        let implied = self.default_ttl.or(self.last_ttl) == Some(ttl);
        let (mut head, says_ttl) = (Vec::new(), !implied || self.luck.says_yes());
        if says_ttl {
            self.last_ttl = Some(ttl);
            head.push(match self.luck.below(2) {
                0 => ttl.to_string(),
                _ => format!("{}D{}h{}m{}s", ttl / 86_400, ttl / 3600 % 24, ttl / 60 % 60, ttl % 60),
            });
        }
        if self.luck.says_yes() {
            head.insert(self.luck.below(head.len() + 1), self.luck.of(&["IN", "in", "CLASS1"]).to_owned());
        }
        head.push(rtype.to_owned());
        let mut open = false;
        for word in head.iter().chain(words) {
            if !open && self.luck.below(5) == 0 {
                self.text += "(\n ";
                open = true;
            }
            self.text += word;
            self.gap();
            if open && self.luck.below(3) == 0 {
                self.text += "; more\n";
            }
        }
        if open {
            self.text += ")";
        }
        self.text += self.luck.of(&["\n", "\r\n", " ; said\n", "\n\n"]);
    }

    fn data(&mut self, data: &RecordData) -> (String, Vec<String>) {
        let rtype = data.type_text().to_owned();
        let words = match data {
            RecordData::Cname(name) => vec![self.name(name)],
            RecordData::Txt(text) => {
                let chunks: Vec<String> = text.as_bytes().chunks(255).map(|chunk| self.string(chunk)).collect();
                chunks
            }
            RecordData::Other { value, .. } if rtype == "MX" || rtype == "SRV" => {
                let mut words: Vec<String> = value.split(' ').map(str::to_owned).collect();
                let name = words.pop().map(|name| self.name(&name));
                words.extend(name);
                words
            }
            data => vec![data.value_text()],
        };
        (rtype, words)
    }

    fn string(&mut self, bytes: &[u8]) -> String {
        let mut out = String::from("\"");
        for &byte in bytes {
            match byte {
                b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
                b' '..=b'~' if self.luck.below(9) > 0 => out.push(char::from(byte)),
                _ => out += &format!("\\{byte:03}"),
            }
        }
        out + "\""
    }
}

fn written(zone: &Zone, luck: &mut Luck) -> String {
    let mut w = Writer {
        luck,
        text: String::new(),
        origin: ORIGIN.into(),
        default_ttl: None,
        last_ttl: None,
        last_owner: String::new(),
    };
    let soa = &zone.soa;
    w.directive();
    let times = [7, soa.refresh, soa.retry, soa.expire, soa.minimum].map(|time| time.to_string());
    let words = [&[w.name(&soa.primary), w.name(&soa.mail)], &times[..]].concat();
    w.record("@", soa.ttl.unwrap_or(zone.ttl), "SOA", &words);
    for server in &zone.ns {
        w.directive();
        let name = w.name(server);
        w.record("@", zone.ttl, "NS", &[name]);
    }
    for record in &zone.records {
        w.directive();
        let (rtype, words) = w.data(&record.data);
        w.record(&record.name, record.ttl.unwrap_or(zone.ttl), &rtype, &words);
    }
    w.text
}

proptest! {
    #[test]
    fn a_zone_that_is_written_reads_back(seed in any::<u64>()) {
        let mut luck = Luck(seed);
        let zone = zone(&mut luck);
        let text = written(&zone, &mut luck);
        let read = ZoneFile::read(Some(ORIGIN), ("z", &text), Limits::default(), &load_from(&[]));
        let read = read.map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}")))?;
        prop_assert_eq!(read.zone, zone, "{}", text);
    }
}
