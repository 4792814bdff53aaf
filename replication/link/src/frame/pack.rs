//! Frames made smaller where that pays.
//!
//! Measured (zstd level 1, share of the bytes that is left; nothing is gained by level 3):
//!
//! | deltas in a batch | 1 | 2 | 5 | 10 | 20 | 100 |
//! |---|---|---|---|---|---|---|
//! | sessions, 313 bytes each | 0.94 | 0.60 | 0.37 | 0.29 | 0.24 | 0.21 |
//! | counters, 69 bytes each | 1.13 | 0.84 | 0.64 | 0.55 | 0.47 | 0.40 |
//!
//! From half a kilobyte on a third and more is saved, at some 10 ns a byte; below, the time is better spent otherwise. What
//! does not shrink by an eighth goes as it is.

use bytes::Bytes;
use zstd_safe::{CCtx, DCtx};

use super::{FLAG_ZSTD, Frame};
use crate::vectors::{Malformed, Reader, put_varint};

const LEVEL: i32 = 1;
/// The shortest body worth the time.
const LEAST_BYTES: usize = 512;
/// The longest body that is packed; a receiver refuses to unpack to more, whatever a frame claims.
const MOST_BYTES: usize = 4 << 20;
/// Length, tag and flags.
const HEAD: usize = 6;

/// Encodes frames for one peer.
#[derive(Default)]
pub(crate) struct Packer {
    context: Option<CCtx<'static>>,
}

impl Packer {
    /// The frame as a peer of `version` reads it, and how many bytes it would have had unpacked.
    pub(crate) fn pack(&mut self, frame: &Frame, version: u16) -> (Bytes, usize) {
        let plain = frame.encode(version);
        let length = plain.len();
        let worthwhile = version >= 2 && (HEAD + LEAST_BYTES..=HEAD + MOST_BYTES).contains(&length);
        let packed = worthwhile.then(|| self.packed(&plain)).flatten();
        (packed.unwrap_or(plain), length)
    }

    fn packed(&mut self, plain: &[u8]) -> Option<Bytes> {
        if self.context.is_none() {
            self.context = CCtx::try_create();
        }
        let (head, body) = plain.split_at_checked(HEAD)?;
        let mut out = head.to_vec();
        out[HEAD - 1] |= FLAG_ZSTD;
        put_varint(&mut out, body.len() as u64);
        let start = out.len();
        // No room for more than an eighth less: then the context refuses, and the frame goes as it is.
        out.resize(start + body.len() - body.len() / 8, 0);
        let written = self.context.as_mut()?.compress(&mut out[start..], body, LEVEL).ok()?;
        out.truncate(start + written);
        let length = (out.len() - 4) as u32; // less than the plain frame's
        out[..4].copy_from_slice(&length.to_le_bytes());
        Some(out.into())
    }
}

/// Decodes packed bodies of one peer.
#[derive(Default)]
pub(super) struct Unpacker {
    context: Option<DCtx<'static>>,
}

impl Unpacker {
    /// The body that was packed. Allocates what the frame claims, and no frame may claim more than 4 MiB.
    pub(super) fn unpack(&mut self, packed: &[u8]) -> Result<Bytes, Malformed> {
        let mut reader = Reader(packed);
        let claimed = reader.varint()?;
        let length = usize::try_from(claimed).ok().filter(|length| *length <= MOST_BYTES);
        let length = length.ok_or(Malformed("a packed frame that would be too long"))?;
        if self.context.is_none() {
            self.context = DCtx::try_create();
        }
        let context = self.context.as_mut().ok_or(Malformed("no memory to unpack a frame"))?;
        let mut body = vec![0; length];
        match context.decompress(&mut body[..], reader.0) {
            Ok(written) if written == length => Ok(body.into()),
            _ => Err(Malformed("a packed frame that cannot be unpacked")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameBuffer;

    fn session(n: usize) -> String {
        format!(r#"{{"cookie":{{"maxAge":1800000,"httpOnly":true}},"user":{{"id":{n},"roles":["customer"]}}}}"#)
    }

    #[test]
    fn a_batch_of_sessions_travels_in_a_third_of_its_bytes_and_comes_back_whole() {
        let body: String = (0..20).map(|n| session(n * 7919)).collect();
        let frame = Frame::Batch(Bytes::from(body));
        let (bytes, plain) = Packer::default().pack(&frame, 2);
        assert!(bytes.len() * 3 < plain, "{} of {plain} bytes", bytes.len());
        let mut buffer = FrameBuffer::default();
        buffer.feed(&bytes);
        assert_eq!(buffer.next(2), Ok(Some(frame)));
    }

    #[test]
    fn what_is_short_or_does_not_shrink_or_goes_to_an_old_peer_is_left_alone() {
        let mut noise = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 33) as u8
        })
        .take(5000)
        .collect();
        let check = |body: Vec<u8>, version| {
            let frame = Frame::Batch(body.into());
            assert_eq!(Packer::default().pack(&frame, version).0, frame.encode(version));
        };
        check(vec![7; 100], 2);
        check(noise, 2);
        check(vec![7; 5000], 1);
    }

    #[test]
    fn a_frame_that_claims_too_much_or_lies_is_refused() {
        let (good, _) = Packer::default().pack(&Frame::Batch(vec![7; 5000].into()), 2);
        let body = &good[HEAD..];
        assert_eq!(Unpacker::default().unpack(body).map(|body| body.len()), Ok(5000));
        let claim = |length: u64| {
            let mut lying = Vec::new();
            put_varint(&mut lying, length);
            lying.extend_from_slice(&body[2..]);
            Unpacker::default().unpack(&lying)
        };
        for length in [0, 4999, 5001, MOST_BYTES as u64 + 1, u64::MAX] {
            assert!(claim(length).is_err(), "{length}");
        }
        for cut in 0..body.len() {
            assert!(Unpacker::default().unpack(&body[..cut]).is_err(), "cut at {cut}");
        }
    }
}
