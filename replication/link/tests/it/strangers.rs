//! Whoever is not a region of this world, and whoever is but does not speak properly.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, crypto::rustls::QuicClientConfig};
use replication_link::{LinkConfig, Peer, StartError, start};
use tokio::runtime::Builder;

use crate::world::{LOCAL, PATIENCE, World, converged, eventually, name, run, set, to};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_of_another_world_is_refused_and_the_right_one_is_not() {
    let (mut world, other_world) = (World::new(), World::new());
    let (a, b, stranger) = (world.store(1), world.store(2), other_world.store(1));
    let at_b = world.link(2, &b, &[1]).await;
    run(&stranger, &set("k", "of a stranger")).await;
    let mut config = other_world.link_config(1, &[2]);
    config.peers = vec![Peer { id: 2, name: name(2), addr: world.addr(2) }];
    let at_stranger = start(config, stranger).unwrap();
    eventually("the stranger is told", || to(&at_stranger, 2).last_error.is_some()).await;
    assert!(!to(&at_b, 1).connected);
    assert_eq!(b.dbsize(), 0);
    let at_a = world.link(1, &a, &[2]).await;
    run(&a, &set("k", "v")).await;
    converged(&[&a, &b]).await;
    assert!(to(&at_a, 2).connected);
    assert_eq!(to(&at_stranger, 2).connects, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_regions_certificate_is_refused_at_the_start() {
    let world = World::new();
    let mut config = world.link_config(1, &[]);
    config.identity = world.identity(2);
    let refused = start(config, world.store(1)).map(|_| ()).unwrap_err();
    assert!(matches!(&refused, StartError::OtherPrincipal { want, .. } if *want == name(1)), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_on_the_port_is_harmless() {
    let mut world = World::new();
    let (a, b) = (world.store(1), world.store(2));
    let at_b = world.link(2, &b, &[1]).await;
    let _at_a = world.link(1, &a, &[2]).await;
    eventually("the link is live", || to(&at_b, 1).live).await;
    let noise = std::net::UdpSocket::bind(SocketAddr::new(LOCAL, 0)).unwrap();
    for n in 0..3000 {
        let mut datagram = vec![0; fastrand::usize(1..1400)];
        fastrand::fill(&mut datagram);
        if n % 3 == 0 {
            datagram[0] = 0xc0; // looks like the first packet of a connection
            datagram.resize(1200, 0);
        }
        noise.send_to(&datagram, world.addr(2)).unwrap();
    }
    run(&a, &set("k", "v")).await;
    converged(&[&a, &b]).await;
    assert_eq!(to(&at_b, 1).connects, 1);
}

/// A connection with a good certificate and no manners.
async fn rude(world: &World, id: u16, addr: SocketAddr) -> (Endpoint, Connection) {
    let tls = world.identity(id).client_config(&[b"atoll-link/1"]).unwrap();
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = Endpoint::client(SocketAddr::new(LOCAL, 0)).unwrap();
    let connecting = endpoint.connect_with(config, addr, &format!("{}.region.atoll", name(2))).unwrap();
    let connection = connecting.await.unwrap();
    (endpoint, connection)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_from_a_region_closes_its_connection_with_a_reason() {
    let mut world = World::new();
    let (a, b) = (world.store(1), world.store(2));
    let at_b = world.link(2, &b, &[1]).await;
    let garbage: [&[u8]; 5] = [
        &[0; 64],
        &[0xff; 64],
        &[5, 0, 0, 0, 1, 9, 9, 9, 9],             // a hello of version 2313
        &[2, 0, 0, 0, 7, 1],                      // a catch-up before any hello
        &[0xff, 0xff, 0xff, 0x0f, 2, 1, 2, 3, 4], // a batch of 256 MiB that never comes
    ];
    for bytes in garbage {
        let (_endpoint, connection) = rude(&world, 1, world.addr(2)).await;
        // A peer that sent garbage before may find itself shut out at once, and told of that garbage.
        let mut stream = connection.open_uni().await;
        if let Ok(stream) = &mut stream {
            let _ = stream.write_all(bytes).await;
        }
        let closed = connection.closed().await.to_string();
        assert!(closed.contains("unreadable") || closed.contains("hello"), "{bytes:?}: {closed}");
    }
    let (_endpoint, connection) = rude(&world, 3, world.addr(2)).await;
    let closed = connection.closed().await.to_string();
    assert!(closed.contains("not a region that dials"), "{closed}");
    assert!(!to(&at_b, 1).connected);

    let _at_a = world.link(1, &a, &[2]).await;
    run(&a, &set("k", "v")).await;
    converged(&[&a, &b]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_region_need_not_wait_until_its_old_connection_is_given_up() {
    let mut world = World::new();
    let (a, b) = (world.store(1), world.store(2));
    let at_b = world.link(2, &b, &[1]).await;
    let (_endpoint, silent) = rude(&world, 1, world.addr(2)).await;
    let _at_a = world.link(1, &a, &[2]).await;
    eventually("the new connection is live", || to(&at_b, 1).live).await;
    let closed = silent.closed().await.to_string();
    assert!(closed.contains("replaced by a newer"), "{closed}");
    assert_eq!(to(&at_b, 1).connects, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_was_killed_tells_who_dialled_it_that_it_knows_the_link_no_more() {
    let world = World::new();
    let life = world.lives(2);
    let config = |listen| {
        let peers = vec![Peer { id: 1, name: name(1), addr: SocketAddr::new(LOCAL, 9) }];
        LinkConfig { self_id: 2, self_name: name(2), listen, peers, identity: life() }
    };
    // Gone with its runtime, it says no goodbye.
    let first_life = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let at_b = {
        let _inside = first_life.enter();
        start(config(SocketAddr::new(LOCAL, 0)), world.store(2)).unwrap()
    };
    let addr = at_b.local_addr();
    let (_endpoint, link) = rude(&world, 1, addr).await;
    tokio::task::spawn_blocking(move || first_life.shutdown_timeout(PATIENCE)).await.unwrap();
    drop(at_b);
    let second = world.store_with(2, |store| store.dir.push("second"));
    let began = Instant::now();
    let _at_b = loop {
        match start(config(addr), second.clone()) {
            Ok(handle) => break handle,
            // The socket lives until the first life's runtime has let go of it.
            Err(StartError::Bind { .. }) if began.elapsed() < PATIENCE => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    link.open_uni().await.unwrap().write_all(b"anybody there?").await.unwrap();
    assert_eq!(link.closed().await, ConnectionError::Reset, "and not that the time was up");
}
