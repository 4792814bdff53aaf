//! What commands mean for counters: which increments they are, and what they reset. Told from what their clients saw and were
//! answered, not from what the state made of them.

use replication_core::{Ask, HashOp, KeyOp, Op, Reply, TextOp, When, ZsetOp};

use crate::state::oracle::{self, Increment, Reset, Scope, Spot, hundredths_of};

/// What commands mean for counters, told from what their clients saw and were told.
pub(super) fn effects(ops: &[Op], replies: &[Reply], readings: &[oracle::Reading]) -> (Vec<Increment>, Vec<Reset>) {
    let (mut increments, mut resets) = (Vec::new(), Vec::new());
    for ((op, reply), before) in ops.iter().zip(replies).zip(readings) {
        let op: &Op = op;
        if matches!(reply, Reply::Error(_)) {
            continue;
        }
        let mut reset = |scope: Scope| resets.push(Reset { key: op.key.clone(), scope });
        // Whatever is written to a key whose time has passed ends it first.
        if before.is_expired() && !matches!(op.ask, Ask::Key(KeyOp::Persist)) {
            reset(Scope::Key);
        }
        let mut count = |spot: Spot, hundredths: i128| {
            increments.push(Increment { key: op.key.clone(), spot, hundredths });
        };
        // A write of one type ends what it sees of the others.
        if !matches!(op.ask, Ask::Key(_) | Ask::Text(_)) {
            reset(Scope::Spot(Spot::Text));
        }
        if !matches!(op.ask, Ask::Key(_) | Ask::Hash(_)) {
            reset(Scope::Hash);
        }
        if !matches!(op.ask, Ask::Key(_) | Ask::Zset(_)) {
            reset(Scope::Zset);
        }
        match &op.ask {
            Ask::Key(KeyOp::Del | KeyOp::Rename { .. }) | Ask::Text(TextOp::GetDel) => reset(Scope::Key),
            Ask::Key(KeyOp::Expire { when: When::In(ms, _), .. }) if *ms <= 0 => reset(Scope::Key),
            Ask::Text(TextOp::Set { .. }) if *reply != Reply::Nil => reset(Scope::Key),
            Ask::Text(TextOp::Incr { by }) => count(Spot::Text, i128::from(*by) * 100),
            Ask::Text(TextOp::IncrByFloat { by }) => hundredths_of(by).into_iter().for_each(|by| count(Spot::Text, by)),
            Ask::Hash(HashOp::Set { fields }) => {
                fields.iter().for_each(|(field, _)| reset(Scope::Spot(Spot::Field(field.clone()))));
            }
            Ask::Hash(HashOp::Del { fields }) => {
                fields.iter().for_each(|field| reset(Scope::Spot(Spot::Field(field.clone()))));
            }
            Ask::Hash(HashOp::Incr { field, by }) => count(Spot::Field(field.clone()), i128::from(*by) * 100),
            Ask::Hash(HashOp::IncrByFloat { field, by }) => {
                hundredths_of(by).into_iter().for_each(|by| count(Spot::Field(field.clone()), by));
            }
            Ask::Zset(ZsetOp::Add { pairs, .. }) => {
                pairs.iter().for_each(|(_, member)| reset(Scope::Spot(Spot::Member(member.clone()))));
            }
            Ask::Zset(ZsetOp::Rem { members }) => {
                members.iter().for_each(|member| reset(Scope::Spot(Spot::Member(member.clone()))));
            }
            Ask::Zset(ZsetOp::Pop { .. }) => {
                if let Reply::Scored(popped) = reply {
                    popped.iter().for_each(|(member, _)| reset(Scope::Spot(Spot::Member(member.clone()))));
                }
            }
            Ask::Zset(ZsetOp::Incr { member, by, .. }) => {
                count(Spot::Member(member.clone()), (by.0 * 100.0).round() as i128);
            }
            _ => {}
        }
    }
    (increments, resets)
}
