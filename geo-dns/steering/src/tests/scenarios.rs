//! The scenarios in `testdata/scenarios/*.md`: a World, what the Plan says of its regions, questions, and what is answered.
//!
//! They are written for people, as pages with tables, and read here: a page goes in, and the same page with every answer as it
//! really is comes out. Where the two differ the test fails and shows the difference cell by cell; with `UPDATE_EXPECT=1` it
//! writes the page anew. The format is described in `testdata/scenarios/README.md`.

use std::{
    fmt::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
};

use hickory_proto::{
    op::Message,
    rr::{
        RData, RecordType,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};
use model::{Kept, Override, OverrideAction, Plan, PlanId, Subject, SubjectState, Verdict, World};

use super::world::*;
use crate::{Rtype, View, ViewInputs, explain};

const COLUMNS: [&str; 7] = ["question", "rcode", "answer", "TTL", "scope", "region", "why"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios")
}

/// What a page has said so far.
#[derive(Default)]
struct Stage {
    world: String,
    plan: String,
}

impl Stage {
    /// The View of the world under what `Plan:` says: `` `us-east down`, `pool/web/eu-west ramp 100` ``.
    fn view(&self) -> View {
        let world = World::parse(&self.world, "world").unwrap_or_else(|errors| panic!("{errors}"));
        let mut plan = Plan::new(PlanId { lineage: 1, version: 7 }, 0, "scenario", world);
        for region in plan.world.regions.clone() {
            plan.verdicts.insert(Subject::Region(region.name), SubjectState::new(Verdict::Up, 0, 1));
        }
        let mut inputs = ViewInputs { geo: geo(), ..ViewInputs::new(region_name("us-east")) };
        for clause in self.plan.split('`').skip(1).step_by(2) {
            let words: Vec<&str> = clause.split_whitespace().collect();
            match words[..] {
                ["server", "in", region] => inputs.server_region = region_name(region),
                [region, "demoted"] => _ = inputs.demoted.insert(region_name(region)),
                [region, "loaded", permille] => {
                    inputs.load_permille.insert(region_name(region), permille.parse().unwrap());
                }
                [pools, ref what @ ..] if pools.contains('/') => tell(&mut plan, &pools.parse().unwrap(), what),
                [region, ref what @ ..] => tell(&mut plan, &Subject::Region(region_name(region)), what),
                [] => panic!("an empty clause"),
            }
        }
        View::compile(&plan, &inputs).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Puts into the Plan what a clause says of a region, or of a member of a pool.
fn tell(plan: &mut Plan, subject: &Subject, what: &[&str]) {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"));
    if let ["override", word, rest @ ..] = what {
        let action = if *word == "up" { OverrideAction::Up } else { OverrideAction::Down };
        let mut set = Override::new(subject.clone(), action, ("a scenario", "somebody"), 0, 1);
        set.share_permille = rest.get(1).map_or(0, |share| number(share));
        plan.overrides.push(set);
        return;
    }
    let state = plan.verdicts.entry(subject.clone()).or_insert_with(|| SubjectState::new(Verdict::Up, 0, 1));
    match what {
        ["up"] => state.verdict = Verdict::Up,
        ["degraded"] => state.verdict = Verdict::Degraded,
        ["down"] => state.verdict = Verdict::Down,
        ["ramp", share] => state.ramp_permille = number(share),
        ["kept", share] => {
            state.verdict = Verdict::Down;
            state.kept = Some(Kept { permille: number(share), asked_rps: 0, at_ms: 0 });
        }
        _ => panic!("what is `{subject} {}`?", what.join(" ")),
    }
}

/// A question's row as it really is.
fn row(view: &View, question: &str) -> Vec<String> {
    let (outcome, packet) = ask(view, question);
    let message = Message::from_vec(&packet).expect("hickory reads every answer");
    let rcode = outcome.rcode.expect("a question is answered");
    let dash = |text: String| if text.is_empty() { "–".to_owned() } else { text };
    vec![
        question.to_owned(),
        format!("{rcode}{}", if message.metadata.truncation { ", truncated" } else { "" }),
        dash(answers(&message)),
        dash(ttls(&message)),
        dash(scope(&message)),
        dash(outcome.region.map(ToString::to_string).unwrap_or_default()),
        why(view, question),
    ]
}

/// Addresses, other data with its type, and whom else to ask.
fn answers(message: &Message) -> String {
    let mut texts: Vec<String> = Vec::new();
    for record in &message.answers {
        texts.push(match (&record.data, record.record_type()) {
            (RData::A(_) | RData::AAAA(_), _) => record.data.to_string(),
            // Which hickory-proto does not read.
            (RData::Unknown { .. }, rtype) => Rtype(rtype.into()).to_string(),
            (data, rtype) => format!("{rtype} {data}"),
        });
    }
    texts.extend(
        message.authorities.iter().filter(|r| r.record_type() == RecordType::NS).map(|r| format!("ask {}", r.data)),
    );
    texts.extend(message.additionals.iter().map(|r| format!("{} is {}", r.name, r.data)));
    texts.join(", ")
}

/// The TTL of each record in turn, once if they are alike; of a "no" that of the SOA.
fn ttls(message: &Message) -> String {
    let records = if message.answers.is_empty() { &message.authorities } else { &message.answers };
    let mut ttls: Vec<u32> = records.iter().map(|record| record.ttl).collect();
    ttls.dedup();
    ttls.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

fn scope(message: &Message) -> String {
    match message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet)) {
        Some(EdnsOption::Subnet(subnet)) => format!("/{}", subnet.scope_prefix()),
        _ => String::new(),
    }
}

/// Among whom the policy chose, as `atoll explain dns` says it; of a name that is not steered, what was found.
fn why(view: &View, question: &str) -> String {
    let words: Vec<&str> = question.split_whitespace().collect();
    let subnet = words.iter().find_map(|word| word.strip_prefix("ecs=")?.split_once('/'));
    let place: IpAddr = match subnet {
        Some((addr, length)) if length != "0" => addr.parse().unwrap(),
        _ => line(question).client,
    };
    let rtype: Rtype = words[1].parse().unwrap();
    let told = explain(view, words[0], place, rtype).unwrap();
    told.steering.map_or(told.matched, |steering| steering.basis.to_string())
}

fn cells(line: &str) -> Vec<String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// A table, its columns as wide as they have to be.
fn table(rows: &[Vec<String>]) -> String {
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (nth, row) in rows.iter().enumerate() {
        for (i, cell) in row.iter().enumerate() {
            let _ = write!(text, "| {cell}{} ", " ".repeat(width(i) - cell.chars().count()));
        }
        text += "|\n";
        if nth == 0 {
            (0..row.len()).for_each(|i| text += &format!("|{}", "-".repeat(width(i) + 2)));
            text += "|\n";
        }
    }
    text
}

/// The page with every answer as it really is, and what is different from how it was, row by row.
fn play(name: &str, page: &str) -> (String, String) {
    let (mut stage, mut out, mut differences) = (Stage::default(), String::new(), String::new());
    let mut lines = page.lines().enumerate().peekable();
    while let Some((_, line)) = lines.next() {
        if line.starts_with("| question") {
            let view = stage.view();
            let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
            while let Some((at, line)) = lines.next_if(|(_, line)| line.starts_with('|')) {
                let want = cells(line);
                if want[0].starts_with("--") {
                    continue;
                }
                let got = row(&view, &want[0]);
                differences += &difference(&format!("{name}:{}", at + 1), &want, &got);
                rows.push(got);
            }
            out += &table(&rows);
            continue;
        }
        out += &format!("{line}\n");
        if let Some(file) = line.strip_prefix("World: [").and_then(|rest| rest.split(']').next()) {
            stage.world = std::fs::read_to_string(folder().join(file)).unwrap();
        } else if let Some(plan) = line.strip_prefix("Plan:") {
            stage.plan = plan.to_owned();
        } else if line == "```toml" {
            while let Some((_, line)) = lines.next_if(|(_, line)| *line != "```") {
                out += &format!("{line}\n");
                stage.world += &format!("\n{line}");
            }
        }
    }
    (out, differences)
}

/// What of a row is not as it should be, as a little table.
fn difference(place: &str, want: &[String], got: &[String]) -> String {
    let mut rows = vec![vec!["".to_owned(), "the page says".to_owned(), "the server says".to_owned()]];
    for (i, column) in COLUMNS.iter().enumerate() {
        let said = want.get(i).cloned().unwrap_or_default();
        if said != got[i] {
            rows.push(vec![(*column).to_owned(), said, got[i].clone()]);
        }
    }
    if rows.len() == 1 {
        return String::new();
    }
    format!("\n{place}: {}\n{}", got[0], table(&rows))
}

#[test]
fn every_scenario_ends_as_its_page_says() {
    let mut pages: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md") && !path.ends_with("README.md"))
        .collect();
    pages.sort();
    assert!(pages.len() >= 10, "the scenarios are there");
    let mut differences = String::new();
    for path in pages {
        let page = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let (real, found) = play(&name, &page);
        assert!(real.contains("| question"), "{name} asks nothing");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, real).unwrap();
        } else {
            differences += &found;
        }
    }
    assert!(
        differences.is_empty(),
        "{differences}\nIf the server is right, `UPDATE_EXPECT=1 cargo test -p steering scenario` writes the pages anew; look at what changes."
    );
}

#[test]
fn a_difference_is_shown_cell_by_cell() {
    let page = "World: [shop.toml](shop.toml)\nPlan: `eu-west down`\n\n| question |\n|---|\n\
                | www.shop.test A @5.1.1.1 | NOERROR | 198.51.100.2 | 2 | – | ap-south | members that serve |\n";
    let (real, differences) = play("page.md", page);
    assert_eq!(
        differences,
        "\npage.md:6: www.shop.test A @5.1.1.1\n\
         |        | the page says | the server says |\n\
         |--------|---------------|-----------------|\n\
         | answer | 198.51.100.2  | 198.51.100.3    |\n"
    );
    assert_eq!(play("page.md", &real), (real.clone(), String::new()), "what is written anew is right");
}
