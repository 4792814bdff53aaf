//! Datagrams one by one, for systems without `recvmmsg`: what `batch.rs` does, with batches of one.
//!
//! On such a system answers of a socket that is bound to no address may come from another one than was asked.

#![cfg_attr(target_os = "linux", expect(dead_code, reason = "there it is only tried by its tests"))]

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use super::{QUERY_MAX, Sent};

/// A socket, the query that came last, and its answer.
pub(super) struct Batch {
    socket: UdpSocket,
    query: Box<[u8]>,
    from: Option<(usize, SocketAddr)>,
    answer: Vec<u8>,
    answer_to: Option<SocketAddr>,
}

impl Batch {
    pub(super) fn new(socket: UdpSocket, _wildcard: bool) -> Self {
        let query = vec![0; QUERY_MAX].into_boxed_slice();
        Self { socket, query, from: None, answer: Vec::with_capacity(QUERY_MAX), answer_to: None }
    }

    /// Waits for a query, as long as the socket's time-out says.
    pub(super) fn receive(&mut self) -> io::Result<usize> {
        self.from = None;
        self.from = Some(self.socket.recv_from(&mut self.query)?);
        Ok(1)
    }

    /// Has it answered: `answer(query, from, out)` says whether there is an answer.
    pub(super) fn answer(&mut self, mut answer: impl FnMut(&[u8], SocketAddr, &mut Vec<u8>) -> bool) {
        self.answer_to = None;
        // Port 0 cannot be answered; a forged packet may carry it.
        let Some((length, from)) = self.from.filter(|(_, from)| from.port() != 0) else { return };
        let query = self.query.get(..length).unwrap_or_default();
        self.answer_to = answer(query, from, &mut self.answer).then_some(from);
    }

    /// Sends the answer.
    pub(super) fn send(&mut self) -> Sent {
        let Some(to) = self.answer_to.take() else { return Sent::default() };
        match self.socket.send_to(&self.answer, to).map_err(|error| error.kind()) {
            Ok(_) => Sent::default(),
            Err(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Sent { dropped: 1, failed: 0 },
            Err(_) => Sent { dropped: 0, failed: 1 },
        }
    }
}

/// Cannot be asked for here.
pub(super) fn tell_destination(_socket: &UdpSocket) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_its_own_answer() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = server.local_addr().unwrap();
        let mut batch = Batch::new(server, false);
        let clients: Vec<UdpSocket> = (0..2).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for (i, client) in clients.iter().enumerate() {
            client.send_to(&[i as u8], addr).unwrap();
            client.send_to(&[], addr).unwrap();
        }
        for _ in 0..4 {
            assert_eq!(batch.receive().unwrap(), 1);
            batch.answer(|query, _, out| {
                out.clear();
                out.extend(query.iter().map(|byte| byte + 100));
                !query.is_empty()
            });
            assert_eq!(batch.send(), Sent::default());
        }
        for (i, client) in clients.iter().enumerate() {
            let mut answer = [0; 10];
            let (length, from) = client.recv_from(&mut answer).unwrap();
            assert_eq!((length, answer[0], from), (1, 100 + i as u8, addr));
        }
    }
}
