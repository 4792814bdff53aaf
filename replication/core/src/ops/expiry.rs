//! EXPIRE and its kin, TTL, PERSIST.

use super::{Answer, Scene};
use crate::delta::{Deadline, Part, Value};
use crate::types::Kind;
use crate::{ExpireIf, OpError, Reply, TimeUnit, When};

/// `when` in milliseconds since 1970; `None` where 64 bits do not hold it or it lies before 1970 by overflow.
pub(super) fn moment(when: When, now_ms: u64) -> Option<u64> {
    let (amount, unit, start) = match when {
        When::In(amount, unit) if amount > 0 => (amount, unit, i64::try_from(now_ms).ok()?),
        // Not after now: the caller treats it as passed or as invalid, unless 64 bits do not even hold it.
        When::In(amount, TimeUnit::Seconds) => return amount.checked_mul(1000).map(|_| 0),
        When::In(..) => return Some(0),
        When::At(amount, unit) => (amount, unit, 0),
    };
    let ms = match unit {
        TimeUnit::Seconds => amount.checked_mul(1000)?,
        TimeUnit::Millis => amount,
    };
    Some(u64::try_from(start.checked_add(ms)?).unwrap_or(0))
}

pub(super) fn expire(scene: &mut Scene<'_>, when: When, condition: ExpireIf) -> Answer {
    let at_ms = moment(when, scene.now_ms).ok_or(OpError::InvalidExpire(command(when)))?;
    if scene.view.present() == Kind::None || !condition.allows(scene.view.deadline_ms, at_ms) {
        return Ok(Reply::Int(0));
    }
    expire_at(scene, at_ms);
    Ok(Reply::Int(1))
}

/// Gives a key that is there a deadline; one that is past removes the key.
pub(super) fn expire_at(scene: &mut Scene<'_>, at_ms: u64) {
    if at_ms <= scene.now_ms {
        scene.drop_key();
    } else {
        plan_deadline(scene, at_ms);
    }
}

pub(super) fn persist(scene: &mut Scene<'_>) -> Reply {
    if scene.view.present() == Kind::None || scene.view.deadline_ms.is_none() {
        return Reply::Int(0);
    }
    plan_deadline(scene, Deadline::NEVER);
    Reply::Int(1)
}

pub(super) fn ttl(scene: &Scene<'_>, unit: TimeUnit) -> Reply {
    if scene.view.present() == Kind::None {
        return Reply::Int(-2);
    }
    let Some(at_ms) = scene.view.deadline_ms else { return Reply::Int(-1) };
    let left_ms = i64::try_from(at_ms - scene.now_ms).unwrap_or(i64::MAX);
    Reply::Int(match unit {
        TimeUnit::Millis => left_ms,
        TimeUnit::Seconds => left_ms.saturating_add(500) / 1000, // rounded, as Redis does
    })
}

pub(super) fn expire_time(scene: &Scene<'_>, unit: TimeUnit) -> Reply {
    if scene.view.present() == Kind::None {
        return Reply::Int(-2);
    }
    let Some(at_ms) = scene.view.deadline_ms else { return Reply::Int(-1) };
    let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
    Reply::Int(match unit {
        TimeUnit::Millis => at_ms,
        TimeUnit::Seconds => at_ms.saturating_add(500) / 1000, // rounded, as Redis does
    })
}

fn plan_deadline(scene: &mut Scene<'_>, at_ms: u64) {
    let observed = scene.plan.observed_deadlines(scene.body);
    let deadline = Deadline { at_ms, bound: scene.view.anchor };
    scene.plan.put(Part::Deadline, observed, Value::Deadline(deadline));
}

fn command(when: When) -> &'static str {
    match when {
        When::In(_, TimeUnit::Seconds) => "expire",
        When::In(_, TimeUnit::Millis) => "pexpire",
        When::At(_, TimeUnit::Seconds) => "expireat",
        When::At(_, TimeUnit::Millis) => "pexpireat",
    }
}

impl ExpireIf {
    /// No deadline counts as an infinitely late one for GT and LT.
    pub(super) fn allows(self, current_ms: Option<u64>, new_ms: u64) -> bool {
        let later = current_ms.is_some_and(|current| new_ms > current);
        let earlier = current_ms.is_none_or(|current| new_ms < current);
        let refused = (self.nx && current_ms.is_some())
            || (self.xx && current_ms.is_none())
            || (self.gt && !later)
            || (self.lt && !earlier);
        !refused
    }
}
