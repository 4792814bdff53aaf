//! The QUIC endpoint: one UDP socket for dialling and listening, TLS 1.3 with certificates on both sides.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use pki::{ClientAuth, Identity, Principal};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use quinn_proto::RandomConnectionIdGenerator;
use ring::hmac;
use rustls::pki_types::CertificateDer;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{StartError, congestion::LinkCongestion};

/// The versions of the protocol, best first, as the handshake negotiates them.
const ALPN: [(u16, &[u8]); 3] = [(3, b"atoll-link/3"), (2, b"atoll-link/2"), (1, b"atoll-link/1")];
/// A peer that says nothing for so long is gone.
const IDLE: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// What a sender may have under way: 100 000 small changes a second over the longest cable.
const WINDOW: u32 = 8 << 20;
/// One for each lane.
const STREAMS: u32 = 3;
/// What the system may hold of a link's packets, each way.
const SOCKET_BYTES: usize = 4 << 20;
/// First guess of a round trip: a packet lost while connecting is sent again after three of these.
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// Binds the socket and prepares both roles.
pub(crate) fn bind(listen: SocketAddr, identity: &Identity) -> Result<Endpoint, StartError> {
    let transport = Arc::new(transport());
    let unusable = |e: quinn::crypto::rustls::NoInitialCipherSuite| StartError::Tls(e.to_string());
    let tls = identity
        .server_config(&ALPN.map(|(_, name)| name), ClientAuth::Required)
        .map_err(|e| StartError::Tls(e.to_string()))?;
    let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).map_err(unusable)?));
    server.transport_config(transport.clone());
    let tls = identity.client_config(&ALPN.map(|(_, name)| name)).map_err(|e| StartError::Tls(e.to_string()))?;
    let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).map_err(unusable)?));
    client.transport_config(transport);
    let bound = socket(listen)
        .and_then(|socket| Endpoint::new(endpoint_config(identity), Some(server), socket, Arc::new(TokioRuntime)));
    let mut endpoint = bound.map_err(|source| StartError::Bind { listen, source })?;
    endpoint.set_default_client_config(client);
    Ok(endpoint)
}

/// A region that was killed and started again knows nothing of its links, and the peer that dialled them would wait for [`IDLE`] until
/// it dials anew. So whatever belongs to no link is answered by a stateless reset (RFC 9000, 10.3), under a key that the next
/// life has too: the peer's next packet, one each [`KEEP_ALIVE`] at least, ends the old link.
fn endpoint_config(identity: &Identity) -> EndpointConfig {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &identity.secret("stateless resets of region links"));
    let mut config = EndpointConfig::new(Arc::new(key));
    // The usual ids say whose life they are of, and those of another one get no answer.
    config.cid_generator(|| Box::<RandomConnectionIdGenerator>::default());
    config
}

/// The system's usual 208 KiB hold some ninety packets: fewer than a peer may send in one go, so a moment in which this process
/// is not scheduled would look like a narrow path, and a link over a long one would take seconds to grow out of that again. Where
/// the system allows less (`net.core.rmem_max`), it gives what it allows.
fn socket(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    let _ = socket.set_recv_buffer_size(SOCKET_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BYTES);
    socket.bind(&listen.into())?;
    Ok(socket.into())
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW * STREAMS))
        .send_window(u64::from(WINDOW))
        .datagram_receive_buffer_size(None)
        .initial_rtt(INITIAL_RTT)
        .congestion_controller_factory(Arc::new(LinkCongestion::default()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(IDLE.try_into().ok());
    transport
}

/// The version that a negotiated name stands for.
pub(crate) fn version(alpn: &[u8]) -> Option<u16> {
    ALPN.iter().find(|(_, name)| *name == alpn).map(|(version, _)| *version)
}

/// Whom a connection leads to, by its verified certificate.
pub(crate) fn principal(connection: &Connection) -> Option<Principal> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    pki::peer_principal(&chain)
}
