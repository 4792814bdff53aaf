//! The same questions about the same master files, to us and to name servers of other makers. Every difference that `docs/dns.md`
//! does not list fails the test, and so does one that it lists and that is none any more.
//!
//! ```text
//! zones/*.zone, or random ones ─┬─ BIND, Knot, NSD, PowerDNS  ─┐
//!                               └─ zone_file → World → View → us ─┴─ rcode, AA, TC, sections as sets ─ known.rs ─ what is left
//! ```

#![allow(clippy::unwrap_used)] // in the helpers too: here a panic is a failed test and nothing else

mod ask;
mod known;
mod ours;
mod peer;
mod questions;

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ask::{Ask, Reply, ask_all};
use known::KNOWN;
use peer::{Maker, Peer};

/// How many differences are shown.
const SHOWN: usize = 40;

/// A directory of this test's own, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("atoll-peers-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What was found over all peers.
#[derive(Default)]
struct Found {
    questions: usize,
    unknown: Vec<String>,
    /// Known differences that occurred, by their place in the list.
    occurred: BTreeSet<(usize, Maker)>,
}

impl Found {
    fn compare(&mut self, maker: Maker, ask: &Ask, our: &Reply, their: &Reply) {
        let (mut ours, mut theirs) = (our.clone(), their.clone());
        for (at, known) in KNOWN.iter().enumerate().filter(|(_, known)| known.peers.contains(&maker)) {
            if ours == theirs {
                return;
            }
            let before = (ours.clone(), theirs.clone());
            (known.settle)(ask, &mut ours, &mut theirs);
            if before != (ours.clone(), theirs.clone()) {
                self.occurred.insert((at, maker));
            }
        }
        if ours != theirs {
            self.unknown.push(format!("{ask}\n  we:   {our}\n  {}: {their}", maker.name()));
        }
    }

    fn assert_nothing_unknown(&self) {
        let (count, shown) = (self.unknown.len(), self.unknown.iter().take(SHOWN));
        let shown = shown.cloned().collect::<Vec<_>>().join("\n");
        assert!(count == 0, "{count} differences of {} questions are not listed:\n{shown}", self.questions);
    }
}

/// Asks everybody about zones in a directory, each `ORIGIN.zone`.
async fn compare(scratch: &Scratch, zones: &Path, origins: &[String], asks: Vec<Ask>) -> Found {
    let read = origins.iter().map(|origin| ours::read(zones, origin)).collect();
    let server = ours::serve(read);
    let ours = replies(server.local_addr(), asks.clone());
    let peers: Vec<_> = Maker::ALL
        .map(|maker| {
            let (dir, zones, origins, asks) = (scratch.0.clone(), zones.to_owned(), origins.to_vec(), asks.clone());
            tokio::task::spawn_blocking(move || {
                let peer = Peer::start(maker, &dir, &zones, &origins);
                (maker, ask_all(peer.addr, &asks))
            })
        })
        .into_iter()
        .collect();
    let ours = ours.await.unwrap();
    let mut found = Found { questions: asks.len(), ..Found::default() };
    for peer in peers {
        let (maker, theirs) = peer.await.unwrap();
        for ((ask, our), their) in asks.iter().zip(&ours).zip(&theirs) {
            found.compare(maker, ask, our, their);
        }
    }
    server.shutdown().await;
    found
}

fn replies(server: SocketAddr, asks: Vec<Ask>) -> tokio::task::JoinHandle<Vec<Reply>> {
    tokio::task::spawn_blocking(move || ask_all(server, &asks))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zones_that_people_read_are_answered_as_others_do() {
    let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/zones");
    let origins: Vec<String> = ["example.test", "child.example.test", "other.test"].map(str::to_owned).into();
    let asks = origins.iter().flat_map(|origin| questions::all(&ours::read(&zones, origin))).collect();
    let found = compare(&Scratch::new("readable"), &zones, &origins, asks).await;
    found.assert_nothing_unknown();
    for (at, known) in KNOWN.iter().enumerate() {
        for maker in known.peers {
            assert!(
                found.occurred.contains(&(at, *maker)),
                "`{}` is listed, but {} does as we do",
                known.name,
                maker.name()
            );
        }
    }
}
