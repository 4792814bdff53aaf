//! What a member is told at its start.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc};

use model::{RegionName, World};
use pki::Identity;

use crate::{RaftTiming, StartError};

/// A member as this region reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Number of its region; also its raft node id. Never used again for another one.
    pub id: u16,
    /// Its region.
    pub name: RegionName,
    /// Where its listener is reached from here, which may be by way of an emulator or a tunnel.
    pub addr: SocketAddr,
}

/// What a member is told at its start.
pub struct PlaneConfig {
    /// This region.
    pub region: RegionName,
    /// Its number.
    pub id: u16,
    /// Where its log lives; made if missing.
    pub data_dir: PathBuf,
    /// Where it listens for members, followers and administrators: TLS. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// All members, this one among them. Their set and ids must be the same everywhere.
    pub members: Vec<Member>,
    /// This region's certificate and the world's authority.
    pub identity: Arc<Identity>,
    /// File with the hash of the bearer token; read at each use, so that a new token needs no restart. `None`: certificates only.
    pub token_hash: Option<PathBuf>,
    /// The World to found, if nobody has founded it yet. Members of one world must be given the same one.
    pub founding: Option<World>,
    /// How patient the members are.
    pub timing: RaftTiming,
    /// Further routes of the region, served behind the same authentication: `/metrics`, `/v1/state`, ….
    pub routes: axum::Router,
}

impl PlaneConfig {
    /// The members that vote: 1, 3 or 5 of them, those with the lowest ids. Never an even number: a second or fourth voter
    /// adds a way to lose the quorum and nothing else.
    pub(crate) fn voters(&self) -> BTreeSet<u16> {
        let ids: BTreeSet<u16> = self.members.iter().map(|member| member.id).collect();
        let count = match ids.len() {
            0..=2 => 1,
            3..=4 => 3,
            _ => 5,
        };
        ids.into_iter().take(count).collect()
    }

    pub(crate) fn check(&self) -> Result<(), StartError> {
        let wrong = |why: String| Err(StartError::Config(why));
        let own = self.members.iter().find(|member| member.id == self.id);
        match own {
            None => return wrong(format!("region {} has id {}, and no member has that id", self.region, self.id)),
            Some(own) if own.name != self.region => {
                return wrong(format!(
                    "id {} belongs to member {}, not to this region, {}",
                    self.id, own.name, self.region
                ));
            }
            Some(_) => {}
        }
        if self.members.iter().any(|member| member.id == 0) {
            return wrong("member id 0 is not allowed; ids begin with 1".into());
        }
        let ids: BTreeSet<u16> = self.members.iter().map(|member| member.id).collect();
        let names: BTreeSet<&RegionName> = self.members.iter().map(|member| &member.name).collect();
        if ids.len() != self.members.len() || names.len() != self.members.len() {
            return wrong("two members have the same id or the same name".into());
        }
        match self.identity.principal() {
            pki::Principal::Region(name) if *name == self.region.as_str() => Ok(()),
            other => wrong(format!("the certificate is the one of {other}, not of region {}", self.region)),
        }
    }
}
