//! DEL, EXISTS, TYPE: commands that do not care what the key holds.

use super::Scene;
use crate::Reply;
use crate::types::Kind;

pub(super) fn del(scene: &mut Scene<'_>) -> Reply {
    let present = scene.view.present() != Kind::None;
    if present {
        scene.plan.clear_key(scene.body);
    }
    Reply::Int(i64::from(present))
}

pub(super) fn exists(scene: &Scene<'_>) -> Reply {
    Reply::Int(i64::from(scene.view.present() != Kind::None))
}

pub(super) fn kind(scene: &Scene<'_>) -> Reply {
    Reply::Status(scene.view.present().name())
}
