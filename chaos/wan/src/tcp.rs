//! TCP paths: one relayed connection for each that is accepted, a pump in each direction.
//!
//! A pump reads a chunk, asks the [`Line`] when it comes out, and hands it to a writer that waits until then. What is on the way
//! is bounded, so a slow or cut link pushes back on the sender as a full window would.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};

use crate::{
    Link, Pair,
    line::{Line, Luck, millis},
};

/// Bytes of one chunk.
const CHUNK: usize = 16 * 1024;
/// Chunks on the way in one direction: 4 MiB, the window of a fast transatlantic connection.
const CHUNKS_IN_FLIGHT: usize = 256;
/// Connections of one path at a time.
const CONNECTIONS: usize = 1024;
/// A region that does not take a connection for this long is as good as dead.
const DIAL: Duration = Duration::from_secs(5);

pub(crate) fn listen(at: SocketAddr) -> anyhow::Result<TcpListener> {
    let bind = || {
        let socket = socket2::Socket::new(socket2::Domain::for_address(at), socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&at.into())?;
        socket.listen(256)?;
        TcpListener::from_std(socket.into())
    };
    bind().with_context(|| format!("WAN path: cannot listen on {at}/tcp"))
}

pub(crate) async fn serve(listener: TcpListener, target: SocketAddr, pair: Pair, mut closing: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let Ok((client, _)) = accepted else {
            // Out of descriptors or a connection that died in the queue: neither ends the path.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
        let (pair, mut closing) = (pair.clone(), closing.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = relay(client, target, pair) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
            drop(slot);
        });
    }
}

/// Carries one connection until both directions are done. The handshake costs a round trip, as it would on the wire.
async fn relay(client: TcpStream, target: SocketAddr, pair: Pair) {
    pair.forth.until_open().await;
    pair.back.until_open().await;
    let round_trip = millis(pair.forth.shape().delay_ms + pair.back.shape().delay_ms);
    let opens_at = Instant::now() + round_trip;
    let Ok(Ok(server)) = timeout(DIAL, TcpStream::connect(target)).await else {
        tokio::time::sleep_until(opens_at.into()).await;
        reset(client);
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    // One direction may end long before the other; a direction that *fails* takes the other with it.
    let forth = pump(client_read, server_write, pair.forth, opens_at);
    let back = pump(server_read, client_write, pair.back, opens_at);
    let _ = tokio::try_join!(forth, back);
}

/// A refused connection reaches the dialler as a reset, not as a polite end.
fn reset(client: TcpStream) {
    if let Ok(client) = client.into_std() {
        let _ = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
    }
}

async fn pump(mut from: OwnedReadHalf, to: OwnedWriteHalf, link: Arc<Link>, opens_at: Instant) -> std::io::Result<()> {
    let (queue, arriving) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let read = async {
        let mut line = Line::default();
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                drop(queue);
                return Ok(());
            }
            let now = Instant::now().max(opens_at);
            let (due, lost) = line.chunk(now, &link.shape(), read, Luck::draw());
            if lost {
                link.count_drop();
            }
            if queue.send((due, buffer[..read].to_vec())).await.is_err() {
                return Ok(());
            }
        }
    };
    tokio::try_join!(read, deliver(to, arriving, &link)).map(|_| ())
}

async fn deliver(
    mut to: OwnedWriteHalf,
    mut arriving: mpsc::Receiver<(Instant, Vec<u8>)>,
    link: &Link,
) -> std::io::Result<()> {
    while let Some((due, chunk)) = arriving.recv().await {
        // A timer rounds up to a millisecond, and wakes us once more; a link without delay needs neither.
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        link.until_open().await;
        to.write_all(&chunk).await?;
        link.count(chunk.len());
    }
    to.shutdown().await
}
