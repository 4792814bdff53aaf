//! Numbers for policies that draw members: another one for each packet, from a generator of each thread's own.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

thread_local! {
    /// The standard library's hashers have keys that the system draws: enough for a spread that nobody's safety rests on.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
}

/// The next number. Only that they differ matters: [`steering::answer`] mixes them before it uses them.
pub(crate) fn next() -> u64 {
    // A thread that is ending has no state any more; its last answers are drawn alike.
    STATE
        .try_with(|state| {
            state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
            state.get()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn no_number_comes_soon_again() {
        let numbers: HashSet<u64> = (0..10_000).map(|_| super::next()).collect();
        assert_eq!(numbers.len(), 10_000);
        let elsewhere = std::thread::spawn(super::next).join().unwrap();
        assert!(!numbers.contains(&elsewhere), "threads have numbers of their own");
    }
}
