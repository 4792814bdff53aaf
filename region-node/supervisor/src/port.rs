//! Which port a worker is given: free now, and not promised to another worker of this app.
//!
//! A port that is free now may be taken before the worker listens there. Then the worker exits and its next life gets another.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
};

use crate::spec::PortChoice;

/// How many ports from the base are tried.
const RANGE: u16 = 1000;
/// How often the operating system may offer a port that is already promised.
const OFFERS: usize = 32;

/// The ports of one app.
#[derive(Default)]
pub(crate) struct Ports {
    promised: Mutex<BTreeSet<u16>>,
}

/// A port promised to one worker for one life.
pub(crate) struct Lease {
    pub(crate) address: SocketAddr,
    /// The socket that listens there already, for a worker that is given one.
    pub(crate) listener: Option<TcpListener>,
    ports: Arc<Ports>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ports.promised.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.address.port());
    }
}

impl Ports {
    /// A free port for worker `id`, from `id` places after the base on.
    pub(crate) fn lease(self: &Arc<Self>, host: IpAddr, choice: PortChoice, id: u16) -> io::Result<Lease> {
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = match choice {
            PortChoice::Any => offered(host, &promised)?,
            PortChoice::From(base) => first_free(host, base, id, &promised)?,
        };
        let address = listener.local_addr()?;
        promised.insert(address.port());
        Ok(Lease { address, listener: Some(listener), ports: Arc::clone(self) })
    }
}

fn offered(host: IpAddr, promised: &BTreeSet<u16>) -> io::Result<TcpListener> {
    for _ in 0..OFFERS {
        let listener = TcpListener::bind((host, 0))?;
        if !promised.contains(&listener.local_addr()?.port()) {
            return Ok(listener);
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
        let ports = Arc::new(Ports::default());
        let lease = || ports.lease(HOST, PortChoice::From(base), 0).unwrap();
        let first = lease();
        assert_ne!(first.address.port(), base);
        let second = lease();
        assert_ne!(second.address, first.address);
        let address = first.address;
        drop(first);
        assert_eq!(lease().address, address);
    }
}
