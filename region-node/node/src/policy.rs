//! What the World says about state, carried from each new Plan into the store.
//!
//! Goes in: Plans. Comes out: the store's rules, set again only when they have changed. Regions may hold different Plans for a while;
//! rules decide what a write puts, never how writes of others are merged, so they converge all the same.

use std::{sync::Arc, time::Duration};

use model::{Conflicts, Durability, Plan, StatePolicy};
use replication_core::{PrefixRule, Rules};
use replication_storage::StateStore;
use tokio::sync::watch;

/// Keeps the store's rules in step with the newest Plan, for as long as there are Plans to come.
pub(crate) async fn run(store: StateStore, mut plans: watch::Receiver<Option<Arc<Plan>>>) {
    let mut policy = StatePolicy::default();
    loop {
        let newest = plans.borrow_and_update().as_ref().map(|plan| plan.world.state.clone());
        if let Some(newest) = newest.filter(|newest| *newest != policy) {
            set(&store, &newest);
            tracing::info!(prefixes = newest.prefixes.len(), "the state follows a new policy");
            policy = newest;
        }
        if plans.changed().await.is_err() {
            return;
        }
    }
}

fn set(store: &StateStore, policy: &StatePolicy) {
    store.set_rules(&Arc::new(rules(policy)));
    store.set_detach_after(Duration::from_secs(policy.detach_after_s));
}

fn rules(policy: &StatePolicy) -> Rules {
    let prefixes = policy.prefixes.iter().map(|prefix| {
        let rule = PrefixRule {
            remove_wins: prefix.conflicts == Conflicts::RemoveWins,
            always_synced: prefix.durability == Durability::Always,
        };
        (prefix.starts_with.clone().into(), rule)
    });
    // The World was validated: a limit beyond what frames carry cannot come here, and would be cut down if it did.
    Rules::new(usize::try_from(policy.max_value_bytes).unwrap_or(usize::MAX), prefixes)
}

#[cfg(test)]
mod tests {
    use model::PrefixPolicy;

    use super::*;

    #[test]
    fn a_policy_becomes_the_rules_of_its_prefixes() {
        let prefix = |starts_with: &str, conflicts, durability| PrefixPolicy {
            starts_with: starts_with.into(),
            conflicts,
            durability,
        };
        let policy = StatePolicy {
            max_value_bytes: 2048,
            prefixes: vec![
                prefix("revoked:", Conflicts::RemoveWins, Durability::Always),
                prefix("revoked:soft:", Conflicts::AddWins, Durability::EverySec),
            ],
            ..StatePolicy::default()
        };
        let rules = rules(&policy);
        let of = |key: &str| (rules.of(key.as_bytes()).remove_wins, rules.of(key.as_bytes()).always_synced);
        assert_eq!(rules.max_value_bytes, 2048);
        assert_eq!(
            [of("revoked:1"), of("revoked:soft:1"), of("cart:1")],
            [(true, true), (false, false), (false, false)]
        );
    }
}
