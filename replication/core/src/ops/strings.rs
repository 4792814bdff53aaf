//! MGET, MSET, MSETNX within one partition, and the two strings that LCS compares.

use bytes::Bytes;
use hashbrown::HashMap;

use super::string::plan_set;
use super::{Answer, Scene, text};
use crate::types::Kind;
use crate::{OpError, Reply};

/// A key of another type reads as no string, as in Redis.
pub(super) fn mget(scene: &Scene<'_>, others: &[Bytes]) -> Reply {
    let mut found = Vec::with_capacity(others.len() + 1);
    let show = |text: Result<Option<text::Text<'_>>, OpError>| match text {
        Ok(Some(text)) => Reply::Bulk(text.into_bytes()),
        Ok(None) | Err(_) => Reply::Nil,
    };
    found.push(show(scene.string()));
    for key in others {
        let (body, view) = scene.look(key);
        found.push(show(text::read(body, &view, scene.plan.replicas)));
    }
    Reply::Array(found)
}

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

pub(super) fn pair(scene: &Scene<'_>, other: &Bytes) -> Answer {
    let (body, view) = scene.look(other);
    let both = [scene.string(), text::read(body, &view, scene.plan.replicas)];
    let mut found = Vec::with_capacity(2);
    for text in both {
        let text = text.map_err(|_| OpError::NotStrings)?;
        found.push(Reply::Bulk(text.map(text::Text::into_bytes).unwrap_or_default()));
    }
    Ok(Reply::Array(found))
}
