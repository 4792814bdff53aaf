//! Which port a worker is given: free now, and not promised to another worker of this process.
//!
//! A port that is free now may be taken before the worker listens there. Then the worker exits and its next life gets another.
//! So that this is rare, ports are not taken from the range that the kernel gives to outgoing connections: the gateway itself
//! opens many of those to the very same address.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::spec::PortChoice;

/// Ports of workers from here on, where any will do.
const FIRST_ANY: u16 = 15_000;
/// Where outgoing connections begin if the kernel does not tell (Linux's default).
const FIRST_OUTGOING: u16 = 32_768;
/// How many ports from the base are tried.
const RANGE: u16 = 1000;
/// How often a port is drawn.
const DRAWS: usize = 64;

/// Ports promised to workers of this process.
static PROMISED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

fn promised() -> MutexGuard<'static, BTreeSet<u16>> {
    PROMISED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port promised to one worker for one life.
pub(crate) struct Lease {
    pub(crate) address: SocketAddr,
    /// The socket that listens there already, for a worker that is given one.
    pub(crate) listener: Option<TcpListener>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        promised().remove(&self.address.port());
    }
}

/// A free port for a worker: any, or from `slot` places after a base on.
pub(crate) fn lease(host: IpAddr, choice: PortChoice, slot: u16) -> io::Result<Lease> {
    let mut promised = promised();
    let listener = match choice {
        PortChoice::Any => any(host, &promised)?,
        PortChoice::From(base) => first_free(host, base, slot, &promised)?,
    };
    let address = listener.local_addr()?;
    promised.insert(address.port());
    Ok(Lease { address, listener: Some(listener) })
}

fn any(host: IpAddr, promised: &BTreeSet<u16>) -> io::Result<TcpListener> {
    let first_outgoing = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(FIRST_OUTGOING);
    for _ in 0..DRAWS {
        // Where the range for outgoing connections leaves no room, the operating system chooses.
        let port = if first_outgoing > FIRST_ANY + RANGE { fastrand::u16(FIRST_ANY..first_outgoing) } else { 0 };
        match TcpListener::bind((host, port)) {
            Ok(listener) if !promised.contains(&listener.local_addr()?.port()) => return Ok(listener),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no port is free for a worker"))
}

fn first_free(host: IpAddr, base: u16, id: u16, promised: &BTreeSet<u16>) -> io::Result<TcpListener> {
    let first = base.saturating_add(id);
    let last = base.saturating_add(RANGE);
    for port in (first..=last).filter(|port| !promised.contains(port)) {
        match TcpListener::bind((host, port)) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    let text = format!("no port from {first} to {last} is free on {host}");
    Err(io::Error::new(io::ErrorKind::AddrInUse, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_taken_or_promised_port_is_passed_over_and_comes_back_after_its_lease() {
        let taken = TcpListener::bind((HOST, 0)).unwrap();
        let base = taken.local_addr().unwrap().port();
        let lease = || lease(HOST, PortChoice::From(base), 0).unwrap();
        let first = lease();
        assert_ne!(first.address.port(), base);
        let second = lease();
        assert_ne!(second.address, first.address);
        let address = first.address;
        drop(first);
        assert_eq!(lease().address, address);
    }

    #[test]
    fn any_port_is_one_that_no_outgoing_connection_has() {
        let leases: Vec<Lease> = (0..20).map(|_| lease(HOST, PortChoice::Any, 0).unwrap()).collect();
        let ports: BTreeSet<u16> = leases.iter().map(|lease| lease.address.port()).collect();
        assert_eq!(ports.len(), 20);
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let first: u16 = range.split_ascii_whitespace().next().unwrap().parse().unwrap();
        assert!(first <= FIRST_ANY + RANGE || ports.iter().all(|port| *port < first), "{ports:?} {range}");
    }
}
