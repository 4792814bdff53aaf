//! The conformance suite that openraft ships, run over the redb store.

use decision::{Command, Request, RequestId};
use model::World;
use openraft::{
    EntryPayload, RaftLogReader, StorageError, impls::leader_id_adv::LeaderId, storage::RaftLogStorageExt, testing::log,
};
use openraft_rt::deterministic_rng::DeterministicRng;
use tokio::sync::watch;

use super::drive::Drive;
use crate::raft::{
    disk::Disk,
    log_store::LogStore,
    state_machine::StateMachine,
    types::{Entry, LogId, Proposal, TypeConfig},
};

struct Stores;

impl log::StoreBuilder<TypeConfig, LogStore, StateMachine> for Stores {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError<TypeConfig>> {
        let (disk, found) = Disk::open_backend(Drive::default().attach(), "test").expect("opens");
        let log_store = LogStore::new(disk.clone(), &found).expect("an empty log");
        let published = watch::Sender::new(Default::default());
        let plans = watch::Sender::new(None);
        let machine = StateMachine::new(disk, &found, published, plans).expect("an empty state");
        Ok(((), log_store, machine))
    }
}

#[test]
fn openrafts_own_suite_passes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let suite = DeterministicRng::<openraft::TokioRuntime>::scope(1, log::Suite::test_all(Stores));
    runtime.block_on(suite).expect("the suite passes");
}

#[tokio::test]
async fn an_append_takes_two_worlds_at_most_and_always_something() {
    let (disk, found) = Disk::open_backend(Drive::default().attach(), "test").expect("opens");
    let mut store = LogStore::new(disk, &found).expect("an empty log");
    let world = World::of("shop", Vec::new());
    let payload = |index: u64| match index % 3 {
        0 => EntryPayload::Blank,
        _ => {
            let command = Command::Found { world: world.clone().into(), lineage: index };
            let region = "eu-west".parse().expect("a name");
            EntryPayload::Normal(Proposal(Request::new(RequestId::from_bytes([0; 16]), 0, region, command)))
        }
    };
    let log_id = |index| LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index };
    let entries: Vec<Entry> = (0..9).map(|index| Entry { log_id: log_id(index), payload: payload(index) }).collect();
    store.blocking_append(entries).await.expect("appends");
    for (range, last) in [((0, 9), 3), ((1, 9), 3), ((2, 9), 4), ((3, 9), 6), ((4, 5), 4), ((7, 9), 8)] {
        let got = store.limited_get_log_entries(range.0, range.1).await.expect("reads");
        let places: Vec<u64> = got.iter().map(|entry| entry.log_id.index).collect();
        assert_eq!(places, (range.0..=last).collect::<Vec<u64>>(), "{range:?}");
    }
}
