//! `atoll world`: world files without a running world.

use model::World;

use crate::{
    cli::{WorldFileArgs, WorldFileWhat},
    exit::{Exit, Misuse},
    output,
};

pub(crate) fn run(args: &WorldFileArgs) -> anyhow::Result<Exit> {
    match &args.what {
        WorldFileWhat::Default { regions } => output::say(World::default_toml(*regions, 0).trim_end()),
        WorldFileWhat::Check { file } => {
            let name = file.display().to_string();
            let text =
                std::fs::read_to_string(file).map_err(|error| Misuse(format!("{name}: cannot be read: {error}")))?;
            let world = World::parse(&text, &name).map_err(|errors| Misuse(errors.to_string()))?;
            let names: usize = world.zones.iter().map(|zone| zone.records.len() + zone.steered.len()).sum();
            output::say(format!(
                "{name}: a world of {} regions, {} pools, {} zones with {names} names; nothing is wrong with it",
                world.regions.len(),
                world.pools.len(),
                world.zones.len()
            ));
        }
    }
    Ok(Exit::Done)
}
