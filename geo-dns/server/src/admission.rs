//! How many connections there may be, in all and from one source.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts open connections. Cloned freely; all clones count together.
#[derive(Clone)]
pub(crate) struct Admission {
    open: Arc<Mutex<Open>>,
    total: usize,
    per_source: usize,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// A place among the open connections, given back when dropped.
pub(crate) struct Permit {
    admission: Admission,
    source: IpAddr,
}

impl Admission {
    pub(crate) fn new(total: usize, per_source: usize) -> Self {
        Self { open: Arc::default(), total, per_source }
    }

    /// A place for a connection from there, if there is one left.
    pub(crate) fn admit(&self, from: IpAddr) -> Option<Permit> {
        let source = source_of(from);
        let mut open = self.lock();
        let taken = open.by_source.get(&source).copied().unwrap_or_default();
        if open.total >= self.total || taken >= self.per_source {
            return None;
        }
        open.total += 1;
        open.by_source.insert(source, taken + 1);
        Some(Permit { admission: self.clone(), source })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(taken) = open.by_source.get_mut(&self.source) {
            *taken -= 1;
            if *taken == 0 {
                open.by_source.remove(&self.source);
            }
        }
    }
}

/// An IPv4 address, or the /64 of an IPv6 address, since a host has all of it.
fn source_of(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_in_all_and_by_source_and_come_back() {
        let admission = Admission::new(3, 2);
        let admit = |addr: &str| admission.admit(addr.parse().unwrap());
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert!(admit("192.0.2.1").is_none(), "two from one source");
        let _third = admit("2001:db8::1").unwrap();
        assert!(admit("198.51.100.1").is_none(), "three in all");
        drop(first);
        let _again = admit("2001:db8::ffff:2").unwrap();
        assert!(admit("2001:db8::3").is_none());
        drop((_second, _third, _again));
        assert!(admission.lock().by_source.is_empty(), "nothing is kept of who has gone");
    }
}
