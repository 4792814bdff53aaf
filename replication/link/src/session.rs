//! One connection, from hello to its end: three loops over two streams a side, and whichever fails first ends all.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quinn::{Connection, ConnectionError, ReadError, SendStream, VarInt, WriteError};
use replication_core::{DecodeError, PARTITIONS, VersionVector};
use replication_storage::{OpenError, PersistError, StateStore};
use tokio::sync::mpsc;

use crate::{
    Peer, catch_up,
    frame::{self, Frame, FrameReader, Hello, VERSION},
    live, receive,
    status::Gauges,
    vectors::Malformed,
};

/// How long a peer may take to say hello.
const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// What the receiving loop may have waiting for the sending loops. Beyond it a want is dropped, and asked again later.
const QUEUE: usize = 2 * PARTITIONS as usize;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("the connection ended: {0}")]
    Connection(#[from] ConnectionError),
    #[error("the connection ended while writing: {0}")]
    Write(#[from] WriteError),
    #[error("the connection ended while reading: {0}")]
    Read(#[from] ReadError),
    #[error("the peer sent something unreadable: {0}")]
    Malformed(&'static str),
    #[error("the peer sent something unreadable: {0}")]
    Decode(#[from] DecodeError),
    #[error("the peer belongs to world `{0}`, not to this one")]
    OtherWorld(String),
    #[error("the peer says it is region {0}, but its certificate is of another one")]
    OtherRegion(u16),
    #[error("the peer did not say hello within {} s", HELLO_DEADLINE.as_secs())]
    Silent,
    #[error("{0}")]
    Journal(#[from] PersistError),
    #[error("no new name could be taken: {0}")]
    Identity(#[from] OpenError),
    #[error("a loop of the session has ended")]
    Gone,
}

impl From<Malformed> for SessionError {
    fn from(Malformed(what): Malformed) -> Self {
        Self::Malformed(what)
    }
}

/// What outlives the connections to one peer.
pub(crate) struct Link {
    pub(crate) peer: Peer,
    pub(crate) store: StateStore,
    pub(crate) gauges: Gauges,
}

/// Something the peer lacks, for the catch-up loop.
#[derive(Debug)]
pub(crate) enum Lack {
    /// Go through all partitions, and say when that is done.
    Round(u64),
    /// This partition, since this vector.
    Of(u16, VersionVector),
}

/// Partitions of which the peer may lack something that no live delta will bring: their live deltas are left out,
/// since the catch-up to come contains them.
#[derive(Default)]
pub(crate) struct Pending([AtomicU64; PARTITIONS as usize / 64]);

impl Pending {
    pub(crate) fn set_all(&self) {
        self.0.iter().for_each(|word| word.store(u64::MAX, Ordering::Release));
    }

    pub(crate) fn clear(&self, partition: u16) {
        self.0[usize::from(partition / 64)].fetch_and(!(1 << (partition % 64)), Ordering::AcqRel);
    }

    pub(crate) fn has(&self, partition: u16) -> bool {
        self.0[usize::from(partition / 64)].load(Ordering::Acquire) & (1 << (partition % 64)) != 0
    }
}

/// What the loops of one connection share.
pub(crate) struct Session {
    pub(crate) link: Arc<Link>,
    pub(crate) connection: Connection,
    pub(crate) pending: Pending,
}

/// Where the live stream begins.
pub(crate) struct Start {
    /// The ring position to send from; what lies before it travels by catch-up.
    pub(crate) position: u64,
    /// The store's change counts at the hello, for acks.
    pub(crate) seen: Vec<u32>,
    pub(crate) stream: SendStream,
}

/// Runs a connection until it ends, closes it with the reason, and returns that.
pub(crate) async fn run(link: &Arc<Link>, connection: Connection) -> SessionError {
    let session = Session { link: link.clone(), connection: connection.clone(), pending: Pending::default() };
    let Err(error) = session.drive().await;
    let reason = error.to_string();
    connection.close(VarInt::from_u32(1), &reason.as_bytes()[..reason.len().min(200)]);
    error
}

impl Session {
    async fn drive(&self) -> Result<Infallible, SessionError> {
        self.pending.set_all();
        let greeted = tokio::time::timeout(HELLO_DEADLINE, self.greet()).await;
        let (start, reader) = greeted.map_err(|_| SessionError::Silent)??;
        let catch_up_stream = self.connection.open_uni().await?;
        // Live changes first where both have something to send.
        let _ = catch_up_stream.set_priority(-1);
        let (says, said) = mpsc::channel(QUEUE);
        let (lacks, lacking) = mpsc::channel(QUEUE);
        lacks.send(Lack::Round(live::FIRST_ROUND)).await.map_err(|_| SessionError::Gone)?;
        let (live, catch_up, receive) = tokio::try_join!(
            live::run(self, start, said, lacks.clone()),
            catch_up::run(self, catch_up_stream, lacking),
            receive::run(self, reader, says, lacks),
        )?;
        let _: (Infallible, Infallible) = (live, catch_up);
        Ok(receive)
    }

    /// Says hello, hears hello. The position is taken before the vectors are read: a change made in between is sent
    /// twice rather than not at all.
    async fn greet(&self) -> Result<(Start, FrameReader), SessionError> {
        let store = &self.link.store;
        let position = store.position();
        let mut seen = Vec::new();
        store.changed_partitions(&mut seen);
        let vectors = (0..PARTITIONS).zip(store.version_vectors()).collect();
        store.persist_pending().await?;
        let mut stream = self.connection.open_uni().await?;
        let (world, now_ms) = (store.world().to_owned(), store.now_ms());
        let hello = frame::hello(&Hello { version: VERSION, world, replica: store.replica(), now_ms, vectors });
        stream.write_all(&hello).await?;
        let mut reader = FrameReader::new(self.connection.accept_uni().await?);
        let Frame::Hello(hello) = reader.next().await? else {
            return Err(SessionError::Malformed("something else than hello"));
        };
        self.welcome(hello)?;
        Ok((Start { position, seen, stream }, reader))
    }

    fn welcome(&self, hello: Hello) -> Result<(), SessionError> {
        let (store, peer) = (&self.link.store, &self.link.peer);
        if hello.world != store.world() {
            return Err(SessionError::OtherWorld(hello.world));
        }
        if hello.replica.region != peer.id {
            return Err(SessionError::OtherRegion(hello.replica.region));
        }
        let me = store.replica();
        let ahead_of_us = |(id, vv): &(u16, VersionVector)| vv.get(me) > store.version_vector(*id).get(me);
        if hello.vectors.iter().any(ahead_of_us) {
            store.begin_new_incarnation(&format!("{} has seen changes of {me} that are not here", peer.name))?;
        }
        store.set_acked(peer.id, &hello.vectors);
        let clock_ahead_ms = hello.now_ms as i64 - store.now_ms() as i64;
        self.link.gauges.up(clock_ahead_ms);
        tracing::info!(peer = %peer.name, replica = %hello.replica, clock_ahead_ms, "link up");
        Ok(())
    }
}
