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
mod random;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ask::{Ask, Reply, ask_all};
use known::{Case, KNOWN};
use peer::{Maker, Peer};

/// How many differences of a kind are shown.
const SHOWN: usize = 2;

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
    origins: Vec<String>,
    /// By maker and kind.
    unknown: BTreeMap<String, Vec<String>>,
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
            (known.settle)(&Case { ask, origins: &self.origins }, &mut ours, &mut theirs);
            if before != (ours.clone(), theirs.clone()) {
                self.occurred.insert((at, maker));
            }
        }
        if ours != theirs {
            let kind = format!("{}:{}", maker.name(), ours.kind_of_difference(&theirs));
            let shown = format!("  {ask}\n    we: {our}\n    {}: {their}", maker.name());
            self.unknown.entry(kind).or_default().push(shown);
        }
    }

    fn assert_nothing_unknown(&self) {
        let mut said = String::new();
        for (kind, all) in &self.unknown {
            said += &format!("{kind}: {} of them\n", all.len());
            all.iter().take(SHOWN).for_each(|one| said += &format!("{one}\n"));
        }
        assert!(said.is_empty(), "of {} questions, differences that are not listed:\n{said}", self.questions);
    }
}

/// Asks everybody about zones in a directory, each `ORIGIN.zone`.
async fn compare(makers: &[Maker], scratch: &Scratch, zones: &Path, origins: &[String], asks: Vec<Ask>) -> Found {
    let read = origins.iter().map(|origin| ours::read(zones, origin)).collect();
    let server = ours::serve(read);
    let ours = replies(server.local_addr(), asks.clone());
    let peers: Vec<_> = makers
        .iter()
        .map(|&maker| {
            let (dir, zones, origins, asks) = (scratch.0.clone(), zones.to_owned(), origins.to_vec(), asks.clone());
            tokio::task::spawn_blocking(move || {
                let peer = Peer::start(maker, &dir, &zones, &origins);
                (maker, ask_all(peer.addr, &asks))
            })
        })
        .collect();
    let ours = ours.await.unwrap();
    let mut found = Found { questions: asks.len(), origins: origins.to_vec(), ..Found::default() };
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

#[test]
fn the_docs_list_the_differences_that_are_known() {
    let docs = include_str!("../../../../docs/dns.md");
    let (_, rest) = docs.split_once("<!-- differences -->").unwrap();
    let (table, _) = rest.split_once("<!-- end -->").unwrap();
    let cells = |line: &str| line.split('|').skip(1).take(2).map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let listed: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(1).map(cells).collect();
    let names = |peers: &[Maker]| peers.iter().map(|maker| maker.name()).collect::<Vec<_>>().join(", ");
    let known: Vec<_> = KNOWN.iter().map(|known| vec![known.name.to_owned(), names(known.peers)]).collect();
    assert_eq!(listed, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zones_that_people_read_are_answered_as_others_do() {
    let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/zones");
    let origins: Vec<String> = ["example.test", "child.example.test", "other.test"].map(str::to_owned).into();
    let asks = origins.iter().flat_map(|origin| questions::all(&ours::read(&zones, origin))).collect();
    let found = compare(&Maker::ALL, &Scratch::new("readable"), &zones, &origins, asks).await;
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

/// `$GENERATE` is BIND's own: Knot and NSD do not know it, PowerDNS knows less of it.
#[tokio::test(flavor = "multi_thread")]
async fn generated_records_are_those_that_bind_generates() {
    let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/zones/generated");
    let origins = ["generate.test".to_owned()];
    let asks = questions::all(&ours::read(&zones, &origins[0]));
    compare(&[Maker::Bind], &Scratch::new("generated"), &zones, &origins, asks).await.assert_nothing_unknown();
}

/// How many questions about random zones; `ATOLL_PEER_QUESTIONS=100000` for the long run, and `ATOLL_PEER_SEED` for other ones.
fn from_environment(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

const QUESTIONS_PER_ZONE: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn random_zones_are_answered_as_others_do() {
    let count = usize::try_from(from_environment("ATOLL_PEER_QUESTIONS", 600)).unwrap();
    let seed = from_environment("ATOLL_PEER_SEED", 1);
    let mut luck = random::Luck::new(seed);
    let scratch = Scratch::new("random");
    let zones = scratch.0.join("zones");
    fs::create_dir_all(&zones).unwrap();
    // A World has 256 zones at most.
    let origins: Vec<String> = (0..count.div_ceil(QUESTIONS_PER_ZONE).min(200)).map(|n| format!("r{n}.test")).collect();
    let mut asks = Vec::new();
    for origin in &origins {
        let text = random::zone(origin, &origins, &mut luck);
        fs::write(zones.join(format!("{origin}.zone")), &text).unwrap();
        asks.extend(random::asks(origin, &text, count.div_ceil(origins.len()), &mut luck));
    }
    println!("seed {seed}");
    compare(&Maker::ALL, &scratch, &zones, &origins, asks).await.assert_nothing_unknown();
}
