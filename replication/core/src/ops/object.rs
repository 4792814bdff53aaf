//! OBJECT ENCODING: the name of the layout that Redis 7.0 would have chosen for such a value, by its default thresholds.
//!
//! Nothing is laid out that way here. Tools read the name to tell small values from large ones, so it follows from what is there now;
//! Redis also remembers larger pasts.

use super::{Scene, bulk};
use crate::Reply;
use crate::types::cell::parse_integer;
use crate::types::{Body, Kind};

/// Longest text that Redis keeps beside its header.
const EMBEDDED: usize = 44;
/// Longest element of a compact collection.
const COMPACT_BYTES: usize = 64;
/// Most fields of a compact hash, most members of a set of integers.
const COMPACT_ENTRIES: usize = 512;
/// Most members of a compact sorted set.
const COMPACT_RATED: usize = 128;

pub(super) fn encoding(scene: &Scene<'_>) -> Reply {
    let name = match scene.view.present() {
        Kind::None => return Reply::Nil,
        Kind::Text => text(scene),
        Kind::Hash => hash(scene),
        Kind::Set => set(scene.body),
        Kind::List => "quicklist",
        Kind::Zset => zset(scene.body),
        Kind::Sketch => "raw",
    };
    Reply::Bulk(name.into())
}

fn text(scene: &Scene<'_>) -> &'static str {
    let text = scene.string().ok().flatten();
    let text = text.as_ref().map_or(&[][..], |text| text.as_slice());
    match text.len() {
        0..=20 if parse_integer(text).is_some() => "int",
        0..=EMBEDDED => "embstr",
        _ => "raw",
    }
}

fn hash(scene: &Scene<'_>) -> &'static str {
    let Some(hash) = scene.hash_of(scene.body) else { return "listpack" };
    let small = |field: &[u8], value: usize| field.len() <= COMPACT_BYTES && value <= COMPACT_BYTES;
    let compact =
        hash.len() <= COMPACT_ENTRIES && hash.readings().all(|(field, reading)| small(field, bulk(reading).len()));
    if compact { "listpack" } else { "hashtable" }
}

fn zset(body: &Body) -> &'static str {
    let Body::Full(full) = body else { return "listpack" };
    let compact = full
        .zset
        .as_ref()
        .is_none_or(|zset| zset.len() <= COMPACT_RATED && zset.iter().all(|(member, _)| member.len() <= COMPACT_BYTES));
    if compact { "listpack" } else { "skiplist" }
}

fn set(body: &Body) -> &'static str {
    let integers = body.members().is_some_and(|members| {
        members.len() <= COMPACT_ENTRIES && members.iter().all(|member| parse_integer(member).is_some())
    });
    if integers { "intset" } else { "hashtable" }
}
