//! A Plan's message around its World: the World is written once and read once for all Plans that share it.
//!
//! ```text
//! {"plan":{"id":…,"made_by":…,"world":   ┌ as it stands in the message before, ┐   ,"verdicts":…}}
//! └──────── written, read anew ──────┘   └ if that is the same World           ┘   └ written, read anew ┘
//! ```
//!
//! Why: a verdict makes a new Plan of the old World, ten thousand names are a megabyte of JSON, and every failover waits until they
//! are written by a member and read by each follower. What travels is a whole Plan all the same.
//!
//! Law: what is written here is what [`frame::encode`](crate::frame::encode) writes, and what is read here is what serde reads.

use std::ops::Range;

use bytes::Bytes;
use model::{Plan, SharedWorld, World};
use serde::{Serialize, de::IgnoredAny};

use crate::{
    api::Follow,
    frame::{FrameError, content, of_parts},
};

/// What stands before a World. No text of a person's can contain it, since quotes inside texts are escaped.
const BEFORE: &[u8] = br#","world":"#;

/// A Plan's message whose World is written already, and where in it the World stands.
pub fn encode(plan: &Plan, world: &[u8]) -> Result<(Bytes, Range<usize>), FrameError> {
    let hollow = hollow();
    let hole = json(&hollow)?;
    let around = json(&Follow::Plan(Box::new(Plan { world: hollow.into(), ..plan.clone() })))?;
    let (before, rest) = around.split_at(world_at(&around).unwrap_or_default());
    let after = rest.strip_prefix(&hole[..]).ok_or_else(|| FrameError::Undecodable("it has no World".into()))?;
    let frame = of_parts(&[before, world, after])?;
    let begins = frame.len() - content(&frame).len() + before.len();
    Ok((frame, begins..begins + world.len()))
}

/// A World as it stands in messages.
pub fn world(world: &World) -> Result<Vec<u8>, FrameError> {
    json(world)
}

/// The World of the last Plan that was read, and the bytes that it was read from.
#[derive(Debug, Default)]
pub(crate) struct LastWorld(Option<(Bytes, SharedWorld)>);

impl LastWorld {
    /// Reads a message.
    pub(crate) fn decode(&mut self, content: &[u8]) -> Result<Follow, FrameError> {
        let at = world_at(content);
        if let Some(plan) = at.and_then(|at| self.around(content, at)) {
            return Ok(plan);
        }
        let message = serde_json::from_slice(content).map_err(|e| FrameError::Undecodable(e.to_string()))?;
        if let (Follow::Plan(plan), Some(at)) = (&message, at) {
            let mut values = serde_json::Deserializer::from_slice(&content[at..]).into_iter::<IgnoredAny>();
            let read = matches!(values.next(), Some(Ok(_)));
            let bytes = &content[at..at + values.byte_offset()];
            self.0 = read.then(|| (Bytes::copy_from_slice(bytes), plan.world.clone()));
        }
        Ok(message)
    }

    /// The Plan if its World is the last one, to the byte.
    fn around(&self, content: &[u8], at: usize) -> Option<Follow> {
        let (bytes, world) = self.0.as_ref()?;
        let after = content[at..].strip_prefix(&bytes[..])?;
        let hollow = hollow();
        let around = [&content[..at], &json(&hollow).ok()?, after].concat();
        let Ok(Follow::Plan(mut plan)) = serde_json::from_slice(&around) else { return None };
        // Another version may have put something else there that goes by this name.
        (plan.world == hollow).then(|| {
            plan.world = world.clone();
            Follow::Plan(plan)
        })
    }
}

/// Where the World begins.
fn world_at(content: &[u8]) -> Option<usize> {
    content.windows(BEFORE.len()).position(|bytes| bytes == BEFORE).map(|at| at + BEFORE.len())
}

/// A World that no Plan has.
fn hollow() -> World {
    World::of("", Vec::new())
}

fn json(what: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    serde_json::to_vec(what).map_err(|e| FrameError::Undecodable(e.to_string()))
}
