//! Clients that people really use, with no special options. Those of other languages are run where they are installed; where
//! they are not, that is said.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use redis::{AsyncCommands, Commands, RedisResult};

use crate::port::Port;

/// Where the scripts of other languages live, and their modules once installed.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Runs a program that must succeed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let Output { status, stdout, stderr } = &output;
    let (stdout, stderr) = (String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
    assert!(status.success(), "{command:?}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn round_trip(connection: &mut redis::Connection) -> RedisResult<()> {
    let () = connection.set("greeting", "hello")?;
    assert_eq!(connection.get::<_, String>("greeting")?, "hello");
    assert_eq!(connection.get::<_, Option<String>>("nothing")?, None);
    let () = connection.set_ex("short", "lived", 100)?;
    assert!((90..=100).contains(&connection.ttl::<_, i64>("short")?));
    assert_eq!(connection.incr::<_, _, i64>("visits", 5)?, 5);
    let () = connection.hset_multiple("cart", &[("apples", 1), ("pears", 2)])?;
    let cart: std::collections::BTreeMap<String, i64> = connection.hgetall("cart")?;
    assert_eq!(cart.into_iter().collect::<Vec<_>>(), [("apples".to_owned(), 1), ("pears".to_owned(), 2)]);
    let () = connection.sadd("tags", &["a", "b"])?;
    let tags: std::collections::BTreeSet<String> = connection.smembers("tags")?;
    assert_eq!(tags.len(), 2);
    let error = connection.incr::<_, _, i64>("tags", 1).unwrap_err();
    assert_eq!(error.code(), Some("WRONGTYPE"));
    let (first, second): (i64, String) = redis::pipe().incr("visits", 1).get("greeting").query(connection)?;
    assert_eq!((first, second.as_str()), (6, "hello"));
    let mut keys: Vec<String> = connection.scan()?.collect::<RedisResult<_>>()?;
    keys.sort_unstable();
    assert_eq!(keys, ["cart", "greeting", "short", "tags", "visits"]);
    assert_eq!(connection.del::<_, i64>(&["cart", "greeting", "short", "tags", "visits", "nothing"])?, 5);
    Ok(())
}

#[test]
fn redis_rs_works_in_both_versions_of_the_protocol() {
    let port = Port::open();
    for protocol in ["resp2", "resp3"] {
        let client = redis::Client::open(format!("redis://{}/?protocol={protocol}", port.address())).unwrap();
        round_trip(&mut client.get_connection().unwrap()).unwrap_or_else(|error| panic!("{protocol}: {error}"));
    }
}

#[test]
fn many_tasks_share_one_connection_of_redis_rs() {
    let port = Port::open();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = redis::Client::open(format!("redis://{}/?protocol=resp3", port.address())).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let tasks = (0..50).map(|_| {
            let mut connection = connection.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    connection.incr::<_, _, i64>("n", 1).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(connection.clone().get::<_, i64>("n").await.unwrap(), 1000);
    });
}

#[test]
fn redis_cli_works() {
    if !succeeds(Command::new("redis-cli").arg("--version")) {
        eprintln!("SKIPPED: no redis-cli in the path (Debian: redis-tools)");
        return;
    }
    let port = Port::open();
    let cli = |words: &[&str]| {
        let number = port.address().port().to_string();
        run(Command::new("redis-cli").args(["-p", &number]).args(words))
    };
    assert_eq!(cli(&["SET", "k", "v"]), "OK\n");
    assert_eq!(cli(&["GET", "k"]), "v\n");
    assert_eq!(cli(&["-3", "HSET", "h", "f", "v"]), "1\n");
    assert_eq!(cli(&["-3", "--no-raw", "HGETALL", "h"]), "1# \"f\" => \"v\"\n");
    assert_eq!(cli(&["--scan", "--pattern", "k*"]), "k\n");
    assert!(cli(&["INFO", "server"]).contains("redis_version:7.2.4"));
    assert!(cli(&["-3", "REGION", "LAG"]).contains("eu-west"));
    assert!(cli(&["COMMAND", "DOCS", "get"]).contains("Get the value of a key"));
    assert!(cli(&["NOSUCHCOMMAND"]).contains("ERR unknown command 'NOSUCHCOMMAND'"));
}

#[test]
fn redis_py_works() {
    if !succeeds(Command::new("python3").args(["-c", "import redis"])) {
        eprintln!(
            "SKIPPED: python3 has no module redis (pip install -r region-node/state-api/tests/clients/requirements.txt)"
        );
        return;
    }
    let port = Port::open();
    let script = scripts().join("redis_py.py");
    run(Command::new("python3").arg(script).arg(port.address().port().to_string()));
}

#[test]
fn ioredis_works() {
    if !scripts().join("node_modules/ioredis").exists() || !succeeds(Command::new("node").arg("--version")) {
        eprintln!("SKIPPED: ioredis is not installed (npm ci --prefix region-node/state-api/tests/clients)");
        return;
    }
    let port = Port::open();
    let script = scripts().join("ioredis.js");
    run(Command::new("node").arg(script).arg(port.address().port().to_string()));
}
