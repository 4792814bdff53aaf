//! Where WebSocket frames begin and end (RFC 6455, 5.2), so that a frame of the gateway's own can be put between two of the worker's.
//!
//! In: bytes on their way to the client, in any portions. Out: whether the last of them ends a frame. Nothing is kept but a few
//! numbers; payloads are not looked at.

/// A close frame that says "service restart" (1012): clients come back at once, and elsewhere.
pub(crate) const CLOSE_RESTART: [u8; 4] = [0x88, 0x02, 0x03, 0xf4];
/// A close frame that says "going away" (1001): nobody has said anything for too long.
pub(crate) const CLOSE_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// The longest head: two bytes, eight of length, four of mask.
const HEAD_MAX: usize = 14;

/// Follows one direction of a WebSocket.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: [u8; HEAD_MAX],
    head_len: usize,
    payload_left: u64,
}

impl Frames {
    /// These bytes go by.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skip = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
                self.payload_left -= skip as u64;
                bytes = &bytes[skip..];
                continue;
            }
            self.head[self.head_len] = bytes[0];
            self.head_len += 1;
            bytes = &bytes[1..];
            if let Some(payload) = payload(&self.head[..self.head_len]) {
                self.head_len = 0;
                self.payload_left = payload;
            }
        }
    }

    /// Whether the next byte begins a frame.
    pub(crate) fn between(&self) -> bool {
        self.head_len == 0 && self.payload_left == 0
    }
}

/// The length of the payload, once the head is complete.
fn payload(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (length_len, short) = match second & 0x7f {
        126 => (2, None),
        127 => (8, None),
        length => (0, Some(u64::from(length))),
    };
    if head.len() < 2 + length_len + mask {
        return None;
    }
    Some(short.unwrap_or_else(|| head[2..2 + length_len].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(mask | length as u8),
            126..65_536 => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![7; length + if masked { 4 } else { 0 }]);
        frame
    }

    #[test]
    fn boundaries_are_found_however_the_bytes_are_cut() {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for length in [0, 1, 125, 126, 300, 65_535, 65_536, 70_000, 0, 5] {
            bytes.extend(frame(length, false));
            ends.push(bytes.len());
        }
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..50 {
            let (mut frames, mut at) = (Frames::default(), 0);
            while at < bytes.len() {
                let portion = random.usize(1..5000).min(bytes.len() - at);
                frames.pass(&bytes[at..at + portion]);
                at += portion;
                assert_eq!(frames.between(), ends.contains(&at), "at {at}");
            }
        }
    }

    #[test]
    fn a_masked_head_is_longer() {
        let mut frames = Frames::default();
        // The mask is part of the head; the payload follows it.
        let bytes = frame(3, true);
        frames.pass(&bytes[..bytes.len() - 1]);
        assert!(!frames.between());
        frames.pass(&bytes[bytes.len() - 1..]);
        assert!(frames.between());
    }
}
