//! How bytes get to another member and its answer back, and how that fails. What the bytes mean is `network.rs`.
//!
//! Three lanes, so three connections to a peer: one for the log, votes, proposals and reads, one for heartbeats and pulses, one for snapshots.
//! Whatever fills one of them, heartbeats go through.
//!
//! A trait, because the simulation has a network of its own (`tests/sim`).

use std::{collections::BTreeMap, future::ready, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use openraft::{
    RPCTypes,
    errors::{NetworkError, RPCError, Timeout, Unreachable},
};
use pki::{Identity, PkiError};
use plane_client::{CallError, Endpoint};
use tokio_rustls::TlsConnector;

use super::{caller::Caller, codec, frames::PROTOCOL, rpc::Ask, types::TypeConfig};

/// Which of the connections to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Log,
    Heartbeats,
    Snapshots,
}

/// Gets one question to another member, and its answer back.
pub(crate) trait Carrier: Send + Sync + 'static {
    /// Asks a member for something. `within` bounds all of it.
    fn ask(
        &self,
        to: u64,
        lane: Lane,
        what: Ask,
        body: Bytes,
        within: Duration,
    ) -> BoxFuture<'_, Result<Bytes, CallFailure>>;
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallFailure {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("member {target} is not in this region's configuration")]
    UnknownMember { target: u64 },
    #[error("{endpoint} refused: {why}")]
    Refused { endpoint: Endpoint, why: String },
    #[error("the question to member {target} cannot be written: {why}")]
    Question { target: u64, why: codec::CodecError },
    #[error("the answer of member {target} is not understood: {why}")]
    Answer { target: u64, why: codec::CodecError },
}

impl CallFailure {
    /// Whether what was asked for may have been done all the same.
    pub(crate) fn outcome_unknown(&self) -> bool {
        match self {
            Self::Call(e) => e.outcome_unknown(),
            Self::UnknownMember { .. } | Self::Refused { .. } | Self::Question { .. } => false,
            Self::Answer { .. } => true,
        }
    }

    /// What openraft is told: a request that never left is `Unreachable` (it backs off before it tries again); one without an
    /// answer in time is `Timeout`, a broken one is `Network` (it tries again at once).
    pub(crate) fn into_rpc(self, action: RPCTypes, from: u64, to: u64) -> RPCError<TypeConfig> {
        match &self {
            Self::Call(CallError::Timeout { within, .. }) => {
                Timeout { action, id: from, target: to, timeout: *within }.into()
            }
            Self::Call(CallError::Broken { .. } | CallError::TooLarge { .. }) => NetworkError::new(&self).into(),
            // A peer that is not there, or that says no, says it again: back off.
            Self::Call(CallError::Unreachable { .. })
            | Self::UnknownMember { .. }
            | Self::Refused { .. }
            | Self::Question { .. }
            | Self::Answer { .. } => Unreachable::new(&self).into(),
        }
    }
}

/// Over mutual TLS, a connection for each peer and lane (`caller.rs`).
pub(crate) struct TlsCarrier(BTreeMap<u64, Lanes>);

struct Lanes {
    log: Caller,
    heartbeats: Caller,
    snapshots: Caller,
}

impl TlsCarrier {
    pub(crate) fn new(peers: BTreeMap<u64, Endpoint>, identity: &Identity) -> Result<Self, PkiError> {
        let tls = TlsConnector::from(identity.client_config(&[PROTOCOL])?);
        let lanes = |endpoint: Endpoint| {
            let caller = || Caller::new(endpoint.clone(), tls.clone());
            Lanes { log: caller(), heartbeats: caller(), snapshots: caller() }
        };
        Ok(Self(peers.into_iter().map(|(id, endpoint)| (id, lanes(endpoint))).collect()))
    }
}

impl Carrier for TlsCarrier {
    fn ask(
        &self,
        to: u64,
        lane: Lane,
        what: Ask,
        body: Bytes,
        within: Duration,
    ) -> BoxFuture<'_, Result<Bytes, CallFailure>> {
        let Some(lanes) = self.0.get(&to) else {
            return Box::pin(ready(Err(CallFailure::UnknownMember { target: to })));
        };
        let caller = match lane {
            Lane::Log => &lanes.log,
            Lane::Heartbeats => &lanes.heartbeats,
            Lane::Snapshots => &lanes.snapshots,
        };
        Box::pin(caller.ask(what, body, within))
    }
}
