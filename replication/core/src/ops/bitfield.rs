//! BITFIELD: a string as an array of integers of any width.

use super::bits::{bit, grown};
use super::{Answer, Scene};
use crate::{BitField, FieldAsk, Overflow, Reply};

pub(super) fn run(scene: &mut Scene<'_>, steps: &[(BitField, FieldAsk)]) -> Answer {
    let writes = steps.iter().filter(|(_, ask)| *ask != FieldAsk::Get);
    let last = writes.map(|(field, _)| field.offset.saturating_add(u64::from(field.bits) - 1)).max();
    let Some(last) = last else {
        let text = scene.string()?;
        let bytes = text.as_ref().map_or(&[][..], |text| text.as_slice());
        return Ok(Reply::Array(steps.iter().map(|(field, _)| shown(field.get(bytes))).collect()));
    };
    // As in Redis, room is made for every field that might be written, also where OVERFLOW FAIL then writes nothing.
    let (mut bytes, mut changed) = grown(scene, last)?;
    let mut replies = Vec::with_capacity(steps.len());
    for &(field, ask) in steps {
        let old = field.get(&bytes);
        let wanted = match ask {
            FieldAsk::Get => {
                replies.push(shown(old));
                continue;
            }
            FieldAsk::Set { value, .. } => field.given(value),
            FieldAsk::Incr { by, .. } => old + i128::from(by),
        };
        let Some(new) = field.fit(wanted, ask.overflow()) else {
            replies.push(Reply::Nil);
            continue;
        };
        field.set(&mut bytes, new);
        changed |= new != old;
        replies.push(shown(if matches!(ask, FieldAsk::Set { .. }) { old } else { new }));
    }
    if changed {
        scene.rewrite(bytes);
    }
    Ok(Reply::Array(replies))
}

fn shown(value: i128) -> Reply {
    Reply::Int(value as i64)
}

impl FieldAsk {
    fn overflow(self) -> Overflow {
        match self {
            Self::Get => Overflow::Wrap,
            Self::Set { overflow, .. } | Self::Incr { overflow, .. } => overflow,
        }
    }
}

impl BitField {
    /// Its value; what lies behind the end of the string is zero.
    fn get(self, bytes: &[u8]) -> i128 {
        let places = self.offset..self.offset.saturating_add(u64::from(self.bits));
        let raw = places.fold(0u128, |value, at| value << 1 | u128::from(bit(bytes, at)));
        self.wrap(raw as i128)
    }

    /// Writes a value that fits; the string is long enough.
    fn set(self, bytes: &mut [u8], value: i128) {
        for at in 0..u64::from(self.bits) {
            let offset = self.offset + at;
            let mask = 1 << (7 - offset % 8);
            let byte = &mut bytes[(offset / 8) as usize];
            if value >> (u64::from(self.bits) - 1 - at) & 1 == 1 { *byte |= mask } else { *byte &= !mask }
        }
    }

    /// A number to be written, as Redis takes it: a negative one for an unsigned field is a very great one, and so is one that
    /// lies further below a signed field than 64 bits can tell. The low bits are the same.
    fn given(self, value: i64) -> i128 {
        let far_below = self.bits < 64 && self.range().1 - i128::from(value) > i128::from(i64::MAX);
        let great = if self.signed { far_below } else { value < 0 };
        i128::from(value) + if great { 1 << 64 } else { 0 }
    }

    fn range(self) -> (i128, i128) {
        match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        }
    }

    /// The low bits, read as this field reads them.
    fn wrap(self, value: i128) -> i128 {
        let low = value & ((1 << self.bits) - 1);
        if self.signed && low > self.range().1 { low - (1 << self.bits) } else { low }
    }

    /// The value to be written; `None` if it does not fit and must not be made to.
    fn fit(self, value: i128, overflow: Overflow) -> Option<i128> {
        let (least, greatest) = self.range();
        if (least..=greatest).contains(&value) {
            return Some(value);
        }
        match overflow {
            Overflow::Wrap => Some(self.wrap(value)),
            Overflow::Saturate => Some(value.clamp(least, greatest)),
            Overflow::Fail => None,
        }
    }
}
