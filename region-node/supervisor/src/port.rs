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
pub(crate) struct Ports {
    host: IpAddr,
    choice: PortChoice,
    promised: Mutex<BTreeSet<u16>>,
}

/// A port promised to one worker for one life.
pub(crate) struct Lease {
    pub(crate) address: SocketAddr,
    ports: Arc<Ports>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ports.promised.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.address.port());
    }
}

impl Ports {
    pub(crate) fn new(host: IpAddr, choice: PortChoice) -> Self {
        Self { host, choice, promised: Mutex::default() }
    }

    /// A free port for worker `id`, from `id` places after the base on.
    pub(crate) fn lease(self: &Arc<Self>, id: u16) -> io::Result<Lease> {
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        let port = match self.choice {
            PortChoice::Any => self.offered(&promised)?,
            PortChoice::From(base) => self.first_free(base, id, &promised)?,
        };
        promised.insert(port);
        Ok(Lease { address: SocketAddr::new(self.host, port), ports: Arc::clone(self) })
    }

    fn offered(&self, promised: &BTreeSet<u16>) -> io::Result<u16> {
        for _ in 0..OFFERS {
            let port = self.bind(0)?;
            if !promised.contains(&port) {
                return Ok(port);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no port is free for a worker"))
    }

    fn first_free(&self, base: u16, id: u16, promised: &BTreeSet<u16>) -> io::Result<u16> {
        let first = base.saturating_add(id);
        let last = base.saturating_add(RANGE);
        for port in (first..=last).filter(|port| !promised.contains(port)) {
            match self.bind(port) {
                Ok(port) => return Ok(port),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        let text = format!("no port from {first} to {last} is free on {}", self.host);
        Err(io::Error::new(io::ErrorKind::AddrInUse, text))
    }

    fn bind(&self, port: u16) -> io::Result<u16> {
        Ok(TcpListener::bind((self.host, port))?.local_addr()?.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_taken_or_promised_port_is_passed_over_and_comes_back_after_its_lease() {
        let taken = TcpListener::bind((HOST, 0)).unwrap();
        let base = taken.local_addr().unwrap().port();
        let ports = Arc::new(Ports::new(HOST, PortChoice::From(base)));
        let first = ports.lease(0).unwrap();
        assert_ne!(first.address.port(), base);
        let second = ports.lease(0).unwrap();
        assert_ne!(second.address, first.address);
        let address = first.address;
        drop(first);
        assert_eq!(ports.lease(0).unwrap().address, address);
    }
}
