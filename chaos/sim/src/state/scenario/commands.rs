//! The workload: few keys, much written, so that nearly everything conflicts with something.

use bytes::Bytes;
use replication_core::{
    AddIf, Aggregate, BitField, BitsOp, Bitwise, Combine, ExpireIf, FieldAsk, HashOp, KeyOp, ListEnd, ListOp, Op,
    Overflow, Recipe, Score, SetExpiry, SetIf, SetOp, SketchOp, TextOp, TimeUnit, When, ZsetOp,
};

use super::Action;
use crate::rng::Rng;

/// Every key that the workload knows. The tags in braces put them into two partitions.
pub(crate) const KEYS: &[&str] = &[
    "text{a}",
    "text{b}",
    "timed{a}",
    "timed{b}",
    "count{a}",
    "count{b}",
    "hash{a}",
    "hash{b}",
    "set{a}",
    "set{b}",
    "any{a}",
    "any{b}",
    "list{a}",
    "zset{a}",
    "zset{b}",
    "sketch{a}",
    "sketch{b}",
    "from{a}",
    "from{b}",
    "into{a}",
    "into{b}",
    "gone:set{a}",
    "gone:set{b}",
    "gone:hash{a}",
    "gone:hash{b}",
    "list{b}",
    "left{a}",
    "right{a}",
    "left{b}",
    "right{b}",
    "fields{a}",
    "fields{b}",
    "bits{a}",
    "bits{b}",
    "merged{a}",
    "merged{b}",
    "stored{a}",
    "stored{b}",
];

/// Keys that are only ever written together, with the same value: whoever sees them differ sees half a transaction.
pub(crate) const PAIRS: &[(&str, &str)] = &[("left{a}", "right{a}"), ("left{b}", "right{b}")];

/// Keys that begin so belong to a prefix where removes win.
pub(crate) const REMOVES_WIN: &str = "gone:";

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Text,
    Timed,
    Count,
    Hash,
    Set,
    List,
    Zset,
    Sketch,
    Gone,
    Moved,
    Any,
    Pair,
    Fields,
    Bits,
    Stored,
}

impl Family {
    pub(super) const ALL: [Self; 15] = [
        Self::Text,
        Self::Timed,
        Self::Count,
        Self::Hash,
        Self::Set,
        Self::List,
        Self::Zset,
        Self::Sketch,
        Self::Gone,
        Self::Moved,
        Self::Any,
        Self::Pair,
        Self::Fields,
        Self::Bits,
        Self::Stored,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Timed => "timed",
            Self::Count => "count",
            Self::Hash => "hash",
            Self::Set => "set",
            Self::List => "list",
            Self::Zset => "zset",
            Self::Sketch => "sketch",
            Self::Gone => "gone:",
            Self::Moved | Self::Stored => "",
            Self::Any => "any",
            Self::Pair => "left",
            Self::Fields => "fields",
            Self::Bits => "bits",
        }
    }
}

/// Draws what clients do.
pub(super) struct Clients<'a> {
    pub(super) rng: &'a mut Rng,
    pub(super) regions: u16,
    pub(super) families: Vec<Family>,
    /// Makes every written value unique.
    pub(super) written: u64,
}

impl Clients<'_> {
    pub(super) fn action(&mut self) -> Action {
        let region = self.rng.between(1, u64::from(self.regions)) as u16;
        if self.rng.percent(15) {
            return Action::Read { region, key: KEYS[self.rng.index(KEYS.len())] };
        }
        let family = *self.rng.pick(&self.families);
        let tag = *self.rng.pick(&["a", "b"]);
        let gather_ms = self.rng.below(4);
        let ops = match family {
            Family::Pair => self.pair(tag),
            _ => vec![self.op(family, &format!("{}{{{tag}}}", family.name()))],
        };
        Action::Write { region, ops, gather_ms }
    }

    fn pair(&mut self, tag: &str) -> Vec<Op> {
        let value = self.value();
        let set = |key: String| text_set(value.clone(), SetExpiry::Clear, SetIf::Always).on(key);
        match self.rng.below(5) {
            0 => vec![KeyOp::Del.on(format!("left{{{tag}}}")), KeyOp::Del.on(format!("right{{{tag}}}"))],
            _ => vec![set(format!("left{{{tag}}}")), set(format!("right{{{tag}}}"))],
        }
    }

    fn op(&mut self, family: Family, key: &str) -> Op {
        let key = key.to_owned();
        match family {
            Family::Text => self.text().on(key),
            Family::Timed => self.timed(key),
            Family::Count => self.count().on(key),
            Family::Hash => self.hash().on(key),
            Family::Set => self.set().on(key),
            Family::List => self.list(&key).on(key),
            Family::Zset => self.zset().on(key),
            Family::Sketch => self.sketch(key),
            Family::Gone => self.gone(&key),
            Family::Moved => self.moved(&key),
            Family::Fields => self.fields(key),
            Family::Bits => self.bits(&key).on(key),
            Family::Stored => self.stored(&key),
            Family::Any | Family::Pair => match self.rng.below(8) {
                0 => self.text().on(key),
                1 => self.count().on(key),
                2 => self.hash().on(key),
                3 => self.set().on(key),
                4 => self.timed(key),
                5 => self.list(&key).on(key),
                6 => self.zset().on(key),
                _ => KeyOp::Del.on(key),
            },
        }
    }

    fn value(&mut self) -> Bytes {
        self.written += 1;
        format!("v{}", self.written).into()
    }

    fn text(&mut self) -> TextOp {
        let condition = *self.rng.pick(&[SetIf::Always, SetIf::Always, SetIf::Always, SetIf::Absent, SetIf::Present]);
        match self.rng.below(9) {
            0 => TextOp::GetDel,
            8 => TextOp::Append { value: self.value() },
            1 => text_set(self.value(), SetExpiry::Keep, SetIf::Always),
            _ => text_set(self.value(), SetExpiry::Clear, condition),
        }
    }

    fn timed(&mut self, key: String) -> Op {
        let when = When::In(self.rng.between(100, 3_000) as i64, TimeUnit::Millis);
        match self.rng.below(5) {
            0 => KeyOp::Persist.on(key),
            1 | 2 => KeyOp::Expire { when, condition: ExpireIf::default() }.on(key),
            3 => text_set(self.value(), SetExpiry::Deadline(when), SetIf::Always).on(key),
            _ => text_set(self.value(), SetExpiry::Clear, SetIf::Always).on(key),
        }
    }

    fn count(&mut self) -> TextOp {
        match self.rng.below(10) {
            0 => TextOp::GetDel,
            1 => text_set(self.rng.below(100).to_string().into(), SetExpiry::Clear, SetIf::Always),
            2 | 3 => TextOp::IncrByFloat { by: self.fraction() },
            _ => TextOp::Incr { by: self.rng.between(0, 20) as i64 - 5 },
        }
    }

    /// A number with two places behind the point.
    fn fraction(&mut self) -> Bytes {
        let hundredths = self.rng.between(0, 800) as i64 - 300;
        let sign = if hundredths < 0 { "-" } else { "" };
        format!("{sign}{}.{:02}", hundredths.abs() / 100, hundredths.abs() % 100).into()
    }

    fn field(&mut self) -> Bytes {
        Bytes::from_static(self.rng.pick(&["f", "g", "h"]).as_bytes())
    }

    fn hash(&mut self) -> HashOp {
        match self.rng.below(7) {
            6 => HashOp::IncrByFloat { field: "n".into(), by: self.fraction() },
            0 | 1 => HashOp::Set { fields: vec![(self.field(), self.value())] },
            2 => HashOp::Set { fields: vec![("f".into(), "7".into()), ("n".into(), self.value())] },
            3 => HashOp::Del { fields: vec![self.field()] },
            _ => HashOp::Incr { field: "n".into(), by: self.rng.between(1, 9) as i64 },
        }
    }

    fn list(&mut self, key: &str) -> ListOp {
        let end = *self.rng.pick(&[ListEnd::Left, ListEnd::Right]);
        let known = Bytes::from_static(self.rng.pick(&["x", "y"]).as_bytes());
        match self.rng.below(11) {
            10 => {
                let tag = key.find('{').map_or("", |at| &key[at..]);
                let to = if self.rng.percent(50) { key.to_owned() } else { format!("into{tag}") };
                ListOp::Move { to: to.into(), pop: end, push: ListEnd::Left }
            }
            0 | 1 => ListOp::Push { end, values: vec![known], existing: false },
            2 | 3 => ListOp::Push { end, values: vec![self.value(), self.value()], existing: false },
            4 => ListOp::Set { index: 0, value: self.value() },
            5 | 6 => ListOp::Insert { before: end == ListEnd::Left, pivot: known, value: self.value() },
            7 => ListOp::Rem { count: 0, value: known },
            8 => ListOp::Trim { start: 0, stop: self.rng.between(0, 4) as i64 },
            _ => ListOp::Pop { end, count: None },
        }
    }

    fn zset(&mut self) -> ZsetOp {
        let member = Bytes::from_static(self.rng.pick(&["m1", "m2", "m3"]).as_bytes());
        // Quarters: a float holds them and their sums exactly, so the order of increments does not show.
        let whole = self.rng.percent(70);
        let score = Score(if whole { self.rng.between(1, 50) as f64 } else { self.rng.between(1, 200) as f64 / 4.0 });
        match self.rng.below(7) {
            6 => ZsetOp::Pop { max: false, count: 1 },
            0 | 1 => ZsetOp::Add { pairs: vec![(score, member)], condition: AddIf::default(), changed: false },
            2 => ZsetOp::Rem { members: vec![member] },
            _ => ZsetOp::Incr { member, by: score, condition: AddIf::default() },
        }
    }

    fn sketch(&mut self, key: String) -> Op {
        match self.rng.below(7) {
            0 => KeyOp::Del.on(key),
            1 => SketchOp::Merge { sources: vec![key.clone().into()] }.on(key.replace("sketch", "merged")),
            _ => SketchOp::Add { elements: vec![self.value()] }.on(key),
        }
    }

    /// Hash fields with deadlines of their own.
    fn fields(&mut self, key: String) -> Op {
        let when = When::In(self.rng.between(100, 3_000) as i64, TimeUnit::Millis);
        let fields = vec![self.field()];
        match self.rng.below(10) {
            0 => HashOp::Persist { fields },
            1 => HashOp::Del { fields },
            2 => HashOp::GetDel { fields },
            3 => return KeyOp::Del.on(key),
            4 | 5 => HashOp::Set { fields: vec![(self.field(), self.value())] },
            6 => HashOp::SetEx {
                fields: vec![(self.field(), self.value())],
                expiry: SetExpiry::Deadline(when),
                condition: SetIf::Always,
            },
            _ => HashOp::Expire { when, condition: ExpireIf::default(), fields },
        }
        .on(key)
    }

    fn bits(&mut self, key: &str) -> BitsOp {
        match self.rng.below(6) {
            0 => BitsOp::Combine {
                how: Bitwise::Or,
                sources: vec![key.to_owned().into(), key.replace("bits", "text").into()],
            },
            1 => {
                let field = BitField { offset: self.rng.below(3) * 8, bits: 8, signed: false };
                let by = self.rng.between(1, 200) as i64;
                BitsOp::Field { steps: vec![(field, FieldAsk::Incr { by, overflow: Overflow::Wrap })] }
            }
            _ => BitsOp::Set { offset: self.rng.below(24), on: self.rng.percent(70) },
        }
    }

    /// What is made of several keys and stored under another one; `tag` is all that is common to them.
    fn stored(&mut self, tag: &str) -> Op {
        let (stored, set) = (format!("stored{tag}"), Bytes::from(format!("set{tag}")));
        let how = *self.rng.pick(&[Combine::Union, Combine::Inter, Combine::Diff]);
        match self.rng.below(5) {
            0 => KeyOp::Del.on(stored),
            1 | 2 => SetOp::Store { how, sources: vec![set, format!("from{tag}").into()] }.on(stored),
            3 => {
                let sources = vec![format!("zset{tag}").into(), set];
                let recipe =
                    Recipe { how: Combine::Union, sources, weights: vec![2.0, 1.0], aggregate: Aggregate::Sum };
                ZsetOp::CombineStore { recipe }.on(stored)
            }
            _ => self.set().on(String::from_utf8_lossy(&set).into_owned()),
        }
    }

    /// Under a prefix where removes win; `key` is the prefix and the tag.
    fn gone(&mut self, key: &str) -> Op {
        let (prefix, tag) = key.split_at(REMOVES_WIN.len());
        match self.rng.below(7) {
            0 => KeyOp::Del.on(format!("{prefix}set{tag}")),
            1 => KeyOp::Del.on(format!("{prefix}hash{tag}")),
            2 => HashOp::Set { fields: vec![(self.field(), self.value())] }.on(format!("{prefix}hash{tag}")),
            3 => HashOp::Del { fields: vec![self.field()] }.on(format!("{prefix}hash{tag}")),
            _ => self.set().on(format!("{prefix}set{tag}")),
        }
    }

    /// Keys of any type under other names; `tag` is all that is common to them.
    fn moved(&mut self, tag: &str) -> Op {
        let (from, into) = (format!("from{tag}"), format!("into{tag}"));
        match self.rng.below(8) {
            0 | 1 => KeyOp::Rename { to: into.into(), nx: false }.on(from),
            2 => KeyOp::Copy { to: into.into(), replace: true }.on(from),
            3 => KeyOp::Del.on(into),
            4 => self.list(&from).on(from),
            5 => self.set().on(from),
            6 => ZsetOp::Add { pairs: vec![(Score(3.0), "m".into())], condition: AddIf::default(), changed: false }
                .on(from),
            _ => text_set(self.value(), SetExpiry::Clear, SetIf::Always).on(from),
        }
    }

    fn set(&mut self) -> SetOp {
        let member = Bytes::from_static(self.rng.pick(&["m1", "m2", "m3", "m4"]).as_bytes());
        match self.rng.below(6) {
            5 => SetOp::Pop { count: None },
            0 | 1 => SetOp::Rem { members: vec![member] },
            2 => SetOp::Add { members: vec![member, "m1".into()] },
            _ => SetOp::Add { members: vec![member] },
        }
    }
}

fn text_set(value: Bytes, expiry: SetExpiry, condition: SetIf) -> TextOp {
    TextOp::Set { value, expiry, condition, get: false }
}
