//! What answers cost outside of the kernel: the answer core alone, called in this process, question after question.

use std::{fs, hint::black_box, net::IpAddr};

use anyhow::Context;
use model::RegionName;
use steering::{Transport, View, ViewInputs, answer};

use super::{names, names::Question, packets::packets};
use crate::stats::Spread;

/// Nanoseconds for an answer, which no kind may take longer than.
pub(super) const BAR_NS: f64 = 500.0;

/// How many answers are made between two looks at the clock: far longer than the clock is behind.
const ANSWERS: usize = 500_000;

/// Nanoseconds of an answer to each kind of question.
pub(super) struct Inside(pub(super) Vec<(Question, Spread)>);

/// Measures each kind so many times, in turn.
pub(super) fn measure(runs: u32) -> anyhow::Result<Inside> {
    let view = View::compile(&names::plan(1, 10_000)?, &ViewInputs::new(RegionName::new("us-east")?))?;
    let questions: Vec<_> = Question::ALL.into_iter().map(|question| (question, packets(question))).collect();
    let mut figures = vec![Vec::new(); questions.len()];
    for _ in 0..runs {
        for ((_, packets), figures) in questions.iter().zip(&mut figures) {
            figures.push(once(&view, packets)?);
        }
    }
    let spreads = questions.iter().zip(&figures).filter_map(|((q, _), figures)| Some((*q, Spread::of(figures)?)));
    Ok(Inside(spreads.collect()))
}

fn once(view: &View, packets: &[Vec<u8>]) -> anyhow::Result<f64> {
    let client = IpAddr::from([127, 0, 0, 1]);
    let mut out = Vec::with_capacity(1280);
    let begin = cpu_ns()?;
    for packet in packets.iter().cycle().take(ANSWERS) {
        black_box(answer(view, black_box(packet), client, Transport::Udp, &|| None, 0, &mut out));
        black_box(&out);
    }
    Ok((cpu_ns()? - begin) as f64 / ANSWERS as f64)
}

/// CPU time of this thread: what others do on this core meanwhile is not in it.
fn cpu_ns() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").context("cannot read the thread's schedstat")?;
    text.split(' ').next().and_then(|ns| ns.parse().ok()).context("the thread's schedstat has no CPU time")
}
