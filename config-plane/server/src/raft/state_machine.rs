//! The replicated state machine as openraft drives it: [`PlaneState`](decision::PlaneState) in memory, snapshots in redb.
//!
//! ```text
//! committed entry ─→ PlaneState::apply ─→ new Plan on the watch channel ─→ answer to the proposer
//! ```
//!
//! In that order, so that whoever gets the answer finds the Plan already published on this member.
//! After a restart the memory is: the last snapshot, plus the log up to the stored commit index, which openraft applies again.

use std::{io, sync::Arc};

use bytes::Bytes;
use decision::PlaneState;
use futures_util::{Stream, StreamExt};
use model::Plan;
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
};
use tokio::sync::{Mutex, watch};

use super::{
    disk::Disk,
    file::{Change, Found},
    snapshot::{Image, SnapshotError},
    types::{Applied, LogId, Proposal, Snapshot, SnapshotMeta, StoredMembership, TypeConfig},
};

/// What the rest of the process sees of the state machine, swapped whole after each change.
pub(crate) type Published = watch::Sender<Arc<PlaneState>>;

/// The state machine.
pub(crate) struct StateMachine {
    image: Image,
    vault: Vault,
    published: Published,
    plans: watch::Sender<Option<Arc<Plan>>>,
}

impl StateMachine {
    /// The machine over what was found on the disk.
    pub(crate) fn new(
        disk: Disk,
        found: &Found,
        published: Published,
        plans: watch::Sender<Option<Arc<Plan>>>,
    ) -> Result<Self, SnapshotError> {
        let kept = found.snapshot.clone().map(Bytes::from);
        let image = kept.as_deref().map(Image::decode).transpose()?.unwrap_or_default();
        let kept = kept.map(|blob| Kept { meta: image.meta(), blob });
        let machine = Self { image, vault: Vault { disk, kept: Arc::new(Mutex::new(kept)) }, published, plans };
        machine.publish();
        Ok(machine)
    }

    pub(super) fn apply_payload(
        &mut self,
        id: LogId,
        payload: EntryPayload<Proposal, u64, super::types::RegionNode>,
    ) -> Applied {
        self.image.applied = Some(id);
        match payload {
            EntryPayload::Blank => Applied::Nothing,
            EntryPayload::Membership(membership) => {
                self.image.membership = StoredMembership::new(Some(id), membership);
                Applied::Nothing
            }
            EntryPayload::Normal(Proposal(request)) => {
                let outcome = self.image.state.apply(id.index, &request);
                self.publish();
                Applied::Outcome(outcome)
            }
        }
    }

    /// The whole memory, to be compared.
    #[cfg(test)]
    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    fn publish(&self) {
        self.published.send_replace(Arc::new(self.image.state.clone()));
        let plan = self.image.state.plan().cloned();
        self.plans.send_if_modified(|shown| {
            let newer = shown.as_ref().map(|p| p.id) < plan.as_ref().map(|p| p.id);
            if newer {
                *shown = plan;
            }
            newer
        });
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.image.applied, self.image.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let applied = self.apply_payload(entry.log_id, entry.payload);
            if let Some(responder) = responder {
                responder.send(applied);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { image: self.image.clone(), vault: self.vault.clone() }
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMeta, blob: Bytes) -> Result<(), io::Error> {
        let image = Image::decode(&blob)?;
        self.vault.keep(image.meta(), blob).await?;
        self.image = image;
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let kept = self.vault.kept.lock().await;
        Ok(kept.as_ref().map(|kept| Snapshot { meta: kept.meta.clone(), snapshot: kept.blob.clone() }))
    }
}

/// Makes a snapshot of an image, off the state machine's task.
pub(crate) struct Builder {
    image: Image,
    vault: Vault,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let meta = self.image.meta();
        let blob = self.image.encode()?;
        self.vault.keep(meta.clone(), blob.clone()).await?;
        Ok(Snapshot { meta, snapshot: blob })
    }
}

/// Where the newest snapshot is kept, in memory and on disk.
#[derive(Clone)]
struct Vault {
    disk: Disk,
    kept: Arc<Mutex<Option<Kept>>>,
}

struct Kept {
    meta: SnapshotMeta,
    blob: Bytes,
}

impl Vault {
    /// Keeps a snapshot, unless a newer one is there. The lock is held across the disk write: a builder that was overtaken by
    /// an installed snapshot must not put its older one back, since the log before the newer one may be gone by then.
    async fn keep(&self, meta: SnapshotMeta, blob: Bytes) -> Result<(), io::Error> {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|old| old.meta.last_log_id > meta.last_log_id) {
            return Ok(());
        }
        self.disk.write(Change::Snapshot(blob.to_vec())).await?;
        *kept = Some(Kept { meta, blob });
        Ok(())
    }
}
