//! Location files on disk: replaced, spoilt, cut short, missing; and the answers meanwhile.

use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use dns_server::{
    Views,
    locations::{LocationStatus, Locations, watch_files},
    views::{Publishing, publish},
};
use model::SteeringPolicy;
use steering::{Rtype, explain, geo::Geo};
use tokio::{sync::watch, time::timeout};

use crate::{
    world::*,
    writer::{country, database},
};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A directory of its own, gone with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("atoll-locations-{}-{count}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Puts another file in the place of one, at once.
    fn replace(&self, name: &str, bytes: &[u8]) {
        let new = self.path("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(&new, self.path(name)).unwrap();
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // What is left in the temporary directory is no failure.
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn until(locations: &Locations, what: impl FnMut(&LocationStatus) -> bool) -> LocationStatus {
    let mut status = locations.status();
    timeout(SOON, status.wait_for(what)).await.expect("the status comes in time").unwrap().clone()
}

fn code(locations: &Locations, addr: &str) -> String {
    let geo: Arc<Geo> = locations.geo().borrow().clone();
    geo.spot(addr.parse().unwrap()).code.unwrap_or("-".into())
}

fn problem(status: &LocationStatus, file: usize) -> &str {
    status.files[file].problem.as_deref().unwrap_or_default()
}

/// 10.9.8.0/24, which is private and in no country, is there.
fn database_of(code: &'static str) -> Vec<u8> {
    database(6, 24, &[("10.9.8.0/24", country(code))])
}

#[tokio::test]
async fn a_file_that_is_replaced_is_read_and_rubbish_changes_nothing() {
    let dir = Dir::new();
    dir.replace("country.mmdb", &database_of("DE"));
    let locations = watch_files(vec![dir.path("country.mmdb")], LOOK_EVERY);
    until(&locations, |s| s.loads == 1).await;
    assert_eq!(code(&locations, "10.9.8.9"), "DE");
    assert_eq!(code(&locations, "131.188.1.1"), "DE", "what the file does not speak of is as embedded");
    let status = until(&locations, |s| s.looked).await;
    let in_force = status.files[0].in_force.clone().unwrap();
    assert_eq!((in_force.kind.as_deref(), in_force.build_epoch), (Some("Test"), Some(1_750_000_000)));

    dir.replace("country.mmdb", &database_of("FR"));
    until(&locations, |s| s.loads == 2).await;
    assert_eq!(code(&locations, "10.9.8.9"), "FR");

    for rubbish in [b"<html>not found</html>".to_vec(), database_of("US")[..100].to_vec(), Vec::new()] {
        let before = until(&locations, |s| s.looked).await.files[0].refusals;
        dir.replace("country.mmdb", b"rubbish first, so that every step is seen");
        dir.replace("country.mmdb", &rubbish);
        let status = until(&locations, |s| s.files[0].problem.is_some()).await;
        assert!(problem(&status, 0).starts_with("not a sound MaxMind database"), "{}", problem(&status, 0));
        assert!(status.files[0].refusals > before);
        assert_eq!(code(&locations, "10.9.8.9"), "FR", "what was there before serves on");
        dir.replace("country.mmdb", &database_of("FR"));
        until(&locations, |s| s.files[0].problem.is_none()).await;
    }

    // Cut short in place, and written anew in place.
    let whole = database_of("BR");
    fs::write(dir.path("country.mmdb"), &whole[..whole.len() / 2]).unwrap();
    until(&locations, |s| s.files[0].problem.is_some()).await;
    assert_eq!(code(&locations, "10.9.8.9"), "FR");
    fs::write(dir.path("country.mmdb"), &whole).unwrap();
    until(&locations, |s| s.files[0].problem.is_none()).await;
    assert_eq!(code(&locations, "10.9.8.9"), "BR");

    fs::remove_file(dir.path("country.mmdb")).unwrap();
    let status = until(&locations, |s| s.files[0].problem.is_some()).await;
    assert!(problem(&status, 0).starts_with("cannot be read"));
    assert_eq!(code(&locations, "10.9.8.9"), "BR");
    assert!(status.files[0].in_force.is_some());
}

#[tokio::test]
async fn files_lie_over_each_other_and_one_bad_one_does_not_hold_the_others_up() {
    let dir = Dir::new();
    dir.replace("country.mmdb", &database_of("DE"));
    let files = ["country.mmdb", "nets.txt", "missing.mmdb"].map(|name| dir.path(name));
    dir.replace("nets.txt", b"10.9.8.64/26 country=IN office\n");
    let locations = watch_files(files.to_vec(), LOOK_EVERY);
    let status = until(&locations, |s| s.looked).await;
    assert!(problem(&status, 2).contains("cannot be read"), "{status:?}");
    assert_eq!((problem(&status, 0), problem(&status, 1), status.loads), ("", "", 1));
    assert_eq!(code(&locations, "10.9.8.1"), "DE");
    assert_eq!(code(&locations, "10.9.8.65"), "IN");

    dir.replace("nets.txt", b"10.9.8.0/33 office\n");
    let status = until(&locations, |s| !problem(s, 1).is_empty()).await;
    assert_eq!(problem(&status, 1), "line 1: `10.9.8.0/33`: the length of a prefix is 0 to 32");
    dir.replace("country.mmdb", &database_of("FR"));
    until(&locations, |s| s.loads == 2).await;
    assert_eq!(code(&locations, "10.9.8.1"), "FR");
    assert_eq!(code(&locations, "10.9.8.65"), "IN", "of the spoilt file what was read before");
    dir.replace("missing.mmdb", &database_of("JP"));
    let status = until(&locations, |s| s.loads == 3 && problem(s, 2).is_empty()).await;
    assert_eq!(code(&locations, "10.9.8.65"), "JP", "the last one lies on top");
    assert!(!problem(&status, 1).is_empty());
    dir.replace("nets.txt", &[0xff, 0xfe, 0]);
    until(&locations, |s| problem(s, 1).contains("is no text")).await;
}

#[tokio::test]
async fn without_files_nothing_is_watched() {
    let locations = watch_files(Vec::new(), LOOK_EVERY);
    assert_eq!(*locations.status().borrow(), LocationStatus::default());
    assert_eq!(code(&locations, "131.188.1.1"), "DE");
}

/// The file decides where a client is; the View is compiled anew with it, and explains it.
#[tokio::test]
async fn a_new_file_changes_answers_without_a_new_plan() {
    let dir = Dir::new();
    let write = |at: &str| dir.replace("nets.txt", format!("10.9.8.0/24 location={at} office\n").as_bytes());
    write("50,2");
    let locations = watch_files(vec![dir.path("nets.txt")], LOOK_EVERY);
    let mut first = plan(1);
    first.world.zones[0].steered[0].policy = SteeringPolicy::Nearest;
    let (_plans, plans_seen) = watch::channel(Some(Arc::new(first)));
    let (_demoted, demoted_seen) = watch::channel(BTreeSet::new());
    let views = Views::default();
    let publishing = Publishing { geo: locations.geo(), ..Publishing::new(region("us-east")) };
    let publisher = publish(publishing, plans_seen, demoted_seen, views.clone());
    let mut status = publisher.status();
    let client: IpAddr = "10.9.8.7".parse().unwrap();
    let mut answered = async |want: &str| {
        let as_wanted = || {
            let view = views.load_full()?;
            let told = explain(&view, "www.shop.test", client, Rtype::A).unwrap();
            (told.answers == [want]).then_some(told)
        };
        let wait = async {
            loop {
                if let Some(told) = as_wanted() {
                    return told;
                }
                status.changed().await.unwrap();
            }
        };
        timeout(SOON, wait).await.expect("the answer comes in time")
    };
    // Clients who are nowhere are sent to this server's own region, so that this one shows the file.
    let told = answered("192.0.2.2").await;
    assert_eq!((told.place.lists, told.scope.value), (vec!["office".to_owned()], 24));
    assert_eq!(told.place.source, source(&dir.path("nets.txt")));
    write("50,1");
    answered("192.0.2.1").await;
}

fn source(file: &Path) -> String {
    format!("file {}", file.display())
}
