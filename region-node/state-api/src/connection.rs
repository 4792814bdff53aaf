//! One connection: read, execute everything that has arrived, persist once, write once, read again.
//!
//! A client that sends faster than it reads is not read from while it is being written to, so what is kept for it is bounded
//! by one batch of replies; one that stops reading altogether is disconnected.

use std::{
    io,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::futures::Notified,
    time::{sleep_until, timeout},
};

use crate::{
    blocking::Served,
    call::{REPLY_LIMIT, Session, dispatch},
    client::Registered,
    resp::{Decoder, Limits, Step, Writer},
    server::Server,
    transaction::Watched,
};

/// Room for a read when little is expected, and when much is.
const SMALL_READ: usize = 4 << 10;
const LARGE_READ: usize = 64 << 10;
/// Replies of this size are sent before more commands are executed.
const FLUSH_AT: usize = 256 << 10;
/// So many commands are executed before others get their turn.
const BATCH: usize = 1024;
/// A client that takes nothing of its replies for so long is not reading them.
const STALLED: Duration = Duration::from_secs(60);
/// After the last reply: how long, and how much, is listened to so that the reply is not lost to a reset.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_READS: usize = 64;
/// Memory that is kept from command to command: a buffer of this many bytes, room for this many arguments.
const KEEP_INPUT: usize = 256 << 10;
const KEEP_ARGUMENTS: usize = 1024;

/// What to do after a batch.
enum Next {
    /// Wait for more bytes: at least so many, where that is known.
    Read(usize),
    /// There is more to execute.
    GoOn,
    /// The last command waits for elements: nothing is executed before it is served.
    Wait,
    /// The replies in the buffer are the last ones.
    Close,
    /// A reply is larger than replies may be.
    Drop,
}

struct Connection {
    server: Arc<Server>,
    session: Session,
    decoder: Decoder,
    input: BytesMut,
    /// The arguments of the command being executed; kept for their memory.
    args: Vec<Bytes>,
    out: Writer,
    read_size: usize,
    /// The most that the read buffer has held since it was made.
    most_held: usize,
}

/// Serves one client to its end.
pub(crate) async fn serve(server: Arc<Server>, mut stream: TcpStream, registered: Registered) {
    let client = registered.client.clone();
    let mut connection = Connection {
        session: Session {
            client: client.clone(),
            authenticated: server.access.is_open(),
            unpersisted: None,
            closing: false,
            last: None,
            errors: 0,
            multi: None,
            watched: Watched::default(),
            waiting: None,
            touched: Vec::new(),
        },
        server: server.clone(),
        decoder: Decoder::default(),
        input: BytesMut::new(),
        args: Vec::new(),
        out: Writer::default(),
        read_size: SMALL_READ,
        most_held: 0,
    };
    let mut stop = pin!(client.stop.told());
    loop {
        let next = connection.execute_arrived();
        let next = connection.persist(next).await;
        if matches!(next, Next::Drop) {
            tracing::warn!(client = %client.address, "closing a connection whose reply exceeds {REPLY_LIMIT} bytes");
            return;
        }
        if connection.flush(&mut stream).await.is_err() {
            return;
        }
        let need = match next {
            Next::Read(need) => need,
            Next::GoOn => {
                tokio::task::yield_now().await;
                continue;
            }
            Next::Wait => match connection.wait(&mut stream, stop.as_mut()).await {
                Ok(()) => continue,
                Err(_) => return,
            },
            Next::Close | Next::Drop => {
                drop(connection);
                return linger(stream).await;
            }
        };
        connection.make_room(need);
        // The socket first: listening for the end takes a lock, and is only needed where there is nothing to read.
        let read = tokio::select! {
            biased;
            read = stream.read_buf(&mut connection.input) => read,
            () = &mut stop => return,
        };
        match read {
            Ok(0) | Err(_) => return,
            Ok(_) if client.stop.is_asked() => return,
            Ok(read) => connection.note_read(read),
        }
    }
}

impl Connection {
    /// Executes the commands that have arrived completely.
    fn execute_arrived(&mut self) -> Next {
        let (mut executed, limits) = (0, self.server.limits());
        let next = loop {
            if executed == BATCH || self.out.len() >= FLUSH_AT {
                break Next::GoOn;
            }
            let limits = if self.session.authenticated { &limits } else { &Limits::UNAUTHENTICATED };
            match self.decoder.next(&mut self.input, limits, &mut self.args) {
                Ok(Step::Command) => {
                    executed += 1;
                    dispatch(&self.args, &mut self.session, &self.server, &mut self.out);
                    if self.out.len() > REPLY_LIMIT {
                        break Next::Drop;
                    }
                    if self.session.closing {
                        break Next::Close;
                    }
                    if self.session.waiting.is_some() {
                        break Next::Wait;
                    }
                }
                Ok(Step::NeedMore(bytes)) => break Next::Read(bytes),
                Err(error) => {
                    self.server.counters.protocol_errors.fetch_add(1, Relaxed);
                    self.out.error(&format!("ERR Protocol error: {error}"));
                    break Next::Close;
                }
            }
        };
        if executed > 0 {
            self.note_executed(executed as u64);
        }
        next
    }

    fn note_executed(&mut self, executed: u64) {
        // The arguments hold on to the read buffer, which cannot be used again before they are gone.
        self.args.clear();
        if self.args.capacity() > KEEP_ARGUMENTS {
            self.args = Vec::new();
        }
        if self.input.is_empty() && self.most_held > KEEP_INPUT {
            self.input = BytesMut::new();
            self.most_held = 0;
        }
        self.server.counters.commands.fetch_add(executed, Relaxed);
        if self.session.errors > 0 {
            self.server.counters.errors.fetch_add(std::mem::take(&mut self.session.errors), Relaxed);
        }
        let mut seen = self.session.client.seen();
        seen.active = Instant::now();
        seen.command = self.session.last;
    }

    /// Persist, then speak. Also what this client has only read: another client's write that it saw must not be lost after
    /// this client was told of it, so it is written first, which costs nothing when there is none.
    async fn persist(&mut self, next: Next) -> Next {
        if self.out.len() == 0 {
            return next;
        }
        match self.session.unpersisted.take() {
            None => {
                // A journal that cannot be written stops writes; reads go on.
                let _ = self.server.store.persist_pending().await;
                next
            }
            Some(mark) => match self.server.store.persist(mark).await {
                Ok(()) => next,
                Err(error) => {
                    // Which of the replies would be untrue is not known any more, so none is given.
                    self.out.clear();
                    self.out.error(&format!("MISCONF {error}"));
                    Next::Close
                }
            },
        }
    }

    /// Waits until the command that found nothing is served, and writes its reply. Meanwhile the socket is listened to, so that a
    /// client that goes away leaves the line; what it sends is kept for later, up to a limit.
    ///
    /// # Errors
    /// The connection ends, by the peer or by the server.
    async fn wait(&mut self, stream: &mut TcpStream, mut stop: Pin<&mut Notified<'_>>) -> io::Result<()> {
        let Some(mut waiting) = self.session.waiting.take() else { return Ok(()) };
        self.session.client.seen().blocked = true;
        let mut time_is_up = pin!(sleep_until(waiting.deadline.unwrap_or_else(tokio::time::Instant::now)));
        let served = loop {
            let may_read = self.input.len() < KEEP_INPUT;
            if may_read {
                self.make_room(SMALL_READ);
            }
            tokio::select! {
                biased;
                () = stop.as_mut() => return Err(io::ErrorKind::ConnectionAborted.into()),
                served = waiting.ended() => break served,
                () = time_is_up.as_mut(), if waiting.deadline.is_some() => break waiting.give_up(),
                read = stream.read_buf(&mut self.input), if may_read => match read? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => self.note_read(read),
                },
            }
        };
        self.session.client.seen().blocked = false;
        match served {
            Served::Taken { key, reply, mark } => {
                mark.into_iter().for_each(|mark| self.session.note(mark));
                waiting.wanted.write(&key, &reply, &mut self.out);
            }
            Served::Refused(error) => self.refuse(&error.to_string()),
            Served::TimedOut => self.out.null_array(),
            Served::Unblocked => self.refuse("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        }
        Ok(())
    }

    fn refuse(&mut self, why: &str) {
        self.session.errors += 1;
        self.out.error(why);
    }

    /// Sends the replies: nearly always one write.
    async fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let counters = &self.server.counters;
        let bytes = self.out.as_bytes();
        let mut sent = 0;
        while sent < bytes.len() {
            let written = match stream.try_write(&bytes[sent..]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match timeout(STALLED, stream.write(&bytes[sent..])).await {
                        Ok(written) => written?,
                        Err(_) => {
                            counters.slow_readers.fetch_add(1, Relaxed);
                            tracing::warn!(client = %self.session.client.address, "closing a connection that does not read its replies");
                            return Err(io::ErrorKind::TimedOut.into());
                        }
                    }
                }
                written => written?,
            };
            sent += written;
        }
        counters.bytes_out.fetch_add(sent as u64, Relaxed);
        self.out.clear();
        Ok(())
    }

    /// Makes room for the next read. What a peer has merely announced is granted step by step, as it arrives.
    fn make_room(&mut self, need: usize) {
        let granted = need.min(self.input.len().max(LARGE_READ));
        let room = self.input.capacity() - self.input.len();
        if room < granted.max(SMALL_READ / 4) {
            self.input.reserve(granted.max(self.read_size));
        }
    }

    /// Reads grow with what arrives at once.
    fn note_read(&mut self, read: usize) {
        self.server.counters.bytes_in.fetch_add(read as u64, Relaxed);
        if read >= self.read_size {
            self.read_size = (self.read_size * 2).min(LARGE_READ);
        }
        self.most_held = self.most_held.max(self.input.len());
    }
}

/// Closes after the last reply. Closing with unread bytes would make the system reset the connection, and the peer could lose
/// the reply that tells it why.
async fn linger(mut stream: TcpStream) {
    let _ = timeout(LINGER, async {
        stream.shutdown().await?;
        let mut ignored = [0; SMALL_READ];
        for _ in 0..LINGER_READS {
            if stream.read(&mut ignored).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    })
    .await;
}
