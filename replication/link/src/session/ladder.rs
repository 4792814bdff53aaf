//! What is sent of one partition to a peer that lacks something, in three steps of growing cost:
//!
//! ```text
//! 1  it has fallen off no ring          nothing: the live lane brings it (live.rs)
//! 2  the removal log reaches back       changed elements, by the dot index; removals from the log
//! 3  the log has forgotten              sums over what lives → where they differ → what lives there; then as 2
//! ```
//! What is large goes in pieces (core's `pieces.rs`): this side holds one of them and a list of slots. The live changes
//! of a partition are left out until the end of its catch-up is made; the end contains them.

use std::collections::BTreeMap;

use replication_core::{CatchUp, CatchUpCursor, Gone, LiveBucket, LiveSums, VersionVector};

use super::{Context, conn::Conn, lanes::Lane};
use crate::{
    frame::{Differing, Frame, Live, MAX_FRAME, MOST_NUMBERS, Sums},
    status::add,
};

/// About how large a piece is.
const PIECE_BYTES: usize = 256 << 10;
/// Live elements up to which they are simply listed: comparing sums would cost a round trip more.
pub(crate) const FEW: u64 = 256;
/// How many partitions may wait for the peer's comparison.
const COMPARING: usize = 16;
/// A comparison that was not answered in this time is given up, and the live elements are listed.
const ANSWER_MS: u64 = 5_000;
/// A state that changes faster than it is sent: so often the end is made in pieces again, then whole.
const TAILS: u8 = 8;
/// Live numbers in one frame, about.
const NUMBERS: usize = 64 << 10;

/// One partition in pieces.
#[derive(Debug)]
struct InPieces {
    partition: u16,
    cursor: CatchUpCursor,
    tails: u8,
}

/// One partition of which the peer compares sums.
#[derive(Debug)]
struct Comparing {
    since: VersionVector,
    /// The context at which the sums were made.
    vv: VersionVector,
    until_ms: u64,
}

/// The partitions under way.
#[derive(Debug, Default)]
pub(crate) struct Ladder {
    in_pieces: Option<InPieces>,
    comparing: BTreeMap<u16, Comparing>,
    /// Sums sent and not answered, by partition. An answer does not say which sums it is to, and one partition may have been
    /// asked about again, with another context, before the first answer came. Answers come in the order of the questions, each
    /// has one: only what comes last is to the sums that count.
    unanswered: BTreeMap<u16, u32>,
}

impl Ladder {
    pub(crate) fn is_idle(&self) -> bool {
        self.in_pieces.is_none() && self.comparing.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.in_pieces.is_none() && self.comparing.len() < COMPARING
    }

    fn asked(&mut self, partition: u16, comparing: Comparing) {
        self.comparing.insert(partition, comparing);
        *self.unanswered.entry(partition).or_default() += 1;
    }

    /// The comparison that an answer belongs to; none if it comes too late, to sums that were made again, or to nothing.
    fn answered(&mut self, partition: u16) -> Option<Comparing> {
        let left = self.unanswered.get_mut(&partition)?;
        *left -= 1;
        if *left > 0 {
            return None;
        }
        self.unanswered.remove(&partition);
        self.comparing.remove(&partition)
    }

    pub(crate) fn wake_at(&self) -> u64 {
        self.comparing.values().map(|comparing| comparing.until_ms).min().unwrap_or(u64::MAX)
    }
}

/// What the state says to a peer that has seen so much.
#[expect(clippy::large_enum_variant, reason = "on the stack for a moment, one at a time")]
enum Step {
    Send(CatchUp, Option<CatchUpCursor>),
    Compare(LiveSums, VersionVector),
}

impl Conn {
    /// Begins to send what is lacking of a partition.
    pub(crate) fn catch_up(&mut self, cx: &Context<'_>, partition: u16, has: &VersionVector) {
        let compares = self.version >= 2;
        let step = cx.store.look(partition, |state| {
            if compares && !state.removals_known_since(has) {
                let sums = state.live_sums(has);
                if sums.buckets.iter().map(|(_, sum)| sum.count).sum::<u64>() > cx.few {
                    return Step::Compare(sums, state.vv().clone());
                }
            }
            let max_bytes = if compares { PIECE_BYTES } else { usize::MAX };
            let (first, rest) = state.catch_up_in_pieces(has, max_bytes);
            Step::Send(first, rest)
        });
        match step {
            Step::Send(first, rest) => {
                let listed = matches!(first.gone, Gone::AllBut(_));
                add(if listed { &cx.gauges.catch_ups_listed } else { &cx.gauges.catch_ups_scanned }, 1);
                self.send(cx, &first, rest, 0);
            }
            Step::Compare(sums, vv) => {
                let until_ms = cx.now_ms + ANSWER_MS;
                let comparing = Comparing { since: has.clone(), vv, until_ms };
                self.catch_ups.ladder.asked(partition, comparing);
                self.tell(cx, &Frame::Sums(Sums { partition, since: has.clone(), sums }));
            }
        }
    }

    /// Goes on with what is under way; false when there is nothing to go on with.
    pub(crate) fn climb(&mut self, cx: &Context<'_>) -> bool {
        let ladder = &mut self.catch_ups.ladder;
        if let Some(in_pieces) = ladder.in_pieces.take() {
            self.next_piece(cx, in_pieces);
            return true;
        }
        let overdue = ladder.comparing.iter().find(|(_, comparing)| comparing.until_ms <= cx.now_ms);
        let Some(partition) = overdue.map(|(partition, _)| *partition) else { return false };
        if let Some(comparing) = ladder.comparing.remove(&partition) {
            self.list(cx, partition, &comparing.since);
        }
        true
    }

    /// Lists what lives, where sums could not be compared.
    fn list(&mut self, cx: &Context<'_>, partition: u16, since: &VersionVector) {
        let (first, rest) = cx.store.look(partition, |state| state.catch_up_in_pieces(since, PIECE_BYTES));
        add(&cx.gauges.catch_ups_listed, 1);
        self.send(cx, &first, rest, 0);
    }

    /// The peer has compared sums: what lives where they differ, then the rest.
    pub(crate) fn on_differing(&mut self, cx: &Context<'_>, differing: &Differing) {
        let partition = differing.partition;
        let Some(Comparing { since, vv, .. }) = self.catch_ups.ladder.answered(partition) else { return };
        let shift = differing.shift;
        let found = cx.store.look(partition, |state| {
            let lacks = state.catch_up_compared(&since, &vv, PIECE_BYTES)?;
            Some((state.live_in(&since, shift, &differing.buckets), lacks))
        });
        match found.filter(|(live, _)| live.iter().all(|bucket| bucket.seqs.len() <= MOST_NUMBERS)) {
            Some((live, (first, rest))) => {
                add(&cx.gauges.catch_ups_compared, 1);
                for live in few_at_a_time(live) {
                    self.tell(cx, &Frame::Live(Live { partition, since: since.clone(), shift, live }));
                }
                self.send(cx, &first, rest, 0);
            }
            None => self.list(cx, partition, &since),
        }
    }

    fn next_piece(&mut self, cx: &Context<'_>, mut in_pieces: InPieces) {
        let partition = in_pieces.partition;
        match cx.store.look(partition, |state| state.next_piece(&mut in_pieces.cursor, PIECE_BYTES)) {
            Ok(Some(piece)) => {
                self.say_catch_up(cx, &piece, false);
                self.catch_ups.ladder.in_pieces = Some(in_pieces);
            }
            Ok(None) => {
                let since = in_pieces.cursor.target().clone();
                let tails = in_pieces.tails + 1;
                let max_bytes = if tails < TAILS { PIECE_BYTES } else { usize::MAX };
                let (first, rest) = cx.store.look(partition, |state| state.catch_up_in_pieces(&since, max_bytes));
                self.send(cx, &first, rest, tails);
            }
            Err(renamed) => {
                tracing::info!(partition, "{renamed}");
                let has = cx.store.acked(cx.peer.id, partition);
                self.catch_up(cx, partition, &has);
            }
        }
    }

    /// Sends a catch-up, or the first piece of one.
    fn send(&mut self, cx: &Context<'_>, first: &CatchUp, rest: Option<CatchUpCursor>, tails: u8) {
        let partition = first.partition;
        match rest {
            Some(cursor) => {
                self.say_catch_up(cx, first, false);
                self.catch_ups.ladder.in_pieces = Some(InPieces { partition, cursor, tails });
            }
            None => {
                // Nothing is flushed between the look at the state and this: what was made since goes out live.
                self.pending.clear(partition);
                let bytes = self.say_catch_up(cx, first, true);
                add(&cx.gauges.catch_ups_sent, 1);
                self.catch_ups.sent(partition, first.vv.clone(), bytes, cx.now_ms);
            }
        }
    }

    fn say_catch_up(&mut self, cx: &Context<'_>, catch_up: &CatchUp, ends: bool) -> usize {
        let Some(body) = self.encode_catch_up(cx, catch_up) else { return 0 };
        let bytes = body.len();
        if bytes > MAX_FRAME - 2 {
            tracing::error!(partition = catch_up.partition, bytes, "more is lacking than one frame may have");
            return 0;
        }
        self.tell(cx, &if ends { Frame::CatchUp(body) } else { Frame::Piece(body) });
        bytes
    }

    /// Says something that may speak of what is not persisted yet.
    fn tell(&mut self, cx: &Context<'_>, frame: &Frame) {
        let bytes = self.say(Lane::CatchUp, frame, Some(cx.store.pending_mark()));
        add(&cx.gauges.catch_up_bytes_sent, bytes);
    }
}

/// Splits what lives into frames of a bearable size.
fn few_at_a_time(live: Vec<LiveBucket>) -> Vec<Vec<LiveBucket>> {
    let mut frames: Vec<Vec<LiveBucket>> = vec![Vec::new()];
    let mut numbers = 0;
    for bucket in live {
        if numbers > 0 && numbers + bucket.seqs.len() > NUMBERS {
            frames.push(Vec::new());
            numbers = 0;
        }
        numbers += bucket.seqs.len();
        frames.extend(frames.is_empty().then(Vec::new));
        if let Some(last) = frames.last_mut() {
            last.push(bucket);
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_sums_that_were_made_again_is_not_taken_for_the_answer_to_the_new_ones() {
        let comparing =
            |until_ms| Comparing { since: VersionVector::default(), vv: VersionVector::default(), until_ms };
        let mut ladder = Ladder::default();
        let answered = |ladder: &mut Ladder| ladder.answered(7).map(|comparing| comparing.until_ms);
        assert_eq!(answered(&mut ladder), None, "to nothing");
        ladder.asked(7, comparing(1));
        ladder.asked(7, comparing(2));
        assert_eq!(answered(&mut ladder), None, "to the first sums");
        assert_eq!(answered(&mut ladder), Some(2));
        ladder.asked(7, comparing(3));
        ladder.comparing.clear(); // given up: no answer in time
        ladder.asked(7, comparing(4));
        assert_eq!(answered(&mut ladder), None, "the late one");
        assert_eq!(answered(&mut ladder), Some(4));
        assert_eq!(answered(&mut ladder), None, "one too many");
    }
}
