//! HTTPS and SVCB records of steered names (RFC 9460): what the World says of them, and as hints the addresses that A and AAAA name
//! for the same client and the same draw. So a record is put together when it is asked for, from the answers of the two families:
//! finished ones would be one for each pair of those.

use crate::rr::{RrSet, Rtype};

/// Parameters stand in the order of their numbers.
const IPV4HINT: u16 = 4;
const IPV6HINT: u16 = 6;

/// A record's data without its hints: the pieces between which they stand.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) rtype: Rtype,
    before: Box<[u8]>,
    between: Box<[u8]>,
    after: Box<[u8]>,
}

impl Service {
    /// Takes data apart that is in wire form; its target is the name itself. None if it is not such data.
    pub(crate) fn parse(rtype: Rtype, wire: &[u8]) -> Option<Self> {
        let (head, mut rest) = wire.split_at_checked(3)?;
        let mut pieces = [head.to_vec(), Vec::new(), Vec::new()];
        while !rest.is_empty() {
            let key = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
            let length = u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?);
            let (param, more) = rest.split_at_checked(4 + usize::from(length))?;
            let piece = match key {
                IPV4HINT | IPV6HINT => return None,
                0..IPV4HINT => 0,
                5 => 1,
                _ => 2,
            };
            pieces[piece].extend(param);
            rest = more;
        }
        let [before, between, after] = pieces.map(Vec::into_boxed_slice);
        (head[2] == 0).then_some(Self { rtype, before, between, after })
    }
}

/// The record for one client.
#[derive(Clone, Copy)]
pub(crate) struct Hinted<'v> {
    pub(crate) service: &'v Service,
    /// Seconds.
    pub(crate) ttl: u32,
    /// The addresses that are told of each family, as A and AAAA records.
    pub(crate) v4: &'v RrSet,
    pub(crate) v6: &'v RrSet,
}

impl Hinted<'_> {
    /// Length of the data, bytes.
    pub(crate) fn len(&self) -> usize {
        let Service { before, between, after, .. } = self.service;
        before.len() + hint_len(self.v4) + between.len() + hint_len(self.v6) + after.len()
    }

    /// Puts the data behind what is there.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.service.before);
        write_hint(IPV4HINT, self.v4, out);
        out.extend_from_slice(&self.service.between);
        write_hint(IPV6HINT, self.v6, out);
        out.extend_from_slice(&self.service.after);
    }
}

/// Length of a parameter, key and all: 0 of an empty one, which may not be written.
fn hint_len(addresses: &RrSet) -> usize {
    if addresses.rdata.is_empty() { 0 } else { 4 + addresses.rdata.iter().map(|data| data.len()).sum::<usize>() }
}

fn write_hint(key: u16, addresses: &RrSet, out: &mut Vec<u8>) {
    if addresses.rdata.is_empty() {
        return;
    }
    out.extend_from_slice(&key.to_be_bytes());
    // An answer names a few addresses at most.
    out.extend_from_slice(&((hint_len(addresses) - 4) as u16).to_be_bytes());
    addresses.rdata.iter().for_each(|data| out.extend_from_slice(data));
}

#[cfg(test)]
mod tests {
    use model::TypeNumber;

    use super::*;

    #[test]
    fn hints_stand_where_their_numbers_say() {
        let https = |text: &str| TypeNumber(65).wire(text).unwrap();
        let set = |rtype: Rtype, addresses: &str| {
            let rdata = addresses.split_whitespace().map(|address| TypeNumber(rtype.0).wire(address).unwrap().into());
            RrSet { rtype, ttl: 5, rdata: rdata.collect() }
        };
        let check = |without: &str, v4: &str, v6: &str, with: &str| {
            let service = Service::parse(Rtype(65), &https(without)).unwrap();
            let (v4, v6) = (set(Rtype::A, v4), set(Rtype::AAAA, v6));
            let hinted = Hinted { service: &service, ttl: 5, v4: &v4, v6: &v6 };
            let mut data = Vec::new();
            hinted.write(&mut data);
            assert_eq!(data, https(with), "{with}");
            assert_eq!(data.len(), hinted.len(), "{with}");
        };
        check("1 .", "192.0.2.1 192.0.2.2", "", "1 . ipv4hint=192.0.2.1,192.0.2.2");
        check(
            "1 . alpn=h2,h3 port=8443",
            "192.0.2.1 192.0.2.2",
            "2001:db8::1",
            "1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1",
        );
        check("2 . port=1 ech=AAAA key9=x", "", "2001:db8::1", "2 . port=1 ech=AAAA ipv6hint=2001:db8::1 key9=x");
        check("1 . alpn=h2", "", "", "1 . alpn=h2");
        assert!(Service::parse(Rtype(65), &https("1 x.test. alpn=h2")).is_none());
        assert!(Service::parse(Rtype(65), &https("1 . ipv4hint=192.0.2.1")).is_none());
        assert!(Service::parse(Rtype(65), &[0, 1, 0, 0, 1, 0]).is_none());
    }
}
