//! `atoll apply`: the World becomes what a file, or a directory of files, says.

use plane_client::Because;

use super::{
    change::{Terminal, change},
    reach::{login, reach},
    world_files,
};
use crate::{
    cli::{ApplyArgs, WorldArgs},
    exit::Exit,
};

pub(crate) async fn run(args: ApplyArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let wanted = world_files::read(&args.path)?;
    let plane = reach(&world).await?.client;
    let who = args.who.unwrap_or_else(login);
    let reason = args.reason.unwrap_or_else(|| "applied by hand".into());
    let mut terminal = Terminal::new(world.json);
    let because = Because { who: &who, reason: &reason };
    let (proposal, ending) = change(&plane, &wanted, &args.consent, because, &mut terminal).await?;
    terminal.tell(&proposal, ending, "applied")
}
