//! Deaths and cuts: what users notice, and what is left when it is over.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hickory_proto::op::ResponseCode;

use crate::{
    clients::{Redis, ask, get},
    world::{SOON, Scratch, Up, free_net, pause, until},
};

/// Every region at least three times in turn, so the leader's too.
#[test]
fn ten_deaths_move_users_in_time_and_lose_nothing() {
    let scratch = Scratch::new("deaths");
    let up = Up::start(&scratch.0.join("w"), &["--net", &free_net().to_string()]);
    let sweep = up.json(&["drill", "sweep", "--times", "10"]);
    assert_eq!(sweep["outcome"], "PASS", "{sweep:#}");
    let deaths = sweep["deaths"].as_array().unwrap();
    assert_eq!(deaths.len(), 10);
    for report in deaths {
        assert!(report["acked_during_fault"].as_u64().unwrap() > 50, "{report:#}");
        assert_eq!(report["dns_empty"], 0);
        assert_eq!(report["decisions"], 2, "one out, one back: {report:#}");
    }
    println!("followers {:#}\nleaders {:#}", sweep["followers"], sweep["leaders"]);
    let last = |who: &str| sweep[who]["last_server"]["worst_ms"].as_u64();
    assert!(last("followers").is_some_and(|ms| ms <= 4000), "{}", sweep["followers"]);
    assert!(last("leaders").is_some_and(|ms| ms <= 6000), "a leader died too: {}", sweep["leaders"]);
}

/// Asks a server ten times a second until it is stopped; remembers every answer that should not have been.
struct Watch {
    stop: Arc<AtomicBool>,
    wrong: Arc<Mutex<Vec<String>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    fn over(dns: std::net::SocketAddr) -> Self {
        let (stop, wrong) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, seen) = (stop.clone(), wrong.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match ask(dns, "www.shop.test.") {
                    Some((ResponseCode::NoError, addresses)) if !addresses.is_empty() => {}
                    other => seen.lock().unwrap().push(format!("{other:?}")),
                }
                pause();
            }
        });
        Self { stop, wrong, thread }
    }

    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let wrong = self.wrong.lock().unwrap();
        wrong.clone()
    }
}

#[test]
fn the_last_region_alive_serves_everybody_without_a_quorum() {
    let scratch = Scratch::new("two-of-three");
    let up = Up::start(&scratch.0.join("w"), &["--net", &free_net().to_string()]);
    let (us, eu, ap) = (up.region("us-east"), up.region("eu-west"), up.region("ap-south"));
    Redis::to(eu.redis).run::<()>(&["SET", "before", "both died"]).unwrap();
    until("the write is everywhere", SOON, || {
        Redis::to(us.redis).run::<Option<String>>(&["GET", "before"]).unwrap().is_some()
    });
    let before = up.status()["plan"]["version"].as_u64().unwrap();

    let watch = Watch::over(us.dns);
    up.ok(&["up", "kill", "eu-west"]);
    up.ok(&["up", "kill", "ap-south"]);
    let took = until("the survivor names only itself", Duration::from_secs(15), || {
        // From Ireland, so that a name of the dead would be preferred.
        let answer = crate::clients::dig(us.dns, &["+subnet=87.32.10.0/24", "www.shop.test"]);
        answer == [us.gateway.ip().to_string()]
    });
    println!("the survivor named only itself after {took:?}");
    let mut redis = Redis::to(us.redis);
    assert_eq!(redis.run::<String>(&["GET", "before"]).unwrap(), "both died");
    redis.run::<()>(&["SET", "alone", "still written"]).unwrap();
    assert_eq!(get(us.gateway, "/", "").unwrap().0, 200);

    up.ok(&["up", "start", "eu-west"]);
    up.ok(&["up", "start", "ap-south"]);
    assert_eq!(watch.end(), Vec::<String>::new(), "no answer was empty or missing");
    until("the other regions have what was written meanwhile", SOON, || {
        [eu, ap].iter().all(|region| {
            let found = Redis::to(region.redis).run::<Option<String>>(&["GET", "alone"]).unwrap();
            found.as_deref() == Some("still written")
        })
    });
    until("the digests are equal", SOON, || equal_digests(&up));
    up.ok(&["drain", "ap-south"]);
    assert!(up.status()["plan"]["version"].as_u64().unwrap() > before, "the Plan moves on");
}

fn equal_digests(up: &Up) -> bool {
    let status = up.status();
    let digests: BTreeSet<&str> =
        status["regions"].as_array().unwrap().iter().filter_map(|r| r["digest"].as_str()).collect();
    digests.len() == 1 && status["regions"].as_array().unwrap().iter().all(|r| r["reachable"] == true)
}

#[test]
fn regions_that_were_cut_off_write_on_and_agree_afterwards() {
    let scratch = Scratch::new("cut");
    let up = Up::start(&scratch.0.join("w"), &["--net", &free_net().to_string()]);
    let mut clients: Vec<Redis> = up.regions.iter().map(|region| Redis::to(region.redis)).collect();
    for (a, b) in [("us-east", "eu-west"), ("eu-west", "ap-south"), ("us-east", "ap-south")] {
        up.ok(&["up", "wan", "cut", a, b]);
    }
    for (number, redis) in clients.iter_mut().enumerate() {
        let value = format!("from {number}");
        redis.run::<()>(&["SET", "contested", &value]).unwrap();
        redis.run::<i64>(&["INCRBY", "sum", &(10_i64.pow(number as u32)).to_string()]).unwrap();
        redis.run::<i64>(&["SADD", "all", &value]).unwrap();
        redis.run::<i64>(&["HSET", "cart", &value, "1"]).unwrap();
    }
    up.ok(&["up", "wan", "heal"]);
    until("every region has every write", SOON, || {
        clients.iter_mut().all(|redis| {
            redis.run::<i64>(&["GET", "sum"]).unwrap() == 111
                && redis.run::<i64>(&["SCARD", "all"]).unwrap() == 3
                && redis.run::<i64>(&["HLEN", "cart"]).unwrap() == 3
        })
    });
    let values: BTreeSet<String> = clients.iter_mut().map(|redis| redis.run(&["GET", "contested"]).unwrap()).collect();
    assert_eq!(values.len(), 1, "one value everywhere: {values:?}");
    until("the digests are equal", SOON, || equal_digests(&up));
}

#[test]
fn five_regions_lose_one_and_go_on() {
    let scratch = Scratch::new("five");
    let up = Up::start(&scratch.0.join("w"), &["--net", &free_net().to_string(), "--regions", "5"]);
    assert_eq!(up.regions.len(), 5);
    let report = up.json(&["drill", "run", "lose-region", "--region", "eu-west", "--baseline", "1", "--hold", "5"]);
    assert_eq!(report["outcome"], "PASS", "{report:#}");
}
