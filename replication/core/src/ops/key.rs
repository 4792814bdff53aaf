//! DEL, EXISTS, TYPE: commands that do not care what the key holds.

use super::{Answer, Scene, copy, expiry, object};
use crate::types::Kind;
use crate::{KeyOp, Reply};

pub(super) fn run(ask: &KeyOp, scene: &mut Scene<'_>) -> Answer {
    Ok(match ask {
        KeyOp::Del => del(scene),
        KeyOp::Exists => Reply::Int(i64::from(scene.view.present() != Kind::None)),
        KeyOp::Type => Reply::Status(scene.view.present().name()),
        KeyOp::Expire { when, condition } => expiry::expire(scene, *when, *condition)?,
        KeyOp::Ttl { unit } => expiry::ttl(scene, *unit),
        KeyOp::ExpireTime { unit } => expiry::expire_time(scene, *unit),
        KeyOp::Persist => expiry::persist(scene),
        KeyOp::Rename { to, nx } => copy::rename(scene, to, *nx)?,
        KeyOp::Copy { to, replace } => copy::copy(scene, to, *replace)?,
        KeyOp::Encoding => object::encoding(scene),
    })
}

fn del(scene: &mut Scene<'_>) -> Reply {
    let present = scene.view.present() != Kind::None;
    if present {
        scene.drop_key();
    }
    Reply::Int(i64::from(present))
}
