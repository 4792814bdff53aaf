//! A DNS server that stands still while the world goes on: what it believes when it goes on as well.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use model::PlanId;

use crate::{
    clients::ask_itself,
    world::{SOON, Scratch, Up, free_net, signal, until},
};

/// The number in `atoll VERSION plan LINEAGE:VERSION`.
fn served(dns: SocketAddr) -> Option<PlanId> {
    let text = ask_itself(dns, "version.bind.")?;
    let number = text.trim_matches('"').rsplit_once("plan ")?.1;
    let (lineage, version) = number.split_once(':')?;
    Some(PlanId { lineage: u64::from_str_radix(lineage, 16).ok()?, version: version.parse().ok()? })
}

/// The newest Plan in a follower's two files, which are written in turns: whoever reads while one is written finds the other whole.
fn on_disk(folder: &Path) -> PlanId {
    let whole = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).ok()?;
        let head_end = bytes.iter().position(|&byte| byte == b'\n')?;
        let mut words = std::str::from_utf8(&bytes[..head_end]).ok()?.strip_prefix("atoll-plan 2 ")?.split(' ');
        let (turn, length): (u64, usize) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let plan: serde_json::Value = serde_json::from_slice(bytes.get(head_end + 1..)?.get(..length)?).ok()?;
        Some((turn, serde_json::from_value(plan["id"].clone()).ok()?))
    };
    let newest = || ["plan", "plan.2"].into_iter().filter_map(whole).max_by_key(|(turn, _)| *turn);
    // A reader that is held up between the two files may find each of them in the middle of a write.
    let found = (0..100).find_map(|_| newest());
    found.map(|(_, id)| id).expect("a whole Plan on disk")
}

/// The version in `… (plan LINEAGE:VERSION)`, which ends what a verb says of a change.
fn version_in(said: &str) -> u64 {
    let number = said.trim_end().trim_end_matches(')').rsplit(|c: char| !c.is_ascii_digit()).next();
    number.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no version: {said}"))
}

/// A region that is stopped for a while. It goes on whatever happens, or the world could not be stopped.
struct Stopped(u32);

impl Stopped {
    fn new(pid: u32) -> Self {
        signal(pid, "STOP");
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        until("it stands still", SOON, || state().rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')));
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

/// What one server told and kept, as often as one can look, and the proof that none of it ever went back.
struct Watched {
    dns: SocketAddr,
    folder: PathBuf,
    told: PlanId,
    kept: PlanId,
}

impl Watched {
    /// Whether it answered.
    fn look(&mut self) -> bool {
        let told = served(self.dns);
        if let Some(now) = told {
            assert!(now >= self.told, "it served {now} after it had served {}", self.told);
            self.told = now;
        }
        let now = on_disk(&self.folder);
        assert!(now >= self.kept, "it wrote {now} over {}", self.kept);
        self.kept = now;
        told.is_some()
    }

    /// Looks on until a version is served and on disk, and then for some answers more: what is older could come behind it.
    fn look_until(&mut self, version: u64, what: &str) {
        let deadline = Instant::now() + SOON;
        let mut answers_with_it = 0;
        while answers_with_it < 25 {
            assert!(Instant::now() < deadline, "{what}: not {version}, but {} and {}", self.told, self.kept);
            let answered = self.look();
            answers_with_it += u32::from(answered && self.told.version >= version && self.kept.version >= version);
        }
    }
}

/// The outage of October 2025 in small: who slept over two changes wakes up with an old one in hand.
#[test]
fn a_dns_server_that_is_stopped_across_two_changes_never_goes_back() {
    let scratch = Scratch::new("stopped");
    let data = scratch.0.join("w");
    let up = Up::start(&data, &["--net", &free_net().to_string()]);
    let (us, eu) = (up.region("us-east").clone(), up.region("eu-west").clone());
    let folder = data.join("regions/eu-west/follower");
    let start = served(eu.dns).expect("it serves");
    let mut eu_now = Watched { dns: eu.dns, kept: on_disk(&folder), folder, told: start };
    for round in 0..3 {
        // A change that is just on its way to it when it is stopped.
        up.ok(&["gate", "close", "--pool", "web", "--reason", "a round begins", "--for", "1h"]);
        let before = eu_now.told;
        let stopped = Stopped::new(eu.pid);
        up.ok(&["gate", "open", "--pool", "web", "--reason", "the first change"]);
        let newest = version_in(&up.ok(&["drain", "ap-south", "--reason", "the second change"]));
        assert!(newest >= before.version + 2, "{before} and then {newest}");
        until("the others go on", SOON, || served(us.dns).is_some_and(|now| now.version >= newest));
        drop(stopped);
        eu_now.look_until(newest, &format!("round {round}: the newest that it slept over"));
        // What is older must not come late either: whatever was on its way comes before what is made now.
        let later = version_in(&up.ok(&["undrain", "ap-south"]));
        eu_now.look_until(later, &format!("round {round}: what came after that"));
    }
    until("all serve the same", SOON, || served(eu.dns) == served(us.dns));
}
