//! Addresses of a world on one machine: all of them follow from the gateways in the World.
//!
//! ```text
//! region i of N       127.NET.i.1         gateway 8080, internal names 8081, Redis protocol 6379, DNS 5300, admin 9700, region link 9701
//! its way to region j 127.NET.i.(100+j)   the same ports; the WAN emulator listens there and forwards to region j
//! ```

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use chaos_wan::{Carries, Path};
use model::{RegionName, World};

use crate::{
    exit::Misuse,
    region::config::{Listen, Peer},
};

const INTERNAL: u16 = 8081;
const REDIS: u16 = 6379;
const DNS: u16 = 5300;
const ADMIN: u16 = 9700;
const LINK: u16 = 9701;

/// One region's place on this machine.
#[derive(Debug, Clone)]
struct Place {
    name: RegionName,
    host: Ipv4Addr,
    gateway_port: u16,
}

/// The addresses of a whole world.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    places: Vec<Place>,
}

impl Layout {
    /// Reads the layout off a World; every gateway must be an IPv4 loopback address of its own, with `100 + number` free.
    pub(crate) fn of(world: &World) -> Result<Self, Misuse> {
        let mut places = Vec::new();
        for region in &world.regions {
            let Some(host) = region.gateway_v4.filter(|host| host.is_loopback() && host.octets()[3] < 100) else {
                return Err(Misuse(format!(
                    "region `{}`: `atoll up` runs regions on this machine, so `gateway_v4` must be 127.x.y.z with z below 100",
                    region.name
                )));
            };
            places.push(Place { name: region.name.clone(), host, gateway_port: region.gateway_port });
        }
        Ok(Self { places })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &RegionName> {
        self.places.iter().map(|place| &place.name)
    }

    /// Where apps of a region that listens there call each other.
    pub(crate) fn internal(listen: &Listen) -> SocketAddr {
        SocketAddr::new(listen.gateway.ip(), INTERNAL)
    }

    /// Where a region listens.
    pub(crate) fn listen(&self, name: &RegionName) -> Option<Listen> {
        let place = self.places.iter().find(|place| place.name == *name)?;
        let at = |port| SocketAddr::from(SocketAddrV4::new(place.host, port));
        Some(Listen {
            gateway: at(place.gateway_port),
            redis: at(REDIS),
            dns: at(DNS),
            admin: at(ADMIN),
            link: at(LINK),
        })
    }

    /// How a region reaches each of the others.
    pub(crate) fn peers(&self, name: &RegionName) -> Vec<(RegionName, Peer)> {
        let Some(own) = self.places.iter().find(|place| place.name == *name) else { return Vec::new() };
        let others = self.places.iter().enumerate().filter(|(_, place)| place.name != *name);
        others
            .map(|(number, other)| {
                let at = |port| SocketAddr::from(SocketAddrV4::new(door(own.host, number), port));
                (other.name.clone(), Peer { gateway: at(other.gateway_port), admin: at(ADMIN), link: at(LINK) })
            })
            .collect()
    }

    /// Every path the WAN emulator has to open.
    pub(crate) fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        for from in &self.places {
            for (to, door) in self.peers(&from.name) {
                let Some(target) = self.listen(&to) else { continue };
                let mut path = |carries, listen, target| {
                    paths.push(Path { from: from.name.to_string(), to: to.to_string(), carries, listen, target });
                };
                path(Carries::Tcp, door.gateway, target.gateway);
                path(Carries::Tcp, door.admin, target.admin);
                path(Carries::Udp, door.link, target.link);
            }
        }
        paths
    }
}

/// The emulator's address for one region's way to the region with that index.
fn door(host: Ipv4Addr, index: usize) -> Ipv4Addr {
    let [a, b, c, _] = host.octets();
    Ipv4Addr::new(a, b, c, 101 + u8::try_from(index).unwrap_or(u8::MAX - 101))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_world_has_the_documented_addresses() {
        let world = World::parse(&World::default_toml(3, 0), "world.toml").unwrap();
        let layout = Layout::of(&world).unwrap();
        let eu = RegionName::new("eu-west").unwrap();
        let listen = layout.listen(&eu).unwrap();
        assert_eq!(listen.gateway.to_string(), "127.0.2.1:8080");
        assert_eq!(listen.redis.to_string(), "127.0.2.1:6379");
        assert_eq!(listen.dns.to_string(), "127.0.2.1:5300");
        assert_eq!(listen.admin.to_string(), "127.0.2.1:9700");
        let doors: Vec<String> = layout.peers(&eu).iter().map(|(name, p)| format!("{name} {}", p.link)).collect();
        assert_eq!(doors, ["us-east 127.0.2.101:9701", "ap-south 127.0.2.103:9701"]);
        assert_eq!(layout.paths().len(), 3 * 2 * 3);
    }
}
