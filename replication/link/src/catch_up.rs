//! The catch-up stream, outgoing: what the peer lacks, partition by partition, by version vector. The cost is that of
//! the changed elements, however long the peer was away and however much there is in all.

use std::convert::Infallible;

use quinn::SendStream;
use replication_core::{PARTITIONS, VersionVector};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    audit::{AUDIT_EVERY, Audit},
    frame,
    session::{Lack, Session, SessionError},
    status::add,
};

struct CatchUp<'a> {
    session: &'a Session,
    stream: SendStream,
}

/// Runs until the connection fails. While nobody asks for anything, it looks now and then whether the peer lacks
/// something that nobody will send it.
pub(crate) async fn run(
    session: &Session,
    stream: SendStream,
    mut lacking: mpsc::Receiver<Lack>,
) -> Result<Infallible, SessionError> {
    let mut catch_up = CatchUp { session, stream };
    let mut audit = Audit::default();
    loop {
        match timeout(AUDIT_EVERY, lacking.recv()).await {
            Ok(lack) => match lack.ok_or(SessionError::Gone)? {
                Lack::Round(round) => catch_up.round(round).await?,
                Lack::Of(partition, vv) => catch_up.send(partition, &vv).await?,
            },
            Err(_) => {
                for partition in audit.look(&session.link) {
                    let has = session.link.store.acked(session.link.peer.id, partition);
                    catch_up.send(partition, &has).await?;
                }
            }
        }
    }
}

impl CatchUp<'_> {
    async fn round(&mut self, round: u64) -> Result<(), SessionError> {
        let (store, peer) = (&self.session.link.store, self.session.link.peer.id);
        for partition in 0..PARTITIONS {
            // First this, then the look at the state: a change made in between goes out live, one made before is seen.
            self.session.pending.clear(partition);
            let has = store.acked(peer, partition);
            if !has.dominates(&store.version_vector(partition)) {
                self.send(partition, &has).await?;
            }
        }
        self.say(&frame::done(round)).await
    }

    async fn send(&mut self, partition: u16, has: &VersionVector) -> Result<(), SessionError> {
        let (store, gauges) = (&self.session.link.store, &self.session.link.gauges);
        let catch_up = store.catch_up_since(partition, has);
        store.persist_pending().await?;
        let frame = frame::catch_up(|out| catch_up.encode(out));
        if frame.len() > frame::MAX_FRAME {
            tracing::error!(partition, bytes = frame.len(), "a partition is too large to be sent");
            return Ok(());
        }
        add(&gauges.catch_ups_sent, 1);
        add(&gauges.catch_up_bytes_sent, frame.len());
        self.say(&frame).await
    }

    async fn say(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        self.stream.write_all(frame).await?;
        add(&self.session.link.gauges.sent_bytes, frame.len());
        Ok(())
    }
}
