//! A Plan as it goes over the wire, made once for all followers; and its World once for all Plans that share it.

use std::{
    borrow::Cow,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Bytes;
use model::{Plan, PlanId};
use plane_client::{
    frame::{self, FrameError},
    splice,
};

/// A Plan's message.
#[derive(Clone)]
pub(super) struct Encoded {
    pub(super) id: PlanId,
    pub(super) frame: Bytes,
    /// Sum of its content, as [`Alive`](plane_client::api::Follow::Alive) carries it.
    pub(super) sum: String,
    /// Where in the frame its World stands.
    world: Range<usize>,
}

/// The message of the newest Plan that was asked for.
#[derive(Default)]
pub(super) struct LastEncoded(Mutex<Option<(Arc<Plan>, Encoded)>>);

impl LastEncoded {
    /// The message of a Plan: made by whoever asks first; the others wait for it, which takes less than making their own.
    pub(super) fn of(&self, plan: &Arc<Plan>) -> Result<Encoded, FrameError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, encoded)) = last.as_ref().filter(|(of, _)| Arc::ptr_eq(of, plan)) {
            return Ok(encoded.clone());
        }
        let shared = last.as_ref().filter(|(of, _)| of.world.is_same(&plan.world));
        let world = match shared {
            Some((_, encoded)) => Cow::Borrowed(&encoded.frame[encoded.world.clone()]),
            None => Cow::Owned(splice::world(&plan.world)?),
        };
        let (frame, world) = splice::encode(plan, &world)?;
        let sum = frame::sum(frame::content(&frame));
        let encoded = Encoded { id: plan.id, frame, sum, world };
        *last = Some((Arc::clone(plan), encoded.clone()));
        Ok(encoded)
    }
}

#[cfg(test)]
mod tests {
    use model::World;
    use plane_client::api::Follow;

    use super::*;

    fn check(last: &LastEncoded, plan: &Arc<Plan>) {
        let encoded = last.of(plan).expect("encodes");
        let whole = frame::encode(&Follow::Plan(Box::new(Plan::clone(plan)))).expect("encodes");
        assert_eq!(encoded.frame, whole, "{}", plan.made_by);
        assert_eq!(encoded.sum, frame::sum(frame::content(&whole)));
        assert_eq!(encoded.frame[encoded.world.clone()], splice::world(&plan.world).expect("encodes"));
    }

    #[test]
    fn a_plan_is_written_as_if_it_were_written_whole_whether_or_not_its_world_is_known() {
        let last = LastEncoded::default();
        let first = Plan::new(
            PlanId { lineage: 1, version: 1 },
            7,
            "founded",
            World::parse(&World::default_toml(3, 0), "").expect("a World"),
        );
        check(&last, &Arc::new(first.clone()));
        for (version, made_by) in (2..).zip(["a verdict", r#"he said ","world":{"name":"" "#, r"\", ""]) {
            let id = PlanId { lineage: 1, version };
            let next = Arc::new(Plan { id, made_by: made_by.into(), ..first.clone() });
            check(&last, &next);
            check(&last, &next);
        }
        let other = Plan::new(PlanId { lineage: 1, version: 9 }, 8, "another World", World::of("shop", Vec::new()));
        check(&last, &Arc::new(other));
        check(&last, &Arc::new(first));
    }
}
