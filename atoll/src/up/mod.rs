//! `atoll up`: a world on this machine. The parent owns the network between the regions and the processes of the regions;
//! it takes no part in what they do.
//!
//! ```text
//! prepare data ─ check addresses ─ open WAN paths ─ start regions ─ "ready" ─ serve the control socket ─ Ctrl-C ─ stop all
//! ```

mod children;
mod control;
mod layout;
mod ports;
mod prepare;
mod wan;

use std::{io::IsTerminal, path::Path, sync::Arc};

use anyhow::Context;
use model::RegionName;
use serde::Serialize;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::broadcast::error::RecvError,
};

use self::{
    children::Children,
    control::Controlled,
    prepare::Prepared,
    wan::{Network, WanAsk},
};
pub(crate) use self::{
    children::{Killed, State, unix_ms},
    control::{Answer, Ask, ask},
};
use crate::{
    cli::{UpArgs, UpChange, WanChange, WorldArgs},
    exit::Exit,
    output::{self, Paint, Table, block_on, block_on_threads},
};

/// Runs a world until Ctrl-C, or changes a running one.
pub(crate) fn run(mut args: UpArgs, world: &WorldArgs) -> anyhow::Result<Exit> {
    match args.change.take() {
        Some(change) => block_on(apply(change, world)),
        None => {
            init_log();
            let prepared = prepare::prepare(&world.data, &args)?;
            // One thread carries all packets between the regions with ease, and wakes no other core.
            block_on_threads(1, parent(prepared, args, world.json))
        }
    }
}

fn init_log() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

async fn parent(prepared: Prepared, args: UpArgs, json: bool) -> anyhow::Result<Exit> {
    let mut network = Network::new(&prepared.world, args.wan)?;
    network.open(&prepared.layout.paths()).await?;
    let dirs = prepared.layout.names().map(|name| (name.clone(), prepared.region_dir(name)));
    let children = Children::new(dirs)?;
    let controlled = Controlled { children: children.clone(), network: Arc::new(network) };
    let control = tokio::spawn(control::serve(control::bind(&prepared.dir)?, controlled));

    // Signals are caught before the first child exists, so that none can outlive an early Ctrl-C.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let result = tokio::select! {
        result = serve(&prepared, &children, json) => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    if !json {
        output::say("\nstopping …");
    }
    children.stop_all().await;
    control.abort();
    let _ = std::fs::remove_file(control::socket_path(&prepared.dir));
    result.map(|()| Exit::Done)
}

/// Starts every region, says that the world is ready, and then stays for ever.
async fn serve(prepared: &Prepared, children: &Children, json: bool) -> anyhow::Result<()> {
    for name in prepared.layout.names() {
        children.spawn(name.as_str(), false)?;
    }
    let mut ready = Vec::new();
    for name in prepared.layout.names() {
        let pid = children.until_serving(name.as_str()).await?;
        let listen = prepared.layout.listen(name).context("a region without addresses")?;
        ready.push(ReadyRegion {
            name: name.clone(),
            pid,
            gateway: listen.gateway.to_string(),
            redis: listen.redis.to_string(),
            dns: listen.dns.to_string(),
            admin: format!("https://{}", listen.admin),
        });
    }
    announce(prepared, ready, json)?;
    watch_regions(children, json).await
}

/// One region of the ready line.
#[derive(Debug, Serialize)]
struct ReadyRegion {
    name: RegionName,
    pid: u32,
    gateway: String,
    redis: String,
    dns: String,
    admin: String,
}

#[derive(Debug, Serialize)]
struct Ready<'a> {
    event: &'static str,
    regions: Vec<ReadyRegion>,
    ca: &'a Path,
    token_file: &'a Path,
}

fn announce(prepared: &Prepared, regions: Vec<ReadyRegion>, json: bool) -> anyhow::Result<()> {
    if json {
        let ready = Ready { event: "ready", regions, ca: &prepared.ca, token_file: &prepared.token_file };
        return output::say_json(&ready);
    }
    let app = if prepared.is_demo { "SHOP" } else { "APP" };
    let mut table = Table::new(&["REGION", "PLACE", app, "REDIS", "DNS"]);
    for region in &regions {
        let place = prepared.world.region(&region.name).map_or("", |region| region.place.as_str());
        let (gateway, redis, dns) = (format!("http://{}", region.gateway), region.redis.clone(), region.dns.clone());
        table.row(vec![region.name.to_string(), place.to_owned(), gateway, redis, dns]);
    }
    let paint = Paint::for_stdout();
    output::say(format!("\n{} {}\n\n{table}\n", paint.good("ready"), prepared.world.name));
    if let (Some(first), Some(second)) = (regions.first(), regions.get(1)) {
        let hints = hints(&first.dns, &second.name, prepared.is_demo);
        output::say(format!("{}\n{hints}", paint.dim("In another terminal:")));
    }
    Ok(())
}

/// What to try next.
fn hints(dns: &str, victim: &RegionName, is_demo: bool) -> String {
    let dns = dns.replace(':', " -p ");
    let apps = if is_demo { "" } else { "  atoll app ls\n  atoll app logs -f\n" };
    format!(
        "{apps}  dig +short @{dns} www.shop.test\n  atoll status\n  atoll drill run lose-region --region {victim}\n\n\
         Ctrl-C stops the world; the same command resumes it."
    )
}

/// Says when a region comes or goes, for as long as the world runs.
async fn watch_regions(children: &Children, json: bool) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Change<'a> {
        event: &'static str,
        region: &'a RegionName,
        #[serde(flatten)]
        state: &'a State,
    }
    let mut changes = children.changes();
    loop {
        let (region, state) = match changes.recv().await {
            Ok(change) => change,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return Ok(()),
        };
        if json {
            output::say_json(&Change { event: "region", region: &region, state: &state })?;
            continue;
        }
        match &state {
            State::Away { ended } => {
                let how = ended.as_deref().unwrap_or("away");
                output::say(format!("{region}: {how}; bring it back with `atoll up start {region}`"));
            }
            State::Starting { pid } => output::say(format!("{region}: starting as process {pid}")),
            State::Serving { pid } => output::say(format!("{region}: serving as process {pid}")),
        }
    }
}

/// The verbs that change a running world.
async fn apply(change: UpChange, world: &WorldArgs) -> anyhow::Result<Exit> {
    let answer = match change {
        UpChange::Start { region, fetch_state } => ask(&world.data, &Ask::Start { region, fetch_state }).await?,
        UpChange::Stop { region } => ask(&world.data, &Ask::Stop { region }).await?,
        UpChange::Kill { region } => ask(&world.data, &Ask::Kill { region, lease_ms: None }).await?,
        UpChange::Wan(args) => ask(&world.data, &Ask::Wan(wan_ask(args.change))).await?,
    };
    if world.json {
        output::say_json(&answer)?;
        return Ok(Exit::Done);
    }
    match answer {
        Answer::Started { pid } => output::say(format!("serving as process {pid}")),
        Answer::Stopped => output::say("stopped"),
        Answer::Killed(killed) => output::say(format!("process {} is gone: {}", killed.pid, killed.ended)),
        Answer::Wan { links } => output::say(wan_table(&links).to_string()),
        Answer::Regions { .. } | Answer::Failed { .. } => {}
    }
    Ok(Exit::Done)
}

fn wan_ask(change: WanChange) -> WanAsk {
    match change {
        WanChange::Show => WanAsk::Show,
        WanChange::Cut { from, to, one_way } => WanAsk::Cut { from, to, one_way },
        WanChange::Set { from, to, delay_ms, jitter_ms, loss } => WanAsk::Set { from, to, delay_ms, jitter_ms, loss },
        WanChange::Heal => WanAsk::Heal,
    }
}

fn wan_table(links: &[wan::LinkReport]) -> Table {
    let paint = Paint::for_stdout();
    let mut table = Table::new(&["FROM", "TO", "DELAY", "JITTER", "LOSS", "STATE", "PACKETS", "DROPPED"]);
    for link in links {
        table.row(vec![
            link.from.clone(),
            link.to.clone(),
            format!("{} ms", link.shape.delay_ms),
            format!("{} ms", link.shape.jitter_ms),
            format!("{} %", link.shape.loss * 100.0),
            if link.shape.cut { paint.bad("cut") } else { paint.good("open") },
            link.packets.to_string(),
            link.dropped.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_try_next_is_about_what_runs() {
        let victim = RegionName::new("eu-west").unwrap();
        let shop = hints("127.0.1.1:5300", &victim, true);
        assert!(
            shop.starts_with("  dig +short @127.0.1.1 -p 5300 www.shop.test\n") && !shop.contains("atoll app"),
            "{shop}"
        );
        let own = hints("127.0.1.1:5300", &victim, false);
        assert!(own.starts_with("  atoll app ls\n") && own.ends_with(&shop), "{own}");
    }
}
