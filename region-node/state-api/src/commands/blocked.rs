//! The commands that wait for elements: what is asked of them here, the waiting in `blocking.rs`.

use bytes::Bytes;
use replication_core::ListEnd;
use tokio::time::Duration;

use super::{
    lists::{FROM_AND_TO, end},
    multi_pop::MultiPop,
    zset_ranges::max,
};
use crate::{
    blocking::Touched,
    call::{Answer, Call, Refusal},
    table::{Command, Keys, flag::*},
    wanted::Wanted,
};

const LIST: &[&str] = &["list", "blocking"];
const SORTED_SET: &[&str] = &["sortedset", "blocking"];
const TAKEN: &[&str] = &["RW", "access", "delete"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("blpop", -3, WRITE | NOSCRIPT | BLOCKING, "list", |call| pop(call, &Wanted::Element(ListEnd::Left)))
        .keys(Keys::range(1, -2, TAKEN))
        .categories(LIST)
        .about("2.0.0", "Remove and get the first element in a list, or block until one is available")
        .complexity("O(N) where N is the number of provided keys.")
        .usage("key [key ...] timeout"),
    Command::new("brpop", -3, WRITE | NOSCRIPT | BLOCKING, "list", |call| pop(call, &Wanted::Element(ListEnd::Right)))
        .keys(Keys::range(1, -2, TAKEN))
        .categories(LIST)
        .about("2.0.0", "Remove and get the last element in a list, or block until one is available")
        .complexity("O(N) where N is the number of provided keys.")
        .usage("key [key ...] timeout"),
    Command::new("blmove", 6, WRITE | DENYOOM | NOSCRIPT | BLOCKING, "list", |call| {
        let (pop, push) = (end(&call.args[3])?, end(&call.args[4])?);
        shift(call, pop, push)
    })
    .keys(Keys::range(1, 2, &[]))
    .specs(FROM_AND_TO)
    .categories(LIST)
    .about(
        "6.2.0",
        "Pop an element from a list, push it to another list and return it; or block until one is available",
    )
    .usage("source destination LEFT|RIGHT LEFT|RIGHT timeout"),
    Command::new("brpoplpush", 4, WRITE | DENYOOM | NOSCRIPT | BLOCKING, "list", |call| {
        shift(call, ListEnd::Right, ListEnd::Left)
    })
    .keys(Keys::range(1, 2, &[]))
    .specs(FROM_AND_TO)
    .categories(LIST)
    .about(
        "2.2.0",
        "Pop an element from a list, push it to another list and return it; or block until one is available",
    )
    .usage("source destination timeout"),
    Command::new("blmpop", -5, WRITE | BLOCKING, "list", |call| multi_pop(call, end, Wanted::Elements))
        .keys(Keys::counted(2, TAKEN))
        .categories(LIST)
        .about("7.0.0", "Pop elements from a list, or block until one is available")
        .complexity("O(N+M) where N is the number of provided keys and M is the number of elements returned.")
        .usage("timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]"),
    Command::new("bzpopmin", -3, WRITE | NOSCRIPT | BLOCKING | FAST, "sorted-set", |call| {
        pop(call, &Wanted::Member { max: false })
    })
    .keys(Keys::range(1, -2, TAKEN))
    .categories(SORTED_SET)
    .about(
        "5.0.0",
        "Remove and return the member with the lowest score from one or more sorted sets, or block until one is available",
    )
    .complexity("O(log(N)) with N being the number of elements in the sorted set.")
    .usage("key [key ...] timeout"),
    Command::new("bzpopmax", -3, WRITE | NOSCRIPT | BLOCKING | FAST, "sorted-set", |call| {
        pop(call, &Wanted::Member { max: true })
    })
    .keys(Keys::range(1, -2, TAKEN))
    .categories(SORTED_SET)
    .about(
        "5.0.0",
        "Remove and return the member with the highest score from one or more sorted sets, or block until one is available",
    )
    .complexity("O(log(N)) with N being the number of elements in the sorted set.")
    .usage("key [key ...] timeout"),
    Command::new("bzmpop", -5, WRITE | BLOCKING, "sorted-set", |call| {
        multi_pop(call, max, |max, count| Wanted::Members { max, count })
    })
    .keys(Keys::counted(2, TAKEN))
    .categories(SORTED_SET)
    .about("7.0.0", "Remove and return members with scores in a sorted set or block until one is available")
    .complexity(
        "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, \
         and M being the number of elements popped.",
    )
    .usage("timeout numkeys key [key ...] MIN|MAX [COUNT count]"),
];

/// `key [key …] timeout`
fn pop(call: &mut Call<'_>, wanted: &Wanted) -> Answer {
    let last = call.args.len() - 1;
    let timeout = timeout(&call.args[last])?;
    take(call, &call.args[1..last], wanted, timeout)
}

/// `source destination … timeout`
fn shift(call: &mut Call<'_>, pop: ListEnd, push: ListEnd) -> Answer {
    let timeout = timeout(&call.args[call.args.len() - 1])?;
    call.same_partition()?;
    let to = Bytes::copy_from_slice(&call.args[2]);
    take(call, &call.args[1..2], &Wanted::Moved { to, pop, push }, timeout)
}

/// `timeout numkeys key [key …] END [COUNT count]`
fn multi_pop<End>(
    call: &mut Call<'_>,
    end: fn(&[u8]) -> Result<End, Refusal>,
    wanted: fn(End, u64) -> Wanted,
) -> Answer {
    let MultiPop { keys, from, count } = MultiPop::parse(&call.args[2..], end)?;
    let timeout = timeout(&call.args[1])?;
    take(call, keys, &wanted(from, count), timeout)
}

/// Takes what is wanted from the first key that has it, or waits for it. The keys may lie anywhere: each is looked at by itself.
fn take(call: &mut Call<'_>, keys: &[Bytes], wanted: &Wanted, timeout: Option<Duration>) -> Answer {
    let (server, in_multi) = (call.server, call.transaction.is_some());
    if !in_multi && server.blocking.any() {
        // What has just arrived from another region is for those who came before.
        let keys: Vec<Touched> = keys.iter().cloned().map(Touched::Key).collect();
        server.blocking.serve(&keys);
    }
    for key in keys {
        let reply = call.execute(&wanted.op(key))?;
        if wanted.is_in(&reply) {
            wanted.write(key, &reply, call.out);
            return Ok(());
        }
    }
    if in_multi {
        wanted.write_nothing(call.out);
    } else {
        call.session.waiting = Some(server.blocking.enter(call.session.client.id, keys, wanted, timeout)?);
    }
    Ok(())
}

/// Seconds, with a fraction; rounded up to milliseconds. 0 waits for ever.
fn timeout(text: &[u8]) -> Result<Option<Duration>, Refusal> {
    let seconds = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| !seconds.is_nan());
    let ms = (seconds.ok_or(Refusal::from("ERR timeout is not a float or out of range"))? * 1000.0).ceil();
    if ms >= i64::MAX as f64 {
        return Err("ERR timeout is out of range".into());
    }
    if ms < 0.0 {
        return Err("ERR timeout is negative".into());
    }
    Ok((ms > 0.0).then(|| Duration::from_millis(ms as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_redis_reads_them() {
        let ms = |text: &str| timeout(text.as_bytes()).map(|timeout| timeout.map_or(0, |timeout| timeout.as_millis()));
        for (text, want) in
            [("0", 0), ("0.0", 0), ("-0.0001", 0), ("1", 1000), ("1.5", 1500), ("0.0001", 1), ("1e3", 1_000_000)]
        {
            assert_eq!(ms(text), Ok(want), "{text}");
        }
        for (text, want) in [
            ("", "ERR timeout is not a float or out of range"),
            ("x", "ERR timeout is not a float or out of range"),
            (" 1", "ERR timeout is not a float or out of range"),
            ("1s", "ERR timeout is not a float or out of range"),
            ("nan", "ERR timeout is not a float or out of range"),
            ("-1", "ERR timeout is negative"),
            ("-inf", "ERR timeout is negative"),
            ("inf", "ERR timeout is out of range"),
            ("9223372036854775.9", "ERR timeout is out of range"),
        ] {
            assert_eq!(ms(text), Err(Refusal::from(want)), "{text}");
        }
    }
}
