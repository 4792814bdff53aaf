//! HTTPS and SVCB records of steered names (RFC 9460): what the World says of them, and as hints the addresses that A and AAAA would
//! name for the same client.

use std::net::IpAddr;

use crate::rr::Rtype;

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

    /// The data with these hints.
    pub(crate) fn with_hints(&self, v4: &[IpAddr], v6: &[IpAddr]) -> Box<[u8]> {
        let mut data = self.before.to_vec();
        put(IPV4HINT, v4, &mut data);
        data.extend(&self.between);
        put(IPV6HINT, v6, &mut data);
        data.extend(&self.after);
        data.into()
    }
}

/// One parameter; an empty one may not be written.
fn put(key: u16, addresses: &[IpAddr], out: &mut Vec<u8>) {
    if addresses.is_empty() {
        return;
    }
    let value: Vec<u8> = addresses.iter().flat_map(|addr| octets(*addr).into_vec()).collect();
    out.extend(key.to_be_bytes());
    // An answer names a few addresses at most.
    out.extend((value.len() as u16).to_be_bytes());
    out.extend(value);
}

/// An address as it goes onto the wire.
pub(super) fn octets(addr: IpAddr) -> Box<[u8]> {
    match addr {
        IpAddr::V4(v4) => v4.octets().into(),
        IpAddr::V6(v6) => v6.octets().into(),
    }
}

#[cfg(test)]
mod tests {
    use model::TypeNumber;

    use super::*;

    #[test]
    fn hints_stand_where_their_numbers_say() {
        let https = |text: &str| TypeNumber(65).wire(text).unwrap();
        let v4: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let v6: Vec<IpAddr> = vec!["2001:db8::1".parse().unwrap()];
        let check = |without: &str, v4: &[IpAddr], v6: &[IpAddr], with: &str| {
            let service = Service::parse(Rtype(65), &https(without)).unwrap();
            assert_eq!(service.with_hints(v4, v6).to_vec(), https(with), "{with}");
        };
        check("1 .", &v4, &[], "1 . ipv4hint=192.0.2.1,192.0.2.2");
        check(
            "1 . alpn=h2,h3 port=8443",
            &v4,
            &v6,
            "1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1",
        );
        check("2 . port=1 ech=AAAA key9=x", &[], &v6, "2 . port=1 ech=AAAA ipv6hint=2001:db8::1 key9=x");
        check("1 . alpn=h2", &[], &[], "1 . alpn=h2");
        assert!(Service::parse(Rtype(65), &https("1 x.test. alpn=h2")).is_none());
        assert!(Service::parse(Rtype(65), &https("1 . ipv4hint=192.0.2.1")).is_none());
        assert!(Service::parse(Rtype(65), &[0, 1, 0, 0, 1, 0]).is_none());
    }
}
