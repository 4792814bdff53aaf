//! Our own server, with the same zones out of the same files.

use std::{fs, path::Path, sync::Arc};

use dns_server::{DnsConfig, DnsHandle, Views, start};
use model::{Location, Plan, PlanId, Region, RegionName, World, Zone, ZoneFile, ZoneFileLimits};
use steering::{View, ViewInputs};

/// Reads a zone, `ORIGIN.zone`, which makes sense.
pub(crate) fn read(zones: &Path, origin: &str) -> Zone {
    let file = zones.join(format!("{origin}.zone"));
    let text = fs::read_to_string(&file).unwrap();
    let read = parse(origin, &text);
    read.check().unwrap_or_else(|errors| panic!("{}:\n{errors}", file.display()));
    read.zone
}

pub(crate) fn parse(origin: &str, text: &str) -> ZoneFile {
    let no_file = |_: &str, name: &str| Err(format!("{name} is not there"));
    let read = ZoneFile::read(Some(origin), (origin, text), ZoneFileLimits::default(), &no_file);
    read.unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

/// A World of these zones, which is valid.
pub(crate) fn world(zones: Vec<Zone>) -> World {
    let region = RegionName::new("eu").unwrap();
    let here = Location { latitude: 53.35, longitude: -6.26 };
    let region = Region { gateway_v4: Some([192, 0, 2, 99].into()), ..Region::new(region, 1, here) };
    let world = World { zones, ..World::of("peers", vec![region]) };
    world.validate().unwrap_or_else(|errors| panic!("{errors}"));
    world
}

/// To be called inside a runtime.
pub(crate) fn serve(zones: Vec<Zone>) -> DnsHandle {
    let plan = Plan::new(PlanId { lineage: 1, version: 1 }, 0, "", world(zones));
    let view = View::compile(&plan, &ViewInputs::new(RegionName::new("eu").unwrap())).unwrap();
    let views = Views::default();
    views.store(Some(Arc::new(view)));
    start(DnsConfig::new("127.0.0.1:0".parse().unwrap()), views, Arc::new(|| None)).unwrap()
}
