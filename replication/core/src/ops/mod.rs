//! What each command answers and plans, one file per family. Read the key, answer, write down the changes; nothing here
//! touches state.

mod expiry;
mod hash;
mod key;
mod set;
mod string;

use bytes::Bytes;
use hashbrown::HashSet;

use crate::plan::Plan;
use crate::types::cell::Reading;
use crate::types::{Body, Kind, View};
use crate::{MAX_COMMAND_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, Op, OpError, Reply};

pub(crate) static EMPTY: Body = Body::Empty;

/// One command's view of its key, and its plan.
pub(crate) struct Scene<'a> {
    pub(crate) body: &'a Body,
    pub(crate) view: View,
    pub(crate) now_ms: u64,
    pub(crate) plan: Plan<'a>,
}

type Answer = Result<Reply, OpError>;

/// Answers `op` and plans its changes. After an error the plan is void.
pub(crate) fn run(op: &Op, scene: &mut Scene<'_>) -> Answer {
    match op {
        Op::Get { .. } => string::get(scene),
        Op::Set { value, expiry, condition, get, .. } => string::set(scene, value, *expiry, *condition, *get),
        Op::GetDel { .. } => string::get_del(scene),
        Op::Incr { by, .. } => string::incr(scene, *by),
        Op::Del { .. } => Ok(key::del(scene)),
        Op::Exists { .. } => Ok(key::exists(scene)),
        Op::Type { .. } => Ok(key::kind(scene)),
        Op::Expire { when, condition, .. } => expiry::expire(scene, *when, *condition),
        Op::Ttl { unit, .. } => Ok(expiry::ttl(scene, *unit)),
        Op::Persist { .. } => Ok(expiry::persist(scene)),
        Op::HSet { fields, .. } => hash::set(scene, fields),
        Op::HGet { field, .. } => hash::get(scene, field),
        Op::HMGet { fields, .. } => hash::get_many(scene, fields),
        Op::HGetAll { .. } => hash::get_all(scene),
        Op::HDel { fields, .. } => hash::del(scene, fields),
        Op::HExists { field, .. } => hash::exists(scene, field),
        Op::HLen { .. } => hash::len(scene),
        Op::HIncr { field, by, .. } => hash::incr(scene, field, *by),
        Op::SAdd { members, .. } => set::add(scene, members),
        Op::SRem { members, .. } => set::remove(scene, members),
        Op::SMembers { .. } => set::members(scene),
        Op::SIsMember { member, .. } => set::is_member(scene, member),
        Op::SCard { .. } => set::len(scene),
    }
}

impl<'a> Scene<'a> {
    /// Whether a key of `want` is there to be read; another type is an error.
    fn has(&self, want: Kind) -> Result<bool, OpError> {
        match self.view.present() {
            Kind::None => Ok(false),
            kind if kind == want => Ok(true),
            _ => Err(OpError::WrongType),
        }
    }

    /// Opens the key for a write of `want`: a key that is not there, or past its deadline, starts from nothing (what is left
    /// of it is removed in the same delta); hidden parts of other types go.
    fn open(&mut self, want: Kind) -> Result<&'a Body, OpError> {
        if !self.has(want)? {
            self.plan.clear_key(self.body);
            return Ok(&EMPTY);
        }
        if self.view.clash {
            self.plan.clear_hidden(self.body, want);
        }
        Ok(self.body)
    }
}

fn bulk(reading: Reading<'_>) -> Bytes {
    match reading {
        Reading::Text(text) => text.to_bytes(),
        Reading::Number(number) => Bytes::from(number.to_string()),
    }
}

/// Each name once, in order of first appearance: a command that names a field twice must not count it twice.
fn distinct(names: &[Bytes]) -> Vec<&Bytes> {
    if let [only] = names {
        return vec![only];
    }
    let mut seen = HashSet::with_capacity(names.len());
    names.iter().filter(|name| seen.insert(*name)).collect()
}

/// Refuses what is longer than the documented limits before any of it is looked at.
pub(crate) fn check_limits(op: &Op) -> Result<(), OpError> {
    if op.key().len() > MAX_KEY_BYTES {
        return Err(OpError::KeyTooLong);
    }
    let mut total = op.key().len();
    let mut check = |bytes: &Bytes| {
        total = total.saturating_add(bytes.len());
        if bytes.len() > MAX_VALUE_BYTES { Err(OpError::ValueTooLong) } else { Ok(()) }
    };
    match op {
        Op::Set { value, .. } => check(value)?,
        Op::HSet { fields, .. } => {
            for (field, value) in fields {
                check(field)?;
                check(value)?;
            }
        }
        Op::HIncr { field, .. } => check(field)?,
        Op::HDel { fields: names, .. } | Op::SAdd { members: names, .. } | Op::SRem { members: names, .. } => {
            names.iter().try_for_each(check)?;
        }
        _ => {}
    }
    if total > MAX_COMMAND_BYTES { Err(OpError::CommandTooLarge) } else { Ok(()) }
}
