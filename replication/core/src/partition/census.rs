//! What is kept, counted by type: for checks of a directory, not for the way of a command.

use std::collections::BTreeMap;

use super::Partition;
use crate::types::{HeldRef, Kind, PartRef};

/// Keys of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypeCount {
    /// How many.
    pub keys: u64,
    /// Bytes of their names and of all that clients put into them, without what replication adds.
    pub bytes: u64,
}

impl Partition {
    /// Adds what is visible at `now_ms` to `types`, by the answer of TYPE. Looks at every element.
    pub fn census(&self, now_ms: u64, types: &mut BTreeMap<&'static str, TypeCount>) {
        for slot in 0..self.keys.slots() {
            let body = self.keys.body(slot);
            let kind = body.view(&self.replicas, now_ms).present();
            if kind == Kind::None {
                continue;
            }
            let mut bytes = self.keys.key(slot).len();
            body.for_each(&self.replicas, &mut |element| bytes += data_bytes(element.part, element.value));
            let count = types.entry(kind.name()).or_default();
            count.keys += 1;
            count.bytes += bytes as u64;
        }
    }
}

fn data_bytes(part: PartRef<'_>, value: HeldRef<'_>) -> usize {
    let name = match part {
        PartRef::Field(name) | PartRef::Member(name) | PartRef::Rated(name) => name.len(),
        PartRef::Cell | PartRef::Deadline | PartRef::FieldDeadline(_) => 0,
        PartRef::Item(_) | PartRef::Sketch | PartRef::Key => 0,
    };
    let value = match value {
        HeldRef::Text(text) => text.as_slice().len(),
        HeldRef::Count(_) | HeldRef::Score(_) | HeldRef::Deadline(_) => 8,
        HeldRef::Floor(_) | HeldRef::Member | HeldRef::Revoked => 0,
    };
    name + value
}
