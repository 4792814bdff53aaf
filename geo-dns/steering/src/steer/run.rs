//! Picks the members of an answer: a prepared chain and what is known of a client go in, the members to name come out, best first,
//! with the ground on which they were picked and for how long that holds. What would have to be known of the client, and is not,
//! comes out as a question.
//!
//! ```text
//! of each tier: those that serve, as shares, spill and trickle allow ─▸ shares or not ─▸ those that stand by, likewise
//!       ─▸ the pool it falls back to, if anybody serves there
//!       ─▸ those that only this server doubts ─▸ all of them (fail open) or none (fail closed)
//! ```
//!
//! The first of these that finds anybody is the answer: neither a share nor a weight ever empties one.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use model::{AllDown, NameTtl};

use crate::rr::Rtype;

use super::{
    Chain, Member, Prepared, Share,
    chain::{Rest, Stage},
    prepare::Ordered,
    sticky::Buckets,
};

/// Of how many ways to draw members the answers are kept apart. Of those that are left then, the next one in the circle follows.
const DRAWS_MAX: usize = 4096;

/// Whom to name, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Walk {
    /// Indices of the members to name, best first.
    pub(crate) chosen: Vec<usize>,
    pub(crate) basis: Basis,
    pub(crate) ttl: Ttl,
}

/// On which ground an answer names its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// Those that the policy puts first.
    FirstChoice,
    /// Better placed ones were passed over: they do not serve, or only others.
    NextChoice,
    /// A better placed one is loaded, and this client is one of those that are sent elsewhere.
    Spilled,
    /// The client is one of those that are always sent to the members that stand by.
    Trickled,
    /// None of the others serves: those that stand by for them.
    Standby,
    /// None inside of the fence serves, and it is open.
    OutsideFence,
    /// None of the pool serves: those of the pool that it falls back to.
    Fallback,
    /// All healthy ones had been demoted locally, which never empties an answer: those the Plan lets serve.
    DemotionIgnored,
    /// So few serve that health is not believed, and the pool fails open: all of them.
    Panic,
    /// All are down, and the pool fails open: all of them.
    FailOpen,
    /// All are down (or so few serve that it counts as that), and the pool fails closed: none.
    FailClosed,
    /// A fence that is closed leaves none of the members.
    ClosedFence,
    /// There are none with an address of this family.
    NoMembers,
}

impl Basis {
    /// All of them, for tables of counters.
    pub const ALL: [Self; 13] = [
        Self::FirstChoice,
        Self::NextChoice,
        Self::Spilled,
        Self::Trickled,
        Self::Standby,
        Self::OutsideFence,
        Self::Fallback,
        Self::DemotionIgnored,
        Self::Panic,
        Self::FailOpen,
        Self::FailClosed,
        Self::ClosedFence,
        Self::NoMembers,
    ];

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstChoice => "first_choice",
            Self::NextChoice => "next_choice",
            Self::Spilled => "spilled",
            Self::Trickled => "trickled",
            Self::Standby => "standby",
            Self::OutsideFence => "outside_fence",
            Self::Fallback => "fallback",
            Self::DemotionIgnored => "demotion_ignored",
            Self::Panic => "panic",
            Self::FailOpen => "fail_open",
            Self::FailClosed => "fail_closed",
            Self::ClosedFence => "closed_fence",
            Self::NoMembers => "no_members",
        }
    }

    /// Whether an answer says so, in an extended error.
    pub(crate) fn is_told(self) -> bool {
        self >= Self::Fallback
    }

    /// Whether members are named that are taken to serve.
    pub(crate) fn serves(self) -> bool {
        self < Self::DemotionIgnored
    }
}

/// A TTL and what set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ttl {
    /// Seconds.
    pub(crate) seconds: u32,
    pub(crate) limit: Limit,
}

/// What set a TTL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// The earliest moment at which a member that was looked at could change.
    Physics,
    /// Physics would allow less, the name's minimum does not.
    NameMin,
    /// Physics would allow more (or never changes by itself), the name's maximum does not.
    NameMax,
}

/// What has to be known of a client, or of the query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// Is the client in this share? 1 if it is.
    In(Share),
    /// In which bucket of this seed is it?
    Bucket(u64),
    /// Which of these members is drawn, each with its weight? `salt` makes the draws of one answer independent.
    Draw { salt: u32, among: Vec<(usize, u32)> },
}

/// Knows answers, or says which question it has none to.
pub(crate) trait Oracle {
    fn ask(&self, question: &Question) -> Result<u32, Unknown>;
}

/// What a run cannot go on without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown(pub(crate) Question);

/// Orders of buckets by members that were among them: they take a while.
type BucketOrders = HashMap<(u64, Vec<usize>), Rc<Vec<Vec<usize>>>>;

/// Runs chains for one type of record.
pub(crate) struct Runner<'m> {
    pub(crate) members: &'m [Member],
    pub(crate) rtype: Rtype,
    pub(crate) ttl: NameTtl,
    /// How many members an answer names.
    pub(crate) take: usize,
    orders: RefCell<BucketOrders>,
}

/// Who has been picked so far, before the clamping of TTLs.
struct Picked {
    chosen: Vec<usize>,
    basis: Basis,
    /// The soonest in which anybody who was looked at could change, milliseconds.
    steady_ms: Option<u64>,
}

/// One look at a group of members.
struct Pass<'p> {
    stage: &'p Stage,
    ordered: &'p Ordered,
    /// Whether shares count.
    shares: bool,
    take: usize,
}

/// What a look found.
#[derive(Default)]
struct Found {
    chosen: Vec<usize>,
    spilled: bool,
    passed_over: bool,
}

type MayBeNamed = fn(&Member) -> bool;

/// Who may be named of a tier, from the first resort to the last, and whether shares count.
const PASSES: [(bool, bool, MayBeNamed); 4] = [
    (false, true, |m| m.standing.healthy() && !m.stands_by),
    (false, false, |m| m.standing.takes_others() && !m.stands_by),
    (true, true, |m| m.standing.healthy() && m.stands_by),
    (true, false, |m| m.standing.takes_others() && m.stands_by),
];

/// Who may be named when a demotion would empty the answer.
const DOUBTED: [MayBeNamed; 2] = [|m| m.standing.serves() && !m.stands_by, |m| m.standing.serves()];

impl<'m> Runner<'m> {
    pub(crate) fn new(members: &'m [Member], rtype: Rtype, ttl: NameTtl, take: usize) -> Self {
        Self { members, rtype, ttl, take: take.max(1), orders: RefCell::default() }
    }

    /// Runs a chain, as far as the oracle knows.
    pub(crate) fn run(&self, chain: &Chain, prepared: &Prepared, oracle: &dyn Oracle) -> Result<Walk, Unknown> {
        let mut picked = self.pick(chain, prepared, oracle)?;
        picked.chosen.truncate(self.take);
        Ok(Walk { chosen: picked.chosen, basis: picked.basis, ttl: clamp(picked.steady_ms, self.ttl) })
    }

    fn present(&self, i: usize) -> bool {
        self.members[i].has(self.rtype)
    }

    fn pick(&self, chain: &Chain, prepared: &Prepared, oracle: &dyn Oracle) -> Result<Picked, Unknown> {
        let present: Vec<usize> = chain.members.clone().filter(|i| self.present(*i)).collect();
        let steady_ms = present.iter().filter_map(|i| self.members[*i].steady_ms).min();
        let none = |basis| Ok(Picked { chosen: Vec::new(), basis, steady_ms });
        if present.is_empty() {
            return none(Basis::NoMembers);
        }
        let serving = present.iter().filter(|i| self.members[**i].standing.takes_others()).count();
        let panics = serving < chain.panic_below && serving > 0;
        if !panics && let Some(picked) = self.pick_serving(chain, prepared, steady_ms, oracle)? {
            return Ok(picked);
        }
        if let Some((next, prepared)) = chain.fallback.as_ref().zip(prepared.fallback.as_ref()) {
            let picked = self.pick(next, prepared, oracle)?;
            if picked.basis.serves() {
                let steady_ms = [steady_ms, picked.steady_ms].into_iter().flatten().min();
                return Ok(Picked { basis: Basis::Fallback, steady_ms, ..picked });
            }
        }
        let tiers: Vec<Ordered> = self.tiers(prepared).collect();
        if tiers.is_empty() {
            return none(Basis::ClosedFence);
        }
        let (Some(stage), false) = (chain.stages.first(), panics && chain.all_down == AllDown::FailClosed) else {
            return none(Basis::FailClosed);
        };
        // Each group with whom nothing is left but to name them; the last one is everybody.
        let doubted = DOUBTED.iter().filter(|_| !panics).map(|may| (Basis::DemotionIgnored, *may));
        let everybody: (Basis, MayBeNamed) = (if panics { Basis::Panic } else { Basis::FailOpen }, |_| true);
        let open = (chain.all_down == AllDown::FailOpen).then_some(everybody);
        for (basis, may) in doubted.chain(open) {
            let mut chosen = Vec::new();
            for ordered in &tiers {
                let pass = Pass { stage, ordered, shares: false, take: self.first_take(stage) };
                chosen.extend(self.look(chain, &pass, may, oracle)?.chosen);
            }
            if !chosen.is_empty() {
                chosen.truncate(self.first_take(stage));
                let chosen = self.later_stages(chain, prepared, chosen, oracle)?;
                return Ok(Picked { chosen, basis, steady_ms });
            }
        }
        none(Basis::FailClosed)
    }

    /// How many the first stage leaves: never fewer than one.
    fn first_take(&self, stage: &Stage) -> usize {
        stage.take.unwrap_or(self.take)
    }

    /// The order of the first stage, tier by tier.
    fn tiers<'p>(&'p self, prepared: &'p Prepared) -> impl Iterator<Item = Ordered> + 'p {
        let order = prepared.orders.first();
        prepared.tiers.iter().filter_map(move |tier| {
            let only = |list: &[usize]| list.iter().copied().filter(|i| tier.contains(i) && self.present(*i)).collect();
            let order = order?;
            let ordered = Ordered { first: only(&order.first), rest: only(&order.rest) };
            if ordered.first.is_empty() && ordered.rest.is_empty() { None } else { Some(ordered) }
        })
    }

    /// Members that serve, if there are any.
    fn pick_serving(
        &self,
        chain: &Chain,
        prepared: &Prepared,
        steady_ms: Option<u64>,
        oracle: &dyn Oracle,
    ) -> Result<Option<Picked>, Unknown> {
        let Some(stage) = chain.stages.first() else { return Ok(None) };
        let take = self.first_take(stage);
        if let Some(chosen) = self.trickle(chain, prepared, take, oracle)? {
            let chosen = self.later_stages(chain, prepared, chosen, oracle)?;
            return Ok(Some(Picked { chosen, basis: Basis::Trickled, steady_ms }));
        }
        for (tier, ordered) in self.tiers(prepared).enumerate() {
            for (at, (stands_by, shares, may)) in PASSES.into_iter().enumerate() {
                let pass = Pass { stage, ordered: &ordered, shares, take };
                let found = self.look(chain, &pass, may, oracle)?;
                let Some(last) = found.chosen.last().copied() else { continue };
                let basis = match (tier, stands_by) {
                    (1.., _) => Basis::OutsideFence,
                    (_, true) => Basis::Standby,
                    _ if found.spilled => Basis::Spilled,
                    _ if found.passed_over => Basis::NextChoice,
                    _ => Basis::FirstChoice,
                };
                // A walk ends as soon as it has enough; whoever stands behind cannot change the answer and is not consulted.
                let ends = (tier, at) == (0, 0) && found.chosen.len() == take && stage.rest.is_fixed();
                let steady_ms = match ends {
                    true => {
                        let consulted = ordered.iter().position(|i| i == last).map_or(usize::MAX, |place| place + 1);
                        let consulted = ordered.iter().take(consulted);
                        consulted.filter_map(|i| self.members[i].steady_ms).min()
                    }
                    false => steady_ms,
                };
                let chosen = self.later_stages(chain, prepared, found.chosen, oracle)?;
                return Ok(Some(Picked { chosen, basis, steady_ms }));
            }
        }
        Ok(None)
    }

    /// The members that the client is always sent to, if it is one of those.
    fn trickle(
        &self,
        chain: &Chain,
        prepared: &Prepared,
        take: usize,
        oracle: &dyn Oracle,
    ) -> Result<Option<Vec<usize>>, Unknown> {
        let Some(trickle) = &chain.trickle else { return Ok(None) };
        let inside = |i: &usize| prepared.tiers.first().is_some_and(|tier| tier.contains(i));
        let may = |i: &usize| self.present(*i) && inside(i) && self.members[*i].standing.takes_others();
        let mut chosen: Vec<usize> = trickle.to.iter().copied().filter(may).collect();
        if chosen.is_empty() || !self.is_in(trickle.share, oracle)? {
            return Ok(None);
        }
        let mut sent = Vec::new();
        for i in chosen.drain(..) {
            if self.is_in(self.members[i].share, oracle)? {
                sent.push(i);
            }
        }
        sent.truncate(take);
        Ok(Some(sent).filter(|sent| !sent.is_empty()))
    }

    /// The same, and whether anybody who is better placed was passed over.
    fn look(&self, chain: &Chain, pass: &Pass<'_>, may: MayBeNamed, oracle: &dyn Oracle) -> Result<Found, Unknown> {
        let mut found = self.look_for(chain, pass, may, oracle)?;
        let Some(best) = found.chosen.first().copied() else { return Ok(found) };
        // Of an order that is drawn, or is another one for each client, only what a map says is known to be better placed.
        let is_fixed = pass.stage.rest.is_fixed() || pass.ordered.first.contains(&best);
        let rest = if is_fixed { pass.ordered.rest.as_slice() } else { &[] };
        let before = pass.ordered.first.iter().chain(rest).take_while(|i| **i != best);
        found.passed_over |= before.into_iter().any(|i| !self.members[*i].stands_by);
        Ok(found)
    }

    /// Those of an order who may be named, until there are enough.
    fn look_for(&self, chain: &Chain, pass: &Pass<'_>, may: MayBeNamed, oracle: &dyn Oracle) -> Result<Found, Unknown> {
        let mut found = Found::default();
        let may = |i: &usize| may(&self.members[*i]);
        for &i in pass.ordered.first.iter().filter(|i| may(i)) {
            self.consider(chain, pass, i, &mut found, oracle)?;
            if found.chosen.len() == pass.take {
                return Ok(found);
            }
        }
        if found.chosen.len() == pass.take {
            return Ok(found);
        }
        let rest: Vec<usize> = pass.ordered.rest.iter().copied().filter(may).collect();
        match &pass.stage.rest {
            Rest::Drawn(weights) => self.draw(
                rest,
                weights,
                0,
                |i| {
                    self.consider(chain, pass, i, &mut found, oracle)?;
                    Ok(found.chosen.len() == pass.take)
                },
                oracle,
            )?,
            rule => {
                let rest = match rule {
                    Rest::Sticky(buckets) => self.bucket_order(buckets, rest, oracle)?,
                    _ => rest,
                };
                for i in rest {
                    self.consider(chain, pass, i, &mut found, oracle)?;
                    if found.chosen.len() == pass.take {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    /// Takes a member, unless this client is none of those that it is sent.
    fn consider(
        &self,
        chain: &Chain,
        pass: &Pass<'_>,
        i: usize,
        found: &mut Found,
        oracle: &dyn Oracle,
    ) -> Result<(), Unknown> {
        if pass.shares {
            if !self.is_in(self.members[i].share, oracle)? {
                found.passed_over |= found.chosen.is_empty();
                return Ok(());
            }
            if let Some(kept) = chain.spill.get(&i)
                && !self.is_in(*kept, oracle)?
            {
                found.spilled |= found.chosen.is_empty();
                return Ok(());
            }
        }
        found.chosen.push(i);
        Ok(())
    }

    fn is_in(&self, share: Share, oracle: &dyn Oracle) -> Result<bool, Unknown> {
        match share.permille() {
            0 => Ok(false),
            _ if share.is_whole() => Ok(true),
            _ => Ok(oracle.ask(&Question::In(share))? != 0),
        }
    }

    /// Draws members one after the other until `enough` of them were drawn.
    fn draw(
        &self,
        mut left: Vec<usize>,
        weights: &BTreeMap<usize, u32>,
        salt: u32,
        mut enough: impl FnMut(usize) -> Result<bool, Unknown>,
        oracle: &dyn Oracle,
    ) -> Result<(), Unknown> {
        let weight = |i: &usize| weights.get(i).copied().unwrap_or_default();
        let (mut ways, mut last) = (1, 0);
        for drawn in 0.. {
            let among: Vec<(usize, u32)> =
                left.iter().map(|i| (*i, weight(i))).filter(|(_, weight)| *weight > 0).collect();
            ways *= among.len().max(1);
            let at = match among.len() {
                // Those of weight 0 come last, as they stand.
                0 if left.is_empty() => return Ok(()),
                0 => 0,
                1 => left.iter().position(|i| *i == among[0].0).unwrap_or_default(),
                _ if ways <= DRAWS_MAX => {
                    let question = Question::Draw { salt: salt + drawn, among };
                    let drawn = oracle.ask(&question)? as usize;
                    let Question::Draw { among, .. } = question else { return Ok(()) };
                    let drawn = among.get(drawn).map(|(i, _)| *i);
                    left.iter().position(|i| Some(*i) == drawn).unwrap_or_default()
                }
                _ => last % left.len(),
            };
            last = at;
            if enough(left.remove(at))? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn bucket_order(&self, buckets: &Buckets, among: Vec<usize>, oracle: &dyn Oracle) -> Result<Vec<usize>, Unknown> {
        if among.len() < 2 {
            return Ok(among);
        }
        let bucket = oracle.ask(&Question::Bucket(buckets.seed()))? as usize;
        let key = (buckets.seed(), among);
        let known = self.orders.borrow().get(&key).cloned();
        let orders = known.unwrap_or_else(|| {
            let orders = Rc::new(buckets.orders(&key.1));
            self.orders.borrow_mut().insert(key, orders.clone());
            orders
        });
        Ok(orders.get(bucket).cloned().unwrap_or_default())
    }

    /// Reorders and cuts those that were taken.
    fn later_stages(
        &self,
        chain: &Chain,
        prepared: &Prepared,
        mut chosen: Vec<usize>,
        oracle: &dyn Oracle,
    ) -> Result<Vec<usize>, Unknown> {
        for (at, stage) in chain.stages.iter().enumerate().skip(1) {
            let take = stage.take.unwrap_or(self.take);
            let Some(order) = prepared.orders.get(at) else { continue };
            let mut next: Vec<usize> = order.first.iter().copied().filter(|i| chosen.contains(i)).collect();
            let rest: Vec<usize> = match &stage.rest {
                Rest::AsTheyStand | Rest::Drawn(_) | Rest::Sticky(_) => {
                    chosen.iter().copied().filter(|i| !next.contains(i)).collect()
                }
                _ => order.rest.iter().copied().filter(|i| chosen.contains(i)).collect(),
            };
            match &stage.rest {
                Rest::Drawn(weights) if next.len() < take => {
                    self.draw(
                        rest,
                        weights,
                        at as u32 * 100,
                        |i| {
                            next.push(i);
                            Ok(next.len() >= take)
                        },
                        oracle,
                    )?;
                }
                Rest::Sticky(buckets) => next.extend(self.bucket_order(buckets, rest, oracle)?),
                _ => next.extend(rest),
            }
            next.truncate(take);
            chosen = next;
        }
        Ok(chosen)
    }
}

impl Rest {
    /// Whether the order is the same for all clients of a place.
    pub(crate) fn is_fixed(&self) -> bool {
        !matches!(self, Self::Drawn(_) | Self::Sticky(_))
    }
}

/// Whole seconds, rounded up, inside the name's limits.
fn clamp(steady_ms: Option<u64>, limits: NameTtl) -> Ttl {
    let physics = steady_ms.map(|ms| u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1));
    match physics {
        Some(seconds) if seconds < limits.min => Ttl { seconds: limits.min, limit: Limit::NameMin },
        Some(seconds) if seconds <= limits.max => Ttl { seconds, limit: Limit::Physics },
        _ => Ttl { seconds: limits.max.max(limits.min), limit: Limit::NameMax },
    }
}
