//! Sockets, and errors that say what to do.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use steering::Transport;

/// How many ports are tried for one that is free for both UDP and TCP, when any will do.
const ANY_PORT_TRIES: usize = 16;

/// How long a UDP thread sleeps at most before it looks whether it is to stop.
pub(crate) const UDP_WAKE: Duration = Duration::from_millis(250);

/// How long a UDP thread waits at most for room to send in; then the answer is dropped, and the client asks again.
const UDP_SEND_WITHIN: Duration = Duration::from_millis(20);

/// Bursts that the kernel may hold for each socket while its thread answers, bytes: some 1 300 small queries, of which each takes
/// 768 of it. Best effort: `net.core.rmem_max`, 208 KiB unless it was raised, is what counts.
const UDP_BUFFER: usize = 1 << 20;

/// Why a DNS address cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve DNS on {addr} ({transport}): {source}; {advice}")]
pub struct BindError {
    /// The address.
    pub addr: SocketAddr,
    /// `UDP` or `TCP`.
    pub transport: &'static str,
    /// What the system says.
    pub source: io::Error,
    /// What to do.
    pub advice: String,
}

impl BindError {
    pub(crate) fn new(addr: SocketAddr, transport: Transport, source: io::Error) -> Self {
        let (transport, flag) = match transport {
            Transport::Udp => ("UDP", 'u'),
            Transport::Tcp => ("TCP", 't'),
        };
        let port = addr.port();
        let advice = match source.kind() {
            io::ErrorKind::AddrInUse => {
                format!(
                    "`ss -l{flag}np 'sport = :{port}'` shows which process has it; stop that one or choose another address"
                )
            }
            io::ErrorKind::PermissionDenied => {
                format!("ports below 1024 need CAP_NET_BIND_SERVICE; grant it or choose another port than {port}")
            }
            io::ErrorKind::AddrNotAvailable => {
                format!("{} is not an address of this machine; choose one of those that `ip addr` shows", addr.ip())
            }
            _ => "choose another address".to_owned(),
        };
        Self { addr, transport, source, advice }
    }
}

pub(crate) struct Sockets {
    pub(crate) local_addr: SocketAddr,
    /// One for each thread, all at one address.
    pub(crate) udp: Vec<UdpSocket>,
    pub(crate) tcp: tokio::net::TcpListener,
}

/// Binds TCP and so many UDP sockets to one address and port.
pub(crate) fn bind(listen: SocketAddr, threads: usize) -> Result<Sockets, BindError> {
    let mut tries = if listen.port() == 0 { ANY_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind_both(listen, threads) {
            Err(error) if tries > 0 && error.source.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
}

fn bind_both(listen: SocketAddr, threads: usize) -> Result<Sockets, BindError> {
    let fail_udp = |e| BindError::new(listen, Transport::Udp, e);
    let (local_addr, udp) = bind_udp(listen, threads).map_err(fail_udp)?;
    let tcp = bind_tcp(local_addr)
        .and_then(tokio::net::TcpListener::from_std)
        .map_err(|e| BindError::new(local_addr, Transport::Tcp, e))?;
    Ok(Sockets { local_addr, udp, tcp })
}

/// The kernel spreads clients over the sockets by their addresses.
///
/// The first one is bound without SO_REUSEADDR and SO_REUSEPORT: either would let a second server take over the address without an
/// error on either side. Once it has the address it lets the others in, which only processes of the same user could join.
fn bind_udp(listen: SocketAddr, threads: usize) -> io::Result<(SocketAddr, Vec<UdpSocket>)> {
    let first = udp_socket(listen)?;
    first.bind(&listen.into())?;
    let mut sockets = vec![UdpSocket::from(first)];
    let addr = sockets[0].local_addr()?;
    if threads > 1 {
        socket2::SockRef::from(&sockets[0]).set_reuse_port(true)?;
    }
    for _ in 1..threads {
        let socket = udp_socket(addr)?;
        socket.set_reuse_port(true)?;
        socket.bind(&addr.into())?;
        sockets.push(socket.into());
    }
    Ok((addr, sockets))
}

fn udp_socket(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    let _ = socket.set_recv_buffer_size(UDP_BUFFER);
    let _ = socket.set_send_buffer_size(UDP_BUFFER);
    socket.set_read_timeout(Some(UDP_WAKE))?;
    socket.set_write_timeout(Some(UDP_SEND_WITHIN))?;
    Ok(socket)
}

/// With SO_REUSEADDR: a server that starts again is not held up by connections of the one before.
fn bind_tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(128)?;
    Ok(socket.into())
}
