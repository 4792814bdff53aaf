//! A world's life: start, serve, stop, resume, with nothing left behind and nothing forgotten.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    clients::{Redis, ask, dig, get, redis_cli},
    world::{SOON, Scratch, Up, alive, binary, children_of, free_net, pause, signal, until},
};

#[test]
fn a_world_starts_serves_its_users_and_leaves_no_process() {
    let scratch = Scratch::new("life");
    let up = Up::start(&scratch.0.join("w"), &["--net", &free_net().to_string()]);
    assert!(up.ready_after <= Duration::from_secs(15), "ready after {:?}", up.ready_after);
    let names: Vec<&str> = up.regions.iter().map(|region| region.name.as_str()).collect();
    assert_eq!(names, ["us-east", "eu-west", "ap-south"]);

    let (us, eu) = (up.region("us-east"), up.region("eu-west"));
    assert_eq!(redis_cli(us.redis, &["PING"]), "PONG");
    assert_eq!(redis_cli(us.redis, &["SET", "greeting", "aloha"]), "OK");
    until("the write is in the other region", SOON, || redis_cli(eu.redis, &["GET", "greeting"]) == "aloha");

    let answer = dig(us.dns, &["www.shop.test"]);
    assert_eq!(answer, [us.gateway.ip().to_string()], "an unknown place is served by the asked server's own region");
    assert_eq!(dig(us.dns, &["+tcp", "www.shop.test"]), answer, "TCP says what UDP says");
    let irish = dig(us.dns, &["+subnet=87.32.10.0/24", "www.shop.test"]);
    assert_eq!(irish, [eu.gateway.ip().to_string()], "Ireland is nearest to Dublin");
    assert!(dig(us.dns, &["CH", "TXT", "version.bind"])[0].contains("plan"), "version.bind names the Plan");

    let (status, head, body) = get(eu.gateway, "/", "").unwrap();
    assert_eq!(status, 200, "{head}\n{body}");
    assert!(head.contains("x-atoll-region: eu-west"), "{head}");

    let pids = up.pids();
    assert!(pids.len() >= 4 + 3, "parent, regions, workers: {pids:?}");
    assert_eq!(up.stop(), 0);
    until("every process is gone", SOON, || pids.iter().all(|pid| !alive(*pid)));
}

#[test]
fn a_killed_parent_takes_its_regions_along() {
    let scratch = Scratch::new("orphans");
    let up = Up::start(&scratch.0.join("w"), &["--net", &free_net().to_string()]);
    let pids = up.pids();
    signal(up.parent(), "KILL");
    until("every process is gone", SOON, || pids.iter().all(|pid| *pid == up.parent() || !alive(*pid)));
}

#[test]
fn a_second_up_resumes_the_world_with_its_data() {
    let scratch = Scratch::new("resume");
    let data = scratch.0.join("w");
    let net = free_net().to_string();
    let up = Up::start(&data, &["--net", &net]);
    let mut redis = Redis::to(up.regions[0].redis);
    let _: () = redis.run(&["SET", "kept", "yes"]).unwrap();
    let _: i64 = redis.run(&["INCRBY", "count", "41"]).unwrap();
    let before = up.status();
    assert_eq!(up.stop(), 0);

    let up = Up::start(&data, &[]);
    let mut redis = Redis::to(up.regions[0].redis);
    assert_eq!(redis.run::<String>(&["GET", "kept"]).unwrap(), "yes");
    assert_eq!(redis.run::<i64>(&["INCR", "count"]).unwrap(), 42);
    up.ok(&["drain", "ap-south", "--reason", "a change after the restart"]);
    let after = up.status();
    assert_eq!(after["plan"]["lineage"], before["plan"]["lineage"]);
    assert!(after["plan"]["version"].as_u64() > before["plan"]["version"].as_u64(), "{before} {after}");

    let second = Up::try_start(&data, &[]).err().expect("a second parent on the same data is refused");
    assert!(second.contains("is already running a world"), "{second}");
    assert_eq!(up.stop(), 0);
}

#[test]
fn dns_answers_from_the_last_plan_with_nobody_else_alive() {
    let scratch = Scratch::new("alone");
    let data = scratch.0.join("w");
    let up = Up::start(&data, &["--net", &free_net().to_string()]);
    let eu = up.region("eu-west").clone();
    assert_eq!(up.stop(), 0);

    // One region alone: no parent, no emulator, no quorum.
    let config = data.join("regions/eu-west/region.toml");
    let mut child = Command::new(binary())
        .args(["region", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    until("DNS answers", SOON, || ask(eu.dns, "www.shop.test.").is_some_and(|(_, addresses)| !addresses.is_empty()));
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    until("its own probes make it name only itself", Duration::from_secs(25), || {
        ask(eu.dns, "www.shop.test.").is_some_and(|(_, addresses)| addresses == [eu.gateway.ip().to_string()])
    });
    let workers = children_of(child.id());
    signal(child.id(), "TERM");
    let deadline = Instant::now() + SOON;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the region did not leave");
        pause();
    }
    until("its workers are gone", SOON, || workers.iter().all(|pid| !alive(*pid)));
}

#[test]
fn a_drain_by_hand_is_everywhere_within_a_second_and_can_be_taken_back() {
    let scratch = Scratch::new("drain");
    let up = Up::start(&scratch.0.join("w"), &["--net", &free_net().to_string()]);
    let eu = up.region("eu-west").clone();
    let named = |region: &crate::world::Region| dig(region.dns, &["+subnet=87.32.10.0/24", "www.shop.test"]);
    let eu_v4 = eu.gateway.ip().to_string();
    assert!(up.regions.iter().all(|region| named(region) == [eu_v4.clone()]));

    let start = Instant::now();
    let said = up.ok(&["drain", "eu-west", "--reason", "new disks", "--who", "ops"]);
    assert!(said.contains("left out of answers"), "{said}");
    until("no server names it", SOON, || up.regions.iter().all(|region| !named(region).contains(&eu_v4)));
    assert!(start.elapsed() < Duration::from_secs(2), "drain by hand took {:?}", start.elapsed());
    let told = up.json(&["explain", "region", "eu-west"]);
    assert_eq!(told["override"]["reason"], "new disks");
    assert_eq!(told["serving"]["serves"], false);
    assert_eq!(up.atoll(&["status"]).status.code(), Some(1), "a drained region is not all well");

    up.ok(&["undrain", "eu-west"]);
    until("every server names it again", SOON, || up.regions.iter().all(|region| named(region) == [eu_v4.clone()]));

    // The guard: never the last member.
    up.ok(&["drain", "eu-west"]);
    up.ok(&["drain", "us-east"]);
    let last = up.atoll(&["drain", "ap-south"]);
    assert_eq!(last.status.code(), Some(1));
    assert!(crate::world::text(&last.stderr).contains("last"), "{}", crate::world::text(&last.stderr));
}

#[test]
fn sessions_follow_their_user_from_region_to_region() {
    let scratch = Scratch::new("token");
    let up = Up::start(&scratch.0.join("w"), &["--net", &free_net().to_string(), "--wan", "world"]);
    let (us, ap) = (up.region("us-east"), up.region("ap-south"));
    let (_, head, _) = get(us.gateway, "/", "").unwrap();
    let cookies: Vec<&str> = head
        .lines()
        .filter_map(|line| line.strip_prefix("set-cookie: "))
        .filter_map(|cookie| cookie.split(';').next())
        .collect();
    assert!(cookies.iter().any(|cookie| cookie.starts_with("atoll-token=")), "{head}");
    let headers = format!("cookie: {}\r\n", cookies.join("; "));
    let visits = |body: &str| -> u64 {
        let state: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"));
        state["visits"].as_u64().unwrap_or_else(|| panic!("{state}"))
    };
    let (_, _, here) = get(us.gateway, "/api/state", &headers).unwrap();
    // 100 ms away; without the token the other region could not know of the visit yet.
    let (status, head, there) = get(ap.gateway, "/api/state", &headers).unwrap();
    assert_eq!(status, 200);
    assert!(!head.contains("x-atoll-stale"), "{head}");
    assert!(visits(&there) >= visits(&here), "here {here}, there {there}");
}
