//! The command table: one entry per command drives dispatch, arity, key checks, `COMMAND` and help.
//!
//! An entry stands beside the function it calls, in `commands/`; [`find`] looks through all of them.

use std::sync::LazyLock;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::{
    call::{Answer, Call},
    commands,
    key_specs::KeySpec,
    resp::parse_i64,
};

/// What a command does with the connection, the store and its arguments.
pub(crate) type Handler = fn(&mut Call<'_>) -> Answer;

/// One command, or one subcommand.
pub(crate) struct Command {
    /// Lower case; a subcommand carries its container's name: `client|id`.
    pub(crate) name: &'static str,
    /// Number of arguments, the name (and the subcommand's name) included; negative: at least so many.
    pub(crate) arity: i32,
    pub(crate) flags: u32,
    pub(crate) keys: Option<Keys>,
    /// What `COMMAND INFO` says of the keys, where that is more than follows from `keys`.
    pub(crate) specs: &'static [KeySpec],
    pub(crate) group: &'static str,
    pub(crate) categories: &'static [&'static str],
    pub(crate) tips: &'static [&'static str],
    pub(crate) since: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) complexity: &'static str,
    /// How the arguments are written, for help.
    pub(crate) usage: &'static str,
    /// `None`: a container, which is nothing without a subcommand.
    pub(crate) handler: Option<Handler>,
    pub(crate) subcommands: &'static [Self],
}

/// Where the keys stand among the arguments, and what becomes of them.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) first: usize,
    /// As in Redis: counted from the end when negative.
    pub(crate) last: i32,
    pub(crate) step: usize,
    /// The argument that says how many keys follow it, as `ZUNION 2 a b` does; beside the fixed ones, if there are any.
    pub(crate) counted: Option<usize>,
    pub(crate) flags: &'static [&'static str],
    pub(crate) notes: Option<&'static str>,
}

impl Keys {
    /// One key, right behind the command's name.
    pub(crate) const fn one(flags: &'static [&'static str]) -> Option<Self> {
        Some(Self { first: 1, last: 1, step: 1, counted: None, flags, notes: None })
    }

    /// One key, with a remark on what becomes of it.
    pub(crate) const fn one_noted(flags: &'static [&'static str], notes: &'static str) -> Option<Self> {
        Some(Self { first: 1, last: 1, step: 1, counted: None, flags, notes: Some(notes) })
    }

    /// The keys from `first` to `last`, both counted from 0, the command's name; from the end when negative.
    pub(crate) const fn range(first: usize, last: i32, flags: &'static [&'static str]) -> Option<Self> {
        Some(Self { first, last, step: 1, counted: None, flags, notes: None })
    }

    /// As many keys as the argument at `at` says, right behind it.
    pub(crate) const fn counted(at: usize, flags: &'static [&'static str]) -> Option<Self> {
        Some(Self { first: 0, last: 0, step: 1, counted: Some(at), flags, notes: None })
    }

    /// A destination behind the command's name, and as many keys as the argument at `at` says.
    pub(crate) const fn to_and_counted(at: usize, flags: &'static [&'static str]) -> Option<Self> {
        Some(Self { first: 1, last: 1, step: 1, counted: Some(at), flags, notes: None })
    }

    /// Every argument is a key, or every second one.
    pub(crate) const fn many(step: usize, flags: &'static [&'static str]) -> Option<Self> {
        Some(Self { first: 1, last: -1, step, counted: None, flags, notes: None })
    }

    /// Where the keys of a call stand, as indexes; a count that is no number, or more than there are arguments, names what is
    /// there (the command itself refuses it).
    pub(crate) fn positions(self, args: &[Bytes]) -> impl Iterator<Item = usize> + use<> {
        let end = match usize::try_from(self.last) {
            Ok(last) => (last + 1).min(args.len()),
            Err(_) => (args.len() + 1).saturating_sub(self.last.unsigned_abs() as usize),
        };
        let fixed = if self.first == 0 { 0..0 } else { self.first..end };
        let counted = self.counted.map_or(0..0, |at| {
            let count = args.get(at).and_then(|count| parse_i64(count)).and_then(|count| usize::try_from(count).ok());
            at + 1..at.saturating_add(1).saturating_add(count.unwrap_or(0)).min(args.len()).max(at + 1)
        });
        fixed.step_by(self.step).chain(counted)
    }
}

/// Flags of a command, in the order in which Redis names them.
pub(crate) mod flag {
    pub(crate) const WRITE: u32 = 1;
    pub(crate) const READONLY: u32 = 1 << 1;
    pub(crate) const DENYOOM: u32 = 1 << 2;
    pub(crate) const ADMIN: u32 = 1 << 3;
    pub(crate) const NOSCRIPT: u32 = 1 << 4;
    pub(crate) const BLOCKING: u32 = 1 << 5;
    pub(crate) const LOADING: u32 = 1 << 6;
    pub(crate) const STALE: u32 = 1 << 7;
    pub(crate) const SKIP_SLOWLOG: u32 = 1 << 8;
    pub(crate) const FAST: u32 = 1 << 9;
    pub(crate) const NO_AUTH: u32 = 1 << 10;
    pub(crate) const ALLOW_BUSY: u32 = 1 << 11;
    /// Inside MULTI it runs at once instead of being queued: EXEC, DISCARD and their kin. Not shown by `COMMAND`.
    pub(crate) const NOW_IN_MULTI: u32 = 1 << 12;
    /// Not inside MULTI: it looks at more than the one partition that a transaction holds. Not shown by `COMMAND`.
    pub(crate) const WIDE: u32 = 1 << 13;

    /// Their names.
    pub(crate) const NAMES: [&str; 12] = [
        "write",
        "readonly",
        "denyoom",
        "admin",
        "noscript",
        "blocking",
        "loading",
        "stale",
        "skip_slowlog",
        "fast",
        "no_auth",
        "allow_busy",
    ];
}

/// The order in which Redis names the categories of its access lists.
const CATEGORY_ORDER: [&str; 15] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
];

impl Command {
    /// A command with what dispatch needs; the rest is said by the methods below.
    pub(crate) const fn new(name: &'static str, arity: i32, flags: u32, group: &'static str, handler: Handler) -> Self {
        Self { handler: Some(handler), ..Self::container(name, arity, group, &[]) }.flags(flags)
    }

    /// A command that is nothing without a subcommand.
    pub(crate) const fn container(
        name: &'static str,
        arity: i32,
        group: &'static str,
        subcommands: &'static [Self],
    ) -> Self {
        Self {
            name,
            arity,
            flags: 0,
            keys: None,
            specs: &[],
            group,
            categories: &[],
            tips: &[],
            since: "1.0.0",
            summary: "",
            complexity: "O(1)",
            usage: "",
            handler: None,
            subcommands,
        }
    }

    const fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    pub(crate) const fn keys(mut self, keys: Option<Keys>) -> Self {
        self.keys = keys;
        self
    }

    /// Several places of keys, or places that only the command can find.
    pub(crate) const fn specs(mut self, specs: &'static [KeySpec]) -> Self {
        self.specs = specs;
        self
    }

    /// Categories of Redis's access lists that do not follow from the flags.
    pub(crate) const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    pub(crate) const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    pub(crate) const fn about(mut self, since: &'static str, summary: &'static str) -> Self {
        self.since = since;
        self.summary = summary;
        self
    }

    pub(crate) const fn complexity(mut self, complexity: &'static str) -> Self {
        self.complexity = complexity;
        self
    }

    pub(crate) const fn usage(mut self, usage: &'static str) -> Self {
        self.usage = usage;
        self
    }

    pub(crate) const fn subcommands(mut self, subcommands: &'static [Self]) -> Self {
        self.subcommands = subcommands;
        self
    }

    /// Whether all of `flag` are set.
    pub(crate) const fn is(&self, flag: u32) -> bool {
        self.flags & flag == flag
    }

    /// Whether a call with so many arguments has the right number.
    pub(crate) fn accepts(&self, count: usize) -> bool {
        let want = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { count >= want } else { count == want }
    }

    /// The subcommand of that name.
    pub(crate) fn subcommand(&self, name: &[u8]) -> Option<&'static Self> {
        self.subcommands.iter().find(|sub| sub.short_name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The name without the container's.
    pub(crate) fn short_name(&self) -> &'static str {
        self.name.split_once('|').map_or(self.name, |(_, short)| short)
    }

    /// All categories, in Redis's order: the ones given and the ones that follow from the flags.
    pub(crate) fn all_categories(&self) -> Vec<&'static str> {
        let implied = |category: &&str| match *category {
            "read" => self.is(flag::READONLY),
            "write" => self.is(flag::WRITE),
            "fast" => self.is(flag::FAST),
            "slow" => !self.is(flag::FAST),
            "admin" | "dangerous" => self.is(flag::ADMIN),
            _ => false,
        };
        let ordered = CATEGORY_ORDER.into_iter().chain(["connection", "transaction"]);
        ordered.filter(|category| implied(category) || self.categories.contains(category)).collect()
    }
}

/// Longest name of a command, and then some.
const LONGEST_NAME: usize = 24;

static BY_NAME: LazyLock<HashMap<&'static [u8], &'static Command>> =
    LazyLock::new(|| all().map(|command| (command.name.as_bytes(), command)).collect());

/// Every command, by group.
pub(crate) fn all() -> impl Iterator<Item = &'static Command> + Clone {
    commands::GROUPS.iter().flat_map(|group| group.iter())
}

/// The command of that name, in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static Command> {
    let mut lower = [0; LONGEST_NAME];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    BY_NAME.get(&*lower).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_well_formed() {
        for command in all().chain(all().flat_map(|command| command.subcommands)) {
            assert!(command.name.len() <= LONGEST_NAME, "{}", command.name);
            assert_eq!(command.name, command.name.to_ascii_lowercase());
            assert!(command.arity != 0 && !command.summary.is_empty(), "{}", command.name);
            assert!(command.handler.is_some() || !command.subcommands.is_empty(), "{} does nothing", command.name);
            for category in command.categories {
                assert!(
                    CATEGORY_ORDER.iter().chain(&["connection", "transaction"]).any(|known| known == category),
                    "{category}"
                );
            }
        }
        for container in all() {
            for sub in container.subcommands {
                assert!(sub.name.starts_with(&format!("{}|", container.name)), "{}", sub.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_found_in_any_case() {
        assert_eq!(BY_NAME.len(), all().count());
        assert!(find(b"GeT").is_some_and(|command| command.name == "get"));
        assert!(find(b"").is_none() && find(&[b'x'; 100]).is_none());
    }

    #[test]
    fn keys_are_found_where_redis_finds_them() {
        let positions = |name: &str, count| {
            let keys = find(name.as_bytes()).and_then(|command| command.keys);
            keys.map(|keys| keys.positions(&vec![Bytes::new(); count]).collect::<Vec<_>>())
        };
        assert_eq!(positions("get", 2), Some(vec![1]));
        assert_eq!(positions("set", 6), Some(vec![1]));
        assert_eq!(positions("mset", 5), Some(vec![1, 3]));
        assert_eq!(positions("del", 4), Some(vec![1, 2, 3]));
        assert_eq!(positions("ping", 1), None);
        let counted = |keys: Option<Keys>, args: &[&'static str]| {
            let args: Vec<Bytes> = args.iter().map(|arg| Bytes::from_static(arg.as_bytes())).collect();
            keys.unwrap().positions(&args).collect::<Vec<_>>()
        };
        assert_eq!(counted(Keys::counted(1, &[]), &["zunion", "2", "a", "b", "weights"]), [2, 3]);
        assert_eq!(counted(Keys::to_and_counted(2, &[]), &["zunionstore", "d", "2", "a", "b"]), [1, 3, 4]);
        for count in ["x", "-1", "0", "9223372036854775807"] {
            let found = counted(Keys::counted(1, &[]), &["zunion", count, "a"]);
            assert!(found.iter().all(|at| *at == 2), "{count}: {found:?}");
        }
        assert_eq!(counted(Keys::range(2, -2, &[]), &["bitop", "and", "d", "a", "b"]), [2, 3]);
    }
}
