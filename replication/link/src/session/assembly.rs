//! Catch-ups coming in: pieces are put together, what sums have shown to be gone is added, and the whole is applied at
//! one moment. Nobody sees a part of it, and a peer that dies in the middle leaves nothing behind.
//!
//! Bound: what is put together is what this region is about to hold anyway, of one partition per peer at a time; beyond
//! 1 GiB it is given up.

use std::collections::BTreeMap;

use bytes::Bytes;
use replication_core::{CatchUp, Dot, Gone, VersionVector};
use replication_storage::CatchUpError;

use super::{
    Context,
    conn::{Conn, claims_nothing_of_ours},
    lanes::Lane,
    trust::End,
};
use crate::{
    frame::{Differing, Frame, Live, Sums},
    status::add,
};

const MOST_BYTES: usize = 1 << 30;

/// What came of catch-ups that are not complete.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    pieces: BTreeMap<u16, CatchUp>,
    bytes: usize,
    /// What is gone of what we had, by the comparison of sums, and at which context.
    gone: BTreeMap<u16, (VersionVector, Vec<Dot>)>,
}

impl Assembly {
    /// Adds a piece to what is there, or begins anew with it.
    fn join(&mut self, mut piece: CatchUp, bytes: usize) -> Result<CatchUp, End> {
        self.bytes += bytes;
        if self.bytes > MOST_BYTES {
            return Err(End::Plain("a catch-up in pieces grew beyond 1 GiB".to_owned()));
        }
        if let Some((since, resolved)) = self.gone.remove(&piece.partition)
            && since == piece.since
            && let Gone::These(gone) = &mut piece.gone
        {
            gone.extend(resolved);
            gone.sort_unstable();
            gone.dedup();
        }
        match self.pieces.remove(&piece.partition) {
            Some(mut before) if before.is_followed_by(&piece) => {
                before.then(piece).map_err(|e| End::garbage(&e.to_string()))?;
                Ok(before)
            }
            // The sender has begun again.
            _ => Ok(piece),
        }
    }

    fn keep(&mut self, pieces: CatchUp) {
        self.pieces.insert(pieces.partition, pieces);
    }

    fn rest(&mut self) {
        if self.pieces.is_empty() {
            self.bytes = 0;
        }
    }
}

impl Conn {
    pub(crate) fn on_piece(&mut self, cx: &Context<'_>, body: &Bytes) -> Result<(), End> {
        let piece = decode(body)?;
        add(&cx.gauges.catch_up_bytes_received, body.len());
        let joined = self.assembly.join(piece, body.len())?;
        self.assembly.keep(joined);
        Ok(())
    }

    pub(crate) fn on_catch_up(&mut self, cx: &Context<'_>, body: &Bytes) -> Result<(), End> {
        let last = decode(body)?;
        self.took_in(cx, body.len(), true);
        add(&cx.gauges.catch_ups_received, 1);
        add(&cx.gauges.catch_up_bytes_received, body.len());
        let mut whole = self.assembly.join(last, body.len())?;
        self.assembly.rest();
        let vector = [(whole.partition, std::mem::take(&mut whole.vv))];
        claims_nothing_of_ours(cx, &vector)?;
        [(_, whole.vv)] = vector;
        let partition = whole.partition;
        if self.puts_off(cx, partition, whole.puts.iter().map(|put| (put.dot.replica, put.hlc))) {
            return Ok(());
        }
        match cx.store.apply_catch_up(&whole) {
            Ok(_) => self.caught_up(cx, partition),
            // Made for what we had before we lost something: asked for again with what we have.
            Err(CatchUpError::Refused(_)) => {
                self.ask(cx, partition);
                Ok(())
            }
            Err(CatchUpError::Persist(error)) => Err(End::Plain(error.to_string())),
        }
    }

    /// The peer cannot tell what is gone of what we have: says where what lives here is not what lives there.
    pub(crate) fn on_sums(&mut self, cx: &Context<'_>, sums: &Sums) {
        let Sums { partition, since, sums } = sums;
        let buckets = cx.store.look(*partition, |state| state.differing(since, sums));
        let differing = Differing { partition: *partition, shift: sums.shift, buckets };
        self.say(Lane::Control, &Frame::Differing(differing), None);
    }

    pub(crate) fn on_live(&mut self, cx: &Context<'_>, live: &Live) {
        let Live { partition, since, shift, live } = live;
        let gone = cx.store.look(*partition, |state| state.gone_by(since, *shift, live));
        let entry = self.assembly.gone.entry(*partition).or_insert_with(|| (since.clone(), Vec::new()));
        if entry.0 != *since {
            *entry = (since.clone(), Vec::new());
        }
        entry.1.extend(gone);
    }
}

fn decode(body: &Bytes) -> Result<CatchUp, End> {
    let decoded = CatchUp::decode(body)?;
    let whole = decoded.filter(|(_, length)| *length == body.len());
    whole.map(|(catch_up, _)| catch_up).ok_or_else(|| End::garbage("a catch-up is cut off"))
}
