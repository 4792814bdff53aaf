//! The emulator with real sockets: an echo server behind a path, and faults on either direction.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected is to panic")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use chaos_wan::{Carries, LinkShape, Path, Wan};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};

const SOON: Duration = Duration::from_secs(10);

/// A free loopback address; the port is released again, which is good enough for a path that binds at once.
async fn free(carries: Carries) -> SocketAddr {
    let any = "127.0.0.1:0";
    match carries {
        Carries::Tcp => TcpListener::bind(any).await.unwrap().local_addr().unwrap(),
        Carries::Udp => UdpSocket::bind(any).await.unwrap().local_addr().unwrap(),
    }
}

async fn wan_to(target: SocketAddr, carries: Carries) -> (Wan, SocketAddr) {
    let mut wan = Wan::new(&["us".into(), "eu".into()]);
    let listen = free(carries).await;
    wan.open(&Path { from: "us".into(), to: "eu".into(), carries, listen, target }).await.unwrap();
    (wan, listen)
}

async fn tcp_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    at
}

async fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..size], from).await;
        }
    });
    at
}

async fn echo_once(stream: &mut TcpStream, text: &[u8]) -> Vec<u8> {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await.unwrap();
    back
}

#[tokio::test]
async fn a_stream_takes_a_round_trip_to_open_and_one_for_each_echo() {
    let (wan, path) = wan_to(tcp_echo().await, Carries::Tcp).await;
    wan.set("us", "eu", LinkShape { delay_ms: 30.0, ..LinkShape::default() }).unwrap();
    wan.set("eu", "us", LinkShape { delay_ms: 10.0, ..LinkShape::default() }).unwrap();
    let start = Instant::now();
    let mut stream = TcpStream::connect(path).await.unwrap();
    assert_eq!(echo_once(&mut stream, b"one").await, b"one");
    assert!(start.elapsed() >= Duration::from_millis(80), "handshake and echo: {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(echo_once(&mut stream, b"two").await, b"two");
    assert!(start.elapsed() >= Duration::from_millis(40), "echo: {:?}", start.elapsed());
    assert_eq!(wan.counts()[&("us".to_owned(), "eu".to_owned())].bytes, 6);
}

#[tokio::test]
async fn a_cut_holds_a_stream_and_healing_lets_it_go_on() {
    let (wan, path) = wan_to(tcp_echo().await, Carries::Tcp).await;
    let mut stream = TcpStream::connect(path).await.unwrap();
    echo_once(&mut stream, b"up").await;
    wan.set("eu", "us", LinkShape { cut: true, ..LinkShape::default() }).unwrap();
    stream.write_all(b"held").await.unwrap();
    let mut back = [0; 4];
    assert!(timeout(Duration::from_millis(200), stream.read_exact(&mut back)).await.is_err(), "nothing comes back");
    wan.set("eu", "us", LinkShape::default()).unwrap();
    timeout(SOON, stream.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"held");
}

#[tokio::test]
async fn a_dead_region_resets_its_connections() {
    let dead = free(Carries::Tcp).await;
    let (_wan, path) = wan_to(dead, Carries::Tcp).await;
    let mut stream = TcpStream::connect(path).await.unwrap();
    let read = timeout(SOON, stream.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(&read, Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset), "{read:?}");
}

#[tokio::test]
async fn a_one_way_cut_loses_datagrams_in_that_direction_only() {
    let (wan, path) = wan_to(udp_echo().await, Carries::Udp).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(path).await.unwrap();
    let mut buffer = [0; 16];

    socket.send(b"one").await.unwrap();
    assert_eq!(timeout(SOON, socket.recv(&mut buffer)).await.unwrap().unwrap(), 3);

    wan.set("eu", "us", LinkShape { cut: true, ..LinkShape::default() }).unwrap();
    socket.send(b"two").await.unwrap();
    let count = || wan.counts();
    let deadline = Instant::now() + SOON;
    while count()[&("eu".to_owned(), "us".to_owned())].dropped == 0 {
        assert!(Instant::now() < deadline, "the echo is dropped on its way back");
        tokio::task::yield_now().await;
    }
    assert_eq!(count()[&("us".to_owned(), "eu".to_owned())].packets, 2, "both went forth");

    wan.set("eu", "us", LinkShape::default()).unwrap();
    socket.send(b"three").await.unwrap();
    let size = timeout(SOON, socket.recv(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..size], b"three", "the lost one does not come back");
}

#[tokio::test]
async fn an_address_in_use_and_an_unknown_end_are_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let mut wan = Wan::new(&["us".into(), "eu".into()]);
    let mut path = Path { from: "us".into(), to: "eu".into(), carries: Carries::Tcp, listen, target: listen };
    let error = format!("{:#}", wan.open(&path).await.unwrap_err());
    assert!(error.contains(&listen.to_string()), "{error}");
    path.to = "mars".into();
    let error = wan.open(&path).await.unwrap_err().to_string();
    assert_eq!(error, "there is no link from `us` to `mars`; the ends are eu, us");
}
