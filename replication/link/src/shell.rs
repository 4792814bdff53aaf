//! One QUIC connection under a [`Session`]: moves bytes and wake-ups, decides nothing.
//!
//! Each lane is a stream of its own in each direction, so that a lost packet holds up its lane alone. A task per stream
//! reads or writes; what they have to say comes together here.

use std::{future::Future, pin::Pin, time::Instant};

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt, crypto::rustls::HandshakeData};
use replication_storage::{PersistError, StateStore, WriteMark};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{Input, Lane, Output, Session, endpoint};

const CHUNK: usize = 64 << 10;
/// What may have come from the streams and wait for the machine: the transport's windows hold the rest.
const ARRIVED: usize = 16;
/// How much of what has come is taken in before anything goes out.
const AT_ONCE: usize = 32;

/// Milliseconds and deadlines, counted from one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now_ms(self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }

    pub(crate) fn at(self, ms: u64) -> tokio::time::Instant {
        // A day is as good as never, and no sum with it overflows.
        let ahead = std::time::Duration::from_millis(ms.min(self.now_ms() + 86_400_000));
        (self.0 + ahead).into()
    }
}

type Persisting = Pin<Box<dyn Future<Output = (WriteMark, Result<(), PersistError>)> + Send>>;

/// The streams of one connection.
struct Streams {
    writers: [mpsc::UnboundedSender<Bytes>; 3],
    arrived: mpsc::Receiver<Input>,
    _tasks: JoinSet<()>,
}

/// Runs a connection until it ends. The session has been told of its beginning and of its end when this returns.
pub(crate) async fn run(session: &mut Session, store: &StateStore, connection: &Connection, clock: Clock) {
    let why = match open(connection).await {
        Ok(streams) => {
            session.handle(clock.now_ms(), Input::Opened { version: version(connection) });
            drive(session, store, connection, clock, streams).await
        }
        Err(why) => why,
    };
    connection.close(VarInt::from_u32(1), &why.as_bytes()[..why.len().min(200)]);
    session.handle(clock.now_ms(), Input::Closed { why });
}

/// What the handshake agreed on.
fn version(connection: &Connection) -> u16 {
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    data.and_then(|data| endpoint::version(&data.protocol?)).unwrap_or_default()
}

async fn open(connection: &Connection) -> Result<Streams, String> {
    let lanes: &[Lane] = if version(connection) == 1 { &Lane::ALL[1..] } else { &Lane::ALL };
    let (arrives, arrived) = mpsc::channel(ARRIVED);
    let mut tasks = JoinSet::new();
    let mut writers: [Option<mpsc::UnboundedSender<Bytes>>; 3] = Default::default();
    for lane in lanes {
        let stream = connection.open_uni().await.map_err(|e| format!("the connection ended: {e}"))?;
        // Live and catch-up share the link in turns, see lanes.rs; control goes before both.
        let _ = stream.set_priority(i32::from(*lane == Lane::Control));
        let (writer, queue) = mpsc::unbounded_channel(); // bounded by the lane's window
        tasks.spawn(write(*lane, stream, queue, arrives.clone()));
        writers[*lane as usize] = Some(writer);
    }
    tasks.spawn(accept(connection.clone(), lanes, arrives));
    let writers = writers.map(|writer| writer.unwrap_or_else(|| mpsc::unbounded_channel().0));
    Ok(Streams { writers, arrived, _tasks: tasks })
}

/// Why the connection ended.
async fn drive(
    session: &mut Session,
    store: &StateStore,
    connection: &Connection,
    clock: Clock,
    mut streams: Streams,
) -> String {
    session.handle(clock.now_ms(), round_trip(connection));
    let mut written = store.watch_position();
    let mut persisting: Option<Persisting> = None;
    loop {
        if let Some(reason) = put_out(session, store, &streams, &mut persisting) {
            return reason;
        }
        let wake = clock.at(session.wake_at().unwrap_or(u64::MAX));
        let input = tokio::select! {
            input = streams.arrived.recv() => input.unwrap_or(Input::Tick),
            (mark, done) = persisted(&mut persisting) => {
                persisting = None;
                done.map_or_else(|e| Input::NotPersisted(e.to_string()), |()| Input::Persisted(mark))
            }
            changed = written.changed(), if session.heeds_writes() => match changed {
                Ok(()) => Input::Tick,
                Err(_) => return "the store is shut down".to_owned(),
            },
            () = tokio::time::sleep_until(wake) => round_trip(connection),
        };
        if let Some(why) = take_in(session, clock, &mut streams, input) {
            return why;
        }
    }
}

fn round_trip(connection: &Connection) -> Input {
    Input::RoundTrip(connection.rtt().as_micros() as u64)
}

/// Waits for what is being persisted; for ever if nothing is.
async fn persisted(persisting: &mut Option<Persisting>) -> (WriteMark, Result<(), PersistError>) {
    match persisting {
        Some(persisting) => persisting.await,
        None => std::future::pending().await,
    }
}

/// Hands over what came, and what has come besides, so that it is applied together and written once.
fn take_in(session: &mut Session, clock: Clock, streams: &mut Streams, first: Input) -> Option<String> {
    let mut next = Some(first);
    for _ in 0..AT_ONCE {
        match next.take() {
            None => break,
            Some(Input::Closed { why }) => return Some(why),
            Some(input) => session.handle(clock.now_ms(), input),
        }
        next = streams.arrived.try_recv().ok();
    }
    match next {
        Some(Input::Closed { why }) => return Some(why),
        Some(input) => session.handle(clock.now_ms(), input),
        None => {}
    }
    None
}

/// Does what the machine wants; the reason if it wants the connection closed.
fn put_out(
    session: &mut Session,
    store: &StateStore,
    streams: &Streams,
    persisting: &mut Option<Persisting>,
) -> Option<String> {
    while let Some(output) = session.next_output() {
        match output {
            // A writer that is gone has said why, and that comes in next.
            Output::Send { lane, bytes } => drop(streams.writers[lane as usize].send(bytes)),
            Output::Persist(mark) => {
                // A later mark covers an earlier one, which nobody then hears of any more.
                let store = store.clone();
                *persisting = Some(Box::pin(async move { (mark, store.persist(mark).await) }));
            }
            Output::Close { reason } => return Some(reason),
        }
    }
    None
}

async fn write(
    lane: Lane,
    mut stream: SendStream,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    arrives: mpsc::Sender<Input>,
) {
    while let Some(frame) = queue.recv().await {
        let bytes = frame.len();
        let input = match stream.write_chunk(frame).await {
            Ok(()) => Input::Wrote { lane, bytes },
            Err(e) => Input::Closed { why: format!("the connection ended while writing: {e}") },
        };
        if arrives.send(input).await.is_err() {
            return;
        }
    }
}

/// Streams come in the order of the lanes.
async fn accept(connection: Connection, lanes: &'static [Lane], arrives: mpsc::Sender<Input>) {
    let mut readers = JoinSet::new();
    for lane in lanes {
        match connection.accept_uni().await {
            Ok(stream) => drop(readers.spawn(read(*lane, stream, arrives.clone()))),
            Err(e) => {
                let _ = arrives.send(Input::Closed { why: format!("the connection ended: {e}") }).await;
                return;
            }
        }
    }
    while readers.join_next().await.is_some() {}
}

async fn read(lane: Lane, mut stream: RecvStream, arrives: mpsc::Sender<Input>) {
    loop {
        let input = match stream.read_chunk(CHUNK, true).await {
            Ok(Some(chunk)) => Input::Frame { lane, bytes: chunk.bytes },
            Ok(None) => Input::Closed { why: "the peer ended a stream".to_owned() },
            Err(e) => Input::Closed { why: format!("the connection ended while reading: {e}") },
        };
        let ended = matches!(input, Input::Closed { .. });
        if arrives.send(input).await.is_err() || ended {
            return;
        }
    }
}
