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

/// How long the UDP thread sleeps at most before it looks whether it is to stop.
pub(crate) const UDP_WAKE: Duration = Duration::from_millis(250);

/// Bursts that the kernel may hold while the thread answers; best effort, the system's own limit is what counts.
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
    pub(crate) udp: UdpSocket,
    pub(crate) tcp: tokio::net::TcpListener,
}

/// Binds UDP and TCP to one address and port.
pub(crate) fn bind(listen: SocketAddr) -> Result<Sockets, BindError> {
    let mut tries = if listen.port() == 0 { ANY_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind_both(listen) {
            Err(error) if tries > 0 && error.source.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
}

fn bind_both(listen: SocketAddr) -> Result<Sockets, BindError> {
    let fail_udp = |e| BindError::new(listen, Transport::Udp, e);
    let udp = bind_udp(listen).map_err(fail_udp)?;
    let local_addr = udp.local_addr().map_err(fail_udp)?;
    let tcp = bind_tcp(local_addr)
        .and_then(tokio::net::TcpListener::from_std)
        .map_err(|e| BindError::new(local_addr, Transport::Tcp, e))?;
    Ok(Sockets { local_addr, udp, tcp })
}

/// Without SO_REUSEADDR: for UDP it would let a second server take over the address without an error on either side.
fn bind_udp(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    let _ = socket.set_recv_buffer_size(UDP_BUFFER);
    socket.bind(&addr.into())?;
    socket.set_read_timeout(Some(UDP_WAKE))?;
    Ok(socket.into())
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
