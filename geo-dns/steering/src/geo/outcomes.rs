//! What each place leads to, and the widest networks in which everybody is led to the same.
//!
//! Made once per policy when a View is compiled. Beside the outcome of each place it knows which blocks of ranges have a single
//! one, so that widening jumps over them: however far a network reaches, a widening looks at the rest of two blocks on each side.
//! That takes 4 bytes for 16 ranges of the country table, where a trie of outcomes of its own would take as much as the ranges do.

use std::{collections::HashMap, sync::Arc};

use super::{
    Geo,
    cursor::{Alike, Tiles},
    place::PlaceId,
};

/// No outcome of a place: of a block with several of them, and of space that is looked up elsewhere.
const MIXED: u32 = u32::MAX;

/// What each place leads to. What an outcome means is the user's.
#[derive(Debug)]
pub(crate) struct Outcomes {
    of_place: Box<[u32]>,
    pub(super) v4: Runs,
    pub(super) v6: Runs,
}

impl Outcomes {
    /// `of_place` has an outcome for each place that the ranges name.
    pub(super) fn new(of_place: Box<[u32]>, v4: Tiles<'_>, v6: Tiles<'_>) -> Self {
        let (v4, v6) = (Runs::new(&of_place, v4), Runs::new(&of_place, v6));
        Self { of_place, v4, v6 }
    }

    /// The outcome of a place. An address among those that are looked up by what is inside of them, with nothing inside, is nowhere.
    pub(crate) fn of(&self, place: PlaceId) -> u32 {
        of(&self.of_place, if place == PlaceId::FOLDED { PlaceId::NOWHERE } else { place })
    }

    /// What is alike to whoever widens around a place.
    pub(super) fn around<'o>(&'o self, place: PlaceId, runs: &'o Runs) -> SameOutcome<'o> {
        SameOutcome { of_place: &self.of_place, runs, own: self.of(place) }
    }

    /// How many bytes it takes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let of = |runs: &Runs| size_of_val(&*runs.of_block) + size_of_val(&*runs.runs);
        size_of_val(&*self.of_place) + of(&self.v4) + of(&self.v6)
    }
}

/// Makes outcomes for the policies of a View. Which places lead to the same is often the same for many of them, and for A and
/// AAAA: then they share what is made.
pub(crate) struct SharedOutcomes<'g> {
    geo: &'g Geo,
    made: Vec<Arc<Outcomes>>,
}

impl<'g> SharedOutcomes<'g> {
    pub(crate) fn new(geo: &'g Geo) -> Self {
        Self { geo, made: Vec::new() }
    }

    pub(crate) fn geo(&self) -> &'g Geo {
        self.geo
    }

    /// Numbers what places lead to, `by_place`, in the order in which it comes; gives the outcomes and what they stand for. None
    /// if all places lead to the same.
    pub(crate) fn get(&mut self, by_place: &[u32]) -> (Option<Arc<Outcomes>>, Box<[u32]>) {
        let (mut numbers, mut meanings) = (HashMap::new(), Vec::new());
        let of_place: Box<[u32]> = by_place
            .iter()
            .map(|&meaning| {
                *numbers.entry(meaning).or_insert_with(|| {
                    meanings.push(meaning);
                    meanings.len() as u32 - 1
                })
            })
            .collect();
        if meanings.len() <= 1 {
            return (None, meanings.into());
        }
        let known = self.made.iter().find(|made| made.of_place == of_place).cloned();
        let outcomes = known.unwrap_or_else(|| {
            let made = Arc::new(self.geo.outcomes(of_place));
            self.made.push(made.clone());
            made
        });
        (Some(outcomes), meanings.into())
    }
}

fn of(of_place: &[u32], place: PlaceId) -> u32 {
    if place == PlaceId::FOLDED { MIXED } else { of_place.get(place.index()).copied().unwrap_or(MIXED) }
}

/// Neighbouring blocks with one outcome.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: u32,
    last: u32,
    outcome: u32,
}

/// The runs of one family.
#[derive(Debug)]
pub(super) struct Runs {
    /// The run that each block is part of; [`MIXED`] if it has several outcomes.
    of_block: Box<[u32]>,
    runs: Box<[Run]>,
}

impl Runs {
    fn new(of_place: &[u32], tiles: Tiles<'_>) -> Self {
        let (mut of_block, mut runs) = (Vec::with_capacity(tiles.blocks()), Vec::<Run>::new());
        let mut last_place = (PlaceId::NOWHERE, of(of_place, PlaceId::NOWHERE));
        tiles.for_each_block(|block| {
            let mut outcomes = block.iter().map(|&(_, place)| {
                if place != last_place.0 {
                    last_place = (place, of(of_place, place));
                }
                last_place.1
            });
            let outcome = outcomes.next().unwrap_or(MIXED);
            let uniform = outcome != MIXED && outcomes.all(|other| other == outcome);
            let number = of_block.len() as u32;
            if !uniform {
                of_block.push(MIXED);
                return;
            }
            match runs.last_mut() {
                Some(run) if run.last + 1 == number && run.outcome == outcome => run.last = number,
                _ => runs.push(Run { first: number, last: number, outcome }),
            }
            of_block.push(runs.len() as u32 - 1);
        });
        Self { of_block: of_block.into(), runs: runs.into() }
    }

    fn of(&self, block: usize) -> Option<Run> {
        self.runs.get(*self.of_block.get(block)? as usize).copied()
    }
}

/// Places with one outcome are alike.
pub(super) struct SameOutcome<'o> {
    of_place: &'o [u32],
    runs: &'o Runs,
    own: u32,
}

impl Alike for SameOutcome<'_> {
    fn is_alike(&self, place: PlaceId) -> bool {
        self.own != MIXED && of(self.of_place, place) == self.own
    }

    fn alike_blocks(&self, block: usize) -> Option<(usize, usize)> {
        let run = self.runs.of(block).filter(|run| run.outcome == self.own)?;
        Some((run.first as usize, run.last as usize))
    }

    fn steps(&self) -> usize {
        // It ends by itself: no block beside the first one is walked to its end, unless the keys end there.
        usize::MAX
    }
}
