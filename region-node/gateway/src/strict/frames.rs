//! The frames of an HTTP/2 connection, counted: who makes us work must ask for something.
//!
//! In: what the client sends, in pieces of any size; how much was sent to it; the time. Out: nothing while it keeps measure.
//! h2 bounds memory (streams, header blocks, CONTINUATION frames, resets of streams that nobody accepted yet), but reads
//! PING, SETTINGS, PRIORITY, WINDOW_UPDATE and RST_STREAM as fast as they come: each costs a wake-up and often an answer, and
//! a reset of an accepted stream costs a request to a worker (rapid reset, CVE-2023-44487; CVE-2019-9511 to 9518).
//!
//! Who lost measure is told: h2 says GOAWAY with ENHANCE_YOUR_CALM, behind whatever it was writing, if a header block has too many
//! pieces; so it is given one in place of what else the client sent ([`calm`]).

use std::time::Duration;

/// The length of a frame's head.
const HEAD: usize = 9;
/// The longest frame that h2 takes: what SETTINGS_MAX_FRAME_SIZE is unless something else is said.
const FRAME_MAX: usize = 16_384;
/// Counts are kept for so long.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// Frames of control in a window, beyond what the client's own traffic explains. Browsers and gRPC send some tens.
const CONTROL_MAX: u64 = 1000;
/// Resets in a window that are never held against a client.
const RESETS_FREE: u64 = 200;
/// Of what was sent to a client, so many bytes explain one WINDOW_UPDATE.
const BYTES_PER_UPDATE: u64 = 512;

/// How a client lost measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Streams opened and reset, more of them than let live.
    Resets,
    /// PING, SETTINGS, PRIORITY, empty DATA or WINDOW_UPDATE without a reason.
    Control,
    /// Something else than SETTINGS behind the preface (RFC 9113 3.4), which h2 lets pass.
    Preface,
}

/// Who lost measure, and where h2 can be told: behind the first `whole` bytes of what was fed, and `missing` bytes more, a
/// frame ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) excess: Excess,
    pub(crate) whole: usize,
    pub(crate) missing: usize,
}

/// What h2 answers with GOAWAY, ENHANCE_YOUR_CALM: the rest of a frame, and a header block in one piece more than it allows for
/// heads of `max_head_bytes`.
pub(crate) fn calm(missing: usize, max_head_bytes: u32) -> Vec<u8> {
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;
    // A quarter more than the frames that the largest head fills, and five at least.
    let pieces = (max_head_bytes as usize / FRAME_MAX) * 5 / 4 + 6;
    let mut bytes = vec![0; missing.min(FRAME_MAX)];
    for kind in std::iter::once(HEADERS).chain(std::iter::repeat_n(CONTINUATION, pieces)) {
        // Nothing in it, no flags, on the last stream that there can be.
        bytes.extend([0, 0, 0, kind, 0, 0x7f, 0xff, 0xff, 0xff]);
    }
    bytes
}

/// A connection's counter.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Bytes of a frame's head so far.
    head: [u8; HEAD],
    filled: usize,
    /// Bytes to skip: the rest of the preface or of a frame.
    skip: usize,
    begun: bool,
    since: Duration,
    sent_before: u64,
    streams: u64,
    resets: u64,
    control: u64,
    updates: u64,
}

impl Frames {
    /// A connection that begins with the preface.
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            head: [0; HEAD],
            filled: 0,
            skip: 24,
            begun: false,
            since: now,
            sent_before: 0,
            streams: 0,
            resets: 0,
            control: 0,
            updates: 0,
        }
    }

    /// Takes the next bytes; `sent` is what went to the client since the beginning, bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8], sent: u64, now: Duration) -> Result<(), Lost> {
        let mut last_frame = None;
        self.take(bytes, sent, now, &mut last_frame).map_err(|excess| {
            // Whoever is found out is found out behind a head; what began in these bytes and has not ended is left out.
            let (whole, missing) = match last_frame {
                _ if self.filled > 0 => (bytes.len().saturating_sub(self.filled), 0),
                Some(began) if self.skip > 0 => (began, 0),
                _ => (bytes.len(), self.skip),
            };
            Lost { excess, whole, missing }
        })
    }

    /// Counts; `last_frame` is where the last frame begins, if it does in these bytes.
    fn take(
        &mut self,
        mut bytes: &[u8],
        sent: u64,
        now: Duration,
        last_frame: &mut Option<usize>,
    ) -> Result<(), Excess> {
        let length = bytes.len();
        if now.saturating_sub(self.since) >= WINDOW {
            (self.since, self.sent_before) = (now, sent);
            (self.streams, self.resets, self.control, self.updates) = (0, 0, 0, 0);
        }
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let wanted = (HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + wanted].copy_from_slice(&bytes[..wanted]);
            self.filled += wanted;
            bytes = &bytes[wanted..];
            if self.filled == HEAD {
                self.filled = 0;
                *last_frame = (length - bytes.len()).checked_sub(HEAD);
                if !std::mem::replace(&mut self.begun, true) && (self.head[3] != 4 || self.head[4] & 1 == 1) {
                    return Err(Excess::Preface);
                }
                self.count();
            }
        }
        let explained = sent.saturating_sub(self.sent_before) / BYTES_PER_UPDATE + 2 * self.streams;
        if self.resets > RESETS_FREE && self.resets * 2 > self.streams {
            return Err(Excess::Resets);
        }
        if self.control + self.updates.saturating_sub(explained) > CONTROL_MAX {
            return Err(Excess::Control);
        }
        Ok(())
    }

    fn count(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
        let counter = match kind {
            // DATA: none is only said to say something, unless it ends a stream.
            0 if self.skip > 0 || flags & 1 == 1 => return,
            1 => &mut self.streams,
            3 => &mut self.resets,
            8 => &mut self.updates,
            // CONTINUATION is bounded by h2.
            9 => return,
            _ => &mut self.control,
        };
        *counter += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, kind, flags, 0, 0, 0, 1];
        bytes[..3].copy_from_slice(&(length as u32).to_be_bytes()[1..]);
        bytes.resize(HEAD + length, 0xff);
        bytes
    }

    /// So many times these frames in one window, in pieces of seven bytes.
    fn check(frames: &[Vec<u8>], times: usize, sent: u64, expected: Result<(), Excess>) {
        let mut counter = Frames::new(Duration::ZERO);
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0));
        bytes.extend(frames.concat().repeat(times));
        let fed = bytes.chunks(7).try_for_each(|piece| counter.feed(piece, sent, Duration::ZERO));
        let got = fed.map_err(|lost| lost.excess);
        assert_eq!(got, expected, "{:?} {times} times", frames.iter().map(|frame| frame[3]).collect::<Vec<_>>());
    }

    #[test]
    fn ordinary_traffic_keeps_measure() {
        check(&[frame(4, 0, 18), frame(8, 0, 4)], 1, 0, Ok(()));
        check(&[frame(1, 5, 50)], 100_000, 0, Ok(()));
        check(&[frame(1, 4, 50), frame(0, 0, 1000), frame(0, 1, 0)], 10_000, 0, Ok(()));
        // A download of 100 MB with an update for each 16 KiB, twice: stream and connection.
        check(&[frame(8, 0, 4), frame(8, 0, 4)], 6_400, 100 << 20, Ok(()));
        // Somebody scrolls: a third of all images is not wanted any more.
        check(&[frame(1, 5, 50), frame(1, 5, 50), frame(1, 5, 50), frame(3, 0, 4)], 1000, 0, Ok(()));
        check(&[frame(6, 0, 8)], 900, 0, Ok(()));
    }

    #[test]
    fn floods_do_not() {
        check(&[frame(1, 5, 50), frame(3, 0, 4)], 1000, 0, Err(Excess::Resets));
        for (kind, flags, length) in [(6, 0, 8), (6, 1, 8), (4, 0, 0), (4, 0, 6), (2, 0, 5), (0, 0, 0), (0x42, 0, 20)] {
            check(&[frame(kind, flags, length)], 2000, 0, Err(Excess::Control));
        }
        check(&[frame(8, 0, 4)], 2000, 1000, Err(Excess::Control));
    }

    /// However the bytes are cut: what is kept of them, and what is added, ends with a frame.
    #[test]
    fn who_lost_measure_is_told_behind_a_whole_frame() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let mut bytes = preface.to_vec();
        let mut ends = Vec::new();
        for frame in std::iter::once(frame(4, 0, 0)).chain(std::iter::repeat_n(frame(6, 0, 8), 1200)) {
            bytes.extend(frame);
            ends.push(bytes.len());
        }
        for portion in (1..60).chain([500, 1000, 4000, bytes.len()]) {
            let (mut counter, mut at) = (Frames::new(Duration::ZERO), 0);
            let lost = loop {
                let piece = &bytes[at..bytes.len().min(at + portion)];
                match counter.feed(piece, 0, Duration::ZERO) {
                    Ok(()) => at += piece.len(),
                    Err(lost) => break lost,
                }
            };
            assert_eq!(lost.excess, Excess::Control);
            assert!(lost.missing <= 8 && ends.contains(&(at + lost.whole + lost.missing)), "{portion}: {lost:?}");
        }
    }

    #[test]
    fn a_new_window_forgets() {
        let mut counter = Frames::new(Duration::ZERO);
        counter.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, Duration::ZERO).unwrap();
        let not_settings = Frames::new(Duration::ZERO).feed(&[0; 24 + HEAD], 0, Duration::ZERO);
        assert_eq!(not_settings.map_err(|lost| lost.excess), Err(Excess::Preface));
        counter.feed(&frame(4, 0, 6), 0, Duration::ZERO).unwrap();
        for second in 0..100 {
            let some = frame(6, 0, 8).repeat(90);
            counter.feed(&some, 0, Duration::from_secs(second)).unwrap();
        }
    }
}
