//! Where planted bugs act; nothing here does anything in a sound world.

use replication_core::{CatchUp, Gone, Hlc, Value};

use super::World;
use crate::state::{
    plant::Plant,
    region::{Loss, Token},
};

impl World<'_> {
    /// Before two regions connect, one may have been told something else than the truth already.
    pub(super) fn tamper_with_catch_up(&self, a: u16, b: u16) {
        let Some(plant) = self.plant else { return };
        let (Some(from), Some(to)) = (&self.region(a).life, &self.region(b).life) else { return };
        for partition in &self.partitions {
            let mut catch_up = from.store.catch_up_since(*partition, &to.store.version_vector(*partition));
            if tamper(plant, &mut catch_up) {
                // Whether it is taken in or not: the checkers must tell.
                let _ = to.store.apply_catch_up(&catch_up);
            }
        }
    }

    pub(super) fn acknowledge_unwritten(&mut self, region: u16, token: Token) {
        let partitions = self.partitions.clone();
        let it = self.region_mut(region);
        it.note_written(&partitions);
        it.tokens.push(token);
    }

    pub(super) fn plant_after_death(&mut self, region: u16) {
        let it = self.region(region);
        if self.plant == Some(Plant::DropAcknowledgedWrite) && it.may_lose == Loss::Nothing {
            it.disk.forget_last_write();
        }
    }
}

/// Makes a lie of a catch-up, if it can be made into the one that is planted.
fn tamper(plant: Plant, catch_up: &mut CatchUp) -> bool {
    match plant {
        Plant::ResurrectDelete => match &mut catch_up.gone {
            Gone::These(gone) if !gone.is_empty() => {
                gone.clear();
                true
            }
            _ => false,
        },
        Plant::SkipDotInCatchUp => catch_up.puts.pop().is_some(),
        Plant::WrongTieBreak => match catch_up.puts.iter_mut().find(|put| matches!(put.value, Value::Text(_))) {
            Some(put) => {
                put.hlc = Hlc(put.hlc.0 + 1);
                true
            }
            None => false,
        },
        Plant::DropAcknowledgedWrite | Plant::AcknowledgeBeforePersist | Plant::ReuseIdentity => false,
    }
}
