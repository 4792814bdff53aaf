//! A mark that a process does not lose: a number in one of its resource limits.
//!
//! Linux keeps `RLIMIT_LOCKS` for every process, hands it down to each child and through each exec, shows it to everybody in
//! `/proc/PID/limits`, and has not enforced it since version 2.4.25 (man 2 getrlimit). So a worker's soft limit can be any number, and
//! whatever it starts has the same one: also what has left its group, session and parent and has forgotten its environment, as a
//! daemon does. Only a process that sets this very limit itself would lose it.
//!
//! The other way would be to adopt orphans (`PR_SET_CHILD_SUBREAPER`). It is not taken: an orphan that was made between two looks does
//! not tell which worker it came from; and whoever adopts must wait for what it adopted, without taking away the exit status of a
//! child that tokio or std waits for, which it cannot tell apart by anything but guesses. Here nobody becomes a child of ours; the
//! system's own init waits for those that we kill.

/// Lives of an app that have numbers of their own.
const LIVES: u64 = 1_000_000_000;

/// The number of one life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitMark(u64);

/// What the numbers of one app begin with: nine digits by chance, so that two apps of a machine are told apart, and nobody who sets
/// this limit to a number of his own is taken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppMark(u64);

impl AppMark {
    pub(crate) fn by_chance() -> Self {
        Self(fastrand::u64(LIVES / 10..LIVES))
    }

    /// The mark of a life: nine digits more.
    pub(crate) fn life(self, life: u64) -> LimitMark {
        LimitMark(self.0 * LIVES + life % LIVES)
    }

    /// The nine digits, for the guard.
    pub(crate) fn digits(self) -> String {
        self.0.to_string()
    }
}

impl LimitMark {
    /// Marks the calling process. Makes two system calls and nothing else, so it may be called between fork and exec. Where a lower
    /// hard limit was set, or on another system, there is no mark; what is left is the mark in the environment.
    #[cfg(target_os = "linux")]
    pub(crate) fn put_on_this_process(self) {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Locks);
        limit.current = Some(self.0);
        let _ = setrlimit(Resource::Locks, limit);
    }

    /// Elsewhere there is no such limit.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn put_on_this_process(self) {}

    /// Whether a process with this `/proc/PID/limits` (man 5 proc) has it.
    pub(crate) fn is_in(self, limits: &str) -> bool {
        let line = limits.lines().find_map(|line| line.strip_prefix("Max file locks"));
        line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()) == Some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_where_the_kernel_shows_it() {
        let app = AppMark(123_456_789);
        assert_eq!((app.life(17).0, app.digits().as_str()), (123_456_789_000_000_017, "123456789"));
        let shown = |soft: &str| {
            format!(
                "Limit  Soft Limit  Hard Limit  Units\nMax pending signals  9  9  signals\nMax file locks            {soft:<20} unlimited            locks\n"
            )
        };
        for (text, wanted) in [
            (shown("123456789000000017"), true),
            (shown("123456789000000018"), false),
            (shown("unlimited"), false),
            (shown("0"), false),
            ("Max file locks".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(app.life(17).is_in(&text), wanted, "{text}");
        }
    }

    #[test]
    fn apps_have_nine_digits() {
        for _ in 0..100 {
            assert_eq!(AppMark::by_chance().digits().len(), 9);
        }
        assert_eq!(AppMark(999_999_999).life(LIVES - 1).0, 999_999_999_999_999_999);
    }
}
