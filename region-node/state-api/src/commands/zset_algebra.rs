//! Union, intersection and difference of sorted sets, and of sets, whose members count as scored 1.
//!
//! Sets of one partition are combined there, at one moment; sets of several are read one after the other and combined here. What is
//! stored, is stored beside its sources: those commands keep to one partition.

use bytes::Bytes;
use replication_core::{Aggregate, Combine, KeyOp, OpError, Recipe, Reply, Score, ZsetOp, combine_scores};

use super::{
    set_algebra,
    zsets::{READ, SORTED_SET},
};
use crate::{
    call::{Answer, Call, Refusal},
    key_specs::KeySpec,
    resp::parse_f64,
    table::{Command, Keys, flag::*},
};

const UNION_COST: &str = "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number \
                          of elements in the resulting sorted set.";
const INTER_COST: &str = "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of \
                          input sorted sets and M being the number of elements in the resulting sorted set.";
const DIFF_COST: &str = "O(N*K)+O(M*log(M)) worst case with N being the first sorted set, K being the number of input sorted \
                         sets and M being the number of elements in the resulting sorted set.";
const WEIGHED: &str = "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]";
const STORED: &str = "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX]";

pub(super) const COMMANDS: &[Command] = &[
    reading("zunion", |call| read(call, Combine::Union))
        .about("6.2.0", "Add multiple sorted sets")
        .complexity(UNION_COST)
        .usage(WEIGHED),
    reading("zinter", |call| read(call, Combine::Inter))
        .about("6.2.0", "Intersect multiple sorted sets")
        .complexity(INTER_COST)
        .usage(WEIGHED),
    reading("zdiff", |call| read(call, Combine::Diff))
        .about("6.2.0", "Subtract multiple sorted sets")
        .complexity(DIFF_COST)
        .usage("numkeys key [key ...] [WITHSCORES]"),
    reading("zintercard", inter_card)
        .about("7.0.0", "Intersect multiple sorted sets and return the cardinality of the result")
        .complexity(
            "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
        )
        .usage("numkeys key [key ...] [LIMIT limit]"),
    storing("zunionstore", |call| store(call, Combine::Union))
        .about("2.0.0", "Add multiple sorted sets and store the resulting sorted set in a new key")
        .complexity(UNION_COST)
        .usage(STORED),
    storing("zinterstore", |call| store(call, Combine::Inter))
        .about("2.0.0", "Intersect multiple sorted sets and store the resulting sorted set in a new key")
        .complexity(INTER_COST)
        .usage(STORED),
    storing("zdiffstore", |call| store(call, Combine::Diff))
        .about("6.2.0", "Subtract multiple sorted sets and store the resulting sorted set in a new key")
        .complexity(DIFF_COST)
        .usage("destination numkeys key [key ...]"),
];

const fn reading(name: &'static str, handler: crate::table::Handler) -> Command {
    Command::new(name, -3, READONLY, "sorted-set", handler).keys(Keys::counted(1, READ)).categories(SORTED_SET)
}

const DESTINATION_AND_SOURCES: &[KeySpec] = &[KeySpec::at(1, &["OW", "update"]), KeySpec::counted(2, READ)];

const fn storing(name: &'static str, handler: crate::table::Handler) -> Command {
    Command::new(name, -4, WRITE | DENYOOM, "sorted-set", handler)
        .keys(Keys::to_and_counted(2, READ))
        .specs(DESTINATION_AND_SOURCES)
        .categories(SORTED_SET)
}

/// The keys behind their count at `at`, and the options behind them.
fn counted<'a>(call: &Call<'a>, at: usize) -> Result<(&'a [Bytes], &'a [Bytes]), Refusal> {
    let count = call.int(at)?;
    if count < 1 {
        let name = call.command.name;
        return Err(Refusal(format!("ERR at least 1 input key is needed for '{name}' command").into()));
    }
    let behind = &call.args[at + 1..];
    let count = usize::try_from(count).ok().filter(|count| *count <= behind.len()).ok_or(Refusal::SYNTAX)?;
    Ok(behind.split_at(count))
}

/// What stands behind the keys of a combination.
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
}

impl Options {
    fn parse(mut rest: &[Bytes], keys: usize, how: Combine, storing: bool) -> Result<Self, Refusal> {
        let weighed = how != Combine::Diff;
        let mut options = Self { weights: Vec::new(), aggregate: Aggregate::Sum, with_scores: false };
        while let [name, after @ ..] = rest {
            rest = match name.to_ascii_lowercase().as_slice() {
                b"weights" if weighed && after.len() >= keys => {
                    let weight = |text: &Bytes| parse_f64(text).ok_or(Refusal::from("ERR weight value is not a float"));
                    options.weights = after[..keys].iter().map(weight).collect::<Result<_, _>>()?;
                    &after[keys..]
                }
                b"aggregate" if weighed && !after.is_empty() => {
                    options.aggregate = match after[0].to_ascii_lowercase().as_slice() {
                        b"sum" => Aggregate::Sum,
                        b"min" => Aggregate::Min,
                        b"max" => Aggregate::Max,
                        _ => return Err(Refusal::SYNTAX),
                    };
                    &after[1..]
                }
                b"withscores" if !storing => {
                    options.with_scores = true;
                    after
                }
                _ => return Err(Refusal::SYNTAX),
            };
        }
        Ok(options)
    }
}

/// Passes `parsed` on, but complains of keys of other types first, as Redis does.
fn types_first<T>(call: &mut Call<'_>, keys: &[Bytes], parsed: Result<T, Refusal>) -> Result<T, Refusal> {
    if parsed.is_err() {
        for key in keys {
            let kind = call.execute(&KeyOp::Type.on(key.clone()))?;
            if !matches!(kind, Reply::Status("none" | "set" | "zset")) {
                return Err(Refusal(OpError::WrongType.to_string().into()));
            }
        }
    }
    parsed
}

fn read(call: &mut Call<'_>, how: Combine) -> Answer {
    let (keys, rest) = counted(call, 1)?;
    let options = Options::parse(rest, keys.len(), how, false);
    let Options { weights, aggregate, with_scores } = types_first(call, keys, options)?;
    let recipe = Recipe { how, sources: keys.to_vec(), weights, aggregate };
    let rows = if call.same_partition().is_ok() {
        rows(call.execute(&ZsetOp::Combine { recipe }.on(keys[0].clone()))?)
    } else {
        let copies = copies(call, keys)?;
        combine_scores(&recipe, &copies)
    };
    call.out.members(&rows, with_scores);
    Ok(())
}

fn rows(reply: Reply) -> Vec<(Bytes, Score)> {
    if let Reply::Scored(rows) = reply { rows } else { Vec::new() }
}

/// Copies of the sets of several partitions, as each of them is when its turn comes.
fn copies(call: &mut Call<'_>, keys: &[Bytes]) -> Result<Vec<Vec<(Bytes, Score)>>, Refusal> {
    keys.iter().map(|key| Ok(rows(call.execute(&ZsetOp::Rows.on(key.clone()))?))).collect()
}

fn inter_card(call: &mut Call<'_>) -> Answer {
    let (keys, rest) = counted(call, 1)?;
    let limit = types_first(call, keys, set_algebra::limit(rest))?;
    if call.same_partition().is_ok() {
        return call.answer(&ZsetOp::InterCard { sources: keys.to_vec(), limit }.on(keys[0].clone()));
    }
    let recipe =
        Recipe { how: Combine::Inter, sources: Vec::new(), weights: Vec::new(), aggregate: Aggregate::default() };
    let count = combine_scores(&recipe, &copies(call, keys)?).len();
    let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    call.out.count(count.min(limit));
    Ok(())
}

fn store(call: &mut Call<'_>, how: Combine) -> Answer {
    let (keys, rest) = counted(call, 2)?;
    call.same_partition()?;
    let options = Options::parse(rest, keys.len(), how, true);
    let Options { weights, aggregate, .. } = types_first(call, keys, options)?;
    let recipe = Recipe { how, sources: keys.to_vec(), weights, aggregate };
    call.answer(&ZsetOp::CombineStore { recipe }.on(call.key()))
}
