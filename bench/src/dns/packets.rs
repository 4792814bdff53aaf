//! Queries as bytes.

use super::names::{Question, ZONE};

/// A query for an A record of a name in the zone: without EDNS, or with these data of a client subnet option.
pub(super) fn packet(label: &str, subnet: Option<[u8; 7]>) -> Vec<u8> {
    let mut packet = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(subnet.is_some())];
    for label in std::iter::once(label).chain(ZONE.split('.')) {
        packet.push(label.len() as u8);
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    if let Some(subnet) = subnet {
        packet.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4 + subnet.len() as u8, 0, 8, 0, subnet.len() as u8]);
        packet.extend(subnet);
    }
    packet
}

/// All queries of a kind.
pub(super) fn packets(question: Question) -> Vec<Vec<u8>> {
    question.labels().iter().map(|label| packet(label, question.subnet())).collect()
}
