//! Which partition a key belongs to: CRC-16/XMODEM of the key or of its hash tag, as Redis Cluster slots are computed.

/// How many partitions the key space has. Part of the data format: never changes.
pub const PARTITIONS: u16 = 1024;

/// The partition of `key`. A hash tag (`{user7}:cart`) keeps keys together, as in Redis Cluster: the text between the first
/// `{` and the first `}` after it, if there is any.
pub fn partition_of(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) & (PARTITIONS - 1)
}

fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&b| b == b'{')?;
    let rest = &key[open + 1..];
    let close = rest.iter().position(|&b| b == b'}')?;
    (close > 0).then(|| &rest[..close])
}

fn crc16(data: &[u8]) -> u16 {
    data.iter().fold(0, |crc, &byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

static TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_redis_clusters() {
        assert_eq!(crc16(b"123456789"), 0x31c3); // the reference value in Redis's own specification
    }

    #[test]
    fn hash_tags_keep_keys_together() {
        let same = |a: &str, b: &str| partition_of(a.as_bytes()) == partition_of(b.as_bytes());
        assert!(same("{user7}:cart", "{user7}:session"));
        assert!(same("{user7}:cart", "user7"));
        assert!(same("foo{{bar}}zap", "{bar"));
        assert_eq!(hash_tag(b"foo{}{bar}"), None); // an empty first tag means: the whole key
        assert_eq!(hash_tag(b"foo{bar"), None);
    }
}
