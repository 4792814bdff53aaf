//! `atoll world`: world files without a running world.

use model::World;

use super::world_files;
use crate::{
    cli::{WorldFileArgs, WorldFileWhat},
    exit::Exit,
    output,
};

pub(crate) fn run(args: &WorldFileArgs) -> anyhow::Result<Exit> {
    match &args.what {
        WorldFileWhat::Default { regions } => output::say(World::default_toml(*regions, 0).trim_end()),
        WorldFileWhat::Schema => output::say(serde_json::to_string_pretty(&World::json_schema())?),
        WorldFileWhat::Check { path } => {
            let world = world_files::read(path)?;
            let names: usize = world.zones.iter().map(|zone| zone.records.len() + zone.steered.len()).sum();
            output::say(format!(
                "{}: a world of {} regions, {} pools, {} zones with {names} names; nothing is wrong with it",
                path.display(),
                world.regions.len(),
                world.pools.len(),
                world.zones.len()
            ));
        }
    }
    Ok(Exit::Done)
}
