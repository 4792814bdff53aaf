//! Datagrams by the batch: one system call receives up to [`BATCH`] of them, another one sends as many.
//!
//! In: a bound socket. Out: the queries that were waiting, each with room for an answer. All memory is taken once, when a batch
//! is made; whoever receives and sends takes no more.
//!
//! The only `unsafe` of the DNS server is here, since `recvmmsg` and `sendmmsg` take arrays of pointers. How it is kept safe:
//!
//! - Everything that a header points to is owned by the [`Batch`] on the heap, is never moved and never grows: the boxes are
//!   made at their final size. Pointers to answers are set anew right before each send.
//! - The kernel writes to that memory during a call only, and no reference into it is alive then: both calls take `&mut self`.
//! - What the kernel says (counts, lengths) is held against the sizes here before it is used.

#![allow(unsafe_code, reason = "recvmmsg and sendmmsg take arrays of pointers, see above")]

use std::{
    io,
    mem::{size_of, zeroed},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    ptr,
};

use libc::{c_int, c_uint};

use super::{QUERY_MAX, Sent};

/// Datagrams of a batch. Between 32 and 128 the cost of a query differs by less than can be measured; latency and memory speak
/// for few.
pub(super) const BATCH: usize = 64;

/// From one query's buffer to the next. A little more than a query, so that their heads, which is all that is read of most of
/// them, do not all fall into one set of the processor's cache.
const STRIDE: usize = QUERY_MAX + 192;

/// Room for an answer; over UDP none is longer than 1232 bytes.
const ANSWER_ROOM: usize = 1280;

/// Room for the one control message that there may be: an `in_pktinfo`, or an `in6_pktinfo`.
const CONTROL: usize = 40;

/// Where a control message's data begin.
const CONTROL_DATA: usize = size_of::<libc::cmsghdr>();

/// Control messages begin where a pointer may.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// A socket, the queries that came last, and their answers.
pub(super) struct Batch {
    socket: UdpSocket,
    /// [`BATCH`] times [`STRIDE`].
    queries: Box<[u8]>,
    answers: Box<[Vec<u8>]>,
    /// Where queries came from: answers go there as it was written.
    sources: Box<[libc::sockaddr_in6]>,
    /// Empty if the socket is bound to one address. Else the address that was asked, which answers go out from.
    controls: Box<[Control]>,
    /// Headers to receive with, a buffer each.
    received: Box<[libc::mmsghdr]>,
    /// Kept for the pointers that headers hold.
    _query_vectors: Box<[libc::iovec]>,
    /// Headers to send with: of those queries that have an answer.
    to_send: Box<[libc::mmsghdr]>,
    answer_vectors: Box<[libc::iovec]>,
    /// How many headers the kernel has written to.
    used: usize,
    /// How many queries there are.
    count: usize,
    /// How many answers.
    answered: usize,
}

impl Batch {
    /// With `wildcard` answers go out from the address that was asked: the socket is bound to none, and has to tell
    /// ([`super::tell_destination`]).
    pub(super) fn new(socket: UdpSocket, wildcard: bool) -> Self {
        let mut queries = vec![0; BATCH * STRIDE].into_boxed_slice();
        let mut query_vectors: Box<[libc::iovec]> = queries
            .chunks_exact_mut(STRIDE)
            .map(|query| libc::iovec { iov_base: query.as_mut_ptr().cast(), iov_len: QUERY_MAX })
            .collect();
        // SAFETY: all three are plain C structures for which zeros are a value: no address, no pointer, no length.
        let (source, header, vector): (libc::sockaddr_in6, libc::mmsghdr, libc::iovec) =
            unsafe { (zeroed(), zeroed(), zeroed()) };
        let mut sources = vec![source; BATCH].into_boxed_slice();
        let mut controls = vec![Control([0; CONTROL]); if wildcard { BATCH } else { 0 }].into_boxed_slice();
        let mut received = vec![header; BATCH].into_boxed_slice();
        for (i, header) in received.iter_mut().enumerate() {
            header.msg_hdr.msg_iov = &raw mut query_vectors[i];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (&raw mut sources[i]).cast();
            header.msg_hdr.msg_control =
                controls.get_mut(i).map_or(ptr::null_mut(), |control| (&raw mut *control).cast());
        }
        Self {
            socket,
            queries,
            answers: (0..BATCH).map(|_| Vec::with_capacity(ANSWER_ROOM)).collect(),
            sources,
            controls,
            received,
            _query_vectors: query_vectors,
            to_send: vec![header; BATCH].into_boxed_slice(),
            answer_vectors: vec![vector; BATCH].into_boxed_slice(),
            used: BATCH,
            count: 0,
            answered: 0,
        }
    }

    /// Takes what is there. If nothing is, waits for one, as long as the socket's time-out says; never for a second one.
    pub(super) fn receive(&mut self) -> io::Result<usize> {
        for header in &mut self.received[..self.used] {
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = if header.msg_hdr.msg_control.is_null() { 0 } else { CONTROL } as _;
            header.msg_hdr.msg_flags = 0;
        }
        self.count = 0;
        // SAFETY: BATCH headers are there, and point to memory of this batch of the sizes that they say.
        let count = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                self.received.as_mut_ptr(),
                BATCH as c_uint,
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        // The kernel may have begun with the first one before it failed.
        let error = io::Error::last_os_error();
        self.count = usize::try_from(count).unwrap_or_default().min(BATCH);
        self.used = self.count.max(1);
        if count < 0 { Err(error) } else { Ok(self.count) }
    }

    /// Has each query answered that came from where an answer can be sent to: `answer(query, from, out)` says whether there is
    /// one.
    pub(super) fn answer(&mut self, mut answer: impl FnMut(&[u8], SocketAddr, &mut Vec<u8>) -> bool) {
        self.answered = 0;
        for i in 0..self.count {
            let length = (self.received[i].msg_len as usize).min(QUERY_MAX);
            let query = &self.queries[i * STRIDE..][..length];
            // Port 0 cannot be answered; a forged packet may carry it.
            let Some(from) = address(&self.sources[i]).filter(|from| from.port() != 0) else { continue };
            if !answer(query, from, &mut self.answers[i]) {
                continue;
            }
            let out = &mut self.answers[i];
            let vector = &mut self.answer_vectors[self.answered];
            *vector = libc::iovec { iov_base: out.as_mut_ptr().cast(), iov_len: out.len() };
            let header = &mut self.to_send[self.answered].msg_hdr;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut self.sources[i]).cast();
            header.msg_namelen = self.received[i].msg_hdr.msg_namelen;
            (header.msg_control, header.msg_controllen) = (ptr::null_mut(), 0);
            if let Some(control) = self.controls.get_mut(i) {
                let length = from_asked(control, self.received[i].msg_hdr.msg_controllen as _);
                if length > 0 {
                    header.msg_control = (&raw mut *control).cast();
                    header.msg_controllen = length as _;
                }
            }
            self.answered += 1;
        }
    }

    /// Sends the answers. Where the socket has no room that is waited for once, as long as its time-out says; what there is no
    /// room for then is dropped.
    pub(super) fn send(&mut self) -> Sent {
        let (mut sent, mut at, mut flags) = (Sent::default(), 0, 0);
        while at < self.answered {
            let rest = &mut self.to_send[at..self.answered];
            // SAFETY: as many headers are there as are said, set by `answer`, to memory that nobody has touched since.
            let count =
                unsafe { libc::sendmmsg(self.socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as c_uint, flags as _) };
            match usize::try_from(count) {
                Ok(count @ 1..) => at += count,
                // An error is that of the first one.
                Ok(0) | Err(_) => match io::Error::last_os_error().kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        flags = libc::MSG_DONTWAIT as c_int;
                        sent.dropped += 1;
                        at += 1;
                    }
                    _ => {
                        sent.failed += 1;
                        at += 1;
                    }
                },
            }
        }
        self.answered = 0;
        sent
    }
}

/// Reads an address of either family; None for what is none of them.
fn address(storage: &libc::sockaddr_in6) -> Option<SocketAddr> {
    match c_int::from(storage.sin6_family) {
        libc::AF_INET6 => {
            let addr = Ipv6Addr::from(storage.sin6_addr.s6_addr);
            Some(SocketAddr::new(IpAddr::V6(addr), u16::from_be(storage.sin6_port)))
        }
        libc::AF_INET => {
            // SAFETY: an IPv4 address is shorter than an IPv6 one, has no stricter alignment, and the family says that it is one.
            let v4 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            let addr = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::new(IpAddr::V4(addr), u16::from_be(v4.sin_port)))
        }
        _ => None,
    }
}

/// Makes of the control message that came with a query the one that sends the answer from the address that was asked: the same,
/// without the interface, which is the routing table's to choose, but for addresses that mean nothing without one. Its length; 0 if
/// there is none that could be used.
fn from_asked(control: &mut Control, length: usize) -> usize {
    let Control(bytes) = control;
    let number = |at: usize| bytes.get(at..at + 4).and_then(|b| Some(c_int::from_ne_bytes(b.try_into().ok()?)));
    let (level, kind) = (number(CONTROL_DATA - 8), number(CONTROL_DATA - 4));
    if length >= CONTROL_DATA + 12 && (level, kind) == (Some(libc::IPPROTO_IP), Some(libc::IP_PKTINFO)) {
        // in_pktinfo { interface, local address, destination }: sends from the second.
        bytes[CONTROL_DATA..][..4].fill(0);
        return length.min(CONTROL);
    }
    if length >= CONTROL_DATA + 20 && (level, kind) == (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_PKTINFO)) {
        // in6_pktinfo { address, interface }.
        let is_link_local = bytes[CONTROL_DATA] == 0xfe && bytes[CONTROL_DATA + 1] & 0xc0 == 0x80;
        if !is_link_local {
            bytes[CONTROL_DATA + 16..][..4].fill(0);
        }
        return length.min(CONTROL);
    }
    0
}

/// Has the socket tell with each datagram to which address of this machine it was sent.
pub(super) fn tell_destination(socket: &UdpSocket) -> io::Result<()> {
    let (level, option) = match socket.local_addr()? {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    let on: c_int = 1;
    // SAFETY: the option's value is a c_int that lives during the call, and its size is said.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn socket(addr: &str) -> UdpSocket {
        let socket = UdpSocket::bind(addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    }

    /// A batch at any port of an address, and that port.
    fn batch(addr: &str, wildcard: bool) -> (Batch, u16) {
        let socket = socket(addr);
        if wildcard {
            tell_destination(&socket).unwrap();
        }
        let port = socket.local_addr().unwrap().port();
        (Batch::new(socket, wildcard), port)
    }

    /// Answers with what was asked, backwards.
    fn backwards(batch: &mut Batch) -> Vec<SocketAddr> {
        let mut sources = Vec::new();
        batch.answer(|query, from, out| {
            out.clear();
            out.extend(query.iter().rev());
            sources.push(from);
            !query.is_empty()
        });
        sources
    }

    fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut bytes = [0; 8192];
        let (length, from) = socket.recv_from(&mut bytes).expect("an answer in time");
        (bytes[..length].to_vec(), from)
    }

    #[test]
    fn each_gets_its_own_answer_however_many_there_are() {
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            let (mut batch, port) = batch(addr, false);
            let clients: Vec<UdpSocket> = (0..3).map(|_| socket(addr)).collect();
            let server = SocketAddr::new(clients[0].local_addr().unwrap().ip(), port);
            // Longer than a batch, and more than once, so that headers are used again.
            let mut wanted = BATCH * 2 + 7;
            for i in 0..wanted {
                clients[i % 3].send_to(format!("question {i}").as_bytes(), server).unwrap();
            }
            while wanted > 0 {
                let count = batch.receive().unwrap();
                assert!((1..=BATCH).contains(&count));
                assert_eq!(backwards(&mut batch).len(), count);
                assert_eq!(batch.send(), Sent::default());
                wanted -= count;
            }
            for i in 0..BATCH * 2 + 7 {
                let (answer, from) = receive(&clients[i % 3]);
                assert_eq!(answer, format!("question {i}").bytes().rev().collect::<Vec<_>>());
                assert_eq!(from, server);
            }
        }
    }

    #[test]
    fn a_single_query_is_not_kept_waiting_for_others() {
        let (mut batch, port) = batch("127.0.0.1:0", false);
        let client = socket("127.0.0.1:0");
        for round in 0..3_u8 {
            client.send_to(&[round], ("127.0.0.1", port)).unwrap();
            assert_eq!(batch.receive().unwrap(), 1);
            backwards(&mut batch);
            batch.send();
            assert_eq!(receive(&client).0, [round]);
        }
    }

    #[test]
    fn answers_come_from_the_address_that_was_asked() {
        #[track_caller]
        fn check(wildcard: &str, client: &str, asked: &[&str]) {
            let (mut batch, port) = batch(wildcard, true);
            let client = socket(client);
            for asked in asked {
                let server = SocketAddr::new(asked.parse().unwrap(), port);
                client.send_to(b"who", server).unwrap();
                batch.receive().unwrap();
                assert_eq!(backwards(&mut batch), [client.local_addr().unwrap()]);
                assert_eq!(batch.send(), Sent::default());
                assert_eq!(receive(&client), (b"ohw".to_vec(), server));
            }
        }
        check("0.0.0.0:0", "127.0.0.1:0", &["127.0.0.1", "127.0.0.77", "127.9.9.9"]);
        check("[::]:0", "[::1]:0", &["::1"]);
    }

    #[test]
    fn what_has_no_answer_is_passed_over_and_long_queries_are_cut() {
        let (mut batch, port) = batch("127.0.0.1:0", false);
        let client = socket("127.0.0.1:0");
        for query in [&[][..], b"ab", &[7; 6000]] {
            client.send_to(query, ("127.0.0.1", port)).unwrap();
        }
        let mut wanted = 3;
        while wanted > 0 {
            wanted -= batch.receive().unwrap();
            batch.answer(|query, _, out| {
                out.clear();
                out.extend((query.len() as u16).to_be_bytes());
                !query.is_empty()
            });
            assert_eq!(batch.send(), Sent::default());
        }
        assert_eq!(receive(&client).0, [0, 2]);
        assert_eq!(receive(&client).0, (QUERY_MAX as u16).to_be_bytes());
    }

    #[test]
    fn an_answer_that_cannot_be_sent_is_counted_and_the_others_go() {
        let (mut batch, port) = batch("127.0.0.1:0", false);
        let client = socket("127.0.0.1:0");
        for byte in 0..5_u8 {
            client.send_to(&[byte], ("127.0.0.1", port)).unwrap();
        }
        let mut failed = 0;
        let mut wanted = 5;
        while wanted > 0 {
            wanted -= batch.receive().unwrap();
            batch.answer(|query, _, out| {
                // No datagram is that long.
                let length = if query[0] % 2 == 1 { 70_000 } else { 1 };
                out.clear();
                out.resize(length, query[0]);
                true
            });
            failed += batch.send().failed;
        }
        assert_eq!(failed, 2);
        assert_eq!([0, 1, 2].map(|_| receive(&client).0), [[0], [2], [4]]);
    }

    #[test]
    fn waiting_ends_with_the_time_out() {
        let (mut batch, _) = batch("127.0.0.1:0", false);
        batch.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        for _ in 0..2 {
            assert_eq!(batch.receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
            assert!(backwards(&mut batch).iter().all(|from| from.port() != 0));
        }
    }

    #[test]
    fn control_messages_that_are_none_of_ours_are_not_sent_back() {
        let mut control = Control([0; CONTROL]);
        assert_eq!(from_asked(&mut control, CONTROL), 0);
        control.0[CONTROL_DATA - 8..][..4].copy_from_slice(&libc::IPPROTO_IP.to_ne_bytes());
        control.0[CONTROL_DATA - 4..][..4].copy_from_slice(&libc::IP_PKTINFO.to_ne_bytes());
        assert_eq!(from_asked(&mut control, CONTROL_DATA + 11), 0, "cut off");
        assert_eq!(from_asked(&mut control, CONTROL_DATA + 12), CONTROL_DATA + 12);
        assert_eq!(from_asked(&mut control, 0), 0);
    }
}
