//! The conformance suite that openraft ships, run over the redb store.

use openraft::{StorageError, testing::log};
use openraft_rt::deterministic_rng::DeterministicRng;
use tokio::sync::watch;

use super::drive::Drive;
use crate::raft::{disk::Disk, log_store::LogStore, state_machine::StateMachine, types::TypeConfig};

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
