//! Version vectors of many partitions in few bytes: the replicas once, then numbers.
//!
//! ```text
//! count, (region u16, incarnation u32)… │ count, (partition, count, (index of the replica, seq)…)…      varints
//! ```

use std::collections::BTreeMap;

use replication_core::{MAX_SEQ, PARTITIONS, ReplicaId, VersionVector};

/// The bytes are not what was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Reads numbers from the front of a slice.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Malformed("it is cut off"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("it is cut off"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed("a number is too long"))
    }

    /// A count of things that take at least `each` bytes apiece: no more than the bytes that are left can hold.
    pub(crate) fn count(&mut self, each: usize) -> Result<usize, Malformed> {
        let count = self.varint()?;
        let most = self.0.len() / each;
        usize::try_from(count).ok().filter(|count| *count <= most).ok_or(Malformed("a count is too large"))
    }

    pub(crate) fn partition(&mut self) -> Result<u16, Malformed> {
        let partition = self.varint()?;
        u16::try_from(partition).ok().filter(|id| *id < PARTITIONS).ok_or(Malformed("no such partition"))
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("it is longer than it should be")) }
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a table of replicas.
pub(crate) fn encode_replicas(out: &mut Vec<u8>, replicas: &[ReplicaId]) {
    put_varint(out, replicas.len() as u64);
    for replica in replicas {
        out.extend_from_slice(&replica.region.to_le_bytes());
        out.extend_from_slice(&replica.incarnation.to_le_bytes());
    }
}

/// Reads such a table.
pub(crate) fn decode_replicas(reader: &mut Reader<'_>) -> Result<Vec<ReplicaId>, Malformed> {
    let mut table = Vec::new();
    for _ in 0..reader.count(6)? {
        let region = u16::from_le_bytes(reader.array()?);
        table.push(ReplicaId { region, incarnation: u32::from_le_bytes(reader.array()?) });
    }
    Ok(table)
}

/// Appends the vectors of some partitions.
pub(crate) fn encode(out: &mut Vec<u8>, vectors: &[(u16, VersionVector)]) {
    let mut table = BTreeMap::new();
    for (replica, _) in vectors.iter().flat_map(|(_, vv)| vv.iter()) {
        table.insert(replica, 0_u64);
    }
    encode_replicas(out, &table.keys().copied().collect::<Vec<_>>());
    table.values_mut().enumerate().for_each(|(index, place)| *place = index as u64);
    put_varint(out, vectors.len() as u64);
    for (partition, vv) in vectors {
        put_varint(out, u64::from(*partition));
        put_varint(out, vv.len() as u64);
        for (replica, seq) in vv.iter() {
            put_varint(out, table[&replica]);
            put_varint(out, seq);
        }
    }
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Vec<(u16, VersionVector)>, Malformed> {
    let table = decode_replicas(reader)?;
    let mut vectors = Vec::new();
    for _ in 0..reader.count(2)? {
        let partition = reader.partition()?;
        let mut vv = VersionVector::new();
        for _ in 0..reader.count(2)? {
            let index = reader.varint()? as usize;
            let seq = reader.varint()?;
            let replica = table.get(index).ok_or(Malformed("no such replica"))?;
            if seq > MAX_SEQ {
                return Err(Malformed("a sequence number is too large"));
            }
            vv.raise(*replica, seq);
        }
        vectors.push((partition, vv));
    }
    Ok(vectors)
}

/// Reads the vector of one partition.
pub(crate) fn decode_one(reader: &mut Reader<'_>) -> Result<(u16, VersionVector), Malformed> {
    let mut vectors = decode(reader)?;
    match (vectors.pop(), vectors.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Malformed("not exactly one partition")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vv(entries: &[(u16, u64)]) -> VersionVector {
        entries.iter().map(|(region, seq)| (ReplicaId { region: *region, incarnation: 9 }, *seq)).collect()
    }

    #[test]
    fn vectors_come_back_as_they_went() {
        let vectors = vec![(0, vv(&[(1, 5), (2, MAX_SEQ)])), (7, vv(&[])), (1023, vv(&[(2, 1)]))];
        let mut bytes = Vec::new();
        encode(&mut bytes, &vectors);
        let mut reader = Reader(&bytes);
        assert_eq!(decode(&mut reader), Ok(vectors));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn a_world_of_three_regions_takes_a_few_kilobytes() {
        let vectors: Vec<_> = (0..1024).map(|id| (id, vv(&[(1, 900), (2, 20_000), (3, 1_000_000)]))).collect();
        let mut bytes = Vec::new();
        encode(&mut bytes, &vectors);
        assert!(bytes.len() < 16 << 10, "{}", bytes.len());
    }

    #[test]
    fn cut_and_noisy_bytes_are_refused_without_a_panic() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &[(3, vv(&[(1, 300), (2, 70_000)]))]);
        for cut in 0..bytes.len() {
            assert!(decode(&mut Reader(&bytes[..cut])).is_err(), "cut at {cut}");
        }
        for noise in 0..20_000_u64 {
            let mut bad = bytes.clone();
            let at = noise as usize % bad.len();
            bad[at] ^= (noise / 7) as u8;
            let _ = decode(&mut Reader(&bad));
        }
        assert!(decode(&mut Reader(&[0xff; 40])).is_err());
    }
}
