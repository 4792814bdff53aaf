//! Clients: writes, the replies that wait for the disk, reads. Every change is noted in the history at the moment it is made.

use std::collections::BTreeMap;

use bytes::Bytes;
use replication_core::{
    Ask, Dot, HashOp, KeyOp, ListOp, Op, Reply, SetOp, TextOp, VersionVector, ZsetOp, partition_of,
};
use replication_storage::StateStore;

use super::{Event, World, effects::effects};
use crate::state::{
    coverage::Met,
    oracle::{self, Deed, Increment, Reset, Rule, Shown, Violation},
    plant::Plant,
    region::{Token, Waiting},
    scenario::say,
};

impl World<'_> {
    pub(super) fn write(&mut self, region: u16, ops: &[Op], gather_ms: u64) -> Result<(), Violation> {
        let now_ms = self.now_ms;
        let Some(life) = &self.region(region).life else {
            self.coverage.met(Met::Refused);
            return Ok(());
        };
        let Some(first) = ops.first() else { return Ok(()) };
        let (store, number) = (life.store.clone(), life.number);
        let partition = partition_of(&first.key);
        let before = store.version_vector(partition);
        let readings: Vec<oracle::Reading> =
            ops.iter().map(|op| oracle::read(&self.history, partition, &before, &op.key, store.now_ms())).collect();
        let (replies, mark) = execute(&store, partition, ops);
        for (op, reply) in ops.iter().zip(&replies) {
            self.trace.say(now_ms, format_args!("region {region}: {} → {reply:?}", say(op)));
        }
        let Some(mark) = mark else {
            self.check_answers(&store, partition, ops, &replies, &readings)?;
            return Ok(());
        };
        self.count_ops(ops);
        let dot = self.note_made(&store, partition, &before, |_| effects(ops, &replies, &readings))?;
        self.check_answers(&store, partition, ops, &replies, &readings)?;
        let token = Token { hlc: store.last_write_hlc(), partition, dot };
        self.check_stamp(region, token)?;
        if self.plant == Some(Plant::AcknowledgeBeforePersist) {
            self.acknowledge_unwritten(region, token);
        }
        if let Some(life) = &mut self.region_mut(region).life {
            life.waiting.push(Waiting { mark, token });
            if !life.flush_planned {
                life.flush_planned = true;
                self.queue.plan(now_ms + gather_ms, Event::Flush { region, life: number });
            }
        }
        self.after(region)
    }

    /// Notes the change that `store` has just made; its last dot.
    pub(super) fn note_made(
        &mut self,
        store: &StateStore,
        partition: u16,
        before: &VersionVector,
        effects: impl FnOnce(&Self) -> (Vec<Increment>, Vec<Reset>),
    ) -> Result<Dot, Violation> {
        let maker = store.replica();
        let last_seq = store.version_vector(partition).get(maker);
        let news = store.catch_up_since(partition, before);
        let (increments, resets) = effects(self);
        self.history.note(Deed { maker, before, last_seq, news: &news, increments, resets })?;
        Ok(Dot { replica: maker, seq: last_seq })
    }

    /// Persists what waits, and answers.
    pub(super) fn flush(&mut self, region: u16, life: u64) -> Result<(), Violation> {
        if !self.is_current(region, life) {
            return Ok(());
        }
        let partitions = self.partitions.clone();
        let now_ms = self.now_ms;
        let it = &mut self.regions[usize::from(region) - 1];
        let Some(life) = &mut it.life else { return Ok(()) };
        life.flush_planned = false;
        let waiting = std::mem::take(&mut life.waiting);
        let Some(mark) = waiting.iter().map(|waiting| waiting.mark).max() else { return Ok(()) };
        match life.store.persist_now(mark.max(life.store.pending_mark())) {
            Ok(()) => {
                it.note_written(&partitions);
                it.tokens.extend(waiting.iter().map(|waiting| waiting.token).filter(|token| token.hlc > it.marked));
                self.coverage.add(Met::Acknowledged, waiting.len() as u64);
                self.trace.say(now_ms, format_args!("region {region}: {} acknowledged", waiting.len()));
            }
            Err(error) => {
                self.coverage.add(Met::RefusedWrites, waiting.len() as u64);
                self.trace.say(now_ms, format_args!("region {region}: not acknowledged, {error}"));
            }
        }
        self.tell_sessions(region)?;
        self.after(region)
    }

    pub(super) fn read(&mut self, region: u16, key: &str) -> Result<(), Violation> {
        let Some(life) = &self.region(region).life else {
            self.coverage.met(Met::Refused);
            return Ok(());
        };
        let store = life.store.clone();
        self.coverage.met(Met::Reads);
        self.check_reading(&store, region, key.as_bytes())
    }

    /// Compares what a client reads with what the rules make of the region's context.
    pub(super) fn check_reading(&mut self, store: &StateStore, region: u16, key: &[u8]) -> Result<(), Violation> {
        let partition = partition_of(key);
        let vv = store.version_vector(partition);
        let wanted = oracle::read(&self.history, partition, &vv, key, store.now_ms());
        if wanted.is_expired() {
            self.coverage.met(Met::Expired);
        }
        if !wanted.expired_fields.is_empty() {
            self.coverage.met(Met::ExpiredFields);
        }
        if wanted.clash {
            self.coverage.met(Met::TypeClashes);
        }
        if wanted.marked {
            self.coverage.met(Met::RemovalMarks);
        }
        if wanted.shown == Shown::Other {
            return Ok(());
        }
        let seen = shown(store, key);
        if seen == wanted.shown {
            return Ok(());
        }
        let key = key.escape_ascii();
        let rule = match (&seen, wanted.is_expired(), wanted.deadline_ms) {
            (_, true, _) | (Shown::Nothing, false, Some(_)) => Rule::DeadlinesHold,
            _ => Rule::ConflictRulesHold,
        };
        let what = format!("region {region} shows {key} as {seen:?} at [{vv}], it should be {wanted:?}");
        Err(Violation::new(rule, what))
    }

    /// What clients were told, and what they find afterwards, against what Redis would have done.
    fn check_answers(
        &mut self,
        store: &StateStore,
        partition: u16,
        ops: &[Op],
        replies: &[Reply],
        readings: &[oracle::Reading],
    ) -> Result<(), Violation> {
        let mut last: BTreeMap<&Bytes, Shown> = BTreeMap::new();
        for ((op, reply), before) in ops.iter().zip(replies).zip(readings) {
            self.check_reading(store, store.region(), &op.key)?;
            let before = last.get(&op.key).unwrap_or(&before.shown).clone();
            if let Some(after) = oracle::expected_after(&before, op, reply) {
                last.insert(&op.key, after);
            }
            last.extend(oracle::expected_elsewhere(&before, op, reply));
        }
        let vv = store.version_vector(partition);
        if let ([op], [reply]) = (ops, replies) {
            let now = |key: &Bytes| oracle::read(&self.history, partition, &vv, key, store.now_ms()).shown;
            last.extend(oracle::expected_store(op, reply, now).map(|stored| (&op.key, stored)));
        }
        for (key, wanted) in last {
            let seen = oracle::read(&self.history, partition, &vv, key, store.now_ms());
            if seen.shown != wanted {
                let said: Vec<String> = ops.iter().map(say).collect();
                let what = format!(
                    "region {}: after {} → {replies:?} the key {} is {seen:?}, it should be {wanted:?}; before, the keys were {:?}",
                    store.region(),
                    said.join("; "),
                    key.escape_ascii(),
                    readings.iter().map(|reading| &reading.shown).collect::<Vec<_>>()
                );
                return Err(Violation::new(Rule::CommandsDoWhatTheySay, what));
            }
        }
        Ok(())
    }

    fn count_ops(&mut self, ops: &[Op]) {
        if ops.len() > 1 {
            self.coverage.met(Met::Transactions);
        }
        for op in ops {
            self.coverage.met(match &op.ask {
                Ask::Text(TextOp::Incr { .. }) => Met::CounterWrites,
                Ask::Text(TextOp::IncrByFloat { .. }) | Ask::Hash(HashOp::IncrByFloat { .. }) => Met::FractionWrites,
                Ask::Zset(ZsetOp::Incr { by, .. }) if by.0.fract() != 0.0 => Met::FractionWrites,
                Ask::Text(_) => Met::TextWrites,
                Ask::Bits(_) => Met::BitWrites,
                Ask::Hash(HashOp::Expire { .. } | HashOp::Persist { .. } | HashOp::SetEx { .. }) => {
                    Met::FieldDeadlineWrites
                }
                Ask::Set(SetOp::Store { .. }) | Ask::Zset(ZsetOp::CombineStore { .. }) => Met::StoreWrites,
                Ask::Hash(_) => Met::HashWrites,
                Ask::Set(_) => Met::SetWrites,
                Ask::Key(KeyOp::Expire { .. } | KeyOp::Persist) => Met::DeadlineWrites,
                Ask::List(_) => Met::ListWrites,
                Ask::Zset(_) => Met::ZsetWrites,
                Ask::Sketch(_) => Met::SketchWrites,
                _ => Met::KeyWrites,
            });
        }
    }
}

fn execute(store: &StateStore, partition: u16, ops: &[Op]) -> (Vec<Reply>, Option<replication_storage::WriteMark>) {
    match ops {
        [op] => {
            let done = store.execute(op);
            (vec![done.reply], done.mark)
        }
        ops => store.transact(partition, |transaction| ops.iter().map(|op| transaction.execute(op)).collect()),
    }
}

/// What a client sees of a key, by the commands that it has.
pub(super) fn shown(store: &StateStore, key: &[u8]) -> Shown {
    let key = Bytes::copy_from_slice(key);
    let ask = |op: Op| store.execute(&op).reply;
    match ask(KeyOp::Type.on(key.clone())) {
        Reply::Status("none") => Shown::Nothing,
        Reply::Status("string") => match ask(TextOp::Get.on(key)) {
            Reply::Bulk(text) => Shown::Text(text),
            _ => Shown::Nothing,
        },
        Reply::Status("hash") => match ask(HashOp::GetAll.on(key)) {
            Reply::Map(fields) => Shown::Hash(fields.into_iter().collect()),
            _ => Shown::Nothing,
        },
        Reply::Status("list") => match ask(ListOp::Range { start: 0, stop: -1 }.on(key)) {
            Reply::Array(items) => Shown::List(items.into_iter().filter_map(text).collect()),
            _ => Shown::Nothing,
        },
        Reply::Status("zset") => match ask(ZsetOp::Rows.on(key)) {
            Reply::Scored(rows) => {
                Shown::Zset(rows.into_iter().map(|(member, score)| (member, oracle::score_text(score))).collect())
            }
            _ => Shown::Nothing,
        },
        Reply::Status("set") => match ask(SetOp::Members.on(key)) {
            Reply::Set(members) => Shown::Set(members.into_iter().collect()),
            _ => Shown::Nothing,
        },
        _ => Shown::Other,
    }
}

fn text(reply: Reply) -> Option<Bytes> {
    match reply {
        Reply::Bulk(text) => Some(text),
        _ => None,
    }
}
