//! `atoll zone`: master files without a world around them.

use std::collections::BTreeSet;

use super::world_files;
use crate::{
    cli::{ZoneArgs, ZoneWhat},
    exit::Exit,
    output,
};

pub(crate) fn run(args: &ZoneArgs, json: bool) -> anyhow::Result<Exit> {
    let ZoneWhat::Check { path, origin } = &args.what;
    let zone = world_files::read_zone(path, origin.as_deref())?.zone;
    if json {
        output::say_json(&zone)?;
        return Ok(Exit::Done);
    }
    let names: BTreeSet<&str> = zone.records.iter().map(|record| record.name.as_str()).chain(["@"]).collect();
    output::say(format!(
        "{}: zone {} of {} servers, {} names with {} records; nothing is wrong with it",
        path.display(),
        zone.origin,
        zone.ns.len(),
        names.len(),
        zone.records.len() + zone.ns.len() + 1,
    ));
    Ok(Exit::Done)
}
