//! What the shop knows and does, without HTTP: visits, sessions and carts as a handful of Redis commands each.
//!
//! ```text
//! visits             counter   every page view anywhere
//! visits-by-region   hash      the same, by the region that served it
//! session:<id>       hash      user, region (where it began); 30 minutes from its last use
//! cart:<id>          hash      item → how many; lives as long as its session
//! ```

use std::collections::BTreeMap;

use redis::pipe;
use serde::Serialize;

use super::{
    session::{SessionId, TTL_SECONDS},
    store::{Store, StoreError},
};

const VISITS: &str = "visits";
const VISITS_BY_REGION: &str = "visits-by-region";
/// Longer names are cut.
const NAME_MAX_CHARS: usize = 40;
/// A session is touched again only after this part of its life, to spare a write with every page view.
const TOUCH_BELOW_SECONDS: i64 = TTL_SECONDS - 60;

/// What is on sale: its name in forms and in the cart, its name for people, its price in cents.
pub(super) const CATALOGUE: [(&str, &str, u32); 4] = [
    ("coconut", "Coconut", 250),
    ("hammock", "Hammock", 4_900),
    ("snorkel", "Snorkel", 1_800),
    ("canoe", "Outrigger canoe", 89_000),
];

pub(super) struct Shop {
    pub(super) store: Store,
    pub(super) region: String,
    pub(super) worker: String,
}

/// Everything that the page shows.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct State {
    pub(super) region: String,
    pub(super) worker: String,
    pub(super) visits: i64,
    pub(super) visits_by_region: BTreeMap<String, i64>,
    pub(super) session: Option<Session>,
    pub(super) cart: BTreeMap<String, i64>,
}

/// Who is logged in.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Session {
    pub(super) user: String,
    /// The region where the session began.
    pub(super) region: String,
}

/// A change to the cart.
#[derive(Debug, Clone, Copy)]
pub(super) enum CartChange {
    Add,
    Remove,
}

type Counts = BTreeMap<String, i64>;

impl Shop {
    /// Counts a visit.
    pub(super) async fn visit(&self) -> Result<(), StoreError> {
        let mut pipeline = pipe();
        pipeline.incr(VISITS, 1).ignore().hincr(VISITS_BY_REGION, &self.region, 1).ignore();
        self.store.query(&pipeline).await
    }

    /// Reads everything in one round trip; keeps the session alive when it is used.
    pub(super) async fn state(&self, id: Option<&SessionId>) -> Result<State, StoreError> {
        let mut state = State { region: self.region.clone(), worker: self.worker.clone(), ..State::default() };
        let mut pipeline = pipe();
        pipeline.get(VISITS).hgetall(VISITS_BY_REGION);
        let Some(id) = id else {
            let (visits, by_region): (Option<i64>, Counts) = self.store.query(&pipeline).await?;
            (state.visits, state.visits_by_region) = (visits.unwrap_or(0), by_region);
            return Ok(state);
        };
        pipeline.hgetall(id.session_key()).hgetall(id.cart_key()).ttl(id.session_key());
        let (visits, by_region, mut session, mut cart, ttl): (
            Option<i64>,
            Counts,
            BTreeMap<String, String>,
            Counts,
            i64,
        ) = self.store.query(&pipeline).await?;
        if (0..TOUCH_BELOW_SECONDS).contains(&ttl) {
            self.touch(id).await?;
        }
        cart.retain(|_, count| *count > 0);
        (state.visits, state.visits_by_region, state.cart) = (visits.unwrap_or(0), by_region, cart);
        state.session =
            session.remove("user").map(|user| Session { user, region: session.remove("region").unwrap_or_default() });
        Ok(state)
    }

    async fn touch(&self, id: &SessionId) -> Result<(), StoreError> {
        let mut pipeline = pipe();
        pipeline.expire(id.session_key(), TTL_SECONDS).ignore().expire(id.cart_key(), TTL_SECONDS).ignore();
        self.store.query(&pipeline).await
    }

    pub(super) async fn login(&self, id: &SessionId, name: &str) -> Result<(), StoreError> {
        let user: String = name.trim().chars().filter(|c| !c.is_control()).take(NAME_MAX_CHARS).collect();
        let user = if user.is_empty() { "guest".to_owned() } else { user };
        let mut pipeline = pipe();
        pipeline
            .hset_multiple(id.session_key(), &[("user", user.as_str()), ("region", self.region.as_str())])
            .ignore()
            .expire(id.session_key(), TTL_SECONDS)
            .ignore()
            .expire(id.cart_key(), TTL_SECONDS)
            .ignore();
        self.store.query(&pipeline).await
    }

    pub(super) async fn logout(&self, id: &SessionId) -> Result<(), StoreError> {
        let mut pipeline = pipe();
        pipeline.del(id.session_key()).ignore().del(id.cart_key()).ignore();
        self.store.query(&pipeline).await
    }

    /// Changes the cart by one item; `false` when there is no such item on sale.
    pub(super) async fn change_cart(&self, id: &SessionId, item: &str, change: CartChange) -> Result<bool, StoreError> {
        if !CATALOGUE.iter().any(|(name, _, _)| *name == item) {
            return Ok(false);
        }
        let mut pipeline = pipe();
        match change {
            CartChange::Add => pipeline.hincr(id.cart_key(), item, 1).ignore(),
            CartChange::Remove => pipeline.hdel(id.cart_key(), item).ignore(),
        };
        pipeline.expire(id.cart_key(), TTL_SECONDS).ignore();
        self.store.query::<()>(&pipeline).await?;
        Ok(true)
    }
}
