//! The DNS server beside its peers: CPU time of the server process per answered query, above the floor of the sockets.
//!
//! ```text
//!                       ┌──→ floor: recvmmsg, sendmmsg, nothing else (floor.rs)
//! dnsperf ──────────────┼──→ gdnsd, geoip plugin
//! the other core        ├──→ Knot DNS, mod-geoip              one thread each, one core
//!                       └──→ this binary, serving one View (serve.rs)
//! ```
//! Each kind of question is put to all servers in turn, and who begins changes from run to run. Beside that: what an answer costs
//! outside of the kernel, whether a swap of Views is noticed, and what it takes to come up.

mod floor;
mod inside;
mod load;
mod names;
mod packets;
mod report;
mod serve;
mod servers;
mod swaps;
mod whole;

use std::{ffi::OsStr, fs, path::PathBuf};

use anyhow::Context;

pub(crate) use self::serve::{ServeArgs, serve};
use self::{
    load::Sample,
    names::{Question, ZONE},
    report::{Report, Row, Settings, Versions},
    servers::Server,
};
use crate::{
    DnsArgs, DnsPart,
    figure::{Bar, Figure},
    machine::{self, Machine},
    proc,
    redis_protocol::{Scratch, Surroundings, disturbed, warnings},
    stats::Spread,
    tools::{self, Pins, Tool},
};

/// What the floor is called.
const FLOOR: &str = "floor";
const GDNSD: &str = "gdnsd";
const ATOLL: &str = "Atoll";

/// CPU per steered query, by that of gdnsd, and by that of the floor.
const GDNSD_BAR: f64 = 1.1;
const FLOOR_BAR: f64 = 1.15;

const TOOLS: &[Tool] = &[
    Tool { program: "gdnsd", package: "gdnsd" },
    Tool { program: "knotd", package: "knot knot-module-geoip" },
    Tool { program: "dnsperf", package: "dnsperf" },
];

impl DnsArgs {
    fn has(&self, part: DnsPart) -> bool {
        self.parts.contains(&part)
    }
}

/// Measures, prints, writes the report.
pub(crate) fn run(args: &DnsArgs) -> anyhow::Result<()> {
    let report = report(args)?;
    crate::page::show(&report, &report.page(), args.report.as_deref(), args.json)
}

fn report(args: &DnsArgs) -> anyhow::Result<Report> {
    if args.has(DnsPart::Queries) {
        tools::need(TOOLS)?;
    }
    let machine = Machine::here()?;
    let load_before = proc::load_average()?;
    let pins = Pins::choose()?;
    let mut warnings = warnings(&machine, load_before, pins.err());
    warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));

    let rounds = if args.has(DnsPart::Queries) { queries(args, pins.ok())? } else { Rounds(Vec::new()) };
    let figures = figures(args, pins.ok())?;
    let others_cores = rounds.others();
    if let Some(warning) = disturbed(others_cores) {
        eprintln!("warning: {warning}");
        warnings.push(warning);
    }
    Ok(Report {
        bench: "dns",
        date: machine::date(),
        machine,
        versions: args.has(DnsPart::Queries).then(|| Versions {
            gdnsd: whole::version("gdnsd", "-V"),
            knot: whole::version("knotd", "--version"),
            dnsperf: whole::version("dnsperf", "-H"),
        }),
        atoll: machine::atoll_version(),
        settings: Settings { runs: args.runs, seconds: args.seconds, pinned: pins.is_ok() },
        surroundings: Surroundings { load_before, load_after: proc::load_average()?, others_cores },
        rows: rounds.rows()?,
        figures,
        warnings,
    })
}

/// One server and one kind of question, run by run.
struct Round {
    server: &'static str,
    question: Question,
    samples: Vec<Sample>,
}

struct Rounds(Vec<Round>);

fn queries(args: &DnsArgs, pins: Option<Pins>) -> anyhow::Result<Rounds> {
    let core = pins.map(|pins| pins.server);
    let own = |name, what| Server::own(name, &["serve-dns", what].map(OsStr::new), core);
    let servers = [own(FLOOR, "floor")?, Server::gdnsd(pins)?, Server::knot(pins)?, own(ATOLL, "view")?];
    let dir = Scratch::make("questions")?;
    let files = Question::ALL.map(|question| (question, dir.path().join(question.as_str())));
    for (question, file) in &files {
        let lines: Vec<String> = question.labels().iter().map(|label| format!("{label}.{ZONE} A\n")).collect();
        fs::write(file, lines.concat()).context("cannot write the questions")?;
    }
    let pairs = files.iter().flat_map(|(question, file)| servers.iter().map(move |server| (*question, file, server)));
    let mut rounds: Vec<(Round, &PathBuf, &Server)> = pairs
        .map(|(question, file, server)| {
            (Round { server: server.target().name, question, samples: Vec::new() }, file, server)
        })
        .collect();
    for (round, file, server) in &rounds {
        // So that caches are full and memory is there.
        load::drive(server.target(), round.question, file, 1, pins)?;
    }
    for run in 0..args.runs {
        eprintln!("run {} of {}", run + 1, args.runs);
        for of_question in rounds.chunks_mut(servers.len()) {
            of_question.rotate_left(run as usize % servers.len());
            for (round, file, server) in of_question.iter_mut() {
                let sample = load::drive(server.target(), round.question, file, args.seconds, pins)?;
                round.samples.push(sample);
            }
            of_question.rotate_right(run as usize % servers.len());
        }
    }
    Ok(Rounds(rounds.into_iter().map(|(round, ..)| round).collect()))
}

impl Rounds {
    /// How many cores everything else kept busy while we measured.
    fn others(&self) -> f64 {
        let all = || self.0.iter().flat_map(|round| &round.samples);
        let seconds: f64 = all().map(|sample| sample.seconds).sum();
        if seconds > 0.0 { all().map(|sample| sample.others_cpu_s).sum::<f64>() / seconds } else { 0.0 }
    }

    fn rows(&self) -> anyhow::Result<Vec<Row>> {
        self.0
            .iter()
            .map(|round| {
                let (server, question) = (round.server, round.question.as_str());
                self.row(round).with_context(|| format!("{question} to {server} gave no figures; give more --seconds"))
            })
            .collect()
    }

    fn row(&self, round: &Round) -> Option<Row> {
        let of = |samples: &[Sample], figure: fn(&Sample) -> f64| samples.iter().map(figure).collect::<Vec<_>>();
        let cpu = of(&round.samples, |sample| sample.cpu_us);
        let beside = |name: &str| {
            let peer = self.0.iter().find(|other| other.server == name && other.question == round.question)?;
            Spread::of_ratio(&cpu, &of(&peer.samples, |sample| sample.cpu_us))
        };
        let steered = matches!(round.question, Question::Steered | Question::SteeredEcs);
        let by_gdnsd = beside(GDNSD)?;
        let by_floor = beside(FLOOR)?;
        let met =
            (round.server == ATOLL && steered).then_some(by_gdnsd.median <= GDNSD_BAR && by_floor.median <= FLOOR_BAR);
        Some(Row {
            question: round.question.as_str(),
            server: round.server,
            cpu_us: Spread::of(&cpu)?,
            user_us: Spread::of(&of(&round.samples, |sample| sample.user_us))?,
            per_s: Spread::of(&of(&round.samples, |sample| sample.per_s))?.median,
            by_gdnsd,
            by_floor,
            met,
        })
    }
}

fn figures(args: &DnsArgs, pins: Option<Pins>) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if args.has(DnsPart::Inside) {
        let inside::Inside(kinds) = inside::measure(args.runs)?;
        for (question, spread) in &kinds {
            let what = format!("outside of the kernel, an answer: {}", question.as_str());
            figures.push(Figure::new(what, spread.median, "ns", Some(Bar::AtMost(inside::BAR_NS))));
        }
        let of = |question| kinds.iter().find(|(kind, _)| *kind == question).map_or(f64::NAN, |(_, s)| s.median);
        let ratio = of(Question::NxDomain) / of(Question::Static);
        figures.push(Figure::new("NXDOMAIN by a static name", ratio, "", Some(Bar::AtMost(1.0))));
    }
    if args.has(DnsPart::Swaps) {
        let swaps = swaps::measure(args.runs, pins)?;
        let step = swaps.with_ms.median - swaps.without_ms.median;
        figures.push(Figure::new("latency, 999th of 1000", swaps.without_ms.median, "ms", None));
        figures.push(Figure::new("the same with 20 swaps of Views a second", swaps.with_ms.median, "ms", None));
        figures.push(Figure::new("step in latency by swaps", step.max(0.0), "ms", Some(Bar::AtMost(swaps::BAR_MS))));
    }
    if args.has(DnsPart::Start) {
        let load = whole::load(pins)?;
        let what = |what: &str| format!("{} names: {what}", whole::LOAD_NAMES);
        let bar = |most| Some(Bar::AtMost(most));
        figures.push(Figure::new(what("compiled within"), load.seconds, "s", bar(whole::LOAD_BAR_S)));
        figures.push(Figure::new(what("memory of the View"), load.view_mb, "MB", bar(whole::LOAD_BAR_MB)));
        figures.push(Figure::new(what("memory of the process, the Plan included"), load.process_mb, "MB", None));
        let restart = whole::restart(args.runs)?;
        let what = format!("{} names on disk: first answer after a start", whole::RESTART_NAMES);
        figures.push(Figure::new(what, restart.median, "ms", bar(whole::RESTART_BAR_MS)));
    }
    Ok(figures)
}
