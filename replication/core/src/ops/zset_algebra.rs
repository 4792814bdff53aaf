//! ZUNION, ZINTER and ZDIFF: one function for sets that lie side by side in a partition and for copies of sets that came from
//! several. Scores are added up as floats, from the smallest set to the largest, as Redis does it.

use std::cmp::Ordering;

use bytes::Bytes;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::sides::{Side, difference};
use super::zset_range::copied;
use super::{Answer, Scene, SizeLimit, at_most};
use crate::delta::{Part, Score, Value};
use crate::types::Kind;
use crate::{Aggregate, Combine, OpError, Recipe, Reply};

impl Aggregate {
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum => number(one + other),
            Self::Min => {
                if other < one {
                    other
                } else {
                    one
                }
            }
            Self::Max => {
                if other > one {
                    other
                } else {
                    one
                }
            }
        }
    }
}

/// What infinities make of each other counts as nothing, as in Redis.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What `recipe` makes of its sources, in order.
fn mixed(recipe: &Recipe, sides: &[Side<'_>]) -> Vec<(Bytes, Score)> {
    let weight = |at: usize| recipe.weights.get(at).copied().unwrap_or(1.0);
    let mut inputs: Vec<(&Side<'_>, f64)> = sides.iter().enumerate().map(|(at, side)| (side, weight(at))).collect();
    let mut rows: Vec<(Bytes, Score)> = match recipe.how {
        Combine::Diff => difference(sides).map(copied).collect(),
        Combine::Inter => {
            inputs.sort_by_key(|(side, _)| side.len());
            intersection(&inputs, recipe.aggregate).map(copied).collect()
        }
        Combine::Union => {
            inputs.sort_by_key(|(side, _)| side.len());
            union(&inputs, recipe.aggregate).into_iter().map(copied).collect()
        }
    };
    rows.sort_unstable_by(|a, b| a.1.0.partial_cmp(&b.1.0).unwrap_or(Ordering::Equal).then_with(|| a.0.cmp(&b.0)));
    rows
}

/// `inputs` begin with the smallest one: the cost follows it.
fn intersection<'s>(inputs: &'s [(&'s Side<'s>, f64)], aggregate: Aggregate) -> impl Iterator<Item = (&'s [u8], f64)> {
    let (first, others) = inputs.split_at(inputs.len().min(1));
    let rows = first.iter().flat_map(|(side, weight)| side.rows().map(move |row| (row.0, number(row.1 * weight))));
    rows.filter_map(move |(member, score)| {
        let add = |sum, (side, weight): &(&Side<'_>, f64)| Some(aggregate.of(sum, side.score(member)? * weight));
        others.iter().try_fold(score, add).map(|score| (member, score))
    })
}

fn union<'s>(inputs: &'s [(&'s Side<'s>, f64)], aggregate: Aggregate) -> HashMap<&'s [u8], f64> {
    let mut sums: HashMap<&[u8], f64> = HashMap::with_capacity(inputs.last().map_or(0, |(side, _)| side.len()));
    for (side, weight) in inputs {
        for (member, score) in side.rows() {
            let score = number(score * weight);
            sums.entry(member).and_modify(|sum| *sum = aggregate.of(*sum, score)).or_insert(score);
        }
    }
    sums
}

/// What `recipe` makes of copies of its sources, in their order.
pub fn combine_scores(recipe: &Recipe, sources: &[Vec<(Bytes, Score)>]) -> Vec<(Bytes, Score)> {
    mixed(recipe, &sources.iter().map(|rows| Side::copy_of_rows(rows)).collect::<Vec<_>>())
}

fn sides<'a>(scene: &Scene<'a>, sources: &[Bytes]) -> Result<Vec<Side<'a>>, OpError> {
    sources.iter().map(|key| Side::look(scene, key)).collect()
}

pub(super) fn rows(scene: &Scene<'_>) -> Answer {
    let side = Side::look(scene, &scene.plan.key)?;
    Ok(Reply::Scored(side.rows().map(copied).collect()))
}

pub(super) fn combine(scene: &Scene<'_>, recipe: &Recipe) -> Answer {
    Ok(Reply::Scored(mixed(recipe, &sides(scene, &recipe.sources)?)))
}

pub(super) fn inter_card(scene: &Scene<'_>, sources: &[Bytes], limit: u64) -> Answer {
    let sides = sides(scene, sources)?;
    let mut inputs: Vec<(&Side<'_>, f64)> = sides.iter().map(|side| (side, 1.0)).collect();
    inputs.sort_by_key(|(side, _)| side.len());
    Ok(Reply::Int(intersection(&inputs, Aggregate::Sum).take(at_most(limit)).count() as i64))
}

pub(super) fn store(scene: &mut Scene<'_>, recipe: &Recipe) -> Answer {
    let rows = mixed(recipe, &sides(scene, &recipe.sources)?);
    overwrite(scene, rows)
}

/// Puts `rows` in the place of whatever is held of the key in hand; without any, the key is removed. Answers how many there are.
pub(super) fn overwrite(scene: &mut Scene<'_>, rows: Vec<(Bytes, Score)>) -> Answer {
    let mut size = SizeLimit::default();
    rows.iter().try_for_each(|(member, _)| size.add(member.len()))?;
    if rows.is_empty() {
        if scene.view.present() != Kind::None {
            scene.drop_key();
        }
        return Ok(Reply::Int(0));
    }
    scene.plan.clear_key(scene.body);
    let count = rows.len();
    for (member, Score(score)) in rows {
        let score = Score(score + 0.0); // no score is minus zero
        scene.plan.put(Part::Rated(member), SmallVec::new(), Value::Score(score));
    }
    Ok(Reply::Int(count as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(Bytes, Score)> {
        let row = |word: &str| {
            let (member, score) = word.split_once('=').unwrap_or((word, "1"));
            (Bytes::from(member.to_owned()), Score(score.parse().unwrap()))
        };
        text.split_whitespace().map(row).collect()
    }

    #[track_caller]
    fn check(how: Combine, aggregate: Aggregate, weights: &[f64], sources: &[&str], expected: &str) {
        let recipe = Recipe { how, sources: Vec::new(), weights: weights.to_vec(), aggregate };
        let sources: Vec<_> = sources.iter().map(|text| rows(text)).collect();
        assert_eq!(combine_scores(&recipe, &sources), rows(expected), "{how:?}");
    }

    #[test]
    fn copies_are_combined() {
        use Aggregate::{Max, Min, Sum};
        use Combine::{Diff, Inter, Union};
        check(Union, Sum, &[], &["a=1 b=2", "", "b=3 c=0"], "c=0 a=1 b=5");
        check(Union, Max, &[2.0, 1.0], &["a=1 b=2", "b=3 c=0"], "c=0 a=2 b=4");
        check(Union, Min, &[], &["a=1 b=2", "b=-3"], "b=-3 a=1");
        check(Inter, Sum, &[2.0, 3.0], &["a=1 b=2 c=9", "b=3 a=1"], "a=5 b=13");
        check(Inter, Sum, &[], &["a=1", ""], "");
        check(Inter, Max, &[], &["a=1 b=7"], "a=1 b=7");
        check(Diff, Sum, &[], &["a=1 b=2 c=3", "b", "c=9 x"], "a=1");
        check(Diff, Sum, &[], &["", "b"], "");
        check(Union, Sum, &[], &[], "");
        check(Union, Sum, &[], &["a=inf", "a=-inf"], "a=0");
        check(Union, Sum, &[0.0], &["a=inf"], "a=0");
        check(Union, Sum, &[], &["a=1 b=1", "b=1 a=1"], "a=2 b=2");
    }
}
