//! `atoll what-if down=REGION[,REGION]`: the real judge and guards, on a copy of the live state. Exit code 1 if the loss could not
//! be carried.

use model::Subject;
use plane_client::api::human::WhatIfReport;

use super::reach::{explain_error, reach, subject};
use crate::{
    cli::{WhatIfArgs, WorldArgs},
    exit::Exit,
    output::{self, Paint},
};

pub(crate) async fn run(args: WhatIfArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let down: Vec<Subject> = args.down.0.iter().map(|text| subject(text)).collect::<anyhow::Result<_>>()?;
    let report = reach(&world).await?.client.what_if(&down).await.map_err(explain_error)?;
    if world.json {
        output::say_json(&report)?;
    } else {
        output::say(in_words(&report, Paint::for_stdout()));
    }
    Ok(if report.cannot.is_empty() { Exit::Done } else { Exit::Failed })
}

fn in_words(report: &WhatIfReport, paint: Paint) -> String {
    let mut lines = vec![format!("If {} died now (plan {}):", report.down.join(", "), report.plan.version)];
    match report.decided.as_slice() {
        [] => lines.push("  nothing would be decided".into()),
        decided => lines.extend(decided.iter().map(|decision| format!("  decided: {decision}"))),
    }
    for (pool, regions) in &report.serving {
        let names: Vec<&str> = regions.iter().map(model::RegionName::as_str).collect();
        lines.push(format!("  pool {pool} would be served by {}", names.join(", ")));
    }
    lines.push(match report.capacity_left_percent {
        Some(percent) => format!("  capacity left: {percent} %"),
        None => "  capacity left: not known; say `capacity_rps` of every region in the World".into(),
    });
    match report.cannot.as_slice() {
        [] => lines.push(paint.good("  the loss could be carried")),
        cannot => {
            lines.push(paint.bad("  the loss could not be carried:"));
            lines.extend(cannot.iter().map(|why| format!("    {why}")));
        }
    }
    lines.join("\n")
}
