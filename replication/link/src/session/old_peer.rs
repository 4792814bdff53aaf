//! A peer that speaks the version before ours: what it can read is written for it; where it cannot, it is held off.
//!
//! Held off means: it gets nothing more from us, and is told no mark that would promise it; what it sends is taken in
//! and confirmed as ever. Nothing is dropped: once it is upgraded, it connects anew and catches up. To leave out only
//! what it cannot read would be worse: its context would say that it has seen it.

use bytes::Bytes;
use replication_core::{CatchUp, Delta, TooNew};

use super::{Conn, Context};

/// The format of deltas that peers speaking version 1 of the protocol read.
const FORMAT_OF_1: u8 = 1;

impl Conn {
    /// Whether the peer gets nothing because it could not read it.
    pub(crate) fn is_held_off(&self) -> bool {
        self.held_off.is_some()
    }

    /// Deltas as the peer reads them; `None` if it cannot, and is held off from now on.
    pub(crate) fn readable(&mut self, cx: &Context<'_>, deltas: Vec<Bytes>) -> Option<Vec<Bytes>> {
        if self.version > 1 {
            return Some(deltas);
        }
        let rewritten: Result<Vec<Bytes>, TooNew> = deltas.iter().map(rewrite).collect();
        rewritten.map_err(|too_new| self.hold_off(cx, too_new)).ok()
    }

    /// A catch-up as the peer reads it; `None` if it cannot.
    pub(crate) fn encode_catch_up(&mut self, cx: &Context<'_>, catch_up: &CatchUp) -> Option<Bytes> {
        let mut body = Vec::new();
        if self.version > 1 {
            catch_up.encode(&mut body);
        } else if let Err(too_new) = catch_up.encode_version(FORMAT_OF_1, &mut body) {
            self.hold_off(cx, too_new);
            return None;
        }
        Some(body.into())
    }

    fn hold_off(&mut self, cx: &Context<'_>, too_new: TooNew) {
        let why = format!("peer too old for {}: upgrade it", too_new.what);
        tracing::warn!(peer = %cx.peer.name, %why, "the link is held off");
        cx.gauges.held_off(why);
        self.held_off = Some(too_new);
    }
}

fn rewrite(delta: &Bytes) -> Result<Bytes, TooNew> {
    let mut bytes = Vec::new();
    // Our own journal wrote it, so it can be read; if not, the peer will say what it thinks of it.
    match Delta::decode(delta) {
        Ok(Some((decoded, _))) => decoded.encode_version(FORMAT_OF_1, &mut bytes)?,
        _ => return Ok(delta.clone()),
    }
    Ok(bytes.into())
}
