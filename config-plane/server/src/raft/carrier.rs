//! How bytes get to another member and its answer back, and how that fails. What the bytes mean is `network.rs`.
//!
//! Three lanes, so three connections to a peer: one for the log and for votes, one for heartbeats alone, one for snapshots.
//! Whatever fills one of them, heartbeats go through.
//!
//! A trait, because the simulation has a network of its own (`tests/sim`).

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use openraft::{
    RPCTypes,
    errors::{NetworkError, RPCError, Timeout, Unreachable},
};
use plane_client::{Call, CallError, ChannelOptions, Credentials, Endpoint, Transport};

use super::{codec, types::TypeConfig};

/// Media type of everything under `/raft/`.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.atoll.raft";

/// The longest answer to a raft RPC, bytes: a vote and two log ids.
const ANSWER_MOST: usize = 64 << 10;

/// Which of the connections to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Log,
    Heartbeats,
    Snapshots,
}

/// Gets one request to another member, and its answer back.
pub(crate) trait Carrier: Send + Sync + 'static {
    /// Posts a body to a path of a member. `within` bounds all of it.
    fn post(
        &self,
        to: u64,
        lane: Lane,
        path: &'static str,
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
    #[error("{endpoint} answered {status}: {body}")]
    Status { endpoint: Endpoint, status: http::StatusCode, body: String },
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
            Self::UnknownMember { .. } | Self::Status { .. } | Self::Question { .. } => false,
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
            | Self::Status { .. }
            | Self::Question { .. }
            | Self::Answer { .. } => Unreachable::new(&self).into(),
        }
    }
}

/// Over HTTP/2 and mutual TLS.
pub(crate) struct TlsCarrier {
    peers: BTreeMap<u64, Endpoint>,
    log: Transport,
    heartbeats: Transport,
    snapshots: Transport,
}

impl TlsCarrier {
    pub(crate) fn new(peers: BTreeMap<u64, Endpoint>, credentials: &Credentials) -> Result<Self, pki::PkiError> {
        let transport = || Transport::new(credentials, ChannelOptions::default());
        Ok(Self { peers, log: transport()?, heartbeats: transport()?, snapshots: transport()? })
    }
}

impl Carrier for TlsCarrier {
    fn post(
        &self,
        to: u64,
        lane: Lane,
        path: &'static str,
        body: Bytes,
        within: Duration,
    ) -> BoxFuture<'_, Result<Bytes, CallFailure>> {
        let transport = match lane {
            Lane::Log => &self.log,
            Lane::Heartbeats => &self.heartbeats,
            Lane::Snapshots => &self.snapshots,
        };
        Box::pin(async move {
            let endpoint = self.peers.get(&to).ok_or(CallFailure::UnknownMember { target: to })?;
            let call = Call::post(path, MEDIA_TYPE, body).most(ANSWER_MOST);
            let answer = transport.call(endpoint, &call, within).await?;
            if answer.status.is_success() {
                return Ok(answer.body);
            }
            let body = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
            Err(CallFailure::Status { endpoint: endpoint.clone(), status: answer.status, body })
        })
    }
}
