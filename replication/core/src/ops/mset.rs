//! MSET and MSETNX of keys of one partition: all or nothing.

use bytes::Bytes;
use hashbrown::HashMap;

use super::Scene;
use super::string::plan_set;
use crate::Reply;
use crate::types::Kind;

pub(super) fn mset(scene: &mut Scene<'_>, others: &[Bytes], values: &[Bytes], if_absent: bool) -> Reply {
    let taken = |scene: &Scene<'_>| {
        scene.view.present() != Kind::None || others.iter().any(|key| scene.look(key).1.present() != Kind::None)
    };
    if if_absent && taken(scene) {
        return Reply::Int(0);
    }
    // The last value of a key is the one that counts: a command must not write a key twice.
    let keys: Vec<Bytes> = std::iter::once(scene.plan.key.clone()).chain(others.iter().cloned()).collect();
    let last: HashMap<&Bytes, usize> = keys.iter().enumerate().map(|(at, key)| (key, at)).collect();
    for (at, (key, value)) in keys.iter().zip(values).enumerate() {
        if last.get(key) == Some(&at) {
            scene.turn_to(key);
            plan_set(scene, value, None);
        }
    }
    if if_absent { Reply::Int(1) } else { Reply::Ok }
}
